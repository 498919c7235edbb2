/* Random damage to a log at rest, over many seeds: rotten frames and lost writes. What a group that
 * is not suspect holds is exactly what was acknowledged; only groups that had something in a
 * damaged frame are suspect; a restart forgets nothing; and after the loss was accepted, all go
 * on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/log_tool.h"
#include "tests/unit/log/rig.h"
#include "tests/unit/log/suites.h"

#define ALL_GROUPS ((1U << RIG_GROUPS) - 1)

static struct {
	uint64_t rounds, gaps, known, unknown, harmless, suspects, repairs, unprovable, ends;
} seen;

static uint64_t below(struct rig *rig, uint64_t limit)
{
	return sim_random_below(rig->sim, limit);
}

/* What is there is the truth from now on. */
static void adopt(struct rig *rig)
{
	rig_replay(rig);
	memcpy(rig->acknowledged, rig->replayed, sizeof(rig->acknowledged));
	memcpy(rig->appended, rig->replayed, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
}

static void boot(struct rig *rig)
{
	ck_assert(rig_boot(rig));
	ck_assert_msg(rig->open_error == 0, "seed %" PRIu64 ": %s", sim_seed(rig->sim),
	    error_name(rig->open_error));
	/* Nobody will be able to say what a missing end had held. */
	for (uint64_t i = 0; i < rig->report.gaps && i < LOG_GAPS_MAX; i++)
		if (rig->report.gap[i].last_frame == UINT64_MAX)
			memset(rig->groups_of_frame + rig->report.gap[i].first_frame, ALL_GROUPS,
			    rig->report.cut_frame - rig->report.gap[i].first_frame);
}

static uint32_t suspects_of(struct rig *rig)
{
	uint32_t suspects = 0;
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		suspects |= (uint32_t)rig_view(rig, i).suspect << i;
	return suspects;
}

static int lost(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen)
{
	(void)arg;
	EXPECT(group < RIG_GROUPS);
	EXPECT(first_index <= last_index_seen + 1);
	return 0;
}

/* Accepts what is lost, and goes on with what there is. */
static void repair(struct rig *rig)
{
	struct log_tool_options options = {.fs = rig->fs,
	    .dir = "log",
	    .store = RIG_STORE,
	    .anchor = rig->anchor,
	    .base = rig->options.base,
	    .base_arg = rig};
	struct log_report report;
	char copy[32];
	snprintf(copy, sizeof(copy), "copy%" PRIu64, rig->opens);
	rig_crash(rig, SIM_POWER_CUT);
	ck_assert_int_eq(log_tool_repair(&options, copy, lost, NULL, &report), 0);
	seen.repairs++;
	/* The repair was a life of its own. */
	rig->life[rig->life_count] = report.life;
	rig->life_frame[rig->life_count++] = report.cut_frame;
	/* If that is lost, nothing is accepted any more. */
	rig->groups_of_frame[report.cut_frame + 1] = ALL_GROUPS;
	boot(rig);
	ck_assert_msg(suspects_of(rig) == 0, "seed %" PRIu64, sim_seed(rig->sim));
	adopt(rig);
}

/* Frames that the store needs a log for and that are gone now; and whom that may concern. */
struct missing {
	bool present[RIG_FRAMES_MAX];
	uint64_t proven;
	uint32_t concerned;
};

static void find_missing(struct rig *rig, uint64_t last, struct missing *missing)
{
	memset(missing, 0, sizeof(*missing));
	missing->proven = rig_list_frames(rig, last, missing->present);
	if (rig->anchor.durable_frame > missing->proven)
		missing->proven = rig->anchor.durable_frame;
	for (uint64_t i = rig->anchor.needed_frame; i <= missing->proven; i++) {
		if (missing->present[i])
			continue;
		missing->concerned |= rig->groups_of_frame[i];
		/* Two in a row, or the last one: it may be anybody. Copies are not in the model. */
		if (i == missing->proven || !missing->present[i + 1] ||
		    (!rig->no_copies && rig->groups_of_frame[i] == 0))
			missing->concerned = ALL_GROUPS;
	}
}

static void count_gaps(const struct rig *rig, uint32_t suspects)
{
	bool matters = false;
	for (uint64_t i = 0; i < rig->report.gaps; i++) {
		const struct log_gap *gap = &rig->report.gap[i];
		seen.gaps++;
		seen.known += gap->groups_known;
		seen.unknown += !gap->groups_known;
		seen.harmless += !gap->matters;
		seen.ends += gap->last_frame == UINT64_MAX;
		matters = matters || gap->matters;
	}
	seen.suspects += (uint64_t)__builtin_popcount(suspects);
	ck_assert_msg(suspects == 0 || matters, "seed %" PRIu64, sim_seed(rig->sim));
}

static void check(struct rig *rig, const struct missing *missing)
{
	boot(rig);
	rig_check_groups(rig);
	uint32_t suspects = suspects_of(rig);
	ck_assert_msg((suspects & ~missing->concerned) == 0,
	    "seed %" PRIu64 ": suspect %x, concerned %x", sim_seed(rig->sim), suspects,
	    missing->concerned);
	count_gaps(rig, suspects);

	/* A restart forgets nothing. */
	rig_crash(rig, SIM_POWER_CUT);
	boot(rig);
	ck_assert_uint_eq(suspects_of(rig), suspects);
	rig_check_groups(rig);
	if (suspects != 0)
		repair(rig);
	else
		adopt(rig);
}

static void work(struct rig *rig)
{
	for (uint64_t i = below(rig, 120); i > 0; i--) {
		if (below(rig, 60) == 0)
			sim_disk_fault(rig->node, SIM_WRITE_LOST,
			    rig_path(log_figures(rig->log).current_segment), 0, UINT64_MAX, 1);
		rig_random_step(rig);
	}
	rig->planned = false;
	rig_settle(rig);
	if (below(rig, 4) == 0)
		rig_checkpoint(rig, below(rig, 2) ? RIG_PLAN_SOME : RIG_PLAN_NOTHING);
	if (below(rig, 4))
		rig_quiet(rig);
	sim_disk_clear_faults(rig->node);
}

static void rot(struct rig *rig, uint64_t last)
{
	for (uint64_t i = below(rig, 4); i > 0; i--) {
		uint64_t first = rig->anchor.first_frame;
		uint64_t frame = first + below(rig, last - first + 1);
		struct log_frame_header header;
		if (rig_find_frame(rig, frame, &header) && (frame < last || below(rig, 3) == 0))
			rig_rot_frame(rig, frame);
	}
	/* The end, which the store may know of. */
	if (below(rig, 6) == 0)
		for (uint64_t i = below(rig, 3) + 1; i > 0 && last > i; i--) {
			struct log_frame_header header;
			if (rig_find_frame(rig, last - i + 1, &header))
				rig_rot_frame(rig, last - i + 1);
		}
}

static void storm(uint64_t seed)
{
	static struct missing missing;
	struct rig *rig = rig_new(seed, NULL);
	rig->options.frames_in_flight_max = 1 + (uint32_t)below(rig, 8);
	rig->no_copies = below(rig, 2);
	rig_reopen(rig);
	for (int round = 0; round < 12 && !rig_is_long(rig); round++) {
		work(rig);
		uint64_t last = log_figures(rig->log).last_frame;
		/* All before the life is durable, too. */
		uint64_t content = rig->life_frame[rig->life_count - 1] - 1;
		if (rig->durable_frame > content)
			content = rig->durable_frame;
		rig_crash(rig, below(rig, 2) ? SIM_KILL : SIM_POWER_CUT);
		rot(rig, last);
		find_missing(rig, last, &missing);
		seen.rounds++;
		if (missing.proven >= content) {
			check(rig, &missing);
			continue;
		}
		/* Nothing on disk says any more that the end had been durable. */
		seen.unprovable++;
		boot(rig);
		if (suspects_of(rig))
			repair(rig);
		else
			adopt(rig);
	}
	rig_free(rig);
}

START_TEST(damage_is_noticed_and_laid_at_the_right_door)
{
	const char *first = getenv("KX_SEED");
	const char *count = getenv("KX_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 10) : 1;
	uint64_t seeds = count ? strtoull(count, NULL, 10) : first ? 1 : UNIT_ROUNDS(150);
	for (uint64_t i = 0; i < seeds; i++)
		storm(seed + i);
	printf("%" PRIu64 " rounds: %" PRIu64 " gaps (%" PRIu64 " of known groups, %" PRIu64
	       " of unknown, %" PRIu64 " harmless, %" PRIu64 " at the end), %" PRIu64
	       " suspects, %" PRIu64 " repairs, %" PRIu64 " unprovable\n",
	    seen.rounds, seen.gaps, seen.known, seen.unknown, seen.harmless, seen.ends,
	    seen.suspects, seen.repairs, seen.unprovable);
	if (seeds < 100)
		return;
	ck_assert_uint_gt(seen.known, 0);
	ck_assert_uint_gt(seen.unknown, 0);
	ck_assert_uint_gt(seen.harmless, 0);
	ck_assert_uint_gt(seen.ends, 0);
	ck_assert_uint_gt(seen.suspects, 0);
	ck_assert_uint_gt(seen.repairs, 0);
	ck_assert_uint_lt(seen.unprovable, seen.rounds / 2);
}
END_TEST

Suite *storm_suite(void)
{
	Suite *suite = suite_create("storm");
	TCase *tcase = tcase_create("storm");
	tcase_add_test(tcase, damage_is_noticed_and_laid_at_the_right_door);
	suite_add_tcase(suite, tcase);
	return suite;
}
