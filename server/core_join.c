/* A node that is to join a cluster asks the nodes it was told of until one lets it in. On core 0,
 * before anything is served.
 *
 * It asks all of them, one after the other, before it takes a refusal for the last word: one of the
 * addresses may be that of a node of another cluster, or of another version. Who asks for another
 * replica of the directory (core_mend.c) is told by one that leads what has been decided, or, where
 * nobody leads, by each what it knows. That without the damaged one the others are no majority is
 * no last word: an operator may have them go on all the same, and it is asked on. But what is to be
 * done for that is said only where all say so that were known here, since any of them may know of a
 * voter that the others have not heard of yet. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/peer/peer.h"
#include "server/cluster_wire.h"
#include "server/core_join.h"
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

/*   PAUSES -> ASKS -> ASKS ... -> PAUSES      (a round: each address in turn; then a pause)
 *              |
 *              +-> STOPS -> over      (let in, refused at the end of a round, or the server stops)
 */
enum join_stage { JOIN_PAUSES, JOIN_ASKS, JOIN_STOPS };

struct join {
	struct core *core;
	struct peers *peers;
	enum join_stage stage;
	uint8_t question[CLUSTER_HELLO_BYTES_MAX];
	size_t question_bytes;
	char *all;         /* who may be asked: addresses, commas between */
	uint32_t known;    /* so many of them come first that are of the file `peers` */
	const char *next;  /* the rest of them, "": all were asked */
	struct slice peer; /* who is asked */
	uint32_t asked;    /* in this round */
	/* One that was not waited for any longer is under way all the same. */
	struct join_asked {
		struct join *join;
		bool is_under_way;
	} questions[PEER_INTRODUCTIONS_MAX];
	const struct join_asked *waits_for; /* NULL: for none */
	struct join_refusal {
		struct cluster_welcome welcome; /* LATER: none */
		struct slice peer;
		/* Who said NEEDED, of those that all have to. */
		uint32_t needed;
		bool others_may; /* somebody has said LATER */
	} refusal;               /* of this round, the most telling one */
	struct io_timer timer;
	uint64_t told_ns; /* when it was said last why it has not joined */
	uint64_t kept_ns; /* and that the damaged one is kept, and what to do */
	bool answered, rung;
	bool is_stranger; /* who answered is a node of another cluster */
	bool let_in;
	int error;
	struct cluster_welcome welcome;
};

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct join, timer)->rung = true;
}

static void wait_at_most(struct join *join, uint64_t ms)
{
	struct io *io = join->core->io;
	join->rung = false;
	join->timer.fired = rang;
	io_timer_set(io, &join->timer, io_now_ns(io) + ms * NS_PER_MS);
}

static void take_answer(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	struct join_asked *asked = arg;
	struct join *join = asked->join;
	const struct server *server = join->core->server;
	asked->is_under_way = false;
	/* A late one: another was asked since, or nobody is. */
	if (join->waits_for != asked)
		return;
	join->waits_for = NULL;
	join->answered = true;
	/* The id of a cluster that was founded here stands in the directory alone. */
	join->is_stranger = them && server->mend.stage == MEND_ASKS && !server->founds &&
	                    memcmp(them->cluster, server->member.cluster, PEER_CLUSTER_BYTES) != 0;
	join->error = error ? error : cluster_welcome_read(answer, &join->welcome);
}

static struct join_asked *find_idle(struct join *join)
{
	for (uint32_t i = 0; i < PEER_INTRODUCTIONS_MAX; i++)
		if (!join->questions[i].is_under_way)
			return &join->questions[i];
	return NULL;
}

/* No group runs on this core yet, so that a lookup of a name may take its time. */
static int ask(struct join *join)
{
	struct slice question = slice_of(join->question, join->question_bytes);
	struct join_asked *asked = find_idle(join);
	char host[CONFIG_TEXT_BYTES];
	struct cluster_address address;
	uint16_t port;
	if (!asked)
		return ERR_FULL;
	if (!config_peer_split(join->peer, host, sizeof(host), &port))
		return ERR_INVALID;
	int error = cluster_resolve(host, port, &address);
	if (!error)
		error = peers_introduce(join->peers, (const struct sockaddr *)&address.address,
		    address.bytes, question, take_answer, asked);
	if (error)
		return error;
	*asked = (struct join_asked){.join = join, .is_under_way = true};
	join->waits_for = asked;
	return 0;
}

