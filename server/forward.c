/* Links, time, who leads, and messages to whom they belong. forward_parts.h has the rest. */
#include "server/forward_parts.h"

#include "base/mem.h"
#include "base/mutation.h"

/* Wakes the core; what is due is found in its turn. */
static void timer_fired(struct io_timer *timer)
{
	struct forward *forward = CONTAINER_OF(timer, struct forward, timer);
	forward->armed_ns = 0;
}

int forward_new(const struct forward_options *options, struct forward **ret_forward)
{
	struct forward *forward = mem_zalloc(1, sizeof(*forward));
	if (!forward)
		return ERR_NOMEM;
	forward->shards = mem_zalloc((size_t)options->shard_count + 1, sizeof(forward->shards[0]));
	if (!forward->shards) {
		mem_free(forward);
		return ERR_NOMEM;
	}
	forward->options = *options;
	if (options->waiting_bytes_max == 0)
		forward->options.waiting_bytes_max = FORWARD_WAITING_BYTES_MAX;
	if (options->link_calls_max == 0)
		forward->options.link_calls_max = FORWARD_LINK_CALLS_MAX;
	if (options->link_bytes_max == 0)
		forward->options.link_bytes_max = FORWARD_LINK_BYTES_MAX;
	for (uint32_t i = 0; i <= options->shard_count; i++) {
		struct route_shard *shard = &forward->shards[i];
		list_init(&shard->waiting);
		list_node_init(&shard->node);
		list_node_init(&shard->changed);
		heap_node_init(&shard->pause);
	}
	list_init(&forward->ready);
	list_init(&forward->changed);
	list_init(&forward->ended);
	list_init(&forward->ended_local);
	list_init(&forward->starved);
	list_init(&forward->starved_requests);
	list_init(&forward->links);
	list_init(&forward->attention);
	heap_init(&forward->deadlines);
	heap_init(&forward->pauses);
	forward->timer.fired = timer_fired;
	*ret_forward = forward;
	return 0;
}

void forward_free(struct forward *forward)
{
	struct list_node *node;
	if (!forward)
		return;
	ASSERT(list_empty(&forward->ended) && forward->figures.serving == 0);
	for (uint32_t i = 0; i <= forward->options.shard_count; i++)
		ASSERT(forward->shards[i].routes == 0);
	while ((node = list_pop_front(&forward->links))) {
		struct link *link = CONTAINER_OF(node, struct link, of_all);
		map_done(&link->by_id);
		map_done(&link->refused);
		buffer_done(&link->refused_ids);
		mem_free(link);
	}
	io_timer_cancel(forward->options.io, &forward->timer);
	map_done(&forward->lanes);
	map_done(&forward->links_by_core);
	small_blocks_done(&forward->blocks);
	mem_free(forward->drop);
	mem_free(forward->shards);
	mem_free(forward);
}

struct forward_figures forward_figures(const struct forward *forward)
{
	return forward->figures;
}

/* ---- Links ---- */

static uint64_t link_key(uint16_t node, uint16_t core)
{
	return (uint64_t)node << 16 | core;
}

struct link *forward_link(struct forward *forward, uint16_t node, uint16_t core)
{
	struct link *link = map_get_pointer(&forward->links_by_core, link_key(node, core));
	if (link)
		return link;
	link = mem_zalloc(1, sizeof(*link));
	if (!link || map_put_pointer(&forward->links_by_core, link_key(node, core), link)) {
		mem_free(link);
		return NULL;
	}
	link->node = node;
	link->core = core;
	list_node_init(&link->of_all);
	list_node_init(&link->attention);
	list_init(&link->sent);
	list_init(&link->wanting);
	list_init(&link->serving);
	list_init(&link->replies);
	/* Refusals that are not seen yet are calls under way for those who sent them. */
	buffer_init(&link->refused_ids, 2 * sizeof(uint64_t) * forward->options.link_calls_max);
	list_push_back(&forward->links, &link->of_all);
	return link;
}

int forward_link_make(struct forward *forward, uint16_t node, uint16_t core)
{
	return forward_link(forward, node, core) ? 0 : ERR_NOMEM;
}

bool forward_link_is_up(const struct forward *forward, uint16_t node, uint16_t core)
{
	const struct link *link = map_get_pointer(&forward->links_by_core, link_key(node, core));
	return link && link->up;
}

void forward_attend(struct forward *forward, struct link *link)
{
	if (link->up && !list_linked(&link->attention))
		list_push_back(&forward->attention, &link->attention);
}

