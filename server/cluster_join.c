/* Nodes that ask to be let in, at whichever core they come to; the directory decides, on core 0.
 * And connections that came to the wrong core. */
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

static bool may_be_repeated(enum status status)
{
	return status == STATUS_UNAVAILABLE || status == STATUS_UNKNOWN_OUTCOME ||
	       status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_DEADLINE_EXCEEDED;
}

static void joined(struct meta_request *request)
{
	struct question *question = CONTAINER_OF(request, struct question, request);
	struct cluster_core *core = question->control;
	struct slice why = buffer_view(&request->reply);
	question->welcome.kind = CLUSTER_WELCOME_LATER;
	if (request->status == STATUS_OK) {
		welcome_member(core, question);
	} else if (!may_be_repeated(request->status)) {
		question->welcome.kind = CLUSTER_WELCOME_REFUSED;
		snprintf(question->welcome.why, sizeof(question->welcome.why), "%.*s",
		    (int)why.bytes, (const char *)why.data);
	}
	buffer_done(&request->reply);
	buffer_done(&request->details);
	question->post.arrived = answer_arrived;
	core->services.post(core->services.arg, question->asked->number, &question->post);
}

/* ---- The question ---- */

static void question_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct question *question = CONTAINER_OF(post, struct question, post);
	question->control = core;
	if (core->meta && !core->closing) {
		question->request.verb = META_NODE_JOIN;
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
	(void)them;
	int error = cluster_hello_read(bytes, &node);
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
