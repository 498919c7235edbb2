/* Removals whose range cannot be read, inside engine_open: the store is made anew without all that
 * it has of those shards (store_shed), and then they go on as any other that a crash cut off.
 *
 * Where that is not possible the shards are closed, and their intents stay for the next opening.
 * What else cannot be read may be what hinders it, and nobody may have read that yet: so each shard
 * is read, and one with damage is marked as closed. Whoever decides about it (its group's other
 * replicas) learns of it so, and where it is to go, too, the next opening takes away both.
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
	struct shard_list list; /* ascending */
};

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
	size_t bytes = part == SHED_RANGE ? KEY_FIRST_BYTES : KEY_LISTED_BYTES;
	if (part == SHED_RANGE) {
		key_first_put(keys->first, shard);
		key_first_put(keys->end, shard + 1);
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
	const struct shard_list *list = &shed->list;
	size_t count = SHED_PARTS * list->count;
	struct shed_key *keys = mem_alloc(count * sizeof(*keys));
	struct store_range *ranges = mem_alloc(count * sizeof(*ranges));
	int error = keys && ranges ? 0 : ERR_NOMEM;
	for (size_t i = 0; i < count && !error; i++)
		put_range((enum shed_part)(i / list->count), list->shards[i % list->count],
		    &keys[i], &ranges[i]);
	if (!error) {
		struct store_options options = engine_store_options(shed->engine);
		store_close(shed->engine->store);
		shed->engine->store = NULL;
		error = store_shed(&options, ranges, count, why, why_bytes);
	}
	mem_free(ranges);
	mem_free(keys);
	return error;
}

/* ---- All of it ---- */

static void not_shed(const struct shed *shed, int error, const char *why)
{
	LOG_LINE(LEVEL_ERROR, "ranges_not_dropped", FIELD_TEXT("store", shed->engine->dir),
	    FIELD_U64("shards", shed->list.count), FIELD_ERROR("error", error),
	    FIELD_TEXT("why", why));
	/* Where it does not succeed, the next opening tries it again. */
	if (error == ERR_CORRUPT || error == ERR_IO)
		(void)engine_mark_damaged(shed->engine, &shed->list);
}

int install_shed(struct engine *engine, char *why, size_t why_bytes)
{
	struct shed shed = {.engine = engine};
	char words[STORE_WHY_BYTES] = "";
	int error = list_unreadable(&shed);
	int failed = 0;
	if (!error && shed.list.count > 0) {
		failed = shed_ranges(&shed, words, sizeof(words));
		if (!engine->store)
			error = engine_store_open(engine, why, why_bytes);
		if (!error && failed)
			not_shed(&shed, failed, words);
		else if (!error)
			LOG_LINE(LEVEL_WARNING, "ranges_dropped", FIELD_TEXT("store", engine->dir),
			    FIELD_U64("shards", shed.list.count));
	}
	shard_list_done(&shed.list);
	return error ? error : failed;
}
