/* Other nodes' calls, and the directory's requests. */
#include "tests/unit/forward/suites.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/forward/rig.h"

static struct rig rig;
static char address[RIG_TEXT_BYTES];

static void open_led(uint32_t shard)
{
	rig_open(&rig, 3, NULL);
	rig_link_all(&rig);
	rig_lead(&rig, 2, shard, 5);
	rig_run(&rig);
	if (shard > 0)
		rig_address(shard, 0, address);
}

static void begin(struct rig_call *call, unsigned node, uint64_t order)
{
	rig_call_init(call, &rig, node, address, "add", order, 1000);
	rig_submit(call);
}

START_TEST(orders_of_different_nodes_are_different)
{
	struct rig_call a, b, local;
	open_led(1);
	begin(&a, 1, 7);
	begin(&b, 3, 7);
	begin(&local, 2, 7);
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 3);
	uint64_t orders[3] = {0};
	unsigned count = 0;
	LIST_FOR_EACH(at, &rig.nodes[2].submitted)
	orders[count++] = CONTAINER_OF(at, struct shard_call, link)->order;
	/* Which leadership they are for, goes with them. */
	LIST_FOR_EACH(at, &rig.nodes[2].submitted)
	{
		const struct shard_call *call = CONTAINER_OF(at, struct shard_call, link);
		if (call->forwarded)
			ck_assert_uint_eq(call->term, 5);
	}
	ck_assert(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2]);
	for (unsigned i = 0; i < 3; i++)
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	rig_call_done(&a);
	rig_call_done(&b);
	rig_call_done(&local);
	rig_close(&rig);
}
END_TEST

static int receive(unsigned node, enum forward_kind kind, const struct forward_message *message)
{
	static uint8_t span[4096];
	size_t at = 0;
	for (size_t i = 0; i < message->count; i++) {
		memcpy(span + at, message->iov[i].iov_base, message->iov[i].iov_len);
		at += message->iov[i].iov_len;
	}
	return forward_receive(rig.nodes[node].forward, 1, 0, (uint8_t)kind, slice_of(span, at));
}

static int receive_call_of(
    uint64_t id, uint64_t behind, uint64_t seen, const char *payload, size_t bytes)
{
	struct forward_message message;
	struct rig_call call;
	rig_call_init(&call, &rig, 1, address, "add", id, 1000);
	call.call.has_payload = bytes > 0;
	call.call.payload = slice_of(payload, bytes);
	ck_assert_int_eq(forward_call_write(&message,
	                     &(struct forward_numbers){
	                         .id = id, .behind = behind, .seen = seen, .timeout_ms = 1000},
	                     &call.call),
	    0);
	return receive(2, FORWARD_CALL, &message);
}

static int receive_call(uint64_t id, uint64_t behind, uint64_t seen)
{
	return receive_call_of(id, behind, seen, NULL, 0);
}

START_TEST(who_sends_more_than_agreed_is_turned_away)
{
	rig_open(&rig, 2, &(struct forward_options){.link_calls_max = 4});
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 5);
	rig_run(&rig);
	rig_address(1, 0, address);
	rig.room[2][1] = 0;
	for (uint64_t id = 1; id <= 6; id++)
		ck_assert_int_eq(receive_call(id, 0, 0), 0);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 4);
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).turned_away, 2);
	/* And who goes on so, not taking the answers, at last altogether. */
	int error = 0;
	for (uint64_t id = 7; id < 100 && !error; id++)
		error = receive_call(id, 0, 0);
	ck_assert_int_eq(error, ERR_PROTOCOL);
	rig_link_down(&rig, 1, 2);
	while (rig_first(&rig, 2))
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_close(&rig);
}
END_TEST

