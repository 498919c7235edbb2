/* Does `wide` accept every value that `narrow` accepts? Decided on the schemas alone, and on values
 * as they are stored: text for text, numbers for numbers, whatever Lua makes of them.
 *
 * True is always right. False may be too careful where only a closer look would tell: other
 * patterns, alternatives that together cover one type. Comparing alternatives multiplies, so it is
 * counted and given up, with false, after STEPS_MAX.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/wire/utf8.h"
#include "scripting/pattern.h"
#include "scripting/schema_node.h"

#include <stdarg.h>
#include <stdio.h>

enum { STEPS_MAX = 1000000, TEXT_BYTES = 160 };

struct comparison {
	char *why;
	size_t why_bytes;
	char path[256];
	size_t path_bytes;
	unsigned steps;
};

static const struct schema any = {.kind = SCHEMA_ANY, .references = 1, .depth = 1, .nodes = 1};

static bool accepts(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow);

__attribute__((format(printf, 2, 3))) static bool refuse(
    struct comparison *comparison, const char *format, ...)
{
	char reason[2 * TEXT_BYTES + 64];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	if (comparison->why_bytes > 0)
		snprintf(comparison->why, comparison->why_bytes, "%.*s%s%s",
		    (int)comparison->path_bytes, comparison->path,
		    comparison->path_bytes ? ": " : "", reason);
	return false;
}

static bool refuse_kind(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	char wide_text[TEXT_BYTES], narrow_text[TEXT_BYTES];
	schema_describe(wide, wide_text, sizeof(wide_text));
	schema_describe(narrow, narrow_text, sizeof(narrow_text));
	return refuse(comparison, "%s does not accept %s", wide_text, narrow_text);
}

/* NOLINTBEGIN(misc-no-recursion): as deep as both schemas together */

/* Below a key: the path gets longer, for this call alone. */
static bool accepts_below(struct comparison *comparison, struct slice key,
    const struct schema *wide, const struct schema *narrow)
{
	size_t before = comparison->path_bytes;
	int length = snprintf(comparison->path + before, sizeof(comparison->path) - before,
	    "%s%.*s", before ? "." : "", (int)utf8_cut(key, 64), (const char *)key.data);
	size_t room = sizeof(comparison->path) - before - 1;
	comparison->path_bytes = before + ((size_t)length < room ? (size_t)length : room);
	bool result = accepts(comparison, wide, narrow);
	comparison->path_bytes = before;
	return result;
}

/* --- Scalars ---------------------------------------------------------------------------------- */

static bool string_accepts(const struct schema *schema, struct slice text)
{
	int64_t count = (int64_t)utf8_count(text);
	if ((schema->has_min && count < schema->min.integer) ||
	    (schema->has_max && count > schema->max.integer))
		return false;
	if (schema->name_count > 0 && schema_find_name(schema, text) < 0)
		return false;
	uint64_t steps = PATTERN_STEPS_MAX(text.bytes);
	bool matches = true;
	return !schema->has_text ||
	       (!pattern_matches(schema->text, text, &steps, &matches) && matches);
}

/* Lengths and counts, which are not negative; `unit` names them. */
static bool accepts_lengths(struct comparison *comparison, const struct schema *wide, int64_t min,
    bool has_max, int64_t max)
{
	char text[TEXT_BYTES];
	schema_describe(wide, text, sizeof(text));
	if (wide->has_min && min < wide->min.integer)
		return refuse(comparison, "%s does not accept a length of %lld", text,
		    (long long)wide->min.integer - 1);
	if (wide->has_max && !has_max)
		return refuse(comparison, "%s does not accept one without bound", text);
	if (wide->has_max && max > wide->max.integer)
		return refuse(
		    comparison, "%s does not accept a length of %lld", text, (long long)max);
	return true;
}

static int64_t length_min(const struct schema *schema)
{
	return schema->has_min ? schema->min.integer : 0;
}

static bool accepts_string(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	char text[TEXT_BYTES];
	schema_describe(wide, text, sizeof(text));
	if (narrow->name_count > 0) {
		/* Known one by one. */
		for (uint32_t i = 0; i < narrow->name_count; i++) {
			struct slice value = narrow->names[i];
			if (string_accepts(narrow, value) && !string_accepts(wide, value))
				return refuse(comparison, "%s does not accept \"%.*s\"", text,
				    (int)utf8_cut(value, 64), (const char *)value.data);
		}
		return true;
	}
	if (wide->name_count > 0)
		return refuse_kind(comparison, wide, narrow);
	if (wide->has_text && !(narrow->has_text && slice_equal(wide->text, narrow->text)))
		return refuse(comparison, "%s has another pattern than what is stored", text);
	return accepts_lengths(
	    comparison, wide, length_min(narrow), narrow->has_max, narrow->max.integer);
}

