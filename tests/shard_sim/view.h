/* What the handlers answer: which changes a state is made of. A text,
 *
 *	revision:id,id,...|made,sum,at,path,app,now,luck
 *
 * in quotes where it is JSON; or, from handlers in C,
 *
 *	revision:id,id,...@app
 *
 * The ids are those of the last VIEW_IDS changes, oldest first. Behind the bar:
 *
 *   made, sum   of all changes since the entity began, counted and mixed (model_state.c)
 *   at          the time that the last of them saw; 0: there is none
 *   path        "2>3>4": in which version the state was made, and through which it was migrated
 *   app         the version of the app that answers
 *   now         the time that this call saw; 0: it did not ask
 *   luck        a random number, the call's own
 *
 * Where handlers in C are asked for the time, they answer with that alone.
 */
#ifndef KX_TESTS_SHARD_SIM_VIEW_H
#define KX_TESTS_SHARD_SIM_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { VIEW_IDS = 64, VIEW_PATH_MAX = 32 };

struct view {
	bool has_state; /* revision and ids; else now_ms alone */
	uint64_t revision;
	size_t count;
	uint64_t ids[VIEW_IDS];

	uint32_t app;

	bool has_more; /* what stands behind the bar */
	uint64_t made, sum;
	int64_t at_ms;
	size_t path_count;
	uint32_t path[VIEW_PATH_MAX];

	int64_t now_ms; /* 0: not asked for */
};

/* False: it is none. */
bool view_parse(struct slice text, struct view *ret_view);

#endif
