/* What ctx does: effects, replies, failures, and what it knows. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

/* A value entity `t` with these commands and queries. */
static void load_value(const char *commands, const char *queries, const char *keys)
{
	static char source[16384];
	snprintf(source, sizeof(source),
	    "local kalix = require 'kalix'\nlocal schema = kalix.schema\n"
	    "return kalix.value_entity 't' { commands = { %s }, queries = { %s }, %s }",
	    commands, queries, keys);
	EXPECT_LOADED(&rig, rig_load_one(&rig, source));
}

/* An event-sourced entity `t`; `added` appends the event's n to the list state.l. */
static void load_events(const char *commands, const char *queries, const char *keys)
{
	static char source[16384];
	snprintf(source, sizeof(source),
	    "local kalix = require 'kalix'\nlocal schema = kalix.schema\n"
	    "return kalix.event_sourced_entity 't' { commands = { %s }, queries = { %s }, %s\n"
	    "state = schema.record { l = schema.list(schema.integer) }, init = { l = {} },\n"
	    "events = {\n"
	    "  added = { function(state, event) table.insert(state.l, event.n) end,\n"
	    "    schema = schema.record { n = schema.integer } },\n"
	    "  replaced = function(state, event) return { l = event.l } end,\n"
	    "  kept = function(state, event, meta)\n"
	    "    table.insert(state.l, meta.at); table.insert(state.l, meta.revision)\n"
	    "    if meta.name ~= 'kept' then error('name') end end,\n"
	    "} }",
	    commands, queries, keys);
	EXPECT_LOADED(&rig, rig_load_one(&rig, source));
}

#define EXPECT_OK(address, handler, payload)                                                       \
	ck_assert_msg(rig_call(&rig, address, handler, payload) != NULL, "%s: %s\n%s", handler,    \
	    rig.message, rig.traceback)

START_TEST(a_reply_is_a_returned_value_that_is_neither_nil_nor_ctx)
{
	load_value("a = function(s, i, ctx) return 5 end, b = function(s, i, ctx) return ctx end,"
	           "c = function(s, i, ctx) return ctx:update({ n = 1 }):reply('x') end,"
	           "d = function(s, i, ctx) ctx:reply(1); return 2 end,"
	           "e = function(s, i, ctx) return false end",
	    "", "");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "5");
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "c", NULL, "\"x\"");
	EXPECT_REPLY(&rig, "t/1", "d", NULL, "2");
	EXPECT_REPLY(&rig, "t/1", "e", NULL, "false");
}
END_TEST

START_TEST(a_reply_is_encoded_when_it_is_given)
{
	load_value(
	    "a = function(s, i, ctx) local t = { n = 1 }; ctx:reply(t); t.n = 2 end", "", "");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "{\"n\":1}");
}
END_TEST

START_TEST(a_reply_function_gets_the_state_that_the_commit_leaves)
{
	load_value("a = function(s, i, ctx) ctx:reply(function(state) return state.n + 100 end)\n"
	           "  s.n = 7; ctx:update(s) end,"
	           "d = function(s, i, ctx) ctx:delete():reply(function(state) return state.n end) "
	           "end,"
	           "u = function(s, i, ctx) ctx:reply(function(state) return state.n end) end",
	    "", "init = { n = 1 }");
	EXPECT_REPLY(&rig, "t/1", "u", NULL, "1");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "107");
	EXPECT_REPLY(&rig, "t/1", "u", NULL, "7");
	EXPECT_REPLY(&rig, "t/1", "d", NULL, "1");
}
END_TEST

START_TEST(a_reply_function_of_an_event_sourced_command_sees_its_events)
{
	load_events("a = function(s, i, ctx) ctx:reply(function(state) return #state.l end)\n"
	            "  ctx:emit('added', { n = 1 }):emit('added', { n = 2 }) end",
	    "", "");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "2");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "4");
}
END_TEST

START_TEST(update_copies_at_the_call)
{
	load_value("a = function(s, i, ctx) s.n = 2; ctx:update(s); s.n = 3 end",
	    "get = function(s) return s.n end", "init = { n = 1 }");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "2");
}
END_TEST

