#include "tests/unit/apptest/rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"

static const char app[] = "return { name = 'app', require 'main' }\n";
static const char small_main[] = "local kalix = require 'kalix'\n"
                                 "return kalix.value_entity 'thing' {\n"
                                 "  commands = { set = function(state, input, ctx)\n"
                                 "    ctx:update(input) return input end },\n"
                                 "  queries = { get = function(state) return state end } }\n";

static int open_files(
    struct app_test **ret_test, char why[1024], const char *main, va_list arguments)
{
	struct host_file files[16], tests[16];
	size_t file_count = 0, test_count = 0;
	const char *path;
	files[file_count++] = (struct host_file){slice_from_text("app.lua"), slice_from_text(app)};
	files[file_count++] = (struct host_file){
	    slice_from_text("main.lua"), slice_from_text(main ? main : small_main)};
	while ((path = va_arg(arguments, const char *))) {
		struct host_file file = {
		    slice_from_text(path), slice_from_text(va_arg(arguments, const char *))};
		if (strncmp(path, "tests/", 6) == 0)
			tests[test_count++] = file;
		else
			files[file_count++] = file;
	}
	struct buffer bundle;
	buffer_init(&bundle, BUNDLE_BYTES_MAX);
	ck_assert_int_eq(host_bundle_pack(files, file_count, &bundle), 0);
	struct host_diagnostics diagnostics = {.items = NULL};
	int error = app_test_new(buffer_view(&bundle), tests, test_count, &diagnostics, ret_test);
	if (why)
		snprintf(why, 1024, "%s", diagnostics.count ? diagnostics.items[0].text : "");
	host_diagnostics_free(&diagnostics);
	buffer_done(&bundle);
	return error;
}

int rig_try(struct app_test **ret_test, char *why, const char *main, ...)
{
	va_list arguments;
	va_start(arguments, main);
	int error = open_files(ret_test, why, main, arguments);
	va_end(arguments);
	return error;
}

struct app_test *rig_open_files(const char *main, ...)
{
	struct app_test *test = NULL;
	char why[1024] = "";
	va_list arguments;
	va_start(arguments, main);
	int error = open_files(&test, why, main, arguments);
	va_end(arguments);
	ck_assert_msg(error == 0, "%s: %s", error_name(error), why);
	return test;
}

struct app_test_outcome rig_run(struct app_test *test, const char *name)
{
	struct app_test_outcome outcome = {.passed = false};
	size_t i = 0;
	while (i < app_test_count(test) && strcmp(app_test_at(test, i).name, name) != 0)
		i++;
	ck_assert_msg(i < app_test_count(test), "there is no test '%s'", name);
	ck_assert_int_eq(app_test_run(test, i, &outcome), 0);
	return outcome;
}

static void check_body(const char *main, const struct rig_body *body)
{
	char source[8192];
	snprintf(source, sizeof(source),
	    "local test = require 'kalix.test'\nit('t', function()\n%s\nend)\n", body->body);
	struct app_test *test = rig_open(main, "tests/a_test.lua", source);
	struct app_test_outcome outcome = rig_run(test, "t");
	const char *message = outcome.message.bytes ? (const char *)outcome.message.data : "";
	int bytes = (int)outcome.message.bytes;
	if (!body->expected)
		ck_assert_msg(outcome.passed, "%s\nfailed: %.*s", body->body, bytes, message);
	else
		ck_assert_msg(!outcome.passed && memmem(message, outcome.message.bytes,
		                                     body->expected, strlen(body->expected)),
		    "%s\nexpected: %s\ngot: %.*s", body->body, body->expected, bytes, message);
	app_test_free(test);
}

void rig_check(const char *main, const struct rig_body *bodies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_body(main, &bodies[i]);
}
