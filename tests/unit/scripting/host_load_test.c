/* Bundles: packing, loading, and what `app check` tells about declarations. */
#include "base/limits.h"
#include "tests/unit/scripting/host_rig.h"
#include "tests/unit/scripting/host_suites.h"

static struct rig rig;

static void open_rig(void)
{
	rig_open(&rig, HOST_DEV);
}

static void close_rig(void)
{
	rig_close(&rig);
}

#define APP        "return { name = 'shop', require 'main' }"
#define MINIMAL(x) "return (require 'kalix').value_entity 't' { " x " }"
#define GET        "queries = { get = function(s) return s end }"

static struct slice text(const char *from)
{
	return slice_from_text(from);
}

START_TEST(equal_files_are_equal_bytes_in_any_order)
{
	struct buffer a, b;
	buffer_init(&a, 1000);
	buffer_init(&b, 1000);
	rig_pack(&a, "app.lua", "x", "lib/a.lua", "y", NULL);
	rig_pack(&b, "lib/a.lua", "y", "app.lua", "x", NULL);
	ck_assert(slice_equal(buffer_view(&a), buffer_view(&b)));
	char hash[HOST_HASH_CHARACTERS + 1];
	host_bundle_hash(buffer_view(&a), hash);
	ck_assert_uint_eq(strlen(hash), HOST_HASH_CHARACTERS);
	ck_assert_uint_eq(strspn(hash, "0123456789abcdef"), HOST_HASH_CHARACTERS);
	buffer_done(&a);
	buffer_done(&b);
}
END_TEST

START_TEST(only_good_paths_are_packed)
{
	static const char *const bad[] = {"", ".lua", "a.txt", "/a.lua", "a//b.lua", "../a.lua",
	    "a/../b.lua", ".hidden.lua", "a/.b.lua", "a b.lua", "a\\b.lua"};
	struct buffer out;
	buffer_init(&out, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct host_file file = {text(bad[i]), text("")};
		ck_assert_int_eq(host_bundle_pack(&file, 1, &out), ERR_INVALID);
	}
	struct host_file twice[] = {{text("a.lua"), text("")}, {text("a.lua"), text("")}};
	ck_assert_int_eq(host_bundle_pack(twice, 2, &out), ERR_INVALID);
	struct host_file latin = {text("a.lua"), text("-- \xe4")};
	ck_assert_int_eq(host_bundle_pack(&latin, 1, &out), ERR_INVALID);
	ck_assert_uint_eq(buffer_bytes(&out), 0);
	buffer_done(&out);
}
END_TEST

START_TEST(bytes_that_are_no_bundle_are_refused)
{
	static const char *const bad[] = {"", "x", "\xc0", "\x93\xa1x\x01\x80",
	    "\x93\xackalix-bundle\x02\x81\xa7"
	    "app.lua\xa0",
	    "\x93\xackalix-bundle\x01\x80",
	    "\x93\xackalix-bundle\x01\x81\xa7"
	    "xpp.lua\xa0",
	    "\x93\xackalix-bundle\x01\x81\xa7"
	    "app.lua\xa0\xc0"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct host_bundle *bundle;
		host_diagnostics_free(&rig.diagnostics);
		ck_assert_int_eq(
		    host_load(rig.host, text(bad[i]), &rig.diagnostics, &bundle), ERR_INVALID);
		ck_assert_uint_eq(rig.diagnostics.count, 1);
	}
}
END_TEST

START_TEST(loading_the_same_bytes_twice_gives_the_same_bundle)
{
	struct buffer bytes;
	buffer_init(&bytes, 1000);
	rig_pack(&bytes, "app.lua", APP, "main.lua", MINIMAL(GET), NULL);
	struct host_bundle *first, *second;
	ck_assert_int_eq(host_load(rig.host, buffer_view(&bytes), &rig.diagnostics, &first), 0);
	ck_assert_int_eq(host_load(rig.host, buffer_view(&bytes), &rig.diagnostics, &second), 0);
	ck_assert_ptr_eq(first, second);
	ck_assert_uint_eq(host_figures(rig.host).bundles, 1);
	host_bundle_release(first);
	ck_assert_uint_eq(host_figures(rig.host).bundles, 1);
	host_bundle_release(second);
	ck_assert_uint_eq(host_figures(rig.host).bundles, 0);
	buffer_done(&bytes);
}
END_TEST

