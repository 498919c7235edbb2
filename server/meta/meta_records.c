#include "server/meta/meta_records.h"

#include <string.h>

#include "base/limits.h"
#include "base/wire/address.h"
#include "base/wire/msgpack.h"
#include "server/meta/meta_keys.h"

static void write_text(struct msgpack_writer *writer, const char *text)
{
	msgpack_write_string(writer, slice_from_text(text));
}

/* ---- The cluster ---- */

int meta_cluster_encode(const struct meta_cluster *cluster, int64_t created_ms, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	msgpack_write_array(&writer, 4);
	msgpack_write_integer(&writer, META_RECORD_FORMAT);
	write_text(&writer, cluster->id);
	msgpack_write_integer(&writer, cluster->shards);
	msgpack_write_integer(&writer, created_ms);
	return msgpack_writer_finish(&writer);
}

int meta_cluster_decode(struct slice record, struct meta_cluster *ret_cluster)
{
	struct msgpack_reader in;
	struct msgpack_value value;
	struct meta_cluster cluster = {.shards = 0};
	msgpack_reader_init(&in, record, true, 2);
	if (msgpack_next(&in, &value) || value.type != MSGPACK_ARRAY || value.count < 4)
		return ERR_CORRUPT;
	if (msgpack_next(&in, &value) || value.type != MSGPACK_INTEGER)
		return ERR_CORRUPT;
	if (value.integer != META_RECORD_FORMAT)
		return ERR_FORMAT;
	if (msgpack_next(&in, &value) || value.type != MSGPACK_STRING ||
	    value.bytes.bytes != sizeof(cluster.id) - 1)
		return ERR_CORRUPT;
	memcpy(cluster.id, value.bytes.data, sizeof(cluster.id) - 1);
	if (strspn(cluster.id, "0123456789abcdef") != sizeof(cluster.id) - 1)
		return ERR_CORRUPT;
	if (msgpack_next(&in, &value) || value.type != MSGPACK_INTEGER || value.integer < 1 ||
	    value.integer > SHARDS_MAX)
		return ERR_CORRUPT;
	cluster.shards = (uint32_t)value.integer;
	*ret_cluster = cluster;
	return 0;
}

/* ---- Apps ---- */

int meta_app_encode(const struct meta_app *app, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	msgpack_write_array(&writer, 6);
	msgpack_write_integer(&writer, META_RECORD_FORMAT);
	write_text(&writer, app->hash);
	msgpack_write_integer(&writer, (int64_t)app->generation);
	msgpack_write_binary(&writer, buffer_view(&app->catalogue));
	msgpack_write_array(&writer, app->type_count);
	for (size_t i = 0; i < app->type_count; i++) {
		const struct meta_type *type = &app->types[i];
		msgpack_write_array(&writer, type->incarnation > 0 ? 3 : 2);
		write_text(&writer, type->name);
		msgpack_write_boolean(&writer, type->active);
		if (type->incarnation > 0)
			msgpack_write_integer(&writer, (int64_t)type->incarnation);
	}
	msgpack_write_array(&writer, app->history_count);
	for (size_t i = 0; i < app->history_count; i++) {
		msgpack_write_array(&writer, 4);
		write_text(&writer, app->history[i].hash);
		msgpack_write_integer(&writer, app->history[i].at_ms);
		write_text(&writer, app->history[i].by);
		msgpack_write_integer(&writer, app->history[i].back);
	}
	return msgpack_writer_finish(&writer);
}

/* Reading: the first thing that is not as expected makes the whole record damaged; the first error
 * stays. */

static struct slice read_bytes(struct msgpack_reader *in, enum msgpack_type type, int *error)
{
	struct msgpack_value value;
	if (*error)
		return slice_of(NULL, 0);
	if (msgpack_next(in, &value) || value.type != type) {
		*error = ERR_CORRUPT;
		return slice_of(NULL, 0);
	}
	return value.bytes;
}

static void read_text(struct msgpack_reader *in, char *to, size_t bytes_max, int *error)
{
	struct slice text = read_bytes(in, MSGPACK_STRING, error);
	if (text.bytes > bytes_max) {
		*error = ERR_CORRUPT;
		text.bytes = 0;
	}
	if (text.bytes)
		memcpy(to, text.data, text.bytes);
	to[text.bytes] = 0;
}

