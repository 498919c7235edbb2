/* Wires between simulated machines: net_sim.h has the picture. */
#include "base/io/sim/net_sim.h"

#include <string.h>

#include "base/assert.h"

enum {
	SEGMENT_BYTES_MAX = 16 * 1024,
	PORT_FREE_MIN = 32768,
	PORT_FREE_MAX = 60999,
};

static const uint32_t LOOPBACK = 127u << 24;
static const uint32_t NODES = 10u << 24 | 1u << 16; /* 10.1.0.1 is the first */

static const uint64_t RETRY_NS_MIN = 200ULL * 1000 * 1000;
static const uint64_t RETRY_NS_MAX = 5000ULL * 1000 * 1000;
static const uint64_t CONNECT_RETRY_NS = 1000ULL * 1000 * 1000;
static const uint64_t CONNECT_PATIENCE_NS = 127ULL * 1000 * 1000 * 1000;
static const uint64_t PATIENCE_NS = 900ULL * 1000 * 1000 * 1000;
static const uint64_t ORPHAN_PATIENCE_NS = 60ULL * 1000 * 1000 * 1000;

/* ---- Addresses ---- */

uint32_t sim_node_address(const struct sim_node *node)
{
	return NODES + node->number + 1;
}

struct sim_node *net_node_at(struct sim_node *node, uint32_t address)
{
	const struct sim *sim = node->sim;
	if ((address & 0xff000000) == LOOPBACK)
		return node;
	uint32_t number = address - NODES - 1;
	return number < sim->node_count ? sim->nodes[number] : NULL;
}

uint16_t net_port_free(struct sim_node *node)
{
	uint32_t count = PORT_FREE_MAX - PORT_FREE_MIN + 1;
	return (uint16_t)(PORT_FREE_MIN + node->ports_taken++ % count);
}

/* ---- Cuts ---- */

void sim_net_cut(struct sim_node *from, struct sim_node *to, bool cut)
{
	struct sim *sim = from->sim;
	struct sim_cut **link = &sim->cuts;
	while (*link != NULL && ((*link)->from != from || (*link)->to != to))
		link = &(*link)->next;
	sim_trace(sim, from, cut ? "net cut" : "net healed", to->number, 0);
	if (cut && *link == NULL) {
		struct sim_cut *added = sim_mem_zalloc(sizeof(*added));
		*added = (struct sim_cut){.next = sim->cuts, .from = from, .to = to};
		sim->cuts = added;
	} else if (!cut && *link != NULL) {
		struct sim_cut *removed = *link;
		*link = removed->next;
		sim_mem_free(removed);
	}
}

static bool is_cut(const struct sim_node *from, const struct sim_node *to)
{
	for (const struct sim_cut *cut = from->sim->cuts; cut != NULL; cut = cut->next)
		if (cut->from == from && cut->to == to)
			return true;
	return false;
}

/* ---- Wires ---- */

void net_segments_push(struct net_segments *segments, struct net_segment *segment)
{
	segment->next = NULL;
	if (segments->first == NULL)
		segments->first = segment;
	else
		segments->last->next = segment;
	segments->last = segment;
}

struct net_segment *net_segments_pop(struct net_segments *segments)
{
	struct net_segment *segment = segments->first;
	if (segment != NULL)
		segments->first = segment->next;
	return segment;
}

static void segments_free(struct net_segments *segments)
{
	for (struct net_segment *segment = net_segments_pop(segments); segment != NULL;
	     segment = net_segments_pop(segments))
		sim_mem_free(segment);
}

static void wire_free(struct net_wire *wire)
{
	*wire->link = wire->next;
	if (wire->next != NULL)
		wire->next->link = wire->link;
	for (int i = 0; i < 2; i++) {
		segments_free(&wire->ends[i].flight);
		segments_free(&wire->ends[i].inbox);
		sim_mem_free(wire->ends[i].shown);
	}
	sim_mem_free(wire);
}

static bool is_gone(const struct net_end *end)
{
	return end->state == END_CLOSED || end->state == END_LOST;
}

