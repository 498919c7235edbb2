#include "storage/install.h"

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/mem.h"
#include "storage/install_parts.h"

#include <stdio.h>
#include <string.h>

/* ---- Beginnings and ends ---- */

static struct engine_install *find(const struct engine *engine, uint32_t shard)
{
	LIST_FOR_EACH(node, &engine->installs)
	{
		struct engine_install *install = CONTAINER_OF(node, struct engine_install, node);
		if (install->shard == shard)
			return install;
	}
	return NULL;
}

bool install_is_recovered(const struct engine *engine, uint32_t shard)
{
	const struct engine_install *install = find(engine, shard);
	return install && install->recovered;
}

struct engine_install *install_new(struct engine *engine, uint32_t shard, enum install_kind kind)
{
	struct engine_install *install = mem_zalloc(1, sizeof(*install));
	if (!install)
		return NULL;
	install->engine = engine;
	install->shard = shard;
	install->kind = kind;
	install->head = (struct install_head){.kind = kind,
	    .store = engine->options.store_id,
	    .shard = shard,
	    .bytes = INSTALL_HEAD_BYTES};
	snprintf(install->part, sizeof(install->part), "%s/%08x.part", engine->install_dir, shard);
	snprintf(
	    install->intent, sizeof(install->intent), "%s/%08x.intent", engine->install_dir, shard);
	list_node_init(&install->node);
	list_push_back(&engine->installs, &install->node);
	return install;
}

void install_free(struct engine_install *install)
{
	list_remove(&install->node);
	fs_close(install->file);
	for (size_t i = 0; i < 2; i++)
		mem_free(install->blocks[i].data);
	mem_free(install);
}

void install_init(struct engine *engine)
{
	list_init(&engine->installs);
}

void install_done(struct engine *engine)
{
	struct list_node *node;
	while ((node = list_first(&engine->installs)))
		install_free(CONTAINER_OF(node, struct engine_install, node));
}

void install_job(
    struct engine_install *install, void (*run)(struct io_op *op), void (*done)(struct io_op *op))
{
	memset(&install->op, 0, sizeof(install->op));
	install->op.done = done;
	engine_op_begin(install->engine);
	io_offload_bulk(install->engine->options.io, &install->op, run);
}

/* ---- What comes in ---- */

int engine_install_begin(struct engine *engine, uint32_t shard,
    const struct engine_install_options *options, struct engine_install **ret_install)
{
	ASSERT(!engine->replaying);
	if (shard >= KEY_SHARDS_MAX)
		return ERR_INVALID;
	if (engine->closing != ENGINE_OPEN)
		return ERR_CANCELED;
	if (find(engine, shard))
		return ERR_EXISTS;
	struct engine_install *install = install_new(engine, shard, INSTALL_STATE);
	if (!install)
		return ERR_NOMEM;
	install->options = *options;
	install->is_mine = true;
	*ret_install = install;
	return 0;
}

int install_write_block(struct engine_install *install, struct install_block *block)
{
	struct install_head *head = &install->head;
	int error = 0;
	if (!install->file) {
		error = fs_open(install->engine->options.fs, install->part, FS_WRITE | FS_CREATE,
		    &install->file);
		/* What an earlier one left. */
		if (!error)
			error = fs_truncate(install->file, 0);
	}
	if (error || block->pairs == 0)
		return error;
	head->hash = install_block_seal(block->data, block->bytes, block->pairs, head->hash);
	error = fs_write(
	    install->file, head->bytes, block->data, INSTALL_BLOCK_HEAD_BYTES + block->bytes);
	head->bytes += INSTALL_BLOCK_HEAD_BYTES + block->bytes;
	head->pairs += block->pairs;
	head->blocks++;
	return error;
}

static struct install_block *other_block(struct engine_install *install)
{
	return &install->blocks[1 - install->filling];
}

static void run_block(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	install->job_error = install_write_block(install, other_block(install));
	op->result = 0;
}

static void unlink_part(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	fs_close(install->file);
	install->file = NULL;
	/* What is left of it, the next opening removes. */
	int ignored = fs_unlink(install->engine->options.fs, install->part);
	(void)ignored;
	op->result = 0;
}

static void part_gone(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	if (engine_op_end(install->engine))
		install_free(install);
}

static void block_written(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	if (!engine_op_end(install->engine))
		return;
	struct install_block *block = other_block(install);
	install->writing = false;
	block->bytes = 0;
	block->pairs = 0;
	if (!install->error)
		install->error = install->job_error;
	/* Canceled meanwhile. */
	if (install->stage == INSTALL_RECEIVING && !install->is_mine) {
		install_job(install, unlink_part, part_gone);
		return;
	}
	if (install->room_wanted && install->stage == INSTALL_RECEIVING) {
		install->room_wanted = false;
		if (install->options.room)
			install->options.room(install->options.arg);
	}
}

static void start_block(struct engine_install *install)
{
	install->filling = 1 - install->filling;
	install->writing = true;
	install_job(install, run_block, block_written);
}