START_TEST(require_finds_files_of_the_bundle_and_kalix_only)
{
	EXPECT_LOADED(&rig, rig_load(&rig, "app.lua", APP, "main.lua",
	                        "local p = require 'lib.prices'; local q = require 'lib/prices'\n"
	                        "return (require 'kalix').value_entity 't' { queries = {\n"
	                        "  get = function() return { p.tea, p == q } end } }",
	                        "lib/prices.lua", "return { tea = 5 }", NULL));
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "[5,true]");
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", APP, "main.lua", "local x = require 'lib.pricse'\nreturn 1",
	        "lib/prices.lua", "return {}", NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 1, "did you mean lib/prices?"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", "local io = require 'io'\nreturn {}", NULL), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "no file 'io.lua'"));
}
END_TEST

START_TEST(require_in_a_circle_is_refused)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", "return require 'a'", "a.lua",
	                     "return require 'b'", "b.lua", "return require 'a'", NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "b.lua", 1, "circle"));
}
END_TEST

START_TEST(a_file_returns_exactly_one_value)
{
	static const char *const bad[] = {"", "return nil", "return 1, 2"};
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(
		    rig_load(&rig, "app.lua", APP, "main.lua", bad[i], NULL), ERR_INVALID);
		ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "exactly one value"));
	}
}
END_TEST

START_TEST(syntax_errors_of_all_files_name_file_and_line)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", "return {\n  name = \n}", "main.lua",
	                     "local x = 1\nif x then\n", NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 3, "unexpected symbol"));
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 0, "'end' expected"));
}
END_TEST

START_TEST(errors_while_loading_name_file_and_line)
{
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", APP, "main.lua", "local x\nreturn x.y", NULL), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 2, "attempt to index a nil value"));
}
END_TEST

START_TEST(a_file_that_does_not_end_is_stopped)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", "while true do end", NULL), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "", 0, "ran out of"));
}
END_TEST

START_TEST(an_unknown_key_is_an_error_with_a_suggestion)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", APP, "main.lua",
	                     "local kalix = require 'kalix'\n"
	                     "return kalix.value_entity 't' {\n"
	                     "  queries = { get = function() end },\n"
	                     "  comands = {\n"
	                     "  },\n"
	                     "  events = {},\n"
	                     "}",
	                     NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 4, "'comands'; did you mean commands?"));
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 6, "unknown key 'events'"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", APP, "main.lua",
	        MINIMAL("commands = { add = { function() end,\n inputs = 1 } }"), NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 2, "t.add: unknown key 'inputs'"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", "return { name = 'shop', limit = {}, require 'main' }",
	        "main.lua", MINIMAL(GET), NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "'limit'; did you mean limits?"));
}
END_TEST

