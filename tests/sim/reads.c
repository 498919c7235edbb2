/* What the driver asks of the engine: single cells, cold ones too, and walks over ranges that go on
 * in the offload pool while everything changes. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "storage/cursor.h"
#include "tests/sim/driver.h"
#include "tests/sim/verdict.h"

enum { WALK_ENDED = 1, COMPARED_CELLS = 6 };

void driver_expect_damage(struct driver *driver, size_t shard, int error, const char *how)
{
	uint32_t number = driver_shard(driver, shard)->number;
	if (error == ERR_NOMEM && driver->may_lack_memory)
		return;
	if (error == ERR_AGAIN && driver_is_installing(driver, shard))
		return;
	bool closed = engine_shard_closed(driver->engine, number);
	if (error == ERR_DATA_LOSS) {
		EXPECT(closed, "closed", "%s: shard %" PRIu32 " is not closed: ERR_DATA_LOSS", how,
		    number);
		return;
	}
	EXPECT(error == ERR_CORRUPT || error == ERR_IO, "read", "%s: shard %" PRIu32 ": %s", how,
	    number, error_name(error));
	EXPECT(driver->may_be_damaged, "read", "%s: shard %" PRIu32 ": %s, and nothing is damaged",
	    how, number, error_name(error));
	EXPECT(closed, "closed", "%s: shard %" PRIu32 " still open after %s", how, number,
	    error_name(error));
}

/* ---- One cell ---- */

/* False: it has to be loaded. */
static bool get(struct driver *driver, size_t position, unsigned cell, const char *how)
{
	struct slice value;
	const struct model_shard *shard = driver_shard(driver, position);
	uint64_t index = engine_applied(driver->engine, shard->number).index;
	enum table_found found =
	    engine_get(driver->engine, shard->number, driver->model->content->keys[cell], &value);
	switch (found) {
	case TABLE_VALUE:
		state_expect_cell(&shard->state, cell, index, &value, how, shard->number);
		driver->coverage->values++;
		return true;
	case TABLE_ABSENT:
		state_expect_cell(&shard->state, cell, index, NULL, how, shard->number);
		driver->coverage->absences++;
		return true;
	case TABLE_COLD:
		driver->coverage->reads_cold++;
		return false;
	case TABLE_LOADING:
		driver->coverage->loads_joined++;
		return false;
	}
	UNREACHABLE();
}

static void loaded(struct engine_load *load, int result)
{
	struct driver_read *read = (struct driver_read *)(void *)load;
	struct driver *driver = read->driver;
	uint32_t number = driver_shard(driver, read->shard)->number;
	ASSERT(read->busy);
	read->busy = false;
	if (result < 0) {
		driver->coverage->loads_failed++;
		driver_expect_damage(driver, read->shard, result, "load");
		return;
	}
	/* Closed meanwhile: nothing is known. */
	if (engine_shard_closed(driver->engine, number))
		return;
	EXPECT(get(driver, read->shard, read->cell, "load"), "load",
	    "shard %" PRIu32 ", cell %u: cold after its load", number, read->cell);
}

static void load_cell(struct driver *driver, size_t shard, unsigned cell)
{
	_Static_assert(offsetof(struct driver_read, load) == 0, "found by its first member");
	for (size_t i = 0; i < DRIVER_READS_MAX; i++) {
		struct driver_read *read = &driver->reads[i];
		if (read->busy)
			continue;
		*read = (struct driver_read){.load.done = loaded,
		    .driver = driver,
		    .shard = shard,
		    .cell = cell,
		    .busy = true};
		driver->coverage->loads++;
		engine_load(driver->engine, &read->load, driver_shard(driver, shard)->number,
		    driver->model->content->keys[cell]);
		return;
	}
}

void driver_read(struct driver *driver)
{
	size_t shard = driver_pick(driver);
	unsigned cell = (unsigned)random_below(&driver->random, CONTENT_CELLS);
	driver->operations++;
	driver->coverage->reads++;
	if (engine_shard_closed(driver->engine, driver_shard(driver, shard)->number)) {
		driver_expect_closed(driver, shard);
		return;
	}
	if (get(driver, shard, cell, "get"))
		return;
	/* Many ask for the same at the same time. */
	do
		load_cell(driver, shard, cell);
	while (driver_chance(driver, 300));
}

/* ---- Walks ---- */

