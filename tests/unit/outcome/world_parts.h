/* What the parts of the world know of one another: world.c has the nodes, network.c what is between
 * them. */
#ifndef KX_TESTS_UNIT_OUTCOME_WORLD_PARTS_H
#define KX_TESTS_UNIT_OUTCOME_WORLD_PARTS_H

#include "tests/unit/outcome/world.h"

/* REPLICA_FIRST: replica 1 of a shard would be one that begins alone. */
enum { SHARD = 1, REPLICA_FIRST = 2 };

struct iovec;
struct raft_message;

static inline unsigned index_of(const struct node *node)
{
	return (unsigned)(node - world.nodes);
}

static inline uint16_t number_of(const struct node *node)
{
	return (uint16_t)(index_of(node) + REPLICA_FIRST);
}

static inline bool is_up(const struct node *node)
{
	return node->shards != NULL;
}

/* As those who send want them; the node is `arg`. */
void network_send_raft(void *arg, uint32_t shard, const struct raft_message *message);
int network_send_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count);
int network_send_call(
    void *arg, uint16_t node, uint16_t core, uint8_t kind, const struct iovec *iov, size_t count);
/* Before the first boot. From now on who sleeps hears of who is not reached. */
void network_begin(void);
void network_end(void); /* what is under way is lost */

#endif
