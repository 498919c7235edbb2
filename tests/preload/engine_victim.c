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
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/data_dir.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "tests/preload/victim.h"

enum {
	GROUPS = 3,
	KEYS = 40,
	ENTRIES_PER_STEP = 40,
	UNDER_WAY_MAX = 32, /* entries of a group */
	VALUE_BYTES_MAX = 3000,
	BATCH_BYTES = VALUE_BYTES_MAX + 128,
	WHY_BYTES = 512,

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
	struct fs *fs;
	struct io *io;
	struct data_dir *dir;
	struct engine *engine;
	struct random random;
	struct group groups[GROUPS];

	bool closed;
	bool room;
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

/* ---- What the engine asks ---- */

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	(void)arg;
	return engine_apply(engine, record->group, record->index, record->term, record->payload);
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct shop *shop = arg;
	uint8_t batch[BATCH_BYTES];
	for (size_t i = 0; i < count; i++) {
		uint32_t number = extents[i].group;
		struct group *group = &shop->groups[number];
		for (uint64_t n = extents[i].first_index; n <= extents[i].last_index; n++) {
			int error = engine_apply(shop->engine, number, n, shop->victim.run,
			    make_batch(batch, n, shop->victim.run));
			if (error != 0)
				victim_wrong("engine_apply: %s", error_name(error));
			group->durable = n;
			shop->victim.said[INDEX + number] = n;
			shop->victim.said[TERM + number] = shop->victim.run;
		}
	}
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

/* ---- Opening ---- */

static void refuse_or_wrong(const char *what, int error, const char *why)
{
	if (error == ERR_NO_SPACE || error == ERR_IO)
		victim_refuses("%s: %s: %s", what, error_name(error), why);
	victim_wrong("%s: %s: %s", what, error_name(error), why);
}

static void open_dir(struct shop *shop, const char *root)
{
	char why[WHY_BYTES] = "";
	int error = fs_open_root(root, true, &shop->fs);
	if (error != 0)
		refuse_or_wrong(root, error, error_text(error));
	uint64_t id[2] = {shop->victim.run, shop->victim.seed};
	error = data_dir_open(shop->fs, 1, id, why, sizeof(why), &shop->dir);
	if (error != 0)
		refuse_or_wrong("data_dir_open", error, why);
	id[0] = data_dir_identity(shop->dir).id[0];
	if (shop->victim.said[ID] != 0 && shop->victim.said[ID] != id[0])
		victim_wrong("the data directory was made anew");
	shop->victim.said[ID] = id[0];
	victim_says_durable(shop->victim.said);
	error = io_new(NULL, why, sizeof(why), &shop->io);
	if (error != 0)
		victim_wrong("io_new: %s", why);
}

static void open_engine(struct shop *shop, const char *root)
{
	char why[WHY_BYTES] = "";
	char dir[DATA_DIR_PATH_BYTES];
	data_dir_store_path(shop->dir, 0, dir, sizeof(dir));
	/* Small, so that a few hundred entries see segments come and go, and checkpoints. */
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
	    .idle_ms = 20,
	    .replay = replay,
	    .durable = durable,
	    .room = room,
	    .arg = shop};
	struct engine_report report;
	int error = engine_open(&options, why, sizeof(why), &shop->engine, &report);
	if (error != 0)
		refuse_or_wrong("engine_open", error, why);
	if (report.shards_closed != 0 || report.log.gaps != 0)
		victim_wrong("%llu shards are closed, %llu gaps are in the log",
		    (unsigned long long)report.shards_closed, (unsigned long long)report.log.gaps);
}

static bool turn(struct shop *shop)
{
	bool more = engine_turn(shop->engine);
	io_poll(shop->io, more ? 0 : (uint64_t)5 * 1000 * 1000);
	return io_run(shop->io) > 0;
}

/* ---- Checking ---- */

static void loaded(struct engine_load *load, int result)
{
	if (result != 0)
		victim_wrong("engine_load: %s", error_name(result));
	load->done = NULL;
}

static bool get(struct shop *shop, uint32_t number, struct slice key, struct slice *ret_value)
{
	for (;;) {
		enum table_found found = engine_get(shop->engine, number, key, ret_value);
		if (found == TABLE_ABSENT || found == TABLE_VALUE)
			return found == TABLE_VALUE;
		struct engine_load load = {.done = loaded};
		engine_load(shop->engine, &load, number, key);
		while (load.done != NULL)
			turn(shop);
	}
}

/* The entry that stands at this index, where it is among the newest. Its term. */
static uint64_t check_entry(struct shop *shop, uint32_t number, uint64_t index)
{
	uint8_t key[3];
	uint8_t expected[VALUE_BYTES_MAX];
	struct slice value;
	if (!get(shop, number, make_key(key, index % KEYS), &value) || value.bytes < 16)
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
	struct table_shard applied = engine_applied(shop->engine, number);
	struct log_group_view view = engine_group(shop->engine, number);
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
	int error = engine_reserve(shop->engine, number, bytes.bytes, 1);
	if (error == ERR_FULL || error == ERR_NO_SPACE)
		return false;
	if (error != 0)
		victim_wrong("engine_reserve: %s", error_name(error));
	engine_unreserve(shop->engine, bytes.bytes, 1);
	uint8_t *payload;
	engine_append(shop->engine, number, shop->victim.run, ++group->appended,
	    (uint32_t)bytes.bytes, &payload);
	memcpy(payload, bytes.data, bytes.bytes);
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
		engine_append_hard_state(shop->engine, number, &hard);
	uint64_t left = shop->victim.steps * ENTRIES_PER_STEP;
	while (left > 0 || !all_durable(shop)) {
		uint64_t count = random_between(&shop->random, 0, 6);
		for (; count > 0 && left > 0; count--)
			left -= append(shop, (uint32_t)random_below(&shop->random, GROUPS));
		if (random_chance(&shop->random, 1, 40))
			engine_checkpoint(shop->engine);
		turn(shop);
	}
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
	open_dir(&shop, root);
	open_engine(&shop, root);
	for (uint32_t number = 0; number < GROUPS; number++)
		check_group(&shop, number);
	victim_says_durable(shop.victim.said);
	if (shop.victim.steps > 0)
		write_entries(&shop);
	close_all(&shop, random_chance(&shop.random, 1, 2));
	return 0;
}
