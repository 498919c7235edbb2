/* What a world reads, and how it compares. */
#include "tests/unit/storage/engine_world.h"

#include "tests/unit/run.h"

#include "storage/cursor.h"

#include <string.h>

/* What a cursor shows, joined. */
static void see(struct model *seen, uint32_t shard, struct slice key, struct slice value)
{
	uint8_t data[WORLD_KEY_MAX];
	if (key.data[0] == 's')
		model_append(
		    seen, world_key(data, shard, slice_of(key.data, key.bytes - 8)), value);
	else
		model_put(seen, world_key(data, shard, key), value);
}

struct slice world_point(uint64_t number, uint8_t data[8])
{
	data[0] = 'p';
	data[1] = (uint8_t)('0' + number % 10);
	return slice_of(data, 2);
}

static void compare_value(struct engine_world *world, const struct world_group *group,
    struct slice key, enum table_found found, struct slice value)
{
	uint8_t data[WORLD_KEY_MAX];
	struct slice wanted;
	bool exists = model_get(&group->state, world_key(data, group->number, key), &wanted);
	if (found == TABLE_VALUE) {
		EXPECT(exists);
		EXPECT(slice_equal(value, wanted));
	} else {
		EXPECT(found == TABLE_ABSENT);
		EXPECT(!exists);
	}
	world->checked_reads++;
}

bool world_group_closed(struct engine_world *world, struct world_group *group)
{
	bool closed = engine_shard_closed(world->engine, group->number);
	EXPECT(!closed || world->damage_expected);
	group->closed = group->closed || closed;
	return closed;
}

static void load_done(struct engine_load *load, int result)
{
	struct world_load *loaded = CONTAINER_OF(load, struct world_load, load);
	struct engine_world *world = loaded->world;
	struct slice key = slice_of(loaded->key, loaded->key_bytes);
	struct slice value;
	loaded->used = false;
	if (result) {
		EXPECT(result == ERR_DATA_LOSS || result == ERR_CORRUPT || result == ERR_IO);
		EXPECT(world_group_closed(world, loaded->group));
		return;
	}
	enum table_found found = engine_get(world->engine, loaded->group->number, key, &value);
	EXPECT(found != TABLE_COLD);
	EXPECT(found != TABLE_LOADING);
	compare_value(world, loaded->group, key, found, value);
}

void world_read_point(struct engine_world *world, struct world_group *group, uint64_t number)
{
	uint8_t data[8];
	struct slice key = world_point(number, data);
	struct slice value;
	if (world_group_closed(world, group)) {
		EXPECT(engine_get(world->engine, group->number, key, &value) == TABLE_COLD);
		return;
	}
	enum table_found found = engine_get(world->engine, group->number, key, &value);
	if (found == TABLE_VALUE || found == TABLE_ABSENT) {
		compare_value(world, group, key, found, value);
		return;
	}
	for (size_t i = 0; i < WORLD_LOADS_MAX; i++) {
		struct world_load *loaded = &world->loads[i];
		if (loaded->used)
			continue;
		*loaded = (struct world_load){
		    .world = world, .group = group, .key_bytes = key.bytes, .used = true};
		memcpy(loaded->key, key.data, key.bytes);
		loaded->load.done = load_done;
		engine_load(world->engine, &loaded->load, group->number, key);
		return;
	}
}

static void walk(struct io_op *op)
{
	struct world_cursor *walked = CONTAINER_OF(op, struct world_cursor, op);
	struct slice key;
	struct slice value;
	while ((walked->error = cursor_next(walked->cursor, &key, &value)) == 0)
		see(&walked->seen, walked->group->number, key, value);
}

static void walk_done(struct io_op *op)
{
	struct world_cursor *walked = CONTAINER_OF(op, struct world_cursor, op);
	cursor_close(walked->cursor);
	walked->cursor = NULL;
	walked->used = false;
	if (walked->error == ERR_NOT_FOUND) {
		EXPECT(model_equal(&walked->seen, &walked->expected));
		walked->world->checked_cursors++;
	} else {
		EXPECT(walked->error == ERR_CORRUPT || walked->error == ERR_IO);
		EXPECT(world_group_closed(walked->world, walked->group));
	}
}

void world_read_group(struct engine_world *world, struct world_group *group)
{
	for (size_t i = 0; i < WORLD_CURSORS_MAX; i++) {
		struct world_cursor *walked = &world->cursors[i];
		if (walked->used)
			continue;
		bool closed = world_group_closed(world, group);
		struct slice all = slice_of(NULL, 0);
		int error = cursor_open(world->engine, group->number, all, all, &walked->cursor);
		EXPECT(error == (closed ? ERR_DATA_LOSS : 0));
		if (error)
			return;
		EXPECT(cursor_index(walked->cursor) == group->applied);
		walked->world = world;
		walked->group = group;
		walked->used = true;
		memset(&walked->op, 0, sizeof(walked->op));
		walked->op.done = walk_done;
		model_done(&walked->seen);
		model_copy(&walked->expected, &group->state);
		io_offload_bulk(world->io, &walked->op, walk);
		return;
	}
}

bool world_reads_pending(const struct engine_world *world)
{
	for (size_t i = 0; i < WORLD_LOADS_MAX; i++) {
		if (world->loads[i].used)
			return true;
	}
	for (size_t i = 0; i < WORLD_CURSORS_MAX; i++) {
		if (world->cursors[i].used)
			return true;
	}
	return false;
}

static void check_round(struct engine_world *world)
{
	for (size_t i = 0; i < WORLD_CURSORS_MAX; i++)
		world_read_group(world, &world->groups[i]);
	for (uint64_t i = 0; i < WORLD_LOADS_MAX; i++)
		world_read_point(world, &world->groups[i % WORLD_GROUPS], i);
}

static void check_round_last(struct engine_world *world)
{
	for (size_t i = WORLD_CURSORS_MAX; i < WORLD_GROUPS; i++)
		world_read_group(world, &world->groups[i]);
}

static void check_points(struct engine_world *world)
{
	for (size_t i = 0; i < WORLD_GROUPS; i++) {
		for (uint64_t number = 0; number < WORLD_POINTS; number++)
			world_read_point(world, &world->groups[i], number);
	}
}

void world_check_all(struct engine_world *world)
{
	world_settle(world);
	world_inside(world, check_round);
	world_settle(world);
	world_inside(world, check_round_last);
	world_settle(world);
	for (int i = 0; i < 5; i++) {
		world_inside(world, check_points);
		world_settle(world);
	}
}
