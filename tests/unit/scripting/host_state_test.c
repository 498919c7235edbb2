/* States: where they begin, who may change them, how they change over time, and that folds are
 * repeatable. */
#include "base/limits.h"
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

#define HEAD "local kalix = require 'kalix'\nlocal schema = kalix.schema\n"

static void load(const char *kind, const char *keys)
{
	static char source[16384];
	snprintf(source, sizeof(source), HEAD "return kalix.%s 't' { %s }", kind, keys);
	EXPECT_LOADED(&rig, rig_load_one(&rig, source));
}

#define GET "queries = { get = function(s) return s end }, "

/* ---- The beginning ---- */

START_TEST(init_is_a_table_that_is_copied)
{
	load("value_entity",
	    GET "init = { l = {}, n = 1 }, commands = { a = function(s, i, ctx) s.n = "
	        "s.n + 1; ctx:update(s) return s.n end }");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"l\":{},\"n\":1}");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "2");
	EXPECT_REPLY(&rig, "t/2", "a", NULL, "2");
}
END_TEST

START_TEST(init_is_a_function_of_the_id)
{
	load("value_entity", GET "init = function(id) return { id = id } end");
	EXPECT_REPLY(&rig, "t/a/b", "get", NULL, "{\"id\":\"a/b\"}");
}
END_TEST

START_TEST(without_init_the_schemas_defaults_count_if_every_field_has_one)
{
	load("value_entity",
	    GET "state = schema.record { n = schema.optional(schema.integer, 5), m = "
	        "schema.optional(schema.string) }");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":5}");
	load("value_entity", GET "state = schema.record { n = schema.integer }");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "nothing");
	load("value_entity", GET "version = 1");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "nothing");
}
END_TEST

START_TEST(defaults_fill_what_init_leaves_out)
{
	load("value_entity", GET
	    "state = schema.record { a = schema.integer, b = schema.optional(schema.integer, 2) },"
	    "init = function(id) return { a = 1 } end");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"a\":1,\"b\":2}");
}
END_TEST

START_TEST(init_must_fit_the_state)
{
	load("value_entity", GET "state = schema.record { n = schema.integer }, init = "
	                         "function(id) return { n = id } end");
	EXPECT_REFUSED(&rig, "t/x", "get", NULL, STATUS_INTERNAL, "n: expected integer");
	ck_assert(rig.is_fault);
}
END_TEST

START_TEST(exists_decides_before_the_handler_runs)
{
	load("value_entity",
	    "commands = { open = { function(s, i, ctx) ctx:update({}) end, exists = false },"
	    "touch = { function(s, i, ctx) ctx:update({}) end, exists = true },"
	    "close = { function(s, i, ctx) ctx:delete() end, exists = true } }");
	EXPECT_REFUSED(&rig, "t/1", "touch", NULL, STATUS_NOT_FOUND, "does not exist");
	EXPECT_REPLY(&rig, "t/1", "open", NULL, "nothing");
	EXPECT_REFUSED(&rig, "t/1", "open", NULL, STATUS_ALREADY_EXISTS, "exists already");
	EXPECT_REPLY(&rig, "t/1", "touch", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "close", NULL, "nothing");
	EXPECT_REFUSED(&rig, "t/1", "close", NULL, STATUS_NOT_FOUND, "does not exist");
	EXPECT_REPLY(&rig, "t/1", "open", NULL, "nothing");
}
END_TEST

/* ---- Who may change a state ---- */

START_TEST(dev_refuses_assignments_to_a_read_only_state)
{
	load("event_sourced_entity",
	    "init = { n = 1, l = { 1 } }, queries = { q = function(s) s.n = 2 end,"
	    "  r = function(s) table.insert(s.l, 5) end },"
	    "commands = { c = function(s, i, ctx) s.n = 2; ctx:emit('e') end,"
	    "  d = function(s, i, ctx) ctx:emit('e'); s.l[1] = 3 end,"
	    "  f = function(s, i, ctx) ctx:reply(function(state) state.n = 5 end) end },"
	    "events = { e = function(s) s.n = s.n + 1 end }");
	static const char *const names[] = {"q", "r", "c", "d", "f"};
	for (size_t i = 0; i < 5; i++) {
		ck_assert_ptr_null(rig_call(&rig, "t/1", names[i], NULL));
		ck_assert_int_eq(rig.status, STATUS_INTERNAL);
		ck_assert_ptr_nonnull(strstr(rig.traceback, "read-only"));
	}
}
END_TEST

