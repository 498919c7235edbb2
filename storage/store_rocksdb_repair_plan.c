/* What a repair gives up, what it keeps, and asking whether it may. */
#include "storage/store_rocksdb_repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "storage/store_rocksdb.h"

enum {
	/* Shards are numbered from 0 on; where the list of them cannot be walked, so many are asked
	 * for, and all that have keys. */
	PROBED_SHARDS = 1 << 16,
};

int repair_fail(const struct repair *repair, int error, const char *what)
{
	snprintf(repair->why, repair->why_bytes, "%s: %s", repair->options->dir, what);
	return error;
}

/* ---- The plan ---- */

static int note_gap(void *arg, struct slice after, struct slice before)
{
	struct repair *repair = arg;
	return store_gaps_add(&repair->gaps, after, before);
}

/* Not twice in a row. */
static int note_number(struct numbers *numbers, uint32_t number)
{
	if (numbers->count > 0 && numbers->at[numbers->count - 1] == number)
		return 0;
	if (array_reserve(
	        &numbers->at, &numbers->capacity, numbers->count + 1, sizeof(*numbers->at)))
		return ERR_NOMEM;
	numbers->at[numbers->count++] = number;
	return 0;
}

/* Finds or makes it. Keys come in order, so mostly it is the last one. */
static int need_shard(struct repair *repair, uint32_t number, struct store_repair_shard **ret_shard)
{
	struct repair_shards *shards = &repair->shards;
	size_t at = shards->count;
	while (at > 0 && shards->at[at - 1].shard > number)
		at--;
	if (at > 0 && shards->at[at - 1].shard == number) {
		*ret_shard = &shards->at[at - 1];
		return 0;
	}
	if (array_reserve(&shards->at, &shards->capacity, shards->count + 1, sizeof(*shards->at)))
		return ERR_NOMEM;
	memmove(shards->at + at + 1, shards->at + at, (shards->count - at) * sizeof(*shards->at));
	shards->at[at] = (struct store_repair_shard){.shard = number};
	shards->count++;
	*ret_shard = &shards->at[at];
	return 0;
}

static int note_key(void *arg, struct slice key)
{
	struct repair *repair = arg;
	uint32_t shard;
	if (key.bytes < KEY_SHARD_BYTES)
		return ERR_FORMAT;
	if (slice_compare(key, repair_own_first(repair)) < 0) {
		struct store_repair_shard *seen;
		int error = need_shard(repair, key_shard_get(key.data), &seen);
		if (error == 0)
			seen->keys++;
		repair->keys += error == 0;
		return error;
	}
	if (slice_equal(key, repair_own_first(repair)))
		return 0;
	if (key_listed_get(key, KEY_KIND_APPLIED, &shard) == 0)
		return note_number(&repair->applied, shard);
	if (key_listed_get(key, KEY_KIND_DAMAGED, &shard) == 0)
		return note_number(&repair->opened, shard);
	/* Of a newer version: it would be lost. */
	return ERR_FORMAT;
}

static int note_bad(void *arg, const char *words)
{
	struct repair *repair = arg;
	return store_bad_files_add(&repair->files, words);
}

/* ---- What the store says of itself ----
 *
 * Every checkpoint writes all of it anew, so older tables have it too, and damage in one of those
 * does not matter: a single key is looked for in the newest table first, and found before the
 * damage is met; or the damage is met first, and then it may be what counts.
 */

/* Whether a walk could not see all of it. */
static bool own_was_hidden(const struct repair *repair)
{
	for (size_t i = 0; i < repair->gaps.count; i++) {
		struct slice before = store_gap_before(&repair->gaps.at[i]);
		if (before.bytes == 0 || slice_compare(before, repair_own_first(repair)) > 0)
			return true;
	}
	return false;
}

static int own_value(struct repair *repair, struct slice key, size_t *ret_at, size_t *ret_bytes)
{
	size_t at = buffer_bytes(&repair->own_values);
	int error = store_get(repair->old, key, &repair->own_values);
	if (error < 0)
		return error;
	*ret_at = at;
	*ret_bytes = buffer_bytes(&repair->own_values) - at;
	return 0;
}

