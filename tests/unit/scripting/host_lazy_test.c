/* States that are large enough to be decoded when they are touched (value_push_state), in whole
 * calls and in both modes. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

static const char cart_source[] =
    "local kalix = require 'kalix'\n"
    "local s = kalix.schema\n"
    "local kept\n"
    "return kalix.value_entity 'cart' {\n"
    "  state = s.record { id = s.string, user = s.string, ver = s.integer,\n"
    "    gone = s.optional(s.string), items = s.map(s.string, s.integer),\n"
    "    lines = s.map(s.string, s.record { sku = s.string, name = s.string,\n"
    "      count = s.integer, price = s.number }) },\n"
    "  init = function(id)\n"
    "    local v = { id = id, user = 'user-of-' .. id, ver = 1, gone = 'yes', items = {},\n"
    "      lines = {} }\n"
    "    for i = 1, 9 do\n"
    "      v.items['sku-0000' .. i] = i\n"
    "      v.lines['line' .. i] = { sku = 's' .. i, name = ('n'):rep(40), count = i,\n"
    "        price = i / 2 }\n"
    "    end\n"
    "    return v\n"
    "  end,\n"
    "  commands = {\n"
    "    add = function(state, input, ctx)\n"
    "      state.items[input] = (state.items[input] or 0) + 1\n"
    "      state.ver = state.ver + 1\n"
    "      ctx:update(state)\n"
    "      return state.items[input]\n"
    "    end,\n"
    "    price = function(state, input, ctx)\n"
    "      state.lines[input].price = 99\n"
    "      state.gone = nil\n"
    "      return ctx:update(state):reply(function(now) return now.lines[input].price end)\n"
    "    end,\n"
    "    wrong = function(state, input, ctx)\n"
    "      state.lines.line3.count = 'many'\n"
    "      ctx:update(state)\n"
    "    end,\n"
    "    unknown = function(state, input, ctx)\n"
    "      state.itmes = {}\n"
    "      ctx:update(state)\n"
    "    end,\n"
    "    forget = function(state) state.items['sku-00001'] = 7 end,\n"
    "    look = function(state) return state.items['sku-00001'] end,\n"
    "    keep = function(state, input, ctx)\n"
    "      kept = { state = state, lines = state.lines, line = state.lines.line4 }\n"
    "      return kept.line.count\n"
    "    end,\n"
    "    kept = function(state, input)\n"
    "      local count = 0\n"
    "      for k, v in pairs(kept.lines) do count = count + v.count end\n"
    "      kept.line.count = kept.line.count + 1\n"
    "      return { kept.state.id, kept.state.items['sku-00002'], count,\n"
    "        kept.line.name == ('n'):rep(40), rawequal(kept.lines.line4, kept.line) }\n"
    "    end,\n"
    "  },\n"
    "  queries = {\n"
    "    all = function(state) return state end,\n"
    "    one = function(state, input) return state.lines[input] end,\n"
    "    count = function(state)\n"
    "      local n = 0\n"
    "      for _, line in pairs(state.lines) do n = n + line.count end\n"
    "      return n\n"
    "    end,\n"
    "    change = function(state) state.lines.line1.count = 3 return 1 end,\n"
    "  },\n"
    "}\n";

START_TEST(a_cart_works_in_both_modes)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, cart_source));
	EXPECT_REPLY(&rig, "cart/1", "add", "\"sku-00003\"", "4");
	EXPECT_REPLY(&rig, "cart/1", "add", "\"sku-00003\"", "5");
	EXPECT_REPLY(&rig, "cart/1", "add", "\"new\"", "1");
	EXPECT_REPLY(&rig, "cart/1", "price", "\"line2\"", "99");
	EXPECT_REPLY(&rig, "cart/1", "count", NULL, "45");
	EXPECT_REPLY(&rig, "cart/1", "one", "\"line2\"",
	    "{\"count\":2,\"name\":\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\",\"price\":99,"
	    "\"sku\":\"s2\"}");
	const char *all = rig_call(&rig, "cart/1", "all", NULL);
	ck_assert_ptr_nonnull(all);
	ck_assert_str_eq(all, rig_state(&rig, "cart/1"));
	const char *begin = "{\"id\":\"1\",\"items\":{\"new\":1,\"sku-00001\":1,\"sku-00002\":2,"
	                    "\"sku-00003\":5,\"sku-00004\":4,";
	ck_assert_msg(strncmp(all, begin, strlen(begin)) == 0, "%s", all);
	const char *end = "\"user\":\"user-of-1\",\"ver\":4}";
	ck_assert_str_eq(all + strlen(all) - strlen(end), end);
}
END_TEST

START_TEST(what_is_wrong_is_told_with_its_path)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, cart_source));
	EXPECT_REPLY(&rig, "cart/1", "add", "\"a\"", "1");
	EXPECT_REFUSED(&rig, "cart/1", "wrong", NULL, STATUS_INTERNAL,
	    "lines.line3.count: expected integer, got string");
	EXPECT_REFUSED(&rig, "cart/1", "unknown", NULL, STATUS_INTERNAL, "itmes: unknown field");
	if (rig.mode == HOST_DEV)
		EXPECT_REFUSED(&rig, "cart/1", "forget", NULL, STATUS_INTERNAL,
		    "ended without ctx:update(state)");
	else
		EXPECT_REPLY(&rig, "cart/1", "forget", NULL, "nothing");
	EXPECT_REPLY(&rig, "cart/1", "look", NULL, "1");
	if (rig.mode == HOST_DEV)
		EXPECT_REFUSED(&rig, "cart/1", "change", NULL, STATUS_INTERNAL, "");
	EXPECT_REPLY(&rig, "cart/1", "count", NULL, "45");
}
END_TEST

/* Nobody should, but what a handler keeps is there, whatever became of the bytes meanwhile. */
START_TEST(a_table_that_was_kept_needs_nothing_of_its_call)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, cart_source));
	EXPECT_REPLY(&rig, "cart/1", "add", "\"sku-00002\"", "3");
	EXPECT_REPLY(&rig, "cart/1", "keep", NULL, "4");
	for (int i = 0; i < 300; i++)
		ck_assert_ptr_nonnull(rig_call(&rig, "cart/1", "add", "\"sku-00002\""));
	for (int i = 0; i < 300; i++)
		ck_assert_ptr_nonnull(rig_call(&rig, "cart/2", "add", "\"b\""));
	EXPECT_REPLY(&rig, "cart/2", "kept", NULL, "[\"1\",3,45,true,true]");
	EXPECT_REPLY(&rig, "cart/3", "kept", NULL, "[\"1\",3,46,true,true]");
}
END_TEST

