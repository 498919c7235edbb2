/* What the seed decides beforehand: how small everything is, which faults a process meets, what it
 * is asked to do, and how it ends. */
#ifndef KX_TESTS_SIM_PLAN_H
#define KX_TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/io/sim/sim.h"
#include "storage/sim/store_sim.h"
#include "tests/sim/driver.h"

enum profile {
	PROFILE_CRASHES,   /* kills and power cuts only */
	PROFILE_ERRORS,    /* and failing writes and syncs, slow disks, no memory */
	PROFILE_LIES,      /* and one lost or misdirected write, or one rotten bit, at a time */
	PROFILE_FULL_DISK, /* and disks that fill up */
	PROFILE_ALL,
	PROFILES,
};
const char *profile_name(enum profile profile);

/* For the whole of a seed: written into options that are otherwise zero. */
void plan_sizes(struct random *random, struct engine_options *options);
/* The largest value that still fits a frame and half of what such a segment offers. */
uint32_t plan_large_value_bytes_max(const struct engine_options *options);

enum plan_end {
	END_KILL,
	END_POWER_CUT,
	END_CLOSE,
	END_POINT,       /* at a crash point, somewhere */
	END_POINT_EARLY, /* at one of the first */
	END_ERROR,       /* a write or a sync fails */
};

/* For one process. */
struct plan {
	enum plan_end end;
	enum sim_crash crash; /* at a crash point */
	uint64_t crash_point; /* 0: none */
	uint64_t operations;  /* after so many it ends, if it did not before */
	struct sim_faults faults;
	struct store_sim_faults store_faults;
	struct driver_load load;
	uint32_t slowness;
	bool lack_of_memory;
	bool lie; /* one, some time in its life */
	uint64_t lie_after_operations;
	enum sim_fault lie_fault;
	bool lie_anywhere; /* else in the segment that is written to */
	bool rot;          /* one bit of the log, before it boots */
	bool rot_at_end;   /* ... of each of its newest frames */
	bool damage;       /* one value of the store, before it boots */
	bool full_disk;
	uint64_t full_after_operations;
	uint64_t full_margin_bytes;
	uint64_t full_operations; /* for so long */
};

/* `in_a_row`: how many processes ended in their recovery just before. */
void plan_make(struct random *random, enum profile profile, unsigned in_a_row, struct plan *plan);

#endif
