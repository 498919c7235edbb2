/* Nodes that ask to be let in, at whichever core they come to; the directory decides, on core 0.
 * The same way comes a node whose replica of the directory is damaged (core_mend.c): that one is
 * given up, and as soon as its group has let go of it, it is told the number of another one. And
 * connections that came to the wrong core. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_control.h"

/* From the core that was asked to core 0, and back. */
struct question {
	struct cluster_post post;
	struct cluster_core *asked;
	struct cluster_core *control; /* core 0's */
	uint64_t token;
	uint64_t damaged; /* the replica of the directory that is to be given up; 0: none */
	struct meta_request request;
	struct cluster_welcome welcome;
};

/* ---- The answer ---- */

static void answer(struct cluster_core *core, uint64_t token, const struct cluster_welcome *welcome)
{
	uint8_t bytes[CLUSTER_WELCOME_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, welcome);
	int error = peers_introduced(core->peers, token, writer_view(&out));
	if (error)
		LOG_LINE(LEVEL_INFO, "who_asked_has_gone", FIELD_ERROR("error", error));
}

static void answer_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct question *question = CONTAINER_OF(post, struct question, post);
	if (!core->cut)
		answer(core, question->token, &question->welcome);
	mem_free(question);
}

/* The map may not have it yet here: then it asks again. */
static void welcome_member(const struct cluster_core *core, struct question *question)
{
	const struct cluster_map *map = core->map;
	for (uint32_t i = 0; map && i < map->node_count; i++) {
		const struct cluster_node *node = &map->nodes[i];
		if (node->incarnation != question->request.node.incarnation)
			continue;
		const struct cluster_replica *replica = cluster_map_replica(map, 0, node->node);
		if (!replica)
			return;
		struct cluster_welcome *welcome = &question->welcome;
		welcome->kind = CLUSTER_WELCOME_MEMBER;
		memcpy(welcome->id, core->options->id, sizeof(welcome->id));
		welcome->node = node->node;
		welcome->directory_replica = replica->replica;
		welcome->shard_count = core->options->shard_count;
	}
}

static void go_back(struct cluster_core *core, struct question *question)
{
	buffer_done(&question->request.reply);
	buffer_done(&question->request.details);
	question->post.arrived = answer_arrived;
	core->services.post(core->services.arg, question->asked->number, &question->post);
}

/* ---- A directory that is damaged there ---- */

/* As this replica knows it: what its group has done may be news here, then it is asked again. Once
 * it holds, nobody counts on the damaged one any more. */
static bool has_let_go(const struct cluster_core *core, uint64_t damaged)
{
	const struct group *group = group_store_group(core->stores[0], 0);
	struct raft_membership members;
	if (!group)
		return false;
	group_get_members(group, &members);
	return !raft_membership_joint(&members) && raft_membership_roles(&members, damaged) == 0;
}

/* The others are no majority without it, however many of them are there. That is so as far as this
 * replica knows, and nobody could confirm it: there is no leader, and for as long as it is true
 * there is none. A replica that has more of the log may know of more voters, so whoever asks
 * believes it only when all say so (core_join.c).
 */
static bool is_needed(const struct cluster_core *core, uint64_t damaged, bool *ret_has_all)
{
	const struct group *group = group_store_group(core->stores[0], 0);
	struct raft_membership members;
	if (!group)
		return false;
	group_get_members(group, &members);
	/* Of two voters both have what was acknowledged. */
	*ret_has_all = raft_membership_roles(&members, group_self(group)) & RAFT_VOTER;
	return raft_membership_roles(&members, damaged) != 0 &&
	       raft_membership_needs(&members, damaged);
}

/* Who asks keeps asking meanwhile: so it is known here to be damaged when the word comes. */
static void say_needed(const struct cluster_core *core, struct question *question, bool has_all)
{
	enum { HOST_SAID_BYTES = 100 }; /* what fits */
	uint16_t number = core->options->self.node;
	const struct cluster_node *self = core->map ? cluster_map_node(core->map, number) : NULL;
	char place[HOST_SAID_BYTES + 24] = "";
	if (self && self->host[0] && strlen(self->host) < HOST_SAID_BYTES)
		snprintf(place, sizeof(place),
		    strchr(self->host, ':') ? "--node [%s]:%u " : "--node %s:%u ", self->host,
		    self->port);
	question->welcome.kind = CLUSTER_WELCOME_NEEDED;
	snprintf(question->welcome.why, sizeof(question->welcome.why),
	    "without it the others are no majority. Node %u %s: to go on with that, kalix-admin "
	    "%scluster recover --unsafe --damaged; this node starts then, by itself",
	    number,
	    has_all ? "has all that was acknowledged"
	            : "may lack some of what was acknowledged last",
	    place);
}

static void given_up(struct meta_request *request)
{
	struct question *question = CONTAINER_OF(request, struct question, request);
	/* Where it is kept, that is said once (replica_kept); it asks several times a second. */
	LOG_LINE(request->status == STATUS_OK ? LEVEL_WARNING : LEVEL_DEBUG, "replica_given_up",
	    FIELD_U64("group", 0), FIELD_U64("replica", question->damaged),
	    FIELD_TEXT("status", status_name(request->status)),
	    FIELD_SLICE("answer", buffer_view(&request->reply)));
	go_back(question->control, question);
}

