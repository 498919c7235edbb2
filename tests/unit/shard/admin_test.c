/* What operators ask; and what happens to calls when memory, disk or data are not there. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/group.h"
#include "server/shard/records.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

static struct slice ask(struct test_call *call, enum shard_call_kind kind, const char *address)
{
	test_call_init(call, address, "", 0);
	call->call.kind = kind;
	test_call_submit(call);
	test_call_wait(call);
	return buffer_view(&call->call.reply);
}

static void expect_text(struct slice text, const char *wanted)
{
	ck_assert_msg(slice_equal(text, slice_from_text(wanted)), "%.*s", (int)text.bytes,
	    (const char *)text.data);
}

static void add(const char *address, uint64_t first, uint64_t last)
{
	struct test_call call;
	for (uint64_t id = first; id <= last; id++) {
		ck_assert_int_eq(test_call_run(&call, address, "add", id), STATUS_OK);
		test_call_done(&call);
	}
}

START_TEST(get_shows_the_state)
{
	struct test_call call;
	add("counter/c1", 3, 4);
	expect_text(ask(&call, SHARD_GET, "counter/c1"),
	    "{\"exists\":true,\"id\":\"c1\",\"revision\":2,\"state\":[3,4],\"type\":\"counter\"}");
	test_call_done(&call);
	expect_text(ask(&call, SHARD_GET, "counter/c2"),
	    "{\"exists\":false,\"id\":\"c2\",\"revision\":0,\"type\":\"counter\"}");
	test_call_done(&call);
}
END_TEST

static void expect_raw(enum shard_call_kind kind, const char *address, const char *wanted)
{
	struct test_call call;
	test_call_init(&call, address, "", 0);
	call.call.kind = kind;
	call.call.reply_encoding = HOST_MSGPACK;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_OK);
	struct slice reply = buffer_view(&call.call.reply);
	const char *from = kind == SHARD_HISTORY ? "\"data\"" : "{";
	ck_assert_ptr_nonnull(reply.data);
	const uint8_t *at = memmem(reply.data, reply.bytes, from, strlen(from));
	ck_assert_ptr_nonnull(at);
	expect_text(slice_of(at, reply.bytes - (size_t)(at - reply.data)), wanted);
	test_call_done(&call);
}

/* [3,4] and 9 in MessagePack, as the fake of the host writes them. */
START_TEST(states_and_events_are_shown_as_they_are_stored)
{
	add("counter/c1", 3, 4);
	expect_raw(SHARD_GET, "counter/c1",
	    "{\"exists\":true,\"id\":\"c1\",\"revision\":2,\"state\":"
	    "\"3AAC0wAAAAAAAAAD0wAAAAAAAAAE\",\"type\":"
	    "\"counter\",\"version\":1}");
	expect_raw(SHARD_GET, "counter/c2",
	    "{\"exists\":false,\"id\":\"c2\",\"revision\":0,\"type\":\"counter\"}");
	add("account/a1", 9, 9);
	expect_raw(SHARD_HISTORY, "account/a1",
	    "\"data\":\"0wAAAAAAAAAJ\",\"event\":\"did\",\"revision\":1,\"version\":1}]}");
}
END_TEST

START_TEST(get_shows_past_states_of_event_sourced_entities)
{
	struct test_call call;
	add("account/a1", 1, 25);
	for (uint64_t at = 1; at <= 25; at += 8) {
		test_call_init(&call, "account/a1", "", 0);
		call.call.kind = SHARD_GET;
		call.call.at_revision = at;
		test_call_submit(&call);
		test_call_wait(&call);
		ck_assert_int_eq(call.call.status, STATUS_OK);
		char last[32];
		snprintf(last, sizeof(last), "%u],\"type\"", (unsigned)at);
		struct slice text = buffer_view(&call.call.reply);
		ck_assert_msg(
		    text.data && memmem(text.data, text.bytes, last, strlen(last)) != NULL, "%.*s",
		    (int)text.bytes, (const char *)text.data);
		test_call_done(&call);
	}
	test_call_init(&call, "account/a1", "", 0);
	call.call.kind = SHARD_GET;
	call.call.at_revision = 26;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_NOT_FOUND);
	expect_text(buffer_view(&call.call.reply), "there is no revision 26 yet; the newest is 25");
	test_call_done(&call);
}
END_TEST

