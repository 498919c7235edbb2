/* What a new version of an app may read of what older ones stored: decided on the catalogue. */
#include "base/limits.h"
#include "base/wire/transcode.h"
#include "tests/unit/scripting/host_rig.h"
#include "tests/unit/scripting/host_suites.h"

#include <stdio.h>

static struct rig rig;
static struct buffer catalogue, changes;
static bool rollback;

static void open_rig(void)
{
	rig_open(&rig, HOST_PRODUCTION);
	buffer_init(&catalogue, 1 << 20);
	buffer_init(&changes, 1 << 20);
}

static void close_rig(void)
{
	buffer_done(&catalogue);
	buffer_done(&changes);
	rig_close(&rig);
}

static void load(const char *kind, const char *keys)
{
	static char source[8192];
	snprintf(source, sizeof(source),
	    "local s = (require 'kalix').schema\nreturn (require 'kalix').%s 't' { queries = { get "
	    "= "
	    "function() end }, %s }",
	    kind, keys);
	EXPECT_LOADED(&rig, rig_load_one(&rig, source));
}

/* Whether what the catalogue tells can be read by the bundle that was loaded last. */
static int compatible(void)
{
	host_diagnostics_free(&rig.diagnostics);
	buffer_clear(&changes);
	return host_compatible(
	    rig.bundle, buffer_view(&catalogue), &rig.diagnostics, &changes, &rollback);
}

static void activate(void)
{
	struct buffer after;
	buffer_init(&after, 1 << 20);
	ck_assert_int_eq(host_catalogue_add(rig.bundle, buffer_view(&catalogue), &after), 0);
	buffer_done(&catalogue);
	catalogue = after;
}

#define EXPECT_COMPATIBLE(expected_changes, can_go_back)                                           \
	do {                                                                                       \
		int error_ = compatible();                                                         \
		if (error_)                                                                        \
			rig_print(&rig);                                                           \
		ck_assert_int_eq(error_, 0);                                                       \
		ck_assert_int_eq(rollback, (can_go_back));                                         \
		ck_assert_int_eq(buffer_append_u8(&changes, 0), 0);                                \
		ck_assert_str_eq((const char *)buffer_view(&changes).data, (expected_changes));    \
	} while (0)

#define EXPECT_INCOMPATIBLE(text)                                                                  \
	do {                                                                                       \
		ck_assert_int_eq(compatible(), ERR_INVALID);                                       \
		ck_assert(rig_told(&rig, HOST_ERROR, "main.lua", 0, (text)));                      \
	} while (0)

#define NO_WAY_BACK "no way back without downgrade: t: "
#define UNKNOWN(version)                                                                           \
	NO_WAY_BACK "state is stored as version " #version                                         \
	            ", which the version that is active now does not know\n"
#define UNREADABLE NO_WAY_BACK "the version that is active now can't read the new state: "

#define VALUE(keys)  load("value_entity", keys)
#define EVENTS(keys) load("event_sourced_entity", "commands = { a = function() end }, " keys)

START_TEST(the_first_version_is_new)
{
	VALUE("state = s.record { n = s.integer }");
	EXPECT_COMPATIBLE("t: new\n", true);
	activate();
	EXPECT_COMPATIBLE("", true);
}
END_TEST

START_TEST(a_state_may_be_widened_without_a_version)
{
	VALUE("state = s.record { n = s.integer { min = 1 } }");
	activate();
	VALUE("state = s.record { n = s.integer }");
	EXPECT_COMPATIBLE(
	    "t: state accepts more\n" UNREADABLE "n: integer >= 1 does not accept 0\n", false);
	activate();
	VALUE("state = s.record { n = s.integer, m = s.optional(s.string) }");
	EXPECT_COMPATIBLE("t: state accepts more\n" UNREADABLE
	                  "the field 'm' may be stored, and is refused\n",
	    false);
}
END_TEST

START_TEST(a_narrower_state_needs_a_version_and_a_migration)
{
	VALUE("state = s.record { n = s.integer }");
	activate();
	VALUE("state = s.record { n = s.integer { min = 1 } }");
	EXPECT_INCOMPATIBLE("set version = 2 and migrate = { [1]");
	VALUE("version = 2, state = s.record { n = s.integer { min = 1 } }");
	EXPECT_INCOMPATIBLE("migrate needs a function for each version from 1 to 1");
	VALUE("version = 2, state = s.record { n = s.integer { min = 1 } }, migrate = { [1] = "
	      "function(x) end }");
	EXPECT_COMPATIBLE("t: state v1 to v2\n" UNKNOWN(2), false);
	activate();
	VALUE(
	    "version = 3, state = s.record { m = s.integer }, migrate = { [2] = function(x) end }");
	EXPECT_INCOMPATIBLE("state of version 1 can't be read as version 3");
	VALUE("version = 3, state = s.record { m = s.integer }, migrate = { [1] = function(x) end, "
	      "[2] = function(x) end }");
	EXPECT_COMPATIBLE("t: state v2 to v3\n" UNKNOWN(3), false);
}
END_TEST