START_TEST(dev_refuses_a_change_that_is_not_handed_over)
{
	load("value_entity", "init = { n = 1 }, commands = { a = function(s, i, ctx) s.n = 2 end,"
	                     "b = function(s, i, ctx) s.n = 2; s.n = 1 end,"
	                     "c = function(s, i, ctx) s.n = 2; ctx:delete() end,"
	                     "d = function(s, i, ctx) s.n = 2; ctx:fail('ABORTED', 'x') end }");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "without ctx:update");
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "c", NULL, "nothing");
	EXPECT_REFUSED(&rig, "t/1", "d", NULL, STATUS_ABORTED, "x");
}
END_TEST

START_TEST(production_forgets_what_is_not_handed_over)
{
	load("value_entity",
	    GET "init = { n = 1 }, commands = { a = function(s, i, ctx) s.n = 2 end }");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":1}");
}
END_TEST

START_TEST(production_keeps_what_the_events_make_and_nothing_else)
{
	load("event_sourced_entity",
	    GET "init = { n = 1 }, commands = { c = function(s, i, ctx) s.n = 100; s.x = 1; "
	        "ctx:emit('e'); s.n = 200 end }, events = { e = function(s) s.n = s.n + 1 end }");
	EXPECT_REPLY(&rig, "t/1", "c", NULL, "nothing");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":2}");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"n\":2}");
}
END_TEST

START_TEST(a_read_only_state_reads_as_a_table_does)
{
	load("event_sourced_entity",
	    "init = { l = kalix.list{ 3, 1, 2 }, m = { b = 1, a = 2 } },"
	    "queries = { q = function(s)\n"
	    "  local keys = {}\n"
	    "  for k in pairs(s.m) do keys[#keys + 1] = k end\n"
	    "  for i, v in ipairs(s.l) do keys[#keys + 1] = v end\n"
	    "  keys[#keys + 1] = #s.l; keys[#keys + 1] = next(s.m); keys[#keys + 1] = rawget(s.m, "
	    "'b')\n"
	    "  keys[#keys + 1] = table.concat(s.l, '-'); keys[#keys + 1] = type(s)\n"
	    "  return keys end }, events = { e = function() end }");
	EXPECT_REPLY(&rig, "t/1", "q", NULL, "[\"a\",\"b\",3,1,2,3,\"a\",1,\"3-1-2\",\"table\"]");
}
END_TEST

/* ---- Checks before commit and on the way out ---- */

START_TEST(state_events_and_output_are_checked)
{
	load("event_sourced_entity",
	    "state = schema.record { n = schema.integer { max = 2 } }, init = { n = 1 },"
	    "commands = { big = function(s, i, ctx) ctx:emit('set', { n = 3 }) end,"
	    "  bad = function(s, i, ctx) ctx:emit('set', { n = 'x' }) end,"
	    "  out = { function() return { a = 'x' } end, output = schema.record { a = "
	    "schema.integer } "
	    "},"
	    "  none = { function() end, output = schema.integer },"
	    "  maybe = { function() end, output = schema.optional(schema.integer) } },"
	    "events = { set = { function(s, e) s.n = e.n end, schema = schema.record { n = "
	    "schema.integer } } }");
	EXPECT_REFUSED(
	    &rig, "t/1", "big", NULL, STATUS_INTERNAL, "n: expected integer <= 2, got 3");
	EXPECT_REFUSED(&rig, "t/1", "bad", NULL, STATUS_INTERNAL, "event set: n: expected integer");
	EXPECT_REFUSED(&rig, "t/1", "out", NULL, STATUS_INTERNAL, "a: expected integer");
	EXPECT_REFUSED(&rig, "t/1", "none", NULL, STATUS_INTERNAL, "output");
	EXPECT_REPLY(&rig, "t/1", "maybe", NULL, "nothing");
	ck_assert(!rig_entity(&rig, "t/1")->exists);
}
END_TEST

