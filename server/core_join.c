/* A node that is to join a cluster asks the nodes it was told of until one lets it in. On core 0,
 * before anything is served. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
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

/*   PAUSES -> ASKS -> PAUSES ...      (each address of --join in turn; a pause behind the last one)
 *              |
 *              +-> STOPS -> over      (let in, refused, or the server stops) */
enum join_stage { JOIN_PAUSES, JOIN_ASKS, JOIN_STOPS };

struct join {
	struct core *core;
	struct peers *peers;
	enum join_stage stage;
	uint8_t question[CLUSTER_HELLO_BYTES_MAX];
	size_t question_bytes;
	char *all;         /* who may be asked: addresses, commas between */
	const char *next;  /* the rest of them, "": all were asked */
	struct slice peer; /* who is asked */
	struct io_timer timer;
	uint64_t told_ns; /* when it was said last why it has not joined */
	bool answered, rung;
	bool let_in;
	int error;
	struct cluster_welcome welcome;
};

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct join, timer)->rung = true;
}

static bool is_stopping(const struct join *join)
{
	return atomic_load(&join->core->server->stage) != STAGE_SERVING;
}

static void wait_at_most(struct join *join, uint64_t ms)
{
	struct io *io = join->core->io;
	join->rung = false;
	join->timer.fired = rang;
	io_timer_set(io, &join->timer, io_now_ns(io) + ms * NS_PER_MS);
}

static void done(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	struct join *join = arg;
	(void)them;
	/* A late one: another was asked since, or nobody is. */
	if (join->stage != JOIN_ASKS)
		return;
	join->answered = true;
	join->error = error ? error : cluster_welcome_read(answer, &join->welcome);
}

/* One of --join. */
static int ask(struct join *join)
{
	char host[CONFIG_TEXT_BYTES];
	struct cluster_address address;
	uint16_t port;
	if (!config_peer_split(join->peer, host, sizeof(host), &port))
		return ERR_INVALID;
	int error = cluster_resolve(host, port, &address);
	if (error)
		return error;
	return peers_introduce(join->peers, (const struct sockaddr *)&address.address,
	    address.bytes, slice_of(join->question, join->question_bytes), done, join);
}

static const char *advice(const struct join *join, int error)
{
	if (join->core->server->mend.stage == MEND_ASKS && error != ERR_PERMISSION)
		return "the directory is damaged here, and is needed from another node: start "
		       "those that there are, or see --join";
	if (error == ERR_PERMISSION)
		return "the cluster secrets differ, or only one side has one; without one both "
		       "have to be on one machine: see cluster_secret_file";
	if (error == ERR_EXISTS)
		return "it is this node itself";
	return "see --join: the peer port of a node that serves";
}

/* Not every time: it asks several times a second. */
static bool says_now(struct join *join)
{
	uint64_t now_ns = io_now_ns(join->core->io);
	if (join->told_ns != 0 && now_ns - join->told_ns < SAYS_MS * NS_PER_MS)
		return false;
	join->told_ns = now_ns;
	return true;
}

/* True: it is over, one way or the other. */
static bool take(struct join *join, int error)
{
	struct server *server = join->core->server;
	/* What was asked may have been done, though no answer came. */
	if (error && error != ERR_PERMISSION)
		server->mend.may_have = true;
	if (error && !says_now(join))
		return false;
	if (error) {
		LOG_LINE(LEVEL_WARNING, "not_joined_yet", FIELD_SLICE("peer", join->peer),
		    FIELD_ERROR("error", error), FIELD_TEXT("advice", advice(join, error)));
		return false;
	}
	const struct cluster_welcome *welcome = &join->welcome;
	bool mends = server->mend.stage == MEND_ASKS;
	/* The numbers of a node's replicas rise: an older one is what somebody believes who is
	 * behind. */
	bool is_old = mends && welcome->kind == CLUSTER_WELCOME_MEMBER &&
	              welcome->directory_replica <= server->mend.damaged;
	if (welcome->kind == CLUSTER_WELCOME_LATER || is_old) {
		server->mend.may_have = true;
		if (mends && says_now(join))
			LOG_LINE(LEVEL_WARNING, "directory_not_given_yet",
			    FIELD_SLICE("peer", join->peer),
			    FIELD_TEXT("advice",
			        "the other replicas of the directory have to be a majority without "
			        "that of this node: start the other nodes"));
		return false;
	}
	if (welcome->kind == CLUSTER_WELCOME_REFUSED) {
		if (mends && core_mend_refused(server) != 0)
			LOG_LINE(LEVEL_WARNING, "mending_not_taken_back");
		server_fail(server,
		    mends ? "the directory (shard 0) is damaged here, and the cluster does not "
		            "give this node another replica of it: %s"
		          : "the cluster does not let this node in: %s",
		    welcome->why);
		return true;
	}
	server->member = (struct data_member){.node = welcome->node,
	    .directory_replica = welcome->directory_replica,
	    .shards = welcome->shard_count};
	memcpy(server->member.cluster, welcome->id, sizeof(server->member.cluster));
	error = data_member_write(server->fs, &server->member);
	if (error) {
		server_fail(server, "%s: the file 'member' cannot be written: %s; %s",
		    server->config->data, error_text(error), error_advice(error));
		/* It is none before that is on its disk. */
		server->member.node = 0;
		return true;
	}
	join->let_in = true;
	if (!mends)
		LOG_LINE(LEVEL_INFO, "joined", FIELD_SLICE("peer", join->peer),
		    FIELD_U64("node", welcome->node), FIELD_U64("shards", welcome->shard_count));
	return true;
}