bool forward_send(struct forward *forward, struct link *link, enum forward_kind kind)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	if (!link->up || link->full)
		return false;
	int error = callbacks->send(callbacks->arg, link->node, link->core, (uint8_t)kind,
	    forward->message.iov, forward->message.count);
	/* Where it breaks, its end is told soon; where it was full, that there is room. */
	link->full = error != 0;
	/* Nobody tells of memory. */
	link->starved = error == ERR_NOMEM;
	forward->has_starved_links |= link->starved;
	return error == 0;
}

void forward_link_up(struct forward *forward, uint16_t node, uint16_t core)
{
	struct link *link = forward_link(forward, node, core);
	/* Without memory for it, nothing goes this way until it comes up again. */
	if (!link)
		return;
	ASSERT(!link->up && list_empty(&link->sent) && list_empty(&link->serving));
	link->up = true;
	link->full = false;
	link->starved = false;
	link->laden = false;
	link->last_id = 0;
	link->refusals_seen = 0;
	link->their_last_id = 0;
	link->refused_first = 0;
	link->refused_end = 0;
	link->forgot = false;
	link->news_owed = true;
	forward_attend(forward, link);
	routes_wake_link(forward, link);
}

void forward_link_down(struct forward *forward, uint16_t node, uint16_t core)
{
	struct link *link = map_get_pointer(&forward->links_by_core, link_key(node, core));
	if (!link || !link->up)
		return;
	link->up = false;
	list_remove(&link->attention);
	routes_link_down(forward, link);
	serve_link_down(forward, link);
}

void forward_room(struct forward *forward, uint16_t node, uint16_t core)
{
	struct link *link = map_get_pointer(&forward->links_by_core, link_key(node, core));
	if (!link || !link->up)
		return;
	link->full = false;
	link->starved = false;
	forward_attend(forward, link);
	routes_wake_link(forward, link);
}

/* Those whose last message found no memory. */
static void links_try_again(struct forward *forward)
{
	if (!forward->has_starved_links)
		return;
	forward->has_starved_links = false;
	LIST_FOR_EACH(at, &forward->links)
	{
		struct link *link = CONTAINER_OF(at, struct link, of_all);
		if (link->up && link->starved)
			forward_room(forward, link->node, link->core);
	}
}

/* ---- Who leads ---- */

static void changed(struct forward *forward, uint32_t number, uint64_t term, bool leads)
{
	struct route_shard *shard = &forward->shards[number];
	ASSERT(number <= forward->options.shard_count && term > 0);
	shard->leads = leads;
	shard->term = term;
	if (!list_linked(&shard->changed))
		list_push_back(&forward->changed, &shard->changed);
	cluster_leaders_note(
	    forward->options.leaders, number, term, leads ? forward->options.node : 0);
	routes_wake(forward, shard);
}

void forward_leads(struct forward *forward, uint32_t shard, uint64_t term)
{
	changed(forward, shard, term, true);
}

void forward_follows(struct forward *forward, uint32_t shard)
{
	/* That of its own leadership: another node's, which this one has heard of before it heard
	 * that its own is over, goes on. */
	uint64_t term = forward->shards[shard].term;
	/* Breaks: of no other. */
	if (MUTATION(forward_gives_up_any_term))
		term = cluster_leader_term(forward->options.leaders, shard);
	changed(forward, shard, term, false);
}

void forward_leader(struct forward *forward, uint32_t shard)
{
	ASSERT(shard <= forward->options.shard_count);
	routes_wake(forward, &forward->shards[shard]);
}

static void add_news(struct forward *forward, struct writer *writer, uint32_t number)
{
	const struct route_shard *shard = &forward->shards[number];
	forward_news_add(writer,
	    &(struct forward_news){.shard = number, .term = shard->term, .leads = shard->leads});
}

