#include "tests/unit/meta/suites.h"

#include "base/mem.h"
#include "server/meta/load.h"
#include "server/meta/placement.h"

enum { SHARDS = 4 };

/* ---- Levels ---- */

START_TEST(a_level_is_right_within_an_eighth)
{
	ck_assert_uint_eq(load_level(LOAD_FLOOR - 1), 0);
	ck_assert_uint_eq(load_level(LOAD_FLOOR), 1);
	ck_assert_uint_eq(load_of_level(0), 0);
	for (uint64_t load = LOAD_FLOOR; load < UINT64_C(1) << 32; load += 1 + load / 37) {
		uint64_t said = load_of_level(load_level(load));
		FACT(said <= load);
		FACT(load - said <= load / 8);
	}
	for (unsigned level = 0; level <= UINT8_MAX; level++)
		FACT(load_level(load_of_level((uint8_t)level)) == level);
	ck_assert_uint_eq(load_level(UINT64_MAX), UINT8_MAX);
}
END_TEST

/* ---- Where a shard is led ---- */

START_TEST(a_meter_says_what_was_done_a_second_in_each_period)
{
	struct load_meter meter = {.at_ns = 0};
	uint8_t level = 0;
	/* What was done before it looked is none of its. */
	ck_assert(!load_meter_look(&meter, NS_PER_S, 1000000, &level));
	ck_assert(!load_meter_look(&meter, NS_PER_S + LOAD_PERIOD_NS - 1, 1001000, &level));
	ck_assert(load_meter_look(&meter, NS_PER_S + LOAD_PERIOD_NS, 1001000, &level));
	ck_assert_uint_eq(level, load_level(200));
	/* A period that was longer than it should: a second's work all the same. */
	ck_assert(load_meter_look(&meter, NS_PER_S + 3 * LOAD_PERIOD_NS, 1003000, &level));
	ck_assert_uint_eq(level, load_level(200));
}
END_TEST

START_TEST(what_is_below_the_floor_is_not_said)
{
	struct load_meter meter = {.at_ns = 0};
	uint64_t floor = LOAD_FLOOR * LOAD_PERIOD_NS / NS_PER_S;
	uint8_t level = 77;
	ck_assert(!load_meter_look(&meter, 1, 0, &level));
	ck_assert(!load_meter_look(&meter, 1 + LOAD_PERIOD_NS, floor - 1, &level));
	ck_assert_uint_eq(level, 77);
	ck_assert(load_meter_look(&meter, 1 + 2 * LOAD_PERIOD_NS, 2 * floor - 1, &level));
	ck_assert_uint_eq(level, 1);
}
END_TEST

START_TEST(a_meter_begins_anew_where_there_is_less_than_before)
{
	struct load_meter meter = {.at_ns = 0};
	uint8_t level;
	ck_assert(!load_meter_look(&meter, 1, 500, &level));
	ck_assert(!load_meter_look(&meter, 1 + LOAD_PERIOD_NS, 400, &level));
	ck_assert(load_meter_look(&meter, 1 + 2 * LOAD_PERIOD_NS, 900, &level));
	ck_assert_uint_eq(level, load_level(100));
}
END_TEST

/* ---- Where shards are placed ---- */

struct keeper {
	struct load_book book;
	uint64_t now_ns;
};

static void keep(struct keeper *keeper)
{
	*keeper = (struct keeper){.now_ns = NS_PER_S};
	ck_assert_int_eq(load_book_init(&keeper->book, SHARDS), 0);
	load_book_look(&keeper->book, keeper->now_ns);
}

/* Periods in which the shard does so much; 0: its leader says nothing. */
static void pass(struct keeper *keeper, unsigned periods, uint32_t shard, uint64_t load)
{
	for (unsigned i = 0; i < periods; i++) {
		if (load_level(load) > 0)
			load_book_say(&keeper->book, shard, load_level(load), keeper->now_ns);
		keeper->now_ns += LOAD_PERIOD_NS;
		load_book_look(&keeper->book, keeper->now_ns);
	}
}

static struct placement_input ask(const struct keeper *keeper, struct placement_shard *shards)
{
	struct placement_input input = {.rebalance = true};
	load_book_ask(&keeper->book, keeper->now_ns, shards, &input);
	return input;
}

START_TEST(what_is_said_is_shown_and_goes_when_nothing_is_said)
{
	struct keeper keeper;
	keep(&keeper);
	pass(&keeper, 1, 1, 1000);
	uint64_t full = load_of_level(load_level(1000));
	ck_assert_uint_eq(load_book_of(&keeper.book, 1), full);
	ck_assert_uint_eq(load_book_of(&keeper.book, 2), 0);
	pass(&keeper, LOAD_STEPS, 1, 1000);
	ck_assert_uint_eq(load_book_of(&keeper.book, 1), full);
	/* A change of leaders: for a while nobody says anything. */
	pass(&keeper, LOAD_SAID_NS / LOAD_PERIOD_NS - 1, 1, 0);
	ck_assert_uint_eq(load_book_of(&keeper.book, 1), full);
	pass(&keeper, LOAD_STEPS, 1, 0);
	ck_assert_uint_lt(load_book_of(&keeper.book, 1), full / 2);
	ck_assert_uint_gt(load_book_of(&keeper.book, 1), full / 4);
	pass(&keeper, 10 * LOAD_STEPS, 1, 0);
	ck_assert_uint_eq(load_book_of(&keeper.book, 1), 0);
	load_book_done(&keeper.book);
	load_book_done(&keeper.book);
}
END_TEST

