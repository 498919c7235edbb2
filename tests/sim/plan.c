#include "tests/sim/plan.h"

#include <string.h>

#include "base/assert.h"

enum {
	KIB = 1024,
	IN_A_ROW_MAX = 4,
};

const char *profile_name(enum profile profile)
{
	switch (profile) {
	case PROFILE_CRASHES:
		return "crashes";
	case PROFILE_ERRORS:
		return "errors";
	case PROFILE_LIES:
		return "lies";
	case PROFILE_FULL_DISK:
		return "full disk";
	case PROFILE_ALL:
		return "all";
	case PROFILES:
		break;
	}
	UNREACHABLE();
}

static bool one_in(struct random *random, uint64_t of)
{
	return random_below(random, of) == 0;
}

static unsigned between(struct random *random, unsigned min, unsigned max)
{
	return (unsigned)random_between(random, min, max);
}

/* ---- Sizes ---- */

void plan_sizes(struct random *random, struct engine_options *options)
{
	options->segment_bytes = (uint64_t)(64 * KIB) << random_below(random, 3);
	options->first_segment_bytes = (uint64_t)(16 * KIB) << random_below(random, 2);
	options->frame_bytes_max = 64 * KIB;
	options->replay_bytes_max = (uint64_t)(64 * KIB) << random_below(random, 4);
	options->dirty_bytes_max = (uint64_t)(64 * KIB) << random_below(random, 5);
	options->clean_bytes_max = 32 * KIB;
	options->block_cache_bytes = 32 * KIB;
	options->reserve_bytes_max = 64 * KIB;
	options->frames_in_flight_max = 1 + (uint32_t)random_below(random, 16);
	/* No disk is that quick: many at a time. */
	if (options->frames_in_flight_max % 4 != 0)
		options->frame_soon_ns = 1;
	options->watermark_delay_ms = 1 + (uint32_t)random_below(random, 20);
	options->idle_ms = 5 + (uint32_t)random_below(random, 100);
}

uint32_t plan_large_value_bytes_max(const struct engine_options *options)
{
	uint64_t quarter = options->segment_bytes / 4;
	return quarter < 40 * KIB ? (uint32_t)quarter : 40 * KIB;
}

/* ---- Faults ---- */

static void plan_losses(struct random *random, struct sim_faults *faults)
{
	static const uint32_t chances[][2] = {{0, 0}, {60, 20}, {20, 70}, {90, 0}, {10, 10}};
	static const uint32_t garbage[] = {0, 0, 20, 60};
	uint64_t chosen = random_below(random, sizeof(chances) / sizeof(chances[0]));
	faults->lost_percent = chances[chosen][0];
	faults->torn_percent = chances[chosen][1];
	faults->garbage_percent = garbage[random_below(random, 4)];
}

static void plan_errors(struct random *random, struct plan *plan)
{
	struct sim_faults *faults = &plan->faults;
	if (one_in(random, 3))
		faults->sync_error_ppm = between(random, 20, one_in(random, 5) ? 100000 : 2000);
	if (one_in(random, 3))
		faults->write_error_ppm = between(random, 20, 2000);
	if (one_in(random, 3)) {
		faults->slow_ppm = between(random, 100, 2000);
		faults->slow_ns = (uint64_t)between(random, 1, 60) * 1000 * 1000;
		/* Both together would be a disk that takes minutes. */
		plan->slowness = 1;
	}
	if (one_in(random, 3))
		plan->store_faults.slow_ppm = between(random, 1000, 50000);
	plan->lack_of_memory = one_in(random, 3);
	if (plan->lack_of_memory)
		plan->load.no_memory_permille = between(random, 5, 100);
}

static void plan_lie(struct random *random, struct plan *plan)
{
	switch (random_below(random, 5)) {
	case 0:
		plan->rot = true;
		plan->rot_at_end = one_in(random, 2);
		break;
	case 1:
		plan->lie = true;
		plan->lie_fault = SIM_WRITE_MISDIRECTED;
		break;
	case 2:
	case 3:
		plan->lie = true;
		plan->lie_fault = SIM_WRITE_LOST;
		break;
	default:
		break;
	}
	plan->lie_anywhere = one_in(random, 2);
	plan->damage = one_in(random, 12);
	plan->lie_after_operations = random_below(random, plan->operations);
	/* Straight to the end of the power, before anything covers it: or long after. */
	if (plan->lie && one_in(random, 2))
		plan->lie_after_operations = plan->operations - plan->operations / 20;
}

