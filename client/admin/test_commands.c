/* app test: an app's own tests, run without a server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "client/admin/bundle_dir.h"
#include "client/admin/commands.h"
#include "client/admin/print.h"
#include "scripting/diagnostics.h"
#include "scripting/host.h"
#include "scripting/test/app_test.h"

#define WHY_BYTES      512
#define LINE_BYTES_MAX 4096

struct report {
	enum output_format format;
	bool colour;
	uint64_t passed, failed;
	const char *file; /* of the last line */
};

/* ---- Lines ---- */

static const char *colour(const struct report *report, const char *code)
{
	return report->colour ? code : "";
}

/* Each line of a text below a test, as it may stand on a terminal; `label` before the first. */
static void print_block(const char *label, struct slice text)
{
	while (text.bytes > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.bytes);
		size_t bytes = end ? (size_t)(end - text.data) : text.bytes;
		char line[LINE_BYTES_MAX];
		print_clean(line, sizeof(line), slice_of(text.data, bytes), "\t");
		printf("        %s%s\n", label, line);
		label = label[0] ? "          " : "";
		size_t step = end ? bytes + 1 : bytes;
		text = slice_of(text.data + step, text.bytes - step);
	}
}

static void print_failure(const struct app_test_outcome *outcome)
{
	char label[LINE_BYTES_MAX];
	snprintf(label, sizeof(label), "%s%s", outcome->where, outcome->where[0] ? ": " : "");
	print_block(label, outcome->message);
	print_block("expected: ", outcome->expected);
	print_block("got:      ", outcome->got);
	print_block("", outcome->traceback);
	print_block("log: ", outcome->logged);
}

static void print_lines(
    struct report *report, const struct app_test_case *item, const struct app_test_outcome *outcome)
{
	char name[LINE_BYTES_MAX];
	if (!report->file || strcmp(report->file, item->file) != 0)
		printf("%s\n", item->file);
	report->file = item->file;
	const char *shown = item->name[0] ? item->name : "the file can't be loaded";
	print_clean(name, sizeof(name), slice_from_text(shown), "");
	if (outcome->passed)
		printf("%sok%s      %s\n", colour(report, "\033[32m"), colour(report, "\033[0m"),
		    name);
	else
		printf("%sFAILED%s  %s\n", colour(report, "\033[31m"), colour(report, "\033[0m"),
		    name);
	print_block("", outcome->printed);
	if (!outcome->passed)
		print_failure(outcome);
}

/* ---- JSON ---- */

static void member(struct print_object *object, const char *name, struct slice value)
{
	if (value.bytes > 0)
		print_object_text(object, name, value);
}

