/* What of a store cannot be read, and where nobody has read it yet: inside engine_open.
 *
 * A compaction that met damage says in which file, and not in whose keys; none is begun from then
 * on (store.h). So all of it is read at the next opening: shards with damage are marked as closed,
 * as if somebody had read them. Where other nodes have them, too, their groups decide about them;
 * a node alone serves the rest, without compactions, until its operator has the store mended. Where
 * nothing could be marked (only the directory has damage, or no shard) the finding is kept beside
 * the database (data_scan.h), so that the next opening does not read all of it again. What
 * is found in no shard is in no shard's range: what is left of one that was taken away, under its
 * deletions. The store is made anew without all that (store_shed).
 */
#include "base/assert.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/data_scan.h"
#include "storage/engine_parts.h"

#include <stdlib.h>

/* ---- Rows of shards ---- */

int shard_list_add(struct shard_list *list, uint32_t shard)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 16;
		uint32_t *shards = mem_realloc(list->shards, capacity * sizeof(*shards));
		if (!shards)
			return ERR_NOMEM;
		list->shards = shards;
		list->capacity = capacity;
	}
	list->shards[list->count++] = shard;
	return 0;
}

void shard_list_done(struct shard_list *list)
{
	mem_free(list->shards);
	*list = (struct shard_list){.count = 0};
}

static int compare_shards(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

void shard_list_sort(struct shard_list *list)
{
	if (list->count > 0)
		qsort(list->shards, list->count, sizeof(*list->shards), compare_shards);
}

bool shard_list_has(const struct shard_list *list, uint32_t shard)
{
	return list->count > 0 && bsearch(&shard, list->shards, list->count, sizeof(*list->shards),
	                              compare_shards) != NULL;
}

/* ---- Reading ---- */

/* All of first to end; ERR_NOT_FOUND is its end. `each` may be NULL. */
static int walk(struct engine *engine, struct slice first, struct slice end,
    int (*each)(struct shard_list *found, struct slice key), struct shard_list *found)
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

static int note_shard(struct shard_list *found, struct slice key)
{
	uint32_t shard;
	int error = key_listed_get(key, KEY_KIND_APPLIED, &shard);
	return error ? error : shard_list_add(found, shard);
}

static int note_mark(struct shard_list *found, struct slice key)
{
	uint32_t shard;
	int error = key_listed_get(key, KEY_KIND_DAMAGED, &shard);
	return error ? error : shard_list_add(found, shard);
}

/* Those of one kind of the store's own keys. */
static int list_all(struct engine *engine, enum key_kind kind, struct shard_list *all)
{
	uint8_t first[KEY_OWN_BYTES], end[KEY_OWN_BYTES];
	key_own_put(first, kind);
	key_own_put(end, (enum key_kind)(kind + 1));
	int error = walk(engine, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)),
	    kind == KEY_KIND_APPLIED ? note_shard : note_mark, all);
	return error == ERR_NOT_FOUND ? 0 : error;
}

int engine_list_marked(struct engine *engine, struct shard_list *marked)
{
	return list_all(engine, KEY_KIND_DAMAGED, marked);
}

/* ERR_NOT_FOUND: all of it can be read. */
static int read_all_of(struct engine *engine, uint32_t shard)
{
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
	key_shard_put(first, shard);
	key_shard_put(end, shard + 1);
	return walk(engine, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), NULL, NULL);
}

static bool is_damage(int error)
{
	return error == ERR_CORRUPT || error == ERR_IO;
}

/* Those of them that cannot all be read are left in it. An error: of one that is not known. */
static int keep_damaged(
    struct engine *engine, const struct shard_list *except, struct shard_list *all)
{
	size_t kept = 0;
	int failed = 0;
	for (size_t i = 0; i < all->count; i++) {
		uint32_t shard = all->shards[i];
		if (shard_list_has(except, shard))
			continue;
		int error = read_all_of(engine, shard);
		if (is_damage(error))
			all->shards[kept++] = shard;
		else if (error != ERR_NOT_FOUND)
			failed = error;
	}
	all->count = kept;
	return failed;
}

/* ---- Marking ---- */

