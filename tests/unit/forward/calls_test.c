/* A node's calls that others run. */
#include "tests/unit/forward/suites.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/forward/rig.h"

static struct rig rig;
static char address[RIG_TEXT_BYTES];

/* Node 2 leads shard 1 of three nodes. */
static void open_led(void)
{
	rig_open(&rig, 3, NULL);
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 5);
	rig_run(&rig);
	rig_address(1, 0, address);
}

static void begin(struct rig_call *call, const char *name, uint64_t timeout_ms)
{
	rig_call_init(call, &rig, 1, address, name, 7, timeout_ms);
	rig_submit(call);
}

static void check_reply(const struct rig_call *call, const char *text)
{
	ck_assert(slice_equal(buffer_view(&call->call.reply), slice_from_text(text)));
}

START_TEST(call_is_run_where_its_shard_is_led)
{
	struct rig_call call;
	open_led();
	rig_call_init(&call, &rig, 1, address, "add", 7, 5000);
	call.call.has_payload = true;
	call.call.payload = slice_from_text("{}");
	call.call.token = slice_from_text("t");
	rig_submit(&call);
	ck_assert_uint_eq(forward_figures(rig.nodes[1].forward).waiting, 1);
	rig_run(&rig);
	struct shard_call *there = rig_first(&rig, 2);
	ck_assert_ptr_nonnull(there);
	ck_assert(slice_equal(there->address, slice_from_text(address)));
	ck_assert(slice_equal(there->name, slice_from_text("add")));
	ck_assert(slice_equal(there->payload, slice_from_text("{}")));
	ck_assert(slice_equal(there->token, slice_from_text("t")));
	ck_assert(slice_equal(there->caller.kind, slice_from_text("client")));
	ck_assert(!there->queries_only);
	ck_assert_uint_eq(there->deadline_ns, call.call.deadline_ns);
	there->took_ns = 77;
	there->counted = 3;
	there->counted_all = true;
	memcpy(there->reference, "ref", 4);
	ck_assert_int_eq(buffer_append_text(&there->details, "{\"d\":1}"), 0);
	rig_answer(&rig, 2, there, "[1]");
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_OK) && call.call.has_reply);
	check_reply(&call, "[1]");
	ck_assert(slice_equal(buffer_view(&call.call.details), slice_from_text("{\"d\":1}")));
	ck_assert_str_eq(call.call.reference, "ref");
	ck_assert_uint_eq(call.call.took_ns, 77);
	ck_assert_uint_eq(call.call.counted, 3);
	ck_assert(call.call.counted_all);
	ck_assert_uint_eq(forward_figures(rig.nodes[1].forward).under_way, 0);
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(call_waits_for_a_leader_to_be_known)
{
	struct rig_call call;
	rig_open(&rig, 2, NULL);
	rig_link_all(&rig);
	rig_address(1, 0, address);
	begin(&call, "add", 100);
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 2));
	rig_advance(&rig, 40);
	rig_lead(&rig, 2, 1, 1);
	rig_run(&rig);
	struct shard_call *there = rig_first(&rig, 2);
	ck_assert_ptr_nonnull(there);
	/* What is left of its time. */
	ck_assert_uint_eq(there->deadline_ns, rig.now_ns + 60 * NS_PER_MS);
	rig_answer(&rig, 2, there, "x");
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_OK));
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(call_is_unavailable_where_nobody_leads_in_time)
{
	struct rig_call call, cut_off;
	open_led();
	rig_follow(&rig, 2, 1);
	rig_run(&rig);
	begin(&call, "add", 100);
	rig_advance(&rig, 99);
	rig_run(&rig);
	ck_assert(!call.ended);
	rig_advance(&rig, 1);
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_UNAVAILABLE));
	/* A leader that no link leads to is none. */
	rig_lead(&rig, 2, 1, 6);
	rig_run(&rig);
	rig_link_down(&rig, 1, 2);
	begin(&cut_off, "add", 100);
	rig_run(&rig);
	rig_advance(&rig, 100);
	rig_run(&rig);
	ck_assert(rig_call_is(&cut_off, STATUS_UNAVAILABLE));
	rig_call_done(&call);
	rig_call_done(&cut_off);
	rig_close(&rig);
}
END_TEST

START_TEST(call_that_finds_no_room_until_its_time_is_over_is_late)
{
	struct rig_call call;
	open_led();
	rig.room[1][2] = 0;
	begin(&call, "add", 100);
	rig_run(&rig);
	rig_advance(&rig, 100);
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_DEADLINE_EXCEEDED));
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(call_goes_when_there_is_room)
{
	struct rig_call call;
	open_led();
	rig.room[1][2] = 0;
	begin(&call, "add", 100);
	rig_run(&rig);
	ck_assert(rig.full[1][2]);
	rig.room[1][2] = 1;
	forward_room(rig.nodes[1].forward, 2, 0);
	rig_run(&rig);
	ck_assert_ptr_nonnull(rig_first(&rig, 2));
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_OK));
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

