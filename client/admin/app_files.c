/* app init and check: a directory of Lua files, before any server sees it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/wire/address.h"
#include "base/wire/json.h"
#include "client/admin/bundle_dir.h"
#include "client/admin/commands.h"
#include "client/admin/print.h"
#include "scripting/diagnostics.h"
#include "scripting/host.h"

#define WHY_BYTES  512
#define PATH_BYTES 2048

/* ---- init ---- */

static const char app_lua[] = "local kalix = require \"kalix\"\n"
                              "\n"
                              "return {\n"
                              "  name = \"%s\",\n"
                              "  require \"counter\",\n"
                              "}\n";

static const char counter_lua[] =
    "-- A counter: call it with\n"
    "--   redis-cli -p 7470 CALL counter/c1 add '{\"n\":2}'\n"
    "--   redis-cli -p 7470 CALL counter/c1 get\n"
    "local kalix = require \"kalix\"\n"
    "local schema = kalix.schema\n"
    "\n"
    "return kalix.value_entity \"counter\" {\n"
    "  state = schema.record { value = schema.integer },\n"
    "  init = { value = 0 },\n"
    "\n"
    "  commands = {\n"
    "    add = {\n"
    "      function(state, input, ctx)\n"
    "        state.value = state.value + input.n\n"
    "        ctx:update(state)\n"
    "        return state.value\n"
    "      end,\n"
    "      input = schema.record { n = schema.integer { min = 1 } },\n"
    "      description = \"adds n, and answers the new value\",\n"
    "    },\n"
    "    reset = function(state, input, ctx) ctx:update { value = 0 } end,\n"
    "  },\n"
    "\n"
    "  queries = { get = function(state) return state.value end },\n"
    "}\n";

static const char counter_test_lua[] =
    "-- Run it with `kalix-admin app test`.\n"
    "local test = require \"kalix.test\"\n"
    "\n"
    "describe(\"a counter\", function()\n"
    "  local counter\n"
    "  before_each(function()\n"
    "    counter = test.entity(\"counter/c1\"):given { state = { value = 40 } }\n"
    "  end)\n"
    "\n"
    "  it(\"adds\", function()\n"
    "    local result = counter:call(\"add\", { n = 2 })\n"
    "    assert.equal(42, result.reply)\n"
    "    assert.same({ value = 42 }, result.state)\n"
    "  end)\n"
    "\n"
    "  it(\"does not add nothing\", function()\n"
    "    assert.fails(\"INVALID_ARGUMENT\", function() counter:call(\"add\", { n = 0 }) end)\n"
    "  end)\n"
    "\n"
    "  it(\"begins anew\", function()\n"
    "    counter:call \"reset\"\n"
    "    assert.equal(0, counter:query \"get\")\n"
    "  end)\n"
    "end)\n";

/* What is written; the name of the app goes into the first one. */
static const struct {
	const char *name, *source;
} first_files[] = {{"app.lua", app_lua}, {"counter.lua", counter_lua},
    {"tests/counter_test.lua", counter_test_lua}};
#define FIRST_FILES (sizeof(first_files) / sizeof(first_files[0]))

__attribute__((format(printf, 2, 3))) static enum exit_code write_file(
    const char *path, const char *format, ...)
{
	char why[WHY_BYTES];
	va_list arguments;
	/* "x": never over a file that is there. */
	FILE *out = fopen(path, "wx");
	if (!out) {
		snprintf(why, sizeof(why), "%.400s: %s", path, strerror(errno));
		return command_failed(ERR_IO, why);
	}
	va_start(arguments, format);
	bool bad = vfprintf(out, format, arguments) < 0;
	va_end(arguments);
	if (fclose(out) || bad) {
		snprintf(why, sizeof(why), "%.400s could not be written", path);
		return command_failed(ERR_IO, why);
	}
	return EXIT_DONE;
}

