/* What can be read goes to a new store, which takes the old one's place: store_tool.h.
 *
 *   old: walk, once (the plan) -> new: written beside, in one store_write -> read back
 *     -> db.new renamed to the copy's name -> db and copy exchanged -> done
 *
 * RocksDB's own repair is not used: it puts all tables into level 0 in the order of their numbers,
 * so that older values come back.
 */
#include "storage/store_rocksdb_repair.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "storage/store_rocksdb_beside.h"

enum { PATH_BYTES = FS_PATH_BYTES_MAX + 1, OWN_VALUES_BYTES_MAX = 256 << 20 };

static struct store_beside repair_beside(const struct repair *repair)
{
	return (struct store_beside){
	    .options = repair->options, .why = repair->why, .why_bytes = repair->why_bytes};
}

/* ---- The old store ---- */

static int open_as(const struct repair *repair, const char *dir, bool read_only, bool tolerant,
    struct store **ret_store)
{
	struct store_options options = *repair->options;
	options.dir = dir;
	options.read_only = read_only;
	options.tolerant = tolerant;
	return store_open(&options, repair->why, repair->why_bytes, ret_store);
}

static int open_old(struct repair *repair)
{
	const struct store_options *options = repair->options;
	int error = open_as(repair, options->dir, true, false, &repair->old);
	if (error != ERR_CORRUPT)
		return error;
	/* A table that is missing may be one that a failed write left: opening for writing gives
	 * it back, or leaves everything as it is. */
	bool left = false;
	error = store_ingest_left(options->fs, options->dir, &left);
	if (error < 0)
		return repair_fail(repair, error, error_text(error));
	struct store *store;
	if (left && open_as(repair, options->dir, false, false, &store) == 0)
		store_close(store);
	error = open_as(repair, options->dir, true, true, &repair->old);
	if (error == 0)
		repair->why[0] = '\0';
	return error;
}

/* ---- The new store ---- */

struct copy_source {
	struct store_source source; /* first: what store_write knows */
	const struct repair *repair;
	rocksdb_readoptions_t *options;
	rocksdb_iterator_t *iterator;
	size_t gap; /* the next one */
	bool started;
	bool ended; /* only own records are left */
	size_t own; /* the next one */
};

static struct slice iterator_key(rocksdb_iterator_t *iterator)
{
	size_t bytes;
	const char *key = rocksdb_iter_key(iterator, &bytes);
	return slice_of(key, bytes);
}

/* The next key that is kept, over the gap that begins here if one does. */
static bool step(struct copy_source *source)
{
	const struct repair *repair = source->repair;
	rocksdb_iterator_t *iterator = source->iterator;
	struct slice at = source->started ? iterator_key(iterator) : slice_of(NULL, 0);
	if (source->gap < repair->gaps.count &&
	    slice_equal(at, store_gap_after(&repair->gaps.at[source->gap]))) {
		struct slice before = store_gap_before(&repair->gaps.at[source->gap++]);
		if (before.bytes == 0)
			return false;
		rocksdb_iter_seek(iterator, (const char *)before.data, before.bytes);
	} else if (source->started) {
		rocksdb_iter_next(iterator);
	} else {
		rocksdb_iter_seek_to_first(iterator);
	}
	source->started = true;
	if (rocksdb_iter_valid(iterator))
		return true;
	/* More damage than the plan said is none that anybody agreed to. */
	char *words = NULL;
	rocksdb_iter_get_error(iterator, &words);
	if (words != NULL)
		source->source.error = repair_fail(repair, ERR_CORRUPT, words);
	if (words != NULL)
		rocksdb_free(words);
	return false;
}

static bool next_own(struct copy_source *source, struct store_change *ret_change)
{
	const struct repair *repair = source->repair;
	if (source->own == repair->own_count)
		return false;
	const struct own_record *record = &repair->own[source->own++];
	*ret_change = (struct store_change){.key = slice_of(record->key, record->key_bytes),
	    .value = slice_of(buffer_view(&repair->own_values).data + record->at, record->bytes)};
	return true;
}