/* Nobody says when there is memory again, as they do of room. */
START_TEST(what_found_no_memory_is_sent_a_turn_later)
{
	enum { TURNS = 3 };
	struct rig_call call;
	open_led();
	rig.starved[1][2] = TURNS;
	begin(&call, "add", 5000);
	for (unsigned i = 0; i < TURNS; i++) {
		ck_assert_uint_eq(rig.starved[1][2], TURNS - i);
		ck_assert(forward_turn(rig.nodes[1].forward));
	}
	ck_assert_uint_eq(rig.starved[1][2], 0);
	rig_run(&rig);
	ck_assert_ptr_nonnull(rig_first(&rig, 2));
	rig.starved[2][1] = 1;
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert_uint_eq(rig.starved[2][1], 0);
	ck_assert(rig_call_is(&call, STATUS_OK));
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(command_whose_link_breaks_has_an_unknown_outcome)
{
	struct rig_call call;
	open_led();
	begin(&call, "add", 5000);
	rig_run(&rig);
	rig_link_down(&rig, 1, 2);
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_UNKNOWN_OUTCOME));
	/* Its answer is for nobody. */
	rig_link_up(&rig, 1, 2);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(query_whose_link_breaks_is_repeated_at_whoever_leads)
{
	struct rig_call call;
	open_led();
	rig.nodes[1].knows_queries = true;
	begin(&call, "get", 5000);
	rig_run(&rig);
	/* So that it can do nothing else there. */
	ck_assert(rig_first(&rig, 2)->queries_only);
	ck_assert(!call.call.queries_only);
	rig_link_down(&rig, 1, 2);
	rig_run(&rig);
	ck_assert(!call.ended);
	rig_lead(&rig, 3, 1, 6);
	rig_run(&rig);
	ck_assert_ptr_nonnull(rig_first(&rig, 3));
	rig_answer(&rig, 3, rig_first(&rig, 3), "x");
	rig_answer(&rig, 2, rig_first(&rig, 2), "old");
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_OK));
	check_reply(&call, "x");
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

/* As shards say it. */
static void say_it_is_a_command(struct shard_call *call)
{
	ck_assert(call->queries_only);
	list_remove(&call->link);
	call->status = STATUS_INVALID_ARGUMENT;
	call->not_query = true;
	ck_assert_int_eq(buffer_append_text(&call->reply, "a command"), 0);
	call->done(call);
}