/* ERR_NOT_FOUND: there is none, and nothing is kept. */
static int keep_own(struct repair *repair, struct slice key)
{
	if (array_reserve(
	        &repair->own, &repair->own_capacity, repair->own_count + 1, sizeof(*repair->own)))
		return ERR_NOMEM;
	struct own_record *record = &repair->own[repair->own_count];
	int error = own_value(repair, key, &record->at, &record->bytes);
	if (error < 0)
		return error;
	memcpy(record->key, key.data, key.bytes);
	record->key_bytes = key.bytes;
	repair->own_count++;
	repair->keys++;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a;
	uint32_t right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

/* All shards that there may be, ascending. */
static int list_shards(struct repair *repair)
{
	struct numbers *shards = &repair->applied;
	int error = 0;
	for (uint32_t shard = 0; error == 0 && shard < PROBED_SHARDS; shard++)
		error = note_number(shards, shard);
	for (size_t i = 0; error == 0 && i < repair->shards.count; i++)
		error = note_number(shards, repair->shards.at[i].shard);
	if (error == 0)
		qsort(shards->at, shards->count, sizeof(*shards->at), compare_numbers);
	return error;
}

static int read_own(struct repair *repair)
{
	int error = own_was_hidden(repair) ? list_shards(repair) : 0;
	if (error == 0)
		error = keep_own(repair, repair_own_first(repair));
	for (size_t i = 0; (error == 0 || error == ERR_NOT_FOUND) && i < repair->applied.count;
	     i++) {
		uint8_t key[KEY_LISTED_BYTES];
		if (i > 0 && repair->applied.at[i] == repair->applied.at[i - 1])
			continue;
		key_listed_put(key, KEY_KIND_APPLIED, repair->applied.at[i]);
		error = keep_own(repair, slice_of(key, sizeof(key)));
	}
	if (error == 0 || error == ERR_NOT_FOUND)
		return 0;
	return repair_fail(repair, error,
	    error == ERR_CORRUPT || error == ERR_IO
	        ? "what the checkpoint says of itself (the log's anchor, how far each shard is) "
	          "cannot be read; restore it from a backup"
	        : error_text(error));
}

/* ---- Telling it ---- */

/* Nothing of the store's own goes. */
static struct slice end_of_gap(const struct repair *repair, const struct store_gap *gap)
{
	struct slice before = store_gap_before(gap), own = repair_own_first(repair);
	return before.bytes == 0 || slice_compare(before, own) > 0 ? own : before;
}

/* Also those of which nothing was read, of which the store says how far they are. */
static int need_listed_shards(struct repair *repair)
{
	struct store_repair_shard *ignored;
	uint32_t number;
	int error = 0;
	for (size_t i = 0; i < repair->own_count && error == 0; i++) {
		struct slice key = slice_of(repair->own[i].key, repair->own[i].key_bytes);
		if (key_listed_get(key, KEY_KIND_APPLIED, &number) == 0)
			error = need_shard(repair, number, &ignored);
	}
	return error;
}

static void touch(
    const struct repair *repair, const struct store_gap *gap, struct store_repair_shard *shard)
{
	uint8_t own_first[KEY_SHARD_BYTES], own_end[KEY_SHARD_BYTES];
	key_shard_put(own_first, shard->shard);
	key_shard_put(own_end, shard->shard + 1);
	struct slice first = slice_of(own_first, sizeof(own_first));
	struct slice end = slice_of(own_end, sizeof(own_end));
	struct slice gap_first = store_gap_first(gap), gap_end = end_of_gap(repair, gap);
	if (slice_compare(gap_end, first) <= 0 || slice_compare(gap_first, end) >= 0)
		return;
	bool begins_inside = slice_compare(gap_first, first) > 0;
	bool ends_inside = slice_compare(gap_end, end) < 0;
	shard->gaps++;
	shard->is_certain |= begins_inside == ends_inside;
	shard->gap_bytes += store_range_bytes(
	    repair->old, begins_inside ? gap_first : first, ends_inside ? gap_end : end);
}

static int tell_shards(struct repair *repair)
{
	int error = need_listed_shards(repair);
	for (size_t i = 0; i < repair->shards.count && error >= 0; i++) {
		struct store_repair_shard *shard = &repair->shards.at[i];
		for (size_t j = 0; j < repair->gaps.count; j++)
			touch(repair, &repair->gaps.at[j], shard);
		if (shard->gaps > 0)
			error = repair->plan->shard(repair->plan->arg, shard);
	}
	return error;
}

static int tell(struct repair *repair)
{
	const struct store_repair_plan *plan = repair->plan;
	int error = 0;
	for (size_t i = 0; error >= 0 && i < repair->gaps.count; i++) {
		const struct store_gap *gap = &repair->gaps.at[i];
		struct slice before = end_of_gap(repair, gap);
		if (slice_compare(store_gap_after(gap), before) < 0)
			error = plan->lost(plan->arg, store_gap_after(gap), before);
	}
	if (error >= 0)
		error = tell_shards(repair);
	for (size_t i = 0; error >= 0 && i < repair->opened.count; i++)
		error = plan->opened(plan->arg, repair->opened.at[i]);
	return error < 0 ? error : plan->decide(plan->arg, repair->keys);
}

int repair_make_plan(struct repair *repair)
{
	repair->files =
	    (struct store_bad_files){.bad = repair->plan->bad, .arg = repair->plan->arg};
	int error = store_walk(
	    repair->old, &(struct store_walk){
	                     .key = note_key, .lost = note_gap, .bad = note_bad, .arg = repair});
	if (error < 0)
		return repair_fail(repair, error, error_text(error));
	if (repair->gaps.count == 0 && repair->opened.count == 0 &&
	    !store_figures(repair->old).compaction_stopped)
		return repair_fail(repair, ERR_NOT_FOUND, "nothing is damaged");
	error = read_own(repair);
	return error < 0 ? error : tell(repair);
}

void repair_plan_done(struct repair *repair)
{
	store_gaps_done(&repair->gaps);
	mem_free(repair->opened.at);
	mem_free(repair->shards.at);
	mem_free(repair->applied.at);
	mem_free(repair->own);
	buffer_done(&repair->own_values);
	mem_free(repair->files.names);
}
