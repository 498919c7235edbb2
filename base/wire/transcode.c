#include "base/wire/transcode.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "base/mem.h"
#include "base/wire/json.h"
#include "base/wire/msgpack.h"

#include <math.h>
#include <stdlib.h>

/* What most need is there at once. */
enum { FIRST_COUNT = 64 };
#define NODES_MAX (UINT32_MAX / 4)

/* What was read: nodes in the order of the input, each container before its content, so that a
 * node's content lies from behind it to `end`. MessagePack with sorted keys, which is what we
 * store, goes to JSON without this. */
struct node {
	struct msgpack_value value; /* a JSON text's bytes are without escapes */
	uint32_t end;               /* index behind the node and its content */
};

/* A pair of a map, to be sorted. */
struct pair {
	struct slice key;
	uint32_t value; /* index of its node */
};

struct tree {
	struct node *nodes;
	uint32_t count;
	size_t capacity;
	struct pair *pairs; /* of all maps being written */
	size_t pair_count, pair_capacity;
	uint8_t *texts; /* what strings with escapes spell */
	size_t text_bytes;
	uint32_t open[JSON_DEPTH_MAX]; /* containers around the next node */
	unsigned depth;
};

static void tree_done(struct tree *tree)
{
	mem_free(tree->nodes);
	mem_free(tree->pairs);
	mem_free(tree->texts);
}

/* Bad input of any kind is one error to callers. */
static int outside_error(int error)
{
	return error == ERR_NOMEM ? error : ERR_INVALID;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static int add_node(struct tree *tree, const struct msgpack_value *value)
{
	size_t wanted = tree->count > 0 ? (size_t)tree->count + 1 : FIRST_COUNT;
	if (tree->count > NODES_MAX ||
	    array_reserve(&tree->nodes, &tree->capacity, wanted, sizeof(*tree->nodes)))
		return ERR_NOMEM;
	tree->nodes[tree->count] = (struct node){.value = *value, .end = tree->count + 1};
	tree->count++;
	return 0;
}

static void open_node(struct tree *tree)
{
	ASSERT(tree->depth < JSON_DEPTH_MAX);
	tree->open[tree->depth++] = tree->count - 1;
}

/* The innermost container is at its end; JSON's counts are known only now. */
static void close_node(struct tree *tree)
{
	ASSERT(tree->depth > 0);
	struct node *node = &tree->nodes[tree->open[--tree->depth]];
	node->end = tree->count;
}

/* Texts with escapes are resolved into one block, which all of them together fit. */
static int keep_text(
    struct tree *tree, const struct json_reader *reader, size_t bytes_max, struct slice *ret_text)
{
	if (!reader->escaped) {
		*ret_text = reader->text;
		return 0;
	}
	if (!tree->texts) {
		tree->texts = mem_alloc(bytes_max);
		if (!tree->texts)
			return ERR_NOMEM;
	}
	uint8_t *to = tree->texts + tree->text_bytes;
	size_t bytes = json_unescape(reader->text, to);
	tree->text_bytes += bytes;
	ASSERT(tree->text_bytes <= bytes_max);
	*ret_text = slice_of(to, bytes);
	return 0;
}

static int read_json_token(
    struct tree *tree, const struct json_reader *reader, enum json_token token, size_t bytes_max)
{
	struct msgpack_value value = {.type = MSGPACK_NIL};
	int error = 0;
	switch (token) {
	case JSON_OBJECT_BEGIN:
	case JSON_ARRAY_BEGIN:
		value.type = token == JSON_OBJECT_BEGIN ? MSGPACK_MAP : MSGPACK_ARRAY;
		error = add_node(tree, &value);
		if (!error)
			open_node(tree);
		return error;
	case JSON_OBJECT_END:
	case JSON_ARRAY_END:
		close_node(tree);
		return 0;
	case JSON_KEY:
	case JSON_STRING:
		value.type = MSGPACK_STRING;
		error = keep_text(tree, reader, bytes_max, &value.bytes);
		break;
	case JSON_INTEGER:
		value.type = MSGPACK_INTEGER;
		value.integer = reader->integer;
		break;
	case JSON_DOUBLE:
		value.type = MSGPACK_DOUBLE;
		value.number = reader->number;
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		value.type = MSGPACK_BOOLEAN;
		value.boolean = token == JSON_TRUE;
		break;
	case JSON_NULL:
		break;
	case JSON_END:
		return 0;
	}
	return error ? error : add_node(tree, &value);
}

static int read_json(struct tree *tree, struct slice json)
{
	struct json_reader reader;
	enum json_token token;
	json_reader_init(&reader, json, NULL, JSON_DEPTH_MAX);
	do {
		int error = json_next(&reader, &token);
		if (!error)
			error = read_json_token(tree, &reader, token, json.bytes);
		if (error)
			return outside_error(error);
	} while (token != JSON_END);
	return 0;
}

static int read_msgpack(struct tree *tree, struct slice msgpack)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, msgpack, true, MSGPACK_DEPTH_MAX);
	do {
		int error = msgpack_next(&reader, &value);
		if (!error)
			error = add_node(tree, &value);
		if (error)
			return outside_error(error);
		bool is_container = value.type == MSGPACK_ARRAY || value.type == MSGPACK_MAP;
		if (is_container && value.count > 0)
			open_node(tree);
		while (tree->depth > msgpack_depth(&reader))
			close_node(tree);
	} while (tree->depth > 0);
	return msgpack_finished(&reader) ? 0 : ERR_INVALID;
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* One of both. */
struct sink {
	struct json_writer *json;
	struct msgpack_writer *msgpack;
};

