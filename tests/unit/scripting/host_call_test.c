/* Commands and queries of value entities and event-sourced entities. */
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

static const char cart_source[] =
    "local kalix  = require 'kalix'\n"
    "local schema = kalix.schema\n"
    "return kalix.event_sourced_entity 'cart' {\n"
    "  state = schema.record {\n"
    "    items = schema.map(schema.string, schema.record { name = schema.string, quantity = "
    "schema.integer }),\n"
    "    checked_out = schema.optional(schema.boolean, false),\n"
    "  },\n"
    "  init = { items = {} },\n"
    "  commands = {\n"
    "    add_item = {\n"
    "      function(state, input, ctx)\n"
    "        if state.checked_out then ctx:fail('FAILED_PRECONDITION', 'cart is already checked "
    "out') end\n"
    "        ctx:emit('item_added', input)\n"
    "        return state.items\n"
    "      end,\n"
    "      input = schema.record { product_id = schema.string, name = schema.string, quantity = "
    "schema.integer { min = 1 } },\n"
    "    },\n"
    "    checkout = function(state, input, ctx) ctx:emit('checked_out', {}) end,\n"
    "  },\n"
    "  queries = { get = function(state) return state end },\n"
    "  events  = {\n"
    "    item_added = function(state, event)\n"
    "      local item = state.items[event.product_id] or { name = event.name, quantity = 0 }\n"
    "      item.quantity = item.quantity + event.quantity\n"
    "      state.items[event.product_id] = item\n"
    "    end,\n"
    "    checked_out = function(state) state.checked_out = true end,\n"
    "  },\n"
    "}\n";

START_TEST(the_cart_of_the_contract_works)
{
	EXPECT_LOADED(&rig, rig_load_one(&rig, cart_source));
	EXPECT_REPLY(&rig, "cart/c1", "add_item",
	    "{\"product_id\":\"p1\",\"name\":\"Tea\",\"quantity\":2}",
	    "{\"p1\":{\"name\":\"Tea\",\"quantity\":2}}");
	EXPECT_REPLY(&rig, "cart/c1", "add_item",
	    "{\"product_id\":\"p1\",\"name\":\"Tea\",\"quantity\":3}",
	    "{\"p1\":{\"name\":\"Tea\",\"quantity\":5}}");
	EXPECT_REPLY(&rig, "cart/c1", "get", NULL,
	    "{\"checked_out\":false,\"items\":{\"p1\":{\"name\":\"Tea\",\"quantity\":5}}}");
	EXPECT_REFUSED(&rig, "cart/c1", "add_item",
	    "{\"product_id\":\"p1\",\"name\":\"Tea\",\"quantity\":0}", STATUS_INVALID_ARGUMENT,
	    "quantity: expected integer >= 1, got 0");
	EXPECT_REPLY(&rig, "cart/c1", "checkout", NULL, "nothing");
	EXPECT_REFUSED(&rig, "cart/c1", "add_item",
	    "{\"product_id\":\"p1\",\"name\":\"Tea\",\"quantity\":1}", STATUS_FAILED_PRECONDITION,
	    "cart is already checked out");
	ck_assert_uint_eq(rig_entity(&rig, "cart/c1")->revision, 3);
	ck_assert_str_eq(rig_fold(&rig, "cart/c1"),
	    "{\"checked_out\":true,\"items\":{\"p1\":{\"name\":\"Tea\",\"quantity\":5}}}");
}
END_TEST

START_TEST(a_wallet_of_a_value_entity_works)
{
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                       "local schema = kalix.schema\n"
	                       "return kalix.value_entity 'wallet' {\n"
	                       "  state = schema.record { balance = schema.integer { min = 0 } },\n"
	                       "  init = { balance = 0 },\n"
	                       "  commands = {\n"
	                       "    deposit = function(state, input, ctx)\n"
	                       "      state.balance = state.balance + input.amount\n"
	                       "      ctx:update(state)\n"
	                       "      return state.balance\n"
	                       "    end,\n"
	                       "    empty = function(state, input, ctx) ctx:delete() end,\n"
	                       "  },\n"
	                       "  queries = { balance = function(s) return s.balance end },\n"
	                       "}\n"));
	EXPECT_REPLY(&rig, "wallet/w", "balance", NULL, "0");
	EXPECT_REPLY(&rig, "wallet/w", "deposit", "{\"amount\":5}", "5");
	EXPECT_REPLY(&rig, "wallet/w", "deposit", "{\"amount\":7}", "12");
	EXPECT_REPLY(&rig, "wallet/w", "balance", NULL, "12");
	ck_assert_uint_eq(rig_entity(&rig, "wallet/w")->revision, 2);
	EXPECT_REFUSED(&rig, "wallet/w", "deposit", "{\"amount\":-20}", STATUS_INTERNAL,
	    "balance: expected integer >= 0, got -8");
	EXPECT_REPLY(&rig, "wallet/w", "empty", NULL, "nothing");
	ck_assert(!rig_entity(&rig, "wallet/w")->exists);
	EXPECT_REPLY(&rig, "wallet/w", "balance", NULL, "0");
	ck_assert_uint_eq(rig_entity(&rig, "wallet/w")->revision, 3);
}
END_TEST

Suite *host_call_suite(void)
{
	const TTest *const tests[] = {
	    the_cart_of_the_contract_works,
	    a_wallet_of_a_value_entity_works,
	};
	return suite_in_both_modes("host_call", tests, sizeof(tests) / sizeof(tests[0]));
}
