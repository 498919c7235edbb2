/* server/cluster_disk.c: what is known on core 0 of whose disks do not answer. */
#include "base/clock.h"
#include "tests/unit/cluster/suites.h"
#include "tests/unit/cluster/two_cores.h"

enum { SILENT_MS = 2000, WORD_MS = 2500, AGAIN_MS = 1000, LASTS_MS = 5000 };

static struct cluster_link links[CORES]; /* core 1's, to the cores of the other node */

static void set_up(void)
{
	two_cores_start();
	for (uint16_t i = 0; i < CORES; i++) {
		links[i] = (struct cluster_link){
		    .core = &cores[1], .node = OTHER, .number = i, .cores = CORES, .stores = CORES};
		list_node_init(&links[i].node_link);
		list_push_back(&cores[1].links, &links[i].node_link);
	}
}

/* ---- This node ---- */

struct looks {
	uint32_t core;
	uint64_t waiting_ms;
};

static void looks(void *arg)
{
	const struct looks *at = arg;
	io_run(cores[at->core].io); /* it is as late as the world */
	cluster_disk_look_at(&cores[at->core], at->waiting_ms);
}

static void core_looks(uint32_t core, uint64_t waiting_ms)
{
	struct looks at = {.core = core, .waiting_ms = waiting_ms};
	ck_assert(sim_node_run(machine, looks, &at));
}

/* ---- Another one ---- */

static void hears(void *arg)
{
	const struct looks *from = arg;
	uint8_t bytes[CLUSTER_DISK_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	io_run(cores[1].io);
	cluster_disk_write(&out, from->waiting_ms);
	ck_assert_int_eq(cluster_disk_told(&cores[1], &links[from->core], writer_view(&out)), 0);
}

static void other_says(uint32_t core, uint64_t waiting_ms)
{
	struct looks from = {.core = core, .waiting_ms = waiting_ms};
	ck_assert(sim_node_run(machine, hears, &from));
}

struct known {
	uint16_t node;
	bool silent, unfit;
	uint64_t waiting_ms;
};

static void look(void *arg)
{
	struct known *known = arg;
	io_run(cores[0].io);
	known->silent = cluster_disk_is_silent(&control, known->node);
	known->waiting_ms = cluster_disk_waiting_ms(&control, known->node);
	/* Shard 1 is core 1's there. */
	known->unfit = cluster_is_unfit(&cores[1], known->node, 1);
}

static struct known known_of(uint16_t node)
{
	struct known known = {.node = node};
	ck_assert(sim_node_run(machine, look, &known));
	return known;
}

#define ASSERT_KNOWN(of, is_silent, ms)                                                            \
	do {                                                                                       \
		struct known known_ = known_of(of);                                                \
		ck_assert_int_eq(known_.silent, is_silent);                                        \
		ck_assert_uint_eq(known_.waiting_ms, ms);                                          \
	} while (0)

START_TEST(a_short_wait_is_none)
{
	core_looks(1, SILENT_MS - 1);
	ASSERT_KNOWN(SELF, false, 0);
	core_looks(1, 0);
	ASSERT_KNOWN(SELF, false, 0);
}
END_TEST

START_TEST(a_long_one_is_known_at_once_grows_and_is_told_again)
{
	core_looks(1, SILENT_MS);
	ASSERT_KNOWN(SELF, true, SILENT_MS);
	ASSERT_KNOWN(OTHER, false, 0);
	two_cores_pass(AGAIN_MS - 1);
	core_looks(1, SILENT_MS + AGAIN_MS - 1);
	ASSERT_KNOWN(SELF, true, SILENT_MS + AGAIN_MS - 1);
	/* It was not told again yet; now it is, and counts for as long as the first time. */
	two_cores_pass(1);
	core_looks(1, SILENT_MS + AGAIN_MS);
	two_cores_pass(WORD_MS - 1);
	ASSERT_KNOWN(SELF, true, SILENT_MS + AGAIN_MS + WORD_MS - 1);
	two_cores_pass(1);
	ASSERT_KNOWN(SELF, false, 0);
}
END_TEST

START_TEST(when_it_is_over_that_is_told_at_once_and_counts_when_it_has_lasted)
{
	core_looks(1, SILENT_MS);
	two_cores_pass(100);
	core_looks(1, 0);
	ASSERT_KNOWN(SELF, true, 0);
	for (uint64_t ms = 0; ms < LASTS_MS - 100; ms += 100) {
		ASSERT_KNOWN(SELF, true, 0);
		two_cores_pass(100);
		core_looks(1, 0);
	}
	/* What was said last is forgotten a while later. */
	two_cores_pass(WORD_MS);
	core_looks(1, 0);
	ASSERT_KNOWN(SELF, false, 0);
}
END_TEST

START_TEST(of_the_cores_of_a_node_the_longest_wait_counts)
{
	other_says(0, 9000);
	other_says(1, 3000);
	ASSERT_KNOWN(OTHER, true, 9000);
	ck_assert(known_of(OTHER).unfit);
	two_cores_pass(AGAIN_MS);
	other_says(0, 0);
	ASSERT_KNOWN(OTHER, true, 0);
	other_says(1, 3000 + AGAIN_MS);
	ASSERT_KNOWN(OTHER, true, 3000 + AGAIN_MS);
	other_says(0, 0);
	ASSERT_KNOWN(OTHER, true, 3000 + AGAIN_MS);
	/* Which says no more, as its link is down, is forgotten. */
	two_cores_pass(WORD_MS - 1);
	other_says(0, 0);
	ASSERT_KNOWN(OTHER, true, 3000 + AGAIN_MS + WORD_MS - 1);
	two_cores_pass(1);
	ASSERT_KNOWN(OTHER, true, 0);
	ck_assert(!known_of(OTHER).unfit);
	two_cores_pass(WORD_MS);
	ASSERT_KNOWN(OTHER, false, 0);
	ASSERT_KNOWN(SELF, false, 0);
}
END_TEST

static void hears_nonsense(void *arg)
{
	static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0x7f};
	(void)arg;
	ck_assert_int_eq(
	    cluster_disk_told(&cores[1], &links[0], slice_of(bytes, sizeof(bytes))), ERR_PROTOCOL);
}

START_TEST(what_is_out_of_bounds_is_not_taken)
{
	ck_assert(sim_node_run(machine, hears_nonsense, NULL));
	ASSERT_KNOWN(OTHER, false, 0);
}
END_TEST

Suite *disk_suite(void)
{
	Suite *suite = suite_create("disk");
	TCase *all = tcase_create("disk");
	tcase_add_checked_fixture(all, set_up, two_cores_done);
	tcase_add_test(all, a_short_wait_is_none);
	tcase_add_test(all, a_long_one_is_known_at_once_grows_and_is_told_again);
	tcase_add_test(all, when_it_is_over_that_is_told_at_once_and_counts_when_it_has_lasted);
	tcase_add_test(all, of_the_cores_of_a_node_the_longest_wait_counts);
	tcase_add_test(all, what_is_out_of_bounds_is_not_taken);
	suite_add_tcase(suite, all);
	return suite;
}
