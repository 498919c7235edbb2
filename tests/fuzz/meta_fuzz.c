// sources: base/wire/address.c base/wire/json_writer.c base/wire/msgpack.c base/wire/utf8.c
// sources: base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: server/meta/cluster_job.c server/meta/cluster_map.c
// sources: server/meta/meta_apps.c server/meta/meta_message.c server/meta/meta_records.c
/* A record of the directory (the cluster's, of a node, a shard, an app), or a message of another
 * node's. What is read can be written, and reads the same again; what it says is within its bounds;
 * everything else is refused. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/wire/json.h"
#include "server/meta/meta_message.h"
#include "server/meta/meta_records.h"

static bool is_refusal(int error)
{
	return error == ERR_CORRUPT || error == ERR_FORMAT;
}

static const char *wrong_cluster(struct slice record)
{
	struct meta_cluster cluster, again;
	int error = meta_cluster_decode(record, &cluster);
	if (error)
		return is_refusal(error) ? NULL : "a cluster is good, corrupt or of another format";
	if (cluster.shards == 0 || cluster.shards > SHARDS_MAX)
		return "a cluster has shards";
	if (strspn(cluster.id, "0123456789abcdef") != sizeof(cluster.id) - 1)
		return "a cluster's id is 32 digits";
	struct buffer written;
	buffer_init(&written, 1024);
	const char *wrong = NULL;
	if (meta_cluster_encode(&cluster, &written) ||
	    meta_cluster_decode(buffer_view(&written), &again) || cluster.shards != again.shards ||
	    strcmp(cluster.id, again.id) != 0)
		wrong = "a cluster reads the same again";
	buffer_done(&written);
	return wrong;
}

static const char *wrong_content(const struct meta_app *app)
{
	if (app->history_count > META_HISTORY_MAX || app->type_count > META_TYPES_MAX)
		return "an app has no more than it may";
	for (size_t i = 0; i < app->type_count; i++) {
		struct slice name = slice_from_text(app->types[i].name);
		if (meta_app_type(app, name) != &app->types[i])
			return "an app has a type once";
	}
	const struct meta_history *undo = meta_app_undo(app);
	if (undo && (undo < app->history || undo >= app->history + app->history_count - 1))
		return "going back stays within the history";
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, 1 << 24);
	json_writer_init(&writer, &text);
	meta_app_json(app, &writer);
	int error = json_writer_finish(&writer);
	buffer_done(&text);
	return error ? "an app can be shown" : NULL;
}

static const char *wrong_app(struct slice record)
{
	struct slice name = slice_from_text("shop");
	struct meta_app *app, *again = NULL;
	struct buffer first, second;
	int error = meta_app_decode(name, record, &app);
	if (error)
		return is_refusal(error) ? NULL : "an app is good, corrupt or of another format";
	buffer_init(&first, 1 << 24);
	buffer_init(&second, 1 << 24);
	const char *wrong = wrong_content(app);
	if (!wrong && meta_app_encode(app, &first))
		wrong = "what was read can be written";
	if (!wrong && meta_app_decode(name, buffer_view(&first), &again))
		wrong = "what was written can be read";
	if (!wrong && (meta_app_encode(again, &second) ||
	                  !slice_equal(buffer_view(&first), buffer_view(&second))))
		wrong = "an app is written the same again";
	meta_app_free(app);
	meta_app_free(again);
	buffer_done(&first);
	buffer_done(&second);
	return wrong;
}

static const char *wrong_node(struct slice record)
{
	struct cluster_node node, again;
	int error = meta_node_decode(7, record, &node);
	if (error)
		return is_refusal(error) ? NULL : "a node is good, corrupt or of another format";
	if (meta_node_wrong(&node))
		return "a node that is read can be one";
	struct buffer written;
	buffer_init(&written, META_NODE_BYTES_MAX);
	const char *wrong = NULL;
	if (meta_node_encode(&node, &written) ||
	    meta_node_decode(7, buffer_view(&written), &again) || again.state != node.state ||
	    again.incarnation != node.incarnation || again.port != node.port ||
	    strcmp(again.host, node.host) != 0 || strcmp(again.zone, node.zone) != 0 ||
	    !cluster_job_same(&again.drain, &node.drain))
		wrong = "a node reads the same again";
	buffer_done(&written);
	return wrong;
}

static const char *wrong_shard(struct slice record)
{
	struct cluster_shard_record one, other;
	struct cluster_shard *shard = cluster_shard_begin(&one);
	struct cluster_shard *again = cluster_shard_begin(&other);
	int error = meta_shard_decode(record, shard);
	if (error)
		return is_refusal(error) ? NULL : "a shard is good, corrupt or of another format";
	if (shard->count == 0 || shard->count > CLUSTER_REPLICAS_MAX || shard->generation == 0)
		return "a shard has replicas, and not too many";
	struct buffer written;
	buffer_init(&written, META_SHARD_BYTES_MAX);
	const char *wrong = NULL;
	if (meta_shard_encode(shard, &written) || meta_shard_decode(buffer_view(&written), again) ||
	    again->count != shard->count || again->generation != shard->generation ||
	    again->replicas_made != shard->replicas_made)
		wrong = "a shard reads the same again";
	for (uint32_t i = 0; i < shard->count && !wrong; i++)
		if (again->replicas[i].replica != shard->replicas[i].replica ||
		    again->replicas[i].voter != shard->replicas[i].voter)
			wrong = "so do its replicas";
	buffer_done(&written);
	return wrong;
}

static const char *wrong_message(struct slice bytes)
{
	struct meta_message message;
	uint8_t again[META_MESSAGE_BYTES_MAX];
	struct writer out = writer_of(again, sizeof(again));
	int error = meta_message_read(bytes, &message);
	if (error)
		return error == ERR_CORRUPT ? NULL : "a message is good or corrupt";
	meta_message_write(&out, &message);
	if (out.failed || !slice_equal(writer_view(&out), bytes))
		return "a message has one form";
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	fuzz_must_hold(wrong_cluster(slice_of(data, bytes)));
	fuzz_must_hold(wrong_app(slice_of(data, bytes)));
	fuzz_must_hold(wrong_node(slice_of(data, bytes)));
	fuzz_must_hold(wrong_shard(slice_of(data, bytes)));
	fuzz_must_hold(wrong_message(slice_of(data, bytes)));
	return 0;
}