/* So much of this node's memory is another's to fill, whether it takes the answers or not. */
START_TEST(who_sends_more_bytes_than_agreed_is_turned_away)
{
	static const char payload[1000];
	rig_open(&rig, 2, &(struct forward_options){.link_bytes_max = sizeof(payload)});
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 5);
	rig_run(&rig);
	rig_address(1, 0, address);
	rig.room[2][1] = 0;
	for (uint64_t id = 1; id <= 3; id++)
		ck_assert_int_eq(receive_call_of(id, 0, 0, payload, sizeof(payload)), 0);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 1);
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).turned_away, 2);
	int error = 0;
	for (uint64_t id = 4; id < 100 && !error; id++)
		error = receive_call_of(id, 0, 0, payload, sizeof(payload));
	ck_assert_int_eq(error, ERR_PROTOCOL);
	rig_link_down(&rig, 1, 2);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	/* Nothing of it counts any more. */
	rig_link_up(&rig, 1, 2);
	rig.room[2][1] = UINT32_MAX;
	ck_assert_int_eq(receive_call_of(1, 0, 0, payload, sizeof(payload)), 0);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	forward_turn(rig.nodes[2].forward);
	ck_assert_int_eq(receive_call_of(2, 0, 0, payload, sizeof(payload)), 0);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 1);
	rig_link_down(&rig, 1, 2);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_close(&rig);
}
END_TEST

/* Else what names it as the one before would slip through. */
START_TEST(who_is_behind_a_refused_one_is_refused_however_many_there_are)
{
	enum { CALLS = 4 };
	rig_open(&rig, 2, &(struct forward_options){.link_calls_max = CALLS});
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 5);
	rig_run(&rig);
	rig_address(1, 0, address);
	rig.room[2][1] = 0;
	ck_assert_int_eq(receive_call(1, 0, 0), 0);
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	for (uint64_t id = 2; id < 2 + CALLS; id++)
		ck_assert_int_eq(receive_call(id, 0, 0), 0);
	ck_assert_int_eq(receive_call(2 + CALLS, 1, 0), 0);
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).turned_away, 0);
	/* There is room again. */
	while (rig_first(&rig, 2))
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	ck_assert_int_eq(receive_call(3 + CALLS, 2 + CALLS, 0), 0);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 0);
	rig_link_down(&rig, 1, 2);
	rig_close(&rig);
}
END_TEST

START_TEST(refusal_that_cannot_be_remembered_lets_nobody_through)
{
	enum { REMEMBERED = 2 };
	rig_open(&rig, 2, &(struct forward_options){.link_calls_max = 1});
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 5);
	rig_run(&rig);
	rig_address(1, 0, address);
	rig.room[2][1] = 0;
	for (uint64_t id = 1; id <= REMEMBERED + 1; id++) {
		ck_assert_int_eq(receive_call(id, 0, 0), 0);
		rig_refuse(&rig, 2, rig_first(&rig, 2));
	}
	/* Of others nothing has to be known. */
	ck_assert_int_eq(receive_call(REMEMBERED + 2, 0, 0), 0);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	ck_assert_int_eq(receive_call(REMEMBERED + 3, REMEMBERED + 1, 0), ERR_NOMEM);
	ck_assert_ptr_null(rig_first(&rig, 2));
	/* The next link knows nothing of it. */
	rig_link_down(&rig, 1, 2);
	rig_link_up(&rig, 1, 2);
	ck_assert_int_eq(receive_call(1, 0, 0), 0);
	ck_assert_int_eq(receive_call(2, 1, 0), 0);
	rig_link_down(&rig, 1, 2);
	while (rig_first(&rig, 2))
		rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_close(&rig);
}
END_TEST

START_TEST(numbers_that_cannot_be_end_the_link)
{
	struct forward_message message;
	open_led(1);
	ck_assert_int_eq(receive_call(5, 0, 0), 0);
	ck_assert_int_eq(receive_call(5, 0, 0), ERR_PROTOCOL);
	ck_assert_int_eq(receive_call(4, 0, 0), ERR_PROTOCOL);
	/* It has seen a refusal that never was. */
	ck_assert_int_eq(receive_call(6, 0, 1), ERR_PROTOCOL);
	/* Answers to what was never sent. */
	forward_reply_write(&message, &(struct forward_reply){.id = 1});
	ck_assert_int_eq(receive(2, FORWARD_REPLY, &message), ERR_PROTOCOL);
	forward_part_write(&message, 1, slice_from_text("x"));
	ck_assert_int_eq(receive(2, FORWARD_REPLY_PART, &message), ERR_PROTOCOL);
	forward_refusal_write(&message, &(struct forward_refusal){.id = 1});
	ck_assert_int_eq(receive(2, FORWARD_NOT_LEADER, &message), ERR_PROTOCOL);
	ck_assert_int_eq(
	    forward_receive(rig.nodes[2].forward, 1, 0, FORWARD_CALL, slice_from_text("\2")),
	    ERR_PROTOCOL);
	ck_assert_int_eq(
	    forward_receive(rig.nodes[2].forward, 1, 0, FORWARD_CALL, slice_from_text("\3")),
	    ERR_UNSUPPORTED);
	ck_assert_int_eq(
	    forward_receive(rig.nodes[2].forward, 1, 0, FORWARD_NEWS + 1, slice_from_text("\1")),
	    ERR_NOT_FOUND);
	rig_link_down(&rig, 1, 2);
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_close(&rig);
}
END_TEST

