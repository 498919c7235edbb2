#include "scripting/schema.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/json_scan.h"
#include "scripting/schema_node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kind_names[] = {
    [SCHEMA_ANY] = "any",
    [SCHEMA_STRING] = "string",
    [SCHEMA_INTEGER] = "integer",
    [SCHEMA_NUMBER] = "number",
    [SCHEMA_BOOLEAN] = "boolean",
    [SCHEMA_TIMESTAMP] = "timestamp",
    [SCHEMA_BYTES] = "bytes",
    [SCHEMA_LIST] = "list",
    [SCHEMA_MAP] = "map",
    [SCHEMA_RECORD] = "record",
    [SCHEMA_OPTIONAL] = "optional",
    [SCHEMA_ONE_OF] = "one_of",
};

const char *schema_kind_name(enum schema_kind kind)
{
	ASSERT(kind <= SCHEMA_ONE_OF);
	return kind_names[kind];
}

enum schema_kind schema_kind(const struct schema *schema)
{
	return schema->kind;
}

bool schema_has_default(const struct schema *schema)
{
	if (schema->kind == SCHEMA_OPTIONAL)
		return true;
	return schema->kind == SCHEMA_RECORD && schema->all_optional;
}

/* --- Making and freeing ----------------------------------------------------------------------- */

struct schema *schema_node_new(enum schema_kind kind)
{
	static _Thread_local uint64_t last_number;
	struct schema *schema = mem_zalloc(1, sizeof(*schema));
	if (!schema)
		return NULL;
	schema->references = 1;
	schema->number = ++last_number;
	schema->kind = kind;
	schema->depth = 1;
	schema->nodes = 1;
	return schema;
}