START_TEST(of_update_and_delete_the_later_one_wins)
{
	load_value("ud = function(s, i, ctx) ctx:update({ n = 2 }):delete() end,"
	           "du = function(s, i, ctx) ctx:delete():update({ n = 3 }) end",
	    "get = function(s) return s.n end", "init = { n = 1 }");
	EXPECT_REPLY(&rig, "t/1", "ud", NULL, "nothing");
	ck_assert_int_eq(rig.change, HOST_UNCHANGED); /* there was nothing to delete */
	EXPECT_REPLY(&rig, "t/1", "du", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "3");
	EXPECT_REPLY(&rig, "t/1", "ud", NULL, "nothing");
	ck_assert_int_eq(rig.change, HOST_DELETED);
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "1");
	ck_assert_uint_eq(rig_entity(&rig, "t/1")->revision, 2);
}
END_TEST

START_TEST(a_change_before_a_failure_is_forgotten)
{
	load_value("a = function(s, i, ctx) s.n = 9; ctx:update(s); ctx:fail('ABORTED', 'no') end,"
	           "b = function(s, i, ctx) s.n = 9; ctx:update(s); error('boom') end",
	    "get = function(s) return s.n end", "init = { n = 1 }");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_ABORTED, "no");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INTERNAL, "t.b failed at main.lua:3");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "1");
	ck_assert(!rig_entity(&rig, "t/1")->exists);
}
END_TEST

START_TEST(emit_shows_the_event_in_state)
{
	load_events("a = function(s, i, ctx) local l = s.l; local before = #s.l\n"
	            "  ctx:emit('added', { n = 4 })\n"
	            "  return { before, #s.l, #l, s.l[1] } end",
	    "", "");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "[0,1,1,4]");
}
END_TEST

START_TEST(emit_encodes_at_the_call)
{
	load_events("a = function(s, i, ctx) local e = { n = 4 }; ctx:emit('added', e); e.n = 5\n"
	            "  ctx:emit('added', e) end",
	    "get = function(s) return s.l end", "");
	EXPECT_OK("t/1", "a", NULL);
	ck_assert_uint_eq(rig.event_count, 2);
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[4,5]");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"l\":[4,5]}");
}
END_TEST

START_TEST(an_event_that_replaces_the_state_shows_in_state)
{
	load_events("a = function(s, i, ctx) ctx:emit('replaced', { l = { 7, 8 } })\n"
	            "  ctx:emit('added', { n = 9 }); return s.l end",
	    "get = function(s) return s.l end", "");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "[7,8,9]");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[7,8,9]");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"l\":[7,8,9]}");
}
END_TEST

START_TEST(an_event_makes_the_state_where_it_was_nil)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                                       "return kalix.event_sourced_entity 't' {\n"
	                                       "  commands = { a = function(s, i, ctx) "
	                                       "ctx:emit('made', { n = 1 }):emit('made', { n "
	                                       "= 2 }); return s == nil end },\n"
	                                       "  queries = { get = function(s) return s end },\n"
	                                       "  events = { made = function(s, e) return { n = (s "
	                                       "and s.n or 0) + e.n } end } }"));
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "true");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":3}");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"n\":3}");
}
END_TEST

/* Each event meets the state as storing left the one before: defaults are there, aliases are not.
 * Otherwise it would count how many events a command emitted, or a replay folds at once. */
START_TEST(an_event_meets_what_was_stored_however_many_are_folded_at_once)
{
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig,
	        "local kalix = require 'kalix'\n"
	        "local s = kalix.schema\n"
	        "local item = s.record { name = s.string, q = s.optional(s.integer, 1) }\n"
	        "return kalix.event_sourced_entity 't' {\n"
	        "  state = s.record { items = s.map(s.string, item), last = s.optional(item) },\n"
	        "  init = { items = {} },\n"
	        "  commands = {\n"
	        "    add = function(s, i, ctx) ctx:emit('added', {}) end,\n"
	        "    more = function(s, i, ctx) ctx:emit('counted', {}) end,\n"
	        "    rename = function(s, i, ctx) ctx:emit('renamed', {}) end,\n"
	        "    all = function(s, i, ctx)\n"
	        "      ctx:emit('added', {}):emit('renamed', {})\n"
	        "    end },\n"
	        "  queries = { get = function(s) return s end },\n"
	        "  events = {\n"
	        "    added = function(s) s.items.pen = { name = 'pen' }; s.last = s.items.pen "
	        "end,\n"
	        "    counted = function(s) s.items.pen.q = s.items.pen.q + 1 end,\n"
	        "    renamed = function(s) s.last.name = 'last' end } }"));
	EXPECT_OK("t/1", "add", NULL);
	EXPECT_OK("t/1", "more", NULL);
	EXPECT_OK("t/1", "rename", NULL);
	static const char state[] = "{\"items\":{\"pen\":{\"name\":\"pen\",\"q\":2}},"
	                            "\"last\":{\"name\":\"last\",\"q\":1}}";
	ck_assert_str_eq(rig_state(&rig, "t/1"), state);
	ck_assert_ptr_nonnull(rig_fold(&rig, "t/1"));
	ck_assert_str_eq(rig_fold(&rig, "t/1"), state);
	EXPECT_OK("t/2", "all", NULL);
	static const char both[] = "{\"items\":{\"pen\":{\"name\":\"pen\",\"q\":1}},"
	                           "\"last\":{\"name\":\"last\",\"q\":1}}";
	ck_assert_str_eq(rig_state(&rig, "t/2"), both);
	ck_assert_str_eq(rig_fold(&rig, "t/2"), both);
}
END_TEST