static void set_message(struct forward *forward, const struct writer *writer)
{
	ASSERT(!writer->failed);
	struct slice bytes = writer_view(writer);
	forward->message.iov[0] =
	    (struct iovec){.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	forward->message.count = 1;
	forward->message.bytes = bytes.bytes;
}

/* What has changed since the last turn, in one message to all; who cannot take it is told
 * everything later. */
static void tell_changes(struct forward *forward)
{
	enum { NEWS_MAX = 256 };
	uint8_t span[1 + NEWS_MAX * FORWARD_NEWS_BYTES_MAX];
	while (!list_empty(&forward->changed)) {
		struct writer writer = writer_of(span, sizeof(span));
		struct list_node *node;
		forward_news_begin(&writer);
		for (unsigned i = 0; i < NEWS_MAX && (node = list_pop_front(&forward->changed));
		     i++)
			add_news(forward, &writer,
			    (uint32_t)(CONTAINER_OF(node, struct route_shard, changed) -
			               forward->shards));
		set_message(forward, &writer);
		LIST_FOR_EACH(at, &forward->links)
		{
			struct link *link = CONTAINER_OF(at, struct link, of_all);
			if (link->up && !forward_send(forward, link, FORWARD_NEWS))
				link->news_owed = true;
		}
	}
}

static void tell_all(struct forward *forward, struct link *link)
{
	size_t bytes = 1 + ((size_t)forward->options.shard_count + 1) * FORWARD_NEWS_BYTES_MAX;
	uint8_t *span = mem_alloc(bytes);
	if (!span)
		return; /* in a later turn */
	struct writer writer = writer_of(span, bytes);
	forward_news_begin(&writer);
	for (uint32_t i = 0; i <= forward->options.shard_count; i++)
		if (forward->shards[i].term > 0)
			add_news(forward, &writer, i);
	set_message(forward, &writer);
	if (writer_used(&writer) == 1 || forward_send(forward, link, FORWARD_NEWS))
		link->news_owed = false;
	mem_free(span);
}

static int receive_news(struct forward *forward, struct link *link, struct slice bytes)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct reader reader;
	struct forward_news news;
	int error = forward_news_read(bytes, forward->options.shard_count, &reader);
	if (error)
		return error;
	while (forward_news_next(&reader, &news)) {
		if (!cluster_leaders_note(forward->options.leaders, news.shard, news.term,
		        news.leads ? link->node : 0))
			continue;
		routes_wake(forward, &forward->shards[news.shard]);
		if (callbacks->news)
			callbacks->news(callbacks->arg, news.shard);
	}
	return 0;
}

/* ---- Messages and turns ---- */

int forward_receive(
    struct forward *forward, uint16_t node, uint16_t core, uint8_t kind, struct slice bytes)
{
	if (kind < FORWARD_CALL || kind > FORWARD_NEWS)
		return ERR_NOT_FOUND;
	struct link *link = map_get_pointer(&forward->links_by_core, link_key(node, core));
	/* There was no memory when it came up. */
	if (!link || !link->up)
		return ERR_NOMEM;
	switch ((enum forward_kind)kind) {
	case FORWARD_CALL:
		return serve_call(forward, link, bytes);
	case FORWARD_DIRECTORY:
		return serve_directory(forward, link, bytes);
	case FORWARD_REPLY_PART:
		return routes_reply_part(forward, link, bytes);
	case FORWARD_REPLY:
		return routes_reply(forward, link, bytes);
	case FORWARD_NOT_LEADER:
		return routes_refused(forward, link, bytes);
	case FORWARD_NEWS:
		return receive_news(forward, link, bytes);
	}
	return ERR_NOT_FOUND;
}

/* Once they are sent, or the link is full, it is off the list. */
static void links_turn(struct forward *forward)
{
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, &forward->attention);
	while ((node = list_pop_front(&now))) {
		struct link *link = CONTAINER_OF(node, struct link, attention);
		if (link->news_owed)
			tell_all(forward, link);
		serve_turn(forward, link);
		if (!link->full && (link->news_owed || !list_empty(&link->replies)))
			forward_attend(forward, link);
	}
}

static void arm_timer(struct forward *forward)
{
	const struct heap_node *deadline = heap_first(&forward->deadlines);
	const struct heap_node *pause = heap_first(&forward->pauses);
	uint64_t at_ns = deadline ? deadline->key : UINT64_MAX;
	if (pause && pause->key < at_ns)
		at_ns = pause->key;
	if (at_ns == UINT64_MAX || at_ns == forward->armed_ns)
		return;
	forward->armed_ns = at_ns;
	io_timer_set(forward->options.io, &forward->timer, at_ns);
}

bool forward_turn(struct forward *forward)
{
	routes_expire(forward);
	links_try_again(forward);
	tell_changes(forward);
	routes_turn(forward);
	links_turn(forward);
	routes_deliver(forward);
	arm_timer(forward);
	return forward->has_starved_links || !list_empty(&forward->ready) ||
	       !list_empty(&forward->ended) || !list_empty(&forward->changed) ||
	       !list_empty(&forward->attention) || !list_empty(&forward->starved) ||
	       !list_empty(&forward->starved_requests);
}

void forward_close(struct forward *forward)
{
	forward->closed = true;
	routes_close(forward);
}
