/* Removals whose range cannot be read, inside engine_open: the store is made anew without all that
 * it has of those shards (store_shed), and then they go on as any other that a crash cut off.
 *
 * Where that is not possible the shards are closed, and their intents stay for the next opening.
 * What else cannot be read may be what hinders it, and nobody may have read that yet: so each shard
 * is read, and one with damage is marked as closed. Whoever decides about it (its group's other
 * replicas) learns of it so, and where it is to go, too, the next opening takes away both.
 *
 * But where the directory's range is to go the others cannot: their groups let go of them while the
 * node serves, which it does not without a directory. So that one goes at once, and of those that
 * are marked, durably before that, what can be read is kept. They stay closed, whether anything of
 * them is lost or not, until they are taken away or replaced.
 */
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/install_parts.h"

/* Of a shard: its range, and what the store says of it. */
enum shed_part { SHED_RANGE, SHED_APPLIED, SHED_DAMAGED, SHED_PARTS };

struct shed_key {
	uint8_t first[KEY_LISTED_BYTES], end[KEY_LISTED_BYTES];
};

struct shed {
	struct engine *engine;
	struct shard_list list;   /* ascending */
	struct shard_list marked; /* the same; what can be read of them is kept */
};

/* Its shard is 0. */
static bool is_directory_gone(const struct shed *shed)
{
	return shed->list.count > 0 && shed->list.shards[0] == 0;
}

static int list_unreadable(struct shed *shed)
{
	int error = 0;
	LIST_FOR_EACH(node, &shed->engine->installs)
	{
		const struct engine_install *install =
		    CONTAINER_OF(node, struct engine_install, node);
		if (install->unreadable && !error)
			error = shard_list_add(&shed->list, install->shard);
	}
	shard_list_sort(&shed->list);
	return error;
}

/* ---- Without them ---- */

static void put_range(
    enum shed_part part, uint32_t shard, struct shed_key *keys, struct store_range *ret_range)
{
	size_t bytes = part == SHED_RANGE ? KEY_SHARD_BYTES : KEY_LISTED_BYTES;
	if (part == SHED_RANGE) {
		key_shard_put(keys->first, shard);
		key_shard_put(keys->end, shard + 1);
	} else {
		enum key_kind kind = part == SHED_APPLIED ? KEY_KIND_APPLIED : KEY_KIND_DAMAGED;
		key_listed_put(keys->first, kind, shard);
		key_listed_put(keys->end, kind, shard + 1);
	}
	ret_range->first = slice_of(keys->first, bytes);
	ret_range->end = slice_of(keys->end, bytes);
}

static int shed_ranges(const struct shed *shed, char *why, size_t why_bytes)
{
	const struct shard_list *list = &shed->list, *marked = &shed->marked;
	size_t count = SHED_PARTS * list->count;
	struct shed_key *keys = mem_alloc((count + marked->count) * sizeof(*keys));
	struct store_range *ranges = mem_alloc((count + marked->count) * sizeof(*ranges));
	int error = keys && ranges ? 0 : ERR_NOMEM;
	for (size_t i = 0; i < count && !error; i++)
		put_range((enum shed_part)(i / list->count), list->shards[i % list->count],
		    &keys[i], &ranges[i]);
	for (size_t i = count; i < count + marked->count && !error; i++)
		put_range(SHED_RANGE, marked->shards[i - count], &keys[i], &ranges[i]);
	if (!error) {
		struct store_options options = engine_store_options(shed->engine);
		store_close(shed->engine->store);
		shed->engine->store = NULL;
		error = store_shed(&options,
		    &(struct store_shed_ranges){.gone = ranges,
		        .gone_count = count,
		        .damaged = ranges + count,
		        .damaged_count = marked->count},
		    why, why_bytes);
	}
	mem_free(ranges);
	mem_free(keys);
	return error;
}

/* ---- Beside them ---- */

/* Those that are to go are none of them. */
static int list_marked(struct shed *shed)
{
	struct shard_list *marked = &shed->marked;
	size_t kept = 0;
	marked->count = 0;
	int error = engine_list_marked(shed->engine, marked);
	for (size_t i = 0; i < marked->count; i++)
		if (!shard_list_has(&shed->list, marked->shards[i]))
			marked->shards[kept++] = marked->shards[i];
	marked->count = error ? 0 : kept;
	return error;
}

/* Something else cannot be read. Whether it may go now. */
static bool mark_others(struct shed *shed)
{
	size_t before = shed->marked.count;
	/* Where it does not succeed, the next opening tries it again. */
	(void)engine_mark_damaged(shed->engine, &shed->list, false);
	return is_directory_gone(shed) && list_marked(shed) == 0 && shed->marked.count > before;
}

/* ---- All of it ---- */

struct tries {
	int failed; /* the last one */
	char words[STORE_WHY_BYTES];
};

/* An error: the store cannot be opened again. */
static int try_once(struct shed *shed, struct tries *tries, char *why, size_t why_bytes)
{
	tries->failed = shed_ranges(shed, tries->words, sizeof(tries->words));
	return shed->engine->store ? 0 : engine_store_open(shed->engine, why, why_bytes);
}

static int try_all(struct shed *shed, struct tries *tries, char *why, size_t why_bytes)
{
	/* What hinders it is met again where the lists are read. */
	if (is_directory_gone(shed))
		(void)list_marked(shed);
	int error = try_once(shed, tries, why, why_bytes);
	bool is_damage = tries->failed == ERR_CORRUPT || tries->failed == ERR_IO;
	if (!error && is_damage && mark_others(shed))
		error = try_once(shed, tries, why, why_bytes);
	return error;
}

static void say(const struct shed *shed, const struct tries *tries)
{
	if (tries->failed)
		LOG_LINE(LEVEL_ERROR, "ranges_not_dropped", FIELD_TEXT("store", shed->engine->dir),
		    FIELD_U64("shards", shed->list.count), FIELD_ERROR("error", tries->failed),
		    FIELD_TEXT("why", tries->words));
	else
		LOG_LINE(LEVEL_WARNING, "ranges_dropped", FIELD_TEXT("store", shed->engine->dir),
		    FIELD_U64("shards", shed->list.count),
		    FIELD_U64("kept_in_part", shed->marked.count));
}

int install_shed(struct engine *engine, char *why, size_t why_bytes)
{
	struct shed shed = {.engine = engine};
	struct tries tries = {.failed = 0};
	int error = list_unreadable(&shed);
	if (!error && shed.list.count > 0) {
		error = try_all(&shed, &tries, why, why_bytes);
		if (!error)
			say(&shed, &tries);
	}
	shard_list_done(&shed.marked);
	shard_list_done(&shed.list);
	return error ? error : tries.failed;
}