START_TEST(answer_for_a_link_that_is_gone_goes_to_nobody)
{
	struct rig_call call;
	open_led(1);
	begin(&call, 1, 7);
	rig_run(&rig);
	/* One answer waits for room, the next is not there yet, when the link breaks. */
	struct rig_call later;
	begin(&later, 1, 8);
	rig_run(&rig);
	rig.room[2][1] = 0;
	rig_answer(&rig, 2, rig_first(&rig, 2), "x");
	rig_run(&rig);
	rig_link_down(&rig, 1, 2);
	rig.room[2][1] = UINT32_MAX;
	rig_link_up(&rig, 1, 2);
	rig_answer(&rig, 2, rig_first(&rig, 2), "y");
	unsigned before = rig.messages;
	rig_run(&rig);
	/* Only who leads is told, by both. */
	ck_assert_uint_le(rig.messages - before, 2);
	ck_assert(rig_call_is(&call, STATUS_UNKNOWN_OUTCOME));
	ck_assert(rig_call_is(&later, STATUS_UNKNOWN_OUTCOME));
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).serving, 0);
	rig_call_done(&call);
	rig_call_done(&later);
	rig_close(&rig);
}
END_TEST

START_TEST(call_for_a_shard_of_another_core_is_refused)
{
	open_led(1);
	rig_address(1, 0, address);
	rig.cores = 2; /* shard 1 is core 1's now, and this is core 0 */
	ck_assert_int_eq(receive_call(1, 0, 0), 0);
	ck_assert_ptr_null(rig_first(&rig, 2));
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).serving, 1);
	rig.cores = 0;
	rig_turns(&rig);
	ck_assert_uint_eq(forward_figures(rig.nodes[2].forward).serving, 0);
	rig_close(&rig);
}
END_TEST

/* ---- Requests of the directory ---- */

static void end_request(struct rig_request *request)
{
	ck_assert(request->ended);
	buffer_done(&request->request.reply);
	buffer_done(&request->request.details);
}

static struct meta_request *first_request(unsigned node)
{
	struct list_node *first = list_first(&rig.nodes[node].requests);
	return first ? CONTAINER_OF(first, struct meta_request, link) : NULL;
}

static void answer_request(struct meta_request *request, const char *reply)
{
	list_remove(&request->link);
	request->status = STATUS_OK;
	ck_assert_int_eq(buffer_append_text(&request->reply, reply), 0);
	request->done(request);
}

START_TEST(request_is_answered_by_who_leads_the_directory)
{
	struct rig_request request = {0};
	uint8_t *bundle = mem_zalloc(1, BUNDLE_BYTES_MAX);
	ck_assert_ptr_nonnull(bundle);
	open_led(0);
	bundle[BUNDLE_BYTES_MAX - 1] = 'z';
	request.request.verb = META_APP_DEPLOY;
	request.request.bundle = slice_of(bundle, BUNDLE_BYTES_MAX);
	request.request.expected = slice_from_text(META_EXPECT_NONE);
	request.request.user = slice_from_text("default");
	forward_directory(rig.nodes[1].forward, &request.request);
	rig_run(&rig);
	struct meta_request *there = first_request(2);
	ck_assert_ptr_nonnull(there);
	ck_assert_int_eq(there->verb, META_APP_DEPLOY);
	ck_assert(slice_equal(there->bundle, request.request.bundle));
	ck_assert(slice_equal(there->expected, request.request.expected));
	/* It lasts longer than calls do. */
	rig_advance(&rig, 10 * CALL_TIMEOUT_MS);
	rig_run(&rig);
	ck_assert(!request.ended);
	answer_request(there, "{}");
	rig_run(&rig);
	ck_assert(request.ended);
	ck_assert_int_eq(request.request.status, STATUS_OK);
	ck_assert(slice_equal(buffer_view(&request.request.reply), slice_from_text("{}")));
	end_request(&request);
	mem_free(bundle);
	rig_close(&rig);
}
END_TEST