static enum exit_code print_case(
    struct report *report, const struct app_test_case *item, const struct app_test_outcome *outcome)
{
	struct print_object object;
	print_object_begin(&object);
	member(&object, "file", slice_from_text(item->file));
	print_object_number(&object, "line", (uint64_t)item->line);
	member(&object, "name", slice_from_text(item->name));
	member(&object, "result", slice_from_text(outcome->passed ? "passed" : "failed"));
	member(&object, "where", slice_from_text(outcome->where));
	member(&object, "message", outcome->message);
	member(&object, "path", outcome->path);
	member(&object, "expected", outcome->expected);
	member(&object, "got", outcome->got);
	member(&object, "traceback", outcome->traceback);
	member(&object, "logged", outcome->logged);
	member(&object, "printed", outcome->printed);
	bool is_json = report->format == OUTPUT_JSON;
	int error = print_object_end(&object,
	    is_json && report->passed + report->failed > 1 ? ",\n" : "", is_json ? "" : "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

/* ---- Running ---- */

/* A file that can't be loaded may have any test in it. */
static bool is_chosen(const struct app_test_case *item, const char *filter)
{
	return !filter || item->name[0] == 0 || strstr(item->name, filter) ||
	       strstr(item->file, filter);
}

static enum exit_code run_cases(struct app_test *test, const char *filter, struct report *report)
{
	enum exit_code code = EXIT_DONE;
	if (report->format == OUTPUT_JSON)
		fputs("[", stdout);
	for (size_t i = 0; i < app_test_count(test) && !code; i++) {
		struct app_test_case item = app_test_at(test, i);
		struct app_test_outcome outcome;
		if (!is_chosen(&item, filter))
			continue;
		int error = app_test_run(test, i, &outcome);
		if (error)
			return command_failed(error, "");
		report->passed += outcome.passed;
		report->failed += !outcome.passed;
		if (report->format == OUTPUT_TABLE)
			print_lines(report, &item, &outcome);
		else
			code = print_case(report, &item, &outcome);
		fflush(stdout);
	}
	if (report->format == OUTPUT_JSON)
		fputs("]\n", stdout);
	return code;
}

/* Having tested nothing is no success: a wrong directory or a filter with a slip in it must not
 * look like one. */
static enum exit_code tell_none(const char *dir, const struct app_test *test, const char *filter)
{
	char why[WHY_BYTES];
	if (app_test_count(test) == 0)
		snprintf(why, sizeof(why),
		    "no tests found: %.200s has none in its tests/..._test.lua; a test is "
		    "it(\"name\", function() ... end)",
		    dir);
	else
		snprintf(why, sizeof(why),
		    "no test has '%.100s' in its name or its file's: %zu have not",
		    filter ? filter : "", app_test_count(test));
	return command_failed(ERR_NOT_FOUND, why);
}

/* Reads both kinds of files and loads them. */
static enum exit_code open_tests(
    const char *dir, struct bundle_tests *files, struct app_test **ret_test)
{
	char why[WHY_BYTES] = "";
	struct host_diagnostics diagnostics = {.items = NULL};
	struct buffer bundle;
	buffer_init(&bundle, BUNDLE_BYTES_MAX + 65536);
	int error = bundle_dir_read(dir, &bundle, why, sizeof(why));
	if (!error)
		error = bundle_dir_read_tests(dir, files, why, sizeof(why));
	enum exit_code code = error ? command_failed(error, why) : EXIT_DONE;
	if (!code) {
		error = app_test_new(
		    buffer_view(&bundle), files->items, files->count, &diagnostics, ret_test);
		if (error == ERR_INVALID)
			print_diagnostics(&diagnostics);
		if (error)
			code = command_failed(error,
			    error == ERR_INVALID ? "the app can't be loaded, so nothing was tested"
			                         : "");
	}
	host_diagnostics_free(&diagnostics);
	buffer_done(&bundle);
	return code;
}

enum exit_code command_app_test(const struct args *args)
{
	const char *dir = args->words > 2 ? args->word[2] : ".";
	struct bundle_tests files = {.items = NULL};
	struct app_test *test = NULL;
	struct report report = {.format = args->format,
	    .colour = args->format == OUTPUT_TABLE && isatty(STDOUT_FILENO)};
	enum exit_code code = open_tests(dir, &files, &test);
	if (!code)
		code = run_cases(test, args->filter, &report);
	if (!code && report.passed + report.failed == 0)
		code = tell_none(dir, test, args->filter);
	else if (!code && report.format == OUTPUT_TABLE)
		printf("%llu passed, %llu failed\n", (unsigned long long)report.passed,
		    (unsigned long long)report.failed);
	if (!code && report.failed > 0)
		code = EXIT_REFUSED;
	app_test_free(test);
	bundle_tests_done(&files);
	return code;
}

/* "tests/a_test.lua:12" is the place of what is wrong. */
static int add_problem(struct host_diagnostics *diagnostics, const struct app_test_case *item,
    const struct app_test_outcome *outcome)
{
	const char *colon = strrchr(outcome->where, ':');
	uint32_t line = colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
	return diagnostics_add(diagnostics, HOST_ERROR, item->file, line, "%.*s",
	    (int)outcome->message.bytes,
	    outcome->message.bytes ? (const char *)outcome->message.data : "");
}

int check_tests(const char *dir, struct slice bundle, struct host_diagnostics *diagnostics,
    size_t *ret_tests, char *why, size_t why_bytes)
{
	struct bundle_tests files = {.items = NULL};
	struct host_diagnostics known = {.items = NULL};
	struct app_test *test = NULL;
	size_t count = 0;
	int error = bundle_dir_read_tests(dir, &files, why, why_bytes);
	if (!error && files.count > 0)
		error = app_test_new(bundle, files.items, files.count, &known, &test);
	for (size_t i = 0; test && i < app_test_count(test) && !error; i++) {
		struct app_test_case item = app_test_at(test, i);
		struct app_test_outcome outcome;
		count += item.name[0] != 0;
		if (item.name[0] == 0)
			error = app_test_run(test, i, &outcome);
		if (!error && item.name[0] == 0)
			error = add_problem(diagnostics, &item, &outcome);
	}
	*ret_tests = count;
	app_test_free(test);
	host_diagnostics_free(&known);
	bundle_tests_done(&files);
	return error;
}
