/* What two nodes say before they trust one another. Pure; private to replication/peer.
 *
 * A greeting, all numbers little-endian:
 *
 *   0  3  "KXP"
 *   3  1  what it is: enum peer_greeting_kind
 *   4  2  bytes of the content, at most PEER_GREETING_CONTENT_MAX
 *   6  2  0
 *   8  .  the content
 *   .  8  XXH3 of all before
 *
 *        the one that connects (I)                     the one that accepts (A)
 *              HELLO  ----------------------------------->
 *                     <-----------------------------------  HELLO
 *              PROOF  ----------------------------------->
 *                     <-----------------------------------  PROOF
 *
 * and records (frame.h) from then on. A proof is HMAC-SHA-256(key, label of the role, both whole
 * HELLO greetings, I's first); the records' keys of both directions are made like it, with other
 * labels. So a proof serves one role of one pair of nonces, identities and versions: one that is
 * repeated, reflected or carried to another node is wrong. The one that connects proves first:
 * nobody gets a proof to work on by connecting.
 *
 * ASK in place of I's HELLO has the same content: who is no node yet has a question (peer.h's
 * introductions). Its node and incarnation may be 0, its cluster counts for nothing, and it means
 * whoever is there. One record with the question follows, one with the answer, and the end. That it
 * is another kind is part of what is proved: nothing that was said for one can serve the other.
 *
 * REFUSE, in place of any of A's and of I's last, is followed by the end. It proves nothing: it is
 * for people. Its content (later versions may append, and nothing but the reason has to be there):
 *
 *   0   1  the reason: enum peer_refusal     1   2  the lowest version that is spoken there
 *                                            3   2  the highest
 *
 * Greetings are of no version: nodes without a common one have to tell each other so.
 *
 * A HELLO's content (version 1; later ones may append):
 *
 *   0   2  the lowest version of all that follows that it speaks    46  8  boot: of this process
 *   2   2  the highest; both use the highest that is common         54  8  the node that is meant,
 *   4   1  1: it connects, 2: it accepts                            62  8  its incarnation, and
 *   5   1  1: it has a secret                                       70  2  its core; 0, 0 and
 *   6   16 the cluster                                                     0xffff: whichever
 *   22  8  its node                                                 72  32 a nonce
 *   30  8  its incarnation
 *   38  8  its core, number of cores and of stores, and 0; 2 each
 */
#ifndef KX_REPLICATION_PEER_HELLO_H
#define KX_REPLICATION_PEER_HELLO_H

#include "replication/peer/key.h"
#include "replication/peer/peer.h"

enum {
	PEER_GREETING_HEAD_BYTES = 8,
	PEER_GREETING_HASH_BYTES = 8,
	PEER_GREETING_CONTENT_MAX = 256,
	PEER_GREETING_BYTES_MAX =
	    PEER_GREETING_HEAD_BYTES + PEER_GREETING_CONTENT_MAX + PEER_GREETING_HASH_BYTES,
	PEER_HELLO_BYTES = 104,
	PEER_NONCE_BYTES = 32,
	PEER_REFUSE_BYTES = 5,
};

#define PEER_ANY_CORE UINT16_C(0xffff)

enum peer_greeting_kind { PEER_HELLO = 1, PEER_PROOF = 2, PEER_REFUSE = 3, PEER_ASK = 4 };
enum peer_role { PEER_CONNECTS = 1, PEER_ACCEPTS = 2 };

struct peer_hello {
	struct peer_versions versions;
	enum peer_role role;
	bool has_secret;
	bool asks; /* it is an ASK */
	struct peer_identity from;
	uint64_t boot;
	uint64_t to_node, to_incarnation;
	uint16_t to_core;
	uint8_t nonce[PEER_NONCE_BYTES];
};

struct peer_refuse {
	unsigned reason;               /* 0: it has not said */
	struct peer_versions versions; /* 0 to 0: it has not said */
};

struct peer_greeting {
	enum peer_greeting_kind kind;
	struct slice content;
	struct slice whole;
};

/* The greeting at the begin of the input, views into it. ERR_TRUNCATED: more has to come;
 * ERR_PROTOCOL: it is none; ERR_CORRUPT: its hash is wrong. */
NODISCARD int peer_greeting_read(struct slice input, struct peer_greeting *ret_greeting);
/* They are of no Kalix node at all, whatever comes behind. */
bool peer_is_foreign(struct slice input);
/* What speaks like that: "HTTP", "Redis", "SSH", "TLS", "unknown". For people. */
const char *peer_foreign_name(struct slice input);
/* Writes one, and returns its bytes. */
size_t peer_greeting_write(
    enum peer_greeting_kind kind, struct slice content, uint8_t to[PEER_GREETING_BYTES_MAX]);

/* Of a greeting of the kind PEER_HELLO or PEER_ASK. ERR_PROTOCOL: values that no version has. */
NODISCARD int peer_hello_read(
    enum peer_greeting_kind kind, struct slice content, struct peer_hello *ret_hello);
/* The whole greeting. */
size_t peer_hello_write(const struct peer_hello *hello, uint8_t to[PEER_GREETING_BYTES_MAX]);

/* The whole greeting. */
size_t peer_refuse_write(const struct peer_refuse *refuse, uint8_t to[PEER_GREETING_BYTES_MAX]);
/* Of a greeting of the kind PEER_REFUSE: any content says something. */
struct peer_refuse peer_refuse_read(struct slice content);

bool peer_versions_are_good(struct peer_versions versions);
/* The highest that both speak, or 0. */
unsigned peer_version_common(struct peer_versions a, struct peer_versions b);

#endif
