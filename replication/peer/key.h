/* What proves who sent bytes: HMAC-SHA-256 for the hellos, AES-256-GMAC for records. Private to
 * replication/peer. One thread per struct, and per call. */
#ifndef KX_REPLICATION_PEER_KEY_H
#define KX_REPLICATION_PEER_KEY_H

#include "base/error.h"
#include "base/slice.h"

enum {
	PEER_KEY_BYTES = 32,
	PEER_PROOF_BYTES = 32,
	PEER_TAG_BYTES = 16,
	PEER_LABEL_BYTES_MAX = 32,
};

struct peer_key {
	uint8_t bytes[PEER_KEY_BYTES];
};

/* What is made of the cluster's secret, which may be empty. ERR_NOMEM. */
NODISCARD int peer_key_of_secret(struct slice secret, struct peer_key *ret_key);

/* HMAC of the label (a text of our own), a and b, which together are at most 1 KiB. The lengths of
 * a and b are part of it, so that bytes cannot move from one to the other. ERR_NOMEM. */
NODISCARD int peer_prove(const struct peer_key *key, const char *label, struct slice a,
    struct slice b, uint8_t ret_proof[PEER_PROOF_BYTES]);

/* In a time that says nothing about the bytes. */
bool peer_same(const uint8_t *a, const uint8_t *b, size_t bytes);
void peer_key_forget(struct peer_key *key);

/* The tag of a head and a body that lie behind one another, under a number that the key has never
 * seen before. ERR_NOMEM. */
NODISCARD int peer_seal(const struct peer_key *key, uint64_t number, struct slice head,
    struct slice body, uint8_t ret_tag[PEER_TAG_BYTES]);

#endif
