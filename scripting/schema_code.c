/* Schemas as bytes: maps with sorted keys, as everything that is stored.
 *
 *   {type: "integer", min, max}           also number; string with pattern, enum; bytes with max
 *   {type: "list", of, min, max}          {type: "map", key, value, max}
 *   {type: "record", fields: {..}, open}  {type: "optional", of, default}
 *   {type: "one_of", of: [..], tag}       what is not set is absent
 *
 * Reading looks at each map twice: keys first, because what they mean depends on the type, which
 * stands near the end.
 */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "base/wire/json_writer.h"
#include "base/wire/msgpack.h"
#include "base/wire/transcode.h"
#include "scripting/pattern.h"
#include "scripting/schema_node.h"

#include <math.h>

/* --- Writing ---------------------------------------------------------------------------------- */

static void write_key(struct msgpack_writer *writer, const char *key)
{
	msgpack_write_string(writer, slice_from_text(key));
}

static void write_bound(struct msgpack_writer *writer, const char *key, const struct schema *schema,
    bool has, union schema_bound bound)
{
	if (!has)
		return;
	write_key(writer, key);
	if (schema->kind != SCHEMA_NUMBER)
		msgpack_write_integer(writer, bound.integer);
	else if (bound.number == floor(bound.number) && fabs(bound.number) < 0x1p53)
		msgpack_write_integer(writer, (int64_t)bound.number);
	else
		msgpack_write_double(writer, bound.number);
}

static void write_schema(struct msgpack_writer *writer, const struct schema *schema);

/* NOLINTBEGIN(misc-no-recursion): bounded by SCHEMA_DEPTH_MAX */

static void write_names(struct msgpack_writer *writer, const struct schema *schema)
{
	if (schema->kind == SCHEMA_RECORD) {
		write_key(writer, "fields");
		msgpack_write_map(writer, schema->name_count);
		for (uint32_t i = 0; i < schema->name_count; i++) {
			msgpack_write_string(writer, schema->names[i]);
			write_schema(writer, schema->children[i]);
		}
	} else if (schema->name_count > 0) {
		write_key(writer, "enum");
		msgpack_write_array(writer, schema->name_count);
		for (uint32_t i = 0; i < schema->name_count; i++)
			msgpack_write_string(writer, schema->names[i]);
	}
}

static void write_of(struct msgpack_writer *writer, const struct schema *schema)
{
	write_key(writer, "of");
	if (schema->kind == SCHEMA_ONE_OF)
		msgpack_write_array(writer, schema->child_count);
	for (uint32_t i = 0; i < schema->child_count; i++)
		write_schema(writer, schema->children[i]);
}

/* How many of the keys below are written. */
static size_t count_keys(const struct schema *schema)
{
	size_t count = 1u + schema->has_min + schema->has_max + schema->has_text + schema->open;
	switch (schema->kind) {
	case SCHEMA_MAP:
		return count + 2;
	case SCHEMA_STRING:
		return count + (schema->name_count > 0);
	case SCHEMA_RECORD:
	case SCHEMA_LIST:
	case SCHEMA_OPTIONAL:
	case SCHEMA_ONE_OF:
		return count + 1;
	case SCHEMA_ANY:
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
	case SCHEMA_BOOLEAN:
	case SCHEMA_TIMESTAMP:
	case SCHEMA_BYTES:
		return count;
	}
	UNREACHABLE();
}

/* default enum|fields key max min of open pattern tag type value */
static void write_schema(struct msgpack_writer *writer, const struct schema *schema)
{
	enum schema_kind kind = schema->kind;
	msgpack_write_map(writer, count_keys(schema));
	if (kind == SCHEMA_OPTIONAL && schema->has_text) {
		write_key(writer, "default");
		msgpack_write_raw(writer, schema->text);
	}
	write_names(writer, schema);
	if (kind == SCHEMA_MAP) {
		write_key(writer, "key");
		write_schema(writer, schema->children[0]);
	}
	write_bound(writer, "max", schema, schema->has_max, schema->max);
	write_bound(writer, "min", schema, schema->has_min, schema->min);
	if (kind == SCHEMA_LIST || kind == SCHEMA_OPTIONAL || kind == SCHEMA_ONE_OF)
		write_of(writer, schema);
	if (schema->open) {
		write_key(writer, "open");
		msgpack_write_boolean(writer, true);
	}
	if (schema->has_text && kind != SCHEMA_OPTIONAL) {
		write_key(writer, kind == SCHEMA_STRING ? "pattern" : "tag");
		msgpack_write_string(writer, schema->text);
	}
	write_key(writer, "type");
	write_key(writer, schema_kind_name(kind));
	if (kind == SCHEMA_MAP) {
		write_key(writer, "value");
		write_schema(writer, schema->children[1]);
	}
}