static void walk_done(struct io_op *op);

/* On a thread of the pool, as far as the engine knows. */
static void walk_job(struct io_op *op)
{
	struct driver_walk *walk = (struct driver_walk *)(void *)op;
	walk->result = 0;
	op->result = 0;
	for (unsigned i = 0; i < walk->pairs_per_job; i++) {
		struct slice key;
		struct slice value;
		walk->result = cursor_next(walk->cursor, &key, &value);
		if (walk->result == ERR_NOT_FOUND) {
			state_walk_end(&walk->state);
			walk->result = WALK_ENDED;
		}
		if (walk->result != 0)
			return;
		state_walk_pair(&walk->state, key, value);
		walk->driver->coverage->walk_pairs++;
	}
}

static void walk_on(struct driver_walk *walk)
{
	struct driver *driver = walk->driver;
	driver->coverage->walk_jobs++;
	walk->op.done = walk_done;
	if (driver_chance(driver, 300))
		io_offload_bulk(driver->io, &walk->op, walk_job);
	else
		io_offload(driver->io, &walk->op, walk_job);
}

/* What it shows is no more the shard's state, or may not be: then damage there closes nothing. */
static bool is_of_old_state(const struct driver_walk *walk)
{
	const struct driver *driver = walk->driver;
	return driver->installed[walk->shard] != walk->installed ||
	       driver_is_installing(driver, walk->shard);
}

static void walk_done(struct io_op *op)
{
	struct driver_walk *walk = (struct driver_walk *)(void *)op;
	struct driver *driver = walk->driver;
	if (walk->result == 0) {
		walk_on(walk);
		return;
	}
	cursor_close(walk->cursor);
	walk->cursor = NULL;
	walk->busy = false;
	if (walk->result < 0) {
		driver->coverage->walks_failed++;
		if (!is_of_old_state(walk))
			driver_expect_damage(driver, walk->shard, walk->result, "cursor");
		return;
	}
	const struct model_shard *shard = driver_shard(driver, walk->shard);
	if (engine_applied(driver->engine, shard->number).index != walk->state.index)
		driver->coverage->walks_over_changes++;
	if (driver->figures.checkpoints != walk->checkpoints)
		driver->coverage->walks_over_checkpoints++;
}

/* Positions in the order of keys: all, some, or one. */
static void choose_range(struct driver *driver, unsigned *ret_first, unsigned *ret_end)
{
	unsigned first = 0;
	unsigned end = CONTENT_TARGETS;
	if (driver_chance(driver, 600)) {
		first = (unsigned)random_below(&driver->random, CONTENT_TARGETS);
		end = first + 1;
		if (driver_chance(driver, 500))
			end += (unsigned)random_below(&driver->random, CONTENT_TARGETS - first);
	}
	*ret_first = first;
	*ret_end = end;
}

static struct slice bound(const struct content *content, unsigned position)
{
	if (position == CONTENT_TARGETS)
		return slice_of(NULL, 0);
	return content->keys[content->order[position]];
}

static void walk_begin(struct driver *driver, struct driver_walk *walk, size_t position)
{
	const struct content *content = driver->model->content;
	const struct model_shard *shard = driver_shard(driver, position);
	struct cursor *cursor = NULL;
	unsigned first;
	unsigned end;
	choose_range(driver, &first, &end);
	int error = cursor_open(
	    driver->engine, shard->number, bound(content, first), bound(content, end), &cursor);
	if (error == ERR_TOO_LARGE || (error == ERR_NOMEM && driver->may_lack_memory)) {
		driver->coverage->walks_refused++;
		engine_checkpoint(driver->engine);
		return;
	}
	EXPECT(error == 0, "cursor", "shard %" PRIu32 ": %s", shard->number, error_name(error));
	uint64_t index = cursor_index(cursor);
	EXPECT(index == engine_applied(driver->engine, shard->number).index, "cursor",
	    "shard %" PRIu32 ": not at the applied index", shard->number);
	*walk = (struct driver_walk){.driver = driver,
	    .cursor = cursor,
	    .shard = position,
	    .pairs_per_job = 1 + (unsigned)random_below(&driver->random, 30),
	    .busy = true,
	    .checkpoints = driver->figures.checkpoints,
	    .installed = driver->installed[position]};
	state_walk_begin(&walk->state, &shard->state, shard->number, index, first, end, "cursor");
	walk_on(walk);
}