START_TEST(a_schema_that_does_not_exist_is_no_missing_schema)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", APP, "main.lua",
	                     "local schema = require 'kalix'.schema\n"
	                     "return require 'kalix'.value_entity 't' {\n"
	                     "state = schema.integr, " GET "}",
	                     NULL),
	    ERR_INVALID);
	ck_assert(rig_told(
	    &rig, HOST_ERROR, "main.lua", 3, "schema has no 'integr'; did you mean integer?"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", APP, "main.lua",
	        "local names = {}\n"
	        "for name in pairs(require 'kalix'.schema) do names[#names + 1] = name end\n"
	        "error(table.concat(names, ' '))",
	        NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 3,
	    "any boolean bytes integer list map number one_of optional record string timestamp"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", APP, "main.lua", "return require 'kalix'.schema[1]", NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 1, "schema has no number key"));
}
END_TEST

START_TEST(values_of_keys_are_checked)
{
	static const char *const bad[][2] = {
	    {MINIMAL("version = 0, " GET), "version must be an integer from 1 to 1000, is 0"},
	    {MINIMAL("version = 'x', " GET),
	        "version must be an integer from 1 to 1000, is a string"},
	    {MINIMAL("state = {}, " GET), "state must be a schema"},
	    {MINIMAL("history = 0, " GET), "history must be an integer from 1 to 10000"},
	    {MINIMAL("history = 'x', " GET), "history must be true or false"},
	    {MINIMAL("commands = 5"), "commands must be a table"},
	    {MINIMAL("commands = { a = 5 }"), "t.a: expected a function"},
	    {MINIMAL("commands = { ['A b'] = function() end }"), "is no name"},
	    {MINIMAL("commands = { a = { function() end, input = 5 } }"), "input must be a schema"},
	    {MINIMAL("commands = { a = { function() end, exists = 1 } }"),
	        "exists must be true or"},
	    {MINIMAL("commands = { a = { function() end, roles = {} } }"), "roles must be a list"},
	    {MINIMAL("commands = { a = function() end }, queries = { a = function() end }"),
	        "both a command and a query"},
	    {MINIMAL("version = 2, migrate = { [2] = function() end }, " GET), "migrate[2]"},
	    {MINIMAL("migrate = { [1] = function() end }, " GET), "only version 1"},
	    {MINIMAL("version = 2, downgrade = { [2] = function() end }, " GET), "downgrade[2]"},
	    {MINIMAL("state = (require 'kalix').schema.record { n = (require "
	             "'kalix').schema.integer }, init = { n = 'x' }, " GET),
	        "init does not fit the state: n: expected integer"},
	    {MINIMAL("unique = {}, " GET), "'unique' is not in this version"},
	    {MINIMAL(""), "no commands and no queries"},
	    {"return (require 'kalix').event_sourced_entity 't' { " GET " }", "t has no events"},
	    {"return (require 'kalix').value_entity 'T' { " GET " }", "a component's name is"},
	    {"return (require 'kalix').workflow 't' {}", "workflow is not in this version"},
	    {"return (require 'kalix').password.hash('x')",
	        "kalix.password.hash: not while an app is loaded"},
	    {"return (require 'kalix').secret('x')", "kalix.secret is not in this version"},
	    {"(require 'kalix').secret.x = 1", "kalix.secret is not in this version"},
	    {"return setmetatable((require 'kalix').secret, {})", "table expected, got userdata"},
	    {"return 5", "entry 1 of the app is a number"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(
		    rig_load(&rig, "app.lua", APP, "main.lua", bad[i][0], NULL), ERR_INVALID);
		bool found = rig_told(&rig, HOST_ERROR, "main.lua", 0, bad[i][1]) ||
		             rig_told(&rig, HOST_ERROR, "app.lua", 0, bad[i][1]);
		ck_assert_msg(found, "%s", bad[i][1]);
	}
}
END_TEST

START_TEST(what_is_wrong_with_a_command_names_it_and_its_line)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", APP, "main.lua",
	                     "local kalix = require 'kalix'\n"
	                     "local schema = kalix.schema\n"
	                     "local function shared(s, i, ctx) end\n"
	                     "return kalix.event_sourced_entity 't' {\n"
	                     "  state = schema.record { b = schema.optional(schema.string),\n"
	                     "    b2 = schema.optional(schema.record { b = schema.integer }) },\n"
	                     "  commands = {\n"
	                     "    a = { function() end, input = schema.string },\n"
	                     "    b = {\n"
	                     "      function() end,\n"
	                     "      input = 5,\n"
	                     "    },\n"
	                     "    c = { shared,\n"
	                     "      exists = 1 },\n"
	                     "    d = { shared,\n"
	                     "      imput = schema.string },\n"
	                     "  },\n"
	                     "  events = {\n"
	                     "    e = { function(s) end,\n"
	                     "      version = 'x' },\n"
	                     "  },\n"
	                     "}",
	                     NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 11, "t.b: input must be a schema"));
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 14, "t.c: exists must be true or"));
	ck_assert(rig_told(
	    &rig, HOST_ERROR, "main.lua", 16, "t.d: unknown key 'imput'; did you mean input?"));
	ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 20, "t.e: version must be an integer"));
	ck_assert_uint_eq(rig.diagnostics.count, 4);
}
END_TEST

START_TEST(app_lua_needs_a_name_and_components)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua", "return { name = 'Shop' }", NULL), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "the app needs a name"));
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "lists no components"));
	ck_assert_int_eq(rig_load(&rig, "app.lua", "return 5", NULL), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 1, "must return a table"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", "local t = require 'main'\nreturn { name = 'shop', t, t }",
	        "main.lua", MINIMAL(GET), NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "app.lua", 0, "t is listed twice"));
	ck_assert_int_eq(
	    rig_load(&rig, "app.lua", "return { name = 'shop', require 'main', require 'other' }",
	        "main.lua", MINIMAL(GET), "other.lua", MINIMAL(GET), NULL),
	    ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "other.lua", 1, "two components named t"));
}
END_TEST

START_TEST(what_is_not_listed_or_required_is_a_warning)
{
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua", "require 'other'\nreturn { name = 'shop', require 'main' }",
	        "main.lua", MINIMAL(GET), "other.lua",
	        "return (require 'kalix').value_entity 'u' { " GET " }", "unused.lua", "return 1",
	        NULL));
	ck_assert(rig_told(&rig, HOST_WARNING, "other.lua", 1, "u is not listed"));
	ck_assert(rig_told(&rig, HOST_WARNING, "unused.lua", 0, "nothing requires this file"));
	ck_assert_uint_eq(host_component_count(rig.bundle), 1);
}
END_TEST

