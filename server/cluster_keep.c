/* Where the other nodes are is kept beside the data (storage/data_peers.h): a node whose own
 * replica of the directory is damaged asks them for another one. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "server/cluster_control.h"

enum { AGAIN_MS = 10000 };
_Static_assert(DATA_PEERS_HOST_BYTES == CLUSTER_HOST_BYTES, "a host is a host");

bool cluster_control_rests(const struct cluster_control *control)
{
	return !control->keeps && cluster_alone_rests(control);
}

static void list_others(const struct cluster_core *core, struct data_peers *ret_peers)
{
	const struct cluster_map *map = core->map;
	ret_peers->count = 0;
	for (uint32_t i = 0; i < map->node_count && ret_peers->count < DATA_PEERS_MAX; i++) {
		const struct cluster_node *node = &map->nodes[i];
		if (node->node == core->options->self.node || node->state == CLUSTER_NODE_REMOVED)
			continue;
		struct data_peer *peer = &ret_peers->peers[ret_peers->count];
		peer->node = node->node;
		peer->port = node->peer_port;
		memcpy(peer->host, node->host, sizeof(peer->host));
		/* Who founds with any free port is known without one for a moment. */
		if (data_peer_good(peer))
			ret_peers->count++;
	}
}

static void write_out(struct io_op *op)
{
	struct cluster_control *control = CONTAINER_OF(op, struct cluster_control, keep_op);
	const struct cluster_services *services = &control->core->services;
	op->result = services->keep(services->arg, &control->keeping);
}

static void written(struct io_op *op)
{
	struct cluster_control *control = CONTAINER_OF(op, struct cluster_control, keep_op);
	control->keeps = false;
	if (op->result == 0) {
		control->kept = control->keeping;
		return;
	}
	control->keep_again_ns = io_now_ns(control->core->io) + AGAIN_MS * NS_PER_MS;
	LOG_LINE(LEVEL_WARNING, "peers_not_kept", FIELD_ERROR("error", (int)op->result));
}

void cluster_keep_look(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	if (control->keeps || control->ended || !core->services.keep ||
	    !cluster_follows_map(core) || io_now_ns(core->io) < control->keep_again_ns)
		return;
	list_others(core, &control->keeping);
	if (data_peers_same(&control->kept, &control->keeping))
		return;
	control->keeps = true;
	control->keep_op.done = written;
	io_offload(core->io, &control->keep_op, write_out);
}
