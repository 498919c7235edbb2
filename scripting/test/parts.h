/* What the files of scripting/test share: the state of an app's tests, and how a test fails.
 * Private to this folder. */
#ifndef KX_SCRIPTING_TEST_PARTS_H
#define KX_SCRIPTING_TEST_PARTS_H

#include "base/buffer.h"
#include "scripting/inside.h"
#include "scripting/test/app_test.h"

#define TEST_TEXT_BYTES_MAX  8192 /* of one value in a message */
#define TEST_LINES_BYTES_MAX 65536
#define TEST_WHERE_BYTES     300

#define NO_DESCRIBE SIZE_MAX

/* References to Lua functions are those of `host`. */
struct describe {
	size_t parent; /* NO_DESCRIBE: the file's own */
	char *name;    /* "" of a file's own */
	unsigned depth;
	int *before;
	size_t before_count, before_capacity;
};

struct test_case {
	size_t file, describe;
	uint32_t line;
	char *name;
	int function;
	/* Of a file that could not be loaded: what its run says. */
	char *where, *message;
};

enum file_stage { FILE_NEW, FILE_LOADING, FILE_LOADED, FILE_FAILED };
struct test_file {
	char *path;
	char *source;
	size_t source_bytes;
	enum file_stage stage;
	int value; /* what it returned */
};

/* Why a test fails, filled where the error is raised, because what is on the stack is gone later.
 * It belongs to the error whose table stands at `value`. */
struct failure {
	const void *value;
	char where[TEST_WHERE_BYTES];
	struct buffer message, path, expected, got, traceback;
};

struct app_test {
	struct script_owner owner; /* OWNER_TEST; of every run of test code */
	struct host *host;         /* the tests' own interpreter, with the bundle in it, too */
	struct test_file *files;
	size_t file_count;
	struct describe *describes;
	size_t describe_count, describe_capacity;
	struct test_case *cases;
	size_t case_count, case_capacity;
	int environment;     /* reference: what test files see as their globals */
	int module;          /* reference: what `require "kalix.test"` gives */
	bool loading;        /* files are; else a test runs */
	size_t file_now;     /* that is loaded */
	size_t describe_now; /* whose function runs */
	unsigned worlds;     /* that are not collected yet */
	struct failure failure;
	struct buffer printed, logged, scratch;
	struct buffer payload, metadata, given; /* of a call, of an entity's past */
};

/* The tests whose code calls; raises where no test runs. */
struct app_test *test_current(struct lua_State *lua);

/* Room for one more of `bytes` each; raises for lack of memory. */
void *test_grow(struct lua_State *lua, void *items, size_t count, size_t *capacity, size_t bytes);
char *test_text(struct lua_State *lua, struct slice text); /* a copy; raises */

/* Makes `environment` and `module` (scripting/test/declare.c); protected. */
void test_open(struct lua_State *lua, struct app_test *test);
/* Adds assert's table, with what it does, to the table on top (scripting/test/assert.c). */
void test_open_assert(struct lua_State *lua);
/* Runs the file, unless it has run, and pushes what it returned. Raises. */
void test_load_file(struct lua_State *lua, struct app_test *test, size_t number);

/* ---- Failing ---- */

/* The place in a test file from which the running C function was called, or "". */
void test_where(struct lua_State *lua, char where[TEST_WHERE_BYTES]);
/* Empties test->failure and notes the place: then its parts are filled, and then it is raised. */
struct failure *test_fail_begin(struct lua_State *lua, struct app_test *test);
__attribute__((noreturn)) void test_fail_end(struct lua_State *lua, struct app_test *test);
__attribute__((noreturn, format(printf, 3, 4))) void test_fail(
    struct lua_State *lua, struct app_test *test, const char *format, ...);
/* Whether the value at `position` is what a failed assertion raised. */
bool test_is_failure(struct lua_State *lua, int position);

/* Pushes the text of an error, or whatever else: never an address. */
void test_push_text(struct lua_State *lua, int position);
/* Of what kind a value is: "a number", "nothing". */
const char *test_what(struct lua_State *lua, int position);
/* __newindex of what test files may not change. */
int test_refuse_write(struct lua_State *lua);

/* ---- Errors of calls ---- */

/* What a call told: a table {code, message, details, traceback}. */
struct call_error {
	enum status status;
	struct slice message, details, traceback; /* details: JSON, or empty */
};
__attribute__((noreturn)) void test_raise_call(
    struct lua_State *lua, struct app_test *test, const struct call_error *error);
bool test_is_call_error(struct lua_State *lua, int position);

/* ---- Values ---- */

/* Whether both hold the same. False: appends the path of the first difference, in order of keys, to
 * *path, and pushes what is expected and what is there. */
bool test_same(struct lua_State *lua, int expected, int got, struct buffer *path);
/* Appends the value as Lua would write it, keys in order, in several lines where it is long, cut at
 * TEST_TEXT_BYTES_MAX. */
void test_print(struct lua_State *lua, int position, struct buffer *out);
/* ".name", "[3]", or "[\"any text\"]": a key on its way to a value. */
void test_print_key(struct lua_State *lua, int position, struct buffer *out);

#endif