START_TEST(events_know_when_and_which_they_are)
{
	load_events("a = function(s, i, ctx) ctx:emit('kept'):emit('kept') end",
	    "get = function(s) return s.l end", "");
	rig.now_ms = 5000;
	EXPECT_OK("t/1", "a", NULL);
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[5000,1,5000,2]");
	rig.now_ms = 6000;
	EXPECT_OK("t/1", "a", NULL);
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"l\":[5000,1,5000,2,6000,3,6000,4]}");
}
END_TEST

START_TEST(delete_may_follow_a_last_emit_and_counts_one)
{
	load_events("a = function(s, i, ctx) ctx:emit('added', { n = 1 }):delete() end,"
	            "b = function(s, i, ctx) ctx:delete():emit('added', { n = 1 }) end,"
	            "c = function(s, i, ctx) ctx:emit('added', { n = 1 }) end",
	    "get = function(s) return s.l end", "");
	EXPECT_OK("t/1", "c", NULL);
	EXPECT_OK("t/1", "a", NULL);
	ck_assert_int_eq(rig.change, HOST_DELETED);
	ck_assert_uint_eq(rig.event_count, 1);
	ck_assert_uint_eq(rig.revision, 3);
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[]");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INTERNAL, "ctx:emit comes after ctx:delete");
}
END_TEST

START_TEST(fail_passes_pcall_and_carries_details)
{
	load_value("a = function(s, i, ctx)\n"
	           "  pcall(function() ctx:fail('NOT_FOUND', 'no such thing', { left = 3 }) end)\n"
	           "  ctx:update({}) end,"
	           "b = function(s, i, ctx) ctx:fail('NO_SUCH_CODE', 'hm') end,"
	           "c = function(s, i, ctx) ctx:fail('INTERNAL', 'on purpose') end,"
	           "d = function(s, i, ctx) ctx:fail('DATA_LOSS', 'mine') end",
	    "", "");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_NOT_FOUND, "no such thing");
	ck_assert_str_eq(rig.details, "{\"left\":3}");
	ck_assert(!rig.is_fault);
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INTERNAL, "hm");
	ck_assert(rig.is_fault);
	EXPECT_REFUSED(&rig, "t/1", "c", NULL, STATUS_INTERNAL, "on purpose");
	EXPECT_REFUSED(&rig, "t/1", "d", NULL, STATUS_INTERNAL, "mine");
}
END_TEST

/* Otherwise pcall would go on, and what was to be refused would be done. */
START_TEST(fail_passes_pcall_whatever_it_is_given)
{
	load_value("a = function(s, i, ctx)\n"
	           "  pcall(function() ctx:fail('ABORTED', 'no', { x = ('x'):rep(5000) }) end)\n"
	           "  ctx:update({}) end,"
	           "b = function(s, i, ctx)\n"
	           "  pcall(ctx.fail, ctx, 'ABORTED', 'no', { f = print }) ctx:update({}) end,"
	           "c = function(s, i, ctx) pcall(ctx.fail, ctx, {}, {}) ctx:update({}) end,"
	           "d = function(s, i, ctx) ctx:fail('ABORTED', 42) end",
	    "get = function(s, i, ctx) return ctx.exists end", "");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "ctx:fail: details have more than");
	ck_assert(rig.is_fault);
	ck_assert_str_eq(rig.details, "");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INTERNAL, "ctx:fail: details: f: expected");
	EXPECT_REFUSED(&rig, "t/1", "c", NULL, STATUS_INTERNAL, "c refused this");
	EXPECT_REFUSED(&rig, "t/1", "d", NULL, STATUS_ABORTED, "42");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "false");
}
END_TEST