static const char *advice(const struct join *join, int error)
{
	if (join->is_stranger)
		return "it is a node of another cluster: see --join";
	if (join->core->server->mend.stage == MEND_ASKS && error != ERR_PERMISSION)
		return "the directory is damaged here, and is needed from another node: start "
		       "those that there are, or see --join";
	if (error == ERR_PERMISSION)
		return "the cluster secrets differ, or only one side has one; without one both "
		       "have to be on one machine: see cluster_secret_file";
	if (error == ERR_EXISTS)
		return "it is this node itself";
	if (error == ERR_NOT_FOUND)
		return "the name means nothing here: see --join";
	if (error == ERR_REFUSED)
		return "nobody listens there: start that node, or see --join, which wants its "
		       "peer_port";
	if (error == ERR_UNSUPPORTED)
		return "it speaks no version of the protocol that is spoken here: peer_refused in "
		       "this log has both, and which of the two is older";
	if (error == ERR_PROTOCOL)
		return "what answers there is not the peer port of a Kalix node: see --join, which "
		       "wants peer_port, and not the port of clients";
	if (error == ERR_TIMEOUT)
		return "nothing is said there: the node hangs, or is not reached, or that is not "
		       "its peer port: see --join";
	return "see --join: the peer port of a node that serves";
}

/* Not every time: it asks several times a second. */
static bool is_due(const struct join *join, uint64_t *said_ns)
{
	uint64_t now_ns = io_now_ns(join->core->io);
	if (*said_ns != 0 && now_ns - *said_ns < SAYS_MS * NS_PER_MS)
		return false;
	*said_ns = now_ns;
	return true;
}

static bool says_now(struct join *join)
{
	return is_due(join, &join->told_ns);
}

/* No answer that counts. */
static void note_error(struct join *join, int error)
{
	/* What was asked may have been done, though no answer came. */
	if (error != ERR_PERMISSION && !join->is_stranger)
		join->core->server->mend.may_have = true;
	if (says_now(join))
		LOG_LINE(LEVEL_WARNING, "not_joined_yet", FIELD_SLICE("peer", join->peer),
		    FIELD_ERROR("error", error), FIELD_TEXT("advice", advice(join, error)));
}

static void note_later(struct join *join)
{
	struct server *server = join->core->server;
	server->mend.may_have = true;
	join->refusal.others_may = true;
	if (server->mend.stage == MEND_ASKS && says_now(join))
		LOG_LINE(LEVEL_WARNING, "directory_not_given_yet", FIELD_SLICE("peer", join->peer),
		    FIELD_TEXT("advice",
		        "the other replicas of the directory have to be a majority without that of "
		        "this node: start the other nodes"));
	else if (server->mend.stage != MEND_ASKS && join->welcome.why[0] && says_now(join))
		LOG_LINE(LEVEL_WARNING, "not_joined_yet", FIELD_SLICE("peer", join->peer),
		    FIELD_TEXT("why", join->welcome.why));
}

/* Of what that one says to do: see keep. */
static void say_needed(struct join *join)
{
	if (says_now(join))
		LOG_LINE(LEVEL_WARNING, "directory_not_given_yet", FIELD_SLICE("peer", join->peer),
		    FIELD_TEXT("advice",
		        "as far as that node knows the others are no majority without that of this "
		        "node: start all other nodes"));
}

/* What was decided tells more than what one of them knows, and what the first says is as good as
 * what others do. */
static void note_refusal(struct join *join)
{
	struct join_refusal *refusal = &join->refusal;
	const struct cluster_welcome *welcome = &join->welcome;
	bool is_decided = welcome->kind == CLUSTER_WELCOME_REFUSED;
	if (!is_decided && (join->known == 0 || join->asked <= join->known))
		refusal->needed++;
	if (is_decided)
		LOG_LINE(LEVEL_WARNING, "join_refused", FIELD_SLICE("peer", join->peer),
		    FIELD_TEXT("why", welcome->why));
	else
		say_needed(join);
	if (refusal->welcome.kind == CLUSTER_WELCOME_LATER ||
	    (is_decided && refusal->welcome.kind == CLUSTER_WELCOME_NEEDED)) {
		refusal->welcome = *welcome;
		refusal->peer = join->peer;
	}
}

/* All were asked, and nobody has let it in, nor will. */
static bool is_refused(const struct join *join)
{
	const struct join_refusal *refusal = &join->refusal;
	return !refusal->others_may && refusal->welcome.kind == CLUSTER_WELCOME_REFUSED;
}

/* All were asked, and the damaged one is needed: somebody has to say that the others go on. */
static bool is_kept(const struct join *join)
{
	const struct join_refusal *refusal = &join->refusal;
	uint32_t all = join->known > 0 ? join->known : join->asked;
	return !refusal->others_may && refusal->welcome.kind == CLUSTER_WELCOME_NEEDED &&
	       refusal->needed == all;
}

