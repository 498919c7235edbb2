/* Calls on one entity keep their order where some of them come back from a server, having surely
 * done nothing (MOVED, UNAVAILABLE), and are to be sent again:
 *
 *   - what waits is in the order in which it was made; none is sent before one of its lane that
 *     still waits;
 *   - while calls of a lane are under way to one server, none of it goes to another one; and none
 *     goes there that was made before one of them: that will come back, too, or is answered;
 *   - when one is answered, those on its entity that were made before and wait to be sent again
 *     end: they would take effect behind it.
 *
 * A lane is all entities of one slot, as calls are sent by slots. Nothing of this is needed before
 * the first call comes back, and until then it costs nothing.
 */
#include "base/mem.h"
#include "client/client.h"

struct lane {
	uint64_t newest; /* sequence of those that are under way, or were while any was */
	uint32_t sent;   /* under way, husks too */
	uint32_t held;   /* the dispatch in which one of it had to wait */
	uint16_t node;   /* where they are */
};

static struct request *request_at(struct list_node *link)
{
	return CONTAINER_OF(link, struct request, link);
}

static struct lane *lane_of(const struct kalix *k, const struct request *request)
{
	return k->lanes && request->lane < SLOT_COUNT ? &k->lanes[request->lane] : NULL;
}

static void enter(struct lane *lane, const struct node *node, const struct request *request)
{
	if (lane->sent == 0 || request->sequence > lane->newest)
		lane->newest = request->sequence;
	lane->sent++;
	lane->node = node->number;
}

void lanes_sent(struct kalix *k, const struct node *node, struct request *request)
{
	struct lane *lane = lane_of(k, request);
	k->refused -= request->refused;
	request->refused = false;
	if (lane)
		enter(lane, node, request);
}

void lanes_left(struct kalix *k, const struct request *request)
{
	struct lane *lane = lane_of(k, request);
	if (lane)
		lane->sent--;
}

/* Those that are in a row now count from the begin on. */
static bool begin(struct kalix *k)
{
	if (k->lanes)
		return true;
	k->lanes = mem_zalloc(SLOT_COUNT, sizeof(*k->lanes));
	for (size_t i = 0; k->lanes && i < k->node_count; i++)
		LIST_FOR_EACH(link, &k->nodes[i]->sent)
		{
			struct lane *lane = lane_of(k, request_at(link));
			if (lane)
				enter(lane, k->nodes[i], request_at(link));
		}
	return k->lanes != NULL;
}

bool lanes_refuse(struct kalix *k, struct request *request)
{
	if (!begin(k))
		return false;
	request->refused = true;
	k->refused++;
	return true;
}

void lanes_begin_dispatch(struct kalix *k)
{
	k->dispatches++;
}

bool lanes_may_go(const struct kalix *k, const struct request *request, const struct node *node)
{
	const struct lane *lane = lane_of(k, request);
	if (!lane)
		return true;
	if (lane->held == k->dispatches)
		return false;
	return lane->sent == 0 || (lane->node == node->number && request->sequence > lane->newest);
}

void lanes_hold(struct kalix *k, const struct request *request)
{
	struct lane *lane = lane_of(k, request);
	if (lane)
		lane->held = k->dispatches;
}

void lanes_overtake(struct kalix *k, uint16_t number, uint64_t entity, uint64_t sequence)
{
	struct list ends;
	struct list_node *link;
	if (k->refused == 0 || number == SLOT_COUNT)
		return;
	/* Taken over first: those who are told may start new requests. */
	list_init(&ends);
	LIST_FOR_EACH_REMOVABLE(at, &k->waiting)
	{
		const struct request *request = request_at(at);
		if (request->sequence > sequence)
			break;
		if (!request->refused || request->lane != number || request->entity != entity)
			continue;
		list_remove(at);
		list_push_back(&ends, at);
	}
	while ((link = list_pop_front(&ends)))
		request_fail(k, request_at(link),
		    request_at(link)->in_doubt ? KALIX_UNKNOWN_OUTCOME : KALIX_UNAVAILABLE,
		    "later calls of this handle were answered; nothing was changed by this one");
}