START_TEST(input_is_checked_at_the_door)
{
	load("value_entity",
	    "commands = { a = { function(s, i) return i.n end, input = schema.record { n = "
	    "schema.optional(schema.integer, 4) } },"
	    "b = { function(s, i) return i end, input = schema.record { n = schema.integer } },"
	    "c = function(s, i) return i == nil end,"
	    "d = { function(s, i) return i end, input = schema.list(schema.integer) } }");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "4");
	EXPECT_REPLY(&rig, "t/1", "a", "{\"n\":5.0}", "5");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_INVALID_ARGUMENT, "expected record");
	EXPECT_REFUSED(&rig, "t/1", "b", "{\"n\":\"secret\"}", STATUS_INVALID_ARGUMENT,
	    "n: expected integer, got string");
	ck_assert_ptr_null(strstr(rig.message, "secret"));
	EXPECT_REFUSED(&rig, "t/1", "b", "{\"n\":", STATUS_INVALID_ARGUMENT, "");
	EXPECT_REFUSED(&rig, "t/1", "b", "{\"n\":1,\"m\":2}", STATUS_INVALID_ARGUMENT, "m");
	EXPECT_REPLY(&rig, "t/1", "c", NULL, "true");
	EXPECT_REPLY(&rig, "t/1", "d", "[]", "[]");
}
END_TEST

START_TEST(an_int64_survives_in_and_out)
{
	load("value_entity",
	    GET "commands = { a = function(s, i, ctx) ctx:update(i); return i end }");
	EXPECT_REPLY(&rig, "t/1", "a", "[9223372036854775807,-9223372036854775808]",
	    "[9223372036854775807,-9223372036854775808]");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[9223372036854775807,-9223372036854775808]");
}
END_TEST

START_TEST(the_list_mark_survives_storage)
{
	load("value_entity", GET "commands = { a = function(s, i, ctx) ctx:update(i) end }");
	EXPECT_REPLY(&rig, "t/1", "a", "{\"a\":[],\"b\":{},\"c\":null}", "nothing");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"a\":[],\"b\":{},\"c\":null}");
}
END_TEST

/* ---- Change over time ---- */

START_TEST(a_state_is_migrated_when_it_is_read)
{
	load("value_entity", GET "commands = { a = function(s, i, ctx) ctx:update(i) end }");
	EXPECT_REPLY(&rig, "t/1", "a", "{\"name\":\"x\"}", "nothing");
	load("value_entity",
	    GET "state = schema.record { first = schema.string, n = schema.integer, d = "
	        "schema.optional(schema.integer, 9) }, version = 3,"
	        "migrate = { [1] = function(s) return { first = s.name } end, [2] = function(s) "
	        "s.n = 1 end "
	        "}, commands = { touch = function(s, i, ctx) ctx:update(s) end }");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"d\":9,\"first\":\"x\",\"n\":1}");
	ck_assert_uint_eq(rig_entity(&rig, "t/1")->state_version, 1);
	EXPECT_REPLY(&rig, "t/1", "touch", NULL, "nothing");
	ck_assert_uint_eq(rig_entity(&rig, "t/1")->state_version, 3);
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"d\":9,\"first\":\"x\",\"n\":1}");
	load("value_entity",
	    GET "version = 1, downgrade = { [2] = function(s) s.down = true end, [3] = "
	        "function(s) s.n = nil end }");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"d\":9,\"down\":true,\"first\":\"x\"}");
	load("value_entity", GET "version = 2");
	EXPECT_REFUSED(
	    &rig, "t/1", "get", NULL, STATUS_INTERNAL, "has version 3, this app reads up to 2");
}
END_TEST

START_TEST(an_event_is_upcast_when_it_is_read)
{
	load("event_sourced_entity",
	    "init = { l = {} }, commands = { a = function(s, i, ctx) ctx:emit('e', i) end },"
	    "events = { e = function(s, e) table.insert(s.l, e.n) end }");
	EXPECT_REPLY(&rig, "t/1", "a", "{\"n\":1}", "nothing");
	load("event_sourced_entity",
	    "init = { l = {} }, commands = { a = function(s, i, ctx) ctx:emit('e', i) end },"
	    "events = { e = { function(s, e) table.insert(s.l, { e.m, e.d }) end, version = 3,"
	    "  schema = schema.record { m = schema.integer, d = schema.optional(schema.integer, 7) "
	    "},"
	    "  upcast = { [1] = function(e) return { k = e.n } end, [2] = function(e) e.m, e.k = "
	    "e.k * "
	    "10, nil end } } }");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"l\":[[10,7]]}");
	rig_entity(&rig, "t/1")->has_state = false;
	EXPECT_REPLY(&rig, "t/1", "a", "{\"m\":5}", "nothing");
	ck_assert_uint_eq(rig_entity(&rig, "t/1")->events[1].version, 3);
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"l\":[[10,7],[5,7]]}");
	load("event_sourced_entity",
	    "init = { l = {} }, " GET "events = { e = function(s, e) end }");
	ck_assert_ptr_null(rig_fold(&rig, "t/1"));
	ck_assert_ptr_nonnull(strstr(rig.message, "this app knows up to 1"));
}
END_TEST

