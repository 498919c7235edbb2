#include <stdlib.h>
#include <string.h>

#include "tests/raft_sim/world.h"

enum { REPLICAS_MAX = 16 };

struct node *node_of(struct world *world, uint64_t id)
{
	for (unsigned i = 0; i < NODES; i++)
		if (id != 0 && world->nodes[i].id == id)
			return &world->nodes[i];
	return NULL;
}

unsigned node_number(const struct world *world, const struct node *node)
{
	return (unsigned)(node - world->nodes);
}

uint64_t node_time(const struct world *world, const struct node *node)
{
	return world->now_ms * (uint64_t)(1000 + node->clock_permille) / 1000;
}

static uint64_t term_of(void *arg, uint64_t index)
{
	const struct node *node = arg;
	return node->now.entries[index].term;
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	(void)arg;
	(void)first;
	uint32_t count =
	    bytes_max / 10 < PACKET_ENTRIES ? (uint32_t)(bytes_max / 10) : PACKET_ENTRIES;
	if (count > count_max)
		count = count_max;
	*ret_bytes = 10 * count;
	return count;
}

void node_start(struct world *world, struct node *node)
{
	struct raft_options options = {
	    .self = node->id,
	    .replicas_max = REPLICAS_MAX,
	    .seed = random_u64(&world->random),
	    .log = {.term = term_of, .fit = fit, .arg = node},
	    .election_ms = ELECTION_MS,
	    .heartbeat_ms = HEARTBEAT_MS,
	    .sleep_ms = !world->sleeps       ? 0
	                : world->sleeps_soon ? SLEEP_SOON_MS
	                                     : SLEEP_MS,
	    .messages_in_flight_max = 4,
	    .bytes_in_flight_max = 150,
	    .message_bytes_max = world->hostile ? 10 : 60,
	    .uncommitted_bytes_max = 300,
	    .leases = world->leases,
	    .gather_bytes = world->gathers ? 40 : 0,
	    .gather_ms = world->gathers ? 20 : 0,
	};
	memcpy(&node->now, &node->disk, sizeof(node->now));
	struct raft_start start = {
	    .term = node->now.term,
	    .vote = node->now.vote,
	    .commit = node->now.base.index,
	    .base = node->now.base,
	    .last = node->now.last,
	    .membership = &node->now.base_membership,
	    .now_ms = node_time(world, node),
	};
	node->raft = raft_init(node->raft, 2 * REPLICAS_MAX, &options, &start);
	node->applied = node->now.base.index;
	node->applied_membership = node->now.base_membership;
	for (uint64_t i = node->now.base.index + 1; i <= node->now.last.index; i++)
		if (node->now.entries[i].kind == RAFT_MEMBERSHIP)
			raft_restore(node->raft, i, node->now.entries[i].membership);
	node->up = true;
	node->epoch = 0;
	node->role = RAFT_FOLLOWER;
	node->reads_count = node->questions_count = 0;
	node->installing = node->asleep = false;
	node->paused_until_ms = 0;
}

void node_create(struct world *world, struct node *node, const struct raft_membership *membership)
{
	struct raft *raft = node->raft ? node->raft : malloc(raft_bytes(2 * REPLICAS_MAX));
	memset(node, 0, sizeof(*node));
	node->raft = raft;
	node->id = world->id_next++;
	node->disk_ms = 10;
	if (world->uneven_clocks)
		node->clock_permille =
		    (int64_t)below(world, 2 * CLOCK_PERMILLE_MAX + 1) - CLOCK_PERMILLE_MAX;
	node->disk.base_membership = *membership;
	node_start(world, node);
}

/* ---- The disk ---- */

static void write_image(struct image *image, const struct write *write)
{
	if (write->hard) {
		image->term = write->term;
		image->vote = write->vote;
		return;
	}
	image->entries[write->index] = write->entry;
	image->last = (struct raft_position){.term = write->entry.term, .index = write->index};
}

static struct write *first_write(struct node *node)
{
	return &node->writes[node->writes_first];
}

