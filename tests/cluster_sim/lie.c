#include "tests/cluster_sim/lie.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "replication/group.h"
#include "storage/cursor.h"
#include "storage/data_dir.h"
#include "storage/keys.h"
#include "storage/log_format.h"
#include "storage/sim/store_sim.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	WORLDS_PERCENT = 40,
	LIES_MIN = 4,
	LIES_MAX = 6,
	/* Of the log; every other lie is of the store. Two in a row, and rot, come in damage.h,
	 * too. */
	LOG_KINDS = 6,
	DIRECTORY_PERCENT = 45,
	RECORDS_PERCENT = 30,
	PATH_BYTES = 128,
	FRAMES_MAX = 1 << 14,
	ENDS_PERCENT = 80,
	ENDS_MS_MAX = 50,
	STORED_KEY_BYTES_MAX = 1100,
	/* Of a directory. It is made anew until then, or never. */
	MENDED_MS = 15000,
	NEWEST_FRAMES = 8,
	NEWEST_PERCENT = 90,
	ALL_NEWEST_PERCENT = 60,
};

void lie_plan(struct world *world)
{
	struct lies *lies = &world->lies;
	if (!world_percent(world, WORLDS_PERCENT) || world->admin.replaces)
		return;
	lies->left = LIES_MIN + (unsigned)world_below(world, LIES_MAX - LIES_MIN + 1);
	lies->due = LIES_MIN;
	lies->kind = (unsigned)world->seed;
	lies->liar = (unsigned)world_below(world, world->node_count);
	random_init(&lies->dice, ~world->seed ^ lies->liar);
	world->figures.worlds_with_lies++;
}

bool lie_forbids_removals(const struct world *world)
{
	return world->figures.worlds_with_lies > 0;
}

/* ---- What is proven ---- */

struct frame {
	uint64_t segment;
	struct log_frame_header header;
};

struct search {
	struct node *node;
	char dir[PATH_BYTES];
	uint64_t store_id;
	struct frame *frames;
	size_t count;
};

