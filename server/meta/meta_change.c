/* Changes of nodes, and of where replicas are wanted. What a turn finds waiting is tried, one
 * request after the other, on a copy of what is there, and becomes one entry: what is committed is
 * the copy, and needs no memory any more. One entry at a time; deployments go on beside it. */
#include "base/assert.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/meta/meta_parts.h"

enum { TOGETHER_MAX = 64 };

static struct meta_request *take(struct list *list)
{
	struct list_node *node = list_pop_front(list);
	return node ? CONTAINER_OF(node, struct meta_request, link) : NULL;
}

/* Those that stand in the change that is under way. */
static void refuse_tried(struct meta *meta, enum status status, const char *why)
{
	struct meta_request *request;
	meta_layout_done(&meta->next);
	meta->change_waits = false;
	meta->change_at = (struct group_position){.index = 0};
	while ((request = take(&meta->tried))) {
		meta_refuse(request, status, "%s", why);
		request->done(request);
	}
}

void meta_change_abandon(struct meta *meta, enum status status, const char *why)
{
	bool proposed = meta->change_at.index > 0;
	if (!list_empty(&meta->tried))
		refuse_tried(meta, proposed ? STATUS_UNKNOWN_OUTCOME : status, why);
}

static void answer_tried(struct meta *meta)
{
	struct meta_request *request;
	while ((request = take(&meta->tried))) {
		meta_answer_settled(request, meta->map_index);
		request->done(request);
	}
}

/* On a copy of its own, which nothing comes of. */
static void run_dry(struct meta *meta, struct meta_request *request)
{
	struct meta_layout copy;
	int error = meta_layout_copy(&meta->next, &copy);
	if (error) {
		meta_refuse(request, status_from_error(error), "out of memory");
		return;
	}
	meta_verb_run(&copy, request);
	meta_layout_done(&copy);
}

static void try_requests(struct meta *meta)
{
	struct meta_request *request;
	if (meta_layout_copy(&meta->layout, &meta->next)) {
		while ((request = take(&meta->changes)))
			list_push_back(&meta->tried, &request->link);
		refuse_tried(
		    meta, STATUS_RESOURCE_EXHAUSTED, "out of memory: nothing was changed; repeat");
		return;
	}
	for (unsigned i = 0; i < TOGETHER_MAX && (request = take(&meta->changes)); i++) {
		if (request->dry_run)
			run_dry(meta, request);
		else if (meta_verb_run(&meta->next, request)) {
			list_push_back(&meta->tried, &request->link);
			continue;
		}
		request->done(request);
	}
}

static void propose(struct meta *meta)
{
	uint8_t *batch;
	size_t bytes;
	int error = meta_layout_batch(&meta->layout, &meta->next, &batch, &bytes);
	if (error == ERR_NOT_FOUND) {
		/* It is as they want it already. */
		meta_layout_done(&meta->next);
		answer_tried(meta);
		return;
	}
	if (error) {
		refuse_tried(
		    meta, status_from_error(error), "out of memory: nothing was changed; repeat");
		return;
	}
	/* Small, and without it a full disk could not be left. */
	error = group_reserve(meta->group, bytes, 1, true);
	if (error == ERR_FULL) {
		meta->change_waits = true;
	} else if (error) {
		refuse_tried(meta,
		    error == ERR_AGAIN ? STATUS_UNAVAILABLE : status_from_error(error),
		    error == ERR_NO_SPACE ? "the disk is full: nothing was changed"
		                          : "the directory takes no changes now");
	} else {
		group_unreserve(meta->group, bytes, 1);
		group_propose(meta->group, slice_of(batch, bytes), &meta->change_at);
	}
	mem_free(batch);
}

bool meta_change_is_due(const struct meta *meta)
{
	return meta->state == META_SERVING && meta->change_at.index == 0 && !meta->change_waits &&
	       !list_empty(&meta->changes);
}

void meta_change_turn(struct meta *meta)
{
	if (meta->change_at.index > 0 || meta->change_waits)
		return;
	if (list_empty(&meta->tried)) {
		if (list_empty(&meta->changes))
			return;
		try_requests(meta);
	}
	if (!list_empty(&meta->tried))
		propose(meta);
	else
		meta_layout_done(&meta->next);
}

void meta_change_applied(struct meta *meta, const struct group_entry *entry)
{
	if (meta->change_at.index == 0 || meta->change_at.index != entry->at.index)
		return;
	ASSERT(meta->change_at.term == entry->at.term); /* else `lost` had abandoned it */
	meta_layout_done(&meta->layout);
	meta->layout = meta->next;
	meta->next = (struct meta_layout){.nodes = NULL};
	meta->change_at = (struct group_position){.index = 0};
	meta_map_note(meta, entry->at.index);
	LIST_FOR_EACH(node, &meta->tried)
	{
		const struct meta_request *request = CONTAINER_OF(node, struct meta_request, link);
		LOG_LINE(LEVEL_INFO, "cluster_changed", FIELD_U64("group", 0),
		    FIELD_U64("term", entry->at.term), FIELD_U64("index", entry->at.index),
		    FIELD_TEXT("what", meta_verb_name(request->verb)),
		    FIELD_U64("node", request->node.node), FIELD_U64("shard", request->shard));
	}
	answer_tried(meta);
}
