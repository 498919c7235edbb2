/* One shard whose state is replaced by snapshots, and taken away, through the real engine; to be
 * cut off at any moment. Each process checks what those before it left: the state of one
 * generation, whole, with all entries of it that were acknowledged, and of no other.
 *
 * A generation begins with a snapshot, or with nothing. Every value carries its number: so what is
 * left of another one, or came back, shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/install.h"
#include "storage/keys.h"
#include "tests/preload/victim_engine.h"

enum {
	SHARD = 3,
	KEYS = 24,
	BEGIN_KEY = 255, /* holds the index that the generation begins with */
	VALUE_BYTES_MAX = 1500,
	BATCH_BYTES = VALUE_BYTES_MAX + 128,
	/* What is said to be durable: at least this entry, of this generation or a later one. */
	INDEX = 0,
	GENERATION = 1,
};

struct shop {
	struct victim victim;
	struct victim_engine store;
	struct random random;
	uint64_t generation;
	uint64_t begin; /* of the generation */
	uint64_t appended, durable, applied;
	bool holds;   /* nothing is applied */
	bool pending; /* between finish or removal, and its end: nothing is said */
	bool ended;
};

/* ---- What there is ---- */

static struct slice make_key(uint8_t key[2], uint64_t place)
{
	key[0] = KEY_KIND_FIRST_FREE;
	key[1] = (uint8_t)place;
	return slice_of(key, 2);
}

static struct slice make_value(uint8_t *value, uint64_t index, uint64_t generation, uint64_t place)
{
	uint64_t mixed = (index * 31 + generation * 7 + place) * 0x9e3779b97f4a7c15u;
	size_t bytes = 24 + (size_t)(mixed >> 50) % (VALUE_BYTES_MAX - 24);
	store_u64le(value, index);
	store_u64le(value + 8, generation);
	store_u64le(value + 16, place);
	for (size_t i = 24; i < bytes; i++)
		value[i] = (uint8_t)(mixed >> i % 8 * 8);
	return slice_of(value, bytes);
}

static struct slice make_batch(struct shop *shop, uint8_t *batch, uint64_t index)
{
	uint8_t key[2];
	uint8_t value[VALUE_BYTES_MAX];
	struct writer out = writer_of(batch, BATCH_BYTES);
	batch_begin(&out);
	batch_put(&out, make_key(key, index % KEYS),
	    make_value(value, index, shop->generation, index % KEYS));
	return writer_view(&out);
}

static void apply(struct shop *shop)
{
	uint8_t batch[BATCH_BYTES];
	while (!shop->holds && shop->applied < shop->durable) {
		shop->applied++;
		victim_engine_apply(&shop->store, SHARD, shop->victim.run, shop->applied,
		    make_batch(shop, batch, shop->applied));
	}
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct shop *shop = arg;
	for (size_t i = 0; i < count; i++)
		if (extents[i].first_index <= extents[i].last_index &&
		    extents[i].last_index <= shop->appended)
			shop->durable = extents[i].last_index;
	if (shop->holds || shop->pending)
		return;
	apply(shop);
	shop->victim.said[INDEX] = shop->applied;
	shop->victim.said[GENERATION] = shop->generation;
	victim_says_durable(shop->victim.said);
}

/* ---- Checking ---- */

static bool get(struct shop *shop, uint64_t place, struct slice *ret_value)
{
	uint8_t key[2];
	return victim_engine_get(&shop->store, SHARD, make_key(key, place), ret_value);
}

static void check_key(struct shop *shop, uint64_t place)
{
	uint8_t expected[VALUE_BYTES_MAX];
	struct slice value;
	uint64_t index = shop->applied;
	while (index > shop->begin && index % KEYS != place)
		index--;
	bool found = get(shop, place, &value);
	if (index == 0) {
		if (found)
			victim_wrong(
			    "key %llu is there, and nothing has set it", (unsigned long long)place);
		return;
	}
	if (!found || value.bytes < 24)
		victim_wrong("key %llu is not there", (unsigned long long)place);
	/* A generation that began with nothing says so in its entries. */
	if (shop->generation == 0)
		shop->generation = load_u64le(value.data + 8);
	if (!slice_equal(value, make_value(expected, index, shop->generation, place)))
		victim_wrong("key %llu is of entry %llu, generation %llu, and not of %llu, %llu",
		    (unsigned long long)place, (unsigned long long)load_u64le(value.data),
		    (unsigned long long)load_u64le(value.data + 8), (unsigned long long)index,
		    (unsigned long long)shop->generation);
}

static void check(struct shop *shop)
{
	const uint64_t *said = shop->victim.said;
	struct table_shard applied = engine_applied(shop->store.engine, SHARD);
	struct log_group_view view = engine_group(shop->store.engine, SHARD);
	struct slice value;
	if (applied.index < said[INDEX])
		victim_wrong("entry %llu was acknowledged, and %llu is the last",
		    (unsigned long long)said[INDEX], (unsigned long long)applied.index);
	if (applied.index != view.last_index || applied.term != view.last_term)
		victim_wrong("applied %llu and log %llu disagree",
		    (unsigned long long)applied.index, (unsigned long long)view.last_index);
	shop->applied = shop->appended = shop->durable = applied.index;
	if (get(shop, BEGIN_KEY, &value) && value.bytes >= 24) {
		shop->begin = load_u64le(value.data);
		shop->generation = load_u64le(value.data + 8);
	}
	if (shop->begin > applied.index)
		victim_wrong("a snapshot at %llu is there, and %llu was applied",
		    (unsigned long long)shop->begin, (unsigned long long)applied.index);
	for (uint64_t place = 0; place < KEYS; place++)
		check_key(shop, place);
	if (shop->generation < said[GENERATION] && applied.index > 0)
		victim_wrong("generation %llu was there, and %llu is",
		    (unsigned long long)said[GENERATION], (unsigned long long)shop->generation);
	if (shop->generation <= said[GENERATION] && applied.index == 0)
		shop->generation = said[GENERATION] + 1;
}