START_TEST(every_code_of_the_contract_may_be_given)
{
	load_value("a = function(s, i, ctx) ctx:fail(i, 'm') end", "", "");
	static const char *const codes[] = {"INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND",
	    "ALREADY_EXISTS", "ABORTED", "FAILED_PRECONDITION", "OUT_OF_RANGE",
	    "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "UNAVAILABLE"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		char payload[64];
		snprintf(payload, sizeof(payload), "\"%s\"", codes[i]);
		ck_assert_ptr_null(rig_call(&rig, "t/1", "a", payload));
		ck_assert_str_eq(status_name(rig.status), codes[i]);
		ck_assert_str_eq(rig.message, "m");
	}
}
END_TEST

START_TEST(ctx_knows_its_call)
{
	load_value("a = function(s, i, ctx) return { ctx.id, ctx.type, ctx.address, ctx.command,\n"
	           "  ctx.now, ctx.exists, ctx.revision, ctx.caller.kind, ctx.caller.name,\n"
	           "  ctx.caller.roles[1], next(ctx.metadata) == nil } end,"
	           "set = function(s, i, ctx) ctx:update({}) end",
	    "", "");
	rig.role = "clerk";
	rig.now_ms = 77;
	EXPECT_REPLY(&rig, "t/a/b", "a", NULL,
	    "[\"a/b\",\"t\",\"t/a/b\",\"a\",77,false,0,\"client\",\"ada\",\"clerk\",true]");
	EXPECT_OK("t/a/b", "set", NULL);
	EXPECT_REPLY(&rig, "t/a/b", "a", NULL,
	    "[\"a/b\",\"t\",\"t/a/b\",\"a\",77,true,1,\"client\",\"ada\",\"clerk\",true]");
}
END_TEST

START_TEST(an_outcome_tells_whether_its_time_was_looked_at)
{
	load_value("a = function(s, i, ctx) return ctx.now > 0 end,"
	           "b = function(s, i, ctx) ctx:fail('ABORTED', 'at ' .. kalix.time.now()) end,"
	           "c = function(s, i, ctx) return ctx.id end",
	    "q = function() return kalix.time.now() end, r = function(s, i, ctx) return 1 end", "");
	rig.now_ms = 77;
	static const char *const handlers[] = {"a", "c", "b", "c", "q", "r", "q"};
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		(void)rig_call(&rig, "t/1", handlers[i], NULL);
		ck_assert_int_ne(rig.status, STATUS_INTERNAL);
		ck_assert_int_eq(rig.saw_time, strchr("abq", handlers[i][0]) != NULL);
	}
}
END_TEST

START_TEST(a_wrong_method_says_what_to_use)
{
	load_value("a = function(s, i, ctx) ctx:emit('x', {}) end,"
	           "b = function(s, i, ctx) ctx:updat({}) end,"
	           "c = function(s, i, ctx) ctx.update({}) end,"
	           "d = function(s, i, ctx) ctx:send('t/2', 'a') end,"
	           "e = function(s, i, ctx) ctx.id = 'x' end,"
	           "f = function(s, i, ctx) ctx:update() end",
	    "q = function(s, i, ctx) ctx:update({}) end", "");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "ctx:update(state)");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INTERNAL, "did you mean update?");
	ck_assert_ptr_null(rig_call(&rig, "t/1", "c", NULL));
	ck_assert_ptr_nonnull(strstr(rig.traceback, "ctx:update(...)"));
	EXPECT_REFUSED(&rig, "t/1", "d", NULL, STATUS_INTERNAL,
	    "ctx:send is not in this version of Kalix yet");
	ck_assert_ptr_null(rig_call(&rig, "t/1", "e", NULL));
	EXPECT_REFUSED(&rig, "t/1", "f", NULL, STATUS_INTERNAL, "ctx:delete()");
	EXPECT_REFUSED(&rig, "t/1", "q", NULL, STATUS_INTERNAL, "q is a query");
	load_events("a = function(s, i, ctx) ctx:update({}) end,"
	            "b = function(s, i, ctx) ctx:emit('aded', {}) end",
	    "q = function(s, i, ctx) ctx:emit('added', { n = 1 }) end", "");
	EXPECT_REFUSED(&rig, "t/2", "a", NULL, STATUS_INTERNAL, "ctx:emit(name, event)");
	EXPECT_REFUSED(&rig, "t/2", "b", NULL, STATUS_INTERNAL, "did you mean added?");
	EXPECT_REFUSED(&rig, "t/2", "q", NULL, STATUS_INTERNAL, "q is a query");
}
END_TEST

