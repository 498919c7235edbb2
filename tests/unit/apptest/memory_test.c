/* Every allocation on the way of loading and running tests fails once: an error or a failed test
 * comes of it, and nothing is lost or used after it was freed, which the sanitizers would tell. */
#include "base/buffer.h"
#include "base/limits.h"
#include "base/mem.h"
#include "scripting/test/app_test.h"
#include "tests/unit/apptest/suites.h"

static const char app[] =
    "local kalix = require 'kalix'\n"
    "return { name = 'a', kalix.event_sourced_entity 't' { init = { n = 0 },\n"
    "  commands = { add = function(state, input, ctx) ctx:emit('added', input) return input end "
    "},\n"
    "  events = { added = function(state, e) state.n = state.n + e.n end } } }\n";

static const char tests[] =
    "local test = require 'kalix.test'\n"
    "describe('d', function()\n"
    "  before_each(function() end)\n"
    "  it('t', function()\n"
    "    local r = test.entity('t/a'):given { { 'added', { n = 1 } } }\n"
    "      :call('add', { n = 2 }, { token = 'x' })\n"
    "    assert.same({ n = 3 }, r.state)\n"
    "    assert.fails('UNIMPLEMENTED', function() test.app():call('t/a', 'ad') end)\n"
    "    assert.same({ a = { 1 } }, { a = { 2 } })\n"
    "  end)\n"
    "end)\n";

static void pack(struct buffer *bundle)
{
	struct host_file file = {slice_from_text("app.lua"), slice_from_text(app)};
	buffer_init(bundle, BUNDLE_BYTES_MAX);
	ck_assert_int_eq(host_bundle_pack(&file, 1, bundle), 0);
}

static int open(struct slice bundle, struct app_test **ret_test)
{
	struct host_file file = {slice_from_text("tests/a_test.lua"), slice_from_text(tests)};
	struct host_diagnostics diagnostics = {.items = NULL};
	int error = app_test_new(bundle, &file, 1, &diagnostics, ret_test);
	host_diagnostics_free(&diagnostics);
	return error;
}

START_TEST(loading_survives_each_failed_allocation)
{
	struct buffer bundle;
	pack(&bundle);
	for (uint64_t n = 1;; n++) {
		struct app_test *test = NULL;
		mem_fail_at(n);
		int error = open(buffer_view(&bundle), &test);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert(error == 0 || error == ERR_NOMEM);
		if (!failed)
			ck_assert_uint_eq(app_test_count(test), 1);
		app_test_free(test);
		if (!failed)
			break;
	}
	buffer_done(&bundle);
}
END_TEST

START_TEST(a_test_survives_each_failed_allocation)
{
	struct buffer bundle;
	struct app_test *test;
	pack(&bundle);
	ck_assert_int_eq(open(buffer_view(&bundle), &test), 0);
	for (uint64_t n = 1;; n++) {
		struct app_test_outcome outcome = {.passed = false};
		mem_fail_at(n);
		int error = app_test_run(test, 0, &outcome);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert(error == 0 || error == ERR_NOMEM);
		ck_assert(!outcome.passed);
		if (failed)
			continue;
		ck_assert_int_eq(error, 0);
		ck_assert(
		    slice_equal(outcome.message, slice_from_text("at a[1]: expected 1, got 2")));
		ck_assert_uint_gt(n, 50);
		break;
	}
	app_test_free(test);
	buffer_done(&bundle);
}
END_TEST

Suite *memory_suite(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("each allocation");
	tcase_add_test(tcase, loading_survives_each_failed_allocation);
	tcase_add_test(tcase, a_test_survives_each_failed_allocation);
	suite_add_tcase(suite, tcase);
	return suite;
}
