#include "tests/cluster_sim/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum { AGAIN_MS_MAX = 300 };

static bool says(const struct meta_request *request, const char *part)
{
	struct slice text = buffer_view(&request->reply);
	return text.bytes > 0 && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

static bool may_be_repeated(enum status status)
{
	return status == STATUS_UNAVAILABLE || status == STATUS_UNKNOWN_OUTCOME ||
	       status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_DEADLINE_EXCEEDED;
}

/* ---- What was answered ---- */

static void deployed(struct world *world)
{
	struct admin *admin = &world->admin;
	const struct meta_request *request = &admin->request;
	if (request->status == STATUS_ABORTED && !admin->is_ours && admin->was_unknown) {
		/* An attempt whose answer was lost had done it. */
		admin->is_ours = true;
		return;
	}
	if (may_be_repeated(request->status)) {
		admin->was_unknown = true;
		return;
	}
	struct slice text = buffer_view(&request->reply);
	EXPECT(request->status == STATUS_OK, "deploy", "version %u: %s: %.*s",
	    model_version(world->model), status_name(request->status), (int)text.bytes,
	    (const char *)text.data);
	admin->is_ours = true;
	if (!says(request, "\"pending\":0"))
		return;
	for (unsigned shard = 1; shard <= MODEL_SHARDS; shard++)
		model_deployed(world->model, shard, model_version(world->model));
	world->figures.deployments++;
	admin->is_active = true;
	admin->task = ADMIN_IDLE;
}

static void drained(struct world *world)
{
	struct admin *admin = &world->admin;
	if (may_be_repeated(admin->request.status))
		return;
	if (admin->request.status != STATUS_OK) {
		world->figures.requests_refused++;
		admin->task = ADMIN_IDLE;
		return;
	}
	admin->target->is_drained = admin->task == ADMIN_DRAIN;
	admin->takes_back &= admin->task == ADMIN_DRAIN;
	*(admin->task == ADMIN_DRAIN ? &world->figures.drains : &world->figures.undrains) += 1;
	admin->task = ADMIN_IDLE;
}

/* It has to be empty first, which takes its time. */
static void removed(struct world *world)
{
	struct admin *admin = &world->admin;
	enum status status = admin->request.status;
	bool is_lost = admin->task == ADMIN_REMOVE_LOST;
	/* One that is reached after all is not removed by force. */
	if (may_be_repeated(status) ||
	    (is_lost && status != STATUS_OK && status != STATUS_FAILED_PRECONDITION) ||
	    (!is_lost && status == STATUS_FAILED_PRECONDITION && !world->calm))
		return;
	admin->task = ADMIN_IDLE;
	if (status != STATUS_OK) {
		world->figures.requests_refused++;
		return;
	}
	*(is_lost ? &world->figures.removals_forced : &world->figures.removals) += 1;
	admin->target->is_drained = admin->replaces = false;
	node_replace(admin->target);
}

/* Where it is refused the operator looks again. */
static void recovered(struct world *world)
{
	enum { TEXT_BYTES = 4096 };
	struct admin *admin = &world->admin;
	struct slice reply = buffer_view(&admin->request.reply);
	char text[TEXT_BYTES];
	admin->task = ADMIN_IDLE;
	admin->refused[0] = '\0';
	if (admin->request.status != STATUS_OK) {
		snprintf(admin->refused, sizeof(admin->refused), "%s: %.*s",
		    status_name(admin->request.status), (int)reply.bytes, (const char *)reply.data);
		world->figures.words_refused++;
		return;
	}
	world->figures.words_given++;
	ASSERT(reply.data != NULL && reply.bytes < sizeof(text));
	memcpy(text, reply.data, reply.bytes);
	text[reply.bytes] = '\0';
	if (loss_waits(world))
		loss_answered(world, text);
	else
		damage_answered(world, text);
}

static void done(struct meta_request *request)
{
	struct admin *admin = CONTAINER_OF(request, struct admin, request);
	struct world *world = admin->at->world;
	uint64_t now_ns = sim_now_ns(world->sim);
	admin->at = NULL;
	admin->again_ns = now_ns + world_below(world, AGAIN_MS_MAX) * NS_PER_MS;
	world->figures.requests_done++;
	switch (admin->task) {
	case ADMIN_IDLE:
		break;
	case ADMIN_DEPLOY:
		deployed(world);
		break;
	case ADMIN_LEAD:
		/* It is a wish. */
		world->figures.transfers_wished += request->status == STATUS_OK;
		world->figures.requests_refused += request->status != STATUS_OK;
		admin->task = ADMIN_IDLE;
		break;
	case ADMIN_DRAIN:
	case ADMIN_UNDRAIN:
		drained(world);
		break;
	case ADMIN_RECOVER:
	case ADMIN_RECOVER_LOST:
		recovered(world);
		break;
	case ADMIN_REMOVE_LOST:
	case ADMIN_REMOVE:
		removed(world);
		break;
	}
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

/* ---- What is asked ---- */

static void pack(struct world *world)
{
	struct admin *admin = &world->admin;
	struct buffer bytes;
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	app_bundle(model_version(world->model), MODEL_HAS_BOTH, &bytes);
	struct slice view = buffer_view(&bytes);
	ASSERT(view.bytes > 0);
	free(admin->bundle);
	admin->bundle = malloc(view.bytes);
	ASSERT(admin->bundle != NULL);
	memcpy(admin->bundle, view.data, view.bytes);
	admin->bundle_bytes = view.bytes;
	memcpy(admin->before, admin->hash, sizeof(admin->before));
	host_bundle_hash(view, admin->hash);
	buffer_done(&bytes);
}

static void prepare(struct world *world, struct meta_request *request)
{
	struct admin *admin = &world->admin;
	*request = (struct meta_request){.done = done};
	switch (admin->task) {
	case ADMIN_IDLE:
		break;
	case ADMIN_DEPLOY:
		if (!admin->was_sent)
			pack(world);
		else
			world->figures.deployments_repeated++;
		request->verb = META_APP_DEPLOY;
		request->bundle = slice_of(admin->bundle, admin->bundle_bytes);
		request->expected = slice_from_text(admin->is_ours     ? admin->hash
		                                    : admin->before[0] ? admin->before
		                                                       : META_EXPECT_NONE);
		break;
	case ADMIN_LEAD:
		request->verb = META_SHARD_LEAD;
		request->shard = (uint32_t)world_below(world, MODEL_SHARDS + 1);
		request->node.node = node_id(&world->nodes[world_below(world, world->node_count)]);
		break;
	case ADMIN_DRAIN:
	case ADMIN_UNDRAIN:
		request->verb = admin->task == ADMIN_DRAIN ? META_NODE_DRAIN : META_NODE_UNDRAIN;
		request->node.node = node_id(admin->target);
		break;
	case ADMIN_RECOVER:
		request->verb = META_CLUSTER_RECOVER;
		damage_asked(world);
		request->damaged = true;
		break;
	case ADMIN_RECOVER_LOST:
		request->verb = META_CLUSTER_RECOVER;
		request->wanted = world->loss.wanted;
		request->wanted_count = world->loss.gone_count;
		break;
	case ADMIN_REMOVE_LOST:
	case ADMIN_REMOVE:
		request->verb = META_NODE_REMOVE;
		request->force = admin->task == ADMIN_REMOVE_LOST;
		request->node.node = node_id(admin->target);
		break;
	}
}

bool admin_is_due(const struct world *world)
{
	const struct admin *admin = &world->admin;
	return admin->task != ADMIN_IDLE && !admin->at && sim_now_ns(world->sim) >= admin->again_ns;
}

void admin_act(struct world *world, struct node *node)
{
	enum { AT_THIS_NODE_PERCENT = 20 };
	struct admin *admin = &world->admin;
	if (!admin_is_due(world) || !world_percent(world, AT_THIS_NODE_PERCENT))
		return;
	prepare(world, &admin->request);
	admin->was_sent = true;
	admin->at = node;
	cluster_core_directory(node->server.cores[0].cluster, &admin->request);
}

void admin_cut_off(struct world *world, const struct node *node)
{
	struct admin *admin = &world->admin;
	if (admin->at != node)
		return;
	admin->at = NULL;
	admin->was_unknown = true;
}

bool admin_begin(struct world *world, enum admin_task task, struct node *target)
{
	struct admin *admin = &world->admin;
	bool is_late = task == ADMIN_DEPLOY && model_version(world->model) == app_versions();
	if (admin->task != ADMIN_IDLE || is_late)
		return false;
	if (task == ADMIN_DEPLOY) {
		model_deploy(world->model, MODEL_HAS_BOTH);
		admin->is_active = false;
	}
	admin->task = task;
	admin->target = target;
	admin->was_sent = admin->was_unknown = admin->is_ours = false;
	return true;
}

bool admin_is_at_rest(const struct world *world)
{
	return world->admin.task == ADMIN_IDLE && world->admin.is_active;
}
