/* Ranges go that need not be readable: see store_shed in store.h.
 *
 *   db.shed removed -> db read, what is in no range written to db.shed, read back -> names durable
 *     -> both exchanged -> (opened, settled) -> db.shed removed
 *
 * Ranges of which only a part cannot be read are walked over first (store_rocksdb_walk.c): what
 * that finds to be damaged are further ranges that go, and all else is read as the rest is.
 *
 * Why a copy of everything else, and no deletion: RocksDB 7.8 has none that does without reading.
 * One by one the keys of a block that cannot be read are not known. A deleted range hides them from
 * readers that look for such ranges, which ours must not (store_rocksdb.h), and a compaction reads
 * the block all the same. Files that lie inside a range can be dropped, but a damaged block mostly
 * stands in one that holds other shards, too, or in level 0, which has no such call; and a dropped
 * file that held the newer of two values, or a deletion, brings the older one back.
 *
 * What stands in db.shed otherwise is one that was not finished, or the old store: neither is ever
 * needed again once the store was opened well. A file in the new one tells them apart until then:
 * where db.shed has it and db has not, it is one that was not finished, which takes room for
 * nothing. (Both have it where the old store is itself a new one that was never settled.)
 */
#include "storage/store_rocksdb_beside.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "storage/store_rocksdb.h"

enum { PATH_BYTES = FS_PATH_BYTES_MAX + 1 };

struct shed_source {
	struct store_source source; /* first: what store_write knows */
	const struct store_beside *beside;
	struct store *old;
	const struct store_range *ranges;
	size_t count;
	size_t next; /* the range before which it is */
	struct store_cursor *cursor;
};

/* ---- What goes ---- */

struct shed_plan {
	struct store_range *ranges; /* rising, in the end; some of keys of the gaps */
	size_t count;
	struct store_gaps gaps;
};

static int plan_room(struct shed_plan *plan, size_t more)
{
	if (more == 0)
		return 0;
	struct store_range *ranges =
	    mem_realloc(plan->ranges, (plan->count + more) * sizeof(*ranges));
	if (ranges == NULL)
		return ERR_NOMEM;
	plan->ranges = ranges;
	return 0;
}

static int note_gap(void *arg, struct slice after, struct slice before)
{
	struct shed_plan *plan = arg;
	return store_gaps_add(&plan->gaps, after, before);
}

static int see_bad(void *arg, const char *words)
{
	(void)arg;
	(void)words;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct store_range *left = a, *right = b;
	return slice_compare(left->first, right->first);
}

/* What is lost of a damaged range. */
static int plan_walk(struct shed_plan *plan, struct store *old, const struct store_range *within)
{
	size_t known = plan->gaps.count;
	int error = store_walk(old,
	    &(struct store_walk){.within = within, .lost = note_gap, .bad = see_bad, .arg = plan});
	if (error == 0)
		error = plan_room(plan, plan->gaps.count - known);
	for (size_t i = known; i < plan->gaps.count && error == 0; i++) {
		const struct store_gap *gap = &plan->gaps.at[i];
		struct store_range range = {
		    .first = gap->after_bytes > 0 ? store_gap_first(gap) : within->first,
		    .end = gap->before_bytes > 0 ? store_gap_before(gap) : within->end};
		if (slice_compare(range.first, range.end) < 0)
			plan->ranges[plan->count++] = range;
	}
	return error;
}

static int plan_make(
    struct shed_plan *plan, struct store *old, const struct store_shed_ranges *ranges)
{
	int error = plan_room(plan, ranges->gone_count);
	for (size_t i = 0; i < ranges->gone_count && error == 0; i++)
		plan->ranges[plan->count++] = ranges->gone[i];
	for (size_t i = 0; i < ranges->damaged_count && error == 0; i++)
		error = plan_walk(plan, old, &ranges->damaged[i]);
	if (plan->count > 0)
		qsort(plan->ranges, plan->count, sizeof(*plan->ranges), compare_ranges);
	return error;
}

