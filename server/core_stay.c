/* Who belongs to a cluster stays in it: --join does not let it join again, and may stay in
 * kalix.conf. It adds addresses: a node of this cluster that answers at one where the directory
 * does not know it is looked for there as well, so that who comes back when all others have moved
 * finds them. That is the IP address that has answered, not the name that was given: a name may
 * stand for several nodes in turn. Where it adds none it is ignored, which is said. Where it names
 * a node of another cluster somebody wants something else than what would happen, so the start
 * ends, and says that. On core 0, when the directory can be read, before anything is served.
 *
 * Nodes that this one knew (the file `peers`) are not asked who they are. All others are, at the
 * same time, and not for long: who is not reached keeps nobody from starting. Names are looked up
 * in the pool, since the directory's group runs on this core already; those that hang there are
 * waited for at the end.
 *
 *   asks --all have answered, or the time is over--> stops --> over */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/peer/peer.h"
#include "server/cluster.h"
#include "server/core_join.h"
#include "server/meta/meta.h"
#include "server/server.h"

enum { ASKS_MS = 2000 };

struct stay {
	struct core *core;
	struct peers *peers;
	struct io_timer timer;
	bool rung;
	_Atomic bool stops; /* the pool looks, too */
	uint32_t left;      /* have not answered */
	uint32_t lookups;   /* are in the pool */
	/* The first that is a node of another cluster, and the first that has not told: none where
	 * there is no `peer`. */
	struct stay_other {
		struct slice peer;
		char cluster[SERVER_CLUSTER_TEXT_BYTES];
	} other;
	struct stay_silent {
		struct slice peer;
		int error;
	} silent;
	struct stay_question {
		struct stay *stay;
		struct slice peer;
		struct io_op lookup;
		char host[CONFIG_TEXT_BYTES];
		uint16_t port;
		struct cluster_address address;
	} questions[PEER_INTRODUCTIONS_MAX];
	uint32_t count;
};

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct stay, timer)->rung = true;
}

static void note_silent(struct stay *stay, struct slice peer, int error)
{
	if (stay->silent.peer.bytes == 0)
		stay->silent = (struct stay_silent){.peer = peer, .error = error};
}

static void note_unanswered(struct stay_question *question, int error)
{
	struct stay *stay = question->stay;
	ASSERT(stay->left > 0);
	stay->left--;
	note_silent(stay, question->peer, stay->rung ? ERR_TIMEOUT : error);
}

/* The same, where no name has to be looked up for that. */
static bool is_at(const struct cluster_node *node, const struct stay_question *question)
{
	const struct cluster_address *address = &question->address;
	struct cluster_address known;
	if (node->peer_port == question->port && strcmp(node->host, question->host) == 0)
		return true;
	return cluster_literal(node->host, node->peer_port, &known) == 0 &&
	       known.bytes == address->bytes &&
	       memcmp(&known.address, &address->address, known.bytes) == 0;
}

static bool is_found(
    const struct cluster_found *found, uint16_t node, const char *host, uint16_t port)
{
	for (uint32_t i = 0; i < found->count; i++)
		if (found->nodes[i].node == node && found->nodes[i].port == port &&
		    strcmp(found->nodes[i].host, host) == 0)
			return true;
	return false;
}

/* A node of this cluster: where it is known somewhere else it is looked for here, too. */
static void note_address(const struct stay_question *question, const struct peer_identity *them)
{
	struct server *server = question->stay->core->server;
	struct cluster_found *found = &server->found;
	const struct cluster_map *map = meta_map(server->meta);
	const struct cluster_node *node = map ? cluster_map_node(map, (uint16_t)them->node) : NULL;
	if (!node || node->incarnation != them->incarnation ||
	    node->state == CLUSTER_NODE_REMOVED || node->node == server->member.node ||
	    found->count == PEER_INTRODUCTIONS_MAX || is_at(node, question))
		return;
	struct cluster_found_node *one = &found->nodes[found->count];
	*one = (struct cluster_found_node){
	    .node = node->node, .port = question->port, .known_port = node->peer_port};
	if (!cluster_address_text(&question->address, one->host) ||
	    is_found(found, node->node, one->host, one->port))
		return;
	memcpy(one->known_host, node->host, sizeof(one->known_host));
	found->count++;
	LOG_LINE(LEVEL_INFO, "join_address_added", FIELD_U64("node", node->node),
	    FIELD_SLICE("address", question->peer), FIELD_TEXT("at", one->host),
	    FIELD_TEXT("known_host", node->host), FIELD_U64("known_port", node->peer_port));
}

static void told(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	struct stay_question *question = arg;
	struct stay *stay = question->stay;
	char id[SERVER_CLUSTER_TEXT_BYTES];
	(void)answer;
	if (error) {
		note_unanswered(question, error);
		return;
	}
	ASSERT(stay->left > 0);
	stay->left--;
	server_cluster_text(them->cluster, id);
	if (strcmp(id, meta_cluster(stay->core->server->meta)->id) == 0) {
		note_address(question, them);
		return;
	}
	if (stay->other.peer.bytes > 0)
		return;
	stay->other.peer = question->peer;
	memcpy(stay->other.cluster, id, sizeof(id));
}

