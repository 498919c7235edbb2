/* Garbage is collected in pieces, whoever made it and whenever: counted in the bytes that are freed
 * between two looks at a clock that says each time that the slice, or the turn, is over. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include <lua.h>

#define PIECE_BYTES_MAX ((uint64_t)1024 * 1024)
#define MANY_BYTES      ((uint64_t)8 * 1024 * 1024)

static const struct sandbox_budget long_budget = {
    .instructions = 100000000, .run_ns = UINT64_MAX / 2, .bytes = 64 * 1024 * 1024};

/* Makes 200 MiB, of which 2 MiB are used at any time. */
static const char wasteful[] = "local t = {}\n"
                               "for i = 1, 400000 do t[i % 4000 + 1] = ('%500d'):sub(1, 1)\n"
                               "  .. ('x'):rep(500) .. i end\n"
                               "return #t";

static void begin(struct sandbox *sandbox, struct sandbox_run *run, const char *source)
{
	ck_assert_int_eq(sandbox_run_begin(sandbox, &long_budget, run), 0);
	ck_assert_int_eq(sandbox_compile(run->lua, slice_from_text(source), "@test.lua"), 0);
}

START_TEST(what_a_run_leaves_behind_goes_in_pieces)
{
	struct sandbox *sandbox = harness_new(1);
	struct outcome outcome = harness_run(sandbox, &long_budget, 0, false,
	    "local t for i = 1, 100000 do t = { i, t } end return 'made'");
	ck_assert_str_eq(outcome.text, "made");
	uint64_t full = sandbox_bytes(sandbox), before = full;
	ck_assert_uint_gt(full, MANY_BYTES);
	harness_tick_ns = 1000000;
	/* The cycle that the run began, and another one. */
	for (int cycles = 0; cycles < 2; cycles += !sandbox_collect(sandbox)) {
		ck_assert_uint_lt(before - sandbox_bytes(sandbox), PIECE_BYTES_MAX);
		before = sandbox_bytes(sandbox);
	}
	ck_assert_uint_lt(sandbox_bytes(sandbox), full - MANY_BYTES);
	sandbox_free(sandbox);
}
END_TEST

/* Also the cycle that a run waits for, because it is above its memory. */
START_TEST(a_run_collects_in_pieces)
{
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_run run;
	int results, pauses_above = 0;
	begin(sandbox, &run, wasteful);
	harness_tick_ns = 2000;
	uint64_t before = sandbox_bytes(sandbox), most = 0;
	while (sandbox_run_resume(&run, 0, 1, &results) == SANDBOX_RUNNING) {
		uint64_t bytes = sandbox_bytes(sandbox);
		ck_assert_uint_lt(bytes < before ? before - bytes : 0, PIECE_BYTES_MAX);
		pauses_above += run.collects_until > 0;
		most = bytes > most ? bytes : most;
		before = bytes;
	}
	ck_assert_int_eq(run.end, SANDBOX_ENDED);
	ck_assert_uint_lt(most, long_budget.bytes + 2 * MANY_BYTES);
	ck_assert_int_gt(pauses_above, 100);
	sandbox_run_end(&run);
	sandbox_free(sandbox);
}
END_TEST

/* A run that waits is not ended because its garbage was found in a turn that was not its own. */
START_TEST(what_others_collect_is_to_the_credit_of_the_one_that_waits)
{
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_run holders[2], run;
	int results, waits = 0;
	harness_tick_ns = 2000;
	for (int k = 0; k < 2; k++) {
		begin(sandbox, &holders[k],
		    "local t = {} for i = 1, 50 do t[i] = ('x'):rep(1000000) .. i end\n"
		    "while true do end");
		for (int i = 0; i < 2000; i++)
			ck_assert_int_eq(
			    sandbox_run_resume(&holders[k], 0, 1, &results), SANDBOX_RUNNING);
	}
	ck_assert_uint_gt(sandbox_bytes(sandbox), 100000000);
	begin(sandbox, &run, wasteful);
	while (sandbox_run_resume(&run, 0, 1, &results) == SANDBOX_RUNNING) {
		if (run.collects_until == 0)
			continue;
		waits++;
		while (sandbox_collect(sandbox))
			continue;
	}
	ck_assert_int_eq(run.end, SANDBOX_ENDED);
	ck_assert_int_gt(waits, 0);
	sandbox_run_end(&run);
	for (int k = 0; k < 2; k++)
		sandbox_run_end(&holders[k]);
	sandbox_free(sandbox);
}
END_TEST

Suite *collect_suite(void)
{
	Suite *suite = suite_create("collect");
	TCase *tcase = tcase_create("collect");
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, what_a_run_leaves_behind_goes_in_pieces);
	tcase_add_test(tcase, a_run_collects_in_pieces);
	tcase_add_test(tcase, what_others_collect_is_to_the_credit_of_the_one_that_waits);
	suite_add_tcase(suite, tcase);
	return suite;
}
