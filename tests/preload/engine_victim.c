/* Entries of three one-voter groups through the real engine, to be cut off at any moment: log on
 * a real ring, table, checkpoints into RocksDB. Each process is a term of its own. It checks
 * first what those before it left: every entry that was acknowledged is there, as it was
 * acknowledged; behind them may be what was under way; the state is that of the entries, all of
 * them and no others.
 *
 * An entry puts one key of its group's ring of keys: index, term, and bytes that follow from
 * both. So the newest KEYS entries can be told from the state alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "tests/preload/victim_engine.h"

enum {
	GROUPS = 3,
	KEYS = 40,
	ENTRIES_PER_STEP = 40,
	UNDER_WAY_MAX = 32, /* entries of a group */
	VALUE_BYTES_MAX = 3000,
	BATCH_BYTES = VALUE_BYTES_MAX + 128,

	/* What is said to be durable: the id of the directory, and of each group index and term of
	 * the last entry that was acknowledged. */
	ID = 0,
	INDEX = 1,
	TERM = INDEX + GROUPS,
};
_Static_assert(TERM + GROUPS <= VICTIM_NUMBERS, "there are enough numbers");

struct group {
	uint64_t appended;
	uint64_t durable;
	uint64_t term; /* of the newest entry found */
};

struct shop {
	struct victim victim;
	struct victim_engine store;
	struct random random;
	struct group groups[GROUPS];
};

/* ---- What an entry is ---- */

static size_t value_bytes(uint64_t index, uint64_t term)
{
	uint64_t mixed = (index * 31 + term) * 0x9e3779b97f4a7c15u;
	/* Most are small, some fill blocks of their own. */
	return 16 + (size_t)(mixed % 8 == 0 ? mixed >> 40 : mixed >> 57) % (VALUE_BYTES_MAX - 16);
}

static struct slice make_value(uint8_t *value, uint64_t index, uint64_t term)
{
	size_t bytes = value_bytes(index, term);
	store_u64le(value, index);
	store_u64le(value + 8, term);
	for (size_t i = 16; i < bytes; i++)
		value[i] = (uint8_t)(index * 7 + term * 13 + i * i);
	return slice_of(value, bytes);
}

static struct slice make_key(uint8_t key[3], uint64_t place)
{
	key[0] = KEY_KIND_FIRST_FREE;
	key[1] = 'k';
	key[2] = (uint8_t)place;
	return slice_of(key, 3);
}

static struct slice make_batch(uint8_t *batch, uint64_t index, uint64_t term)
{
	uint8_t key[3];
	uint8_t value[VALUE_BYTES_MAX];
	struct writer out = writer_of(batch, BATCH_BYTES);
	batch_begin(&out);
	batch_put(&out, make_key(key, index % KEYS), make_value(value, index, term));
	return writer_view(&out);
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct shop *shop = arg;
	uint8_t batch[BATCH_BYTES];
	for (size_t i = 0; i < count; i++) {
		uint32_t number = extents[i].group;
		struct group *group = &shop->groups[number];
		for (uint64_t n = extents[i].first_index; n <= extents[i].last_index; n++) {
			victim_engine_apply(&shop->store, number, shop->victim.run, n,
			    make_batch(batch, n, shop->victim.run));
			group->durable = n;
			shop->victim.said[INDEX + number] = n;
			shop->victim.said[TERM + number] = shop->victim.run;
		}
	}
	victim_says_durable(shop->victim.said);
}

static void open_all(struct shop *shop)
{
	victim_engine_open_dir(&shop->store, &shop->victim);
	uint64_t id = data_dir_identity(shop->store.dir).id[0];
	if (shop->victim.said[ID] != 0 && shop->victim.said[ID] != id)
		victim_wrong("the data directory was made anew");
	shop->victim.said[ID] = id;
	victim_says_durable(shop->victim.said);
	victim_engine_open(&shop->store, 20, durable, shop);
}

/* ---- Checking ---- */

