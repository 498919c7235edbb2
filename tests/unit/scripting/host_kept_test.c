/* What a handler keeps in a file's variables, against all advice: a ctx, a state, a coroutine. None
 * of it reaches into a later call. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

#define ENDED "belongs to a call that has ended"

static const char ctx_source[] = "local kalix = require 'kalix'\n"
                                 "local kept = {}\n"
                                 "local uses = {\n"
                                 "  read = function() return kept.ctx.id end,\n"
                                 "  unknown = function() return kept.ctx.nothing end,\n"
                                 "  update = function() kept.ctx:update { n = 666 } end,\n"
                                 "  delete = function() kept.ctx:delete() end,\n"
                                 "  reply = function() kept.ctx:reply(1) end,\n"
                                 "  fail = function() kept.ctx:fail('NOT_FOUND', 'x') end,\n"
                                 "  emit = function() kept.ctx:emit('x', {}) end,\n"
                                 "  upvalue = function() return kept.id() end,\n"
                                 "}\n"
                                 "return kalix.value_entity 't' {\n"
                                 "  commands = {\n"
                                 "    keep = function(s, i, ctx)\n"
                                 "      kept.ctx, kept.id = ctx, function() return ctx.id end\n"
                                 "      ctx:update { n = 1 }\n"
                                 "      return kept.id()\n"
                                 "    end,\n"
                                 "    use = function(s, name, ctx)\n"
                                 "      assert(kept.ctx ~= ctx and ctx.id == 'b')\n"
                                 "      return select(2, pcall(uses[name])) or 'it worked'\n"
                                 "    end,\n"
                                 "  },\n"
                                 "  queries = { get = function(s) return s end, use = nil },\n"
                                 "}\n";

START_TEST(a_kept_ctx_is_that_of_no_later_call)
{
	static const char *const uses[] = {"\"read\"", "\"unknown\"", "\"update\"", "\"delete\"",
	    "\"reply\"", "\"fail\"", "\"emit\"", "\"upvalue\""};
	EXPECT_LOADED(&rig, rig_load_one(&rig, ctx_source));
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		EXPECT_REPLY(&rig, "t/a", "keep", NULL, "\"a\"");
		const char *got = rig_call(&rig, "t/b", "use", uses[i]);
		ck_assert_msg(got && strstr(got, ENDED), "%s: %s (%s)", uses[i], got, rig.message);
		ck_assert_int_eq(rig.change, HOST_UNCHANGED);
	}
	EXPECT_REPLY(&rig, "t/a", "get", NULL, "{\"n\":1}");
	EXPECT_REPLY(&rig, "t/b", "get", NULL, "nothing");
}
END_TEST

/* An event's handler that asks a kept ctx gets one answer, while its command runs, when that has
 * ended, and in a replay. (In dev mode the other interpreter has kept nothing: a fault.) */
START_TEST(a_kept_ctx_is_none_for_an_events_handler)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "local kalix = require 'kalix'\n"
	              "local kept = {}\n"
	              "return kalix.event_sourced_entity 't' {\n"
	              "  init = { seen = '' },\n"
	              "  commands = { a = function(s, i, ctx)\n"
	              "    kept.ctx = ctx\n"
	              "    ctx:emit('asked')\n"
	              "    return s.seen\n"
	              "  end },\n"
	              "  events = { asked = function(s)\n"
	              "    if not kept.ctx then s.seen = 'nothing kept' return end\n"
	              "    s.seen = select(2, pcall(function() return kept.ctx.command end))\n"
	              "  end },\n"
	              "}\n"));
	if (rig.mode == HOST_DEV) {
		EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "folding twice");
		return;
	}
	const char *shown = rig_call(&rig, "t/1", "a", NULL);
	ck_assert_msg(shown && strstr(shown, "an event's handler has no ctx"), "%s", shown);
	char stored[512];
	snprintf(stored, sizeof(stored), "{\"seen\":%s}", shown);
	ck_assert_str_eq(rig_state(&rig, "t/1"), stored);
	ck_assert_str_eq(rig_fold(&rig, "t/1"), stored);
}
END_TEST

START_TEST(a_kept_coroutine_is_dead_in_a_later_call)
{
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig,
	        "local kalix = require 'kalix'\n"
	        "local kept = {}\n"
	        "return kalix.value_entity 't' { commands = {\n"
	        "  keep = function(s, i, ctx)\n"
	        "    local function body()\n"
	        "      while true do coroutine.yield(ctx.id) end\n"
	        "    end\n"
	        "    kept.co, kept.wrapped = coroutine.create(body), coroutine.wrap(body)\n"
	        "    return { kept.wrapped(), coroutine.resume(kept.co) }\n"
	        "  end,\n"
	        "  use = function(s, i, ctx)\n"
	        "    return { coroutine.status(kept.co),\n"
	        "      select(2, coroutine.resume(kept.co)), select(2, pcall(kept.wrapped)) }\n"
	        "  end } }\n"));
	EXPECT_REPLY(&rig, "t/a", "keep", NULL, "[\"a\",true,\"a\"]");
	EXPECT_REPLY(&rig, "t/b", "use", NULL,
	    "[\"dead\",\"cannot resume a coroutine of another call\","
	    "\"cannot resume a coroutine of another call\"]");
}
END_TEST