START_TEST(snapshots_of_other_versions_are_used_only_where_steps_lead_here)
{
	load("event_sourced_entity",
	    "version = 3, migrate = { [2] = function(s) end }, downgrade = { "
	    "[4] = function(s) end }, " GET "events = { e = function() end }");
	struct host_component *component = host_component_at(rig.bundle, 0);
	ck_assert(!host_component_reads_version(component, 1));
	ck_assert(host_component_reads_version(component, 2));
	ck_assert(host_component_reads_version(component, 3));
	ck_assert(host_component_reads_version(component, 4));
	ck_assert(!host_component_reads_version(component, 5));
	ck_assert_uint_eq(host_component_snapshot_every(component), 100);
	load("value_entity", "version = 3, " GET);
	ck_assert(host_component_reads_version(host_component_at(rig.bundle, 0), 1));
}
END_TEST

START_TEST(a_value_entity_says_how_many_states_it_keeps)
{
	load("value_entity", "history = 7, " GET);
	ck_assert_uint_eq(host_component_history(host_component_at(rig.bundle, 0)), 7);
	load("value_entity", "history = true, " GET);
	ck_assert_uint_eq(host_component_history(host_component_at(rig.bundle, 0)), 100);
	load("value_entity", "history = false, " GET);
	ck_assert_uint_eq(host_component_history(host_component_at(rig.bundle, 0)), 0);
	/* Its events are kept in any case. */
	load("event_sourced_entity", "history = 7, " GET "events = { e = function() end }");
	ck_assert_uint_eq(host_component_history(host_component_at(rig.bundle, 0)), 0);
}
END_TEST

/* ---- Folds ---- */

START_TEST(a_long_history_folds_to_the_state_that_its_commands_left)
{
	load("event_sourced_entity", GET
	    "init = { n = 0 }, commands = { a = function(s, i, ctx)\n"
	    "  for n = 1, 500 do ctx:emit('e', { n = n }) end end },"
	    "events = { e = function(s, e, meta) s.n = (s.n * 31 + e.n + meta.revision) % 1000003 "
	    "end }");
	for (int i = 0; i < 4; i++)
		EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
	ck_assert_uint_eq(rig_entity(&rig, "t/1")->event_count, 2000);
	char before[200];
	snprintf(before, sizeof(before), "%s", rig_state(&rig, "t/1"));
	ck_assert_str_eq(rig_fold(&rig, "t/1"), before);
	ck_assert_uint_eq(host_figures(rig.host).events_folded, 2000);
}
END_TEST

START_TEST(an_impure_fold_is_found_in_dev)
{
	load("event_sourced_entity",
	    "init = { n = 0 }, commands = { a = function(s, i, ctx) ctx:emit('e') end },"
	    "events = { e = function(s) s.n = math.random(1 << 40) end }");
	ck_assert_ptr_null(rig_call(&rig, "t/1", "a", NULL));
	ck_assert_int_eq(rig.status, STATUS_INTERNAL);
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              HEAD "local count = 0\n"
	                   "return kalix.event_sourced_entity 't' { init = { n = 0 },\n"
	                   "commands = { a = function(s, i, ctx) ctx:emit('e') end },\n"
	                   "events = { e = function(s) count = count + 1; s.n = count end } }"));
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "folding twice gave two states");
	ck_assert(rig.is_fault);
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig, HEAD "local count = 0\n"
	                            "return kalix.value_entity 't' { " GET "\n"
	                            "init = function(id) for n = 1, #id do count = count + 1 end;\n"
	                            "return { n = count } end }"));
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "{\"n\":1}");
}
END_TEST