START_TEST(history_comes_in_pieces_in_order)
{
	struct test_call call;
	char cursor[32] = "";
	unsigned seen = 0, pieces = 0;
	add("account/a1", 1, 7);
	do {
		test_call_init(&call, "account/a1", "", 0);
		call.call.kind = SHARD_HISTORY;
		call.call.count = 3;
		call.call.cursor = slice_from_text(cursor);
		test_call_submit(&call);
		test_call_wait(&call);
		ck_assert_int_eq(call.call.status, STATUS_OK);
		char text[1024];
		struct slice reply = buffer_view(&call.call.reply);
		snprintf(text, sizeof(text), "%.*s", (int)reply.bytes, (const char *)reply.data);
		test_call_done(&call);
		pieces++;
		for (const char *at = text; (at = strstr(at, "\"data\":")) != NULL; at++) {
			char wanted[48];
			seen++;
			snprintf(wanted, sizeof(wanted),
			    "\"data\":%u,\"event\":\"did\",\"revision\":%u}", seen, seen);
			ck_assert_msg(strncmp(at, wanted, strlen(wanted)) == 0, "%s", text);
		}
		cursor[0] = '\0';
		const char *next = strstr(text, "{\"cursor\":\"");
		if (next)
			ck_assert_int_eq(sscanf(next, "{\"cursor\":\"%31[0-9]\"", cursor), 1);
	} while (cursor[0] != '\0');
	ck_assert_uint_eq(seen, 7);
	ck_assert_uint_eq(pieces, 3);
}
END_TEST

/* The reply without its times, which nobody can foretell. */
static void expect_history(const char *address, const char *wanted)
{
	struct test_call call;
	char text[2048];
	struct slice reply = ask(&call, SHARD_HISTORY, address);
	ck_assert_int_eq(call.call.status, STATUS_OK);
	size_t bytes = 0;
	for (size_t i = 0; i < reply.bytes && bytes < sizeof(text) - 1; i++) {
		if (reply.bytes - i > 5 && memcmp(reply.data + i, "\"at\":", 5) == 0)
			i = (size_t)((const uint8_t *)memchr(reply.data + i, ',', reply.bytes - i) -
			             reply.data);
		else
			text[bytes++] = (char)reply.data[i];
	}
	test_call_done(&call);
	expect_text(slice_of(text, bytes), wanted);
}

static enum status get_at(uint64_t revision, const char *wanted)
{
	struct test_call call;
	test_call_init(&call, "counter/c1", "", 0);
	call.call.kind = SHARD_GET;
	call.call.at_revision = revision;
	test_call_submit(&call);
	test_call_wait(&call);
	enum status status = call.call.status;
	if (wanted)
		expect_text(buffer_view(&call.call.reply), wanted);
	test_call_done(&call);
	return status;
}

START_TEST(a_value_entity_keeps_the_states_of_its_last_changes)
{
	static const char kept[] = "{\"entries\":[{\"revision\":3,\"state\":[1,2,3]},"
	                           "{\"revision\":4,\"state\":[1,2,3,4]},"
	                           "{\"revision\":5,\"state\":[1,2,3,4,5]}]}";
	host_fake_set_history(3);
	add("counter/c1", 1, 5);
	add("counter/c2", 7, 7);
	for (int round = 0; round < 2; round++) {
		expect_history("counter/c1", kept);
		expect_history("counter/c2", "{\"entries\":[{\"revision\":1,\"state\":[7]}]}");
		ck_assert_int_eq(
		    get_at(4, "{\"exists\":true,\"id\":\"c1\",\"revision\":4,\"state\":[1,2,3,4],"
		              "\"type\":\"counter\"}"),
		    STATUS_OK);
		ck_assert_int_eq(get_at(2, "there is no state of revision 2; the newest is 5, and "
		                           "older ones are not kept any more"),
		    STATUS_NOT_FOUND);
		ck_assert_int_eq(
		    get_at(6, "there is no revision 6 yet; the newest is 5"), STATUS_NOT_FOUND);
		if (round == 0)
			world_checkpoint();
		world_crash();
		world_boot();
		world_activate("fake:shop:1", 5);
	}
}
END_TEST