/* The entry that stands at this index, where it is among the newest. Its term. */
static uint64_t check_entry(struct shop *shop, uint32_t number, uint64_t index)
{
	uint8_t key[3];
	uint8_t expected[VALUE_BYTES_MAX];
	struct slice value;
	if (!victim_engine_get(&shop->store, number, make_key(key, index % KEYS), &value) ||
	    value.bytes < 16)
		victim_wrong(
		    "group %u: entry %llu has no state", number, (unsigned long long)index);
	uint64_t found = load_u64le(value.data);
	uint64_t term = load_u64le(value.data + 8);
	if (found != index || !slice_equal(value, make_value(expected, index, term)))
		victim_wrong("group %u: entry %llu left another state, of entry %llu, term %llu",
		    number, (unsigned long long)index, (unsigned long long)found,
		    (unsigned long long)term);
	return term;
}

static void check_group(struct shop *shop, uint32_t number)
{
	const struct victim *victim = &shop->victim;
	struct group *group = &shop->groups[number];
	uint64_t acked = victim->said[INDEX + number];
	uint64_t acked_term = victim->said[TERM + number];
	struct table_shard applied = engine_applied(shop->store.engine, number);
	struct log_group_view view = engine_group(shop->store.engine, number);
	if (applied.index < acked)
		victim_wrong("group %u: entry %llu was acknowledged, and %llu is the last", number,
		    (unsigned long long)acked, (unsigned long long)applied.index);
	if (applied.index != view.last_index || applied.term != view.last_term)
		victim_wrong("group %u: applied and log disagree", number);
	if (view.hard.term < acked_term)
		victim_wrong("group %u: term %llu was acknowledged, and %llu is there", number,
		    (unsigned long long)acked_term, (unsigned long long)view.hard.term);
	uint64_t term = UINT64_MAX;
	for (uint64_t n = applied.index; n > 0 && applied.index - n < KEYS; n--) {
		uint64_t of_entry = check_entry(shop, number, n);
		if (of_entry > term)
			victim_wrong("group %u: terms fall at entry %llu", number,
			    (unsigned long long)n + 1);
		if (n == acked && of_entry != acked_term)
			victim_wrong("group %u: entry %llu of term %llu was acknowledged, and one "
			             "of term %llu stands there",
			    number, (unsigned long long)n, (unsigned long long)acked_term,
			    (unsigned long long)of_entry);
		term = of_entry;
	}
	group->appended = applied.index;
	group->durable = applied.index;
	/* What was found is not lost any more. */
	shop->victim.said[INDEX + number] = applied.index;
	shop->victim.said[TERM + number] = applied.index == acked ? acked_term : applied.term;
}

/* ---- Writing ---- */

static bool append(struct shop *shop, uint32_t number)
{
	struct group *group = &shop->groups[number];
	uint8_t batch[BATCH_BYTES];
	if (group->appended - group->durable >= UNDER_WAY_MAX)
		return false;
	struct slice bytes = make_batch(batch, group->appended + 1, shop->victim.run);
	if (!victim_engine_append(
	        &shop->store, number, shop->victim.run, group->appended + 1, bytes))
		return false;
	group->appended++;
	return true;
}

static bool all_durable(const struct shop *shop)
{
	for (uint32_t number = 0; number < GROUPS; number++)
		if (shop->groups[number].durable < shop->groups[number].appended)
			return false;
	return true;
}

static void write_entries(struct shop *shop)
{
	struct log_hard_state hard = {.term = shop->victim.run, .vote = 1};
	for (uint32_t number = 0; number < GROUPS; number++)
		engine_append_hard_state(shop->store.engine, number, &hard);
	uint64_t left = shop->victim.steps * ENTRIES_PER_STEP;
	while (left > 0 || !all_durable(shop)) {
		uint64_t count = random_between(&shop->random, 0, 6);
		for (; count > 0 && left > 0; count--)
			left -= append(shop, (uint32_t)random_below(&shop->random, GROUPS));
		if (random_chance(&shop->random, 1, 40))
			engine_checkpoint(shop->store.engine);
		victim_engine_turn(&shop->store);
	}
}

int main(int argc, char **argv)
{
	static struct shop shop;
	shop.victim = victim_of(argc, argv);
	random_init(&shop.random, shop.victim.seed * 100 + shop.victim.run);
	open_all(&shop);
	for (uint32_t number = 0; number < GROUPS; number++)
		check_group(&shop, number);
	victim_says_durable(shop.victim.said);
	if (shop.victim.steps > 0)
		write_entries(&shop);
	victim_engine_close(&shop.store, random_chance(&shop.random, 1, 2));
	return 0;
}