START_TEST(a_type_without_a_schema_counts_as_any)
{
	VALUE("version = 1");
	activate();
	VALUE("state = s.record { n = s.integer }");
	EXPECT_INCOMPATIBLE("can't be read any more");
	VALUE(
	    "version = 2, state = s.record { n = s.integer }, migrate = { [1] = function(x) end }");
	EXPECT_COMPATIBLE("t: state v1 to v2\n" UNKNOWN(2), false);
	activate();
	VALUE("version = 2");
	EXPECT_COMPATIBLE(
	    "t: state accepts more\n" UNREADABLE "record does not accept a value\n", false);
}
END_TEST

START_TEST(a_rollback_below_the_highest_version_needs_downgrades)
{
	VALUE("state = s.record { n = s.integer }");
	activate();
	VALUE("version = 3, state = s.record { n = s.integer }");
	activate();
	VALUE("state = s.record { n = s.integer }");
	EXPECT_INCOMPATIBLE("downgrade = { [3] = function(state) ... end } for each step down");
	VALUE("state = s.record { n = s.integer }, downgrade = { [3] = function(x) end }");
	EXPECT_INCOMPATIBLE("state of version 3 may be stored");
	VALUE("state = s.record { n = s.integer }, downgrade = { [2] = function(x) end, [3] = "
	      "function(x) end }");
	EXPECT_COMPATIBLE("t: state v3 to v1\n", true);
	activate();
	/* Version 3 was active, and may be again; version 1 has its way down from there. */
	VALUE("version = 3, state = s.record { n = s.integer }");
	EXPECT_COMPATIBLE("t: state v1 to v3\n", true);
}
END_TEST

START_TEST(events_need_upcasts_and_are_never_dropped)
{
	EVENTS("events = { e = { function() end, schema = s.record { n = s.integer } } }");
	EXPECT_COMPATIBLE("t: new\n", true);
	activate();
	EVENTS("events = { e = { function() end, schema = s.record { n = s.string } } }");
	EXPECT_INCOMPATIBLE("set version = 2 and upcast = { [1]");
	EVENTS(
	    "events = { e = { function() end, version = 2, schema = s.record { n = s.string } } }");
	EXPECT_INCOMPATIBLE("upcast needs a function for each version from 1 to 1");
	EVENTS("events = { f = function() end }");
	EXPECT_INCOMPATIBLE("events e may be stored, and have no handler any more");
	EVENTS("events = { e = { function() end, version = 2, schema = s.record { n = s.string }, "
	       "upcast = { [1] = function(x) end } }, f = function() end }");
	EXPECT_COMPATIBLE(
	    "t: e v1 to v2; +event f\n"
	    "no way back: t: the version that is active now does not know version 2 of event e\n"
	    "no way back: t: the version that is active now has no event f\n",
	    false);
	activate();
	EVENTS("events = { e = { function() end, schema = s.record { n = s.integer } }, f = "
	       "function() "
	       "end }");
	EXPECT_INCOMPATIBLE("event e of version 2 may be stored, and this app knows up to 1");
}
END_TEST

START_TEST(states_of_events_may_change_with_the_version_alone)
{
	EVENTS("state = s.record { n = s.integer }, init = { n = 1 }, events = { e = function() "
	       "end }");
	activate();
	EVENTS("state = s.record { m = s.integer }, init = { m = 1 }, events = { e = function() "
	       "end }");
	EXPECT_INCOMPATIBLE("stored state can't be read any more");
	EVENTS("version = 2, state = s.record { m = s.integer }, init = { m = 1 }, events = { e = "
	       "function() end }");
	EXPECT_COMPATIBLE("t: state v1 to v2\n" UNKNOWN(2), false);
}
END_TEST