int schema_encode(const struct schema *schema, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	write_schema(&writer, schema);
	return msgpack_writer_finish(&writer);
}

void schema_json(const struct schema *schema, struct json_writer *writer)
{
	struct buffer encoded, json;
	buffer_init(&encoded, BUNDLE_BYTES_MAX);
	buffer_init(&json, 4 * BUNDLE_BYTES_MAX);
	int error = schema_encode(schema, &encoded);
	if (!error)
		error = transcode_json_from_msgpack(buffer_view(&encoded), &json);
	if (!error)
		json_write_raw(writer, buffer_view(&json));
	else if (!writer->error)
		writer->error = error;
	buffer_done(&encoded);
	buffer_done(&json);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static const char *const part_names[] = {"default", "enum", "fields", "key", "max", "min", "of",
    "open", "pattern", "tag", "type", "value"};
enum part {
	PART_DEFAULT,
	PART_ENUM,
	PART_FIELDS,
	PART_KEY,
	PART_MAX,
	PART_MIN,
	PART_OF,
	PART_OPEN,
	PART_PATTERN,
	PART_TAG,
	PART_TYPE,
	PART_VALUE,
	PART_COUNT,
};

/* The encodings of a schema's parts; no bytes where one is absent. */
struct parts {
	struct slice part[PART_COUNT];
	unsigned count;
};

/* Bits of the parts that each kind may have. */
#define BIT(part) (1u << (part))
static const unsigned allowed_parts[] = {
    [SCHEMA_ANY] = 0,
    [SCHEMA_STRING] = BIT(PART_MIN) | BIT(PART_MAX) | BIT(PART_PATTERN) | BIT(PART_ENUM),
    [SCHEMA_INTEGER] = BIT(PART_MIN) | BIT(PART_MAX),
    [SCHEMA_NUMBER] = BIT(PART_MIN) | BIT(PART_MAX),
    [SCHEMA_BOOLEAN] = 0,
    [SCHEMA_TIMESTAMP] = 0,
    [SCHEMA_BYTES] = BIT(PART_MAX),
    [SCHEMA_LIST] = BIT(PART_MIN) | BIT(PART_MAX) | BIT(PART_OF),
    [SCHEMA_MAP] = BIT(PART_MAX) | BIT(PART_KEY) | BIT(PART_VALUE),
    [SCHEMA_RECORD] = BIT(PART_FIELDS) | BIT(PART_OPEN),
    [SCHEMA_OPTIONAL] = BIT(PART_OF) | BIT(PART_DEFAULT),
    [SCHEMA_ONE_OF] = BIT(PART_OF) | BIT(PART_TAG),
};

static void read_init(struct msgpack_reader *reader, struct slice encoded)
{
	msgpack_reader_init(reader, encoded, true, MSGPACK_DEPTH_MAX);
}

static int read_text(struct slice encoded, struct slice *ret_text)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	read_init(&reader, encoded);
	if (msgpack_next(&reader, &value) || value.type != MSGPACK_STRING)
		return ERR_INVALID;
	*ret_text = value.bytes;
	return 0;
}

/* The value that comes next, as its bytes. */
static int read_raw(struct msgpack_reader *reader, struct slice *ret_raw)
{
	const uint8_t *begin = reader->at;
	if (msgpack_skip(reader))
		return ERR_INVALID;
	*ret_raw = slice_of(begin, (size_t)(reader->at - begin));
	return 0;
}