static int64_t read_integer(struct msgpack_reader *in, int *error)
{
	struct msgpack_value value;
	if (*error)
		return 0;
	if (msgpack_next(in, &value) || value.type != MSGPACK_INTEGER) {
		*error = ERR_CORRUPT;
		return 0;
	}
	return value.integer;
}

static uint32_t read_array(struct msgpack_reader *in, uint32_t least, uint32_t most, int *error)
{
	struct msgpack_value value;
	if (*error)
		return 0;
	if (msgpack_next(in, &value) || value.type != MSGPACK_ARRAY || value.count < least ||
	    value.count > most) {
		*error = ERR_CORRUPT;
		return 0;
	}
	return value.count;
}

static void read_types(struct msgpack_reader *in, struct meta_app *app, int *error)
{
	uint32_t count = read_array(in, 0, META_TYPES_MAX, error);
	for (uint32_t i = 0; i < count && !*error; i++) {
		struct msgpack_value active;
		int64_t incarnation = 0;
		char name[NAME_BYTES_MAX + 1];
		uint32_t members = read_array(in, 2, 3, error);
		read_text(in, name, NAME_BYTES_MAX, error);
		if (*error)
			return;
		if (msgpack_next(in, &active) || active.type != MSGPACK_BOOLEAN)
			*error = ERR_CORRUPT;
		if (members == 3)
			incarnation = read_integer(in, error);
		if (!*error && (incarnation < 0 || (members == 3 && incarnation == 0)))
			*error = ERR_CORRUPT;
		if (!*error)
			*error = meta_app_set_type(
			    app, slice_from_text(name), active.boolean, (uint64_t)incarnation);
	}
}

/* How far back, or the hash that stands there: so it was written before 0.1.0. */
static uint32_t read_back(
    struct msgpack_reader *in, const struct meta_app *app, uint32_t at, int *error)
{
	struct msgpack_value value;
	if (*error || msgpack_next(in, &value)) {
		*error = ERR_CORRUPT;
		return 0;
	}
	if (value.type == MSGPACK_INTEGER && value.integer >= 0 && value.integer <= UINT32_MAX)
		return (uint32_t)value.integer;
	if (value.type != MSGPACK_STRING)
		*error = ERR_CORRUPT;
	for (uint32_t back = 1; !*error && value.bytes.bytes > 0 && back <= at; back++)
		if (slice_equal(slice_from_text(app->history[at - back].hash), value.bytes))
			return back;
	return 0;
}

static void read_history(struct msgpack_reader *in, struct meta_app *app, int *error)
{
	uint32_t count = read_array(in, 0, META_HISTORY_MAX, error);
	for (uint32_t i = 0; i < count && !*error; i++) {
		struct meta_history *entry = &app->history[i];
		read_array(in, 4, 4, error);
		read_text(in, entry->hash, HOST_HASH_CHARACTERS, error);
		entry->at_ms = read_integer(in, error);
		read_text(in, entry->by, META_USER_BYTES_MAX, error);
		entry->back = read_back(in, app, i, error);
	}
	app->history_count = *error ? 0 : count;
}

int meta_app_decode(struct slice name, struct slice record, struct meta_app **ret_app)
{
	struct msgpack_reader in;
	int error = 0;
	if (!name_valid(name) || record.bytes > UINT32_MAX)
		return ERR_CORRUPT;
	struct meta_app *app = meta_app_new(name);
	if (!app)
		return ERR_NOMEM;
	msgpack_reader_init(&in, record, true, 4);
	read_array(&in, 6, UINT32_MAX, &error);
	int64_t format = read_integer(&in, &error);
	if (!error && format != META_RECORD_FORMAT)
		error = ERR_FORMAT;
	read_text(&in, app->hash, HOST_HASH_CHARACTERS, &error);
	int64_t generation = read_integer(&in, &error);
	app->generation = (uint64_t)generation;
	struct slice catalogue = read_bytes(&in, MSGPACK_BINARY, &error);
	if (!error)
		error = buffer_append_slice(&app->catalogue, catalogue);
	read_types(&in, app, &error);
	read_history(&in, app, &error);
	if (!error && generation < 0)
		error = ERR_CORRUPT;
	if (error) {
		meta_app_free(app);
		return error;
	}
	*ret_app = app;
	return 0;
}