static bool copy_next(struct store_source *base, struct store_change *ret_change)
{
	struct copy_source *source = (struct copy_source *)(void *)base;
	if (!source->ended)
		source->ended = !step(source) || slice_compare(iterator_key(source->iterator),
		                                     repair_own_first(source->repair)) >= 0;
	if (source->source.error < 0)
		return false;
	if (source->ended)
		return next_own(source, ret_change);
	size_t bytes;
	const char *value = rocksdb_iter_value(source->iterator, &bytes);
	*ret_change = (struct store_change){
	    .key = iterator_key(source->iterator), .value = slice_of(value, bytes)};
	return true;
}

static void copy_begin(const struct repair *repair, struct copy_source *source)
{
	*source = (struct copy_source){
	    .source = {.next = copy_next}, .repair = repair, .options = store_walk_options()};
	source->iterator = rocksdb_create_iterator(repair->old->db, source->options);
}

static void copy_end(struct copy_source *source)
{
	rocksdb_iter_destroy(source->iterator);
	rocksdb_readoptions_destroy(source->options);
}

static int make_new(const struct repair *repair)
{
	struct store_beside beside = repair_beside(repair);
	struct copy_source source;
	uint64_t keys = 0;
	copy_begin(repair, &source);
	int error = store_beside_write(&beside, repair->new_dir, &source.source, &keys);
	copy_end(&source);
	if (error == 0 && keys != repair->keys)
		error =
		    repair_fail(repair, ERR_CORRUPT, "the damage is not what it was a moment ago");
	return error;
}

/* ---- Its place ---- */

/* Each name is durable before the next step relies on it. */
static int take_place(const struct repair *repair)
{
	struct store_beside beside = repair_beside(repair);
	int error = store_beside_sync(&beside);
	if (error == 0 && fs_rename(repair->options->fs, repair->new_dir, repair->copy_dir) < 0)
		error = repair_fail(repair, ERR_IO, "the new store cannot be renamed");
	if (error == 0)
		error = store_beside_sync(&beside);
	if (error < 0)
		return error;
	error = store_beside_exchange(&beside, repair->copy_dir);
	if (error < 0) {
		int ignored = store_beside_remove(&beside, repair->copy_dir);
		(void)ignored;
		return error;
	}
	return store_beside_sync(&beside);
}

/* ---- All of it ---- */

static int begin(struct repair *repair)
{
	bool exists = false;
	int bytes =
	    snprintf(repair->new_dir, sizeof(repair->new_dir), "%s.new", repair->options->dir);
	if (bytes < 0 || bytes >= PATH_BYTES)
		return repair_fail(repair, ERR_INVALID, "the path is too long");
	int error = fs_exists(repair->options->fs, repair->copy_dir, &exists);
	if (error < 0)
		return repair_fail(repair, error, error_text(error));
	if (exists)
		return repair_fail(repair, ERR_EXISTS, "there is a copy of that name already");
	return open_old(repair);
}

static int build(struct repair *repair)
{
	struct store_beside beside = repair_beside(repair);
	int error = store_beside_remove(&beside, repair->new_dir);
	if (error < 0)
		return repair_fail(repair, error, "what an earlier repair left cannot be removed");
	error = make_new(repair);
	if (error < 0) {
		int ignored = store_beside_remove(&beside, repair->new_dir);
		(void)ignored;
		return error;
	}
	/* Its files are about to go by another name. */
	store_close(repair->old);
	repair->old = NULL;
	return take_place(repair);
}

static void done(struct repair *repair)
{
	store_close(repair->old);
	repair_plan_done(repair);
}

int store_repair(const struct store_options *options, const char *copy_dir,
    const struct store_repair_plan *plan, uint64_t *ret_keys, char *why, size_t why_bytes)
{
	ASSERT(plan->bad != NULL && plan->lost != NULL && plan->shard != NULL &&
	       plan->opened != NULL && plan->decide != NULL);
	struct repair repair = {.options = options,
	    .plan = plan,
	    .copy_dir = copy_dir,
	    .why = why,
	    .why_bytes = why_bytes};
	why[0] = '\0';
	key_own_put(repair.own_first, KEY_KIND_ANCHOR);
	buffer_init(&repair.own_values, OWN_VALUES_BYTES_MAX);
	int error = begin(&repair);
	if (error == 0)
		error = repair_make_plan(&repair);
	if (error == 0)
		error = build(&repair);
	done(&repair);
	if (error == 0)
		*ret_keys = repair.keys;
	return error;
}