START_TEST(request_that_changes_is_not_repeated_and_one_that_reads_is)
{
	struct rig_request list = {.request = {.verb = META_APP_LIST}};
	struct rig_request change = {
	    .request = {.verb = META_APP_ROLLBACK, .app = {(const uint8_t *)"shop", 4}}};
	open_led(0);
	forward_directory(rig.nodes[1].forward, &list.request);
	forward_directory(rig.nodes[1].forward, &change.request);
	rig_run(&rig);
	rig_link_down(&rig, 1, 2);
	rig_run(&rig);
	ck_assert(change.ended);
	ck_assert_int_eq(change.request.status, STATUS_UNKNOWN_OUTCOME);
	ck_assert(!list.ended);
	rig_lead(&rig, 3, 0, 6);
	rig_run(&rig);
	answer_request(first_request(3), "[]");
	answer_request(first_request(2), "[]");
	answer_request(first_request(2), "{}");
	rig_run(&rig);
	ck_assert(list.ended);
	end_request(&list);
	end_request(&change);
	rig_close(&rig);
}
END_TEST

START_TEST(request_goes_elsewhere_when_refused_or_comes_back_here)
{
	struct rig_request request = {.request = {.verb = META_APP_LIST}};
	struct rig_request late = {.request = {.verb = META_APP_LIST}};
	open_led(0);
	forward_directory(rig.nodes[1].forward, &request.request);
	rig_run(&rig);
	rig_follow(&rig, 2, 0);
	struct meta_request *there = first_request(2);
	list_remove(&there->link);
	forward_refuse_directory(rig.nodes[2].forward, there);
	rig_run(&rig);
	ck_assert(!request.ended && !request.local);
	/* As the directory itself says it. */
	rig_lead(&rig, 3, 0, 6);
	rig_run(&rig);
	rig_follow(&rig, 3, 0);
	there = first_request(3);
	list_remove(&there->link);
	there->status = STATUS_UNAVAILABLE;
	there->leader_node = 1;
	there->done(there);
	rig_run(&rig);
	ck_assert(!request.ended && !request.local);
	rig_lead(&rig, 1, 0, 7);
	rig_run(&rig);
	ck_assert(request.local);
	rig_follow(&rig, 1, 0);
	forward_directory(rig.nodes[1].forward, &late.request);
	rig_run(&rig);
	rig_advance(&rig, CALL_TIMEOUT_MS);
	rig_run(&rig);
	ck_assert(late.ended);
	ck_assert_int_eq(late.request.status, STATUS_UNAVAILABLE);
	end_request(&late);
	rig_close(&rig);
}
END_TEST

Suite *served_suite(void)
{
	Suite *suite = suite_create("served");
	TCase *tcase = tcase_create("calls");
	tcase_add_test(tcase, orders_of_different_nodes_are_different);
	tcase_add_test(tcase, who_sends_more_than_agreed_is_turned_away);
	tcase_add_test(tcase, who_sends_more_bytes_than_agreed_is_turned_away);
	tcase_add_test(tcase, who_is_behind_a_refused_one_is_refused_however_many_there_are);
	tcase_add_test(tcase, refusal_that_cannot_be_remembered_lets_nobody_through);
	tcase_add_test(tcase, numbers_that_cannot_be_end_the_link);
	tcase_add_test(tcase, answer_for_a_link_that_is_gone_goes_to_nobody);
	tcase_add_test(tcase, call_for_a_shard_of_another_core_is_refused);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("requests");
	tcase_add_test(tcase, request_is_answered_by_who_leads_the_directory);
	tcase_add_test(tcase, request_that_changes_is_not_repeated_and_one_that_reads_is);
	tcase_add_test(tcase, request_goes_elsewhere_when_refused_or_comes_back_here);
	suite_add_tcase(suite, tcase);
	return suite;
}