START_TEST(commands_and_components_come_and_go)
{
	VALUE("commands = { a = function() end, b = function() end }");
	activate();
	VALUE("commands = { b = function() end, c = function() end, d = function() end }");
	EXPECT_COMPATIBLE("t: +2 commands; -1 command\n", true);
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig,
	              "return (require 'kalix').value_entity 'u' { queries = { q = function() "
	              "end } }"));
	EXPECT_COMPATIBLE("u: new\nt: removed\n", true);
	activate();
	VALUE("commands = { a = function() end, b = function() end }");
	EXPECT_COMPATIBLE("t: again\nu: removed\n", true);
	EVENTS("events = { e = function() end }");
	EXPECT_INCOMPATIBLE("t is stored as value_entity and can't become event_sourced_entity");
}
END_TEST

START_TEST(a_dropped_component_leaves_its_name_free)
{
	VALUE("state = s.record { n = s.integer }");
	activate();
	struct buffer after;
	buffer_init(&after, 1 << 20);
	ck_assert_int_eq(
	    host_catalogue_drop(buffer_view(&catalogue), slice_from_text("t"), &after), 0);
	buffer_done(&catalogue);
	catalogue = after;
	EVENTS("events = { e = function() end }");
	EXPECT_COMPATIBLE("t: new\n", true);
}
END_TEST

START_TEST(a_catalogue_of_another_app_or_of_garbage_is_refused)
{
	VALUE("version = 1");
	activate();
	EXPECT_LOADED(
	    &rig, rig_load(&rig, "app.lua", "return { name = 'other', require 'main' }", "main.lua",
	              "return (require 'kalix').value_entity 't' { queries = { q = "
	              "function() end } }",
	              NULL));
	ck_assert_int_eq(compatible(), ERR_INVALID);
	ck_assert(rig_told(&rig, HOST_ERROR, "", 0, "catalogue of app shop"));
	/* Cut off at every byte, nothing is read. */
	size_t bytes = buffer_bytes(&catalogue);
	for (size_t cut = 1; cut < bytes; cut++) {
		buffer_truncate(&catalogue, bytes - cut);
		if (buffer_bytes(&catalogue) == 0)
			break;
		ck_assert_int_eq(compatible(), ERR_INVALID);
	}
}
END_TEST

START_TEST(a_description_tells_all_that_is_declared)
{
	EVENTS(
	    "version = 2, state = s.record { n = s.integer }, init = { n = 1 }, migrate = { [1] = "
	    "function(x) end }, events = { e = { function() end, version = 3, upcast = { [2] = "
	    "function() end } } }");
	struct buffer description, json;
	buffer_init(&description, 1 << 20);
	buffer_init(&json, 1 << 20);
	ck_assert_int_eq(host_bundle_describe(rig.bundle, &description), 0);
	ck_assert_int_eq(transcode_json_from_msgpack(buffer_view(&description), &json), 0);
	ck_assert_int_eq(buffer_append_u8(&json, 0), 0);
	const char *text = (const char *)buffer_view(&json).data;
	static const char *const parts[] = {"\"app\":\"shop\"", "\"name\":\"t\"",
	    "\"kind\":\"event_sourced_entity\"", "\"migrates\":[1]", "\"version\":2",
	    "\"upcasts\":[2]", "\"snapshot_every\":100", "\"state_bytes\":1048576",
	    "\"queries\":[{", "\"commands\":[{", "\"exists\":null"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(text && strstr(text, parts[i]), "%s in %s", parts[i], text);
	buffer_done(&description);
	buffer_done(&json);
}
END_TEST

Suite *host_compatible_suite(void)
{
	Suite *suite = suite_create("host_compatible");
	TCase *tcase = tcase_create("catalogue");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, the_first_version_is_new);
	tcase_add_test(tcase, a_state_may_be_widened_without_a_version);
	tcase_add_test(tcase, a_narrower_state_needs_a_version_and_a_migration);
	tcase_add_test(tcase, a_type_without_a_schema_counts_as_any);
	tcase_add_test(tcase, a_rollback_below_the_highest_version_needs_downgrades);
	tcase_add_test(tcase, events_need_upcasts_and_are_never_dropped);
	tcase_add_test(tcase, states_of_events_may_change_with_the_version_alone);
	tcase_add_test(tcase, commands_and_components_come_and_go);
	tcase_add_test(tcase, a_dropped_component_leaves_its_name_free);
	tcase_add_test(tcase, a_catalogue_of_another_app_or_of_garbage_is_refused);
	tcase_add_test(tcase, a_description_tells_all_that_is_declared);
	suite_add_tcase(suite, tcase);
	return suite;
}
