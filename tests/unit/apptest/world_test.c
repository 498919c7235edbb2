/* test.app: a whole app in memory, as a server would have it. */
#include <string.h>

#include "tests/unit/apptest/rig.h"
#include "tests/unit/apptest/suites.h"

#define CHECK(main, bodies) rig_check(main, bodies, sizeof(bodies) / sizeof((bodies)[0]))

/* Each command shows one thing. */
static const char main_source[] =
    "local kalix = require 'kalix'\nlocal s = kalix.schema\n"
    "return kalix.value_entity 't' {\n"
    "  state = s.record { n = s.integer, at = s.optional(s.integer) }, init = { n = 0 },\n"
    "  commands = {\n"
    "    add = { function(state, input, ctx) state.n = state.n + input.n ctx:update(state)\n"
    "      return { n = state.n, revision = ctx.revision, exists = ctx.exists } end,\n"
    "      input = s.record { n = s.integer { min = 1 } } },\n"
    "    who = function(state, input, ctx) return { caller = ctx.caller, id = ctx.id,\n"
    "      address = ctx.address, metadata = ctx.metadata } end,\n"
    "    clerk = { function() return 1 end, roles = { 'clerk' } },\n"
    "    inside = { function() return 2 end, internal = true },\n"
    "    must = { function() return 3 end, exists = true },\n"
    "    first = { function(state, input, ctx) ctx:update(state) end, exists = false },\n"
    "    drop = function(state, input, ctx) ctx:delete() end,\n"
    "    now = function(state, input, ctx) state.at = ctx.now ctx:update(state)\n"
    "      return ctx.now end,\n"
    "    chance = function() return { kalix.uuid(), kalix.random(1000000) } end,\n"
    "    refuse = function(state, input, ctx) ctx:update { n = 99 }\n"
    "      ctx:fail('ABORTED', 'no', { why = 'x' }) end,\n"
    "    break_it = function(state) local x = state.nothing.here end,\n"
    "    forget = function(state) state.n = 5 end,\n"
    "    send = function(state, input, ctx) ctx:send('t/x', 'add', {}) end,\n"
    "    publish = function(state, input, ctx) ctx:publish('topic', {}) end,\n"
    "    timer = function(state, input, ctx) ctx:timer('a', 5, nil, 'add') end,\n"
    "    loop = function() while true do end end,\n"
    "    big = function(state, input, ctx) ctx:update(state) return ('x'):rep(70000) end,\n"
    "    echo = function(state, input) return input end,\n"
    "    log = function(state, input, ctx) kalix.log.info('logged') print('printed')\n"
    "      if input then ctx:fail('ABORTED', 'no') end end,\n"
    "  },\n"
    "  queries = { get = function(state) return state end,\n"
    "    write = function(state) state.n = 1 end } }\n";