/* The record that the question is about: who was faster changed its generation. */
static void give_up(struct cluster_core *core, struct question *question, uint16_t node)
{
	buffer_done(&question->request.reply);
	buffer_done(&question->request.details);
	question->welcome.kind = CLUSTER_WELCOME_LATER;
	question->request = (struct meta_request){.verb = META_SHARD_DAMAGED,
	    .node = {.node = node},
	    .expected_generation = core->map->shards[0].generation,
	    .done = given_up};
	cluster_core_directory(core, &question->request);
}

/* True: the answer comes later. */
static bool mend(struct cluster_core *core, struct question *question)
{
	const struct cluster_map *map = core->map;
	uint16_t node = cluster_replica_node(question->damaged);
	const struct cluster_node *known = map ? cluster_map_node(map, node) : NULL;
	const struct cluster_replica *replica = map ? cluster_map_replica(map, 0, node) : NULL;
	bool own = known && known->incarnation == question->request.node.incarnation;
	if (own && replica && replica->replica == question->damaged) {
		give_up(core, question, node);
		return true;
	}
	/* A replica that is behind does not know the number that is asked about, nor that it stands
	 * for a member. */
	bool behind = replica && replica->replica < question->damaged;
	if (!own || behind || !has_let_go(core, question->damaged))
		question->welcome.kind = CLUSTER_WELCOME_LATER;
	return false;
}

static bool may_be_repeated(enum status status)
{
	return status == STATUS_UNAVAILABLE || status == STATUS_UNKNOWN_OUTCOME ||
	       status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_DEADLINE_EXCEEDED;
}

/* Of one that is to ask again, too, where that is more than that nobody leads. */
static void say_why(struct question *question)
{
	struct slice why = buffer_view(&question->request.reply);
	snprintf(question->welcome.why, sizeof(question->welcome.why), "%.*s", (int)why.bytes,
	    (const char *)why.data);
}

static void joined(struct meta_request *request)
{
	struct question *question = CONTAINER_OF(request, struct question, request);
	struct cluster_core *core = question->control;
	question->welcome.kind = CLUSTER_WELCOME_LATER;
	if (request->status == STATUS_OK) {
		welcome_member(core, question);
		if (question->damaged != 0 && mend(core, question))
			return;
	} else if (may_be_repeated(request->status)) {
		bool has_all;
		if (question->damaged == 0)
			say_why(question);
		else if (is_needed(core, question->damaged, &has_all))
			say_needed(core, question, has_all);
	} else {
		question->welcome.kind = CLUSTER_WELCOME_REFUSED;
		say_why(question);
	}
	go_back(core, question);
}

/* ---- The question ---- */

/* The node that asks is the one whose replica it says is damaged. */
static bool is_known(const struct cluster_core *core, const struct question *question)
{
	const struct cluster_node *known =
	    core->map ? cluster_map_node(core->map, cluster_replica_node(question->damaged)) : NULL;
	return known && known->incarnation == question->request.node.incarnation;
}

static void question_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct question *question = CONTAINER_OF(post, struct question, post);
	question->control = core;
	if (core->meta && !core->closing) {
		if (question->damaged != 0 && is_known(core, question))
			cluster_control_directory_damaged(core->control, question->damaged);
		/* One that nobody knows here is of another cluster. */
		question->request.verb = question->damaged != 0 ? META_NODE_SET : META_NODE_JOIN;
		question->request.done = joined;
		cluster_core_directory(core, &question->request);
		return;
	}
	question->welcome.kind = CLUSTER_WELCOME_LATER;
	question->post.arrived = answer_arrived;
	core->services.post(core->services.arg, question->asked->number, &question->post);
}

static void refuse(struct cluster_core *core, uint64_t token, const char *why)
{
	struct cluster_welcome welcome = {.kind = CLUSTER_WELCOME_REFUSED};
	snprintf(welcome.why, sizeof(welcome.why), "%s", why);
	answer(core, token, &welcome);
}

void cluster_join_asked(
    void *arg, const struct peer_identity *them, struct slice bytes, uint64_t token)
{
	struct cluster_core *core = arg;
	struct cluster_node node;
	uint64_t damaged = 0;
	(void)them;
	if (bytes.bytes == 0) {
		answer(core, token, &(struct cluster_welcome){.kind = CLUSTER_WELCOME_LATER});
		return;
	}
	int error = cluster_hello_read(bytes, &node, &damaged);
	if (error) {
		refuse(core, token,
		    error == ERR_FORMAT ? "another version of Kalix: use the same on all nodes"
		                        : "malformed");
		return;
	}
	struct question *question = mem_zalloc(1, sizeof(*question));
	if (!question) {
		answer(core, token, &(struct cluster_welcome){.kind = CLUSTER_WELCOME_LATER});
		return;
	}
	question->asked = core;
	question->token = token;
	question->damaged = damaged;
	question->request.node = node;
	question->post.arrived = question_arrived;
	core->services.post(core->services.arg, 0, &question->post);
}

/* ---- Connections of another core ---- */

struct handover_post {
	struct cluster_post post;
	struct peer_handover *handover;
};

static void handover_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct handover_post *carried = CONTAINER_OF(post, struct handover_post, post);
	if (core->peers && !core->cut)
		peers_take(core->peers, carried->handover);
	else
		peer_handover_free(carried->handover);
	mem_free(carried);
}

void cluster_join_elsewhere(void *arg, uint16_t number, struct peer_handover *handover)
{
	struct cluster_core *core = arg;
	struct handover_post *carried =
	    number < core->options->self.cores ? mem_zalloc(1, sizeof(*carried)) : NULL;
	if (!carried) {
		peer_handover_free(handover);
		return;
	}
	carried->handover = handover;
	carried->post.arrived = handover_arrived;
	core->services.post(core->services.arg, number, &carried->post);
}