static void path_of(const struct search *search, uint64_t segment, char path[PATH_BYTES])
{
	int bytes = snprintf(path, PATH_BYTES, "%s/%016" PRIx64 ".seg", search->dir, segment);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

/* What no power cut takes away; the caller frees it. */
static uint8_t *read_durable(const struct search *search, const char *path, size_t *ret_bytes)
{
	struct fs_file *file;
	uint64_t bytes = 0;
	int error = fs_open(sim_node_fs(search->node->machine), path, FS_READ, &file);
	ASSERT(!error);
	error = fs_size(file, &bytes);
	ASSERT(!error);
	fs_close(file);
	uint8_t *data = malloc(bytes + 1);
	ASSERT(data != NULL);
	error = sim_disk_read_durable(search->node->machine, path, 0, data, bytes, ret_bytes);
	if (error)
		*ret_bytes = 0;
	return data;
}

static int take_segment(void *arg, const char *name, bool is_dir)
{
	struct search *search = arg;
	char path[PATH_BYTES];
	uint64_t segment;
	size_t bytes;
	int end = 0;
	if (is_dir || sscanf(name, "%16" SCNx64 ".seg%n", &segment, &end) != 1 || end == 0)
		return 0;
	path_of(search, segment, path);
	uint8_t *data = read_durable(search, path, &bytes);
	for (uint64_t offset = 0; offset < bytes && search->count < FRAMES_MAX;) {
		struct frame *frame = &search->frames[search->count];
		frame->segment = segment;
		bool is_valid = log_frame_check(data + offset, bytes - offset, search->store_id,
		                    segment, offset, bytes, &frame->header) == LOG_VALID;
		search->count += is_valid;
		offset += is_valid ? frame->header.frame_bytes : LOG_ALIGNMENT;
	}
	free(data);
	return 0;
}

/* Frames that one of the newest life says to have been durable; they stay in order. */
static void keep_proven(struct search *search)
{
	const struct log_frame_header *newest = NULL;
	uint64_t proven = 0;
	size_t kept = 0;
	for (size_t i = 0; i < search->count; i++)
		if (!newest || search->frames[i].header.life > newest->life)
			newest = &search->frames[i].header;
	if (!newest)
		return;
	uint64_t life = newest->life, life_frame = newest->life_frame;
	for (size_t i = 0; i < search->count; i++) {
		const struct log_frame_header *header = &search->frames[i].header;
		if (header->life == life && header->watermark > proven)
			proven = header->watermark;
	}
	for (size_t i = 0; i < search->count; i++) {
		const struct log_frame_header *header = &search->frames[i].header;
		bool is_there = header->life == life || header->frame < life_frame;
		if (is_there && header->frame <= proven)
			search->frames[kept++] = search->frames[i];
	}
	search->count = kept;
}

/* ---- Lies ---- */

static void overwrite(const struct search *search, const struct frame *frame, const uint8_t *data)
{
	char path[PATH_BYTES];
	struct fs_file *file;
	path_of(search, frame->segment, path);
	int error = fs_open(sim_node_fs(search->node->machine), path, FS_WRITE, &file);
	if (!error)
		error = fs_write(file, frame->header.offset, data, frame->header.frame_bytes);
	if (!error)
		error = fs_sync(file);
	ASSERT(!error);
	fs_close(file);
}

static void lose(const struct search *search, const struct frame *frame)
{
	uint8_t *zeros = calloc(1, frame->header.frame_bytes);
	ASSERT(zeros != NULL);
	overwrite(search, frame, zeros);
	free(zeros);
}

static void misdirect(const struct search *search, const struct frame *frame, struct frame to)
{
	char path[PATH_BYTES];
	size_t bytes;
	path_of(search, frame->segment, path);
	uint8_t *data = read_durable(search, path, &bytes);
	if (to.header.frame_bytes > frame->header.frame_bytes)
		to.header.frame_bytes = frame->header.frame_bytes;
	overwrite(search, &to, data + frame->header.offset);
	free(data);
	lose(search, frame);
}

static void rot(const struct search *search, const struct frame *frame)
{
	struct world *world = search->node->world;
	char path[PATH_BYTES];
	path_of(search, frame->segment, path);
	sim_disk_rot(search->node->machine, path,
	    frame->header.offset + world_below(world, frame->header.used_bytes),
	    (uint8_t)(1u << world_below(world, 8)));
}

/* One of the newest more often: most of the others the checkpoint has. */
static const struct frame *choose(struct world *world, const struct search *search)
{
	uint64_t from = search->count > NEWEST_FRAMES && world_percent(world, NEWEST_PERCENT)
	                    ? search->count - NEWEST_FRAMES
	                    : 0;
	return &search->frames[from + world_below(world, search->count - from)];
}

static bool lie_about(struct world *world, const struct search *search)
{
	if (search->count < 2)
		return false;
	const struct frame *frame = choose(world, search), *other = choose(world, search);
	bool all = world_percent(world, ALL_NEWEST_PERCENT);
	switch (world->lies.kind / 2 % LOG_KINDS) {
	case 0:
		/* Of two in a row nobody knows what they held: everything is suspect. */
		if (frame + 1 == search->frames + search->count)
			return false;
		lose(search, frame);
		lose(search, frame + 1);
		world->figures.lies_row++;
		return true;
	case 1:
	case 4:
		lose(search, frame);
		world->figures.lies_lost++;
		return true;
	case 2:
	case 5:
		if (other == frame)
			return false;
		misdirect(search, frame, *other);
		world->figures.lies_misdirected++;
		return true;
	default:
		/* One, or a whole stretch of the medium: one in each of the newest. */
		for (size_t i = search->count > NEWEST_FRAMES ? search->count - NEWEST_FRAMES : 0;
		     all && i < search->count; i++)
			rot(search, &search->frames[i]);
		if (!all)
			rot(search, frame);
		world->figures.lies_rot++;
		return true;
	}
}

static void ends(void *arg)
{
	struct node *node = arg;
	if (!node->world->calm)
		node_crash(node, world_percent(node->world, 50) ? SIM_KILL : SIM_POWER_CUT);
}

static bool lie_of_log(struct world *world, struct node *liar)
{
	struct search search = {.node = liar};
	char store[DATA_DIR_PATH_BYTES];
	uint32_t number = (uint32_t)world_below(world, liar->store_count);
	data_dir_store_path(liar->server.dir, number, store, sizeof(store));
	snprintf(search.dir, sizeof(search.dir), "%s/log", store);
	search.store_id = data_dir_store_id(liar->server.dir, number);
	search.frames = calloc(FRAMES_MAX, sizeof(search.frames[0]));
	ASSERT(search.frames != NULL);
	int error = fs_list(sim_node_fs(liar->machine), search.dir, take_segment, &search);
	ASSERT(!error);
	keep_proven(&search);
	bool lied = lie_about(world, &search);
	free(search.frames);
	return lied;
}

bool lie_of_majority(struct world *world, struct node *node)
{
	enum { TRIES = 8, BOTH_PERCENT = 60, ROW = 0, ROT = 3 };
	unsigned kind = world->lies.kind;
	unsigned wanted = world_percent(world, BOTH_PERCENT) ? 2 : 1, lied = 0;
	for (unsigned i = 0; i < TRIES && lied < wanted; i++) {
		world->lies.kind = 2 * (lied == 0 ? ROT : ROW);
		lied += lie_of_log(world, node);
	}
	world->lies.kind = kind;
	node->disk_lies |= lied > 0;
	return lied > 0;
}

/* ---- What a store holds ---- */

struct walk {
	struct node *node;
	uint32_t shard;
	int error; /* why it ended */
	/* One of the keys, as the store has it; 0 bytes: there was none. */
	uint64_t seen;
	uint8_t key[KEY_SHARD_BYTES + STORED_KEY_BYTES_MAX];
	size_t key_bytes;
};

static void walk_inside(void *arg)
{
	static const uint8_t first[] = {0};
	struct walk *walk = arg;
	struct random *dice = &walk->node->world->lies.dice;
	struct engine *engine = group_store_engine(node_store(walk->node, walk->shard));
	struct cursor *cursor;
	struct slice key, value;
	walk->error =
	    cursor_open(engine, walk->shard, slice_of(first, 1), slice_of(NULL, 0), &cursor);
	if (walk->error)
		return;
	key_shard_put(walk->key, walk->shard);
	while (!(walk->error = cursor_next(cursor, &key, &value))) {
		if (key.bytes > STORED_KEY_BYTES_MAX || random_below(dice, ++walk->seen) > 0)
			continue;
		memcpy(walk->key + KEY_SHARD_BYTES, key.data, key.bytes);
		walk->key_bytes = KEY_SHARD_BYTES + key.bytes;
	}
	cursor_close(cursor);
}

/* What a store says of itself, without which its node does not start: the operator gives it up. Not
 * where two of three are to be damaged, which wants all of them there. */
static bool lie_of_records(struct world *world, struct node *liar)
{
	char store[DATA_DIR_PATH_BYTES], dir[PATH_BYTES];
	uint8_t key[KEY_OWN_BYTES];
	uint32_t number = (uint32_t)random_below(&world->lies.dice, liar->store_count);
	key_own_put(key, KEY_KIND_ANCHOR);
	data_dir_store_path(liar->server.dir, number, store, sizeof(store));
	snprintf(dir, sizeof(dir), "%s/db", store);
	if (!store_sim_damage(sim_node_fs(liar->machine), dir, slice_of(key, sizeof(key))))
		return false;
	world->figures.lies_records++;
	/* The next checkpoint would write it anew. */
	sim_call_at(world->sim, sim_now_ns(world->sim), ends, liar);
	return true;
}

static bool lie_of_store(struct world *world, struct node *liar)
{
	struct lies *lies = &world->lies;
	bool may_end = !world->damage.is_due && world->damage.step == DAMAGE_NONE;
	if (may_end && random_chance(&lies->dice, RECORDS_PERCENT, 100))
		return lie_of_records(world, liar);
	/* Whose node has to go: the others' are made anew where they are. */
	bool is_directory = random_chance(&lies->dice, DIRECTORY_PERCENT, 100);
	uint32_t shard = is_directory ? 0 : 1 + (uint32_t)random_below(&lies->dice, MODEL_SHARDS);
	struct walk walk = {.node = liar, .shard = shard};
	char store[DATA_DIR_PATH_BYTES], dir[PATH_BYTES];
	if (!sim_node_run(liar->machine, walk_inside, &walk) || walk.key_bytes == 0)
		return false;
	data_dir_store_path(
	    liar->server.dir, shard_store(&liar->server.map, walk.shard), store, sizeof(store));
	snprintf(dir, sizeof(dir), "%s/db", store);
	if (!store_sim_damage(sim_node_fs(liar->machine), dir, slice_of(walk.key, walk.key_bytes)))
		return false;
	lies->store_lies = true;
	world->figures.lies_stored++;
	return true;
}

/* ---- The course ---- */

void lie(struct world *world)
{
	struct lies *lies = &world->lies;
	struct node *liar = &world->nodes[lies->liar];
	if (lies->left == 0 || !rest_is_placed(world))
		return;
	bool is_stored = lies->kind % 2 == 1;
	bool lied = is_stored ? lie_of_store(world, liar) : lie_of_log(world, liar);
	if (!lied)
		return;
	lies->left--;
	lies->due -= lies->due > 0;
	lies->kind++;
	liar->disk_lies = true;
	if (world_percent(world, ENDS_PERCENT))
		sim_call_at(world->sim,
		    sim_now_ns(world->sim) + world_below(world, ENDS_MS_MAX) * NS_PER_MS, ends,
		    liar);
}

/* Whoever reads damage closes its shard. False: not all could be read now. */
static bool read_store(struct node *liar)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		struct walk walk = {.node = liar, .shard = shard};
		if (!sim_node_run(liar->machine, walk_inside, &walk) || walk.error == ERR_AGAIN)
			return false;
		bool is_closed =
		    engine_shard_closed(group_store_engine(node_store(liar, shard)), shard);
		EXPECT(walk.error == ERR_NOT_FOUND || is_closed, "closed",
		    "group %u: node %u goes on after %s", shard, liar->number,
		    error_name(walk.error));
	}
	return true;
}