START_TEST(a_delete_is_kept_as_one_and_what_was_before_it_stays)
{
	struct test_call call;
	host_fake_set_history(3);
	add("counter/c1", 1, 2);
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "delete", 0), STATUS_OK);
	test_call_done(&call);
	expect_history("counter/c1",
	    "{\"entries\":[{\"revision\":1,\"state\":[1]},{\"revision\":2,\"state\":[1,2]},"
	    "{\"deleted\":true,\"revision\":3}]}");
	ck_assert_int_eq(get_at(2, NULL), STATUS_OK);
	add("counter/c1", 9, 9);
	ck_assert_int_eq(
	    get_at(3, "{\"exists\":false,\"id\":\"c1\",\"revision\":3,\"type\":\"counter\"}"),
	    STATUS_OK);
}
END_TEST

START_TEST(keeping_fewer_states_lets_some_go_with_each_change)
{
	host_fake_set_history(30);
	add("counter/c1", 1, 30);
	host_fake_set_history(2);
	add("counter/c1", 31, 32);
	ck_assert_int_eq(get_at(16, NULL), STATUS_NOT_FOUND);
	ck_assert_int_eq(get_at(17, NULL), STATUS_OK);
	add("counter/c1", 33, 34);
	ck_assert_int_eq(get_at(32, NULL), STATUS_NOT_FOUND);
	ck_assert_int_eq(get_at(33, NULL), STATUS_OK);
	host_fake_set_history(0);
	add("counter/c1", 35, 35);
	expect_history("counter/c1", "{\"entries\":[]}");
	ck_assert_int_eq(get_at(34, "there is no state of revision 34; the newest is 35, and this "
	                            "entity keeps no others (history)"),
	    STATUS_NOT_FOUND);
	host_fake_set_history(2);
	add("counter/c1", 36, 36);
	ck_assert_int_eq(get_at(35, NULL), STATUS_NOT_FOUND);
}
END_TEST

/* The revisions that a piece of a history has, as digits, and its cursor behind them. */
static enum status piece_of(const char *cursor, enum host_encoding encoding, char text[256])
{
	struct test_call call;
	test_call_init(&call, "counter/c1", "", 0);
	call.call.kind = SHARD_HISTORY;
	call.call.reply_encoding = encoding;
	call.call.cursor = slice_from_text(cursor);
	test_call_submit(&call);
	test_call_wait(&call);
	enum status status = call.call.status;
	struct slice reply = buffer_view(&call.call.reply);
	snprintf(text, 256, "%.*s", (int)(reply.bytes < 200 ? reply.bytes : 200),
	    (const char *)reply.data);
	if (status == STATUS_OK) {
		static const char revision[] = "\"revision\":";
		char next[2] = ".";
		if (strncmp(text, "{\"cursor\":", 10) == 0)
			next[0] = text[11];
		size_t bytes = 0;
		ck_assert_ptr_nonnull(reply.data);
		const uint8_t *at = reply.data, *end = at + reply.bytes;
		while ((at = memmem(at, (size_t)(end - at), revision, strlen(revision)))) {
			at += strlen(revision);
			text[bytes++] = (char)*at;
		}
		memcpy(text + bytes, next, sizeof(next));
	}
	test_call_done(&call);
	return status;
}

/* 3, 15 and 18 MiB as JSON: the second one comes alone, the third one as it is stored. */
START_TEST(a_history_says_which_revision_is_too_large_for_an_answer)
{
	static const uint64_t kib[] = {512, 2560, 3072, 512};
	char text[256];
	world.frame_bytes_max = 8 * MIB;
	world_crash();
	world_boot();
	world_activate("fake:shop:1", 5);
	host_fake_set_history(4);
	host_fake_set_change_bytes_max(3200 * KIB);
	for (size_t i = 0; i < 4; i++) {
		struct test_call call;
		ck_assert_int_eq(test_call_run(&call, "counter/c1", "wide", kib[i]), STATUS_OK);
		test_call_done(&call);
	}
	ck_assert_int_eq(piece_of("", HOST_JSON, text), STATUS_OK);
	ck_assert_str_eq(text, "12");
	ck_assert_int_eq(piece_of("2", HOST_JSON, text), STATUS_OK);
	ck_assert_str_eq(text, "23");
	ck_assert_int_eq(piece_of("3", HOST_JSON, text), STATUS_RESOURCE_EXHAUSTED);
	ck_assert_str_eq(text, "revision 3 is more than 16 MiB as JSON, which no answer has; AS "
	                       "msgpack (kalix-admin: --stored) gives it as it is stored");
	ck_assert_int_eq(piece_of("3", HOST_MSGPACK, text), STATUS_OK);
	ck_assert_str_eq(text, "34");
	ck_assert_int_eq(piece_of("4", HOST_JSON, text), STATUS_OK);
	ck_assert_str_eq(text, "4.");
	ck_assert_int_eq(get_at(3, "this state is more than 16 MiB as JSON, which no answer has; "
	                           "AS msgpack (kalix-admin: --stored) gives it as it is stored"),
	    STATUS_RESOURCE_EXHAUSTED);
}
END_TEST