/* Room for so many bytes of pairs. */
static int block_room(struct install_block *block, uint64_t bytes)
{
	uint64_t wanted = INSTALL_BLOCK_HEAD_BYTES + block->bytes + bytes;
	/* What one large pair took is given back with the next. */
	bool is_large = block->pairs == 0 && block->capacity > 2 * INSTALL_BLOCK_BYTES;
	if (wanted <= block->capacity && !is_large)
		return 0;
	if (wanted < INSTALL_BLOCK_BYTES)
		wanted = INSTALL_BLOCK_BYTES;
	uint8_t *data = mem_realloc(block->data, wanted);
	if (!data)
		return ERR_NOMEM;
	block->data = data;
	block->capacity = (uint32_t)wanted;
	return 0;
}

static bool is_next(const struct engine_install *install, struct slice key, struct slice value)
{
	if (key.bytes == 0 || key.bytes > INSTALL_KEY_BYTES_MAX ||
	    value.bytes > BATCH_VALUE_BYTES_MAX || key.data[0] < KEY_KIND_FIRST_FREE)
		return false;
	return install->key_bytes == 0 ||
	       slice_compare(slice_of(install->key, install->key_bytes), key) < 0;
}

static int fail(struct engine_install *install, int error)
{
	install->error = error;
	return error;
}

int engine_install_put(struct engine_install *install, struct slice key, struct slice value)
{
	ASSERT(install->is_mine && install->stage == INSTALL_RECEIVING);
	if (install->error)
		return install->error;
	if (!is_next(install, key, value))
		return ERR_INVALID;
	/* Shard 0 is the directory: what makes room is decided there. */
	if (install->shard != 0 && !engine_writable(install->engine))
		return fail(install, ERR_NO_SPACE);
	struct install_block *block = &install->blocks[install->filling];
	uint64_t bytes =
	    varint_bytes(key.bytes) + key.bytes + varint_bytes(value.bytes) + value.bytes;
	if (block->pairs > 0 &&
	    block->bytes + bytes > INSTALL_BLOCK_BYTES - INSTALL_BLOCK_HEAD_BYTES) {
		if (install->writing) {
			install->room_wanted = true;
			return ERR_AGAIN;
		}
		start_block(install);
		block = &install->blocks[install->filling];
	}
	if (block_room(block, bytes))
		return fail(install, ERR_NOMEM);
	struct writer out = writer_of(block->data + INSTALL_BLOCK_HEAD_BYTES + block->bytes, bytes);
	writer_varint_slice(&out, key);
	writer_varint_slice(&out, value);
	ASSERT(!out.failed && writer_left(&out) == 0);
	block->bytes += (uint32_t)bytes;
	block->pairs++;
	memcpy(install->key, key.data, key.bytes);
	install->key_bytes = (uint32_t)key.bytes;
	return 0;
}

void engine_install_cancel(struct engine_install *install)
{
	if (!install)
		return;
	ASSERT(install->is_mine && install->stage == INSTALL_RECEIVING);
	install->is_mine = false;
	if (!install->writing)
		install_job(install, unlink_part, part_gone);
}

/* ---- What is done with it ---- */

static void fence(struct engine_install *install, void (*done)(void *arg, int result), void *arg)
{
	struct engine *engine = install->engine;
	install->is_mine = false;
	install->done = done;
	install->arg = arg;
	install->stage = INSTALL_WAITING;
	struct engine_shard *shard = engine_shard_need(engine, install->shard, NULL);
	if (shard)
		shard->fenced = true;
	else
		install->error = ERR_NOMEM;
	/* The next turn goes on with it. */
	engine_call_later(engine);
}

void engine_install_finish(struct engine_install *install, uint64_t index, uint64_t term,
    void (*done)(void *arg, int result), void *arg)
{
	ASSERT(install->is_mine && install->stage == INSTALL_RECEIVING);
	const struct engine *engine = install->engine;
	install->head.index = index;
	install->head.term = term;
	fence(install, done, arg);
	struct table_shard applied = engine_applied(engine, install->shard);
	bool is_above = index > applied.index;
	if (engine_shard_closed(engine, install->shard) && index == applied.index)
		is_above = term == applied.term && index > 0;
	if (!install->error && (!is_above || term < applied.term))
		install->error = ERR_INVALID;
}

int engine_remove_shard(
    struct engine *engine, uint32_t shard, void (*done)(void *arg, int result), void *arg)
{
	ASSERT(!engine->replaying);
	if (shard >= KEY_SHARDS_MAX)
		return ERR_INVALID;
	if (engine->closing != ENGINE_OPEN)
		return ERR_CANCELED;
	if (find(engine, shard))
		return ERR_EXISTS;
	struct engine_install *install = install_new(engine, shard, INSTALL_REMOVAL);
	if (!install)
		return ERR_NOMEM;
	fence(install, done, arg);
	return 0;
}

bool engine_shard_fenced(const struct engine *engine, uint32_t number)
{
	const struct engine_shard *shard = engine_shard_find(engine, number);
	return shard && shard->fenced;
}