/* Small states are plain tables, large ones are decoded when they are touched; in dev mode what a
 * handler has is a view. Whatever was kept shows what it was, and nothing that is done to it is
 * seen by a later call, nor stored. */
START_TEST(a_kept_state_is_a_copy_that_nobody_else_sees)
{
	static const char source[] =
	    "local kalix = require 'kalix'\n"
	    "local kept\n"
	    "local function fill(n)\n"
	    "  local s = { n = 1, list = {}, map = {} }\n"
	    "  for i = 1, n do s.list[i], s.map['key' .. i] = i, { text = ('x'):rep(50) } end\n"
	    "  return s\n"
	    "end\n"
	    "local function use(s, size, ctx)\n"
	    "  pcall(function() kept.n = 666 end)\n"
	    "  pcall(function() kept.list[1] = 666 end)\n"
	    "  pcall(function() kept.map.key1.text = 'changed' end)\n"
	    "  return { #kept.list, kept.map.key2.text == ('x'):rep(50), s.n, s.list[1],\n"
	    "    #s.map.key1.text, #s.list }\n"
	    "end\n"
	    "return {\n"
	    "  kalix.value_entity 't' { init = function(id) return fill(tonumber(id)) end,\n"
	    "    commands = {\n"
	    "      keep = function(s, i, ctx) kept = s s.n = 2 ctx:update(s) end,\n"
	    "      use = use },\n"
	    "    queries = { keep_query = function(s) kept = s return s.n end } },\n"
	    "  kalix.event_sourced_entity 'e' { init = function(id) return fill(tonumber(id)) "
	    "end,\n"
	    "    commands = {\n"
	    "      keep = function(s, i, ctx) kept = s ctx:emit('more') end,\n"
	    "      use = use },\n"
	    "    queries = { keep_query = function(s) kept = s return s.n end },\n"
	    "    events = { more = function(s) s.n = s.n + 1 end } },\n"
	    "}\n";
	static const char *const addresses[] = {"t/2", "t/40", "e/2", "e/40"};
	EXPECT_LOADED(&rig, rig_load(&rig, "app.lua",
	                        "local l = require 'main' return { name = 'shop', l[1], l[2] }",
	                        "main.lua", source, NULL));
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const char *address = addresses[i];
		char expected[64], state[8192];
		const char *size = strchr(address, '/') + 1;
		snprintf(expected, sizeof(expected), "[%s,true,2,1,50,%s]", size, size);
		ck_assert_ptr_nonnull(rig_call(&rig, address, "keep", NULL));
		snprintf(state, sizeof(state), "%s", rig_state(&rig, address));
		EXPECT_REPLY(&rig, address, "use", NULL, expected);
		EXPECT_REPLY(&rig, address, "keep_query", NULL, "2");
		EXPECT_REPLY(&rig, address, "use", NULL, expected);
		ck_assert_str_eq(rig_state(&rig, address), state);
	}
}
END_TEST

START_TEST(ctx_and_null_are_told_apart)
{
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                       "local schema = kalix.schema\n"
	                       "local function error_of(f) return select(2, pcall(f)) end\n"
	                       "return kalix.value_entity 't' {\n"
	                       "  state = schema.record { n = schema.optional(schema.integer) },\n"
	                       "  commands = {\n"
	                       "    show = function(s, i, ctx)\n"
	                       "      return { tostring(ctx), tostring(kalix.null), type(ctx),\n"
	                       "        ctx == kalix.null, getmetatable(ctx),\n"
	                       "        error_of(function() return kalix.null.id end),\n"
	                       "        error_of(function() kalix.null.id = 1 end),\n"
	                       "        error_of(function() ctx.id = 1 end) }\n"
	                       "    end,\n"
	                       "    null = function(s, i, ctx) ctx:update { n = kalix.null } end,\n"
	                       "    ctx = function(s, i, ctx) ctx:update { n = ctx } end,\n"
	                       "    any = function(s, i, ctx) return { ctx } end,\n"
	                       "  } }\n"));
	EXPECT_REPLY(&rig, "t/1", "show", NULL,
	    "[\"ctx\",\"null\",\"userdata\",false,false,"
	    "\"main.lua:10: attempt to index kalix.null\","
	    "\"main.lua:11: kalix.null can't be assigned to\","
	    "\"main.lua:12: ctx can't be assigned to\"]");
	EXPECT_REPLY(&rig, "t/1", "null", NULL, "nothing");
	EXPECT_REFUSED(
	    &rig, "t/1", "ctx", NULL, STATUS_INTERNAL, "n: expected integer, got userdata");
	EXPECT_REFUSED(&rig, "t/1", "any", NULL, STATUS_INTERNAL, "got userdata");
}
END_TEST

Suite *host_kept_suite(void)
{
	const TTest *const tests[] = {
	    a_kept_ctx_is_that_of_no_later_call,
	    a_kept_ctx_is_none_for_an_events_handler,
	    a_kept_coroutine_is_dead_in_a_later_call,
	    a_kept_state_is_a_copy_that_nobody_else_sees,
	    ctx_and_null_are_told_apart,
	};
	return suite_in_both_modes("host_kept", tests, sizeof(tests) / sizeof(tests[0]));
}
