/* server/meta/meta_recover.c: what the record of an unsafe recovery is made of can be read again,
 * whatever is said of replicas. */
#include "server/meta/meta_parts.h"
#include "server/meta/meta_records.h"
#include "tests/unit/meta/suites.h"
#include "tests/unit/meta/verbs_rig.h"

static struct meta_layout layout;
static struct meta_request request;

static enum status run(enum meta_verb verb)
{
	request.verb = verb;
	request.status = STATUS_OK;
	buffer_init(&request.reply, 4096);
	buffer_init(&request.details, 4096);
	bool good = meta_verb_run(&layout, &request);
	ck_assert_int_eq(good, request.status == STATUS_OK);
	buffer_done(&request.reply);
	buffer_done(&request.details);
	return request.status;
}

static enum status set_shard(uint32_t shard)
{
	static const struct meta_wanted both[] = {
	    {.node = 1, .voter = true}, {.node = 2, .voter = true}};
	request = (struct meta_request){.shard = shard,
	    .wanted = both,
	    .wanted_count = 2,
	    .expected_generation = layout.shards[shard].generation};
	return run(META_SHARD_SET);
}

static enum status recover(const struct meta_recovery *recoveries, size_t count)
{
	request = (struct meta_request){.recoveries = recoveries, .recovery_count = count};
	return run(META_RECOVER);
}

/* Nodes 1 and 2, which are in shard 1. */
static void set_up(void)
{
	verbs_begin(&layout);
	request = (struct meta_request){.node = verbs_node(2)};
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_OK);
	ck_assert_int_eq(set_shard(1), STATUS_OK);
}

static void tear_down(void)
{
	meta_layout_done(&layout);
}

/* 0: none is wanted there. */
static uint64_t replica(uint32_t shard, uint16_t node)
{
	for (uint32_t i = 0; i < layout.shards[shard].count; i++)
		if (cluster_replica_node(layout.shards[shard].replicas[i].replica) == node)
			return layout.shards[shard].replicas[i].replica;
	return 0;
}

/* As it is by followers, and by all at their next start. */
static void can_be_read(uint32_t shard)
{
	struct cluster_shard_record read;
	struct buffer record;
	buffer_init(&record, 4096);
	ck_assert_int_eq(meta_shard_encode(&layout.shards[shard], &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), cluster_shard_begin(&read)), 0);
	buffer_done(&record);
}

/* The directory has lost the end of its own log, by which they came. */
START_TEST(replicas_that_the_directory_has_not_heard_of_go_on_or_are_given_up)
{
	const uint64_t newer = cluster_replica_number(1, 9), gone = cluster_replica_number(2, 9);
	const struct meta_recovery recoveries[] = {
	    {.shard = 0,
	        .recovery = {.replica = 1, .term = 1001, .gives_up = true},
	        .given_up = {gone},
	        .given_up_count = 1},
	    {.shard = 1,
	        .recovery = {.replica = newer, .term = 1002, .gives_up = true},
	        .given_up = {gone},
	        .given_up_count = 1}};
	ck_assert_int_eq(recover(recoveries, 2), STATUS_OK);
	ck_assert_uint_eq(replica(1, 1), newer);
	can_be_read(1);
	/* What they had replaced does not come back, and their numbers are not used again. */
	ck_assert_uint_eq(replica(1, 2), 0);
	ck_assert_int_eq(set_shard(1), STATUS_OK);
	ck_assert_uint_gt(replica(1, 2), gone);
	can_be_read(1);
	ck_assert_uint_gt(replica(0, 2), gone);
	can_be_read(0);
}
END_TEST

/* Nothing of it is done. */
START_TEST(a_recovery_that_could_not_be_read_again_is_refused)
{
	static const struct meta_recovery wrong[] = {
	    {.recovery = {.replica = UINT64_MAX, .term = 1001, .index = 9}},
	    {.recovery = {.replica = INT64_MAX, .term = 1001, .index = 9}},
	    {.recovery = {.replica = 1, .term = UINT64_MAX, .index = 9}},
	    {.recovery = {.replica = 1, .term = 1001, .index = UINT64_MAX}},
	    {.recovery = {.replica = 1, .term = 1001, .index = 9, .committed = 10}},
	    {.recovery = {.replica = 7, .term = 1001}},
	    {.recovery = {.replica = 1, .term = 1001},
	        .given_up = {UINT64_MAX},
	        .given_up_count = 1}};
	uint64_t generation = layout.shards[1].generation;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct meta_recovery one = wrong[i];
		one.shard = 1;
		ck_assert_int_eq(recover(&one, 1), STATUS_INVALID_ARGUMENT);
		ck_assert_uint_eq(layout.shards[1].generation, generation);
	}
}
END_TEST

Suite *recover_record_suite(void)
{
	Suite *suite = suite_create("recover record");
	TCase *tcase = tcase_create("recover record");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, replicas_that_the_directory_has_not_heard_of_go_on_or_are_given_up);
	tcase_add_test(tcase, a_recovery_that_could_not_be_read_again_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