START_TEST(what_no_app_has_is_refused_as_a_call_of_it_is)
{
	struct test_call call;
	struct slice text = ask(&call, SHARD_HISTORY, "acount/a1");
	ck_assert_int_eq(call.call.status, STATUS_UNIMPLEMENTED);
	expect_text(text, "no deployed app has a component 'acount'; did you mean account?");
	test_call_done(&call);
	text = ask(&call, SHARD_GET, "acount/a1");
	ck_assert_int_eq(call.call.status, STATUS_UNIMPLEMENTED);
	expect_text(text, "no deployed app has a component 'acount'; did you mean account?");
	test_call_done(&call);
	test_call_init(&call, "acount", "", 0);
	call.call.kind = SHARD_ENTITIES;
	call.call.shard = 1;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_UNIMPLEMENTED);
	test_call_done(&call);
}
END_TEST

START_TEST(time_does_not_go_back_over_a_restart_from_a_checkpoint)
{
	struct test_call call;
	add("account/a1", 1, 1);
	world_checkpoint();
	world_crash();
	sim_node_shift_clock(world.node, -INT64_C(3600) * 1000);
	world_boot();
	world_activate("fake:shop:1", 5);
	add("account/a1", 2, 2);
	struct slice reply = ask(&call, SHARD_HISTORY, "account/a1");
	char text[512];
	snprintf(text, sizeof(text), "%.*s", (int)reply.bytes, (const char *)reply.data);
	test_call_done(&call);
	int64_t at[2];
	ck_assert_int_eq(sscanf(text, "{\"entries\":[{\"at\":%" SCNd64, &at[0]), 1);
	const char *second = strstr(text, "},{\"at\":");
	ck_assert_ptr_nonnull(second);
	ck_assert_int_eq(sscanf(second, "},{\"at\":%" SCNd64, &at[1]), 1);
	ck_assert_int_ge(at[1], at[0]);
}
END_TEST

START_TEST(entities_are_listed_by_shard)
{
	struct test_call call;
	unsigned found = 0;
	char address[32];
	for (unsigned i = 0; i < 12; i++) {
		snprintf(address, sizeof(address), "counter/c%u", i);
		add(address, 1, 1);
	}
	ck_assert_int_eq(test_call_run(&call, "counter/c0", "delete", 0), STATUS_OK);
	test_call_done(&call);
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
		test_call_init(&call, "counter", "", 0);
		call.call.kind = SHARD_ENTITIES;
		call.call.shard = shard;
		test_call_submit(&call);
		test_call_wait(&call);
		ck_assert_int_eq(call.call.status, STATUS_OK);
		struct slice reply = buffer_view(&call.call.reply);
		for (size_t i = 0; i + 9 < reply.bytes; i++)
			found += memcmp(reply.data + i, "counter/c", 9) == 0;
		test_call_done(&call);
	}
	ck_assert_uint_eq(found, 11);
	expect_text(ask(&call, SHARD_LIST, "counter/c1"), "{\"name\":\"counter\"}");
	test_call_done(&call);
}
END_TEST

static uint64_t count(const char *type, uint32_t shard, uint64_t until_ns, bool *ret_all)
{
	struct test_call call;
	test_call_init(&call, type, "", 0);
	call.call.kind = SHARD_COUNT;
	call.call.shard = shard;
	call.call.until_ns = until_ns;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_OK);
	uint64_t counted = call.call.counted;
	*ret_all = call.call.counted_all;
	test_call_done(&call);
	return counted;
}