static void wire_free_if_done(struct net_wire *wire)
{
	if (wire->events == 0 && is_gone(&wire->ends[0]) && is_gone(&wire->ends[1]))
		wire_free(wire);
}

void sim_net_free(struct sim *sim)
{
	while (sim->wires != NULL)
		wire_free(sim->wires);
	while (sim->cuts != NULL) {
		struct sim_cut *cut = sim->cuts;
		sim->cuts = cut->next;
		sim_mem_free(cut);
	}
}

static uint64_t way_ns(struct sim *sim)
{
	const struct sim_faults *faults = &sim->faults;
	uint64_t spread = faults->net_ns_max - faults->net_ns_min + 1;
	uint64_t latency = faults->net_ns_min + sim_random_below(sim, spread);
	return sim_random_below(sim, 100) == 0 ? latency * 10 : latency;
}

static struct sim_event *wire_event(
    struct net_end *end, uint64_t at_ns, const char *name, void (*happen)(struct sim_event *event))
{
	struct sim *sim = end->node->sim;
	struct sim_event *event = sim_event_add(sim, NULL, at_ns, name, happen);
	event->object = end;
	event->number =
	    (uint64_t)end->node->number << 32 | (uint64_t)end->port << 16 | net_other(end)->port;
	end->wire->events++;
	return event;
}

/* The end whose event it was. The caller ends with wire_free_if_done. */
static struct net_end *event_end(const struct sim_event *event)
{
	struct net_end *end = event->object;
	ASSERT(end->wire->events > 0);
	end->wire->events--;
	return end;
}

/* Whether something that `from` sends now gets to the other machine. */
static bool passes(struct net_end *from)
{
	const struct net_end *to = net_other(from);
	return !from->wire->silent && !is_cut(from->node, to->node) && !to->node->off;
}

static void end_with(struct net_end *end, int error)
{
	if (end->error != 0 || is_gone(end))
		return;
	end->error = error;
	segments_free(&end->flight);
	sim_socket_attend(end);
}

/* ---- A reset ---- */

static void reset_arrives(struct sim_event *event)
{
	struct net_end *end = event_end(event);
	if (passes(net_other(end)) && !is_gone(end) && end->error == 0) {
		end->node->sim->figures.net_resets++;
		end_with(end, ERR_CLOSED);
	}
	wire_free_if_done(end->wire);
}

static void reset(struct net_end *end)
{
	struct sim *sim = end->node->sim;
	wire_event(end, sim->now_ns + way_ns(sim), "net reset", reset_arrives);
}

/* ---- One direction ---- */

static void flight_arrives(struct sim_event *event);

static void flight_at(struct net_end *end, uint64_t at_ns)
{
	struct sim_event *event = wire_event(end, at_ns, "net arrives", flight_arrives);
	event->bytes = ++end->flight_number;
}

/* It did not get through. */
static bool is_impatient(struct net_end *end)
{
	uint64_t patience_ns = end->patience_ns != 0 ? end->patience_ns : PATIENCE_NS;
	if (end->state == END_CLOSED)
		patience_ns = ORPHAN_PATIENCE_NS;
	if (end->node->sim->now_ns - end->unanswered_ns < patience_ns)
		return false;
	end->node->sim->figures.net_timeouts++;
	segments_free(&end->flight);
	end_with(end, ERR_TIMEOUT);
	return true;
}

static uint64_t retry_at(struct net_end *end)
{
	uint64_t now_ns = end->node->sim->now_ns;
	end->retry_ns = end->retry_ns == 0 ? RETRY_NS_MIN : end->retry_ns * 2;
	if (end->retry_ns > RETRY_NS_MAX)
		end->retry_ns = RETRY_NS_MAX;
	return now_ns + end->retry_ns;
}

static void flight_held(struct net_end *end)
{
	if (is_impatient(end))
		return;
	end->node->sim->figures.net_held++;
	flight_at(end, retry_at(end));
}