/* ---- Writing ---- */

static bool append(struct shop *shop)
{
	uint8_t batch[BATCH_BYTES];
	struct slice bytes = make_batch(shop, batch, shop->appended + 1);
	if (!victim_engine_append(&shop->store, SHARD, shop->victim.run, shop->appended + 1, bytes))
		return false;
	shop->appended++;
	return true;
}

static void append_some(struct shop *shop, uint64_t count, bool holds)
{
	shop->holds = holds;
	apply(shop);
	while (count > 0 || shop->durable < shop->appended) {
		while (count > 0 && append(shop))
			count--;
		victim_engine_turn(&shop->store);
	}
}

static void ended(void *arg, int result)
{
	struct shop *shop = arg;
	if (result != 0 && result != ERR_NO_SPACE && result != ERR_IO)
		victim_wrong("an install ended with %s", error_name(result));
	if (result != 0)
		victim_refuses("an install ended with %s", error_name(result));
	shop->ended = true;
}

/* From here on both what is and what comes may be found. */
static void say_less(struct shop *shop, uint64_t index)
{
	shop->victim.said[INDEX] = index;
	victim_says_durable(shop->victim.said);
	shop->ended = false;
	shop->pending = true;
}

static void say_all(struct shop *shop, uint64_t index)
{
	while (!shop->ended)
		victim_engine_turn(&shop->store);
	shop->generation++;
	shop->begin = index;
	shop->appended = shop->durable = shop->applied = index;
	shop->victim.said[INDEX] = index;
	shop->victim.said[GENERATION] = shop->generation;
	victim_says_durable(shop->victim.said);
	shop->holds = false;
	shop->pending = false;
}

static void put(struct shop *shop, struct engine_install *install, uint64_t index, uint64_t place)
{
	uint8_t key[2];
	uint8_t value[VALUE_BYTES_MAX];
	struct slice bytes = make_value(value, index, shop->generation + 1, place);
	int error;
	while ((error = engine_install_put(install, make_key(key, place), bytes)) == ERR_AGAIN)
		victim_engine_turn(&shop->store);
	if (error != 0)
		victim_fails("engine_install_put", error, "");
}

/* It is asked again in the next turn. */
static void room(void *arg)
{
	(void)arg;
}

static void install_one(struct shop *shop)
{
	struct engine_install_options options = {.room = room, .arg = shop};
	struct engine_install *install;
	uint64_t index = shop->applied + 2;
	int error;
	/* What a restart found may be under way. */
	while ((error = engine_install_begin(shop->store.engine, SHARD, &options, &install)) ==
	       ERR_EXISTS)
		victim_engine_turn(&shop->store);
	if (error != 0)
		victim_wrong("engine_install_begin: %s", error_name(error));
	for (uint64_t place = 0; place < KEYS; place++)
		put(shop, install, index, place);
	put(shop, install, index, BEGIN_KEY);
	say_less(shop, shop->applied);
	engine_install_finish(install, index, shop->victim.run, ended, shop);
	say_all(shop, index);
}

static void remove_one(struct shop *shop)
{
	int error;
	say_less(shop, 0);
	while ((error = engine_remove_shard(shop->store.engine, SHARD, ended, shop)) == ERR_EXISTS)
		victim_engine_turn(&shop->store);
	if (error != 0)
		victim_wrong("engine_remove_shard: %s", error_name(error));
	say_all(shop, 0);
}

static void work(struct shop *shop)
{
	for (uint64_t left = shop->victim.steps; left > 0; left--) {
		append_some(shop, random_between(&shop->random, 1, 6), false);
		if (random_chance(&shop->random, 1, 2))
			engine_checkpoint(shop->store.engine);
		/* Entries that are not applied, beyond where the snapshot is. */
		if (random_chance(&shop->random, 2, 3))
			append_some(shop, 5, true);
		if (random_chance(&shop->random, 1, 5))
			remove_one(shop);
		else
			install_one(shop);
		if (random_chance(&shop->random, 1, 3))
			engine_checkpoint(shop->store.engine);
	}
	append_some(shop, 3, false);
}

int main(int argc, char **argv)
{
	static struct shop shop;
	shop.victim = victim_of(argc, argv);
	random_init(&shop.random, shop.victim.seed * 100 + shop.victim.run);
	victim_engine_open_dir(&shop.store, &shop.victim);
	victim_engine_open(&shop.store, 1000, durable, &shop);
	check(&shop);
	if (shop.victim.steps > 0)
		work(&shop);
	victim_engine_close(&shop.store, random_chance(&shop.random, 1, 2));
	return 0;
}