struct mark_source {
	struct store_source source; /* first: what store_write knows */
	const struct shard_list *damaged;
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

static void say_directory(const struct engine *engine)
{
	LOG_LINE(LEVEL_ERROR, "directory_unreadable_in_part", FIELD_TEXT("store", engine->dir),
	    FIELD_TEXT("why", "it goes on until that part is needed"));
}

enum engine_found engine_mark_damaged(
    struct engine *engine, const struct shard_list *except, bool spares_directory)
{
	struct shard_list all = {.count = 0};
	struct mark_source source = {.source = {.next = mark_next}, .damaged = &all};
	size_t spared = 0;
	int failed = 0;
	int error = list_all(engine, KEY_KIND_APPLIED, &all);
	if (!error) {
		failed = keep_damaged(engine, except, &all);
		if (spares_directory && all.count > 0 && all.shards[0] == 0)
			source.next = spared = 1;
		error = all.count > spared ? store_write(engine->store, &source.source) : 0;
	}
	error = error ? error : failed;
	size_t marked = all.count - spared;
	if (spared)
		say_directory(engine);
	if (error || marked > 0)
		LOG_LINE(LEVEL_WARNING, "shards_marked_damaged", FIELD_TEXT("store", engine->dir),
		    FIELD_U64("shards", marked), FIELD_ERROR("error", error));
	shard_list_done(&all);
	if (error)
		return ENGINE_FOUND_UNKNOWN;
	if (marked > 0)
		return ENGINE_FOUND_SHARDS;
	return spared ? ENGINE_FOUND_DIRECTORY : ENGINE_FOUND_NOTHING;
}

/* ---- What a compaction met ---- */

struct gap_keys {
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
};

/* Between the shards, and before and behind them. Returns how many there are. */
static size_t put_gaps(
    const struct shard_list *all, struct gap_keys *keys, struct store_range *ranges)
{
	size_t count = 0;
	uint32_t from = 0;
	for (size_t i = 0; i <= all->count; i++) {
		uint32_t to = i < all->count ? all->shards[i] : KEY_STORE_SHARD;
		ASSERT(from <= to);
		if (from < to) {
			key_shard_put(keys[count].first, from);
			key_shard_put(keys[count].end, to);
			ranges[count].first = slice_of(keys[count].first, KEY_SHARD_BYTES);
			ranges[count].end = slice_of(keys[count].end, KEY_SHARD_BYTES);
			count++;
		}
		from = to + 1;
	}
	return count;
}

/* Returns what hindered it. */
static int shed_gaps(struct engine *engine, char *why, size_t why_bytes)
{
	struct shard_list all = {.count = 0};
	int error = list_all(engine, KEY_KIND_APPLIED, &all);
	struct gap_keys *keys = mem_alloc((all.count + 1) * sizeof(*keys));
	struct store_range *ranges = mem_alloc((all.count + 1) * sizeof(*ranges));
	if (!error && (!keys || !ranges))
		error = ERR_NOMEM;
	if (!error) {
		struct store_options options = engine_store_options(engine);
		size_t count = put_gaps(&all, keys, ranges);
		store_close(engine->store);
		engine->store = NULL;
		error = store_shed(&options,
		    &(struct store_shed_ranges){.gone = ranges, .gone_count = count}, why,
		    why_bytes);
	}
	mem_free(ranges);
	mem_free(keys);
	shard_list_done(&all);
	return error;
}

/* ---- What is known of it ---- */

/* What the last reading of all of it found, where that is kept and still holds. */
static enum engine_found recall(struct engine *engine)
{
	struct data_scan scan;
	uint64_t identity = store_identity(engine->store);
	if (identity == 0 || data_scan_read(engine->options.fs, engine->store_dir, &scan) != 0 ||
	    scan.store != engine->options.store_id || scan.identity != identity)
		return ENGINE_FOUND_UNKNOWN;
	if (scan.found == DATA_SCAN_NOTHING)
		return ENGINE_FOUND_NOTHING;
	/* Where others have it, it is marked as any other, which takes another reading. So does
	 * what may have been all that was damaged, and no longer is. */
	return engine->options.replicated || !is_damage(read_all_of(engine, 0))
	           ? ENGINE_FOUND_UNKNOWN
	           : ENGINE_FOUND_DIRECTORY;
}

/* Where it cannot be kept, or be forgotten, that costs another reading. */
static void keep_finding(struct engine *engine, enum engine_found found)
{
	struct data_scan scan = {.store = engine->options.store_id,
	    .identity = store_identity(engine->store),
	    .found = found == ENGINE_FOUND_NOTHING ? DATA_SCAN_NOTHING : DATA_SCAN_DIRECTORY};
	if (scan.identity == 0)
		return;
	int error = data_scan_write(engine->options.fs, engine->store_dir, &scan);
	LOG_LINE(error ? LEVEL_WARNING : LEVEL_INFO, "finding_kept",
	    FIELD_TEXT("store", engine->dir), FIELD_ERROR("error", error));
}

static void forget_finding(const struct engine *engine)
{
	int error = data_scan_end(engine->options.fs, engine->store_dir);
	if (error)
		LOG_LINE(LEVEL_WARNING, "finding_not_forgotten", FIELD_TEXT("store", engine->dir),
		    FIELD_ERROR("error", error));
}

/* What no shard has goes; `ret_failed` is what hindered it. An error: the store is not open. */
static int heal_gaps(struct engine *engine, int *ret_failed, char *why, size_t why_bytes)
{
	char words[STORE_WHY_BYTES] = "";
	int failed = shed_gaps(engine, words, sizeof(words));
	int error = engine->store ? 0 : engine_store_open(engine, why, why_bytes);
	if (error)
		return error;
	if (failed)
		LOG_LINE(LEVEL_ERROR, "ranges_not_dropped", FIELD_TEXT("store", engine->dir),
		    FIELD_U64("shards", 0), FIELD_ERROR("error", failed), FIELD_TEXT("why", words));
	else
		LOG_LINE(LEVEL_WARNING, "ranges_dropped", FIELD_TEXT("store", engine->dir),
		    FIELD_U64("shards", 0));
	*ret_failed = failed;
	return 0;
}

/* No node serves anything without a directory, of which it reads a part only; one alone gets no
 * other. */
static enum engine_found look(struct engine *engine)
{
	static const struct shard_list none;
	return engine_mark_damaged(engine, &none, !engine->options.replicated);
}

static int heal(struct engine *engine, char *why, size_t why_bytes)
{
	struct shard_list marked = {.count = 0};
	int failed = 0;
	int error = engine_list_marked(engine, &marked);
	bool is_known = error || marked.count > 0;
	shard_list_done(&marked);
	/* What hinders it is met again where the lists are read. */
	if (is_known)
		return 0;
	enum engine_found kept = recall(engine);
	enum engine_found found = kept == ENGINE_FOUND_UNKNOWN ? look(engine) : kept;
	if (kept == ENGINE_FOUND_DIRECTORY)
		say_directory(engine);
	if (found == ENGINE_FOUND_NOTHING)
		error = heal_gaps(engine, &failed, why, why_bytes);
	if (error)
		return error;
	/* There is more damage than that reading saw. */
	if (kept == ENGINE_FOUND_NOTHING && is_damage(failed))
		found = look(engine);
	/* Nor is anything kept of a store whose place another one took. */
	bool holds = found == ENGINE_FOUND_DIRECTORY ||
	             (found == ENGINE_FOUND_NOTHING && failed && !is_damage(failed));
	if (!holds)
		forget_finding(engine);
	else if (found != kept)
		keep_finding(engine, found);
	return 0;
}

int engine_look_for_damage(struct engine *engine, char *why, size_t why_bytes)
{
	if (!store_figures(engine->store).compaction_stopped)
		return 0;
	LOG_LINE(LEVEL_ERROR, "compactions_stopped", FIELD_TEXT("store", engine->dir),
	    FIELD_TEXT("why", "one met damage"),
	    FIELD_TEXT("advice",
	        engine->options.replicated
	            ? "shards that cannot all be read are made anew from other nodes"
	            : "shards that cannot all be read are closed, and the store grows: stop the "
	              "server; see kalix-admin store verify; restore a backup, or give up what is "
	              "lost with kalix-admin store repair"));
	return heal(engine, why, why_bytes);
}
