/* Mending a store whose files are damaged, with no server on it. Blocks. */
#ifndef KX_STORAGE_STORE_TOOL_H
#define KX_STORAGE_STORE_TOOL_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/store.h"

struct store_repair_plan {
	/* A stretch of keys that cannot be read: what stood after `after` and before `before` is
	 * given up (empty: from the beginning, to the end). Views valid during the call. A negative
	 * result stops there with that code, and nothing is changed. */
	int (*lost)(void *arg, struct slice after, struct slice before);
	void *arg;
};

/* Reads everything from both sides of each damaged stretch and writes it to a new store beside the
 * old one, which then takes its place; the old one is kept as `copy_dir` (relative to fs; must not
 * exist). Two passes: all `lost` calls come before the first change. Nothing damaged: ERR_NOT_FOUND
 * and nothing is changed. A crash leaves the old store or the new one in place, never neither.
 * *ret_keys: how many keys there are now. `why` as in store_open. */
NODISCARD int store_repair(const struct store_options *options, const char *copy_dir,
    const struct store_repair_plan *repair, uint64_t *ret_keys, char *why, size_t why_bytes);

#endif