static void plan_done(struct shed_plan *plan)
{
	store_gaps_done(&plan->gaps);
	mem_free(plan->ranges);
}

/* ---- What stays ---- */

static struct slice end_of(const struct shed_source *source)
{
	return source->next < source->count ? source->ranges[source->next].first
	                                    : slice_of(NULL, 0);
}

/* What stands between the last range and the next one. */
static int open_between(struct shed_source *source)
{
	struct slice first = slice_of(NULL, 0);
	if (source->next > 0)
		first = source->ranges[source->next - 1].end;
	return store_cursor_open(source->old, NULL, first, end_of(source), &source->cursor);
}

static int next_key(struct shed_source *source, struct store_change *ret_change)
{
	while (source->next <= source->count) {
		int error = source->cursor ? 0 : open_between(source);
		if (!error)
			error =
			    store_cursor_next(source->cursor, &ret_change->key, &ret_change->value);
		if (error != ERR_NOT_FOUND)
			return error;
		store_cursor_close(source->cursor);
		source->cursor = NULL;
		source->next++;
	}
	return ERR_NOT_FOUND;
}

static bool shed_next(struct store_source *base, struct store_change *ret_change)
{
	struct shed_source *source = (struct shed_source *)(void *)base;
	*ret_change = (struct store_change){.is_delete = false};
	int error = next_key(source, ret_change);
	if (error && error != ERR_NOT_FOUND) {
		source->source.error = error;
		snprintf(source->beside->why, source->beside->why_bytes,
		    "%s: what is to stay cannot all be read: %s", source->beside->options->dir,
		    error_text(error));
	}
	return error == 0;
}

bool store_shed_fits(uint64_t bytes, uint64_t free_bytes, uint64_t total_bytes)
{
	uint64_t margin = total_bytes / 100 * DISK_RESERVE_PERCENT;
	if (margin > DISK_RESERVE_BYTES_MAX_DEFAULT)
		margin = DISK_RESERVE_BYTES_MAX_DEFAULT;
	return free_bytes >= margin && free_bytes - margin >= bytes;
}

/* A copy takes about what the store does; asked before, as a start should not fill a disk. */
static int check_space(const struct store_beside *beside, const struct store *old)
{
	uint64_t free_bytes, total_bytes;
	int error = fs_space(beside->options->fs, &free_bytes, &total_bytes);
	if (!error && !store_shed_fits(store_figures(old).bytes_on_disk, free_bytes, total_bytes))
		error = ERR_NO_SPACE;
	if (error)
		snprintf(beside->why, beside->why_bytes,
		    "%s: no copy of it can be made beside it: %s", beside->options->dir,
		    error_text(error));
	return error;
}

static bool has_mark(struct fs *fs, const char *dir)
{
	char path[PATH_BYTES];
	bool exists = false;
	int bytes = snprintf(path, sizeof(path), "%s/%s", dir, STORE_UNSETTLED_NAME);
	return bytes < PATH_BYTES && fs_exists(fs, path, &exists) == 0 && exists;
}

static int put_mark(const struct store_beside *beside, const char *dir)
{
	char path[PATH_BYTES];
	struct fs *fs = beside->options->fs;
	int bytes = snprintf(path, sizeof(path), "%s/%s", dir, STORE_UNSETTLED_NAME);
	int error = bytes < PATH_BYTES ? fs_make_dir(fs, dir) : ERR_INVALID;
	if (!error)
		error = fs_replace_file(fs, path, "", 0);
	if (error)
		snprintf(beside->why, beside->why_bytes, "%s: %s", dir, error_text(error));
	return error;
}

static int copy_without(const struct store_beside *beside, const char *dir, struct store *old,
    const struct shed_plan *plan)
{
	struct shed_source source = {.source = {.next = shed_next},
	    .beside = beside,
	    .old = old,
	    .ranges = plan->ranges,
	    .count = plan->count};
	uint64_t keys;
	int error = store_beside_write(beside, dir, &source.source, &keys);
	store_cursor_close(source.cursor);
	return error;
}