START_TEST(time_uuid_and_random_raise_in_pure_code)
{
	static const char *const calls[] = {
	    "kalix.time.now()", "kalix.uuid()", "kalix.random()", "math.random()"};
	for (size_t i = 0; i < 4; i++) {
		static char keys[1000];
		snprintf(keys, sizeof(keys),
		    "commands = { a = function(s, i, ctx) ctx:emit('e') end, b = function() return "
		    "%s ~= "
		    "nil end }, events = { e = function(s) return { n = %s } end }",
		    calls[i], calls[i]);
		load("event_sourced_entity", keys);
		ck_assert_ptr_null(rig_call(&rig, "t/1", "a", NULL));
		ck_assert_int_eq(rig.status, STATUS_INTERNAL);
		EXPECT_REPLY(&rig, "t/1", "b", NULL, "true");
		snprintf(
		    keys, sizeof(keys), GET "init = function(id) return { n = %s } end", calls[i]);
		load("value_entity", keys);
		ck_assert_ptr_null(rig_call(&rig, "t/1", "get", NULL));
		ck_assert_int_eq(rig.status, STATUS_INTERNAL);
	}
}
END_TEST

START_TEST(an_event_handler_that_fails_fails_the_command_even_under_pcall)
{
	load("event_sourced_entity",
	    "init = { n = 0 }, commands = { a = function(s, i, ctx) pcall(ctx.emit, ctx, 'e'); "
	    "return "
	    "kalix.time ~= nil end,"
	    "b = function(s, i, ctx) pcall(ctx.emit, ctx, 'e'); ctx:emit('f') end },"
	    "events = { e = function(s) s.n = 1; error('boom') end, f = function() end }");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "went on regardless");
	ck_assert_ptr_null(rig_call(&rig, "t/1", "b", NULL));
	ck_assert(!rig_entity(&rig, "t/1")->exists);
}
END_TEST

/* ---- Budgets and faults ---- */

START_TEST(a_handler_that_does_not_end_is_stopped)
{
	load("event_sourced_entity",
	    "init = {}, commands = { a = function() while true do end end,"
	    "b = function() while true do pcall(function() while true do end end) end end,"
	    "c = function(s, i, ctx) ctx:emit('e') end,"
	    "m = function() local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end end "
	    "},"
	    "events = { e = function() while true do end end }");
	static const char *const names[] = {"a", "b", "c", "m"};
	for (size_t i = 0; i < 4; i++)
		EXPECT_REFUSED(
		    &rig, "t/1", names[i], NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	ck_assert_uint_eq(host_figures(rig.host).exhausted, 4);
	ck_assert(!rig_entity(&rig, "t/1")->exists);
}
END_TEST

START_TEST(what_is_larger_than_its_limit_is_refused)
{
	EXPECT_LOADED(
	    &rig, rig_load(&rig, "app.lua",
	              "return { name = 'shop', limits = { state_bytes = 1000, payload_bytes "
	              "= 50 }, require 'main', require 'log' }",
	              "main.lua",
	              HEAD "return kalix.value_entity 't' { commands = {\n"
	                   "a = function(s, i, ctx) ctx:update({ x = ('x'):rep(i) }) end } }",
	              "log.lua",
	              HEAD "return kalix.event_sourced_entity 'u' { init = { x = '' },\n"
	                   "commands = { a = function(s, i, ctx) ctx:emit('e') end,\n"
	                   "m = function(s, i, ctx) for n = 1, 2000 do ctx:emit('e', "
	                   "('x'):rep(1000)) end end },\n"
	                   "events = { e = function(s) s.x = ('x'):rep(2000) end } }",
	              NULL));
	EXPECT_REPLY(&rig, "t/1", "a", "900", "nothing");
	EXPECT_REFUSED(&rig, "t/1", "a", "1000", STATUS_RESOURCE_EXHAUSTED,
	    "made a state of more than 1000 bytes");
	EXPECT_REFUSED(&rig, "t/1", "a", "100                                                ",
	    STATUS_RESOURCE_EXHAUSTED, "the payload has");
	EXPECT_REFUSED(&rig, "u/1", "a", NULL, STATUS_RESOURCE_EXHAUSTED,
	    "made a state of more than 1000 bytes");
	EXPECT_REFUSED(&rig, "u/1", "m", NULL, STATUS_RESOURCE_EXHAUSTED, "");
}
END_TEST

START_TEST(a_state_that_is_kept_is_told_its_own_limit)
{
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua",
	        "return { name = 'shop', limits = { state_bytes = 10485760 }, require 'main' }",
	        "main.lua",
	        HEAD "return kalix.value_entity 't' { history = 2, commands = {\n"
	             "a = function(s, i, ctx) ctx:update({ x = ('x'):rep(i) }) end } }",
	        NULL));
	EXPECT_REPLY(&rig, "t/1", "a", "6160000", "nothing");
	EXPECT_REFUSED(&rig, "t/1", "a", "6160384", STATUS_RESOURCE_EXHAUSTED,
	    "too large for a type with history: each change stores it twice");
}
END_TEST

