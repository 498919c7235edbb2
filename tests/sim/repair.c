#include "tests/sim/repair.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "storage/keys.h"
#include "storage/log_tool.h"
#include "storage/records.h"
#include "storage/store.h"
#include "tests/sim/model.h"
#include "tests/sim/verdict.h"

enum { WHY_BYTES = 512, VALUE_BYTES_MAX = 4096 };

/* What is open while it works; the process's. */
struct work {
	struct repair *repair;
	struct io *io;
	struct store *store;
};

static int read_anchor(struct store *store, struct log_anchor *ret_anchor)
{
	uint8_t key[KEY_OWN_BYTES];
	struct buffer value;
	struct record_anchor anchor;
	buffer_init(&value, VALUE_BYTES_MAX);
	key_own_put(key, KEY_KIND_ANCHOR);
	int error = store_get(store, slice_of(key, sizeof(key)), &value);
	if (error == 0)
		error = record_anchor_decode(buffer_view(&value), &anchor);
	buffer_done(&value);
	if (error == 0)
		*ret_anchor = anchor.log;
	return error;
}

static struct log_base read_base(void *arg, uint32_t group)
{
	const struct work *work = arg;
	struct log_base base = {0};
	uint8_t key[KEY_LISTED_BYTES];
	struct buffer value;
	buffer_init(&value, VALUE_BYTES_MAX);
	key_listed_put(key, KEY_KIND_APPLIED, group);
	int error = store_get(work->store, slice_of(key, sizeof(key)), &value);
	if (error == 0)
		error = record_applied_decode(buffer_view(&value), &base);
	EXPECT(error == 0 || error == ERR_NOT_FOUND, "repair", "a base cannot be read: %s",
	    error_name(error));
	buffer_done(&value);
	return base;
}

static int lost(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen)
{
	struct work *work = arg;
	struct model *model = work->repair->model;
	size_t shard = model_find_shard(model, group);
	EXPECT(shard != MODEL_NO_SHARD, "repair", "shard %" PRIu32 " never was", group);
	(void)first_index;
	(void)last_index_seen;
	model->shards[shard].given_up = true;
	return 0;
}

static int open_and_repair(struct work *work)
{
	struct repair *repair = work->repair;
	char why[WHY_BYTES];
	struct log_report report;
	struct store_options store_options = {.fs = sim_node_fs(repair->node),
	    .root = "/",
	    .dir = repair->store_dir,
	    .read_only = true};
	struct log_tool_options options = {.fs = sim_node_fs(repair->node),
	    .dir = repair->log_dir,
	    .store = repair->store_id,
	    .base = read_base,
	    .base_arg = work};
	int error = store_open(&store_options, why, sizeof(why), &work->store);
	if (error < 0)
		return error;
	error = read_anchor(work->store, &options.anchor);
	if (error == 0)
		error = log_tool_repair(&options, repair->copy_dir, lost, work, &report);
	store_close(work->store);
	return error;
}

static void run(void *arg)
{
	struct work *work = arg;
	work->repair->error = open_and_repair(work);
	io_free(work->io);
}

bool repair_run(struct repair *repair)
{
	struct work work = {.repair = repair};
	work.io = sim_node_boot(repair->node);
	sim_node_set_turn(repair->node, NULL, NULL);
	if (!sim_node_run(repair->node, run, &work))
		return false;
	size_t left = sim_node_stop(repair->node);
	EXPECT(left == 0, "leak", "%zu pieces of memory left by a repair that said %s", left,
	    error_name(repair->error));
	return true;
}