START_TEST(query_that_is_a_command_where_it_comes_goes_as_one)
{
	struct rig_call call;
	open_led();
	rig.nodes[1].knows_queries = true;
	begin(&call, "get", 5000);
	rig_run(&rig);
	say_it_is_a_command(rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert(!call.ended);
	ck_assert(!rig_first(&rig, 2)->queries_only);
	rig_link_down(&rig, 1, 2);
	rig_run(&rig);
	/* It is one now. */
	ck_assert(rig_call_is(&call, STATUS_UNKNOWN_OUTCOME));
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_call_done(&call);

	/* Who asked for a query is told. */
	rig_link_up(&rig, 1, 2);
	rig_call_init(&call, &rig, 1, address, "get", 8, 5000);
	call.call.queries_only = true;
	rig_submit(&call);
	rig_run(&rig);
	say_it_is_a_command(rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_INVALID_ARGUMENT) && call.call.not_query);
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(query_that_is_a_command_does_not_go_behind_later_ones)
{
	struct rig_call query, command;
	open_led();
	rig.nodes[1].knows_queries = true;
	begin(&query, "get", 5000);
	begin(&command, "add", 5000);
	rig_run(&rig);
	say_it_is_a_command(rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert(rig_call_is(&query, STATUS_UNAVAILABLE));
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert(rig_call_is(&command, STATUS_OK));
	rig_call_done(&query);
	rig_call_done(&command);
	rig_close(&rig);
}
END_TEST

START_TEST(query_is_not_repeated_behind_a_command_of_its_lane)
{
	struct rig_call query, command;
	open_led();
	rig.nodes[1].knows_queries = true;
	begin(&query, "get", 5000);
	begin(&command, "add", 5000);
	rig_run(&rig);
	rig_link_down(&rig, 1, 2);
	rig_run(&rig);
	/* It would see what that command may have done. */
	ck_assert(rig_call_is(&query, STATUS_UNAVAILABLE));
	ck_assert(rig_call_is(&command, STATUS_UNKNOWN_OUTCOME));
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_call_done(&query);
	rig_call_done(&command);
	rig_close(&rig);
}
END_TEST

START_TEST(no_answer_in_time_is_an_unknown_outcome)
{
	struct rig_call command, query;
	open_led();
	begin(&command, "add", 100);
	rig_call_init(&query, &rig, 1, address, "get", 8, 100);
	query.call.queries_only = true;
	rig_submit(&query);
	rig_run(&rig);
	/* The leader's own word has a little more time. */
	rig_advance(&rig, 100);
	rig_run(&rig);
	ck_assert(!command.ended && !query.ended);
	rig_advance(&rig, FORWARD_GRACE_MS);
	rig_run(&rig);
	ck_assert(rig_call_is(&command, STATUS_UNKNOWN_OUTCOME));
	ck_assert(rig_call_is(&query, STATUS_UNAVAILABLE));
	rig_answer(&rig, 2, rig_first(&rig, 2), "late");
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig_run(&rig);
	rig_call_done(&command);
	rig_call_done(&query);
	rig_close(&rig);
}
END_TEST

START_TEST(large_answer_comes_whole)
{
	struct rig_call call;
	char *text = mem_alloc(REPLY_BYTES_MAX + 1);
	open_led();
	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < REPLY_BYTES_MAX; i++)
		text[i] = (char)('a' + i % 23);
	text[REPLY_BYTES_MAX] = 0;
	begin(&call, "get", 5000);
	rig_run(&rig);
	unsigned before = rig.messages;
	/* In pieces, with others between them. */
	rig.room[2][1] = 3;
	rig_answer(&rig, 2, rig_first(&rig, 2), text);
	rig_run(&rig);
	ck_assert(!call.ended);
	rig.room[2][1] = UINT32_MAX;
	forward_room(rig.nodes[2].forward, 1, 0);
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_OK));
	ck_assert(slice_equal(buffer_view(&call.call.reply), slice_from_text(text)));
	ck_assert_uint_eq(rig.messages - before, REPLY_BYTES_MAX / FORWARD_PART_BYTES_MAX);
	mem_free(text);
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(what_waits_is_bounded)
{
	struct rig_call calls[3];
	rig_open(&rig, 2, &(struct forward_options){.waiting_bytes_max = 2000});
	rig_address(1, 0, address);
	for (unsigned i = 0; i < 3; i++) {
		rig_call_init(&calls[i], &rig, 1, address, "add", i, 100);
		calls[i].call.has_payload = true;
		calls[i].call.payload = slice_from_text(
		    "                                                                          "
		    "                                                                          ");
		rig_submit(&calls[i]);
	}
	while (forward_figures(rig.nodes[1].forward).waiting_bytes < 2000) {
		static struct rig_call more[64];
		static unsigned count;
		ck_assert_uint_lt(count, 64);
		rig_call_init(&more[count], &rig, 1, address, "add", 99, 100);
		rig_submit(&more[count++]);
	}
	struct rig_call beyond;
	begin(&beyond, "add", 100);
	rig_turns(&rig);
	ck_assert(rig_call_is(&beyond, STATUS_RESOURCE_EXHAUSTED));
	rig_advance(&rig, 100);
	rig_run(&rig);
	ck_assert(rig_call_is(&calls[0], STATUS_UNAVAILABLE));
	for (unsigned i = 0; i < 3; i++)
		rig_call_done(&calls[i]);
	rig_call_done(&beyond);
	rig_close(&rig);
}
END_TEST

START_TEST(word_that_is_too_long_is_refused_here)
{
	static char word[FORWARD_WORD_BYTES_MAX + 1];
	struct rig_call call;
	open_led();
	rig_call_init(&call, &rig, 1, address, "add", 7, 100);
	call.call.name = slice_of(word, sizeof(word));
	rig_submit(&call);
	rig_run(&rig);
	ck_assert(rig_call_is(&call, STATUS_INVALID_ARGUMENT));
	rig_call_done(&call);
	rig_close(&rig);
}
END_TEST

START_TEST(what_is_under_way_on_a_link_is_bounded)
{
	struct rig_call calls[6];
	rig_open(&rig, 2, &(struct forward_options){.link_calls_max = 4});
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 1);
	rig_run(&rig);
	rig_address(1, 0, address);
	for (unsigned i = 0; i < 6; i++) {
		rig_call_init(&calls[i], &rig, 1, address, "add", i, 1000);
		rig_submit(&calls[i]);
	}
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 4);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 3);
	/* With half of it free the others go. */
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 4);
	for (unsigned i = 0; i < 4; i++)
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert(rig_call_is(&calls[i], STATUS_OK));
		rig_call_done(&calls[i]);
	}
	rig_close(&rig);
}
END_TEST