static struct write take_write(struct node *node)
{
	struct write write = *first_write(node);
	node->writes_first = (node->writes_first + 1) % WRITES;
	node->writes_count--;
	write_image(&node->disk, &write);
	return write;
}

static void add_write(struct world *world, struct node *node, struct write write)
{
	if (node->writes_count == WRITES)
		world_fail(world, "more writes than the simulator holds");
	write.at_ms = world->now_ms + below(world, node->disk_ms + 1);
	if (node->writes_count > 0) {
		uint32_t last = (node->writes_first + node->writes_count - 1) % WRITES;
		if (write.at_ms < node->writes[last].at_ms)
			write.at_ms = node->writes[last].at_ms;
	}
	node->writes[(node->writes_first + node->writes_count++) % WRITES] = write;
	write_image(&node->now, &write);
}

void node_flush(struct world *world, struct node *node)
{
	bool entries = false, hard = false;
	struct raft_event stored = {.kind = RAFT_STORED}, voted = {.kind = RAFT_HARD_STORED};
	while (node->writes_count > 0 && first_write(node)->at_ms <= world->now_ms) {
		struct write write = take_write(node);
		if (write.hard) {
			hard = true;
			voted.term = write.term;
			voted.vote = write.vote;
		} else {
			/* Those of an older epoch are told by themselves. */
			if (entries && stored.epoch != write.epoch)
				node_step(world, node, stored);
			entries = true;
			stored.index = write.index;
			stored.epoch = write.epoch;
		}
	}
	if (hard && node->up)
		node_step(world, node, voted);
	if (entries && node->up)
		node_step(world, node, stored);
}

void node_crash(struct world *world, struct node *node)
{
	uint64_t kept = below(world, node->writes_count + 1);
	while (kept-- > 0)
		take_write(node);
	world->counters.crashes++;
	world->counters.writes_lost += node->writes_count;
	node->writes_count = node->writes_first = 0;
	node->up = false;
	node->installing = false;
}

/* ---- What the core asks for ---- */

static struct entry entry_of(struct world *world, const struct raft_entry *raw)
{
	struct entry entry = {.term = raw->term, .kind = raw->kind};
	if (raw->kind == RAFT_MEMBERSHIP) {
		entry.membership = &world->memberships[world->memberships_count++];
		if (raft_membership_read(raw->data, entry.membership))
			world_fail(world, "a membership cannot be read");
	} else if (raw->kind == RAFT_DATA) {
		memcpy(&entry.value, raw->data.data, sizeof(entry.value));
	}
	return entry;
}

static void append(struct world *world, struct node *node, const struct raft_output *output)
{
	node->epoch = output->epoch;
	if (output->at.index + output->count >= ENTRIES)
		world_fail(world, "more entries than the simulator holds");
	if (output->at.index <= node->now.last.index) {
		world->counters.entries_replaced++;
		for (uint64_t i = output->at.index; i <= node->now.last.index; i++)
			if (node->now.entries[i].kind == RAFT_MEMBERSHIP)
				world->counters.memberships_rolled_back++;
	}
	for (uint32_t i = 0; i < output->count; i++)
		add_write(world, node,
		    (struct write){.index = output->at.index + i,
		        .epoch = output->epoch,
		        .entry = entry_of(world, &output->entries[i])});
}

static void apply(struct world *world, struct node *node)
{
	struct raft_status status = raft_status(node->raft);
	uint64_t to = status.commit < status.durable ? status.commit : status.durable;
	while (node->applied < to) {
		uint64_t index = ++node->applied;
		oracle_applied(world, node, index);
		const struct entry *entry = &node->now.entries[index];
		if (entry->kind == RAFT_MEMBERSHIP)
			node->applied_membership = *entry->membership;
		if (entry->kind == RAFT_DATA && status.role == RAFT_LEADER) {
			struct raft_event event = {.kind = RAFT_APPLIED,
			    .now_ms = node_time(world, node),
			    .index = index,
			    .bytes = 10};
			raft_step(node->raft, &event);
		}
	}
}