static void plan_full_disk(struct random *random, struct plan *plan)
{
	plan->full_disk = one_in(random, 2);
	plan->full_after_operations = random_below(random, plan->operations / 2 + 1);
	plan->full_operations = 1 + random_below(random, plan->operations);
	plan->full_margin_bytes = random_below(random, 512 * KIB);
	if (one_in(random, 3))
		plan->store_faults.no_space_ppm = between(random, 1000, 300000);
}

static void plan_all(struct random *random, struct plan *plan)
{
	struct sim_faults *faults = &plan->faults;
	if (one_in(random, 2))
		plan_errors(random, plan);
	if (one_in(random, 2))
		plan_lie(random, plan);
	if (one_in(random, 3))
		plan_full_disk(random, plan);
	if (one_in(random, 4))
		faults->read_error_ppm = between(random, 20, one_in(random, 2) ? 50000 : 2000);
	if (one_in(random, 6))
		faults->write_lost_ppm = between(random, 20, 2000);
	if (one_in(random, 6))
		faults->write_misdirected_ppm = between(random, 20, 2000);
	if (one_in(random, 6))
		faults->rot_ppm = between(random, 1000, 50000);
	if (one_in(random, 4)) {
		faults->crash_ppm = between(random, 20, 1000);
		faults->power_cut_percent = between(random, 0, 100);
	}
	if (one_in(random, 6))
		plan->store_faults.read_corrupt_ppm =
		    between(random, 10, one_in(random, 3) ? 20000 : 300);
	if (one_in(random, 6))
		plan->store_faults.read_error_ppm =
		    between(random, 10, one_in(random, 3) ? 20000 : 300);
}

/* ---- One process ---- */

static void plan_load(struct random *random, struct driver_load *load)
{
	*load = (struct driver_load){
	    .propose = between(random, 20, 60),
	    .hold = between(random, 0, 4),
	    .hard_state = between(random, 1, 5),
	    .replace = between(random, 0, 6),
	    .commit = between(random, 2, 15),
	    .read = between(random, 5, 40),
	    .walk = between(random, 0, 4),
	    .checkpoint = one_in(random, 4) ? 1 : 0,
	    .install = one_in(random, 2) ? between(random, 1, 3) : 0,
	    .actions_max = between(random, 1, 8),
	    .again_percent = between(random, 0, 60),
	    .idle_permille = between(random, 0, 8),
	    .entries_max = between(random, 1, 12),
	    .unapplied_max = between(random, 3, 60),
	    .busy_role_percent = one_in(random, 3) ? between(random, 50, 95) : 0,
	    .begins_at_once = one_in(random, 2),
	    .commits_stall = one_in(random, 3),
	    .applies_at_once = one_in(random, 2),
	};
}

static void plan_how_it_ends(
    struct random *random, enum profile profile, unsigned in_a_row, struct plan *plan)
{
	static const enum plan_end ends[] = {END_KILL, END_KILL, END_POWER_CUT, END_POWER_CUT,
	    END_POINT, END_POINT, END_POINT, END_POINT, END_POINT, END_POINT_EARLY, END_CLOSE,
	    END_ERROR};
	size_t count = sizeof(ends) / sizeof(ends[0]);
	/* Failing writes are not of every profile. */
	if (profile != PROFILE_ERRORS && profile != PROFILE_ALL)
		count--;
	plan->end = ends[random_below(random, count)];
	/* What breaks in a recovery likes to break in the next one, too. */
	if (in_a_row > 0 && in_a_row < IN_A_ROW_MAX && one_in(random, 2))
		plan->end = END_POINT_EARLY;
	plan->crash = one_in(random, 3) ? SIM_KILL : SIM_POWER_CUT;
	if (plan->end == END_POINT)
		plan->crash_point = 1 + random_below(random, one_in(random, 3) ? 200 : 2500);
	if (plan->end == END_POINT_EARLY)
		plan->crash_point = 1 + random_below(random, 60);
}

void plan_make(struct random *random, enum profile profile, unsigned in_a_row, struct plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	plan->operations = 50 + random_below(random, one_in(random, 4) ? 2500 : 700);
	plan->slowness = one_in(random, 5) ? between(random, 2, 20) : 1;
	plan_how_it_ends(random, profile, in_a_row, plan);
	plan_load(random, &plan->load);
	plan_losses(random, &plan->faults);
	plan->store_faults.cold_percent = one_in(random, 4) ? 0 : between(random, 5, 100);
	switch (profile) {
	case PROFILE_CRASHES:
		break;
	case PROFILE_ERRORS:
		plan_errors(random, plan);
		break;
	case PROFILE_LIES:
		plan_lie(random, plan);
		break;
	case PROFILE_FULL_DISK:
		plan_full_disk(random, plan);
		break;
	case PROFILE_ALL:
		plan_all(random, plan);
		break;
	case PROFILES:
		UNREACHABLE();
	}
}
