#include "tests/preload/victim_engine.h"

#include <stdio.h>
#include <string.h>

#include "base/io/fs.h"
#include "base/io/io.h"

enum { WHY_BYTES = 512, POLL_NS = 5 * 1000 * 1000 };

/* ---- What the engine asks ---- */

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	(void)arg;
	return engine_apply(engine, record->group, record->index, record->term, record->payload);
}

/* Whoever waits for it asks again in its next turn. */
static void room(void *arg)
{
	(void)arg;
}

static void closed(void *arg)
{
	struct victim_engine *self = arg;
	self->closed = true;
}

/* ---- Opening and closing ---- */

void victim_engine_open_dir(struct victim_engine *self, const struct victim *victim)
{
	char why[WHY_BYTES] = "";
	snprintf(self->root, sizeof(self->root), "%s/data", victim->dir);
	int error = fs_open_root(self->root, true, &self->fs);
	if (error != 0)
		victim_fails(self->root, error, error_text(error));
	uint64_t id[2] = {victim->run, victim->seed};
	error = data_dir_open(self->fs, 1, id, why, sizeof(why), &self->dir);
	if (error != 0)
		victim_fails("data_dir_open", error, why);
}

void victim_engine_open(struct victim_engine *self, uint32_t idle_ms,
    void (*durable)(void *arg, const struct log_extent *extents, size_t count), void *arg)
{
	char why[WHY_BYTES] = "";
	char dir[DATA_DIR_PATH_BYTES];
	int error = io_new(NULL, why, sizeof(why), &self->io);
	if (error != 0)
		victim_wrong("io_new: %s", why);
	data_dir_store_path(self->dir, 0, dir, sizeof(dir));
	struct engine_options options = {.fs = self->fs,
	    .io = self->io,
	    .root = self->root,
	    .dir = dir,
	    .store_id = data_dir_store_id(self->dir, 0),
	    .segment_bytes = 128 << 10,
	    .first_segment_bytes = 64 << 10,
	    .replay_bytes_max = 160 << 10,
	    .dirty_bytes_max = 256 << 10,
	    .block_cache_bytes = 1 << 20,
	    .reserve_bytes_max = 1,
	    .frames_in_flight_max = 4,
	    .frame_bytes_max = 32 << 10,
	    .watermark_delay_ms = 1,
	    .idle_ms = idle_ms,
	    .replay = replay,
	    .durable = durable,
	    .room = room,
	    .arg = arg};
	struct engine_report report;
	error = engine_open(&options, why, sizeof(why), &self->engine, &report);
	if (error != 0)
		victim_fails("engine_open", error, why);
	if (report.shards_closed != 0 || report.log.gaps != 0)
		victim_wrong("%llu shards are closed, %llu gaps are in the log",
		    (unsigned long long)report.shards_closed, (unsigned long long)report.log.gaps);
}

void victim_engine_close(struct victim_engine *self, bool clean)
{
	if (clean) {
		engine_close(self->engine, closed, self);
		while (!self->closed)
			victim_engine_turn(self);
	}
	engine_free(self->engine);
	io_free(self->io);
	data_dir_close(self->dir);
	fs_close_root(self->fs);
}

/* ---- Work ---- */

bool victim_engine_turn(struct victim_engine *self)
{
	bool more = engine_turn(self->engine);
	io_poll(self->io, more ? 0 : POLL_NS);
	return io_run(self->io) > 0;
}

static void loaded(struct engine_load *load, int result)
{
	if (result != 0)
		victim_wrong("engine_load: %s", error_name(result));
	load->done = NULL;
}

bool victim_engine_get(
    struct victim_engine *self, uint32_t shard, struct slice key, struct slice *ret_value)
{
	for (;;) {
		enum table_found found = engine_get(self->engine, shard, key, ret_value);
		if (found == TABLE_ABSENT || found == TABLE_VALUE)
			return found == TABLE_VALUE;
		struct engine_load load = {.done = loaded};
		engine_load(self->engine, &load, shard, key);
		while (load.done != NULL)
			victim_engine_turn(self);
	}
}

bool victim_engine_append(
    struct victim_engine *self, uint32_t shard, uint64_t term, uint64_t index, struct slice batch)
{
	int error = engine_reserve(self->engine, shard, batch.bytes, 1);
	if (error == ERR_FULL || error == ERR_NO_SPACE)
		return false;
	if (error != 0)
		victim_wrong("engine_reserve: %s", error_name(error));
	engine_unreserve(self->engine, batch.bytes, 1);
	uint8_t *payload;
	engine_append(self->engine, shard, term, index, (uint32_t)batch.bytes, &payload);
	memcpy(payload, batch.data, batch.bytes);
	return true;
}

void victim_engine_apply(
    struct victim_engine *self, uint32_t shard, uint64_t term, uint64_t index, struct slice batch)
{
	int error = engine_apply(self->engine, shard, index, term, batch);
	if (error != 0)
		victim_wrong("engine_apply: %s", error_name(error));
}
