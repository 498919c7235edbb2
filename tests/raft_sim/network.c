#include <string.h>

#include "tests/raft_sim/world.h"

static struct packet *new_packet(struct world *world, uint64_t from, uint64_t to, bool late)
{
	struct node *source = node_of(world, from), *target = node_of(world, to);
	world->counters.packets++;
	bool cut = !target || world->cut[node_number(world, source)][node_number(world, target)];
	if (cut || below(world, 1000) < world->loss) {
		world->counters.packets_lost++;
		return NULL;
	}
	for (unsigned i = 0; i < PACKETS; i++) {
		struct packet *packet = &world->packets[i];
		if (packet->used)
			continue;
		packet->used = true;
		packet->snapshot = false;
		packet->number = world->counters.packets;
		/* Mostly in order, seldom late. */
		late = late || chance(world, 1, 20);
		world->counters.packets_late += late;
		packet->at_ms = world->now_ms + below(world, late ? 200 : 6);
		return packet;
	}
	world->counters.packets_lost++;
	return NULL;
}

static void fill(struct world *world, struct packet *packet, const struct node *from,
    const struct raft_message *message)
{
	packet->message = *message;
	if (message->count > PACKET_ENTRIES)
		world_fail(world, "a message of %u entries", message->count);
	for (uint32_t i = 0; i < message->count; i++) {
		const struct entry *entry = &from->now.entries[message->at.index + 1 + i];
		struct writer writer = writer_of(packet->bytes[i], sizeof(packet->bytes[i]));
		if (entry->kind == RAFT_MEMBERSHIP)
			raft_membership_write(&writer, entry->membership);
		else if (entry->kind == RAFT_DATA)
			writer_bytes(&writer, &entry->value, sizeof(entry->value));
		if (writer.failed)
			world_fail(world, "a membership is too large for the simulator");
		packet->entries[i] = (struct raft_entry){
		    .term = entry->term, .kind = entry->kind, .data = writer_view(&writer)};
	}
	packet->message.entries = packet->entries;
}

void network_take(struct world *world, struct node *node)
{
	struct raft_message message;
	for (unsigned i = 0; raft_send(node->raft, node_time(world, node), &message); i++) {
		if (i > 500)
			world_fail(world, "it sends without end, kind %d", (int)message.kind);
		/* Nothing says it again. */
		if (message.kind == RAFT_TIMEOUT_NOW && chance(world, 1, 3)) {
			world->counters.packets_lost++;
			continue;
		}
		/* That somebody slept says nothing any more when it comes late. */
		bool slept = message.kind == RAFT_HEARTBEAT_REPLY && message.asleep;
		bool again = chance(world, 1, slept ? 2 : 50);
		world->counters.packets_doubled += again;
		for (unsigned copy = 0; copy < 1 + (unsigned)again; copy++) {
			bool late = slept && copy > 0;
			struct packet *packet = new_packet(world, message.from, message.to, late);
			if (packet)
				fill(world, packet, node, &message);
		}
	}
	node_act(world, node);
}

void network_send_snapshot(struct world *world, struct node *node, uint64_t to)
{
	struct packet *packet = new_packet(world, node->id, to, false);
	world->counters.snapshots_sent++;
	struct raft_status status = raft_status(node->raft);
	if (!packet) {
		/* Told later: not inside what asked for it. */
		for (unsigned i = 0; i < PACKETS && !packet; i++)
			if (!world->packets[i].used)
				packet = &world->packets[i];
		if (!packet)
			world_fail(world, "no packet is free");
		packet->used = packet->snapshot = true;
		packet->at_ms = world->now_ms + 50;
		packet->message = (struct raft_message){.from = node->id, .to = 0, .round = to};
		return;
	}
	packet->snapshot = true;
	packet->at_ms = world->now_ms + below(world, 100);
	uint64_t index = node->applied;
	packet->message = (struct raft_message){.from = node->id,
	    .to = to,
	    .term = status.term,
	    .at = {.index = index,
	        .term = index == node->now.base.index ? node->now.base.term
	                                              : node->now.entries[index].term}};
	packet->membership = node->applied_membership;
}

static void tell_sender(struct world *world, const struct packet *packet, uint64_t to, bool done)
{
	struct node *sender = node_of(world, packet->message.from);
	if (sender && sender->up)
		node_step(world, sender,
		    (struct raft_event){.kind = RAFT_SNAPSHOT_SENT,
		        .replica = to,
		        .index = done ? packet->message.at.index : 0});
}

static void deliver_snapshot(struct world *world, struct packet *packet)
{
	uint64_t to = packet->message.to ? packet->message.to : packet->message.round;
	struct node *node = packet->message.to ? node_of(world, to) : NULL;
	if (!node || !node->up) {
		world->counters.snapshots_failed++;
		tell_sender(world, packet, to, false);
		return;
	}
	int error = raft_install(node->raft, node_time(world, node), packet->message.from,
	    packet->message.term, packet->message.at);
	node_act(world, node);
	if (error == ERR_EXISTS)
		world->counters.snapshots_not_needed++;
	if (error == 0) {
		node->installing = true;
		node->install_at_ms = world->now_ms + below(world, 200);
		node->install = packet->message.at;
		node->install_membership = packet->membership;
	}
	tell_sender(world, packet, to, error != ERR_AGAIN);
}

static void note_order(struct world *world, const struct packet *packet, const struct node *to)
{
	struct node *from = node_of(world, packet->message.from);
	if (!from)
		return;
	uint64_t *newest = &world->newest[node_number(world, from)][node_number(world, to)];
	world->counters.packets_overtaken += packet->number < *newest;
	if (packet->number > *newest)
		*newest = packet->number;
}

void network_deliver(struct world *world)
{
	for (unsigned i = 0; i < PACKETS; i++) {
		struct packet *packet = &world->packets[i];
		if (!packet->used || packet->at_ms > world->now_ms)
			continue;
		struct node *node = node_of(world, packet->message.to);
		if (node && node->up && node->paused_until_ms > world->now_ms) {
			/* It goes on before it hears of anything. */
			packet->at_ms = node->paused_until_ms + below(world, 40);
			continue;
		}
		if (packet->snapshot)
			deliver_snapshot(world, packet);
		else if (node && node->up) {
			note_order(world, packet, node);
			node_step(world, node,
			    (struct raft_event){
			        .kind = RAFT_RECEIVED, .message = &packet->message});
		}
		packet->used = false;
	}
}
