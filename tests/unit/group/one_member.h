/* A store of groups of one member each, on a simulated machine: what the tests of such groups
 * share. Functions with `arg` are for sim_node_run and sim_run_until. */
#ifndef KX_TESTS_UNIT_GROUP_ONE_MEMBER_H
#define KX_TESTS_UNIT_GROUP_ONE_MEMBER_H

#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "storage/batch.h"
#include "tests/unit/starve.h"

enum { GROUPS = 3, STEPS_MAX = 200000, ENTRIES_MAX = 64 };

struct member {
	struct group *group;
	uint32_t shard;
	uint64_t leading_term;
	unsigned leadings, losts, closeds, rooms;
	struct group_position applied[ENTRIES_MAX];
	int64_t times[ENTRIES_MAX];
	enum group_entry_kind kinds[ENTRIES_MAX];
	unsigned applieds;
};

struct one_member {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct member members[GROUPS];
	struct group_position proposed;
	bool closed, more;
	int error;
	struct starve starve;
	bool insists; /* member 0 tries again as soon as it is told of room */
	bool is_open;
};

extern struct one_member one;

/* More entries than a group has place for at first. */
int one_reserve_many(void);
void one_start_in_process(void *arg);
bool one_all_lead(void *arg);
/* Opens the store, with every group in it, in a new process; `is_open` tells. */
void one_boot(void);
/* Until all groups lead. */
void one_start(void);
void one_set_up(void);
void one_tear_down(void);
void one_crash(void);
/* To member 0. */
void one_propose(char *value);
bool one_proposed_is_applied(void *arg);
/* What stands under the key of one_batch_of in member 0's shard. */
void one_expect_value(char *wanted);
bool one_has_room(void *arg);
/* For group_store_close. */
void one_closed(void *arg);
bool one_is_closed(void *arg);
void one_free_in_process(void *arg);
/* A batch that puts `value` under one key. */
struct slice one_batch_of(uint8_t *span, size_t bytes, const char *value);

#endif