START_TEST(a_fault_shows_its_place_and_no_text_of_others)
{
	load("value_entity", "commands = { a = function(s, i, ctx) error('card ' .. i) end,"
	                     "b = function(s, i, ctx) error({ code = i }) end,"
	                     "c = function(s, i, ctx) return i.x.y end,"
	                     "d = function(s, i, ctx) table.concat({ {} }) end,"
	                     "e = function(s, i, ctx) error(i, 0) end }");
	EXPECT_REFUSED(&rig, "t/1", "a", "\"4111\"", STATUS_INTERNAL, "t.a failed at main.lua:3");
	ck_assert(rig.is_fault);
	ck_assert_ptr_null(strstr(rig.message, "4111"));
	ck_assert_ptr_nonnull(strstr(rig.traceback, "main.lua:3"));
	EXPECT_REFUSED(&rig, "t/1", "b", "\"4111\"", STATUS_INTERNAL, "t.b failed at main.lua:3");
	EXPECT_REFUSED(&rig, "t/1", "c", "{\"q\":1}", STATUS_INTERNAL, "t.c failed at main.lua:3");
	EXPECT_REFUSED(&rig, "t/1", "d", NULL, STATUS_INTERNAL, "t.d failed at main.lua:3");
	EXPECT_REFUSED(&rig, "t/1", "e", "\"4111\"", STATUS_INTERNAL, "t.e failed at main.lua:3");
	ck_assert_ptr_null(strstr(rig.message, "4111"));
	ck_assert_uint_eq(host_figures(rig.host).faults, 5);
}
END_TEST

START_TEST(a_slice_that_is_over_pauses_the_call)
{
	load("event_sourced_entity",
	    "init = { n = 0 }, commands = { a = function(s, i, ctx)\n"
	    "  local x = 0 for n = 1, 30000 do x = x + n end ctx:emit('e', { x = x })\n"
	    "  for n = 1, 30000 do x = x + n end return s.n end },"
	    "events = { e = function(s, e) for n = 1, 30000 do e.x = e.x + n end s.n = e.x end }");
	rig.slice_us = 50;
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "900030000");
	ck_assert_uint_gt(rig.pauses, 0);
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "900030000");
	rig.slice_us = 50;
	ck_assert_str_eq(rig_fold(&rig, "t/1"), "{\"n\":900030000}");
	ck_assert_uint_gt(rig.pauses, 0);
	ck_assert_uint_gt(host_figures(rig.host).pauses, 0);
}
END_TEST

START_TEST(a_paused_call_may_be_abandoned)
{
	load("value_entity", "commands = { a = function(s, i, ctx) for n = 1, 300000 do end "
	                     "ctx:update({}) end, b = function() return 1 end }");
	struct host_component *component = host_component_at(rig.bundle, 0);
	struct host_request request = {.component = component,
	    .handler = host_handler(component, slice_from_text("a")),
	    .address = slice_from_text("t/1"),
	    .caller = {.kind = slice_from_text("client")}};
	for (int i = 0; i < 3; i++) {
		struct host_call *call;
		ck_assert_int_eq(host_call_begin(rig.host, &request, &call), 0);
		if (i > 0)
			ck_assert_int_eq(host_call_run(call, 1), HOST_PAUSED);
		host_call_end(call);
	}
	host_call_end(NULL);
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "1");
	for (int i = 0; i < 10000 && host_idle(rig.host); i++) {
	}
}
END_TEST