/* In the pool. What waited there for a name that hung is not looked up any more. */
static void look_up(struct io_op *op)
{
	struct stay_question *question = CONTAINER_OF(op, struct stay_question, lookup);
	op->result = atomic_load(&question->stay->stops)
	                 ? ERR_CANCELED
	                 : cluster_resolve(question->host, question->port, &question->address);
}

static void looked_up(struct io_op *op)
{
	struct stay_question *question = CONTAINER_OF(op, struct stay_question, lookup);
	struct stay *stay = question->stay;
	const struct cluster_address *address = &question->address;
	ASSERT(stay->lookups > 0);
	stay->lookups--;
	int error = (int)op->result;
	if (!error)
		error = peers_introduce(stay->peers, (const struct sockaddr *)&address->address,
		    address->bytes, slice_of(NULL, 0), told, question);
	if (error)
		note_unanswered(question, error);
}

/* A node of this cluster, as far as anybody knew. */
static bool is_known(const struct server *server, const char *host, uint16_t port)
{
	for (uint32_t i = 0; i < server->peers.count; i++)
		if (server->peers.peers[i].port == port &&
		    strcmp(server->peers.peers[i].host, host) == 0)
			return true;
	return false;
}

static void ask(struct stay *stay, struct slice peer)
{
	char host[CONFIG_TEXT_BYTES];
	uint16_t port;
	if (!config_peer_split(peer, host, sizeof(host), &port)) {
		note_silent(stay, peer, ERR_INVALID);
		return;
	}
	if (is_known(stay->core->server, host, port))
		return;
	if (stay->count == PEER_INTRODUCTIONS_MAX) {
		note_silent(stay, peer, ERR_FULL);
		return;
	}
	struct stay_question *question = &stay->questions[stay->count++];
	*question = (struct stay_question){.stay = stay, .peer = peer, .port = port};
	snprintf(question->host, sizeof(question->host), "%s", host);
	question->lookup.done = looked_up;
	stay->left++;
	stay->lookups++;
	io_offload_bulk(stay->core->io, &question->lookup, look_up);
}

static void ask_all(struct stay *stay)
{
	const char *next = stay->core->server->config->join;
	while (next[0]) {
		size_t bytes = strcspn(next, ",");
		ask(stay, slice_of(next, bytes));
		next += bytes + (next[bytes] == ',');
	}
}

static int begin(struct core *core)
{
	struct stay *stay = mem_zalloc(1, sizeof(*stay));
	if (!stay)
		return ERR_NOMEM;
	stay->core = core;
	stay->timer.fired = rang;
	int error = core_asker_new(core, &stay->peers);
	if (error) {
		mem_free(stay);
		return error;
	}
	core->server->stay = stay;
	ask_all(stay);
	io_timer_set(core->io, &stay->timer, io_now_ns(core->io) + ASKS_MS * NS_PER_MS);
	return 0;
}

static void say_ignored(const struct stay *stay)
{
	const struct server *server = stay->core->server;
	const struct log_field node = FIELD_U64("node", server->member.node),
	                       cluster = FIELD_TEXT("cluster", meta_cluster(server->meta)->id),
	                       advice = FIELD_TEXT("advice",
	                           "--join lets a new data directory join, and adds addresses to "
	                           "one that belongs to a node already: here it has added none");
	if (stay->silent.peer.bytes > 0)
		LOG_LINE(LEVEL_WARNING, "join_ignored", node, cluster, advice,
		    FIELD_SLICE("not_asked", stay->silent.peer),
		    FIELD_ERROR("error", stay->silent.error));
	else
		LOG_LINE(LEVEL_INFO, "join_ignored", node, cluster, advice);
}

static enum core_step end(struct stay *stay)
{
	struct server *server = stay->core->server;
	bool is_elsewhere = stay->other.peer.bytes > 0;
	if (is_elsewhere)
		server_fail(server,
		    "%s: this is node %u of cluster %s already, and --join names %.*s, which is a "
		    "node of another one, %s: a node stays in its cluster. Start it without that "
		    "address; to join the other cluster, take an empty data directory",
		    server->config->data, server->member.node, meta_cluster(server->meta)->id,
		    (int)stay->other.peer.bytes, (const char *)stay->other.peer.data,
		    stay->other.cluster);
	else if (server->found.count == 0)
		say_ignored(stay);
	else
		cluster_core_look_again(stay->core->cluster);
	peers_free(stay->peers);
	mem_free(stay);
	server->stay = NULL;
	server->join_is_over = true;
	return is_elsewhere ? CORE_FAILED : CORE_DONE;
}

enum core_step core_stay(struct core *core)
{
	struct server *server = core->server;
	if (server->join_is_over || !server->config->join[0])
		return CORE_DONE;
	int error = server->stay ? 0 : begin(core);
	if (error) {
		server_fail(server, "links to other nodes: %s", error_text(error));
		return CORE_FAILED;
	}
	struct stay *stay = server->stay;
	ASSERT(stay != NULL);
	if (!stay->stops && (stay->left == 0 || stay->rung)) {
		io_timer_cancel(core->io, &stay->timer);
		peers_stop(stay->peers);
		stay->stops = true;
	}
	peers_turn(stay->peers);
	if (!stay->stops)
		return CORE_WAITS;
	if (!peers_stopped(stay->peers))
		return CORE_WORKS;
	return stay->lookups == 0 ? end(stay) : CORE_WAITS;
}