static bool accepts_integer(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	bool bounded = narrow->kind == SCHEMA_INTEGER;
	int64_t min = bounded && narrow->has_min ? narrow->min.integer : INT64_MIN;
	int64_t max = bounded && narrow->has_max ? narrow->max.integer : INT64_MAX;
	char text[TEXT_BYTES];
	schema_describe(wide, text, sizeof(text));
	if (wide->has_min && min < wide->min.integer)
		return refuse(comparison, "%s does not accept %lld", text,
		    (long long)(max < wide->min.integer ? max : wide->min.integer - 1));
	if (wide->has_max && max > wide->max.integer)
		return refuse(comparison, "%s does not accept %lld", text,
		    (long long)(min > wide->max.integer ? min : wide->max.integer + 1));
	return true;
}

static bool accepts_number(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	/* Integers are compared as the doubles they become when a value is checked. */
	bool is_number = narrow->kind == SCHEMA_NUMBER;
	bool bounded = is_number || narrow->kind == SCHEMA_INTEGER;
	double min = is_number ? -__DBL_MAX__ : -0x1p63, max = is_number ? __DBL_MAX__ : 0x1p63;
	if (bounded && narrow->has_min)
		min = is_number ? narrow->min.number : (double)narrow->min.integer;
	if (bounded && narrow->has_max)
		max = is_number ? narrow->max.number : (double)narrow->max.integer;
	if ((wide->has_min && min < wide->min.number) || (wide->has_max && max > wide->max.number))
		return refuse_kind(comparison, wide, narrow);
	return true;
}

/* `any` accepts all but bytes, which are no text and which no JSON without a schema can hold. */
static bool accepts_any(struct comparison *comparison, const struct schema *narrow)
{
	if (++comparison->steps > STEPS_MAX)
		return refuse(comparison, "too many types to compare");
	if (narrow->kind == SCHEMA_BYTES)
		return refuse(comparison, "a value without schema does not accept bytes");
	for (uint32_t i = 0; i < narrow->child_count; i++) {
		if (!accepts_below(comparison,
		        narrow->kind == SCHEMA_RECORD ? narrow->names[i] : slice_from_text("*"),
		        &any, narrow->children[i]))
			return false;
	}
	return true;
}

/* --- Containers ------------------------------------------------------------------------------- */

static bool holds_nothing(const struct schema *container)
{
	return container->has_max && container->max.integer == 0;
}

static bool accepts_list(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (!accepts_lengths(
	        comparison, wide, length_min(narrow), narrow->has_max, narrow->max.integer))
		return false;
	return holds_nothing(narrow) || accepts_below(comparison, slice_from_text("*"),
	                                    wide->children[0], narrow->children[0]);
}

/* Keys are stored as text; those of a map with integers are a text that is not bounded. */
static bool accepts_keys(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (wide->kind == narrow->kind)
		return accepts(comparison, wide, narrow);
	bool is_free = !wide->has_min && !wide->has_max && !wide->has_text && wide->name_count == 0;
	if (wide->kind == SCHEMA_STRING && is_free)
		return true;
	return refuse(comparison, "keys that are %s are not accepted where they are %s",
	    schema_kind_name(narrow->kind), schema_kind_name(wide->kind));
}

static bool accepts_map(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (!accepts_lengths(comparison, wide, 0, narrow->has_max, narrow->max.integer))
		return false;
	if (holds_nothing(narrow))
		return true;
	return accepts_keys(comparison, wide->children[0], narrow->children[0]) &&
	       accepts_below(
	           comparison, slice_from_text("*"), wide->children[1], narrow->children[1]);
}

static const struct schema *without_optional(const struct schema *schema)
{
	return schema->kind == SCHEMA_OPTIONAL ? schema->children[0] : schema;
}

/* A record that was closed, where there is a map now. */
static bool map_accepts_record(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (narrow->open || wide->children[0]->kind != SCHEMA_STRING)
		return refuse_kind(comparison, wide, narrow);
	int64_t count = narrow->child_count;
	if (!accepts_lengths(comparison, wide, 0, true, count))
		return false;
	for (uint32_t i = 0; i < narrow->child_count; i++) {
		if (!string_accepts(wide->children[0], narrow->names[i]))
			return refuse(comparison, "the map does not accept the key '%.64s'",
			    (const char *)narrow->names[i].data);
		if (!accepts_below(comparison, narrow->names[i], wide->children[1],
		        without_optional(narrow->children[i])))
			return false;
	}
	return true;
}

/* A field of the stored version: what becomes of it. */
static bool accepts_field(struct comparison *comparison, const struct schema *wide,
    struct slice name, const struct schema *stored)
{
	int field = schema_find_name(wide, name);
	if (field < 0 && !wide->open)
		return refuse(comparison, "the field '%.*s' may be stored, and is refused",
		    (int)utf8_cut(name, 64), (const char *)name.data);
	const struct schema *now = field < 0 ? &any : wide->children[field];
	bool may_be_absent = stored->kind == SCHEMA_OPTIONAL;
	if (field >= 0 && may_be_absent && now->kind != SCHEMA_OPTIONAL)
		return refuse(comparison,
		    "the field '%.*s' is required, and may be absent in what is stored",
		    (int)utf8_cut(name, 64), (const char *)name.data);
	return accepts_below(comparison, name, without_optional(now), without_optional(stored));
}