static int read_parts(struct slice encoded, struct parts *parts)
{
	struct msgpack_reader reader;
	struct msgpack_value value, key;
	*parts = (struct parts){0};
	read_init(&reader, encoded);
	if (msgpack_next(&reader, &value) || value.type != MSGPACK_MAP || value.count > PART_COUNT)
		return ERR_INVALID;
	for (uint32_t i = 0; i < value.count; i++) {
		if (msgpack_next(&reader, &key) || key.type != MSGPACK_STRING)
			return ERR_INVALID;
		unsigned part = 0;
		while (
		    part < PART_COUNT && !slice_equal(key.bytes, slice_from_text(part_names[part])))
			part++;
		if (part == PART_COUNT || parts->part[part].bytes > 0)
			return ERR_INVALID;
		if (read_raw(&reader, &parts->part[part]))
			return ERR_INVALID;
		parts->count++;
	}
	return msgpack_finished(&reader) ? 0 : ERR_INVALID;
}

static int read_kind(const struct parts *parts, enum schema_kind *ret_kind)
{
	struct slice name;
	if (read_text(parts->part[PART_TYPE], &name))
		return ERR_INVALID;
	enum schema_kind kind = SCHEMA_ANY;
	while (!slice_equal(name, slice_from_text(schema_kind_name(kind)))) {
		if (kind == SCHEMA_ONE_OF)
			return ERR_INVALID;
		kind++;
	}
	for (unsigned part = 0; part < PART_COUNT; part++) {
		bool allowed = part == PART_TYPE || (allowed_parts[kind] & BIT(part));
		if (parts->part[part].bytes > 0 && !allowed)
			return ERR_INVALID;
	}
	*ret_kind = kind;
	return 0;
}

static int read_bound(
    const struct schema *schema, struct slice encoded, bool *ret_has, union schema_bound *bound)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	if (encoded.bytes == 0)
		return 0;
	read_init(&reader, encoded);
	if (msgpack_next(&reader, &value))
		return ERR_INVALID;
	if (schema->kind == SCHEMA_NUMBER) {
		if (value.type == MSGPACK_INTEGER)
			bound->number = (double)value.integer;
		else if (value.type == MSGPACK_DOUBLE && isfinite(value.number))
			bound->number = value.number;
		else
			return ERR_INVALID;
	} else {
		if (value.type != MSGPACK_INTEGER)
			return ERR_INVALID;
		bound->integer = value.integer;
	}
	*ret_has = true;
	return 0;
}

static int read_schema(struct slice encoded, unsigned depth, struct schema **ret_schema);

/* A child of the schema, whose reference moves there. */
static int read_child(struct schema *schema, struct slice encoded, unsigned depth)
{
	struct schema *child;
	int error = read_schema(encoded, depth + 1, &child);
	if (error)
		return error;
	schema_node_add_child(schema, child);
	schema_release(child);
	return 0;
}

/* An array or map of at most SCHEMA_FIELDS_MAX. */
static int read_container(struct msgpack_reader *reader, struct slice encoded,
    enum msgpack_type type, uint32_t *ret_count)
{
	struct msgpack_value value;
	read_init(reader, encoded);
	if (msgpack_next(reader, &value) || value.type != type || value.count > SCHEMA_FIELDS_MAX)
		return ERR_INVALID;
	*ret_count = value.count;
	return 0;
}

static int read_fields(struct schema *schema, struct slice encoded, unsigned depth)
{
	struct msgpack_reader reader;
	struct msgpack_value key;
	struct slice child;
	uint32_t count = 0;
	int error = read_container(&reader, encoded, MSGPACK_MAP, &count);
	if (!error)
		error = schema_node_reserve(schema, count, true, true);
	for (uint32_t i = 0; i < count && !error; i++) {
		if (msgpack_next(&reader, &key) || key.type != MSGPACK_STRING ||
		    read_raw(&reader, &child))
			return ERR_INVALID;
		error = schema_node_add_name(schema, key.bytes);
		if (!error)
			error = read_child(schema, child, depth);
	}
	return error;
}

static int read_alternatives(struct schema *schema, struct slice encoded, unsigned depth)
{
	struct msgpack_reader reader;
	struct slice child;
	uint32_t count = 0;
	int error = read_container(&reader, encoded, MSGPACK_ARRAY, &count);
	if (!error)
		error = schema_node_reserve(schema, count, false, true);
	for (uint32_t i = 0; i < count && !error; i++) {
		error = read_raw(&reader, &child);
		if (!error)
			error = read_child(schema, child, depth);
	}
	return error;
}