/* ERR_INVALID where the other language has no such value. */
static int put_scalar(struct sink *sink, const struct msgpack_value *value)
{
	switch (value->type) {
	case MSGPACK_NIL:
		sink->json ? json_write_null(sink->json) : msgpack_write_nil(sink->msgpack);
		return 0;
	case MSGPACK_BOOLEAN:
		sink->json ? json_write_boolean(sink->json, value->boolean)
		           : msgpack_write_boolean(sink->msgpack, value->boolean);
		return 0;
	case MSGPACK_INTEGER:
		sink->json ? json_write_integer(sink->json, value->integer)
		           : msgpack_write_integer(sink->msgpack, value->integer);
		return 0;
	case MSGPACK_DOUBLE:
		if (!isfinite(value->number))
			return ERR_INVALID;
		sink->json ? json_write_double(sink->json, value->number)
		           : msgpack_write_double(sink->msgpack, value->number);
		return 0;
	case MSGPACK_STRING:
		sink->json ? json_write_string(sink->json, value->bytes)
		           : msgpack_write_string(sink->msgpack, value->bytes);
		return 0;
	case MSGPACK_BINARY:
		sink->json ? json_write_base64(sink->json, value->bytes)
		           : msgpack_write_binary(sink->msgpack, value->bytes);
		return 0;
	case MSGPACK_EXTENSION:
		return ERR_INVALID;
	case MSGPACK_ARRAY:
	case MSGPACK_MAP:
		break;
	}
	UNREACHABLE();
}

static int compare_pairs(const void *left, const void *right)
{
	const struct pair *a = left, *b = right;
	return slice_compare(a->key, b->key);
}

static int add_pair(struct tree *tree, struct pair pair)
{
	size_t wanted = tree->pair_count > 0 ? tree->pair_count + 1 : FIRST_COUNT;
	if (array_reserve(&tree->pairs, &tree->pair_capacity, wanted, sizeof(pair)))
		return ERR_NOMEM;
	tree->pairs[tree->pair_count++] = pair;
	return 0;
}

/* The map's pairs, sorted, at the end of tree->pairs. ERR_INVALID: a key twice, or no text. */
static int sort_pairs(struct tree *tree, uint32_t map)
{
	size_t begin = tree->pair_count;
	bool is_sorted = true;
	for (uint32_t at = map + 1; at < tree->nodes[map].end;) {
		const struct node *key = &tree->nodes[at];
		if (key->value.type != MSGPACK_STRING)
			return ERR_INVALID;
		ASSERT(at + 1 < tree->nodes[map].end);
		int error = add_pair(tree, (struct pair){.key = key->value.bytes, .value = at + 1});
		if (error)
			return error;
		size_t last = tree->pair_count - 1;
		if (last > begin && compare_pairs(&tree->pairs[last - 1], &tree->pairs[last]) >= 0)
			is_sorted = false;
		at = tree->nodes[at + 1].end;
	}
	if (is_sorted)
		return 0;
	qsort(&tree->pairs[begin], tree->pair_count - begin, sizeof(struct pair), compare_pairs);
	for (size_t i = begin + 1; i < tree->pair_count; i++) {
		if (slice_equal(tree->pairs[i - 1].key, tree->pairs[i].key))
			return ERR_INVALID;
	}
	return 0;
}

