/* Every allocation on the way of a load, a call and a fold fails once: an error comes back, nothing
 * is half done, and the next attempt works. */
#include "base/limits.h"
#include "base/mem.h"
#include "tests/unit/scripting/host_rig.h"
#include "tests/unit/scripting/host_suites.h"

static const char source[] =
    "local kalix = require 'kalix'\nlocal s = kalix.schema\n"
    "return kalix.event_sourced_entity 't' {\n"
    "  state = s.record { n = s.integer }, init = { n = 0 }, version = 2,\n"
    "  migrate = { [1] = function(x) end },\n"
    "  commands = { a = { function(state, i, ctx) ctx:emit('e', i) return state end,\n"
    "    input = s.record { n = s.integer }, roles = { 'x' }, description = 'd' } },\n"
    "  events = { e = function(state, e, meta) state.n = state.n + e.n end } }\n";

static int load(struct host *host, struct slice bytes, struct host_bundle **ret_bundle)
{
	struct host_diagnostics diagnostics = {0};
	int error = host_load(host, bytes, &diagnostics, ret_bundle);
	host_diagnostics_free(&diagnostics);
	return error;
}

static struct host *make_host(enum host_mode mode)
{
	struct host_options options = {.mode = mode, .seed = 1};
	struct host *host;
	ck_assert_int_eq(host_new(&options, &host), 0);
	return host;
}

START_TEST(a_host_survives_each_failed_allocation)
{
	struct host_options options = {.mode = HOST_DEV, .seed = 1};
	for (uint64_t n = 1;; n++) {
		struct host *host;
		mem_fail_at(n);
		int error = host_new(&options, &host);
		bool failed = mem_failed();
		mem_fail_at(0);
		if (!failed) {
			ck_assert_int_eq(error, 0);
			ck_assert_uint_gt(n, 100);
			host_free(host);
			return;
		}
		/* Lua may have found memory by collecting garbage. */
		if (!error)
			host_free(host);
		else
			ck_assert_int_eq(error, ERR_NOMEM);
	}
}
END_TEST

START_TEST(a_load_survives_each_failed_allocation)
{
	struct buffer bytes;
	buffer_init(&bytes, 1 << 20);
	rig_pack(&bytes, "app.lua", "return { name = 'shop', require 'main' }", "main.lua", source,
	    NULL);
	bool ended = false;
	for (uint64_t n = 1; !ended; n++) {
		/* A fresh host: one that has loaded before keeps blocks for the next time. */
		struct host *host = make_host(HOST_PRODUCTION);
		struct host_bundle *bundle;
		mem_fail_at(n);
		int error = load(host, buffer_view(&bytes), &bundle);
		ended = !mem_failed();
		mem_fail_at(0);
		if (!error)
			host_bundle_release(bundle);
		if (ended) {
			ck_assert_int_eq(error, 0);
			ck_assert_uint_gt(n, 50);
		}
		/* A run that lacks memory is ended as one that asked for too much. */
		ck_assert(error == 0 || error == ERR_NOMEM || error == ERR_INVALID);
		ck_assert_uint_eq(host_figures(host).bundles, 0);
		host_free(host);
	}
	buffer_done(&bytes);
}
END_TEST

static void check_call(const struct host_outcome *outcome)
{
	if (outcome->status == STATUS_OK) {
		ck_assert_int_eq(outcome->change, HOST_EMITTED);
		ck_assert(slice_equal(outcome->reply, slice_from_text("{\"n\":3}")));
		ck_assert(slice_equal(outcome->state, slice_of("\x81\xa1n\x03", 4)));
		ck_assert_uint_eq(outcome->event_count, 1);
	} else {
		ck_assert_int_eq(outcome->status, STATUS_RESOURCE_EXHAUSTED);
		ck_assert_int_eq(outcome->change, HOST_UNCHANGED);
		ck_assert_uint_eq(outcome->event_count, 0);
	}
}

START_TEST(a_call_survives_each_failed_allocation)
{
	struct buffer bytes;
	buffer_init(&bytes, 1 << 20);
	rig_pack(&bytes, "app.lua", "return { name = 'shop', require 'main' }", "main.lua", source,
	    NULL);
	static const enum host_mode modes[] = {HOST_DEV, HOST_PRODUCTION};
	bool ended = false;
	for (uint64_t n = 1; !ended; n++) {
		/* A fresh host, so that nothing is there yet that was made by the call before. */
		struct host *host = make_host(modes[_i]);
		struct host_bundle *bundle;
		ck_assert_int_eq(load(host, buffer_view(&bytes), &bundle), 0);
		struct host_component *component = host_component_at(bundle, 0);
		struct slice role = slice_from_text("x");
		struct host_request request = {.component = component,
		    .handler = host_handler(component, slice_from_text("a")),
		    .address = slice_from_text("t/1"),
		    .has_payload = true,
		    .payload = slice_from_text("{\"n\":3}"),
		    .caller = {slice_from_text("client"), slice_from_text("me"), &role, 1}};
		struct host_call *call = NULL;
		mem_fail_at(n);
		int error = host_call_begin(host, &request, &call);
		if (!error) {
			while (host_call_run(call, 0) == HOST_PAUSED) {
			}
		}
		ended = !mem_failed();
		mem_fail_at(0);
		if (error)
			ck_assert_int_eq(error, ERR_NOMEM);
		else
			check_call(host_call_outcome(call));
		if (ended)
			ck_assert_int_eq(host_call_outcome(call)->status, STATUS_OK);
		host_call_end(call);
		host_bundle_release(bundle);
		host_free(host);
	}
	buffer_done(&bytes);
}
END_TEST

Suite *host_memory_suite(void)
{
	Suite *suite = suite_create("host_memory");
	TCase *tcase = tcase_create("memory");
	tcase_add_test(tcase, a_host_survives_each_failed_allocation);
	tcase_add_test(tcase, a_load_survives_each_failed_allocation);
	tcase_add_loop_test(tcase, a_call_survives_each_failed_allocation, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
