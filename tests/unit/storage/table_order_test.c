/* The ordered index on its own: keys of every relation, seeks at every place. */
#include "tests/unit/storage/suites.h"

#include "base/mem.h"
#include "base/random.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

#include <stdlib.h>

enum { SLOTS = 200, KEY_MAX = 24 };

struct item {
	struct table_slot slot;
	size_t bytes;
	uint8_t data[KEY_MAX];
	struct {
		struct table_entry entry;
		uint8_t key[KEY_SHARD_BYTES + KEY_MAX];
	} owner;
};

static struct item items[SLOTS];
static struct item *sorted[SLOTS];
static uintptr_t stack[ORDER_DEPTH_MAX];

static struct slice key_of(const struct item *item)
{
	return slice_of(item->data, item->bytes);
}

static void item_init(struct item *item)
{
	item->slot = (struct table_slot){.entry = &item->owner.entry, .kind = SLOT_POINT};
	item->owner.entry =
	    (struct table_entry){.key_bytes = (uint32_t)(KEY_SHARD_BYTES + item->bytes)};
	memcpy(item->owner.entry.key + KEY_SHARD_BYTES, item->data, item->bytes);
}

static int by_key(const void *a, const void *b)
{
	const struct item *const *left = a;
	const struct item *const *right = b;
	return slice_compare(key_of(*left), key_of(*right));
}

/* Different keys over an alphabet of `letters`; returns how many. */
static size_t make(struct random *random, uintptr_t *root, uint64_t letters, uint64_t bytes_max)
{
	size_t count = 0;
	*root = 0;
	for (size_t i = 0; i < SLOTS; i++) {
		struct item *item = &items[count];
		item->bytes = random_below(random, bytes_max + 1);
		for (size_t byte = 0; byte < item->bytes; byte++)
			item->data[byte] =
			    (uint8_t)(random_below(random, letters) * (255 / letters));
		bool known = false;
		for (size_t j = 0; j < count; j++)
			known |= slice_equal(key_of(&items[j]), key_of(item));
		ck_assert_int_eq(order_has(*root, key_of(item)), known);
		if (known)
			continue;
		item_init(item);
		order_insert(root, &item->slot);
		sorted[count++] = item;
	}
	qsort(sorted, count, sizeof(struct item *), by_key);
	return count;
}

static void check_walk(uintptr_t root, size_t count, struct slice first)
{
	struct order_walk walk;
	ck_assert_ptr_null(order_walk_from(&walk, stack, root, first));
	for (size_t i = 0; i < count; i++) {
		if (slice_compare(key_of(sorted[i]), first) >= 0)
			ck_assert_ptr_eq(order_walk_next(&walk), &sorted[i]->slot);
	}
	ck_assert_ptr_null(order_walk_next(&walk));
}

START_TEST(slots_come_in_the_order_of_their_keys_from_any_place)
{
	struct random random;
	random_init(&random, 1);
	for (int round = 0; round < 60; round++) {
		uintptr_t root;
		uint64_t letters = 1 + random_below(&random, 5);
		size_t count = make(&random, &root, letters, 1 + random_below(&random, KEY_MAX));
		ck_assert_uint_gt(count, 1);
		struct order_walk walk;
		order_walk_begin(&walk, stack, root);
		for (size_t i = 0; i < count; i++)
			ck_assert_ptr_eq(order_walk_next(&walk), &sorted[i]->slot);
		ck_assert_ptr_null(order_walk_next(&walk));
		for (int seek = 0; seek < 40; seek++) {
			uint8_t first[KEY_MAX];
			size_t bytes = random_below(&random, KEY_MAX);
			for (size_t byte = 0; byte < bytes; byte++)
				first[byte] =
				    (uint8_t)(random_below(&random, letters) * (255 / letters));
			check_walk(root, count, slice_of(first, bytes));
			check_walk(root, count, key_of(sorted[random_below(&random, count)]));
		}
	}
}
END_TEST

START_TEST(an_empty_order_has_nothing)
{
	struct order_walk walk;
	order_walk_begin(&walk, stack, 0);
	ck_assert_ptr_null(order_walk_next(&walk));
	ck_assert_ptr_null(order_walk_from(&walk, stack, 0, slice_from_text("a")));
	ck_assert_ptr_null(order_walk_next(&walk));
	ck_assert(!order_has(0, slice_from_text("a")));
}
END_TEST

START_TEST(a_seek_behind_a_clear_finds_it_however_many_keys_are_around)
{
	struct random random;
	random_init(&random, 2);
	for (int round = 0; round < 200; round++) {
		uintptr_t root;
		size_t count = make(&random, &root, 3, 6);
		struct item *clear = sorted[random_below(&random, count)];
		clear->slot.kind = SLOT_CLEAR;
		for (size_t i = 0; i < count; i++) {
			struct slice key = key_of(sorted[i]);
			struct order_walk walk;
			struct table_slot *found = order_walk_from(&walk, stack, root, key);
			bool behind = key.bytes > clear->bytes &&
			              memcmp(key.data, clear->data, clear->bytes) == 0;
			ck_assert_ptr_eq(found, behind ? &clear->slot : NULL);
			ck_assert_ptr_eq(order_walk_next(&walk), &sorted[i]->slot);
		}
	}
}
END_TEST

Suite *table_order_suite(void)
{
	Suite *suite = suite_create("table_order");
	TCase *tcase = tcase_create("table_order");
	tcase_add_test(tcase, slots_come_in_the_order_of_their_keys_from_any_place);
	tcase_add_test(tcase, an_empty_order_has_nothing);
	tcase_add_test(tcase, a_seek_behind_a_clear_finds_it_however_many_keys_are_around);
	suite_add_tcase(suite, tcase);
	return suite;
}
