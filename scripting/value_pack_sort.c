/* Keys of maps into their order. */
#include "scripting/value_pack.h"

enum {
	INSERTION_MAX = 32 /* above, a heap */
};

/* How many bytes both have in common, at most `bytes`. */
static inline size_t common_bytes(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	size_t i = 0;
	for (; i + 8 <= bytes; i += 8) {
		uint64_t differ = load_u64le(a + i) ^ load_u64le(b + i);
		if (differ)
			return i + (size_t)__builtin_ctzll(differ) / 8;
	}
	while (i < bytes && a[i] == b[i])
		i++;
	return i;
}

/* The bytes behind the first `skip`, as a number that compares as they do; zeros behind the end. */
static inline uint64_t rank_of(struct slice key, size_t skip)
{
	size_t left = key.bytes - skip;
	if (left >= 8)
		return load_u64be(key.data + skip);
	if (left == 0)
		return 0;
	if (key.bytes >= 8)
		return load_u64be(key.data + key.bytes - 8) << (64 - 8 * left);
	uint64_t rank = 0;
	for (size_t i = 0; i < left; i++)
		rank |= (uint64_t)key.data[skip + i] << (56 - 8 * i);
	return rank;
}

static inline bool is_before(const struct pack_item *a, const struct pack_item *b)
{
	if (__builtin_expect(a->rank != b->rank, 1))
		return a->rank < b->rank;
	return slice_compare(a->key, b->key) < 0;
}

/* A heap, so that whatever keys a caller sends cost n log n. */
static void sift(const struct pack_item *items, uint32_t *order, size_t at, size_t count)
{
	uint32_t moved = order[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= count)
			break;
		if (child + 1 < count && is_before(&items[order[child]], &items[order[child + 1]]))
			child++;
		if (!is_before(&items[moved], &items[order[child]]))
			break;
		order[at] = order[child];
		at = child;
	}
	order[at] = moved;
}

static void heap_sort(
    struct value_work *work, const struct pack_item *items, uint32_t *order, size_t count)
{
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count / 2; i-- > 0;) {
		value_work(work, 2);
		sift(items, order, i, count);
	}
	for (size_t i = count; i-- > 1;) {
		value_work(work, 6);
		uint32_t last = order[0];
		order[0] = order[i];
		order[i] = last;
		sift(items, order, 0, i);
	}
}

void pack_sort(struct value_work *work, struct pack_item *items, uint32_t *order, size_t count)
{
	size_t common = count > 0 ? items[0].key.bytes : 0;
	for (size_t i = 1; i < count; i++) {
		struct slice key = items[i].key;
		common = common_bytes(
		    items[0].key.data, key.data, key.bytes < common ? key.bytes : common);
	}
	for (size_t i = 0; i < count; i++)
		items[i].rank = rank_of(items[i].key, common);
	if (count > INSERTION_MAX) {
		heap_sort(work, items, order, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t at = i;
		for (; at > 0 && is_before(&items[i], &items[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = (uint32_t)i;
	}
}