START_TEST(entities_are_counted_by_shard_those_that_exist)
{
	uint64_t sum = 0;
	char address[32];
	bool all;
	for (unsigned i = 0; i < 12; i++) {
		snprintf(address, sizeof(address), "counter/c%u", i);
		add(address, 1, 2);
		snprintf(address, sizeof(address), "account/c%u", i);
		add(address, 1, 1);
	}
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, "counter/c0", "delete", 0), STATUS_OK);
	test_call_done(&call);
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
		sum += count("counter", shard, UINT64_MAX, &all);
		ck_assert(all);
		/* A type that no app has may have entities all the same: there are none. */
		ck_assert_uint_eq(count("count", shard, UINT64_MAX, &all), 0);
		ck_assert(all);
	}
	ck_assert_uint_eq(sum, 11);
}
END_TEST

/* More of them than are counted at a time: all, or where time is up, those of the first piece. */
START_TEST(many_entities_are_counted_in_pieces_while_there_is_time)
{
	enum { MANY = 4100, PIECE = 4096 };
	char address[32];
	bool all;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(address, sizeof(address), "counter/{c}%u", i);
		add(address, 1, 1);
	}
	uint64_t sum = 0, in_time = 0;
	unsigned cut = 0;
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
		sum += count("counter", shard, UINT64_MAX, &all);
		ck_assert(all);
		in_time += count("counter", shard, 0, &all);
		cut += !all;
	}
	ck_assert_uint_eq(sum, MANY);
	ck_assert_uint_eq(in_time, PIECE);
	ck_assert_uint_eq(cut, 1);
}
END_TEST

START_TEST(a_cursor_that_is_none_is_refused)
{
	static char text[2000];
	struct test_call call;
	memset(text, 'x', sizeof(text));
	test_call_init(&call, "counter", "", 0);
	call.call.kind = SHARD_ENTITIES;
	call.call.shard = 1;
	call.call.cursor = slice_of(text, sizeof(text));
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_INVALID_ARGUMENT);
	test_call_done(&call);
}
END_TEST

static void fail_allocation(void *arg)
{
	mem_fail_at(*(uint64_t *)arg);
}

static bool is_done(void *arg)
{
	return ((struct test_call *)arg)->done;
}

START_TEST(whichever_allocation_fails_a_call_is_done_or_changed_nothing)
{
	struct test_call call;
	unsigned exhausted = 0;
	uint64_t last_failed = 0;
	add("account/a1", 1, 3);
	add("counter/c1", 1, 1);
	for (uint64_t nth = 1; nth <= 60; nth++) {
		const char *address = nth % 2 ? "counter/c1" : "account/a1";
		uint64_t before = world_get(address).revision;
		world_do(fail_allocation, &nth);
		test_call_init(&call, address, "add", 100 + nth);
		snprintf(call.token, sizeof(call.token), "t%u", (unsigned)nth);
		test_call_submit(&call);
		world_run_until(is_done, &call);
		if (mem_failed())
			last_failed = nth;
		mem_fail_at(0);
		ck_assert(
		    call.call.status == STATUS_OK || call.call.status == STATUS_RESOURCE_EXHAUSTED);
		exhausted += call.call.status == STATUS_RESOURCE_EXHAUSTED;
		ck_assert_uint_eq(
		    world_get(address).revision, before + (call.call.status == STATUS_OK ? 1 : 0));
		test_call_done(&call);
	}
	ck_assert_uint_gt(exhausted, 3);
	/* All of them, then: the last ones asked for did not come. */
	ck_assert_uint_lt(last_failed, 59);
	world_close();
	world_stop();
}
END_TEST

START_TEST(a_full_disk_refuses_changes_and_answers_queries)
{
	struct test_call call;
	add("counter/c1", 1, 2);
	sim_disk_set_capacity(world.node, 1);
	/* It is measured from time to time. */
	enum status status = STATUS_OK;
	for (unsigned i = 0; i < 900 && status == STATUS_OK; i++) {
		status = test_call_run(&call, "counter/c1", "add", 10 + i);
		test_call_done(&call);
	}
	ck_assert_int_eq(status, STATUS_RESOURCE_EXHAUSTED);
	ck_assert_uint_ge(world_get("counter/c1").revision, 2);
	sim_disk_set_capacity(world.node, 0);
	for (unsigned i = 0; i < 2000 && status != STATUS_OK; i++) {
		world_step(10);
		status = test_call_run(&call, "counter/c1", "add", 1000 + i);
		test_call_done(&call);
	}
	ck_assert_int_eq(status, STATUS_OK);
}
END_TEST

