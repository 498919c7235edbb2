#include "tests/cluster_sim/narrow.h"

#include "server/cluster_parts.h"
#include "tests/cluster_sim/world.h"

enum {
	SEEDS_EVERY = 10,
	SEED_OF_THOSE = 5,
	PERCENT = 70,
	BUFFER_BYTES_MIN = 200,
	BUFFER_BYTES_MAX = 2000,
	BYTES_PER_S_MIN = 50 * 1000,
	BYTES_PER_S_MAX = 500 * 1000,
	LATENCY_MS_MAX = 5,
};

static struct world *watched;

void narrow_begin(struct world *world)
{
	watched = world;
	world->figures.worlds_narrow += narrow_is(world);
}

bool narrow_is(const struct world *world)
{
	return world->seed % SEEDS_EVERY == SEED_OF_THOSE;
}

static uint64_t between(struct world *world, uint64_t min, uint64_t max)
{
	return min + random_below(&world->plan_dice, max - min);
}

void narrow_weather(struct world *world, struct sim_faults *faults)
{
	if (!narrow_is(world) || !random_chance(&world->plan_dice, PERCENT, 100))
		return;
	world->figures.networks_narrow++;
	faults->net_buffer_bytes = between(world, BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
	if (faults->net_ns_max == 0)
		faults->net_ns_max = between(world, 1, LATENCY_MS_MAX) * NS_PER_MS;
	faults->net_bytes_per_s = between(world, BYTES_PER_S_MIN, BYTES_PER_S_MAX);
}

static void note_links(struct world *world, struct node *node)
{
	struct node_links_seen *seen = &node->links_seen, now = {.life = node->life};
	for (uint32_t i = 0; i < node->core_count; i++) {
		struct peers_figures figures = cluster_core_figures(node->server.cores[i].cluster);
		now.replaced += figures.replaced;
		now.doubled += figures.duplicates;
	}
	if (seen->life != node->life)
		*seen = (struct node_links_seen){.life = node->life};
	world->figures.links_replaced += now.replaced - seen->replaced;
	world->figures.links_doubled += now.doubled - seen->doubled;
	*seen = now;
}

void narrow_look(struct world *world, struct node *node)
{
	note_links(world, node);
	if (!narrow_is(world))
		return;
	for (uint32_t i = 0; i < node->core_count; i++)
		LIST_FOR_EACH(at, &node->server.cores[i].cluster->links)
		{
			const struct cluster_link *link =
			    CONTAINER_OF(at, struct cluster_link, node_link);
			world->figures.queues_held +=
			    link->up && (peer_queued_bytes(link->peer, PEER_ENTRIES) > 0 ||
			                    peer_queued_bytes(link->peer, PEER_BULK) > 0);
		}
}

/* The linker puts this in the place of the peers' own: see module.am. */
int __real_peer_send(struct peer *peer, enum peer_class class, uint8_t kind,
    const struct iovec *iov, size_t iov_count);
int __wrap_peer_send(struct peer *peer, enum peer_class class, uint8_t kind,
    const struct iovec *iov, size_t iov_count);

int __wrap_peer_send(struct peer *peer, enum peer_class class, uint8_t kind,
    const struct iovec *iov, size_t iov_count)
{
	bool overtakes = false;
	for (unsigned behind = class + 1; behind < PEER_CLASSES; behind++)
		overtakes |= peer_queued_bytes(peer, (enum peer_class)behind) > 0;
	int error = __real_peer_send(peer, class, kind, iov, iov_count);
	watched->figures.overtaken += overtakes && !error;
	return error;
}