static const char ledger_source[] =
    "local kalix = require 'kalix'\n"
    "local s = kalix.schema\n"
    "return kalix.event_sourced_entity 'ledger' {\n"
    "  state = s.record { name = s.string, sum = s.integer, accounts = s.map(s.string,\n"
    "    s.record { sum = s.integer, last = s.string, count = s.integer, kind = s.string }) },\n"
    "  init = function(id)\n"
    "    local v = { name = 'ledger ' .. id, sum = 0, accounts = {} }\n"
    "    for i = 1, 5 do\n"
    "      v.accounts['account-' .. i] = { sum = 0, last = ('-'):rep(30), count = 0,\n"
    "        kind = 'plain' }\n"
    "    end\n"
    "    return v\n"
    "  end,\n"
    "  commands = {\n"
    "    book = function(state, input, ctx)\n"
    "      local before = state.accounts[input].sum\n"
    "      ctx:emit('booked', { account = input, amount = 5 })\n"
    "      ctx:emit('booked', { account = input, amount = 6 })\n"
    "      return { before, state.accounts[input].sum, state.sum }\n"
    "    end,\n"
    "    renew = function(state, input, ctx)\n"
    "      local accounts = state.accounts\n"
    "      ctx:emit('renewed', { name = 'new' })\n"
    "      return { state.name, state.sum, rawequal(accounts, state.accounts) }\n"
    "    end,\n"
    "  },\n"
    "  queries = { all = function(state) return state end },\n"
    "  events = {\n"
    "    booked = function(state, event)\n"
    "      local a = state.accounts[event.account]\n"
    "      a.sum = a.sum + event.amount\n"
    "      a.count = a.count + 1\n"
    "      state.sum = state.sum + event.amount\n"
    "    end,\n"
    "    renewed = function(state, event)\n"
    "      return { name = event.name, sum = state.sum, accounts = state.accounts }\n"
    "    end,\n"
    "  },\n"
    "}\n";

START_TEST(events_are_folded_over_it)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, ledger_source));
	EXPECT_REPLY(&rig, "ledger/1", "book", "\"account-2\"", "[0,11,11]");
	EXPECT_REPLY(&rig, "ledger/1", "book", "\"account-2\"", "[11,22,22]");
	EXPECT_REPLY(&rig, "ledger/1", "book", "\"account-5\"", "[0,11,33]");
	EXPECT_REPLY(&rig, "ledger/1", "renew", NULL, "[\"new\",33,false]");
	EXPECT_REPLY(&rig, "ledger/1", "book", "\"account-5\"", "[11,22,44]");
	char state[4096];
	snprintf(state, sizeof(state), "%s", rig_state(&rig, "ledger/1"));
	ck_assert_str_eq(rig_call(&rig, "ledger/1", "all", NULL), state);
	ck_assert_str_eq(rig_fold(&rig, "ledger/1"), state);
	ck_assert_ptr_nonnull(strstr(state, "\"account-2\":{\"count\":4,"));
}
END_TEST

Suite *host_lazy_suite(void)
{
	const TTest *const tests[] = {
	    a_cart_works_in_both_modes,
	    what_is_wrong_is_told_with_its_path,
	    a_table_that_was_kept_needs_nothing_of_its_call,
	    events_are_folded_over_it,
	};
	return suite_in_both_modes("host_lazy", tests, sizeof(tests) / sizeof(tests[0]));
}