/* Other shards are made anew by themselves, and the end of the world waits for that. */
static bool has_closed_directory(const struct node *liar)
{
	return engine_shard_closed(group_store_engine(node_store(liar, 0)), 0);
}

/* What main does behind server_run, where the process wants to begin anew. */
static void begin_again(struct node *node)
{
	if (node->stage == NODE_DOWN || node->stays_off || !atomic_load(&node->server.again))
		return;
	if (node->stage == NODE_SERVES)
		node->stage = NODE_STOPS;
	if (!node_has_ended(node))
		return;
	node->world->figures.begun_again++;
	node_reap(node);
	node_boot(node);
}

void lie_gives_up(struct node *node)
{
	ASSERT(node_id(node) != 0);
	node->is_lost = node->stays_off = true;
	node->world->figures.stores_given_up++;
}

void lie_look(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		begin_again(&world->nodes[i]);
	struct lies *lies = &world->lies;
	struct node *liar = &world->nodes[lies->liar];
	uint64_t now_ns = sim_now_ns(world->sim);
	if (!liar->disk_lies)
		lies->store_lies = false;
	if (!lies->store_lies || liar->is_lost)
		return;
	if (!node_serves(liar))
		lies->store_was_read = false;
	else if (world->ends && !lies->store_was_read)
		lies->store_was_read = read_store(liar);
	/* A directory that is damaged does not always come as far as serving. */
	if (node_serves(liar) && !has_closed_directory(liar)) {
		lies->closed_ns = 0;
		return;
	}
	/* Where two of three are damaged, their operator's word is waited for (damage.h, loss.h),
	 * and that wants all of them there. */
	bool is_waited_for = liar->stays_off || loss_waits(world);
	if (is_waited_for || world->damage.step == DAMAGE_SECOND ||
	    world->damage.step == DAMAGE_DONE) {
		lies->closed_ns = 0;
		return;
	}
	if (lies->closed_ns == 0)
		lies->closed_ns = now_ns;
	if (now_ns - lies->closed_ns < MENDED_MS * NS_PER_MS)
		return;
	/* Whose start ended before it had read which node it is: the next one says it, and who is
	 * taken out is named by that. */
	if (node_id(liar) == 0)
		return;
	/* It is stopped first: who is reached is not removed by force. */
	lies->closed_ns = 0;
	lie_gives_up(liar);
	node_crash(liar, SIM_KILL);
}

bool lie_is_noticed(const struct world *world)
{
	return !world->lies.store_lies || world->lies.store_was_read;
}
