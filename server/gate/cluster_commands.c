/* CLUSTER, as cluster-mode clients ask it. One node: all slots are its own. */
#include <stdio.h>

#include "base/slot.h"
#include "server/gate/gate_parts.h"

void run_cluster_slots(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	const struct gate_config *config = session->gate->config;
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), 1);
	resp_write_array(&writer, 3);
	resp_write_integer(&writer, 0);
	resp_write_integer(&writer, SLOT_COUNT - 1);
	resp_write_array(&writer, 4);
	resp_write_bulk_text(&writer, config->host);
	resp_write_integer(&writer, config->cluster_port);
	resp_write_bulk_text(&writer, config->node);
	resp_write_array(&writer, 0);
	reply_end(session, &writer);
}

void run_cluster_shards(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	const struct gate_config *config = session->gate->config;
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), 1);
	resp_write_map(&writer, 2);
	resp_write_bulk_text(&writer, "slots");
	resp_write_array(&writer, 2);
	resp_write_integer(&writer, 0);
	resp_write_integer(&writer, SLOT_COUNT - 1);
	resp_write_bulk_text(&writer, "nodes");
	resp_write_array(&writer, 1);
	resp_write_map(&writer, 7);
	resp_write_bulk_text(&writer, "id");
	resp_write_bulk_text(&writer, config->node);
	resp_write_bulk_text(&writer, "port");
	resp_write_integer(&writer, config->cluster_port);
	resp_write_bulk_text(&writer, "ip");
	resp_write_bulk_text(&writer, config->host);
	resp_write_bulk_text(&writer, "endpoint");
	resp_write_bulk_text(&writer, config->host);
	resp_write_bulk_text(&writer, "role");
	resp_write_bulk_text(&writer, "master");
	resp_write_bulk_text(&writer, "replication-offset");
	resp_write_integer(&writer, 0);
	resp_write_bulk_text(&writer, "health");
	resp_write_bulk_text(&writer, "online");
	reply_end(session, &writer);
}

static void reply_text(struct session *session, const char *text)
{
	struct resp_writer writer;
	resp_write_verbatim(reply_begin(session, &writer), "txt", slice_from_text(text));
	reply_end(session, &writer);
}

void run_cluster_nodes(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	const struct gate_config *config = session->gate->config;
	char text[256];
	snprintf(text, sizeof(text), "%s %s:%u@%u myself,master - 0 0 1 connected 0-%d\n",
	    config->node, config->host, config->cluster_port, config->peer_port, SLOT_COUNT - 1);
	reply_text(session, text);
}

void run_cluster_info(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct gate *gate = session->gate;
	char text[512];
	snprintf(text, sizeof(text),
	    "cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\n"
	    "cluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n"
	    "cluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\n"
	    "cluster_my_epoch:1\r\ncluster_stats_messages_sent:0\r\n"
	    "cluster_stats_messages_received:0\r\nkalix_cluster_id:%s\r\nkalix_shards:%u\r\n",
	    gate->services.ready(gate->services.arg) ? "ok" : "fail", SLOT_COUNT, SLOT_COUNT,
	    gate->config->cluster, gate->config->shards);
	reply_text(session, text);
}

void run_cluster_myid(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct resp_writer writer;
	resp_write_bulk_text(reply_begin(session, &writer), session->gate->config->node);
	reply_end(session, &writer);
}

void run_cluster_keyslot(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	struct resp_writer writer;
	resp_write_integer(reply_begin(session, &writer), slot_of(args[2]));
	reply_end(session, &writer);
}

void run_cluster_links(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), 0);
	reply_end(session, &writer);
}

void run_readonly(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	session->readonly = true;
	reply_ok(session);
}

void run_readwrite(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	session->readonly = false;
	reply_ok(session);
}

void run_asking(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	reply_ok(session);
}
