/* Tests of an app: its files tests/..._test.lua, and what `require "kalix.test"` gives them.
 *
 * Two interpreters take part. Test files run in one of their own: the sandbox of handlers, with
 * larger budgets, whose file-level locals live as long as the app_test. Handlers run in hosts
 * (scripting/host.h, dev mode), one for each `test.app` and `test.entity`, with the bundle as it
 * would be uploaded, on entities in memory (scripting/test/world.h). Between the two go bytes, as
 * between a client and a server: nothing of a test can reach into a handler.
 *
 *   app_test_new (loads the app, then each test file: describe and it are collected)
 *   -> app_test_run for each case, in any order, each at most as often as one likes
 *   -> app_test_free
 *
 * What a test file sees beside the sandbox's globals, as globals and in the table that `require
 * "kalix.test"` returns (which is the global `test`, too):
 *
 *   describe(name, fn)    nests; its tests are named "outer > inner > name"
 *   it(name, fn)          a test
 *   before_each(fn)       runs before each test of the enclosing describe (or file) and of those
 *                         in it, outer ones first, in the order as written
 *   assert(value, ...)    Lua's own; and, each with a text in addition as last argument:
 *   assert.equal(expected, got)       ==
 *   assert.same(expected, got)        the same content, however deep; 5 and 5.0 are the same
 *   assert.is_true(value)             true itself
 *   assert.has_error(fn [, text])     fn raises, with `text` in what it raises; gives that back
 *   assert.fails(code, fn [, text])   fn raises the error of a call that has this code
 *   test.app{seed, now}, test.entity(address, {seed, now}): scripting/test/world_lua.h
 *
 * `require` finds "kalix", "kalix.test", files that app.lua requires, and other test files.
 *
 * A test has a budget, its before_each included (TEST_INSTRUCTIONS_MAX, TEST_RUN_MS_MAX,
 * TEST_MEMORY_BYTES_MAX); a file as much for being loaded. Handlers have theirs.
 *
 * Errors: 0 or a negative enum error for what we lack (ERR_NOMEM). Everything that tests do wrong
 * is a case that failed; a file that can't be loaded is one, too.
 *
 * Thread: one, with at least 2 * HOST_STACK_BYTES_MIN of C stack: a host runs inside a test.
 */
#ifndef KX_SCRIPTING_TEST_APP_TEST_H
#define KX_SCRIPTING_TEST_APP_TEST_H

#include "scripting/host.h"

struct app_test;

#define TEST_INSTRUCTIONS_MAX UINT64_C(200000000)
#define TEST_RUN_MS_MAX       UINT64_C(20000)
#define TEST_MEMORY_BYTES_MAX (UINT64_C(256) << 20)
#define TEST_FILES_MAX        1000
#define TEST_CASES_MAX        100000
#define TEST_DEPTH_MAX        32 /* of describes in each other */

/* `bundle` and `files` are copied. Files have the paths by which they are told, and are loaded in
 * their order. ERR_INVALID: the app itself is refused, and *diagnostics says why. */
NODISCARD int app_test_new(struct slice bundle, const struct host_file *files, size_t count,
    struct host_diagnostics *diagnostics, struct app_test **ret_test);
void app_test_free(struct app_test *test); /* NULL-safe */

/* Views live as long as the app_test. */
struct app_test_case {
	const char *file; /* "tests/cart_test.lua" */
	uint32_t line;    /* of the test's function; 0: unknown */
	const char *name; /* "cart > add_item > counts"; "" where the file could not be loaded */
};
size_t app_test_count(const struct app_test *test);
struct app_test_case app_test_at(const struct app_test *test, size_t number);

/* Views are valid until the next run, or app_test_free. */
struct app_test_outcome {
	bool passed;
	/* Of one that failed. */
	const char *where;      /* "tests/cart_test.lua:12", or "" */
	struct slice message;   /* what is wrong, in a sentence */
	struct slice path;      /* of assert.same: where the two differ first, or empty */
	struct slice expected;  /* of assert.equal and same, as Lua would write it; several lines */
	struct slice got;       /* where it is long */
	struct slice traceback; /* of the handler that broke, or empty */
	struct slice logged;    /* lines that handlers logged and printed */
	/* Lines that the test itself printed, whether it passed or not. */
	struct slice printed;
};
NODISCARD int app_test_run(
    struct app_test *test, size_t number, struct app_test_outcome *ret_outcome);

#endif
