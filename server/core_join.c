/* A node that is to join a cluster asks the nodes it was told of until one lets it in. On core 0,
 * before anything is served. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "replication/peer/peer.h"
#include "server/cluster_wire.h"
#include "server/server.h"
#include "storage/data_dir.h"

enum {
	/* Between two questions. */
	PAUSE_MS = 300,
	/* For one answer. */
	ANSWER_MS = 15000,
	/* Between two lines that say why it has not joined yet. */
	SAYS_MS = 5000,
};

struct asking {
	struct core *core;
	struct peers *peers;
	uint8_t question[CLUSTER_HELLO_BYTES_MAX];
	size_t question_bytes;
	struct io_timer timer;
	uint64_t told_ns; /* when it was said last why it has not joined */
	bool answered, rung;
	int error;
	struct cluster_welcome welcome;
};

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct asking, timer)->rung = true;
}

static bool is_stopping(const struct asking *asking)
{
	return atomic_load(&asking->core->server->stage) != STAGE_SERVING;
}

/* Until the answer is there, or so much time has passed. */
static void wait_for(struct asking *asking, const bool *what, uint64_t ms)
{
	struct io *io = asking->core->io;
	asking->rung = false;
	asking->timer.fired = rang;
	io_timer_set(io, &asking->timer, io_now_ns(io) + ms * NS_PER_MS);
	while (!asking->rung && !*what && !is_stopping(asking)) {
		io_poll(io, UINT64_MAX);
		io_run(io);
		peers_turn(asking->peers);
	}
	io_timer_cancel(io, &asking->timer);
}

static void done(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	struct asking *asking = arg;
	(void)them;
	asking->answered = true;
	asking->error = error ? error : cluster_welcome_read(answer, &asking->welcome);
}

/* One of --join. */
static int ask(struct asking *asking, struct slice peer)
{
	char host[CONFIG_TEXT_BYTES];
	struct cluster_address address;
	uint16_t port;
	if (!config_peer_split(peer, host, sizeof(host), &port))
		return ERR_INVALID;
	int error = cluster_resolve(host, port, &address);
	if (error)
		return error;
	asking->answered = false;
	error = peers_introduce(asking->peers, (const struct sockaddr *)&address.address,
	    address.bytes, slice_of(asking->question, asking->question_bytes), done, asking);
	if (error)
		return error;
	peers_turn(asking->peers);
	wait_for(asking, &asking->answered, ANSWER_MS);
	return asking->answered ? asking->error : ERR_TIMEOUT;
}

static const char *advice(int error)
{
	if (error == ERR_PERMISSION)
		return "the cluster secrets differ, or only one side has one; without one both "
		       "have to be on one machine: see cluster_secret_file";
	if (error == ERR_EXISTS)
		return "it is this node itself";
	return "see --join: the peer port of a node that serves";
}

/* Not every time: it asks several times a second. */
static bool says_now(struct asking *asking)
{
	uint64_t now_ns = io_now_ns(asking->core->io);
	if (asking->told_ns != 0 && now_ns - asking->told_ns < SAYS_MS * NS_PER_MS)
		return false;
	asking->told_ns = now_ns;
	return true;
}

/* True: it is over, one way or the other. */
static bool take(struct asking *asking, struct slice peer, int error)
{
	struct server *server = asking->core->server;
	if (error && !says_now(asking))
		return false;
	if (error) {
		LOG_LINE(LEVEL_WARNING, "not_joined_yet", FIELD_SLICE("peer", peer),
		    FIELD_ERROR("error", error), FIELD_TEXT("advice", advice(error)));
		return false;
	}
	if (asking->welcome.kind == CLUSTER_WELCOME_LATER)
		return false;
	if (asking->welcome.kind == CLUSTER_WELCOME_REFUSED) {
		server_fail(
		    server, "the cluster does not let this node in: %s", asking->welcome.why);
		return true;
	}
	const struct cluster_welcome *welcome = &asking->welcome;
	server->member = (struct data_member){.node = welcome->node,
	    .directory_replica = welcome->directory_replica,
	    .shards = welcome->shard_count};
	memcpy(server->member.cluster, welcome->id, sizeof(server->member.cluster));
	error = data_member_write(server->fs, &server->member);
	if (error)
		server_fail(server, "%s: the file 'member' cannot be written: %s; %s",
		    server->config->data, error_text(error), error_advice(error));
	else
		LOG_LINE(LEVEL_INFO, "joined", FIELD_SLICE("peer", peer),
		    FIELD_U64("node", welcome->node), FIELD_U64("shards", welcome->shard_count));
	return true;
}

static bool ask_all(struct asking *asking)
{
	const char *text = asking->core->server->config->join;
	while (text[0] && !is_stopping(asking)) {
		size_t bytes = strcspn(text, ",");
		struct slice peer = slice_of(text, bytes);
		if (take(asking, peer, ask(asking, peer)))
			return true;
		text += bytes + (text[bytes] == ',');
	}
	return false;
}

static int begin(struct asking *asking)
{
	struct server *server = asking->core->server;
	struct cluster_node self;
	struct writer out = writer_of(asking->question, sizeof(asking->question));
	/* Others are to be told which one it is, before it is theirs to connect to. */
	if (server->gate_config.peer_port == 0) {
		int error = server_free_port(server, &server->gate_config.peer_port);
		if (error)
			return error;
	}
	server_node(server, &self);
	cluster_hello_write(&out, &self);
	ASSERT(!out.failed);
	asking->question_bytes = writer_used(&out);
	struct peers_options options = {.self = {.cores = self.cores, .stores = self.stores},
	    .secret = slice_of(server->secret, server->secret_bytes),
	    .entropy = peers_entropy_system};
	return peers_new(asking->core->io, &options, &asking->peers);
}

bool core_join(struct core *core)
{
	struct server *server = core->server;
	struct asking asking = {.core = core};
	int error = begin(&asking);
	if (error) {
		server_fail(server, "links to other nodes: %s", error_text(error));
		return false;
	}
	bool over = false, never = false;
	while (!over && !is_stopping(&asking)) {
		over = ask_all(&asking);
		if (!over)
			wait_for(&asking, &never, PAUSE_MS);
	}
	peers_stop(asking.peers);
	while (!peers_stopped(asking.peers)) {
		io_poll(core->io, NS_PER_MS);
		io_run(core->io);
		peers_turn(asking.peers);
	}
	peers_free(asking.peers);
	if (server->member.node == 0)
		server_fail(server, "stopped before a cluster had let this node in");
	return server->member.node != 0;
}