static void confirmed(struct world *world, struct node *node, uint64_t round)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < node->reads_count; i++) {
		struct read read = node->reads[i];
		if (read.round <= round) {
			world->counters.rounds_confirmed++;
			oracle_read(world, node, read.seen, read.commit);
		} else {
			node->reads[kept++] = read;
		}
	}
	node->reads_count = kept;
}

/* An answer is good for all that was asked before that question, too. */
static void readable(struct world *world, struct node *node, const struct raft_output *output)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < node->questions_count; i++) {
		struct read read = node->questions[i];
		if (read.round > output->index) {
			node->questions[kept++] = read;
			continue;
		}
		world->counters.questions_answered++;
		oracle_read(world, node, read.seen, output->at.index);
	}
	node->questions_count = kept;
	if (output->asked_ms > node_time(world, node))
		world_fail(world, "a question from the future");
}

void node_ask(struct world *world, struct node *node)
{
	uint64_t question;
	if (node->questions_count == READS ||
	    raft_ask(node->raft, node_time(world, node), &question) != 0)
		return;
	node->questions[node->questions_count++] =
	    (struct read){.round = question, .seen = world->committed};
	world->counters.questions++;
	world->counters.questions_in_sleep += node->asleep;
	struct raft_membership members;
	raft_get_membership(node->raft, &members);
	world->counters.questions_of_learners +=
	    (raft_membership_roles(&members, node->id) & RAFT_LEARNER) != 0;
	node_act(world, node);
}

void node_act(struct world *world, struct node *node)
{
	struct raft_output output;
	while (raft_next(node->raft, &output)) {
		switch (output.kind) {
		case RAFT_HARD:
			add_write(world, node,
			    (struct write){.hard = true, .term = output.term, .vote = output.vote});
			break;
		case RAFT_APPEND:
			append(world, node, &output);
			break;
		case RAFT_COMMIT:
			oracle_committed(world, node, output.at.index);
			break;
		case RAFT_ROLE:
			if (output.role != RAFT_LEADER)
				node->reads_count = 0;
			node->questions_count = 0;
			oracle_role(world, node, output.role, output.term);
			break;
		case RAFT_CONFIRMED:
			confirmed(world, node, output.index);
			break;
		case RAFT_READABLE:
			readable(world, node, &output);
			break;
		case RAFT_SEND_SNAPSHOT:
			network_send_snapshot(world, node, output.replica);
			break;
		}
	}
	apply(world, node);
	struct raft_status status = raft_status(node->raft);
	if (status.asleep != node->asleep) {
		node->asleep = status.asleep;
		*(status.asleep ? &world->counters.sleeps : &world->counters.wakes) += 1;
		if (status.asleep)
			oracle_asleep(world, node);
	}
}

void node_step(struct world *world, struct node *node, struct raft_event event)
{
	event.now_ms = node_time(world, node);
	raft_step(node->raft, &event);
	node_act(world, node);
}

bool node_propose(struct world *world, struct node *node)
{
	if (node->now.last.index + 200 >= ENTRIES || node->writes_count + 40 >= WRITES)
		return false;
	uint32_t count = 1 + (uint32_t)below(world, 5);
	struct raft_position first;
	int error = raft_propose(node->raft, node_time(world, node), count, 10 * count, &first);
	if (error) {
		world->counters.proposals_refused += error == ERR_FULL;
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct entry entry = {
		    .term = first.term, .kind = RAFT_DATA, .value = world->value_next++};
		add_write(world, node,
		    (struct write){.index = first.index + i, .epoch = node->epoch, .entry = entry});
	}
	node_act(world, node);
	return true;
}

void node_compact(struct world *world, struct node *node)
{
	if (node->applied <= node->now.base.index || node->installing)
		return;
	uint64_t index = node->applied;
	struct raft_position at = {.term = node->now.entries[index].term, .index = index};
	/* The checkpoint is durable by itself, and its log begins behind it. */
	node->now.base = node->disk.base = at;
	node->now.base_membership = node->disk.base_membership = node->applied_membership;
	world->counters.compactions++;
	node_step(world, node, (struct raft_event){.kind = RAFT_COMPACTED, .at = at});
}
