/* test.entity: given events or a state, a command, and what came of it. */
#include "tests/unit/apptest/rig.h"
#include "tests/unit/apptest/suites.h"

#define CHECK(main, bodies) rig_check(main, bodies, sizeof(bodies) / sizeof((bodies)[0]))

static const char cart_source[] =
    "local kalix = require 'kalix'\nlocal s = kalix.schema\nlocal kept = 0\n"
    "return kalix.event_sourced_entity 'cart' {\n"
    "  state = s.record { items = s.map(s.string, s.integer), codes = s.optional(s.map(s.integer,\n"
    "    s.string)), closed = s.optional(s.boolean, false) },\n"
    "  init = { items = {} }, version = 2,\n"
    "  migrate = { [1] = function(state) state.items, state.list = state.list, nil end },\n"
    "  commands = {\n"
    "    add = { function(state, input, ctx)\n"
    "      if state.closed then ctx:fail('FAILED_PRECONDITION', 'closed') end\n"
    "      ctx:emit('added', input) ctx:emit('noted')\n"
    "      return { count = state.items[input.id], revision = ctx.revision } end,\n"
    "      input = s.record { id = s.string, n = s.integer { min = 1 } } },\n"
    "    close = function(state, input, ctx) ctx:emit('closed', {}) end,\n"
    "    drop = function(state, input, ctx) ctx:emit('closed') ctx:delete() end,\n"
    "    nothing = function(state) return 'nothing' end,\n"
    "    write = function(state) state.items = {} end,\n"
    "    impure = function(state, input, ctx) ctx:emit('impure') end,\n"
    "    changing = function(state, input, ctx) ctx:emit('changing') end,\n"
    "    code = function(state, input, ctx) ctx:emit('code') end,\n"
    "  },\n"
    "  queries = { get = function(state) return state end },\n"
    "  events = {\n"
    "    added = { function(state, e) state.items[e.id] = (state.items[e.id] or 0) + e.n end,\n"
    "      schema = s.record { id = s.string, n = s.integer }, version = 2,\n"
    "      upcast = { [1] = function(e) e.id, e.product = e.product, nil end } },\n"
    "    noted = function() end,\n"
    "    closed = { function(state) state.closed = true end, schema = s.record {} },\n"
    "    impure = function(state) state.items.x = kalix.random(10) end,\n"
    "    changing = function(state) kept = kept + 1 state.items.x = kept end,\n"
    "    code = function(state) state.codes = { [7] = 'seven' } end,\n"
    "  } }\n";

static const char wallet_source[] =
    "local kalix = require 'kalix'\nlocal s = kalix.schema\n"
    "return kalix.value_entity 'wallet' {\n"
    "  state = s.record { cents = s.integer { min = 0 } }, version = 2,\n"
    "  migrate = { [1] = function(state) return { cents = state.euros * 100 } end },\n"
    "  commands = {\n"
    "    take = { function(state, input, ctx) state.cents = state.cents - input.n\n"
    "      ctx:update(state) return ctx.revision end, exists = true },\n"
    "    open = { function(state, input, ctx) ctx:update { cents = 0 } return ctx.now end,\n"
    "      exists = false },\n"
    "    drop = function(state, input, ctx) ctx:delete() end },\n"
    "  queries = { get = function(state) return state end } }\n";