/* ---- Its stages ---- */

static void stop(struct join *join)
{
	io_timer_cancel(join->core->io, &join->timer);
	peers_stop(join->peers);
	join->stage = JOIN_STOPS;
}

/* The next one, or, when all were asked, a pause. */
static void go_on(struct join *join)
{
	size_t bytes = strcspn(join->next, ",");
	join->answered = false;
	if (bytes == 0) {
		join->next = join->all;
		join->stage = JOIN_PAUSES;
		wait_at_most(join, PAUSE_MS);
		return;
	}
	join->peer = slice_of(join->next, bytes);
	join->next += bytes + (join->next[bytes] == ',');
	join->stage = JOIN_ASKS;
	wait_at_most(join, ANSWER_MS);
	int error = ask(join);
	if (!error)
		return;
	join->answered = true;
	join->error = error;
}

bool core_has_peers(const struct server *server)
{
	return server->peers.count > 0 || server->config->join[0];
}

/* Those of --join, and, where this node is one of the cluster already, those that it knew. */
static char *list_peers(const struct server *server)
{
	enum { PEER_BYTES_MAX = DATA_PEERS_HOST_BYTES + 10 };
	bool mends = server->mend.stage == MEND_ASKS;
	size_t bytes = sizeof(server->config->join) + DATA_PEERS_MAX * PEER_BYTES_MAX, used = 0;
	char *all = mem_zalloc(1, bytes);
	for (uint32_t i = 0; all && mends && i < server->peers.count; i++) {
		const struct data_peer *peer = &server->peers.peers[i];
		bool bare = strchr(peer->host, ':') == NULL;
		used += (size_t)snprintf(
		    all + used, bytes - used, bare ? "%s:%u," : "[%s]:%u,", peer->host, peer->port);
	}
	if (all)
		snprintf(all + used, bytes - used, "%s", server->config->join);
	return all;
}

static int begin(struct core *core)
{
	struct server *server = core->server;
	struct cluster_node self;
	struct join *join = mem_zalloc(1, sizeof(*join));
	if (!join)
		return ERR_NOMEM;
	struct writer out = writer_of(join->question, sizeof(join->question));
	*join = (struct join){.core = core, .all = list_peers(server)};
	join->next = join->all;
	int error = join->all ? 0 : ERR_NOMEM;
	/* Others are to be told which one it is, before it is theirs to connect to. */
	if (!error && server->gate_config.peer_port == 0)
		error = server_free_port(server, &server->gate_config.peer_port);
	server_node(server, &self);
	cluster_hello_write(
	    &out, &self, server->mend.stage == MEND_ASKS ? server->mend.damaged : 0);
	ASSERT(!out.failed);
	join->question_bytes = writer_used(&out);
	struct peers_options options = {.self = {.cores = self.cores, .stores = self.stores},
	    .secret = slice_of(server->secret, server->secret_bytes),
	    .secret_previous = slice_of(server->secret_previous, server->secret_previous_bytes),
	    .entropy = server->entropy,
	    .entropy_arg = server->entropy_arg};
	if (!error)
		error = peers_new(core->io, &options, &join->peers);
	if (error) {
		mem_free(join->all);
		mem_free(join);
		return error;
	}
	server->join = join;
	go_on(join);
	return 0;
}

static void look(struct join *join)
{
	if (is_stopping(join))
		stop(join);
	else if (join->stage == JOIN_ASKS && (join->answered || join->rung)) {
		if (take(join, join->answered ? join->error : ERR_TIMEOUT))
			stop(join);
		else
			go_on(join);
	} else if (join->stage == JOIN_PAUSES && join->rung)
		go_on(join);
}

static enum core_step end(struct join *join)
{
	struct server *server = join->core->server;
	bool let_in = join->let_in;
	peers_free(join->peers);
	mem_free(join->all);
	mem_free(join);
	server->join = NULL;
	if (let_in)
		return CORE_DONE;
	server_fail(server,
	    server->mend.stage == MEND_ASKS
	        ? "the directory (shard 0) is damaged here, and no other node has given this one "
	          "another replica of it before it was stopped: see directory_not_given_yet and "
	          "not_joined_yet in the log"
	        : "stopped before a cluster had let this node in");
	return CORE_FAILED;
}

enum core_step core_join(struct core *core)
{
	struct server *server = core->server;
	if (!server->join) {
		int error = begin(core);
		if (error) {
			server_fail(server, "links to other nodes: %s", error_text(error));
			return CORE_FAILED;
		}
	}
	struct join *join = server->join;
	if (join->stage != JOIN_STOPS)
		look(join);
	peers_turn(join->peers);
	if (join->stage == JOIN_STOPS)
		return peers_stopped(join->peers) ? end(join) : CORE_WORKS;
	/* What failed at once is not waited for. */
	return join->answered ? CORE_WORKS : CORE_WAITS;
}
