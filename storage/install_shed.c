/* Removals whose range cannot be read, inside engine_open: the store is made anew without all that
 * it has of those shards (store_shed), and then they go on as any other that a crash cut off.
 *
 * Where that is not possible the shards are closed, and their intents stay for the next opening.
 * What else cannot be read may be what hinders it, and nobody may have read that yet: so each shard
 * is read, and one with damage is marked as closed. Whoever decides about it (its group's other
 * replicas) learns of it so, and where it is to go, too, the next opening takes away both.
 */
#include "base/assert.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/install_parts.h"

#include <stdlib.h>

/* Of a shard: its range, and what the store says of it. */
enum shed_part { SHED_RANGE, SHED_APPLIED, SHED_DAMAGED, SHED_PARTS };

struct shed_key {
	uint8_t first[KEY_LISTED_BYTES], end[KEY_LISTED_BYTES];
};

struct shed {
	struct engine *engine;
	uint32_t *shards; /* ascending */
	size_t count, capacity;
};

static int add_shard(struct shed *shed, uint32_t shard)
{
	if (shed->count == shed->capacity) {
		size_t capacity = shed->capacity ? 2 * shed->capacity : 16;
		uint32_t *shards = mem_realloc(shed->shards, capacity * sizeof(*shards));
		if (!shards)
			return ERR_NOMEM;
		shed->shards = shards;
		shed->capacity = capacity;
	}
	shed->shards[shed->count++] = shard;
	return 0;
}

static int compare_shards(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

static int list_unreadable(struct shed *shed)
{
	int error = 0;
	LIST_FOR_EACH(node, &shed->engine->installs)
	{
		const struct engine_install *install =
		    CONTAINER_OF(node, struct engine_install, node);
		if (install->unreadable && !error)
			error = add_shard(shed, install->shard);
	}
	if (shed->count > 0)
		qsort(shed->shards, shed->count, sizeof(*shed->shards), compare_shards);
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
	size_t count = SHED_PARTS * shed->count;
	struct shed_key *keys = mem_alloc(count * sizeof(*keys));
	struct store_range *ranges = mem_alloc(count * sizeof(*ranges));
	int error = keys && ranges ? 0 : ERR_NOMEM;
	for (size_t i = 0; i < count && !error; i++)
		put_range((enum shed_part)(i / shed->count), shed->shards[i % shed->count],
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

/* ---- Who else is damaged ---- */

static bool is_shed(const struct shed *shed, uint32_t shard)
{
	return shed->count > 0 && bsearch(&shard, shed->shards, shed->count, sizeof(*shed->shards),
	                              compare_shards) != NULL;
}

/* All of first to end; ERR_NOT_FOUND is its end. `each` may be NULL. */
static int walk(struct engine *engine, struct slice first, struct slice end,
    int (*each)(struct shed *found, struct slice key), struct shed *found)
{
	struct store_cursor *cursor;
	struct slice key, value;
	int error = store_cursor_open(engine->store, NULL, first, end, &cursor);
	if (error)
		return error;
	while ((error = store_cursor_next(cursor, &key, &value)) == 0)
		if (each && (error = each(found, key)))
			break;
	store_cursor_close(cursor);
	return error;
}

static int note_shard(struct shed *found, struct slice key)
{
	uint32_t shard;
	int error = key_listed_get(key, KEY_KIND_APPLIED, &shard);
	return error ? error : add_shard(found, shard);
}

static int list_all(struct engine *engine, struct shed *all)
{
	uint8_t first[KEY_OWN_BYTES], end[KEY_OWN_BYTES];
	key_own_put(first, KEY_KIND_APPLIED);
	key_own_put(end, (enum key_kind)(KEY_KIND_APPLIED + 1));
	int error = walk(
	    engine, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), note_shard, all);
	return error == ERR_NOT_FOUND ? 0 : error;
}

/* Those of them that cannot all be read are left in it. */
static void keep_damaged(struct engine *engine, const struct shed *shed, struct shed *all)
{
	size_t kept = 0;
	for (size_t i = 0; i < all->count; i++) {
		uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
		uint32_t shard = all->shards[i];
		if (is_shed(shed, shard))
			continue;
		key_shard_put(first, shard);
		key_shard_put(end, shard + 1);
		int error = walk(
		    engine, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), NULL, NULL);
		if (error == ERR_CORRUPT || error == ERR_IO)
			all->shards[kept++] = shard;
	}
	all->count = kept;
}

struct mark_source {
	struct store_source source; /* first: what store_write knows */
	const struct shed *damaged;
	size_t next;
	uint8_t key[KEY_LISTED_BYTES];
};

static bool mark_next(struct store_source *base, struct store_change *ret_change)
{
	struct mark_source *source = (struct mark_source *)(void *)base;
	if (source->next == source->damaged->count)
		return false;
	key_listed_put(source->key, KEY_KIND_DAMAGED, source->damaged->shards[source->next++]);
	*ret_change = (struct store_change){.key = slice_of(source->key, KEY_LISTED_BYTES)};
	return true;
}

/* Where it does not succeed, the next opening tries it again. */
static void mark_others(const struct shed *shed)
{
	struct engine *engine = shed->engine;
	struct shed all = {.engine = engine};
	struct mark_source source = {.source = {.next = mark_next}, .damaged = &all};
	int error = list_all(engine, &all);
	if (!error) {
		keep_damaged(engine, shed, &all);
		error = all.count > 0 ? store_write(engine->store, &source.source) : 0;
	}
	if (error || all.count > 0)
		LOG_LINE(LEVEL_WARNING, "shards_marked_damaged", FIELD_TEXT("store", engine->dir),
		    FIELD_U64("shards", all.count), FIELD_ERROR("error", error));
	mem_free(all.shards);
}

/* ---- All of it ---- */

static void not_shed(const struct shed *shed, int error, const char *why)
{
	LOG_LINE(LEVEL_ERROR, "ranges_not_dropped", FIELD_TEXT("store", shed->engine->dir),
	    FIELD_U64("shards", shed->count), FIELD_ERROR("error", error), FIELD_TEXT("why", why));
	if (error == ERR_CORRUPT || error == ERR_IO)
		mark_others(shed);
}

int install_shed(struct engine *engine, char *why, size_t why_bytes)
{
	struct shed shed = {.engine = engine};
	char words[STORE_WHY_BYTES] = "";
	int error = list_unreadable(&shed);
	int failed = 0;
	if (!error && shed.count > 0) {
		failed = shed_ranges(&shed, words, sizeof(words));
		if (!engine->store)
			error = engine_store_open(engine, why, why_bytes);
		if (!error && failed)
			not_shed(&shed, failed, words);
		else if (!error)
			LOG_LINE(LEVEL_WARNING, "ranges_dropped", FIELD_TEXT("store", engine->dir),
			    FIELD_U64("shards", shed.count));
	}
	mem_free(shed.shards);
	return error ? error : failed;
}