START_TEST(a_command_shows_reply_events_and_state)
{
	static const struct rig_body bodies[] = {
	    {"local r = test.entity('cart/c1'):given { { 'added', { id = 'p', n = 2 } } }\n"
	     "  :call('add', { id = 'p', n = 3 })\n"
	     "assert.same({ reply = { count = 5, revision = 1 },\n"
	     "  events = { { 'added', { id = 'p', n = 3 } }, { 'noted', {} } },\n"
	     "  state = { items = { p = 5 }, closed = false }, sent = {}, timers = {} }, r)",
	        NULL},
	    /* Events come back as they are given. */
	    {"local r = test.entity('cart/c1'):call('add', { id = 'p', n = 3 })\n"
	     "assert.same(r.state, test.entity('cart/c1'):given(r.events):query('get'))",
	        NULL},
	    {"local e = test.entity 'cart/c1'\n"
	     "assert.same({ reply = 'nothing', events = {}, state = { items = {}, closed = false "
	     "},\n"
	     "  sent = {}, timers = {} }, e:call 'nothing')\n"
	     "e:call('add', { id = 'p', n = 1 })\n"
	     "assert.equal(2, e:call('add', { id = 'p', n = 1 }).state.items.p)\n"
	     "assert.equal(2, e:query('get').items.p)\n"
	     "e:given {}\nassert.same({}, e:query('get').items)",
	        NULL},
	    {"assert.fails('FAILED_PRECONDITION', function()\n"
	     "  test.entity('cart/c'):given { { 'closed' } }:call('add', { id = 'p', n = 1 }) end)",
	        NULL},
	    {"local e = test.entity('cart/c'):given { { 'added', { id = 'p', n = 1 } } }\n"
	     "local r = e:call 'drop'\nassert.same({ { 'closed', {} } }, r.events)\n"
	     "assert.same({ items = {}, closed = false }, r.state)\n"
	     "assert.equal(3, e:call('add', { id = 'p', n = 1 }).reply.revision)",
	        NULL},
	    {"assert.same({ [7] = 'seven' }, test.entity('cart/c'):call('code').state.codes)",
	        NULL},
	    {"local r = test.entity('cart/c', { seed = 4 }):call('add', { id = 'p', n = 1 },\n"
	     "  { token = 'x' })\nassert.equal(1, r.reply.count)",
	        NULL},
	    {"local e = test.entity 'cart/c'\nlocal o = { token = 'x' }\n"
	     "e:call('add', { id = 'p', n = 1 }, o)\n"
	     "local r = e:call('add', { id = 'p', n = 1 }, o)\n"
	     "assert.same({}, r.events)\nassert.equal(1, r.state.items.p)",
	        NULL},
	};
	CHECK(cart_source, bodies);
}
END_TEST

START_TEST(older_versions_are_brought_up)
{
	static const struct rig_body bodies[] = {
	    {"local e = test.entity('cart/c'):given { { 'added', { product = 'p', n = 2 },\n"
	     "  version = 1 }, { 'added', { id = 'p', n = 3 } } }\n"
	     "assert.same({ p = 5 }, e:query('get').items)",
	        NULL},
	    {"local e = test.entity('cart/c'):given { state = { list = { p = 2 } }, version = 1,\n"
	     "  revision = 40, { 'added', { id = 'p', n = 3 } } }\n"
	     "assert.same({ p = 5 }, e:query('get').items)\n"
	     "assert.equal(41, e:call('add', { id = 'p', n = 1 }).reply.revision)",
	        NULL},
	};
	CHECK(cart_source, bodies);
	static const struct rig_body values[] = {
	    {"local e = test.entity('wallet/w'):given { state = { euros = 3 }, version = 1 }\n"
	     "assert.same({ cents = 300 }, e:query 'get')\n"
	     "local r = e:call('take', { n = 50 })\n"
	     "assert.same({ reply = 1, events = {}, state = { cents = 250 }, sent = {}, timers = "
	     "{} },\n"
	     "r)",
	        NULL},
	    {"local e = test.entity('wallet/w'):given { state = { cents = 3 }, revision = 9 }\n"
	     "assert.equal(9, e:call('take', { n = 1 }).reply)\n"
	     "assert.fails('INTERNAL', function() e:call('take', { n = 9 }) end, 'cents')\n"
	     "assert.same({ cents = 2 }, e:query 'get')",
	        NULL},
	    {"local e = test.entity('wallet/w', { now = 1000 })\n"
	     "assert.equal(nil, e:query 'get')\n"
	     "assert.fails('NOT_FOUND', function() e:call('take', { n = 1 }) end)\n"
	     "assert.equal(6000, e:advance '5s')\nassert.equal(6000, e:call('open').reply)\n"
	     "assert.equal(nil, e:call('drop').state)",
	        NULL},
	};
	CHECK(wallet_source, values);
}
END_TEST

