/* Mending a store whose files are damaged, with no server on it. Blocks.
 *
 * What is given up is said in keys: a block that cannot be read has a first and a last key, and
 * everything between the readable keys around it goes, also what another table has there, because
 * the block may have held what is newer. Of a table of which nothing can be read, that is
 * everything between its first and its last key. Every other key stays.
 *
 * What the store says of itself (the log's anchor, how far each shard is) is never given up:
 * without it nobody could say what the log still has to bring. Where it is not certain that the
 * newest of it can be read, the store is not mended. Nor is one whose list of tables (MANIFEST,
 * CURRENT) is gone: it says which of two values is newer. Both want a backup.
 */
#ifndef KX_STORAGE_STORE_TOOL_H
#define KX_STORAGE_STORE_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/store.h"

struct store_repair_shard {
	uint32_t shard;
	uint64_t keys; /* of it that stay */
	uint64_t gaps; /* stretches that touch it */
	/* About what these are on the disk; 0 where that is not known. */
	uint64_t gap_bytes;
	/* A stretch is inside of it, or is all of it; else one reaches over its first key or its
	 * last one, and nobody knows whether anything of it was there. */
	bool is_certain;
};

/* What will be done, called in this order, all of it before the first change. Of those that return
 * something, a negative result stops store_repair with that code, and nothing is changed. */
struct store_repair_plan {
	/* Once per damaged file, with its name and what is wrong. */
	void (*bad)(void *arg, const char *what);
	/* A stretch of keys that cannot be read: what stood behind `after` and before `before` is
	 * given up (`after` empty: from the beginning; `before` of KEY_STORE_SHARD: to the last
	 * shard's end). Views valid during the call. */
	int (*lost)(void *arg, struct slice after, struct slice before);
	/* What becomes of each shard that one of those stretches touches, ascending. */
	int (*shard)(void *arg, const struct store_repair_shard *shard);
	/* A shard that a checkpoint had closed for good (KEY_KIND_DAMAGED), because what was to be
	 * deleted could not be read; what of that could be read now may be there again. It is
	 * opened. */
	int (*opened)(void *arg, uint32_t shard);
	/* The end of the plan: how many keys stay. */
	int (*decide)(void *arg, uint64_t keys);
	void *arg;
};

/* Writes everything that can be read to a new store beside the old one, reads that back, and then
 * lets it take the old one's place, which is kept as `copy_dir` (relative to fs, in the same
 * directory as options->dir; must not exist). Needs as much space as the store again.
 *
 * The last step exchanges both names at once, so a crash at any point leaves the old store or the
 * new one in place. What a crash before that left beside it ("options->dir".new) is removed by the
 * next repair; one right before it leaves the finished new store under `copy_dir`.
 *
 * options->read_only and tolerant do not matter. What an earlier write left unfinished is finished
 * first, as opening the store would. `why` as in store_open. ERR_NOT_FOUND: nothing is damaged, or
 * there is no store. ERR_CORRUPT: it cannot be mended. ERR_EXISTS: copy_dir does. ERR_UNSUPPORTED:
 * the file system cannot exchange two names. ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ERR_FORMAT. After
 * each of them the old store stands as it was. *ret_keys: how many keys there are now. */
NODISCARD int store_repair(const struct store_options *options, const char *copy_dir,
    const struct store_repair_plan *plan, uint64_t *ret_keys, char *why, size_t why_bytes);

#endif