static int copy(
    const struct store_beside *beside, const char *dir, const struct store_shed_ranges *ranges)
{
	struct store_options options = *beside->options;
	struct shed_plan plan = {.count = 0};
	struct store *old;
	options.read_only = true;
	int error = store_open(&options, beside->why, beside->why_bytes, &old);
	if (error)
		return error;
	error = check_space(beside, old);
	if (!error) {
		error = plan_make(&plan, old, ranges);
		if (error)
			snprintf(beside->why, beside->why_bytes, "%s: %s", options.dir,
			    error_text(error));
	}
	if (!error)
		error = put_mark(beside, dir);
	if (!error)
		error = copy_without(beside, dir, old, &plan);
	store_close(old);
	plan_done(&plan);
	return error;
}

static int take_place(const struct store_beside *beside, const char *dir)
{
	int error = store_beside_sync(beside);
	if (!error)
		error = store_beside_exchange(beside, dir);
	return error ? error : store_beside_sync(beside);
}

static void shed_path(char path[PATH_BYTES], const char *dir)
{
	int bytes = snprintf(path, PATH_BYTES, "%s" STORE_SHED_SUFFIX, dir);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

static int shed(const struct store_beside *beside, const struct store_shed_ranges *ranges)
{
	char dir[PATH_BYTES];
	shed_path(dir, beside->options->dir);
	int error = store_beside_remove(beside, dir);
	if (error) {
		snprintf(beside->why, beside->why_bytes, "%s cannot be removed: %s", dir,
		    error_text(error));
		return error;
	}
	error = copy(beside, dir, ranges);
	if (!error)
		return take_place(beside, dir);
	int ignored = store_beside_remove(beside, dir);
	(void)ignored;
	return error;
}

int store_shed(const struct store_options *options, const struct store_shed_ranges *ranges,
    char *why, size_t why_bytes)
{
	/* Of all stores of the process, which share a disk: each sees the space that the copies
	 * before it have left. */
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	struct store_beside beside = {.options = options, .why = why, .why_bytes = why_bytes};
	ASSERT(!options->read_only);
	why[0] = '\0';
	pthread_mutex_lock(&one_at_a_time);
	int error = shed(&beside, ranges);
	pthread_mutex_unlock(&one_at_a_time);
	return error;
}

int store_shed_make_room(const struct store_options *options, bool *ret_made)
{
	struct store_beside beside = {.options = options};
	char dir[PATH_BYTES];
	shed_path(dir, options->dir);
	*ret_made = false;
	if (!has_mark(options->fs, dir) || has_mark(options->fs, options->dir))
		return 0;
	int error = store_beside_remove(&beside, dir);
	*ret_made = error == 0;
	return error;
}

static void remove_old(const struct store *store, const char *dir)
{
	/* The path is that of the root with the directory's behind it. */
	char root[PATH_BYTES];
	snprintf(root, sizeof(root), "%.*s", (int)(strlen(store->path) - strlen(store->dir) - 1),
	    store->path);
	struct store_options options = {.fs = store->fs, .root = root, .dir = store->dir};
	struct store_beside beside = {.options = &options};
	/* It takes room until the next start only. */
	int ignored = store_beside_remove(&beside, dir);
	(void)ignored;
}

void store_shed_settled(const struct store *store)
{
	char dir[PATH_BYTES], mark[PATH_BYTES];
	bool exists = false;
	shed_path(dir, store->dir);
	if (fs_exists(store->fs, dir, &exists) == 0 && exists)
		remove_old(store, dir);
	if (!has_mark(store->fs, store->dir))
		return;
	int bytes = snprintf(mark, sizeof(mark), "%s/%s", store->dir, STORE_UNSETTLED_NAME);
	ASSERT(bytes < PATH_BYTES);
	/* Where it comes back an unfinished copy is kept until an opening removes it. */
	int ignored = fs_unlink(store->fs, mark);
	(void)ignored;
}