void driver_walk(struct driver *driver)
{
	size_t shard = driver_pick(driver);
	driver->operations++;
	uint32_t number = driver_shard(driver, shard)->number;
	if (engine_shard_closed(driver->engine, number)) {
		driver_expect_closed(driver, shard);
		return;
	}
	if (engine_shard_fenced(driver->engine, number))
		return;
	for (size_t i = 0; i < DRIVER_WALKS_MAX; i++) {
		if (driver->walks[i].busy)
			continue;
		driver->coverage->walks++;
		walk_begin(driver, &driver->walks[i], shard);
		return;
	}
}

/* ---- All of a shard ---- */

/* ERR_NOT_FOUND is the good end. */
static int compare_range(struct driver *driver, const struct model_shard *shard, const char *how)
{
	struct cursor *cursor = NULL;
	struct state_walk walk;
	int error = cursor_open(
	    driver->engine, shard->number, slice_of(NULL, 0), slice_of(NULL, 0), &cursor);
	if (error < 0)
		return error;
	state_walk_begin(
	    &walk, &shard->state, shard->number, cursor_index(cursor), 0, CONTENT_TARGETS, how);
	while (error == 0) {
		struct slice key;
		struct slice value;
		error = cursor_next(cursor, &key, &value);
		if (error == 0)
			state_walk_pair(&walk, key, value);
	}
	if (error == ERR_NOT_FOUND)
		state_walk_end(&walk);
	cursor_close(cursor);
	return error;
}

bool driver_compare(struct driver *driver, size_t position, const char *how)
{
	const struct model_shard *shard = driver_shard(driver, position);
	int error = compare_range(driver, shard, how);
	/* Memory fails once. */
	if (error == ERR_NOMEM && driver->may_lack_memory)
		error = compare_range(driver, shard, how);
	if (error == ERR_TOO_LARGE) {
		driver->coverage->walks_refused++;
		return true;
	}
	if (error != ERR_NOT_FOUND) {
		driver_expect_damage(driver, position, error, how);
		return false;
	}
	for (unsigned i = 0; i < COMPARED_CELLS; i++)
		(void)get(
		    driver, position, (unsigned)random_below(&driver->random, CONTENT_CELLS), how);
	driver->coverage->full_comparisons++;
	return true;
}

static void closed_load_done(struct engine_load *load, int result)
{
	struct driver_read *read = (struct driver_read *)(void *)load;
	read->busy = false;
	EXPECT(result == ERR_DATA_LOSS, "closed", "shard %" PRIu32 ": a load says %s",
	    driver_shard(read->driver, read->shard)->number, error_name(result));
}

void driver_expect_closed(struct driver *driver, size_t position)
{
	struct cursor *cursor = NULL;
	struct slice value;
	struct engine *engine = driver->engine;
	uint32_t number = driver_shard(driver, position)->number;
	struct slice key = driver->model->content->keys[0];
	uint64_t index = engine_applied(engine, number).index + 1;
	int error = engine_reserve(engine, number, 100, 1);
	/* A shard that nobody met yet needs memory for the answer. It fails once, not twice. */
	if (error == ERR_FULL && driver->may_lack_memory)
		error = engine_reserve(engine, number, 100, 1);
	EXPECT(error == ERR_DATA_LOSS, "closed", "shard %" PRIu32 " takes proposals: %s", number,
	    error_name(error));
	EXPECT(engine_get(engine, number, key, &value) == TABLE_COLD, "closed",
	    "shard %" PRIu32 " answers reads", number);
	EXPECT(cursor_open(engine, number, key, slice_of(NULL, 0), &cursor) == ERR_DATA_LOSS,
	    "closed", "shard %" PRIu32 " can be walked", number);
	EXPECT(engine_apply(engine, number, index, 1, slice_of(NULL, 0)) == ERR_DATA_LOSS, "closed",
	    "shard %" PRIu32 " takes entries to apply", number);
	for (size_t i = 0; i < DRIVER_READS_MAX; i++) {
		struct driver_read *read = &driver->reads[i];
		if (read->busy)
			continue;
		*read = (struct driver_read){.load.done = closed_load_done,
		    .driver = driver,
		    .shard = position,
		    .busy = true};
		engine_load(engine, &read->load, number, key);
		return;
	}
}