START_TEST(what_handlers_should_not_assign_is_a_warning)
{
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua", APP, "main.lua",
	        "local kalix = require 'kalix'\n"
	        "local count, cache, deep = 0, {}, { a = {} }\n"
	        "return kalix.event_sourced_entity 't' {\n"
	        "  commands = {\n"
	        "    a = function(s, i, ctx) count = count + 1 end,\n"
	        "    b = function(s, i, ctx) cache[i] = true end,\n"
	        "    c = function(s, i, ctx) cache.x = true end,\n"
	        "    d = function(s, i, ctx) deep.a.b = true end,\n"
	        "    e = function(s, i, ctx) total = 1 end,\n"
	        "    f = function(s, i, ctx) ctx:emit('aded', {}) end,\n"
	        "    g = function(s, i, ctx) local n = 0; (function() n = n + 1 end)(); "
	        "ctx:emit('added') "
	        "end,\n"
	        "    h = function(s, i, ctx) local mine = {}; mine.x = cache.y; return mine end,\n"
	        "  },\n"
	        "  events = { added = function(state) return {} end },\n"
	        "}",
	        NULL));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 5, "assigns 'count'"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 6, "the table of 'cache'"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 7, "the table of 'cache'"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 8, "the table of 'deep'"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 9, "'total' is assigned as a global"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 10, "no event 'aded'"));
	ck_assert_uint_eq(rig.diagnostics.count, 6);
}
END_TEST

START_TEST(an_effect_of_a_later_version_is_a_warning)
{
	EXPECT_LOADED(&rig, rig_load(&rig, "app.lua", APP, "main.lua",
	                        "local kalix = require 'kalix'\n"
	                        "local mail = { send = function() end }\n"
	                        "return kalix.value_entity 't' {\n"
	                        "  commands = {\n"
	                        "    a = function(s, i, ctx) ctx:send('u/1', 'b', {}) end,\n"
	                        "    b = function(s, i, ctx)\n"
	                        "      ctx:update({})\n"
	                        "      ctx:expire('5m')\n"
	                        "    end,\n"
	                        "    c = function(s, i, ctx) mail:send(i) end,\n"
	                        "    d = function(s, i, ctx) local own = mail; own:send(i) end,\n"
	                        "    e = function(s, i, ctx) ctx:update({}):reply(1) end,\n"
	                        "  },\n"
	                        "}",
	                        NULL));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 5, "ctx:send is not in this version"));
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 8, "ctx:expire is not in this"));
	ck_assert_uint_eq(rig.diagnostics.count, 2);
}
END_TEST

START_TEST(limits_of_the_app_are_bounded_by_the_servers)
{
	ck_assert_int_eq(rig_load(&rig, "app.lua",
	                     "return { name = 'shop', limits = { state_bytes = 1 << 40 }, require "
	                     "'main' }",
	                     "main.lua", MINIMAL(GET), NULL),
	    ERR_INVALID);
	ck_assert(
	    rig_told(&rig, HOST_ERROR, "app.lua", 1, "state_bytes must be an integer from 1 to"));
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua",
	        "return { name = 'shop', limits = { state_bytes = 10485760 }, require 'main' }",
	        "main.lua", MINIMAL(GET), NULL));
	ck_assert_uint_eq(
	    host_component_change_bytes_max(host_component_at(rig.bundle, 0)), STATE_BYTES_MAX);
	ck_assert_uint_eq(rig.diagnostics.count, 0);
}
END_TEST

/* A change writes its state and the kept one into one entry. */
START_TEST(states_that_are_kept_are_smaller)
{
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua",
	        "return { name = 'shop', limits = { state_bytes = 10485760 }, require 'main' }",
	        "main.lua", MINIMAL("history = 5, " GET), NULL));
	ck_assert_uint_eq(host_component_change_bytes_max(host_component_at(rig.bundle, 0)),
	    STATE_KEPT_BYTES_MAX);
	ck_assert(rig_told(&rig, HOST_WARNING, "main.lua", 1, "may have states of 6160384 bytes"));
	EXPECT_LOADED(&rig,
	    rig_load(&rig, "app.lua",
	        "return { name = 'shop', limits = { state_bytes = 6160384 }, require 'main' }",
	        "main.lua", MINIMAL("history = 5, " GET), NULL));
	ck_assert_uint_eq(rig.diagnostics.count, 0);
}
END_TEST

