/* A handle's begin and end. */
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "client/client.h"

const char KALIX_NO_TOKEN[] = "";

static int take_credentials(struct kalix *k, struct slice *nodes)
{
	const uint8_t *at = nodes->bytes ? memrchr(nodes->data, '@', nodes->bytes) : NULL;
	if (!at)
		return 0;
	struct slice text = slice_of(nodes->data, (size_t)(at - nodes->data));
	const uint8_t *colon = text.bytes ? memchr(text.data, ':', text.bytes) : NULL;
	if (!colon)
		return ERR_INVALID;
	size_t user = (size_t)(colon - text.data);
	size_t password = text.bytes - user - 1;
	if (user == 0 || user >= sizeof(k->user) || password == 0 ||
	    password >= sizeof(k->password))
		return ERR_INVALID;
	memcpy(k->user, text.data, user);
	memcpy(k->password, colon + 1, password);
	*nodes = slice_of(at + 1, nodes->bytes - text.bytes - 1);
	return 0;
}

static int take_nodes(struct kalix *k, struct slice nodes)
{
	const uint8_t *comma;
	do {
		comma = nodes.bytes ? memchr(nodes.data, ',', nodes.bytes) : NULL;
		size_t bytes = comma ? (size_t)(comma - nodes.data) : nodes.bytes;
		size_t number;
		int error = node_add(k, slice_of(nodes.data, bytes), &number);
		if (error)
			return error;
		k->nodes[number]->given = true;
		size_t skip = comma ? bytes + 1 : bytes;
		nodes = slice_of(nodes.data + skip, nodes.bytes - skip);
	} while (comma);
	return 0;
}

static int open_descriptors(struct kalix *k)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->epoll_fd < 0 || k->wake_fd < 0 ||
	    epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, k->wake_fd, &event))
		return ERR_FULL;
	return 0;
}

int kalix_open(const char *nodes, kalix **ret_kalix)
{
	struct slice text = slice_from_text(nodes);
	struct kalix *k = mem_zalloc(1, sizeof(*k));
	if (!k)
		return KALIX_RESOURCE_EXHAUSTED;
	k->epoll_fd = -1;
	k->wake_fd = -1;
	list_init(&k->fresh);
	list_init(&k->waiting);
	heap_init(&k->deadlines);
	k->nodes = mem_zalloc(CLIENT_NODES_MAX, sizeof(struct node *));
	int error = k->nodes ? open_descriptors(k) : ERR_NOMEM;
	for (int i = 0; i < 2 && !error; i++)
		error = random_seed_from_system(&k->token_seed[i]);
	if (!error)
		error = take_credentials(k, &text);
	if (!error)
		error = take_nodes(k, text);
	if (error) {
		kalix_close(k);
		return error == ERR_INVALID ? KALIX_INVALID_ARGUMENT : KALIX_RESOURCE_EXHAUSTED;
	}
	*ret_kalix = k;
	return KALIX_OK;
}

static void end_all(struct kalix *k, struct list *list)
{
	struct list_node *link;
	while ((link = list_pop_front(list))) {
		struct request *request = CONTAINER_OF(link, struct request, link);
		bool unknown = request->in_doubt && request->kind != REQUEST_QUERY;
		request_fail(k, request, unknown ? KALIX_UNKNOWN_OUTCOME : KALIX_UNAVAILABLE,
		    "the handle was closed");
	}
}

void kalix_close(kalix *k)
{
	if (!k)
		return;
	k->closing = true;
	for (size_t i = 0; k->nodes && i < k->node_count; i++)
		node_free(k, k->nodes[i]);
	end_all(k, &k->waiting);
	end_all(k, &k->fresh);
	if (k->wake_fd >= 0)
		close(k->wake_fd);
	if (k->epoll_fd >= 0)
		close(k->epoll_fd);
	/* A password does not stay in memory that is used again. */
	explicit_bzero(k->password, sizeof(k->password));
	mem_free(k->slots);
	mem_free(k->lanes);
	mem_free(k->nodes);
	mem_free(k);
}
