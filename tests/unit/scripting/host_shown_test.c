/* What a handler sees after ctx:emit is what the next call sees, whatever the event's handler left
 * in the state; and tables that it had hold of show it, too. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

static const char source[] =
    "local kalix = require 'kalix'\n"
    "local s = kalix.schema\n"
    "local item = s.record { n = s.integer, tag = s.optional(s.string, 'none'),\n"
    "  note = s.optional(s.string), list = s.optional(s.list(s.integer)) }\n"
    "local changes = {\n"
    "  new = function(st) st.items.new = { n = 1 } end,\n"
    "  list = function(st) st.items.a.list = {} end,\n"
    "  floats = function(st) st.items.a.n = 5.0 st.items.a.list = kalix.list { 2.0, 3 } end,\n"
    "  alias = function(st) st.items.b = st.items.a end,\n"
    "  null = function(st) st.items.a.note = kalix.null end,\n"
    "  meta = function(st) setmetatable(st.items.a, { __index = { ghost = 1 } }) end,\n"
    "  gone = function(st) st.items.a.tag = nil end,\n"
    "  other = function(st) st.other = { n = 2 } end,\n"
    "  any_list = function(st) st.any = { 1, { 2.0 } } end,\n"
    "  any_empty = function(st) st.any = {} end,\n"
    "  any_marked = function(st) st.any = kalix.list {} end,\n"
    "  either = function(st) st.either = { n = 7.0 } end,\n"
    "  whole = function(st) return { items = { a = { n = 3.0 } }, any = { st.any } } end,\n"
    "  each = function(st) for _, v in pairs(st.items) do v.n = v.n + 1 end end,\n"
    "  number = function(st) st.items.a.n = st.items.a.n + 1 end,\n"
    "}\n"
    "local function look(st, seen, out)\n"
    "  for k, v in pairs(st) do\n"
    "    if type(v) == 'table' then\n"
    "      assert(not seen[v], 'at two places')\n"
    "      seen[v] = true\n"
    "      out[#out + 1] = k .. ' ' .. kalix.json.encode(v) .. tostring(v.ghost)\n"
    "      look(v, seen, out)\n"
    "    else out[#out + 1] = k .. ' ' .. tostring(v) end\n"
    "  end\n"
    "  return out\n"
    "end\n"
    "local function entity(name, any_schema)\n"
    "  return kalix.event_sourced_entity(name) {\n"
    "    state = any_schema or s.record { items = s.map(s.string, item),\n"
    "      any = s.optional(s.any), other = s.optional(item),\n"
    "      more = s.optional(s.list(s.string)),\n"
    "      either = name == 'o' and s.optional(s.one_of { item, s.string }) or\n"
    "        s.optional(item) },\n"
    "    init = function(id)\n"
    "      local st = { items = { a = { n = 1, tag = 'first' } } }\n"
    "      for i = 1, tonumber(id) do\n"
    "        st.items['item' .. i] = { n = i, note = ('x'):rep(60), tag = 't' }\n"
    "      end\n"
    "      return st\n"
    "    end,\n"
    "    commands = { change = function(st, names, ctx)\n"
    "      local a = st.items.a\n"
    "      for _, name in ipairs(names) do ctx:emit('changed', { name = name }) end\n"
    "      assert(names[1] == 'whole' or names[2] == 'whole' or a.n == st.items.a.n)\n"
    "      return look(st, {}, {})\n"
    "    end },\n"
    "    queries = { look = function(st) return look(st, {}, {}) end },\n"
    "    events = { changed = function(st, event) return changes[event.name](st) end },\n"
    "  }\n"
    "end\n"
    "return { entity 'd', entity 'o', entity('n', s.any) }\n";

START_TEST(what_is_shown_after_emit_is_what_the_next_call_sees)
{
	static const char *const names[] = {"new", "list", "floats", "alias", "null", "meta",
	    "gone", "other", "any_list", "any_empty", "any_marked", "either", "whole", "each",
	    "number"};
	static const char *const types[] = {"d", "o", "n"};
	static const char *const sizes[] = {"0", "30"};
	enum { NAMES = sizeof(names) / sizeof(names[0]) };
	EXPECT_LOADED(
	    &rig, rig_load(&rig, "app.lua",
	              "local l = require 'main' return { name = 'shop', l[1], l[2], l[3] }",
	              "main.lua", source, NULL));
	for (unsigned i = 0; i < 3 * 2 * NAMES * 3; i++) {
		char address[64], payload[64], shown[16384];
		const char *name = names[i / 6 % NAMES];
		snprintf(address, sizeof(address), "%s/%s", types[i % 3], sizes[i / 3 % 2]);
		snprintf(payload, sizeof(payload), "[\"%s\",\"%s\"]", name,
		    names[(i / 6 + i / 6 / NAMES * 5) % NAMES]);
		const char *got = rig_call(&rig, address, "change", payload);
		ck_assert_msg(got, "%s %s: %s\n%s", address, payload, rig.message, rig.traceback);
		snprintf(shown, sizeof(shown), "%s", got);
		got = rig_call(&rig, address, "look", NULL);
		ck_assert_msg(
		    got && strcmp(got, shown) == 0, "%s %s:\n%s\n%s", address, payload, shown, got);
	}
}
END_TEST

START_TEST(tables_at_hand_show_what_an_event_changed)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "local kalix = require 'kalix'\n"
	              "local s = kalix.schema\n"
	              "local account = s.record { n = s.integer, log = s.optional(s.string, '') }\n"
	              "return kalix.event_sourced_entity 't' {\n"
	              "  state = s.record { accounts = s.map(s.string, account) },\n"
	              "  init = { accounts = { a = { n = 5 } } },\n"
	              "  commands = { pay = function(st, i, ctx)\n"
	              "    local accounts, a = st.accounts, st.accounts.a\n"
	              "    ctx:emit('paid', { from = 'a', to = 'b', n = 3 })\n"
	              "    local b = accounts.b\n"
	              "    ctx:emit('paid', { from = 'a', to = 'b', n = 1 })\n"
	              "    return { a.n, b.n, b.log, rawequal(st.accounts.a, a) or 'view' }\n"
	              "  end },\n"
	              "  events = { paid = function(st, e)\n"
	              "    st.accounts[e.from].n = st.accounts[e.from].n - e.n\n"
	              "    local to = st.accounts[e.to] or { n = 0 }\n"
	              "    to.n = to.n + e.n + 0.0\n"
	              "    st.accounts[e.to] = to\n"
	              "  end } }\n"));
	EXPECT_REPLY(&rig, "t/1", "pay", NULL, "[1,4,\"\",true]");
	ck_assert_str_eq(rig_fold(&rig, "t/1"), rig_state(&rig, "t/1"));
}
END_TEST

START_TEST(a_state_that_does_not_fit_is_refused_where_it_is_made)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                             "local s = kalix.schema\n"
	                             "return kalix.event_sourced_entity 't' {\n"
	                             "  state = s.record { n = s.integer },\n"
	                             "  init = { n = 5 },\n"
	                             "  commands = { a = function(st, i, ctx)\n"
	                             "    pcall(ctx.emit, ctx, 'broke')\n"
	                             "    return 'went on'\n"
	                             "  end,\n"
	                             "  b = function(st, i, ctx) ctx:emit('broke') end },\n"
	                             "  events = { broke = function(st) st.n = 'text' end } }\n"));
	EXPECT_REFUSED(&rig, "t/1", "a", NULL, STATUS_INTERNAL, "went on regardless");
	EXPECT_REFUSED(
	    &rig, "t/1", "b", NULL, STATUS_INTERNAL, "does not fit: n: expected integer, got");
}
END_TEST

Suite *host_shown_suite(void)
{
	const TTest *const tests[] = {
	    what_is_shown_after_emit_is_what_the_next_call_sees,
	    tables_at_hand_show_what_an_event_changed,
	    a_state_that_does_not_fit_is_refused_where_it_is_made,
	};
	return suite_in_both_modes("host_shown", tests, sizeof(tests) / sizeof(tests[0]));
}