static enum exit_code app_written(const struct args *args, const char *dir, const char *name,
    const char paths[FIRST_FILES][PATH_BYTES])
{
	struct print_object object;
	if (args->format == OUTPUT_TABLE) {
		for (unsigned i = 0; i < FIRST_FILES; i++)
			printf("wrote %s\n", paths[i]);
		printf("next: kalix-admin app test %s; kalix-admin app deploy %s\n", dir, dir);
		return EXIT_DONE;
	}
	print_object_begin(&object);
	print_object_text(&object, "app", slice_from_text(name));
	print_object_text(&object, "dir", slice_from_text(dir));
	json_write_key(&object.json, slice_from_text("files"));
	json_write_array_begin(&object.json);
	for (unsigned i = 0; i < FIRST_FILES; i++)
		json_write_string(&object.json, slice_from_text(paths[i]));
	json_write_array_end(&object.json);
	int error = print_object_end(&object, "", "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

/* One that is there is fine. */
static enum exit_code make_dir(const char *path)
{
	char why[WHY_BYTES];
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return EXIT_DONE;
	snprintf(why, sizeof(why), "%.400s: %s", path, strerror(errno));
	return command_failed(ERR_IO, why);
}

enum exit_code command_app_init(const struct args *args)
{
	const char *dir = args->word[2];
	const char *slash = strrchr(dir, '/');
	const char *name = args->words > 3 ? args->word[3] : slash ? slash + 1 : dir;
	char why[WHY_BYTES], tests[PATH_BYTES], paths[FIRST_FILES][PATH_BYTES];
	if (!name_valid(slice_from_text(name))) {
		snprintf(why, sizeof(why),
		    "'%.80s' is no name of an app: a lower-case letter and up to 63 of a-z 0-9 _",
		    name);
		return command_failed(ERR_INVALID, why);
	}
	for (unsigned i = 0; i < FIRST_FILES; i++)
		snprintf(paths[i], PATH_BYTES, "%.1500s/%s", dir, first_files[i].name);
	snprintf(tests, sizeof(tests), "%.1500s/tests", dir);
	enum exit_code code = make_dir(dir);
	if (!code)
		code = write_file(paths[0], app_lua, name);
	if (!code)
		code = make_dir(tests);
	for (unsigned i = 1; i < FIRST_FILES && !code; i++)
		code = write_file(paths[i], "%s", first_files[i].source);
	return code ? code : app_written(args, dir, name, paths);
}

/* ---- check ---- */

static const char *severity(const struct host_diagnostic *item)
{
	return item->severity == HOST_ERROR ? "error" : "warning";
}

void print_diagnostics(const struct host_diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct host_diagnostic *item = &diagnostics->items[i];
		if (item->file[0] && item->line)
			printf(
			    "%s:%u: %s: %s\n", item->file, item->line, severity(item), item->text);
		else
			printf("%s%s%s: %s\n", item->file, item->file[0] ? ": " : "",
			    severity(item), item->text);
	}
}

static void write_text(struct json_writer *json, const char *name, const char *text)
{
	json_write_key(json, slice_from_text(name));
	json_write_string(json, slice_from_text(text));
}

static void write_diagnostics(struct json_writer *json, const struct host_diagnostics *diagnostics)
{
	json_write_key(json, slice_from_text("diagnostics"));
	json_write_array_begin(json);
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct host_diagnostic *item = &diagnostics->items[i];
		json_write_object_begin(json);
		write_text(json, "file", item->file);
		json_write_key(json, slice_from_text("line"));
		json_write_integer(json, item->line);
		write_text(json, "severity", severity(item));
		write_text(json, "text", item->text);
		json_write_object_end(json);
	}
	json_write_array_end(json);
}

/* `bundle` is NULL where the app is not good. Its tests may not be, all the same. */
static enum exit_code app_checked(const struct args *args,
    const struct host_diagnostics *diagnostics, struct host_bundle *bundle, size_t tests)
{
	bool is_good = bundle && !diagnostics_have_error(diagnostics);
	enum exit_code code = is_good ? EXIT_DONE : EXIT_REFUSED;
	struct slice name = bundle ? host_bundle_app(bundle) : slice_of(NULL, 0);
	struct print_object object;
	if (args->format == OUTPUT_TABLE) {
		print_diagnostics(diagnostics);
		if (bundle)
			printf("%.*s: good, %zu %s, hash %s\n", (int)name.bytes,
			    (const char *)name.data, host_component_count(bundle),
			    print_plural(host_component_count(bundle), "component", "components"),
			    host_bundle_hash_text(bundle));
		if (tests)
			printf("%zu %s\n", tests,
			    print_plural(tests, "test: kalix-admin app test runs it",
			        "tests: kalix-admin app test runs them"));
		return code;
	}
	print_object_begin(&object);
	if (bundle) {
		print_object_text(&object, "app", name);
		print_object_number(&object, "components", host_component_count(bundle));
	}
	write_diagnostics(&object.json, diagnostics);
	print_object_boolean(&object, "good", is_good);
	if (bundle)
		write_text(&object.json, "hash", host_bundle_hash_text(bundle));
	print_object_number(&object, "tests", tests);
	int error = print_object_end(&object, "", "\n");
	return error ? command_failed(error, "") : code;
}

static enum exit_code check_bundle(const struct args *args, const char *dir, struct slice bytes)
{
	struct host_options options = {.mode = HOST_DEV, .seed = 1};
	struct host_diagnostics diagnostics = {.items = NULL};
	struct host_bundle *bundle = NULL;
	struct host *host;
	char why[WHY_BYTES] = "";
	size_t tests = 0;
	int error = host_new(&options, &host);
	if (error)
		return command_failed(error, "");
	error = host_load(host, bytes, &diagnostics, &bundle);
	if (!error)
		error = check_tests(dir, bytes, &diagnostics, &tests, why, sizeof(why));
	enum exit_code code = error && error != ERR_INVALID
	                          ? command_failed(error, why)
	                          : app_checked(args, &diagnostics, bundle, tests);
	host_bundle_release(bundle);
	host_diagnostics_free(&diagnostics);
	host_free(host);
	return code;
}

enum exit_code command_app_check(const struct args *args)
{
	struct buffer bundle;
	buffer_init(&bundle, BUNDLE_BYTES_MAX + 65536);
	const char *dir = args->words > 2 ? args->word[2] : ".";
	enum exit_code code = bundle_dir_open(dir, &bundle);
	if (!code)
		code = check_bundle(args, dir, buffer_view(&bundle));
	buffer_done(&bundle);
	return code;
}