START_TEST(a_kept_ctx_does_nothing_in_another_call)
{
	/* `kept` is a file's table; handlers should not do this, and find that it does not help. */
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "local kalix = require 'kalix'\nlocal kept = {}\n"
	              "return kalix.value_entity 't' { commands = {\n"
	              "  a = function(s, i, ctx) kept.ctx = ctx; ctx:update({ n = 1 }) end },\n"
	              "  queries = { get = function(s) return s end,\n"
	              "    b = function(s, i, ctx) return (pcall(function() kept.ctx:update({}) "
	              "end)) end } "
	              "}"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 4, "kept"));
	EXPECT_OK("t/1", "a", NULL);
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "false");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":1}");
}
END_TEST

START_TEST(the_ctx_of_a_paused_call_is_refused_in_another)
{
	/* Two calls at one time: the second one finds the first one's ctx. */
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "local kalix = require 'kalix'\nlocal kept = {}\n"
	              "return kalix.value_entity 't' { commands = {\n"
	              "  slow = function(s, i, ctx) kept.ctx = ctx; for n = 1, 50000 do end\n"
	              "    ctx:update({ n = 1 }) end,\n"
	              "  thief = function(s, i, ctx)\n"
	              "    return { pcall(function() kept.ctx:update({ n = 666 }) end) } end } }"));
	struct host_component *component = host_component(rig.bundle, slice_from_text("t"));
	struct host_request request = {.component = component,
	    .handler = host_handler(component, slice_from_text("slow")),
	    .address = slice_from_text("t/1"),
	    .caller = {.kind = slice_from_text("client")}};
	struct host_call *call;
	ck_assert_int_eq(host_call_begin(rig.host, &request, &call), 0);
	ck_assert_int_eq(host_call_run(call, 1), HOST_PAUSED);
	EXPECT_OK("t/2", "thief", NULL);
	ck_assert_ptr_nonnull(strstr(rig.reply, "another call"));
	while (host_call_run(call, 0) == HOST_PAUSED) {
	}
	const struct host_outcome *outcome = host_call_outcome(call);
	ck_assert_int_eq(outcome->change, HOST_UPDATED);
	ck_assert(slice_equal(outcome->state, slice_of("\x81\xa1n\x01", 4)));
	host_call_end(call);
}
END_TEST

Suite *host_effects_suite(void)
{
	const TTest *const tests[] = {
	    a_reply_is_a_returned_value_that_is_neither_nil_nor_ctx,
	    a_reply_is_encoded_when_it_is_given,
	    a_reply_function_gets_the_state_that_the_commit_leaves,
	    a_reply_function_of_an_event_sourced_command_sees_its_events,
	    update_copies_at_the_call,
	    of_update_and_delete_the_later_one_wins,
	    a_change_before_a_failure_is_forgotten,
	    emit_shows_the_event_in_state,
	    emit_encodes_at_the_call,
	    an_event_that_replaces_the_state_shows_in_state,
	    an_event_makes_the_state_where_it_was_nil,
	    an_event_meets_what_was_stored_however_many_are_folded_at_once,
	    events_know_when_and_which_they_are,
	    delete_may_follow_a_last_emit_and_counts_one,
	    fail_passes_pcall_and_carries_details,
	    fail_passes_pcall_whatever_it_is_given,
	    every_code_of_the_contract_may_be_given,
	    ctx_knows_its_call,
	    an_outcome_tells_whether_its_time_was_looked_at,
	    a_wrong_method_says_what_to_use,
	    a_kept_ctx_does_nothing_in_another_call,
	    the_ctx_of_a_paused_call_is_refused_in_another,
	};
	return suite_in_both_modes("host_effects", tests, sizeof(tests) / sizeof(tests[0]));
}