static int read_enum(struct schema *schema, struct slice encoded)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	uint32_t count = 0;
	int error = read_container(&reader, encoded, MSGPACK_ARRAY, &count);
	if (!error && count == 0)
		error = ERR_INVALID;
	if (!error)
		error = schema_node_reserve(schema, count, true, false);
	for (uint32_t i = 0; i < count && !error; i++) {
		if (msgpack_next(&reader, &value) || value.type != MSGPACK_STRING)
			return ERR_INVALID;
		error = schema_node_add_name(schema, value.bytes);
	}
	return error;
}

static int read_children(struct schema *schema, const struct parts *parts, unsigned depth)
{
	int error;
	switch (schema->kind) {
	case SCHEMA_LIST:
	case SCHEMA_OPTIONAL:
		error = schema_node_reserve(schema, 1, false, true);
		return error ? error : read_child(schema, parts->part[PART_OF], depth);
	case SCHEMA_MAP:
		error = schema_node_reserve(schema, 2, false, true);
		if (!error)
			error = read_child(schema, parts->part[PART_KEY], depth);
		return error ? error : read_child(schema, parts->part[PART_VALUE], depth);
	case SCHEMA_RECORD:
		return read_fields(schema, parts->part[PART_FIELDS], depth);
	case SCHEMA_ONE_OF:
		return read_alternatives(schema, parts->part[PART_OF], depth);
	case SCHEMA_STRING:
		return parts->part[PART_ENUM].bytes ? read_enum(schema, parts->part[PART_ENUM]) : 0;
	case SCHEMA_ANY:
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
	case SCHEMA_BOOLEAN:
	case SCHEMA_TIMESTAMP:
	case SCHEMA_BYTES:
		return 0;
	}
	UNREACHABLE();
}

/* Pattern, tag or default. */
static int read_extra(struct schema *schema, const struct parts *parts)
{
	struct slice text;
	const char *why;
	if (parts->part[PART_OPEN].bytes > 0) {
		struct msgpack_reader reader;
		struct msgpack_value value;
		read_init(&reader, parts->part[PART_OPEN]);
		if (msgpack_next(&reader, &value) || value.type != MSGPACK_BOOLEAN)
			return ERR_INVALID;
		schema->open = value.boolean;
	}
	if (parts->part[PART_DEFAULT].bytes > 0) {
		struct msgpack_reader reader;
		msgpack_reader_init(
		    &reader, parts->part[PART_DEFAULT], true, SCHEMA_DEFAULT_DEPTH_MAX);
		if (msgpack_skip(&reader))
			return ERR_INVALID;
		return schema_node_set_text(schema, parts->part[PART_DEFAULT]);
	}
	enum part part = schema->kind == SCHEMA_STRING ? PART_PATTERN : PART_TAG;
	if (parts->part[part].bytes == 0)
		return 0;
	if (read_text(parts->part[part], &text))
		return ERR_INVALID;
	if (part == PART_PATTERN && pattern_check(text, &why))
		return ERR_INVALID;
	return schema_node_set_text(schema, text);
}

static int read_schema(struct slice encoded, unsigned depth, struct schema **ret_schema)
{
	struct parts parts;
	enum schema_kind kind;
	if (depth > SCHEMA_DEPTH_MAX || read_parts(encoded, &parts) || read_kind(&parts, &kind))
		return ERR_INVALID;
	struct schema *schema = schema_node_new(kind);
	if (!schema)
		return ERR_NOMEM;
	int error = read_bound(schema, parts.part[PART_MIN], &schema->has_min, &schema->min);
	if (!error)
		error = read_bound(schema, parts.part[PART_MAX], &schema->has_max, &schema->max);
	if (!error)
		error = read_children(schema, &parts, depth);
	if (!error)
		error = read_extra(schema, &parts);
	if (!error) {
		char why[128];
		error = schema_node_finish(schema, why, sizeof(why));
	}
	if (error) {
		schema_release(schema);
		return error;
	}
	*ret_schema = schema;
	return 0;
}

/* NOLINTEND(misc-no-recursion) */

int schema_decode(struct slice encoded, struct schema **ret_schema)
{
	if (encoded.bytes > UINT32_MAX)
		return ERR_INVALID;
	return read_schema(encoded, 1, ret_schema);
}
