/* An operator at work on a machine with a damaged log: storage/log_tool.h, in a process of its own,
 * which may end at any crash point, too. */
#ifndef KX_TESTS_SIM_REPAIR_H
#define KX_TESTS_SIM_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;
struct sim_node;

struct repair {
	struct sim_node *node;
	struct model *model; /* where it is noted of which shards something is given up */
	const char *log_dir;
	const char *store_dir;
	uint64_t store_id;
	char copy_dir[64]; /* of this attempt */

	int error; /* of what was done, where the process did not end in it */
};

/* False: the process ended. */
bool repair_run(struct repair *repair);

#endif
