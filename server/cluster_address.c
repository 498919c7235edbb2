/* Where this node leads the directory: whether a node that asks to be let in, or that has other
 * addresses than the directory knows, says one that is another one's. Two nodes with one address
 * are a node that is never reached, since links and clients find the other one there. So it is
 * looked at when the directory carries the request out, and not when it came: of two for one free
 * address the second finds the first. Who lives keeps its address. Who is down for a while has lost
 * it to who has its machine now: a new node in its place needs no operator, and the old one's
 * replicas are made anew after replace_after.
 *
 * Who lives has its address no more when it says another one itself: of two that have exchanged
 * theirs neither would ever have its own otherwise. A node that is refused keeps what the directory
 * has of it, and asks again. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/cluster_control.h"

/* A node that is started again, or whose link broke, is back by then. */
enum { GONE_MS = 5000 };

/* A node that has moved says so twice a second until that is known. */
enum { MOVED_MS = 5000 };

enum { ADDRESS_BYTES = CLUSTER_HOST_BYTES + 64 };

static const char *address(const struct cluster_node *node, uint16_t port, char text[ADDRESS_BYTES])
{
	snprintf(text, ADDRESS_BYTES, "node %u (%s, port %u)", node->node, node->host, port);
	return text;
}

/* Down for so long that nobody waits for it, as far as this node can know. */
static bool is_gone(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_core *core = control->core;
	const struct cluster_link *link = cluster_link_find(core, node, 0);
	/* It has only just joined. */
	if (!core->map || !cluster_map_node(core->map, node))
		return false;
	uint64_t since_ns = link ? link->down_since_ns : 0;
	if (since_ns < control->led_since_ns)
		since_ns = control->led_since_ns;
	return io_now_ns(core->io) - since_ns >= GONE_MS * NS_PER_MS;
}

static void note_moved(struct cluster_control *control, const struct cluster_node *as)
{
	/* No more live at a time; of those that were removed nothing is asked. */
	struct cluster_moved *to = &control->moved[0];
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		struct cluster_moved *one = &control->moved[i];
		if (one->as.node == as->node) {
			to = one;
			break;
		}
		if (one->at_ns < to->at_ns)
			to = one;
	}
	*to = (struct cluster_moved){.as = *as, .at_ns = io_now_ns(control->core->io)};
}

/* What a node has said lately: nothing, or that it is elsewhere, where it is in nobody's way, or
 * that the address is its own. */
enum said { SAID_NOTHING, SAID_ELSEWHERE, SAID_HERE };

static enum said what_it_said(
    const struct cluster_control *control, uint16_t number, const struct cluster_node *in_its_place)
{
	uint64_t now_ns = io_now_ns(control->core->io);
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		const struct cluster_moved *one = &control->moved[i];
		if (one->as.node != number)
			continue;
		if (now_ns - one->at_ns >= MOVED_MS * NS_PER_MS)
			break;
		return cluster_node_shares(&one->as, in_its_place) == 0 ? SAID_ELSEWHERE
		                                                        : SAID_HERE;
	}
	return SAID_NOTHING;
}

/* What a request asks for when its turn has come: the owner is as the directory has it then. */
static bool yields(struct meta_request *request, const struct cluster_node *owner)
{
	struct cluster_control *control = request->yields_arg;
	const struct cluster_core *core = control->core;
	enum said said = what_it_said(control, owner->node, &request->node);
	char text[ADDRESS_BYTES];
	address(owner, cluster_node_shares(owner, &request->node), text);
	if (said == SAID_ELSEWHERE)
		return true;
	if (owner->node == core->options->self.node || cluster_core_linked(core, owner->node))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "%s is reached at the address that this one says is its own: give this one "
		    "its own (--advertise, --port, --peer-port, --cluster-port); where it is to "
		    "take that one's place, stop that one first",
		    text);
	else if (cluster_link_is_there(core, owner->node))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "%s has the address that this one says is its own, and somebody answers there "
		    "as it, though links are refused: give this one its own (--advertise, --port, "
		    "--peer-port, --cluster-port), or stop that one first",
		    text);
	else if (said == SAID_HERE)
		cluster_refuse(request, STATUS_UNAVAILABLE,
		    "%s has said a moment ago that the address is its own that this one says is: "
		    "give one of them another (--advertise, --port, --peer-port, --cluster-port)",
		    text);
	else if (!control->leads || !is_gone(control, owner->node))
		cluster_refuse(request, STATUS_UNAVAILABLE,
		    "%s has the address that this one says is its own, and may only just be "
		    "starting: it is waited for; then this one gets it",
		    text);
	else
		return true;
	return false;
}

void cluster_control_judge_address(struct cluster_control *control, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	request->yields = yields;
	request->yields_arg = control;
	for (uint32_t i = 0; map && i < map->node_count; i++) {
		const struct cluster_node *known = &map->nodes[i];
		if (known->incarnation != request->node.incarnation ||
		    cluster_node_same_address(known, &request->node))
			continue;
		request->node.node = known->node;
		note_moved(control, &request->node);
	}
}