START_TEST(internal_and_roles_are_kept)
{
	load("value_entity", "commands = { a = { function() end, internal = true },"
	                     "b = { function() end, roles = { 'clerk', 'boss' } } }");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_PERMISSION_DENIED, "not for this caller");
	EXPECT_REFUSED(&rig, "t/1", "b", NULL, STATUS_PERMISSION_DENIED, "roles");
	rig.role = "boss";
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "nothing");
	rig.role = "*";
	EXPECT_REPLY(&rig, "t/1", "b", NULL, "nothing");
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_PERMISSION_DENIED, "not for this caller");
	rig.role = "admin";
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
	rig.role = "*";
	rig.caller_kind = "admin";
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
}
END_TEST

START_TEST(the_log_gets_lines_with_their_address)
{
	load("value_entity",
	    "commands = { a = function(s, i, ctx) kalix.log.warn('low', { n = 3 }); "
	    "kalix.log.info('plain'); print('p', 1) end }");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "nothing");
	ck_assert_int_eq(buffer_append_u8(&rig.log, 0), 0);
	ck_assert_str_eq((const char *)buffer_view(&rig.log).data,
	    "2 t/1 low {\"n\":3}\n1 t/1 plain\n1 t/1 p\t1\n");
}
END_TEST

START_TEST(libraries_are_there_and_can_not_be_written)
{
	load("value_entity",
	    "commands = { a = function(s, i, ctx) local r = kalix.random(3, 5); return { "
	    "#kalix.uuid(), "
	    "r >= 3 and r <= 5, kalix.json.encode({ a = 1 }), kalix.base64.encode('hi'), "
	    "kalix.time.now() == ctx.now } end,"
	    "b = function() kalix.extra = 1 end, c = function() kalix.time.now = 1 end,"
	    "d = function() kalix.value_entity 'u' {} end }");
	EXPECT_REPLY(&rig, "t/1", "a", NULL, "[36,true,\"{\\\"a\\\":1}\",\"aGk=\",true]");
	ck_assert_ptr_null(rig_call(&rig, "t/1", "b", NULL));
	ck_assert_ptr_null(rig_call(&rig, "t/1", "c", NULL));
	ck_assert_ptr_null(rig_call(&rig, "t/1", "d", NULL));
}
END_TEST

Suite *host_state_suite(void)
{
	const TTest *const tests[] = {
	    init_is_a_table_that_is_copied,
	    init_is_a_function_of_the_id,
	    without_init_the_schemas_defaults_count_if_every_field_has_one,
	    defaults_fill_what_init_leaves_out,
	    init_must_fit_the_state,
	    exists_decides_before_the_handler_runs,
	    a_read_only_state_reads_as_a_table_does,
	    state_events_and_output_are_checked,
	    input_is_checked_at_the_door,
	    an_int64_survives_in_and_out,
	    the_list_mark_survives_storage,
	    a_state_is_migrated_when_it_is_read,
	    an_event_is_upcast_when_it_is_read,
	    a_value_entity_says_how_many_states_it_keeps,
	    snapshots_of_other_versions_are_used_only_where_steps_lead_here,
	    a_long_history_folds_to_the_state_that_its_commands_left,
	    time_uuid_and_random_raise_in_pure_code,
	    an_event_handler_that_fails_fails_the_command_even_under_pcall,
	    a_handler_that_does_not_end_is_stopped,
	    what_is_larger_than_its_limit_is_refused,
	    a_state_that_is_kept_is_told_its_own_limit,
	    a_fault_shows_its_place_and_no_text_of_others,
	    a_slice_that_is_over_pauses_the_call,
	    a_paused_call_may_be_abandoned,
	    internal_and_roles_are_kept,
	    the_log_gets_lines_with_their_address,
	    libraries_are_there_and_can_not_be_written,
	};
	const TTest *const dev[] = {
	    dev_refuses_assignments_to_a_read_only_state,
	    dev_refuses_a_change_that_is_not_handed_over,
	    an_impure_fold_is_found_in_dev,
	};
	const TTest *const production[] = {
	    production_forgets_what_is_not_handed_over,
	    production_keeps_what_the_events_make_and_nothing_else,
	};
	Suite *suite = suite_in_both_modes("host_state", tests, sizeof(tests) / sizeof(tests[0]));
	add_in_mode(suite, HOST_DEV, dev, sizeof(dev) / sizeof(dev[0]));
	add_in_mode(suite, HOST_PRODUCTION, production, sizeof(production) / sizeof(production[0]));
	return suite;
}
