/* A replica that is left behind, and what is expected when it has caught up. */
#ifndef KX_TESTS_UNIT_SNAPSHOT_BEHIND_H
#define KX_TESTS_UNIT_SNAPSHOT_BEHIND_H

#include "tests/unit/snapshot/world.h"

enum {
	/* More than a group keeps for others, and than a segment. */
	MANY = 600,
	FEW = 10,
	FAR_MS = 60000,
	/* What a chunk takes beside its bytes of keys and values. */
	SLACK_BYTES = 16 * 1024,
};

extern unsigned lagging, other; /* the latter: where two are left behind */

/* A world of three, and leave_behind. */
void begin_with(const struct snapshots_options *options);
unsigned a_follower(void);
/* A replica is cut off until what it lacks is in no log any more. */
void leave_behind(void);
/* An entry that sets one key of its own, of so many bytes. False: nobody leads. */
bool put_large(size_t bytes);

/* For world_run. */
bool lagging_installed(void *arg);
bool half_is_sent(void *arg);

void expect_all_same(void);
/* Nothing of a stream is left when it is over, and its last words are said. */
void expect_nothing_held(void);

#endif
