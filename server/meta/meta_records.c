#include "server/meta/meta_records.h"

#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/wire/address.h"
#include "base/wire/msgpack.h"
#include "server/meta/meta_keys.h"

static void write_text(struct msgpack_writer *writer, const char *text)
{
	msgpack_write_string(writer, slice_from_text(text));
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

static uint64_t read_number(struct msgpack_reader *in, int64_t least, int64_t most, int *error)
{
	int64_t number = read_integer(in, error);
	if (!*error && (number < least || number > most))
		*error = ERR_CORRUPT;
	return *error ? 0 : (uint64_t)number;
}

static bool read_boolean(struct msgpack_reader *in, int *error)
{
	struct msgpack_value value;
	if (*error)
		return false;
	if (msgpack_next(in, &value) || value.type != MSGPACK_BOOLEAN) {
		*error = ERR_CORRUPT;
		return false;
	}
	return value.boolean;
}

/* Up to its format, which is ours, or the error says what else. */
static int begin_record(struct msgpack_reader *in, struct slice record, uint32_t least,
    unsigned depth, uint32_t *ret_members)
{
	int error = 0;
	if (record.bytes > UINT32_MAX)
		return ERR_CORRUPT;
	msgpack_reader_init(in, record, true, depth);
	*ret_members = read_array(in, least, UINT32_MAX, &error);
	int64_t format = read_integer(in, &error);
	if (!error && format != META_RECORD_FORMAT)
		error = ERR_FORMAT;
	return error;
}

/* ---- Jobs, at the end of other records ---- */

enum { JOB_MEMBERS = 3 };

static uint32_t job_members(const struct cluster_job *job)
{
	return cluster_job_was(job) ? JOB_MEMBERS : 0;
}

static void write_job(struct msgpack_writer *writer, const struct cluster_job *job)
{
	if (!cluster_job_was(job))
		return;
	msgpack_write_integer(writer, job->began_ms);
	msgpack_write_integer(writer, job->ended_ms);
	msgpack_write_integer(writer, (int64_t)job->all);
}

/* Behind so many members of a record that may have one. */
static void read_job(struct msgpack_reader *in, uint32_t members, uint32_t before,
    struct cluster_job *job, int *error)
{
	if (members <= before)
		return;
	if (members < before + JOB_MEMBERS)
		*error = ERR_CORRUPT;
	job->began_ms = (int64_t)read_number(in, 0, INT64_MAX, error);
	job->ended_ms = (int64_t)read_number(in, 0, INT64_MAX, error);
	job->all = read_number(in, 1, INT64_MAX, error);
}

/* ---- The cluster ---- */

int meta_cluster_encode(const struct meta_cluster *cluster, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	msgpack_write_array(&writer, 6 + job_members(&cluster->rebalance));
	msgpack_write_integer(&writer, META_RECORD_FORMAT);
	write_text(&writer, cluster->id);
	msgpack_write_integer(&writer, cluster->shards);
	msgpack_write_integer(&writer, cluster->created_ms);
	msgpack_write_integer(&writer, cluster->replication_factor);
	msgpack_write_integer(&writer, cluster->next_node);
	write_job(&writer, &cluster->rebalance);
	return msgpack_writer_finish(&writer);
}

int meta_cluster_decode(struct slice record, struct meta_cluster *ret_cluster)
{
	struct msgpack_reader in;
	struct meta_cluster cluster = {.replication_factor = META_FACTOR_DEFAULT, .next_node = 2};
	uint32_t members = 0;
	int error = begin_record(&in, record, 4, 2, &members);
	read_text(&in, cluster.id, sizeof(cluster.id) - 1, &error);
	if (!error && strspn(cluster.id, "0123456789abcdef") != sizeof(cluster.id) - 1)
		error = ERR_CORRUPT;
	cluster.shards = (uint32_t)read_number(&in, 1, SHARDS_MAX, &error);
	cluster.created_ms = read_integer(&in, &error);
	/* One without the other was never written. */
	if (members == 5)
		error = ERR_CORRUPT;
	if (members >= 6) {
		cluster.replication_factor = (uint32_t)read_number(&in, 1, META_FACTOR_MAX, &error);
		cluster.next_node = (uint32_t)read_number(&in, 2, CLUSTER_NODE_MAX + 1, &error);
	}
	read_job(&in, members, 6, &cluster.rebalance, &error);
	if (!error)
		*ret_cluster = cluster;
	return error;
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

static void read_types(struct msgpack_reader *in, struct meta_app *app, int *error)
{
	uint32_t count = read_array(in, 0, META_TYPES_MAX, error);
	for (uint32_t i = 0; i < count && !*error; i++) {
		int64_t incarnation = 0;
		char name[NAME_BYTES_MAX + 1];
		uint32_t members = read_array(in, 2, 3, error);
		read_text(in, name, NAME_BYTES_MAX, error);
		bool active = read_boolean(in, error);
		if (members == 3)
			incarnation = (int64_t)read_number(in, 1, INT64_MAX, error);
		if (!*error)
			*error = meta_app_set_type(
			    app, slice_from_text(name), active, (uint64_t)incarnation);
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
	uint32_t members = 0;
	if (!name_valid(name))
		return ERR_CORRUPT;
	struct meta_app *app = meta_app_new(name);
	if (!app)
		return ERR_NOMEM;
	int error = begin_record(&in, record, 6, 4, &members);
	read_text(&in, app->hash, HOST_HASH_CHARACTERS, &error);
	app->generation = read_number(&in, 0, INT64_MAX, &error);
	struct slice catalogue = read_bytes(&in, MSGPACK_BINARY, &error);
	if (!error)
		error = buffer_append_slice(&app->catalogue, catalogue);
	read_types(&in, app, &error);
	read_history(&in, app, &error);
	if (error) {
		meta_app_free(app);
		return error;
	}
	*ret_app = app;
	return 0;
}

/* ---- Nodes ---- */

/* Both go into answers and log lines as they are. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

const char *meta_node_wrong(const struct cluster_node *node)
{
	if (node->incarnation == 0)
		return "it has no incarnation";
	if (node->cores == 0)
		return "it has no cores";
	if (node->stores == 0 || node->stores > STORES_MAX)
		return "it has no stores, or more than 1000";
	if (!memchr(node->host, 0, sizeof(node->host)) ||
	    !memchr(node->zone, 0, sizeof(node->zone)))
		return "its host or zone is too long";
	if (!node->host[0] || !is_plain(node->host))
		return "its host is empty, or has other characters than those of an address";
	if (!is_plain(node->zone))
		return "its zone has other characters than letters, digits and punctuation";
	return NULL;
}

int meta_node_encode(const struct cluster_node *node, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	msgpack_write_array(&writer, 10 + job_members(&node->drain));
	msgpack_write_integer(&writer, META_RECORD_FORMAT);
	msgpack_write_integer(&writer, node->state);
	msgpack_write_integer(&writer, (int64_t)node->incarnation);
	msgpack_write_integer(&writer, node->cores);
	msgpack_write_integer(&writer, node->stores);
	write_text(&writer, node->host);
	msgpack_write_integer(&writer, node->port);
	msgpack_write_integer(&writer, node->peer_port);
	msgpack_write_integer(&writer, node->cluster_port);
	write_text(&writer, node->zone);
	write_job(&writer, &node->drain);
	return msgpack_writer_finish(&writer);
}

int meta_node_decode(uint16_t number, struct slice record, struct cluster_node *ret_node)
{
	struct msgpack_reader in;
	struct cluster_node node = {.node = number};
	uint32_t members = 0;
	int error = begin_record(&in, record, 10, 2, &members);
	node.state = (enum cluster_node_state)read_number(&in, 0, CLUSTER_NODE_REMOVED, &error);
	node.incarnation = (uint64_t)read_integer(&in, &error);
	node.cores = (uint16_t)read_number(&in, 1, UINT16_MAX, &error);
	node.stores = (uint16_t)read_number(&in, 1, STORES_MAX, &error);
	read_text(&in, node.host, sizeof(node.host) - 1, &error);
	node.port = (uint16_t)read_number(&in, 0, UINT16_MAX, &error);
	node.peer_port = (uint16_t)read_number(&in, 0, UINT16_MAX, &error);
	node.cluster_port = (uint16_t)read_number(&in, 0, UINT16_MAX, &error);
	read_text(&in, node.zone, sizeof(node.zone) - 1, &error);
	read_job(&in, members, 10, &node.drain, &error);
	if (!error && (number == 0 || meta_node_wrong(&node)))
		error = ERR_CORRUPT;
	if (!error)
		*ret_node = node;
	return error;
}

int meta_node_number(struct slice rest, uint16_t *ret_number)
{
	struct reader in = reader_of(rest);
	uint16_t number = reader_u16be(&in);
	if (!reader_finished(&in))
		return ERR_CORRUPT;
	*ret_number = number;
	return 0;
}

/* ---- Shards ---- */

int meta_shard_encode(const struct cluster_shard *shard, struct buffer *out)
{
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	bool recovered = shard->recovery.replica != 0;
	msgpack_write_array(&writer, recovered ? 10 : 4);
	msgpack_write_integer(&writer, META_RECORD_FORMAT);
	msgpack_write_integer(&writer, (int64_t)shard->generation);
	msgpack_write_integer(&writer, (int64_t)shard->replicas_made);
	msgpack_write_array(&writer, shard->count);
	for (uint32_t i = 0; i < shard->count; i++) {
		msgpack_write_array(&writer, 2);
		msgpack_write_integer(&writer, (int64_t)shard->replicas[i].replica);
		msgpack_write_boolean(&writer, shard->replicas[i].voter);
	}
	if (recovered) {
		msgpack_write_integer(&writer, (int64_t)shard->recovery.replica);
		msgpack_write_integer(&writer, (int64_t)shard->recovery.term);
		msgpack_write_integer(&writer, (int64_t)shard->recovery.index);
		msgpack_write_integer(&writer, shard->recovery.at_ms);
		msgpack_write_boolean(&writer, shard->recovery.gives_up);
		msgpack_write_integer(&writer, (int64_t)shard->recovery.committed);
	}
	return msgpack_writer_finish(&writer);
}

/* Numbers rise, come from those that were made, and no node has two. */
static bool is_in_order(const struct cluster_shard *shard)
{
	for (uint32_t i = 0; i < shard->count; i++) {
		uint64_t replica = shard->replicas[i].replica;
		if (cluster_replica_node(replica) == 0 ||
		    replica >> CLUSTER_NODE_BITS >= shard->replicas_made ||
		    (i > 0 && replica <= shard->replicas[i - 1].replica))
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (cluster_replica_node(replica) ==
			    cluster_replica_node(shard->replicas[k].replica))
				return false;
	}
	return true;
}

int meta_shard_decode(struct slice record, struct cluster_shard *ret_shard)
{
	struct msgpack_reader in;
	struct cluster_shard_record read;
	struct cluster_shard *shard = cluster_shard_begin(&read);
	uint32_t members = 0;
	int error = begin_record(&in, record, 4, 4, &members);
	shard->generation = read_number(&in, 1, INT64_MAX, &error);
	shard->replicas_made = read_number(&in, 1, INT64_MAX >> CLUSTER_NODE_BITS, &error);
	shard->count = read_array(&in, 1, ret_shard->room, &error);
	for (uint32_t i = 0; i < shard->count && !error; i++) {
		read_array(&in, 2, 2, &error);
		shard->replicas[i].replica = read_number(&in, 1, INT64_MAX, &error);
		shard->replicas[i].voter = read_boolean(&in, &error);
	}
	if (!error && members > 4 && members < 8)
		error = ERR_CORRUPT;
	if (members >= 8) {
		shard->recovery.replica = read_number(&in, 1, INT64_MAX, &error);
		shard->recovery.term = read_number(&in, 1, INT64_MAX, &error);
		shard->recovery.index = read_number(&in, 0, INT64_MAX, &error);
		shard->recovery.at_ms = read_integer(&in, &error);
		if (members >= 9)
			shard->recovery.gives_up = read_boolean(&in, &error);
		if (members >= 10)
			shard->recovery.committed =
			    read_number(&in, 0, (int64_t)shard->recovery.index, &error);
	}
	if (!error && !is_in_order(shard))
		error = ERR_CORRUPT;
	if (!error)
		cluster_shard_set(ret_shard, shard);
	return error;
}

int meta_shard_number(struct slice rest, uint32_t *ret_number)
{
	struct reader in = reader_of(rest);
	uint32_t number = reader_u32be(&in);
	if (!reader_finished(&in) || number > SHARDS_MAX)
		return ERR_CORRUPT;
	*ret_number = number;
	return 0;
}
