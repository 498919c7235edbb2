/* A node's links behind a network that carries one input: an io.h of its own, of one socket. */
#ifndef KX_TESTS_FUZZ_PEER_NET_H
#define KX_TESTS_FUZZ_PEER_NET_H

#include <stdbool.h>

#include "base/slice.h"

/* What the connection is for: a link; to ask the node, or to answer its own question. */
enum peer_net_purpose { PEER_NET_LINK, PEER_NET_QUESTION, PEER_NET_ANSWER };

/* `known`: a good handshake goes before, and the bytes are the bodies of records. In pieces of
 * `piece` + 1 bytes. */
void peer_net_run(bool known, enum peer_net_purpose purpose, unsigned piece, struct slice bytes);

#endif