START_TEST(a_moment_of_much_is_not_believed)
{
	struct keeper keeper;
	keep(&keeper);
	pass(&keeper, 2 * LOAD_STEPS, 1, 1000);
	pass(&keeper, 1, 1, 10000);
	ck_assert_uint_lt(load_book_of(&keeper.book, 1), 2000);
	pass(&keeper, 3 * LOAD_STEPS, 1, 10000);
	ck_assert_uint_gt(load_book_of(&keeper.book, 1), 7500);
	load_book_done(&keeper.book);
}
END_TEST

START_TEST(loads_that_stay_about_the_same_are_shown_as_the_same)
{
	struct keeper keeper;
	keep(&keeper);
	pass(&keeper, 2 * LOAD_STEPS, 1, 1000);
	uint64_t shown = load_book_of(&keeper.book, 1);
	for (unsigned i = 0; i < 200; i++) {
		pass(&keeper, 1, 1, i % 2 == 0 ? 700 : 1400);
		FACT(load_book_of(&keeper.book, 1) == shown);
	}
	/* About the floor it is not told and withdrawn in turn. */
	pass(&keeper, 10 * LOAD_STEPS, 1, LOAD_FLOOR);
	ck_assert_uint_eq(load_book_of(&keeper.book, 1), LOAD_FLOOR);
	for (unsigned i = 0; i < 200; i++) {
		pass(&keeper, 1, 1, i % 4 == 0 ? 0 : LOAD_FLOOR);
		FACT(load_book_of(&keeper.book, 1) == LOAD_FLOOR);
	}
	load_book_done(&keeper.book);
}
END_TEST

START_TEST(nothing_moves_for_loads_before_they_are_known)
{
	struct placement_shard shards[SHARDS] = {{.leader = 0}};
	struct keeper keeper;
	keep(&keeper);
	for (unsigned i = 0; i < LOAD_BEGIN_STEPS; i++) {
		struct placement_input input = ask(&keeper, shards);
		ck_assert_uint_eq(input.load_moves_max, 0);
		ck_assert(!input.load_replicas);
		pass(&keeper, 1, 1, 100);
	}
	struct placement_input input = ask(&keeper, shards);
	ck_assert_uint_eq(input.load_moves_max, LOAD_MOVES_MAX);
	ck_assert(input.load_replicas);
	ck_assert_uint_eq(shards[1].load, load_of_level(load_level(100)));
	ck_assert_uint_eq(shards[2].load, 0);
	load_book_done(&keeper.book);
}
END_TEST

START_TEST(between_moves_there_is_a_rest)
{
	static struct placement_plan plan;
	struct placement_shard shards[SHARDS] = {{.leader = 0}};
	struct keeper keeper;
	keep(&keeper);
	pass(&keeper, LOAD_BEGIN_STEPS, 1, 100);
	/* One that moves nothing for loads. */
	plan = (struct placement_plan){.transfer_count = 3};
	load_book_note(&keeper.book, keeper.now_ns, &plan);
	ck_assert_uint_gt(ask(&keeper, shards).load_moves_max, 0);
	plan.load_transfers = 2;
	load_book_note(&keeper.book, keeper.now_ns, &plan);
	load_book_led(&keeper.book, 2, keeper.now_ns);
	ck_assert_uint_eq(ask(&keeper, shards).load_moves_max, 0);
	keeper.now_ns += LOAD_REST_NS;
	struct placement_input input = ask(&keeper, shards);
	ck_assert_uint_gt(input.load_moves_max, 0);
	ck_assert(input.load_replicas);
	ck_assert(!shards[1].load_rests);
	ck_assert(shards[2].load_rests);
	plan = (struct placement_plan){.load_changes = 2};
	load_book_note(&keeper.book, keeper.now_ns, &plan);
	keeper.now_ns += LOAD_REST_NS;
	input = ask(&keeper, shards);
	ck_assert_uint_gt(input.load_moves_max, 0);
	ck_assert(!input.load_replicas);
	keeper.now_ns += LOAD_SHARD_REST_NS + LOAD_REPLICAS_REST_NS;
	ck_assert(ask(&keeper, shards).load_replicas);
	ck_assert(!shards[2].load_rests);
	load_book_done(&keeper.book);
}
END_TEST

START_TEST(without_memory_there_is_no_book)
{
	struct load_book book;
	mem_fail_at(1);
	ck_assert_int_eq(load_book_init(&book, SHARDS), ERR_NOMEM);
	ck_assert(mem_failed());
	mem_fail_at(0);
	load_book_done(&book);
}
END_TEST

Suite *load_suite(void)
{
	Suite *suite = suite_create("load");
	TCase *loads = tcase_create("loads");
	tcase_add_test(loads, a_level_is_right_within_an_eighth);
	tcase_add_test(loads, a_meter_says_what_was_done_a_second_in_each_period);
	tcase_add_test(loads, what_is_below_the_floor_is_not_said);
	tcase_add_test(loads, a_meter_begins_anew_where_there_is_less_than_before);
	tcase_add_test(loads, what_is_said_is_shown_and_goes_when_nothing_is_said);
	tcase_add_test(loads, a_moment_of_much_is_not_believed);
	tcase_add_test(loads, loads_that_stay_about_the_same_are_shown_as_the_same);
	tcase_add_test(loads, nothing_moves_for_loads_before_they_are_known);
	tcase_add_test(loads, between_moves_there_is_a_rest);
	tcase_add_test(loads, without_memory_there_is_no_book);
	suite_add_tcase(suite, loads);
	return suite;
}