void schema_keep(struct schema *schema)
{
	ASSERT(schema->references > 0 && schema->references < UINT32_MAX);
	schema->references++;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by SCHEMA_DEPTH_MAX */
void schema_release(struct schema *schema)
{
	if (!schema)
		return;
	ASSERT(schema->references > 0);
	if (--schema->references > 0)
		return;
	/* As deep as the schema is nested, which schema_node_finish bounds. */
	for (uint32_t i = 0; i < schema->child_count; i++)
		schema_release(schema->children[i]);
	for (uint32_t i = 0; i < schema->name_count; i++)
		mem_free((void *)(uintptr_t)schema->names[i].data);
	mem_free(schema->children);
	mem_free(schema->names);
	mem_free((void *)(uintptr_t)schema->text.data);
	mem_free(schema);
}

int schema_node_reserve(struct schema *schema, size_t count, bool names, bool children)
{
	ASSERT(!schema->names && !schema->children);
	ASSERT(count <= SCHEMA_FIELDS_MAX);
	schema->count = (uint32_t)count;
	if (count == 0)
		return 0;
	if (names) {
		schema->names = mem_zalloc(count, sizeof(*schema->names));
		if (!schema->names)
			return ERR_NOMEM;
	}
	if (children) {
		schema->children = mem_zalloc(count, sizeof(struct schema *));
		if (!schema->children)
			return ERR_NOMEM;
	}
	return 0;
}

static int copy(struct slice from, struct slice *ret_copy)
{
	uint8_t *bytes = mem_alloc(from.bytes + 1);
	if (!bytes)
		return ERR_NOMEM;
	if (from.bytes > 0)
		memcpy(bytes, from.data, from.bytes);
	bytes[from.bytes] = 0;
	*ret_copy = slice_of(bytes, from.bytes);
	return 0;
}

int schema_node_add_name(struct schema *schema, struct slice name)
{
	ASSERT(schema->name_count < schema->count);
	int error = copy(name, &schema->names[schema->name_count]);
	if (!error)
		schema->name_count++;
	return error;
}

void schema_node_add_child(struct schema *schema, struct schema *child)
{
	ASSERT(schema->child_count < schema->count);
	schema_keep(child);
	schema->children[schema->child_count++] = child;
}

int schema_node_set_text(struct schema *schema, struct slice text)
{
	ASSERT(!schema->has_text);
	int error = copy(text, &schema->text);
	if (!error)
		schema->has_text = true;
	return error;
}

/* --- Checking --------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static int refuse(
    char *why, size_t why_bytes, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, why_bytes, format, arguments);
	va_end(arguments);
	return ERR_INVALID;
}

/* Insertion by halves: fields are few, and usually written in some order. */
static void sort_names(struct schema *schema)
{
	for (uint32_t i = 1; i < schema->name_count; i++) {
		struct slice name = schema->names[i];
		struct schema *child = schema->children ? schema->children[i] : NULL;
		uint32_t at = i;
		while (at > 0 && slice_compare(schema->names[at - 1], name) > 0) {
			schema->names[at] = schema->names[at - 1];
			if (child)
				schema->children[at] = schema->children[at - 1];
			at--;
		}
		schema->names[at] = name;
		if (child)
			schema->children[at] = child;
	}
}

int schema_find_name(const struct schema *schema, struct slice name)
{
	uint32_t low = 0, high = schema->name_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = slice_compare(schema->names[middle], name);
		if (order == 0)
			return (int)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

const struct schema *schema_tag_of(const struct schema *one_of, uint32_t alternative)
{
	const struct schema *record = one_of->children[alternative];
	if (record->kind != SCHEMA_RECORD)
		return NULL;
	int field = schema_find_name(record, one_of->text);
	if (field < 0)
		return NULL;
	const struct schema *tag = record->children[field];
	return tag->kind == SCHEMA_STRING && tag->name_count > 0 ? tag : NULL;
}

static int check_tags(const struct schema *schema, char *why, size_t why_bytes)
{
	for (uint32_t i = 0; i < schema->child_count; i++) {
		const struct schema *tag = schema_tag_of(schema, i);
		if (!tag)
			return refuse(why, why_bytes,
			    "alternative %u of a one_of with a tag must be a record whose field "
			    "'%.64s' is a string { enum = {...} }",
			    i + 1, (const char *)schema->text.data);
		for (uint32_t j = 0; j < i; j++) {
			const struct schema *other = schema_tag_of(schema, j);
			for (uint32_t k = 0; k < tag->name_count; k++) {
				if (schema_find_name(other, tag->names[k]) >= 0)
					return refuse(why, why_bytes,
					    "alternatives %u and %u have the same value of the "
					    "tag '%.64s'",
					    j + 1, i + 1, (const char *)schema->text.data);
			}
		}
	}
	return 0;
}

static int check_children(const struct schema *schema, char *why, size_t why_bytes)
{
	bool may_be_optional = schema->kind == SCHEMA_RECORD;
	for (uint32_t i = 0; i < schema->child_count && !may_be_optional; i++) {
		if (schema->children[i]->kind == SCHEMA_OPTIONAL)
			return refuse(why, why_bytes,
			    "an optional has its place in a record's "
			    "field, or outermost; not inside a %s",
			    schema_kind_name(schema->kind));
	}
	if (schema->kind == SCHEMA_MAP) {
		enum schema_kind key = schema->children[0]->kind;
		if (key != SCHEMA_STRING && key != SCHEMA_INTEGER)
			return refuse(why, why_bytes, "a map's keys are string or integer, not %s",
			    schema_kind_name(key));
	}
	if (schema->kind == SCHEMA_ONE_OF) {
		if (schema->child_count == 0)
			return refuse(why, why_bytes, "a one_of needs an alternative");
		if (schema->has_text)
			return check_tags(schema, why, why_bytes);
	}
	return 0;
}

static int check_bounds(const struct schema *schema, char *why, size_t why_bytes)
{
	bool is_length = schema->kind != SCHEMA_INTEGER && schema->kind != SCHEMA_NUMBER;
	if (is_length && ((schema->has_min && schema->min.integer < 0) ||
	                     (schema->has_max && schema->max.integer < 0)))
		return refuse(why, why_bytes, "min and max of a %s are lengths, not negative",
		    schema_kind_name(schema->kind));
	if (!schema->has_min || !schema->has_max)
		return 0;
	bool ordered = schema->kind == SCHEMA_NUMBER ? schema->min.number <= schema->max.number
	                                             : schema->min.integer <= schema->max.integer;
	return ordered ? 0 : refuse(why, why_bytes, "min is above max");
}

/* No alternatives, which may need a second look; keys that are text. */
static bool is_direct(const struct schema *schema)
{
	for (uint32_t i = 0; i < schema->child_count; i++) {
		if (!schema->children[i]->direct)
			return false;
	}
	if (schema->kind == SCHEMA_MAP)
		return schema->children[0]->kind == SCHEMA_STRING;
	if (schema->kind != SCHEMA_RECORD)
		return schema->kind != SCHEMA_ONE_OF;
	for (uint32_t i = 0; i < schema->name_count; i++) {
		if (schema->names[i].bytes > SCHEMA_DIRECT_NAME_BYTES)
			return false;
	}
	return !schema->open && schema->count <= SCHEMA_DIRECT_FIELDS_MAX;
}

/* No base64; names that stand in JSON as they are. */
static bool is_plain(const struct schema *schema)
{
	for (uint32_t i = 0; i < schema->child_count; i++) {
		if (!schema->children[i]->plain)
			return false;
	}
	for (uint32_t i = 0; schema->kind == SCHEMA_RECORD && i < schema->name_count; i++) {
		const uint8_t *name = schema->names[i].data;
		const uint8_t *end = name + schema->names[i].bytes;
		if (json_skip_plain(name, end) != end)
			return false;
	}
	return schema->direct && schema->kind != SCHEMA_BYTES;
}

int schema_node_finish(struct schema *schema, char *why, size_t why_bytes)
{
	sort_names(schema);
	for (uint32_t i = 1; i < schema->name_count; i++) {
		if (slice_equal(schema->names[i - 1], schema->names[i]))
			return refuse(why, why_bytes, "'%.64s' is there twice",
			    (const char *)schema->names[i].data);
	}
	schema->all_optional = true;
	uint64_t nodes = 1;
	for (uint32_t i = 0; i < schema->child_count; i++) {
		const struct schema *child = schema->children[i];
		nodes += child->nodes;
		if (child->depth >= schema->depth)
			schema->depth = child->depth + 1;
		if (child->kind != SCHEMA_OPTIONAL)
			schema->all_optional = false;
	}
	if (schema->depth > SCHEMA_DEPTH_MAX)
		return refuse(why, why_bytes, "nested more than %d deep", SCHEMA_DEPTH_MAX);
	if (nodes > SCHEMA_NODES_MAX)
		return refuse(why, why_bytes, "more than %d types, written out", SCHEMA_NODES_MAX);
	schema->nodes = (uint32_t)nodes;
	schema->direct = is_direct(schema);
	schema->plain = is_plain(schema);
	int error = check_bounds(schema, why, why_bytes);
	return error ? error : check_children(schema, why, why_bytes);
}

/* --- Words ------------------------------------------------------------------------------------ */

struct words {
	char *text;
	size_t bytes, at;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...)
{
	if (words->at + 1 >= words->bytes)
		return;
	va_list arguments;
	va_start(arguments, format);
	int length =
	    vsnprintf(words->text + words->at, words->bytes - words->at, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	size_t room = words->bytes - words->at - 1;
	words->at += (size_t)length < room ? (size_t)length : room;
}

static void say_range(struct words *words, const struct schema *schema)
{
	if (schema->kind == SCHEMA_NUMBER) {
		if (schema->has_min)
			say(words, " >= %.17g", schema->min.number);
		if (schema->has_max)
			say(words, "%s <= %.17g", schema->has_min ? " and" : "",
			    schema->max.number);
		return;
	}
	if (schema->has_min)
		say(words, " >= %lld", (long long)schema->min.integer);
	if (schema->has_max)
		say(words, "%s <= %lld", schema->has_min ? " and" : "",
		    (long long)schema->max.integer);
}

static void say_length(struct words *words, const struct schema *schema, const char *unit)
{
	long long min = (long long)schema->min.integer, max = (long long)schema->max.integer;
	if (schema->has_min && schema->has_max && min == max)
		say(words, " of %lld %s", min, unit);
	else if (schema->has_min && schema->has_max)
		say(words, " of %lld to %lld %s", min, max, unit);
	else if (schema->has_min)
		say(words, " of at least %lld %s", min, unit);
	else if (schema->has_max)
		say(words, " of at most %lld %s", max, unit);
}

static void say_string(struct words *words, const struct schema *schema)
{
	if (schema->name_count > 0) {
		if (schema->name_count > 1)
			say(words, "one of ");
		for (uint32_t i = 0; i < schema->name_count && i < 8; i++)
			say(words, "%s\"%.32s\"", i ? ", " : "",
			    (const char *)schema->names[i].data);
		if (schema->name_count > 8)
			say(words, ", ...");
		return;
	}
	say(words, "string");
	say_length(words, schema, "characters");
	if (schema->has_text)
		say(words, " like \"%.64s\"", (const char *)schema->text.data);
}

/* Records that a tag tells apart: its values are what has to be known. */
static void say_tags(struct words *words, const struct schema *schema)
{
	say(words, "record whose %.64s is ", (const char *)schema->text.data);
	for (uint32_t i = 0; i < schema->child_count && words->at + 1 < words->bytes; i++) {
		const struct schema *tag = schema_tag_of(schema, i);
		for (uint32_t j = 0; j < tag->name_count && words->at + 1 < words->bytes; j++)
			say(words, "%s\"%.32s\"", i || j ? " or " : "",
			    (const char *)tag->names[j].data);
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by SCHEMA_DEPTH_MAX */
static void say_schema(struct words *words, const struct schema *schema)
{
	switch (schema->kind) {
	case SCHEMA_ANY:
		say(words, "a value");
		return;
	case SCHEMA_STRING:
		say_string(words, schema);
		return;
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
		say(words, "%s", schema_kind_name(schema->kind));
		say_range(words, schema);
		return;
	case SCHEMA_BYTES:
		say(words, "bytes");
		say_length(words, schema, "bytes");
		return;
	case SCHEMA_LIST:
	case SCHEMA_MAP:
		say(words, "%s", schema_kind_name(schema->kind));
		say_length(words, schema, schema->kind == SCHEMA_LIST ? "elements" : "entries");
		return;
	case SCHEMA_OPTIONAL:
		say_schema(words, schema->children[0]);
		return;
	case SCHEMA_ONE_OF:
		if (schema->has_text) {
			say_tags(words, schema);
			return;
		}
		/* Not beyond the room there is: nested alternatives multiply. */
		for (uint32_t i = 0; i < schema->child_count && words->at + 1 < words->bytes; i++) {
			say(words, "%s", i ? " or " : "");
			say_schema(words, schema->children[i]);
		}
		return;
	case SCHEMA_BOOLEAN:
	case SCHEMA_TIMESTAMP:
	case SCHEMA_RECORD:
		say(words, "%s", schema_kind_name(schema->kind));
		return;
	}
	UNREACHABLE();
}

void schema_describe(const struct schema *schema, char *text, size_t bytes)
{
	ASSERT(bytes > 0);
	struct words words = {.text = text, .bytes = bytes, .at = 0};
	text[0] = 0;
	say_schema(&words, schema);
}