/* A field that the stored version does not name. */
static bool accepts_new_field(struct comparison *comparison, struct slice name,
    const struct schema *now, const struct schema *narrow)
{
	if (now->kind != SCHEMA_OPTIONAL)
		return refuse(comparison,
		    "the field '%.*s' is required, and absent in what is stored",
		    (int)utf8_cut(name, 64), (const char *)name.data);
	return !narrow->open || accepts_below(comparison, name, now->children[0], &any);
}

static bool accepts_record(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (narrow->open && !wide->open)
		return refuse(
		    comparison, "what is stored may have unknown fields, and they are refused");
	for (uint32_t i = 0; i < narrow->child_count; i++) {
		if (!accepts_field(comparison, wide, narrow->names[i], narrow->children[i]))
			return false;
	}
	for (uint32_t i = 0; i < wide->child_count; i++) {
		if (schema_find_name(narrow, wide->names[i]) < 0 &&
		    !accepts_new_field(comparison, wide->names[i], wide->children[i], narrow))
			return false;
	}
	return true;
}

/* --- All together ----------------------------------------------------------------------------- */

/* One of the alternatives accepts all of it. Where just one is of its kind, that one's reason is
 * what people want to read. */
static bool accepts_one_of(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	unsigned alike = 0;
	uint32_t last = 0;
	for (uint32_t i = 0; i < wide->child_count; i++) {
		if (accepts(comparison, wide->children[i], narrow))
			return true;
		if (wide->children[i]->kind == narrow->kind) {
			alike++;
			last = i;
		}
	}
	if (alike == 1)
		return accepts(comparison, wide->children[last], narrow);
	return refuse_kind(comparison, wide, narrow);
}

static bool accepts_same_kind(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	enum schema_kind kind = narrow->kind;
	switch (wide->kind) {
	case SCHEMA_STRING:
		return kind == SCHEMA_STRING ? accepts_string(comparison, wide, narrow)
		                             : refuse_kind(comparison, wide, narrow);
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		return kind == SCHEMA_INTEGER || kind == SCHEMA_TIMESTAMP
		           ? accepts_integer(comparison, wide, narrow)
		           : refuse_kind(comparison, wide, narrow);
	case SCHEMA_NUMBER:
		return kind == SCHEMA_INTEGER || kind == SCHEMA_TIMESTAMP || kind == SCHEMA_NUMBER
		           ? accepts_number(comparison, wide, narrow)
		           : refuse_kind(comparison, wide, narrow);
	case SCHEMA_BOOLEAN:
		return kind == SCHEMA_BOOLEAN || refuse_kind(comparison, wide, narrow);
	case SCHEMA_BYTES:
		return kind == SCHEMA_BYTES ? accepts_lengths(comparison, wide, 0, narrow->has_max,
		                                  narrow->max.integer)
		                            : refuse_kind(comparison, wide, narrow);
	case SCHEMA_LIST:
		return kind == SCHEMA_LIST ? accepts_list(comparison, wide, narrow)
		                           : refuse_kind(comparison, wide, narrow);
	case SCHEMA_MAP:
		if (kind == SCHEMA_RECORD)
			return map_accepts_record(comparison, wide, narrow);
		return kind == SCHEMA_MAP ? accepts_map(comparison, wide, narrow)
		                          : refuse_kind(comparison, wide, narrow);
	case SCHEMA_RECORD:
		return kind == SCHEMA_RECORD ? accepts_record(comparison, wide, narrow)
		                             : refuse_kind(comparison, wide, narrow);
	case SCHEMA_ANY:
	case SCHEMA_OPTIONAL:
	case SCHEMA_ONE_OF:
		break;
	}
	UNREACHABLE();
}

static bool accepts(
    struct comparison *comparison, const struct schema *wide, const struct schema *narrow)
{
	if (++comparison->steps > STEPS_MAX)
		return refuse(comparison, "too many types to compare");
	if (wide->kind == SCHEMA_ANY)
		return accepts_any(comparison, narrow);
	if (narrow->kind == SCHEMA_OPTIONAL && wide->kind != SCHEMA_OPTIONAL)
		return refuse(comparison, "it may be absent in what is stored");
	if (wide->kind == SCHEMA_OPTIONAL)
		return accepts(comparison, wide->children[0], without_optional(narrow));
	if (narrow->kind == SCHEMA_ONE_OF) {
		for (uint32_t i = 0; i < narrow->child_count; i++) {
			if (!accepts(comparison, wide, narrow->children[i]))
				return false;
		}
		return true;
	}
	if (wide->kind == SCHEMA_ONE_OF)
		return accepts_one_of(comparison, wide, narrow);
	if (narrow->kind == SCHEMA_ANY)
		return refuse_kind(comparison, wide, narrow);
	return accepts_same_kind(comparison, wide, narrow);
}

/* NOLINTEND(misc-no-recursion) */

bool schema_accepts_all(
    const struct schema *wide, const struct schema *narrow, char *why, size_t why_bytes)
{
	struct comparison comparison = {.why = why, .why_bytes = why_bytes};
	return accepts(&comparison, wide ? wide : &any, narrow ? narrow : &any);
}
