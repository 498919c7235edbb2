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
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/data_dir.h"
#include "storage/engine.h"
#include "storage/install.h"
#include "storage/keys.h"
#include "tests/preload/victim.h"

enum {
	SHARD = 3,
	KEYS = 24,
	BEGIN_KEY = 255, /* holds the index that the generation begins with */
	VALUE_BYTES_MAX = 1500,
	BATCH_BYTES = VALUE_BYTES_MAX + 128,
	WHY_BYTES = 512,
	/* What is said to be durable: at least this entry, of this generation or a later one. */
	INDEX = 0,
	GENERATION = 1,
};

struct shop {
	struct victim victim;
	struct fs *fs;
	struct io *io;
	struct data_dir *dir;
	struct engine *engine;
	struct random random;
	uint64_t generation;
	uint64_t begin; /* of the generation */
	uint64_t appended, durable, applied;
	bool holds;   /* nothing is applied */
	bool pending; /* between finish or removal, and its end: nothing is said */
	bool room;
	bool ended;
	bool closed;
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

/* ---- What the engine asks ---- */

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	(void)arg;
	return engine_apply(engine, record->group, record->index, record->term, record->payload);
}

static void apply(struct shop *shop)
{
	uint8_t batch[BATCH_BYTES];
	while (!shop->holds && shop->applied < shop->durable) {
		shop->applied++;
		int error = engine_apply(shop->engine, SHARD, shop->applied, shop->victim.run,
		    make_batch(shop, batch, shop->applied));
		if (error != 0)
			victim_wrong("engine_apply: %s", error_name(error));
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

static void room(void *arg)
{
	struct shop *shop = arg;
	shop->room = true;
}

static void closed(void *arg)
{
	struct shop *shop = arg;
	shop->closed = true;
}

static bool turn(struct shop *shop)
{
	bool more = engine_turn(shop->engine);
	io_poll(shop->io, more ? 0 : (uint64_t)5 * 1000 * 1000);
	return io_run(shop->io) > 0;
}

/* ---- Opening ---- */

static void refuse_or_wrong(const char *what, int error, const char *why)
{
	if (error == ERR_NO_SPACE || error == ERR_IO)
		victim_refuses("%s: %s: %s", what, error_name(error), why);
	victim_wrong("%s: %s: %s", what, error_name(error), why);
}

static void open_all(struct shop *shop, const char *root)
{
	char why[WHY_BYTES] = "";
	char dir[DATA_DIR_PATH_BYTES];
	int error = fs_open_root(root, true, &shop->fs);
	if (error != 0)
		refuse_or_wrong(root, error, error_text(error));
	uint64_t id[2] = {shop->victim.run, shop->victim.seed};
	error = data_dir_open(shop->fs, 1, id, why, sizeof(why), &shop->dir);
	if (error != 0)
		refuse_or_wrong("data_dir_open", error, why);
	error = io_new(NULL, why, sizeof(why), &shop->io);
	if (error != 0)
		victim_wrong("io_new: %s", why);
	data_dir_store_path(shop->dir, 0, dir, sizeof(dir));
	struct engine_options options = {.fs = shop->fs,
	    .io = shop->io,
	    .root = root,
	    .dir = dir,
	    .store_id = data_dir_store_id(shop->dir, 0),
	    .segment_bytes = 128 << 10,
	    .first_segment_bytes = 64 << 10,
	    .replay_bytes_max = 160 << 10,
	    .dirty_bytes_max = 256 << 10,
	    .block_cache_bytes = 1 << 20,
	    .reserve_bytes_max = 1,
	    .frames_in_flight_max = 4,
	    .frame_bytes_max = 32 << 10,
	    .watermark_delay_ms = 1,
	    .idle_ms = 1000,
	    .replay = replay,
	    .durable = durable,
	    .room = room,
	    .arg = shop};
	struct engine_report report;
	error = engine_open(&options, why, sizeof(why), &shop->engine, &report);
	if (error != 0)
		refuse_or_wrong("engine_open", error, why);
	if (report.shards_closed != 0 || report.log.gaps != 0)
		victim_wrong("%llu shards are closed", (unsigned long long)report.shards_closed);
}

/* ---- Checking ---- */

static void loaded(struct engine_load *load, int result)
{
	if (result != 0)
		victim_wrong("engine_load: %s", error_name(result));
	load->done = NULL;
}

static bool get(struct shop *shop, uint64_t place, struct slice *ret_value)
{
	uint8_t key[2];
	for (;;) {
		enum table_found found =
		    engine_get(shop->engine, SHARD, make_key(key, place), ret_value);
		if (found == TABLE_ABSENT || found == TABLE_VALUE)
			return found == TABLE_VALUE;
		struct engine_load load = {.done = loaded};
		engine_load(shop->engine, &load, SHARD, make_key(key, place));
		while (load.done != NULL)
			turn(shop);
	}
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
	struct table_shard applied = engine_applied(shop->engine, SHARD);
	struct log_group_view view = engine_group(shop->engine, SHARD);
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
	int error = engine_reserve(shop->engine, SHARD, bytes.bytes, 1);
	if (error == ERR_FULL || error == ERR_NO_SPACE)
		return false;
	if (error != 0)
		victim_wrong("engine_reserve: %s", error_name(error));
	engine_unreserve(shop->engine, bytes.bytes, 1);
	uint8_t *payload;
	engine_append(shop->engine, SHARD, shop->victim.run, ++shop->appended,
	    (uint32_t)bytes.bytes, &payload);
	memcpy(payload, bytes.data, bytes.bytes);
	return true;
}

static void append_some(struct shop *shop, uint64_t count, bool holds)
{
	shop->holds = holds;
	apply(shop);
	while (count > 0 || shop->durable < shop->appended) {
		while (count > 0 && append(shop))
			count--;
		turn(shop);
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
		turn(shop);
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
		turn(shop);
	if (error != 0)
		refuse_or_wrong("engine_install_put", error, "");
}

static void install_one(struct shop *shop)
{
	struct engine_install_options options = {.room = room, .arg = shop};
	struct engine_install *install;
	uint64_t index = shop->applied + 2;
	int error;
	/* What a restart found may be under way. */
	while (
	    (error = engine_install_begin(shop->engine, SHARD, &options, &install)) == ERR_EXISTS)
		turn(shop);
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
	while ((error = engine_remove_shard(shop->engine, SHARD, ended, shop)) == ERR_EXISTS)
		turn(shop);
	if (error != 0)
		victim_wrong("engine_remove_shard: %s", error_name(error));
	say_all(shop, 0);
}

static void work(struct shop *shop)
{
	for (uint64_t left = shop->victim.steps; left > 0; left--) {
		append_some(shop, random_between(&shop->random, 1, 6), false);
		if (random_chance(&shop->random, 1, 2))
			engine_checkpoint(shop->engine);
		/* Entries that are not applied, beyond where the snapshot is. */
		if (random_chance(&shop->random, 2, 3))
			append_some(shop, 5, true);
		if (random_chance(&shop->random, 1, 5))
			remove_one(shop);
		else
			install_one(shop);
		if (random_chance(&shop->random, 1, 3))
			engine_checkpoint(shop->engine);
	}
	append_some(shop, 3, false);
}

static void close_all(struct shop *shop, bool clean)
{
	if (clean) {
		engine_close(shop->engine, closed, shop);
		while (!shop->closed)
			turn(shop);
	}
	engine_free(shop->engine);
	io_free(shop->io);
	data_dir_close(shop->dir);
	fs_close_root(shop->fs);
}

int main(int argc, char **argv)
{
	static struct shop shop;
	char root[512];
	shop.victim = victim_of(argc, argv);
	random_init(&shop.random, shop.victim.seed * 100 + shop.victim.run);
	snprintf(root, sizeof(root), "%s/data", shop.victim.dir);
	open_all(&shop, root);
	check(&shop);
	if (shop.victim.steps > 0)
		work(&shop);
	close_all(&shop, random_chance(&shop.random, 1, 2));
	return 0;
}
