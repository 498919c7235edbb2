#include "client/admin/differ.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/wire/msgpack.h"

/* A container that both are in. */
struct level {
	bool is_map;
	uint64_t left[2]; /* elements, or pairs */
	uint64_t at;      /* which of them, from 1 */
	size_t path_end;  /* of the container's own path */
};

struct comparison {
	struct msgpack_reader in[2];
	struct level levels[MSGPACK_DEPTH_MAX + 1];
	unsigned depth;
	char *path;
	size_t path_bytes, used;
};

static void path_cut(struct comparison *comparison, size_t used)
{
	comparison->used = used;
	comparison->path[used] = '\0';
}

__attribute__((format(printf, 2, 3))) static void path_add(
    struct comparison *comparison, const char *format, ...)
{
	va_list arguments;
	size_t room = comparison->path_bytes - comparison->used;
	va_start(arguments, format);
	int bytes = vsnprintf(comparison->path + comparison->used, room, format, arguments);
	va_end(arguments);
	if (bytes > 0)
		comparison->used += (size_t)bytes < room ? (size_t)bytes : room - 1;
}

static void path_add_key(struct comparison *comparison, const struct msgpack_value *key)
{
	const char *dot = comparison->used > 0 ? "." : "";
	if (key->type == MSGPACK_STRING)
		path_add(comparison, "%s%.*s", dot, (int)key->bytes.bytes,
		    (const char *)key->bytes.data);
	else if (key->type == MSGPACK_INTEGER)
		path_add(comparison, "%s%" PRId64, dot, key->integer);
	else
		path_add(comparison, "%s?", dot);
}

static bool is_container(const struct msgpack_value *value)
{
	return value->type == MSGPACK_ARRAY || value->type == MSGPACK_MAP;
}

static bool scalars_equal(const struct msgpack_value *a, const struct msgpack_value *b)
{
	switch (a->type) {
	case MSGPACK_NIL:
	case MSGPACK_ARRAY:
	case MSGPACK_MAP:
		return true;
	case MSGPACK_BOOLEAN:
		return a->boolean == b->boolean;
	case MSGPACK_INTEGER:
		return a->integer == b->integer;
	case MSGPACK_DOUBLE:
		return a->number == b->number; /* NaN is never stored */
	case MSGPACK_EXTENSION:
		return a->extension == b->extension && slice_equal(a->bytes, b->bytes);
	case MSGPACK_STRING:
	case MSGPACK_BINARY:
		return slice_equal(a->bytes, b->bytes);
	}
	return false;
}

/* Keys are sorted: of two that differ the lower one is missing on the other side. */
static bool is_lower(const struct msgpack_value *a, const struct msgpack_value *b)
{
	if (a->type != b->type)
		return a->type < b->type;
	return a->type == MSGPACK_INTEGER ? a->integer < b->integer
	                                  : slice_compare(a->bytes, b->bytes) < 0;
}

/* The keys of the next pair. True: they differ, and the path names the one that is missing. */
static bool keys_differ(struct comparison *comparison)
{
	struct msgpack_value key[2];
	if (msgpack_next(&comparison->in[0], &key[0]) || msgpack_next(&comparison->in[1], &key[1]))
		return true;
	bool differ = key[0].type != key[1].type || !scalars_equal(&key[0], &key[1]);
	path_add_key(comparison, differ && is_lower(&key[1], &key[0]) ? &key[1] : &key[0]);
	return differ;
}

/* One of them has no more: the path names what the other has next. */
static void name_surplus(struct comparison *comparison, const struct level *level)
{
	struct msgpack_value key;
	if (!level->is_map)
		path_add(comparison, "[%" PRIu64 "]", level->at);
	else if (msgpack_next(&comparison->in[level->left[0] > 0 ? 0 : 1], &key) == 0)
		path_add_key(comparison, &key);
}

/* Goes to the next place that both have. True: there is a difference before it; *ret_ended: none,
 * and there is none. */
static bool advance(struct comparison *comparison, bool *ret_ended)
{
	while (comparison->depth > 0) {
		struct level *level = &comparison->levels[comparison->depth - 1];
		path_cut(comparison, level->path_end);
		level->at++;
		if (level->left[0] == 0 && level->left[1] == 0) {
			comparison->depth--;
			continue;
		}
		if (level->left[0] == 0 || level->left[1] == 0) {
			name_surplus(comparison, level);
			return true;
		}
		level->left[0]--;
		level->left[1]--;
		if (level->is_map)
			return keys_differ(comparison);
		path_add(comparison, "[%" PRIu64 "]", level->at);
		return false;
	}
	*ret_ended = true;
	return false;
}

static bool differs_here(struct comparison *comparison)
{
	struct msgpack_value value[2];
	if (msgpack_next(&comparison->in[0], &value[0]) ||
	    msgpack_next(&comparison->in[1], &value[1]))
		return true;
	if (value[0].type != value[1].type || !scalars_equal(&value[0], &value[1]))
		return true;
	if (is_container(&value[0]))
		comparison->levels[comparison->depth++] =
		    (struct level){.is_map = value[0].type == MSGPACK_MAP,
		        .left = {value[0].count, value[1].count},
		        .path_end = comparison->used};
	return false;
}

bool values_differ(struct slice a, struct slice b, char *ret_path, size_t path_bytes)
{
	struct comparison comparison = {.path = ret_path, .path_bytes = path_bytes};
	bool ended = false;
	ret_path[0] = '\0';
	msgpack_reader_init(&comparison.in[0], a, false, MSGPACK_DEPTH_MAX);
	msgpack_reader_init(&comparison.in[1], b, false, MSGPACK_DEPTH_MAX);
	while (!ended)
		if (differs_here(&comparison) || advance(&comparison, &ended))
			return true;
	return !msgpack_finished(&comparison.in[0]) || !msgpack_finished(&comparison.in[1]);
}