START_TEST(closing_ends_what_waits_and_waits_for_what_was_sent)
{
	struct rig_call sent, waiting, fresh;
	char other[RIG_TEXT_BYTES];
	open_led();
	begin(&sent, "add", 5000);
	rig_run(&rig);
	rig_address(2, 0, other);
	rig_call_init(&waiting, &rig, 1, other, "add", 7, 5000);
	rig_submit(&waiting);
	rig_run(&rig);
	forward_close(rig.nodes[1].forward);
	begin(&fresh, "add", 5000);
	rig_run(&rig);
	ck_assert(rig_call_is(&waiting, STATUS_UNAVAILABLE));
	ck_assert(rig_call_is(&fresh, STATUS_UNAVAILABLE));
	ck_assert(!sent.ended);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert(rig_call_is(&sent, STATUS_OK));
	rig_call_done(&sent);
	rig_call_done(&waiting);
	rig_call_done(&fresh);
	rig_close(&rig);
}
END_TEST

/* One call there and back, with the nth allocation failing. True: none was left to fail. */
static bool play_starved(uint64_t nth)
{
	struct rig_call call;
	open_led();
	rig_call_init(&call, &rig, 1, address, "add", 7, 1000);
	mem_fail_at(nth);
	rig_submit(&call);
	forward_turn(rig.nodes[1].forward);
	struct list_node *node = list_first(&rig.wires[1][2]);
	struct rig_message *message = node ? CONTAINER_OF(node, struct rig_message, node) : NULL;
	int error = 0;
	if (message)
		error = forward_receive(rig.nodes[2].forward, 1, 0, message->kind,
		    slice_of(message->data, message->bytes));
	bool failed = mem_failed();
	mem_fail_at(0);
	if (message) {
		list_remove(node);
		mem_free(message);
	}
	/* Without memory there the link has to end. */
	if (error) {
		ck_assert_int_eq(error, ERR_NOMEM);
		rig_link_down(&rig, 1, 2);
	}
	if (rig_first(&rig, 2))
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	ck_assert(call.ended);
	if (!failed)
		ck_assert_int_eq(call.call.status, STATUS_OK);
	else if (error)
		ck_assert_int_eq(call.call.status, STATUS_UNKNOWN_OUTCOME);
	else
		ck_assert_int_eq(call.call.status, STATUS_RESOURCE_EXHAUSTED);
	rig_call_done(&call);
	rig_close(&rig);
	return !failed;
}

START_TEST(missing_memory_is_told)
{
	uint64_t nth = 1;
	/* The rig's own allocation, of the message, is not to fail. */
	while (nth < 32) {
		if (nth != 4 && play_starved(nth))
			break;
		nth++;
	}
	ck_assert_uint_gt(nth, 4);
	ck_assert_uint_lt(nth, 32);
}
END_TEST

Suite *calls_suite(void)
{
	Suite *suite = suite_create("calls");
	TCase *tcase = tcase_create("calls");
	tcase_add_test(tcase, call_is_run_where_its_shard_is_led);
	tcase_add_test(tcase, call_waits_for_a_leader_to_be_known);
	tcase_add_test(tcase, call_is_unavailable_where_nobody_leads_in_time);
	tcase_add_test(tcase, call_that_finds_no_room_until_its_time_is_over_is_late);
	tcase_add_test(tcase, call_goes_when_there_is_room);
	tcase_add_test(tcase, command_whose_link_breaks_has_an_unknown_outcome);
	tcase_add_test(tcase, query_whose_link_breaks_is_repeated_at_whoever_leads);
	tcase_add_test(tcase, query_that_is_a_command_where_it_comes_goes_as_one);
	tcase_add_test(tcase, query_that_is_a_command_does_not_go_behind_later_ones);
	tcase_add_test(tcase, query_is_not_repeated_behind_a_command_of_its_lane);
	tcase_add_test(tcase, no_answer_in_time_is_an_unknown_outcome);
	tcase_add_test(tcase, large_answer_comes_whole);
	tcase_add_test(tcase, what_waits_is_bounded);
	tcase_add_test(tcase, word_that_is_too_long_is_refused_here);
	tcase_add_test(tcase, what_is_under_way_on_a_link_is_bounded);
	tcase_add_test(tcase, closing_ends_what_waits_and_waits_for_what_was_sent);
	tcase_add_test(tcase, missing_memory_is_told);
	tcase_add_test(tcase, what_found_no_memory_is_sent_a_turn_later);
	suite_add_tcase(suite, tcase);
	return suite;
}