static void acknowledgement_arrives(struct sim_event *event)
{
	struct net_end *end = event_end(event);
	end->acknowledging = false;
	if (end->error == 0 && end->state != END_LOST) {
		if (passes(net_other(end))) {
			end->acknowledged_bytes = end->arrived_bytes;
			end->unanswered_ns = end->node->sim->now_ns;
			net_pump(end);
		} else if (!is_impatient(end)) {
			end->acknowledging = true;
			wire_event(end, retry_at(end), "net acknowledges", acknowledgement_arrives);
		}
	}
	wire_free_if_done(end->wire);
}

static void acknowledge(struct net_end *end)
{
	struct sim *sim = end->node->sim;
	if (end->acknowledging)
		return;
	end->acknowledging = true;
	wire_event(end, sim->now_ns + way_ns(sim), "net acknowledges", acknowledgement_arrives);
}

/* Faults that the seed draws for each segment. True: it does not arrive now. */
static bool strikes(struct net_end *end)
{
	struct sim *sim = end->node->sim;
	struct net_segment *segment = end->flight.first;
	if (sim_chance(sim, sim->faults.net_reset_ppm)) {
		reset(end);
		reset(net_other(end));
		flight_held(end);
		return true;
	}
	if (sim_chance(sim, sim->faults.net_silent_ppm)) {
		sim->figures.net_silenced++;
		end->wire->silent = true;
		flight_held(end);
		return true;
	}
	if (sim_chance(sim, sim->faults.net_stall_ppm)) {
		sim->figures.net_stalls++;
		flight_at(end, sim->now_ns + sim->faults.net_stall_ns);
		return true;
	}
	if (sim_chance(sim, sim->faults.net_flip_ppm)) {
		sim->figures.net_flips++;
		uint64_t bit = sim_random_below(sim, segment->bytes * 8);
		segment->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	return false;
}

static void flight_lands(struct net_end *end)
{
	struct sim *sim = end->node->sim;
	struct net_end *to = net_other(end);
	struct net_segment *segment = end->flight.first;
	if (segment == NULL) {
		end->fin_arrived = true;
		to->end_seen = true;
		sim_socket_attend(to);
		return;
	}
	if (is_gone(to) || to->error != 0) {
		segments_free(&end->flight);
		reset(end);
		return;
	}
	if (to->inbox_bytes >= sim->faults.net_buffer_bytes) {
		sim->figures.net_windows_closed++;
		flight_held(end);
		return;
	}
	if (strikes(end))
		return;
	net_segments_pop(&end->flight);
	net_segments_push(&to->inbox, segment);
	to->inbox_bytes += segment->bytes;
	end->arrived_bytes += segment->bytes;
	end->retry_ns = 0;
	sim->figures.net_segments++;
	sim_socket_attend(to);
	acknowledge(end);
	if (end->flight.first != NULL || end->fin) {
		uint64_t at_ns = end->newest_ns > sim->now_ns ? end->newest_ns : sim->now_ns;
		flight_at(end, at_ns);
	}
}

static void flight_arrives(struct sim_event *event)
{
	struct net_end *end = event_end(event);
	bool counts = event->bytes == end->flight_number;
	if (counts && end->state != END_LOST && end->error == 0 && !end->fin_arrived) {
		if (passes(end))
			flight_lands(end);
		else
			flight_held(end);
	}
	wire_free_if_done(end->wire);
}

/* One segment more is on its way: the first of an idle direction makes an event. */
static void flight_add(struct net_end *end, struct net_segment *segment)
{
	struct sim *sim = end->node->sim;
	bool idle = end->flight.first == NULL;
	uint64_t from_ns = end->way_free_ns > sim->now_ns ? end->way_free_ns : sim->now_ns;
	if (segment != NULL) {
		uint64_t bytes_per_s = sim->faults.net_bytes_per_s;
		from_ns += segment->bytes * 1000000000ULL / bytes_per_s;
		if (end->acknowledged_bytes == end->sent_bytes)
			end->unanswered_ns = sim->now_ns;
		end->sent_bytes += segment->bytes;
		net_segments_push(&end->flight, segment);
	}
	end->way_free_ns = from_ns;
	uint64_t at_ns = from_ns + way_ns(sim);
	end->newest_ns = at_ns > end->newest_ns ? at_ns : end->newest_ns;
	if (idle)
		flight_at(end, end->newest_ns);
}

void net_pump(struct net_end *end)
{
	struct sim *sim = end->node->sim;
	if (end->socket == NULL || end->state != END_OPEN || end->error != 0 || end->fin)
		return;
	for (;;) {
		uint64_t under_way = end->sent_bytes - end->acknowledged_bytes;
		uint64_t room = sim->faults.net_buffer_bytes;
		if (under_way >= room)
			return;
		room -= under_way;
		uint64_t bytes = 1 + sim_random_below(sim, SEGMENT_BYTES_MAX);
		struct net_segment *segment =
		    sim_socket_take(end->socket, bytes < room ? bytes : room);
		if (segment == NULL)
			return;
		flight_add(end, segment);
	}
}

void net_inbox_taken(struct net_end *end)
{
	struct net_end *from = net_other(end);
	if (from->flight.first != NULL && from->error == 0 && from->state != END_LOST &&
	    passes(from) && from->retry_ns != 0) {
		from->retry_ns = 0;
		flight_at(from, end->node->sim->now_ns + way_ns(end->node->sim));
	}
}

/* ---- Ends ---- */

void net_end_close(struct net_end *end)
{
	struct net_wire *wire = end->wire;
	struct net_end *other = net_other(end);
	bool unread = end->inbox.first != NULL || end->shown != NULL;
	ASSERT(end->state != END_CLOSED && end->state != END_LOST);
	end->state = END_CLOSED;
	end->socket = NULL;
	sim_mem_free(end->shown);
	end->shown = NULL;
	segments_free(&end->inbox);
	end->inbox_bytes = 0;
	if (end->error == 0 && unread) {
		segments_free(&end->flight);
		reset(other);
	} else if (end->error == 0) {
		end->fin = true;
		if (end->sent_bytes == end->acknowledged_bytes)
			end->unanswered_ns = end->node->sim->now_ns;
		flight_add(end, NULL);
	}
	wire_free_if_done(wire);
}

static void end_lost(struct net_end *end)
{
	end->state = END_LOST;
	end->socket = NULL;
	sim_mem_free(end->shown);
	end->shown = NULL;
	segments_free(&end->flight);
	segments_free(&end->inbox);
	end->inbox_bytes = 0;
}

void sim_net_process_ended(struct sim_node *node, enum sim_crash crash)
{
	struct net_wire *next;
	node->listeners = NULL;
	node->off = node->off || crash == SIM_POWER_CUT;
	for (struct net_wire *wire = node->sim->wires; wire != NULL; wire = next) {
		struct net_end *const ends = wire->ends;
		next = wire->next;
		wire->events++; /* so that it stays for both */
		if (ends[0].node == node)
			wire->op = NULL;
		for (int i = 0; i < 2; i++) {
			if (ends[i].node != node || is_gone(&ends[i]))
				continue;
			if (crash == SIM_POWER_CUT || ends[i].state == END_CONNECTING)
				end_lost(&ends[i]);
			else
				net_end_close(&ends[i]);
		}
		wire->events--;
		wire_free_if_done(wire);
	}
}

/* ---- Connecting ---- */

/* The third step: the side that accepts knows that it is heard. */
static void accept_arrives(struct sim_event *event)
{
	struct net_end *end = event_end(event);
	if (end->state == END_WAITING && end->socket == NULL) {
		if (!passes(net_other(end)))
			wire_event(end, retry_at(end), "net accepts", accept_arrives);
		else if (!sim_listener_offer(end->node, end->address, end->wire)) {
			end_lost(end);
			reset(net_other(end));
		}
	}
	wire_free_if_done(end->wire);
}

static void connect_complete(struct net_wire *wire, int result)
{
	struct io_op *op = wire->op;
	wire->op = NULL;
	if (result == 0) {
		wire->ends[0].state = END_OPEN;
		*wire->ret_socket = wire->ends[0].socket;
	}
	sim_op_complete(op, result);
	if (result != 0)
		net_connect_drop(wire);
}

static void connect_arrives(struct sim_event *event)
{
	struct net_end *end = event_end(event);
	struct net_end *to = net_other(end);
	struct net_wire *wire = end->wire;
	struct sim *sim = end->node->sim;
	if (end->state == END_LOST || wire->op == NULL) {
		wire_free_if_done(wire);
		return;
	}
	if (to->node == NULL) {
		connect_complete(wire, ERR_UNREACHABLE);
		return;
	}
	if (!passes(end) || !passes(to)) {
		end->retry_ns = end->retry_ns == 0 ? CONNECT_RETRY_NS : end->retry_ns * 2;
		if (sim->now_ns - wire->begun_ns >= CONNECT_PATIENCE_NS)
			connect_complete(wire, ERR_TIMEOUT);
		else
			wire_event(
			    end, sim->now_ns + end->retry_ns, "net connects", connect_arrives);
		return;
	}
	if (!sim_listener_exists(to->node, to->address, to->port)) {
		sim->figures.net_refused++;
		connect_complete(wire, ERR_REFUSED);
		return;
	}
	end->retry_ns = 0;
	to->state = END_WAITING;
	sim->figures.net_connections++;
	wire_event(to, sim->now_ns + way_ns(sim), "net accepts", accept_arrives);
	connect_complete(wire, 0);
}

struct net_wire *net_connect(struct sim_node *node, struct sim_node *to, uint32_t address,
    uint16_t port, struct io_op *op, struct io_socket *socket, struct io_socket **ret_socket)
{
	struct sim *sim = node->sim;
	struct net_wire *wire = sim_mem_zalloc(sizeof(*wire));
	bool loopback = (address & 0xff000000) == LOOPBACK;
	wire->ends[0] = (struct net_end){.wire = wire,
	    .node = node,
	    .address = loopback ? LOOPBACK + 1 : sim_node_address(node),
	    .port = net_port_free(node),
	    .state = END_CONNECTING,
	    .socket = socket};
	wire->ends[1] = (struct net_end){
	    .wire = wire, .node = to, .address = address, .port = port, .state = END_LOST};
	wire->op = op;
	wire->ret_socket = ret_socket;
	wire->begun_ns = sim->now_ns;
	wire->next = sim->wires;
	wire->link = &sim->wires;
	if (wire->next != NULL)
		wire->next->link = &wire->next;
	sim->wires = wire;
	/* There and back. */
	wire_event(&wire->ends[0], sim->now_ns + way_ns(sim) + way_ns(sim), "net connects",
	    connect_arrives);
	return wire;
}

void net_connect_drop(struct net_wire *wire)
{
	struct io_socket *socket = wire->ends[0].socket;
	ASSERT(wire->ends[0].state == END_CONNECTING);
	wire->op = NULL;
	if (socket != NULL)
		sim_socket_drop(socket);
	end_lost(&wire->ends[0]);
	wire_free_if_done(wire);
}

void sim_net_reset(struct sim_node *a, struct sim_node *b)
{
	for (struct net_wire *wire = a->sim->wires; wire != NULL; wire = wire->next) {
		struct net_end *ends = wire->ends;
		if ((ends[0].node == a && ends[1].node == b) ||
		    (ends[0].node == b && ends[1].node == a)) {
			if (ends[0].state == END_OPEN)
				end_with(&ends[0], ERR_CLOSED);
			if (ends[1].state == END_OPEN)
				end_with(&ends[1], ERR_CLOSED);
		}
	}
}

void sim_net_silence(struct sim_node *a, struct sim_node *b)
{
	for (struct net_wire *wire = a->sim->wires; wire != NULL; wire = wire->next) {
		const struct net_end *ends = wire->ends;
		if ((ends[0].node == a && ends[1].node == b) ||
		    (ends[0].node == b && ends[1].node == a))
			wire->silent = true;
	}
}
