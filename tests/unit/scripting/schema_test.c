#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
START_TEST(types_without_options_are_schemas_themselves)
{
	fixture_script(LUA(
		local s = kalix.schema
		for _, name in ipairs{"any", "string", "integer", "number", "boolean",
			"timestamp", "bytes"} do
			same(tostring(s[name]), "schema." .. name)
			s.list(s[name])
		end
		same(tostring(s.string{min = 1}), "schema.string")
		same(tostring(s.record{}), "schema.record")
		same(getmetatable(s.string), false)
	));
}
END_TEST

START_TEST(unknown_options_are_refused_with_a_suggestion)
{
	fixture_script(LUA(
		local s = kalix.schema
		fails("schema.string: unknown option 'patern'; did you mean pattern?", s.string,
			{patern = "a"})
		fails("schema.integer: unknown option 'pattern'", s.integer, {pattern = "a"})
		fails("schema.record: unknown option 'opem'; did you mean open?", s.record, {},
			{opem = true})
		fails("schema.list: unknown option 'maxx'; did you mean max?", s.list, s.any,
			{maxx = 1})
		fails("schema.map: unknown option 'min'", s.map, s.string, s.any, {min = 1})
		fails("schema.one_of: unknown option 'tags'; did you mean tag?", s.one_of,
			{s.any}, {tags = "a"})
		fails("schema.string: an option without name", s.string, {"a"})
		fails("schema.boolean has no options", s.boolean, {})
		fails("schema.any has no options", s.any, {})
		fails("this schema.string has its options already", s.string{min = 1}, {max = 1})
	));
}
END_TEST

START_TEST(options_of_a_wrong_kind_are_refused)
{
	fixture_script(LUA(
		local s = kalix.schema
		fails("schema.string: options must be a table, got number", s.string, 5)
		fails("schema.string: min must be an integer, got string", s.string, {min = "5"})
		fails("schema.integer: max must be an integer, got number", s.integer, {max = 1.5})
		fails("schema.number: max must be a finite number, got another", s.number, {max =
			1/0})
		fails("schema.string: min and max of a string are lengths, not negative",
			s.string, {min = -1})
		fails("schema.integer: min is above max", s.integer, {min = 2, max = 1})
		fails("schema.number: min is above max", s.number, {min = 2, max = 1.5})
		fails("schema.string: pattern must be a string, got number", s.string, {pattern =
			5})
		fails("schema.string: pattern: a ( without )", s.string, {pattern = "(a"})
		fails("schema.string: enum must be a list of strings", s.string, {enum = {}})
		fails("schema.string: enum must be a list of strings", s.string, {enum = {1}})
		fails("schema.string: 'a' is there twice", s.string, {enum = {"a", "b", "a"}})
		fails("schema.record: open must be true or false", s.record, {}, {open = 1})
		fails("schema.one_of: tag must be a field's name", s.one_of, {s.record{}}, {tag =
			1})
	));
}
END_TEST

START_TEST(what_is_no_schema_is_refused_where_one_must_be)
{
	fixture_script(LUA(
		local s = kalix.schema
		fails("schema.list: the first argument must be a schema, like "
			.. "schema.string; got nil", s.list)
		fails("schema.record: field 'a' must be a schema, like schema.string; got string",
			s.record, {a = "string"})
		fails("schema.record: field 'a' must be a schema; is that a list, map, "
			.. "record, optional or "
			.. "one_of without its arguments?", s.record, {a = s.list})
		fails("schema.record: a field's name must be a string", s.record, {s.string})
		fails("schema.record: expected a table of fields, got nil", s.record)
		fails("schema.map: the second argument, of the values, must be a schema, "
			.. "like schema.string; "
			.. "got nil", s.map, s.string)
		fails("schema.map: a map's keys are string or integer, not boolean", s.map,
			s.boolean, s.any)
		fails("schema.one_of: alternative 2 must be a schema, like schema.string; "
			.. "got number", s.one_of, {s.any, 1})
		fails("schema.one_of: a one_of needs an alternative", s.one_of, {})
		fails("schema.one_of: expected a list of schemas, got userdata", s.one_of, s.string)
	));
}
END_TEST