static int put_node(struct tree *tree, struct sink *sink, uint32_t index);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the input, which its reader bounds */
static int put_map(struct tree *tree, struct sink *sink, uint32_t index)
{
	size_t begin = tree->pair_count;
	int error = sort_pairs(tree, index);
	if (error)
		return error;
	size_t end = tree->pair_count;
	if (sink->json)
		json_write_object_begin(sink->json);
	else
		msgpack_write_map(sink->msgpack, end - begin);
	for (size_t i = begin; i < end; i++) {
		struct pair pair = tree->pairs[i]; /* the array may move below */
		if (sink->json)
			json_write_key(sink->json, pair.key);
		else
			msgpack_write_string(sink->msgpack, pair.key);
		error = put_node(tree, sink, pair.value);
		if (error)
			return error;
	}
	if (sink->json)
		json_write_object_end(sink->json);
	tree->pair_count = begin;
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the input, which its reader bounds */
static int put_array(struct tree *tree, struct sink *sink, uint32_t index)
{
	uint32_t end = tree->nodes[index].end;
	if (sink->json) {
		json_write_array_begin(sink->json);
	} else {
		size_t count = 0;
		for (uint32_t at = index + 1; at < end; at = tree->nodes[at].end)
			count++;
		msgpack_write_array(sink->msgpack, count);
	}
	for (uint32_t at = index + 1; at < end; at = tree->nodes[at].end) {
		int error = put_node(tree, sink, at);
		if (error)
			return error;
	}
	if (sink->json)
		json_write_array_end(sink->json);
	return 0;
}

/* As deep as the input is nested, which its reader has bounded. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the input, which its reader bounds */
static int put_node(struct tree *tree, struct sink *sink, uint32_t index)
{
	ASSERT(tree->nodes && index < tree->count);
	const struct msgpack_value *value = &tree->nodes[index].value;
	if (value->type == MSGPACK_MAP)
		return put_map(tree, sink, index);
	if (value->type == MSGPACK_ARRAY)
		return put_array(tree, sink, index);
	return put_scalar(sink, value);
}

/* --- Both ways -------------------------------------------------------------------------------- */

/* Straight from reader to writer, as long as keys come sorted. ERR_AGAIN: they do not; what was
 * written must go. */
static int stream_json(struct slice msgpack, struct json_writer *writer)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	struct {
		struct slice last;
		uint32_t left; /* values, a pair counting two */
		bool is_map, has_last;
	} open[MSGPACK_DEPTH_MAX];
	unsigned depth = 0;
	struct sink sink = {.json = writer};
	msgpack_reader_init(&reader, msgpack, true, MSGPACK_DEPTH_MAX);
	do {
		int error = msgpack_next(&reader, &value);
		if (error)
			return ERR_INVALID;
		bool is_key = depth > 0 && open[depth - 1].is_map && open[depth - 1].left % 2 == 0;
		if (depth > 0)
			open[depth - 1].left--;
		if (is_key) {
			if (value.type != MSGPACK_STRING)
				return ERR_INVALID;
			if (open[depth - 1].has_last &&
			    slice_compare(open[depth - 1].last, value.bytes) >= 0)
				return ERR_AGAIN;
			open[depth - 1].last = value.bytes;
			open[depth - 1].has_last = true;
			json_write_key(writer, value.bytes);
		} else if (value.type == MSGPACK_MAP || value.type == MSGPACK_ARRAY) {
			bool is_map = value.type == MSGPACK_MAP;
			is_map ? json_write_object_begin(writer) : json_write_array_begin(writer);
			ASSERT(depth < MSGPACK_DEPTH_MAX);
			open[depth].is_map = is_map;
			open[depth].has_last = false;
			open[depth++].left = value.count * (is_map ? 2u : 1u);
		} else {
			error = put_scalar(&sink, &value);
			if (error)
				return error;
		}
		while (depth > 0 && open[depth - 1].left == 0) {
			depth--;
			open[depth].is_map ? json_write_object_end(writer)
			                   : json_write_array_end(writer);
		}
	} while (depth > 0);
	return msgpack_finished(&reader) ? 0 : ERR_INVALID;
}

static int through_tree(
    int (*read)(struct tree *tree, struct slice from), struct slice from, struct sink *sink)
{
	struct tree tree = {0};
	int error = read(&tree, from);
	if (!error)
		error = put_node(&tree, sink, 0);
	tree_done(&tree);
	return error;
}

/* What was written goes again where something failed. */
static int end(struct buffer *out, size_t before, int error)
{
	if (error)
		buffer_truncate(out, before);
	return error;
}

int transcode_json_from_msgpack(struct slice msgpack, struct buffer *out)
{
	size_t before = buffer_bytes(out);
	struct json_writer writer;
	json_writer_init(&writer, out);
	int error = stream_json(msgpack, &writer);
	if (error == ERR_AGAIN) {
		buffer_truncate(out, before);
		json_writer_init(&writer, out);
		error = through_tree(read_msgpack, msgpack, &(struct sink){.json = &writer});
	}
	return end(out, before, error ? error : json_writer_finish(&writer));
}

int transcode_msgpack_from_json(struct slice json, struct buffer *out)
{
	size_t before = buffer_bytes(out);
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	int error = through_tree(read_json, json, &(struct sink){.msgpack = &writer});
	return end(out, before, error ? error : msgpack_writer_finish(&writer));
}