static void keep(struct join *join)
{
	if (is_due(join, &join->kept_ns))
		LOG_LINE(LEVEL_ERROR, "replica_kept", FIELD_U64("group", 0),
		    FIELD_U64("replica", join->core->server->mend.damaged),
		    FIELD_SLICE("peer", join->refusal.peer),
		    FIELD_TEXT("why", join->refusal.welcome.why));
}

static void fail(struct join *join)
{
	struct server *server = join->core->server;
	const struct join_refusal *refusal = &join->refusal;
	bool mends = server->mend.stage == MEND_ASKS;
	if (mends && core_mend_refused(server) != 0)
		LOG_LINE(LEVEL_WARNING, "mending_not_taken_back");
	server_fail(server,
	    mends ? "the directory (shard 0) is damaged here, and the cluster does not give this "
	            "node another replica of it: %s (%.*s says so)"
	          : "the cluster does not let this node in: %s (%.*s says so)",
	    refusal->welcome.why, (int)refusal->peer.bytes, (const char *)refusal->peer.data);
}

/* True: it is over, one way or the other. */
static bool take(struct join *join, int error)
{
	struct server *server = join->core->server;
	const struct cluster_welcome *welcome = &join->welcome;
	if (error || join->is_stranger) {
		note_error(join, error ? error : ERR_INVALID);
		return false;
	}
	bool mends = server->mend.stage == MEND_ASKS;
	/* The numbers of a node's replicas rise: an older one is what somebody believes who is
	 * behind. */
	bool is_old = mends && welcome->kind == CLUSTER_WELCOME_MEMBER &&
	              welcome->directory_replica <= server->mend.damaged;
	if (welcome->kind == CLUSTER_WELCOME_LATER || is_old) {
		note_later(join);
		return false;
	}
	if (welcome->kind != CLUSTER_WELCOME_MEMBER) {
		note_refusal(join);
		return false;
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
	join->waits_for = NULL;
	peers_stop(join->peers);
	join->stage = JOIN_STOPS;
}

static void end_round(struct join *join)
{
	if (is_refused(join)) {
		fail(join);
		stop(join);
		return;
	}
	if (is_kept(join))
		keep(join);
	join->next = join->all;
	join->asked = 0;
	join->refusal = (struct join_refusal){.needed = 0};
	join->stage = JOIN_PAUSES;
	wait_at_most(join, PAUSE_MS);
}

/* The next one, or, when all were asked, a pause. */
static void go_on(struct join *join)
{
	size_t bytes = strcspn(join->next, ",");
	join->answered = false;
	join->waits_for = NULL;
	if (bytes == 0) {
		end_round(join);
		return;
	}
	join->peer = slice_of(join->next, bytes);
	join->next += bytes + (join->next[bytes] == ',');
	join->asked++;
	join->is_stranger = false;
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
static char *list_peers(const struct server *server, uint32_t *ret_known)
{
	enum { PEER_BYTES_MAX = DATA_PEERS_HOST_BYTES + 10 };
	bool mends = server->mend.stage == MEND_ASKS;
	size_t bytes = sizeof(server->config->join) + DATA_PEERS_MAX * PEER_BYTES_MAX, used = 0;
	char *all = mem_zalloc(1, bytes);
	*ret_known = mends ? server->peers.count : 0;
	for (uint32_t i = 0; all && i < *ret_known; i++) {
		const struct data_peer *peer = &server->peers.peers[i];
		bool bare = strchr(peer->host, ':') == NULL;
		used += (size_t)snprintf(
		    all + used, bytes - used, bare ? "%s:%u," : "[%s]:%u,", peer->host, peer->port);
	}
	if (all)
		snprintf(all + used, bytes - used, "%s", server->config->join);
	return all;
}

int core_asker_new(struct core *core, struct peers **ret_peers)
{
	const struct server *server = core->server;
	struct cluster_node self;
	server_node(server, &self);
	struct peers_options options = {.self = {.cores = self.cores, .stores = self.stores},
	    .secret = slice_of(server->secret, server->secret_bytes),
	    .secret_previous = slice_of(server->secret_previous, server->secret_previous_bytes),
	    .entropy = server->entropy,
	    .entropy_arg = server->entropy_arg};
	return peers_new(core->io, &options, ret_peers);
}

static int begin(struct core *core)
{
	struct server *server = core->server;
	struct cluster_node self;
	struct join *join = mem_zalloc(1, sizeof(*join));
	if (!join)
		return ERR_NOMEM;
	struct writer out = writer_of(join->question, sizeof(join->question));
	*join = (struct join){.core = core};
	join->all = list_peers(server, &join->known);
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
	if (!error)
		error = core_asker_new(core, &join->peers);
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
	if (server_is_told_to_end(join->core->server))
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
	if (let_in) {
		server->join_is_over = true;
		return CORE_DONE;
	}
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
