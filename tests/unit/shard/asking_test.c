/* Reads of one connection at a replica that does not lead, where the leader answers one of them
 * after all (aside.c): what those behind it were told of how far the shard is committed is older
 * than that answer, so that they ask anew. On works that stand where the rules want them; how they
 * come there is cluster_sim's. */
#include <string.h>

#include "server/shard/shard_parts.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/suites.h"

enum { WORKS = 6, FORGOTTEN = 0 };

static struct shards shards;
static struct shard shard;
static struct entity entity;
static struct work works[WORKS];
static struct shard_call calls[WORKS];
static struct list due;
static bool takes;

static bool elsewhere(void *arg, struct shard_call *call, uint32_t number)
{
	(void)arg;
	(void)call;
	ck_assert_uint_eq(number, 3);
	return takes;
}

static void set_up(void)
{
	memset(&shards, 0, sizeof(shards));
	memset(&shard, 0, sizeof(shard));
	memset(&entity, 0, sizeof(entity));
	memset(works, 0, sizeof(works));
	memset(calls, 0, sizeof(calls));
	shards.options.elsewhere = elsewhere;
	list_init(&shards.ready);
	list_init(&entity.queue);
	list_init(&entity.aside);
	list_init(&due);
	shard.shards = &shards;
	shard.number = 3;
	takes = true;
}

/* The next one, which has asked. */
static struct work *add(unsigned number, enum work_stage stage, uint64_t order)
{
	struct work *work = &works[number];
	calls[number] = (struct shard_call){.anywhere = true, .order = order};
	*work = (struct work){.call = &calls[number],
	    .shard = &shard,
	    .entity = &entity,
	    .sequence = number + 1,
	    .stage = stage,
	    .is_aside = stage != WORK_QUEUED,
	    .question = 10 + number};
	list_node_init(&work->queue_link);
	list_node_init(&work->link);
	list_node_init(&work->due_link);
	list_push_back(work->is_aside ? &entity.aside : &entity.queue, &work->queue_link);
	list_push_back(&due, &work->due_link);
	return work;
}

START_TEST(who_asked_behind_one_that_the_leader_answers_asks_anew)
{
	struct work *proposed = add(0, WORK_PROPOSED, 1);
	struct work *leaves = add(1, WORK_QUEUED, 1);
	struct work *asks = add(2, WORK_ASKING, 1);
	struct work *waits = add(3, WORK_QUEUED, 1);
	struct work *other_asks = add(4, WORK_ASKING, 2);
	struct work *other_waits = add(5, WORK_QUEUED, 2);
	ck_assert(aside_hand_over(leaves));
	ck_assert_int_eq(leaves->stage, WORK_AWAY);
	ck_assert_uint_eq(asks->question, FORGOTTEN);
	ck_assert_uint_eq(waits->question, FORGOTTEN);
	/* Whoever came before it, or over another connection, has no order with it. */
	ck_assert_uint_eq(proposed->question, 10);
	ck_assert_uint_eq(other_asks->question, 14);
	ck_assert_uint_eq(other_waits->question, 15);
}
END_TEST

START_TEST(who_stays_here_makes_nobody_ask_anew)
{
	struct work *stays = add(0, WORK_QUEUED, 1);
	struct work *asks = add(1, WORK_ASKING, 1);
	struct work *waits = add(2, WORK_QUEUED, 1);
	/* Nobody is known to lead. */
	takes = false;
	ck_assert(!aside_hand_over(stays));
	ck_assert_int_eq(stays->stage, WORK_QUEUED);
	ck_assert_uint_eq(asks->question, 11);
	ck_assert_uint_eq(waits->question, 12);
}
END_TEST

/* It waits behind one that asks, and is not answered before that. */
START_TEST(who_only_waits_for_one_before_it_makes_nobody_ask_anew)
{
	struct work *asks = add(0, WORK_ASKING, 1);
	struct work *waits = add(1, WORK_QUEUED, 1);
	struct work *behind = add(2, WORK_QUEUED, 1);
	ck_assert(aside_hand_over(waits));
	ck_assert(waits->is_aside);
	ck_assert_int_eq(waits->stage, WORK_QUEUED);
	ck_assert_uint_eq(asks->question, 10);
	ck_assert_uint_eq(behind->question, 12);
}
END_TEST

START_TEST(those_behind_a_command_that_leaves_have_asked_nothing_that_counts)
{
	struct work *command = add(0, WORK_QUEUED, 1);
	struct work *behind = add(1, WORK_QUEUED, 1);
	/* It is never read here: those behind it wait for it, and ask when it is answered. */
	calls[0].anywhere = false;
	ck_assert(aside_hand_over(command));
	ck_assert_int_eq(command->stage, WORK_AWAY);
	bool is_behind = true;
	ck_assert(!aside_lets_read(behind, &is_behind));
}
END_TEST

Suite *asking_suite(void)
{
	Suite *suite = suite_create("asking");
	TCase *tcase = tcase_create("asking");
	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_test(tcase, who_asked_behind_one_that_the_leader_answers_asks_anew);
	tcase_add_test(tcase, who_stays_here_makes_nobody_ask_anew);
	tcase_add_test(tcase, who_only_waits_for_one_before_it_makes_nobody_ask_anew);
	tcase_add_test(tcase, those_behind_a_command_that_leaves_have_asked_nothing_that_counts);
	suite_add_tcase(suite, tcase);
	return suite;
}
