/* A connection's way from the core that accepted it to the one that it means. What has been heard
 * travels with it, which is a hello and no more: nothing is said before it is answered. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "replication/peer/peer_parts.h"

struct peer_handover {
	struct io_socket *socket; /* of no io; NULL: not yet */
	size_t hello_bytes;
	uint8_t hello[PEER_GREETING_BYTES_MAX];
};

void peer_handover_free(struct peer_handover *handover)
{
	if (handover == NULL)
		return;
	if (handover->socket != NULL)
		io_socket_discard(handover->socket);
	mem_free(handover);
}

/* ---- Here ---- */

bool link_may_be_handed(const struct link *link)
{
	const struct peers_options *options = &link->peers->options;
	return !link->initiator && !link->taken && options->callbacks.elsewhere != NULL &&
	       link->theirs.to_core < options->self.cores;
}

static void detached(struct io_socket *socket, void *owner)
{
	struct link *link = owner;
	struct peers *peers = link->peers;
	const struct peer_callbacks *callbacks = &peers->options.callbacks;
	struct peer_handover *handover = link->handover;
	uint16_t core = link->theirs.to_core;
	ASSERT(link->state == LINK_HANDING && handover->socket == NULL);
	handover->socket = socket;
	link->handover = NULL;
	link->socket = NULL;
	link->state = LINK_ENDING;
	io_timer_cancel(peers->io, &link->timer);
	link_leave_strangers(link);
	link_free(link);
	peers->figures.handed_over++;
	callbacks->elsewhere(callbacks->arg, core, handover);
}

int link_hand_over(struct link *link)
{
	ASSERT(link->state == LINK_HELLO && link->handover == NULL && !link->writing);
	struct peer_handover *handover = mem_zalloc(1, sizeof(*handover));
	if (handover == NULL)
		return ERR_NOMEM;
	memcpy(handover->hello, link->theirs_bytes, link->theirs_size);
	handover->hello_bytes = link->theirs_size;
	link->handover = handover;
	link->state = LINK_HANDING;
	io_socket_detach(link->socket, detached);
	return 0;
}

/* ---- There ---- */

void peers_take(struct peers *peers, struct peer_handover *handover)
{
	if (peers->stopping) {
		peer_handover_free(handover);
		return;
	}
	struct io_socket *socket = handover->socket;
	handover->socket = NULL;
	io_socket_adopt(peers->io, socket);
	peers->figures.taken_over++;
	struct link *link = peers_admit(peers, socket);
	if (link != NULL) {
		link->taken = true;
		link_received(link, handover->hello, handover->hello_bytes);
	}
	peer_handover_free(handover);
}
