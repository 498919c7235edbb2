/* One step of a handle: what arrived, whose time is over, what can be sent. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client.h"

#define EVENTS_MAX 64

void step_wake(struct kalix *k)
{
	uint64_t one = 1;
	if (k->woken || k->stepping)
		return;
	/* The counter cannot overflow: it is written once between two steps. */
	k->woken = write(k->wake_fd, &one, sizeof(one)) == sizeof(one);
}

static void wake_seen(struct kalix *k)
{
	uint64_t count;
	if (k->woken && read(k->wake_fd, &count, sizeof(count)) == sizeof(count))
		k->woken = false;
}

uint64_t step_clock_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

static void take_events(struct kalix *k)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(k->epoll_fd, events, EVENTS_MAX, 0);
	for (int i = 0; i < count; i++)
		if (events[i].data.ptr)
			node_ready(k, events[i].data.ptr, events[i].events);
}

/* The deadline counts from the step that first sees the call: only there is the time known. */
static void take_fresh(struct kalix *k)
{
	struct list_node *link;
	while ((link = list_pop_front(&k->fresh))) {
		struct request *request = CONTAINER_OF(link, struct request, link);
		heap_insert(&k->deadlines, &request->deadline,
		    k->now_ms + request->timeout_ms + CLIENT_GRACE_MS);
		list_push_back(&k->waiting, &request->link);
	}
}

static void time_is_over(struct kalix *k, struct request *request)
{
	if (!request->sent) {
		if (request->in_doubt)
			request_fail(k, request, KALIX_UNKNOWN_OUTCOME,
			    "the connection broke, and could not be made again in time");
		else
			request_fail(k, request, KALIX_UNAVAILABLE,
			    "no server could be reached in time, or none was able to serve");
		return;
	}
	/* Its reply is still to come: a husk stays in the row, for the caller it has ended. */
	kalix_done done = request->done;
	void *arg = request->arg;
	struct node *node = request->node;
	uint64_t heard_then = request->heard_then;
	int code = request->kind == REQUEST_QUERY ? KALIX_UNAVAILABLE : KALIX_UNKNOWN_OUTCOME;
	request->done = NULL;
	k->pending--;
	done(arg, code, reply_new(code, "no reply came in time"));
	node_overdue(k, node, heard_then);
}

static void expire(struct kalix *k)
{
	struct heap_node *first;
	while ((first = heap_first(&k->deadlines)) && first->key <= k->now_ms) {
		struct request *request = CONTAINER_OF(first, struct request, deadline);
		heap_remove(&k->deadlines, first);
		time_is_over(k, request);
	}
	for (size_t i = 0; i < k->node_count; i++) {
		struct node *node = k->nodes[i];
		if (node_is_greeted(node) && node->connect_until_ms <= k->now_ms)
			node_break(k, node, "the server does not answer");
	}
}

/* The slot's node where it is known and reachable; else any that can be reached: those that were
 * given, and those that others have named. What connects slowly is passed over, and goes on: the
 * first that is there is asked. */
static struct node *node_for(struct kalix *k, const struct request *request)
{
	if (k->slots && request->slot < SLOT_COUNT && k->slots[request->slot]) {
		struct node *node = k->nodes[k->slots[request->slot] - 1];
		node_connect(k, node);
		if (!node_is_passed_over(k, node))
			return node;
	}
	for (size_t i = 0; i < k->node_count; i++) {
		struct node *node = k->nodes[k->preferred];
		if (node->host[0] != '\0')
			node_connect(k, node);
		if (node->state != CONNECTION_NONE && !node_is_passed_over(k, node))
			return node;
		k->preferred = (k->preferred + 1) % k->node_count;
	}
	return k->nodes[k->preferred];
}

static void dispatch(struct kalix *k)
{
	struct list later;
	struct list_node *link;
	list_init(&later);
	lanes_begin_dispatch(k);
	while ((link = list_pop_front(&k->waiting))) {
		struct request *request = CONTAINER_OF(link, struct request, link);
		bool now = request->retry_ms <= k->now_ms;
		struct node *node = node_for(k, request);
		if (now && lanes_may_go(k, request, node) && node_send(k, node, request))
			continue;
		lanes_hold(k, request);
		list_push_back(&later, &request->link);
	}
	list_append_all(&k->waiting, &later);
}

static uint64_t next_wake(const struct kalix *k)
{
	uint64_t wake = UINT64_MAX;
	const struct heap_node *first = heap_first(&k->deadlines);
	if (first)
		wake = first->key;
	LIST_FOR_EACH(link, &k->waiting)
	{
		const struct request *request = CONTAINER_OF(link, struct request, link);
		if (request->retry_ms > k->now_ms && request->retry_ms < wake)
			wake = request->retry_ms;
	}
	bool waits = !list_empty(&k->waiting);
	for (size_t i = 0; i < k->node_count; i++) {
		const struct node *node = k->nodes[i];
		if (node_is_greeted(node) && node->connect_until_ms < wake)
			wake = node->connect_until_ms;
		uint64_t look_ms = 0; /* at which others are asked, or it again */
		if (node->state == CONNECTION_NONE)
			look_ms = node->retry_ms;
		else if (node->state == CONNECTION_CONNECTING)
			look_ms = node->connect_soon_ms;
		if (waits && look_ms > k->now_ms && look_ms < wake)
			wake = look_ms;
	}
	return wake;
}

int kalix_step(kalix *k, uint64_t now_ms, uint64_t *ret_wake_ms)
{
	k->now_ms = now_ms;
	k->stepping = true;
	wake_seen(k);
	take_fresh(k);
	take_events(k);
	expire(k);
	take_fresh(k);
	dispatch(k);
	for (size_t i = 0; i < k->node_count; i++)
		node_flush(k, k->nodes[i]);
	k->stepping = false;
	if (!list_empty(&k->fresh))
		step_wake(k);
	if (ret_wake_ms)
		*ret_wake_ms = next_wake(k);
	return KALIX_OK;
}

int kalix_fd(const kalix *k)
{
	return k->epoll_fd;
}

size_t kalix_pending(const kalix *k)
{
	return k->pending;
}