START_TEST(names_are_found_and_others_explained)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(
	              &rig, MINIMAL("commands = { add_item = { function() end, internal = true } "
	                            "}, snapshot = nil, " GET)));
	ck_assert_ptr_null(host_component(rig.bundle, text("u")));
	struct host_component *component = host_component(rig.bundle, text("t"));
	ck_assert(slice_equal(host_component_name(component), text("t")));
	ck_assert(slice_equal(host_bundle_app(rig.bundle), text("shop")));
	ck_assert_str_eq(host_kind_name(host_component_kind(component)), "value_entity");
	ck_assert_ptr_null(host_handler(component, text("additem")));
	struct host_handler *add = host_handler(component, text("add_item"));
	ck_assert(host_handler_internal(add) && !host_handler_is_query(add));
	ck_assert(host_handler_is_query(host_handler(component, text("get"))));
	ck_assert_uint_eq(host_handler_count(component), 2);
	ck_assert_ptr_eq(host_handler_at(component, host_handler_number(add)), add);
	struct buffer out;
	buffer_init(&out, 1000);
	ck_assert_int_eq(host_explain_unknown(component, text("additem"), &out), 0);
	ck_assert(slice_equal(buffer_view(&out),
	    text("t has no command or query 'additem'; did you mean add_item?")));
	buffer_clear(&out);
	ck_assert_int_eq(host_explain_unknown(component, text("Secret text"), &out), 0);
	ck_assert_ptr_null(memmem(out.data, buffer_bytes(&out), "Secret", 6));
	buffer_done(&out);
}
END_TEST

START_TEST(what_a_component_understands_is_listed_as_json)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "local k = require 'kalix'; local s = k.schema\n"
	              "return k.value_entity 't' { commands = { add = { function() end, "
	              "input = s.record { n = s.integer }, description = 'Adds.' } }, " GET " }"));
	struct buffer out;
	buffer_init(&out, 10000);
	ck_assert_int_eq(host_component_list(host_component_at(rig.bundle, 0), &out), 0);
	ck_assert_int_eq(buffer_append_u8(&out, 0), 0);
	const char *json = (const char *)buffer_view(&out).data;
	ck_assert_ptr_nonnull(json);
	ck_assert_msg(strstr(json, "{\"commands\":[{\"description\":\"Adds.\",\"input\":{") == json,
	    "%s", json);
	ck_assert_ptr_nonnull(strstr(json, "\"kind\":\"value_entity\",\"name\":\"t\",\"queries\":[{"
	                                   "\"name\":\"get\"}]}"));
	buffer_done(&out);
}
END_TEST

Suite *host_load_suite(void)
{
	Suite *suite = suite_create("host_load");
	TCase *tcase = tcase_create("bundle");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, equal_files_are_equal_bytes_in_any_order);
	tcase_add_test(tcase, only_good_paths_are_packed);
	tcase_add_test(tcase, bytes_that_are_no_bundle_are_refused);
	tcase_add_test(tcase, loading_the_same_bytes_twice_gives_the_same_bundle);
	tcase_add_test(tcase, require_finds_files_of_the_bundle_and_kalix_only);
	tcase_add_test(tcase, require_in_a_circle_is_refused);
	tcase_add_test(tcase, a_file_returns_exactly_one_value);
	tcase_add_test(tcase, syntax_errors_of_all_files_name_file_and_line);
	tcase_add_test(tcase, errors_while_loading_name_file_and_line);
	tcase_add_test(tcase, a_file_that_does_not_end_is_stopped);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("declarations");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, an_unknown_key_is_an_error_with_a_suggestion);
	tcase_add_test(tcase, a_schema_that_does_not_exist_is_no_missing_schema);
	tcase_add_test(tcase, values_of_keys_are_checked);
	tcase_add_test(tcase, what_is_wrong_with_a_command_names_it_and_its_line);
	tcase_add_test(tcase, app_lua_needs_a_name_and_components);
	tcase_add_test(tcase, what_is_not_listed_or_required_is_a_warning);
	tcase_add_test(tcase, what_handlers_should_not_assign_is_a_warning);
	tcase_add_test(tcase, an_effect_of_a_later_version_is_a_warning);
	tcase_add_test(tcase, limits_of_the_app_are_bounded_by_the_servers);
	tcase_add_test(tcase, states_that_are_kept_are_smaller);
	tcase_add_test(tcase, names_are_found_and_others_explained);
	tcase_add_test(tcase, what_a_component_understands_is_listed_as_json);
	suite_add_tcase(suite, tcase);
	return suite;
}