START_TEST(a_damaged_shard_says_so_and_the_others_go_on)
{
	struct test_call call;
	add("counter/c1", 1, 2);
	add("counter/c2", 1, 2);
	test_call_init(&call, "counter/c1", "get", 0);
	test_call_submit(&call);
	test_call_wait(&call);
	uint32_t shard = call.call.shard;
	test_call_done(&call);
	test_call_init(&call, "counter/c2", "get", 0);
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_uint_ne(call.call.shard, shard);
	test_call_done(&call);
	world_boot_damaged("counter/c1", shard);
	world_activate("fake:shop:1", 5);
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "get", 0), STATUS_DATA_LOSS);
	test_call_done(&call);
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "add", 9), STATUS_DATA_LOSS);
	test_call_done(&call);
	ck_assert_uint_eq(world_get("counter/c2").revision, 2);
	ck_assert_uint_eq(shards_figures(world.shards).closed, 1);
}
END_TEST

static void count_handler(void *arg, const struct shards_handler_figures *figures)
{
	if (slice_equal(figures->component, slice_from_text("counter")) &&
	    slice_equal(figures->handler, slice_from_text("fail")))
		*(struct shards_handler_figures *)arg = *figures;
}

START_TEST(each_handler_is_counted)
{
	struct test_call call;
	struct shards_handler_figures figures = {.calls = 0};
	for (unsigned i = 0; i < 3; i++) {
		(void)test_call_run(&call, "counter/c1", "fail", 0);
		test_call_done(&call);
	}
	shards_each_handler(world.shards, count_handler, &figures);
	ck_assert_uint_eq(figures.calls, 3);
	ck_assert_uint_eq(figures.errors, 3);
}
END_TEST

/* Of all shards together there is no figure: each is asked. */
static uint64_t work_of_all(void)
{
	uint64_t work = 0;
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++)
		work += shards_work(world.shards, shard);
	return work;
}

START_TEST(the_work_of_each_shard_is_counted)
{
	struct test_call call;
	uint64_t before[WORLD_SHARDS + 1], all = work_of_all();
	uint32_t worked = 0;
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++)
		before[shard] = shards_work(world.shards, shard);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(
		    test_call_run(&call, "counter/c1", i % 2 ? "get" : "add", 1), STATUS_OK);
		test_call_done(&call);
	}
	/* What no handler began for is none: it is not there. */
	(void)test_call_run(&call, "counter/c1", "nothing", 0);
	test_call_done(&call);
	ck_assert_uint_eq(work_of_all(), all + 5);
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++)
		worked += shards_work(world.shards, shard) > before[shard];
	ck_assert_uint_eq(worked, 1);
	ck_assert_uint_eq(shards_work(world.shards, 0), 0);
}
END_TEST

Suite *admin_suite(void)
{
	Suite *suite = suite_create("admin");
	TCase *tcase = tcase_create("admin");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_test(tcase, get_shows_the_state);
	tcase_add_test(tcase, states_and_events_are_shown_as_they_are_stored);
	tcase_add_test(tcase, get_shows_past_states_of_event_sourced_entities);
	tcase_add_test(tcase, history_comes_in_pieces_in_order);
	tcase_add_test(tcase, a_value_entity_keeps_the_states_of_its_last_changes);
	tcase_add_test(tcase, a_delete_is_kept_as_one_and_what_was_before_it_stays);
	tcase_add_test(tcase, keeping_fewer_states_lets_some_go_with_each_change);
	tcase_add_test(tcase, a_history_says_which_revision_is_too_large_for_an_answer);
	tcase_add_test(tcase, what_no_app_has_is_refused_as_a_call_of_it_is);
	tcase_add_test(tcase, time_does_not_go_back_over_a_restart_from_a_checkpoint);
	tcase_add_test(tcase, entities_are_listed_by_shard);
	tcase_add_test(tcase, entities_are_counted_by_shard_those_that_exist);
	tcase_add_test(tcase, many_entities_are_counted_in_pieces_while_there_is_time);
	tcase_add_test(tcase, a_cursor_that_is_none_is_refused);
	tcase_add_test(tcase, whichever_allocation_fails_a_call_is_done_or_changed_nothing);
	tcase_add_test(tcase, a_full_disk_refuses_changes_and_answers_queries);
	tcase_add_test(tcase, a_damaged_shard_says_so_and_the_others_go_on);
	tcase_add_test(tcase, each_handler_is_counted);
	tcase_add_test(tcase, the_work_of_each_shard_is_counted);
	suite_add_tcase(suite, tcase);
	return suite;
}