START_TEST(events_are_folded_as_in_dev_mode)
{
	static const struct rig_body bodies[] = {
	    {"test.entity('cart/c'):call 'impure'", "INTERNAL: cart.impure failed"},
	    {"test.entity('cart/c'):given { { 'impure' } }", "INTERNAL: cart failed"},
	    {"test.entity('cart/c'):call 'write'", "INTERNAL: cart.write"},
	    /* A file's local that events count in: the second interpreter has another. */
	    {"local e = test.entity('cart/c')\ne:call 'changing'\ne:call 'changing'",
	        "folding twice gave two states"},
	};
	CHECK(cart_source, bodies);
}
END_TEST

START_TEST(wrong_use_says_what_to_do)
{
	static const struct rig_body bodies[] = {
	    {"test.entity(5)", "the address is a text like \"cart/c1\", not a number"},
	    {"test.entity 'carts/c'", "the app has no component 'carts'; did you mean cart?"},
	    {"test.entity 'cart/'", "test.entity: the id behind"},
	    {"test.entity('cart/c', {}, 1)", "takes an address and a table of options"},
	    {"test.entity('cart/c', { sed = 1 })", "did you mean seed?"},
	    {"test.entity('cart/c').call('add')", "call it with a colon, entity:call(...)"},
	    {"test.entity('cart/c'):calls('add')", "has no 'calls'; did you mean call?"},
	    {"test.entity('cart/c'):call()", "the command is a name, a text, not nothing"},
	    {"test.entity('cart/c'):given()", "takes one table"},
	    {"test.entity('cart/c'):given({}, {})", "takes one table"},
	    {"test.entity('cart/c'):given { stat = 1 }",
	        "given has no 'stat'; did you mean state?"},
	    {"test.entity('cart/c'):given { 'added' }", "event 1 is a table { name, data }"},
	    {"test.entity('cart/c'):given { {} }", "event 1 begins with its name, a text"},
	    {"test.entity('cart/c'):given { { 'noted' }, { 'adde' } }",
	        "event 2: cart has no event 'adde'; did you mean added?"},
	    {"test.entity('cart/c'):given { { 'added', { id = 'p' } } }",
	        "event 1 (added): n: expected integer"},
	    {"test.entity('cart/c'):given { { 'added', {}, version = 3 } }",
	        "version is an integer from 1 to 2"},
	    {"test.entity('cart/c'):given { { 'added', {}, versio = 3 } }",
	        "did you mean version?"},
	    {"test.entity('cart/c'):given { state = { items = 5 } }",
	        "given: state: items: expected"},
	    {"test.entity('cart/c'):given { state = {}, version = 3 }",
	        "no way from a state of version 3"},
	    {"test.entity('cart/c'):given { state = {}, revision = 0 }",
	        "revision is an integer from"},
	};
	CHECK(cart_source, bodies);
	static const struct rig_body values[] = {
	    {"test.entity('wallet/w'):given { { 'added' } }",
	        "wallet is a value entity, it has no events"},
	};
	CHECK(wallet_source, values);
}
END_TEST

Suite *entity_suite(void)
{
	Suite *suite = suite_create("entity");
	TCase *tcase = tcase_create("test.entity");
	tcase_add_test(tcase, a_command_shows_reply_events_and_state);
	tcase_add_test(tcase, older_versions_are_brought_up);
	tcase_add_test(tcase, events_are_folded_as_in_dev_mode);
	tcase_add_test(tcase, wrong_use_says_what_to_do);
	suite_add_tcase(suite, tcase);
	return suite;
}