START_TEST(an_optional_stands_in_a_field_or_outermost)
{
	fixture_script(LUA(
		local s = kalix.schema
		local o = s.optional(s.string)
		s.record{a = o}
		local text =
			"schema.%s: an optional has its place in a record's field, or "
				.. "outermost; not inside a %s"
		fails(text:format("list", "list"), s.list, o)
		fails(text:format("map", "map"), s.map, s.string, o)
		fails(text:format("optional", "optional"), s.optional, o)
		fails(text:format("one_of", "one_of"), s.one_of, {o})
	));
}
END_TEST

START_TEST(a_default_must_be_accepted)
{
	fixture_script(LUA(
		local s = kalix.schema
		fails("schema.optional: the default: expected integer >= 1, got 0", s.optional,
			s.integer{min = 1}, 0)
		fails("schema.optional: the default: a.1: expected string, got 5", s.optional,
			s.record{a = s.list(s.string)}, {a = {5}})
		fails("schema.optional: the default: expected a value, got function", s.optional,
			s.any, print)
		local deep = {}
		for i = 1, 32 do deep = {deep} end
		fails("schema.optional: the default is nested more than 32 deep", s.optional,
			s.any, deep)
		same(absent(s.optional(s.integer, 5)), 5)
		same(absent(s.optional(s.integer)), nil)
		same(absent(s.optional(s.boolean, false)), false)
	));
}
END_TEST

START_TEST(a_tag_must_tell_the_alternatives_apart)
{
	fixture_script(LUA(
		local s = kalix.schema
		local a = s.record{kind = s.string{enum = {"a", "x"}}}
		local b = s.record{kind = s.string{enum = {"b", "x"}}}
		fails("schema.one_of: alternatives 1 and 2 have the same value of the tag 'kind'",
			s.one_of,
			{a, b}, {tag = "kind"})
		local text =
			"schema.one_of: alternative 1 of a one_of with a tag must be a "
				.. "record whose field "
			.. "'kind' is a string { enum = {...} }"
		fails(text, s.one_of, {s.record{}}, {tag = "kind"})
		fails(text, s.one_of, {s.string}, {tag = "kind"})
		fails(text, s.one_of, {s.record{kind = s.string}}, {tag = "kind"})
		fails(text, s.one_of, {s.record{kind = s.optional(s.string{enum = {"a"}})}}, {tag
			= "kind"})
	));
}
END_TEST

START_TEST(depth_and_size_are_bounded)
{
	fixture_script(LUA(
		local s = kalix.schema
		local deep = s.string
		for i = 1, 31 do deep = s.list(deep) end
		fails("schema.list: nested more than 32 deep", s.list, deep)
		local wide = s.string
		local ok, why
		for i = 1, 30 do
			ok, why = pcall(s.record, {a = wide, b = wide})
			if not ok then break end
			wide = why
		end
		same(why, "schema.record: more than 16384 types, written out")
		local fields = {}
		for i = 1, 1024 do fields["f" .. i] = s.any end
		s.record(fields)
		fields.f = s.any
		fails("schema.record: more than 1024 fields", s.record, fields)
	));
}
END_TEST

START_TEST(nothing_given_is_nil_a_default_or_refused)
{
	fixture_script(LUA(
		local s = kalix.schema
		same(absent(), nil)
		same(absent(s.any), nil)
		local r = absent(s.record{a = s.optional(s.integer, 7), b = s.optional(s.string)})
		same(r.a, 7)
		same(r.b, nil)
		same(next(absent(s.record{})), nil)
		fails("expected record, got nothing", absent, s.record{a = s.optional(s.any), b =
			s.string})
		fails("expected map, got nothing", absent, s.map(s.string, s.any))
		fails("expected integer, got nothing", absent, s.integer)
	));
}
END_TEST
/* clang-format on */

Suite *schema_suite(void)
{
	Suite *suite = suite_create("schema");
	TCase *tcase = tcase_create("constructors");
	tcase_add_test(tcase, types_without_options_are_schemas_themselves);
	tcase_add_test(tcase, unknown_options_are_refused_with_a_suggestion);
	tcase_add_test(tcase, options_of_a_wrong_kind_are_refused);
	tcase_add_test(tcase, what_is_no_schema_is_refused_where_one_must_be);
	tcase_add_test(tcase, an_optional_stands_in_a_field_or_outermost);
	tcase_add_test(tcase, a_default_must_be_accepted);
	tcase_add_test(tcase, a_tag_must_tell_the_alternatives_apart);
	tcase_add_test(tcase, depth_and_size_are_bounded);
	tcase_add_test(tcase, nothing_given_is_nil_a_default_or_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