START_TEST(calls_change_entities_and_answer)
{
	static const struct rig_body bodies[] = {
	    {"local app = test.app()\n"
	     "assert.same({ n = 2, revision = 0, exists = false }, app:call('t/a', 'add', { n = 2 "
	     "}))\n"
	     "assert.same({ n = 5, revision = 1, exists = true }, app:call('t/a', 'add', { n = 3 "
	     "}))\n"
	     "assert.same({ n = 0 }, app:query('t/b', 'get'))\n"
	     "assert.same({ n = 5 }, app:call('t/a', 'get'))",
	        NULL},
	    /* A world of its own for each app. */
	    {"local a, b = test.app(), test.app {}\na:call('t/a', 'add', { n = 2 })\n"
	     "assert.same({ n = 0 }, b:query('t/a', 'get'))",
	        NULL},
	    {"local app = test.app()\n"
	     "assert.fails('NOT_FOUND', function() app:call('t/a', 'must') end)\n"
	     "assert.equal(nil, app:call('t/a', 'first'))\n"
	     "assert.equal(3, app:call('t/a', 'must'))\n"
	     "assert.fails('ALREADY_EXISTS', function() app:call('t/a', 'first') end)\n"
	     "app:call('t/a', 'drop')\n"
	     "assert.fails('NOT_FOUND', function() app:call('t/a', 'must') end)\n"
	     "assert.same({ n = 1, revision = 2, exists = false }, app:call('t/a', 'add', { n = 1 "
	     "}))",
	        NULL},
	    {"local app = test.app()\napp:call('t/a', 'add', { n = 2 })\n"
	     "local e = assert.fails('ABORTED', function() app:call('t/a', 'refuse') end)\n"
	     "assert.same({ code = 'ABORTED', message = 'no', details = { why = 'x' } }, e)\n"
	     "assert.equal('ABORTED: no', tostring(e))\n"
	     "assert.same({ n = 2 }, app:query('t/a', 'get'))",
	        NULL},
	    {"assert.fails('INVALID_ARGUMENT', function() test.app():call('t/a', 'add', { n = 0 "
	     "})\n"
	     "end, 'n: expected integer >= 1, got 0')",
	        NULL},
	    {"assert.fails('INVALID_ARGUMENT', function() test.app():query('t/a', 'add') end,\n"
	     "'only queries')",
	        NULL},
	    {"assert.fails('UNIMPLEMENTED', function() test.app():call('tt/a', 'add') end,\n"
	     "'did you mean t?')",
	        NULL},
	    {"assert.fails('UNIMPLEMENTED', function() test.app():call('t', 'add') end, 'no "
	     "action')",
	        NULL},
	    {"assert.fails('INVALID_ARGUMENT', function() test.app():call('t/', 'add') end)", NULL},
	    {"local app = test.app()\nlocal i = { 1, 'ä', { a = true, b = {} }, 2.5, -7 }\n"
	     "assert.same(i, app:call('t/a', 'echo', i))\n"
	     "assert.equal(nil, app:call('t/a', 'echo'))",
	        NULL},
	    {"test.app():call('t/a', 'refuse')", "ABORTED: no {\"why\":\"x\"}"},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(callers_have_names_and_roles)
{
	static const struct rig_body bodies[] = {
	    {"local app = test.app()\nlocal who = app:call('t/a', 'who')\n"
	     "assert.same({ kind = 'client', name = 'default', roles = { 'admin', '*' } },\n"
	     "who.caller)\nassert.equal('a', who.id)\nassert.equal('t/a', who.address)\n"
	     "assert.same({}, who.metadata)\n"
	     "assert.equal(1, app:call('t/a', 'clerk'))\nassert.equal(2, app:call('t/a', "
	     "'inside'))",
	        NULL},
	    {"local who = test.app():call('t/a', 'who', nil, { as = { name = 'ada',\n"
	     "roles = { 'clerk', 'boss' } }, metadata = { trace = 'x' } })\n"
	     "assert.same({ kind = 'client', name = 'ada', roles = { 'clerk', 'boss' } }, "
	     "who.caller)\n"
	     "assert.same({ trace = 'x' }, who.metadata)",
	        NULL},
	    {"local app = test.app()\nlocal ada = { as = { name = 'ada' } }\n"
	     "assert.fails('PERMISSION_DENIED', function() app:call('t/a', 'clerk', nil, ada) "
	     "end)\n"
	     "assert.fails('PERMISSION_DENIED', function() app:call('t/a', 'inside', nil, ada) "
	     "end,\n"
	     "'internal')\n"
	     "assert.equal(1, app:call('t/a', 'clerk', nil, { as = { roles = { 'clerk' } } }))\n"
	     "assert.equal(2, app:call('t/a', 'inside', nil, { as = { roles = { 'admin' } } }))\n"
	     "assert.equal(2, app:call('t/a', 'inside', nil, { as = { kind = 'timer' } }))",
	        NULL},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(a_token_takes_effect_once)
{
	static const struct rig_body bodies[] = {
	    {"local app = test.app()\nlocal function add(n, options)\n"
	     "  return app:call('t/a', 'add', { n = n }, options).n end\n"
	     "assert.equal(2, add(2, { token = 'x' }))\nassert.equal(2, add(2, { token = 'x' }))\n"
	     "assert.equal(4, add(2, { token = 'y' }))\n"
	     "assert.equal(2, add(2, { token = 'x' }))\n"
	     "assert.fails('INVALID_ARGUMENT', function() add(3, { token = 'x' }) end,\n"
	     "'another command, payload')\n"
	     "assert.fails('INVALID_ARGUMENT', function()\n"
	     "  app:call('t/a', 'who', { n = 2 }, { token = 'x' }) end)\n"
	     /* It belongs to user and address. */
	     "assert.equal(6, add(2, { token = 'x', as = { name = 'ada' } }))\n"
	     "assert.equal(2, app:call('t/b', 'add', { n = 2 }, { token = 'x' }).n)\n"
	     "app:advance '23h'\nassert.equal(2, add(2, { token = 'x' }))\n"
	     "app:advance '1h'\nassert.equal(8, add(2, { token = 'x' }))",
	        NULL},
	    /* Failures are not remembered, and queries have none. */
	    {"local app = test.app()\n"
	     "assert.fails('INVALID_ARGUMENT', function()\n"
	     "  app:call('t/a', 'add', { n = 0 }, { token = 'x' }) end)\n"
	     "assert.equal(1, app:call('t/a', 'add', { n = 1 }, { token = 'x' }).n)\n"
	     "assert.equal(1, app:query('t/a', 'get', nil, { token = 'q' }).n)\n"
	     "app:call('t/a', 'add', { n = 1 })\n"
	     "assert.equal(2, app:query('t/a', 'get', nil, { token = 'q' }).n)",
	        NULL},
	    {"local app = test.app()\nassert.equal(70000, #app:call('t/a', 'big'))\n"
	     "assert.fails('RESOURCE_EXHAUSTED', function()\n"
	     "  app:call('t/b', 'big', nil, { token = 'x' }) end, 'too large')\n"
	     "assert.fails('NOT_FOUND', function() app:call('t/b', 'must') end)",
	        NULL},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(time_and_chance_are_simulated)
{
	static const struct rig_body bodies[] = {
	    {"local app = test.app()\nlocal now = app:call('t/a', 'now')\n"
	     "assert.equal(1767225600000, now)\nassert.equal(now, app:call('t/a', 'now'))\n"
	     "assert.equal(now + 8 * 3600000, app:advance '8h')\n"
	     "assert.equal(now + 8 * 3600000 + 5, app:advance(5))\n"
	     "assert.equal(app:advance(0), app:call('t/a', 'now'))",
	        NULL},
	    {"assert.equal(12345, test.app { now = 12345 }:call('t/a', 'now'))\n"
	     "assert.equal(951827400250,\n"
	     "  test.app { now = '2000-02-29T12:30:00.250Z' }:call('t/a', 'now'))",
	        NULL},
	    {"local function draw(seed) return test.app { seed = seed }:call('t/a', 'chance') end\n"
	     "assert.same(draw(1), draw())\nassert.same(draw(7), draw(7))\n"
	     "assert.is_true(draw(1)[1] ~= draw(2)[1])",
	        NULL},
	    {"local app = test.app()\n"
	     "assert.is_true(app:call('t/a', 'chance')[1] ~= app:call('t/a', 'chance')[1])",
	        NULL},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(handlers_have_the_servers_rules)
{
	static const struct rig_body bodies[] = {
	    {"local e = assert.fails('INTERNAL', function() test.app():call('t/a', 'break_it') "
	     "end,\n"
	     "'t.break_it failed at main.lua:2')\n"
	     "assert.is_true(e.traceback:find('main.lua:2', 1, true) ~= nil)",
	        NULL},
	    {"test.app():call('t/a', 'forget')", "ended without ctx:update(state)"},
	    {"test.app():query('t/a', 'write')", "INTERNAL: t.write"},
	    {"test.app():call('t/a', 'loop')", "t.loop ran out of "},
	    {"local app = test.app()\nassert.fails('RESOURCE_EXHAUSTED', function()\n"
	     "  app:call('t/a', 'echo', ('x'):rep(1048575)) end, 'the payload has 1048577 bytes')",
	        NULL},
	    /* What a later version has is refused as the server refuses it. */
	    {"local e = assert.fails('INTERNAL', function() test.app():call('t/a', 'send') end)\n"
	     "assert.is_true(e.traceback:find('ctx:send is not in this version', 1, true) ~= nil)",
	        NULL},
	    {"assert.fails('INTERNAL', function() test.app():call('t/a', 'publish') end)", NULL},
	    {"assert.fails('INTERNAL', function() test.app():call('t/a', 'timer') end)", NULL},
	    {"local app = test.app()\nassert.same({}, app:sent())\n"
	     "assert.same({}, app:published 'topic')",
	        NULL},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(wrong_use_says_what_to_do)
{
	static const struct rig_body bodies[] = {
	    {"test.app(1)", "options are a table like { seed = 1, now = 0 }, not a number"},
	    {"test.app({}, 1)", "test.app takes one table"},
	    {"test.app { sed = 1 }", "test.app has no 'sed'; did you mean seed?"},
	    {"test.app { seed = 'x' }", "seed is an integer, not a text"},
	    {"test.app { now = 'x' }", "now is milliseconds since 1970, or a time"},
	    {"test.app { now = -1 }", "now is milliseconds since 1970, or a time"},
	    {"test.app().call('t/a', 'add')", "call it with a colon, app:call(...)"},
	    {"test.app():cal('t/a')", "has no 'cal'; did you mean call?"},
	    {"test.app().x = 1", "can't be assigned"},
	    {"test.app():call(5, 'add')", "the address is a text like \"cart/c1\", not a number"},
	    {"test.app():call('t/a')", "the command is a name, a text, not nothing"},
	    {"test.app():query('t/a')", "the query is a name, a text, not nothing"},
	    {"test.app():call('t/a', 'echo', print)", "the input can't be sent as JSON: expected"},
	    {"test.app():call('t/a', 'echo', 1, 'x')", "options are a table like"},
	    {"test.app():call('t/a', 'echo', 1, {}, 5)", "nothing behind input and options"},
	    {"test.app():call('t/a', 'echo', 1, { tokn = 'x' })", "did you mean token?"},
	    {"test.app():call('t/a', 'echo', 1, { token = 5 })", "token is a text, not a number"},
	    {"test.app():call('t/a', 'echo', 1, { token = '' })", "a token is 1 to 128 bytes"},
	    {"test.app():call('t/a', 'echo', 1, { metadata = 5 })", "metadata is a table"},
	    {"test.app():call('t/a', 'echo', 1, { as = 'ada' })", "as is a table like"},
	    {"test.app():call('t/a', 'echo', 1, { as = { nam = 'x' } })", "did you mean name?"},
	    {"test.app():call('t/a', 'echo', 1, { as = { name = 5 } })", "as.name is a text"},
	    {"test.app():call('t/a', 'echo', 1, { as = { roles = 'x' } })", "as.roles is a list"},
	    {"test.app():call('t/a', 'echo', 1, { as = { roles = { 5 } } })", "one is a number"},
	    {"test.app():advance()", "app:advance takes a duration"},
	    {"test.app():advance '8x'", "app:advance takes a duration"},
	    {"test.app():advance(-1)", "app:advance takes a duration"},
	    {"test.app():advance(1.5)", "app:advance takes a duration"},
	    {"test.app():published()", "takes the name of a topic"},
	    {"local all = {}\nfor i = 1, 200 do all[i] = test.app() end",
	        "more than 128 apps and entities at one time"},
	    /* Those that nobody has any more are given back. */
	    {"for i = 1, 200 do test.app() end", NULL},
	};
	CHECK(main_source, bodies);
}
END_TEST

START_TEST(what_handlers_log_is_told_with_a_failure)
{
	struct app_test *test = rig_open(main_source, "tests/a_test.lua",
	    "local test = require 'kalix.test'\n"
	    "it('good', function() test.app():call('t/a', 'log') end)\n"
	    "it('bad', function() test.app():call('t/a', 'log', true) end)\n");
	struct app_test_outcome outcome = rig_run(test, "good");
	ck_assert(outcome.passed);
	ck_assert_uint_eq(outcome.logged.bytes, 0);
	outcome = rig_run(test, "bad");
	ck_assert(!outcome.passed);
	ck_assert_str_eq(outcome.where, "tests/a_test.lua:3");
	ck_assert(
	    slice_equal(outcome.logged, slice_from_text("info t/a: logged\ninfo t/a: printed\n")));
	app_test_free(test);
}
END_TEST

START_TEST(an_app_may_be_kept_by_its_file)
{
	struct app_test *test = rig_open(main_source, "tests/a_test.lua",
	    "local app = require 'kalix.test'.app()\n"
	    "it('a', function() app:call('t/a', 'add', { n = 1 }) end)\n"
	    "it('b', function() for i = 1, 40 do require 'kalix.test'.app() end end)\n"
	    "it('c', function() assert.equal(1, app:query('t/a', 'get').n) end)\n");
	ck_assert(rig_run(test, "a").passed);
	ck_assert(rig_run(test, "b").passed);
	ck_assert(rig_run(test, "c").passed);
	app_test_free(test);
}
END_TEST

Suite *world_suite(void)
{
	Suite *suite = suite_create("world");
	TCase *tcase = tcase_create("test.app");
	tcase_add_test(tcase, calls_change_entities_and_answer);
	tcase_add_test(tcase, callers_have_names_and_roles);
	tcase_add_test(tcase, a_token_takes_effect_once);
	tcase_add_test(tcase, time_and_chance_are_simulated);
	tcase_add_test(tcase, handlers_have_the_servers_rules);
	tcase_add_test(tcase, wrong_use_says_what_to_do);
	tcase_add_test(tcase, what_handlers_log_is_told_with_a_failure);
	tcase_add_test(tcase, an_app_may_be_kept_by_its_file);
	suite_add_tcase(suite, tcase);
	return suite;
}
