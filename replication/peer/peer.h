/* Links between nodes: how one core's messages get to a core of another node, and who may send
 * them.
 *
 * A peer is one core of another node. To each there is at most one link at a time, over one TCP
 * connection that either side made. A link is up between the calls of `up` and `down`, which
 * alternate. What is sent while it is up arrives whole, unchanged, once, and within its class in
 * the order sent, until the link goes down; then what had not arrived is lost, and nobody says
 * which that was. Nothing is kept for the next link. Messages mean nothing here: this knows no
 * groups.
 *
 * Who is who. A node is (cluster, node, incarnation): one that comes back without its disk, or with
 * an older one, is another incarnation and gets no link under the old one's name. Both sides prove
 * that they know the cluster's secret before either takes anything for true: HMAC-SHA-256 over both
 * hellos, which carry both nonces, identities and roles. What follows is authenticated by a key of
 * this connection and direction, and numbered: it can be neither changed, repeated, reordered nor
 * put in by others. It can be read: this is not encryption. Without a secret only connections from
 * and to this machine itself are made. Whoever is refused is told by a number why, and both sides
 * log it, a line for each reason in ten seconds at most. So is who answers at a node's address, or
 * connects to our port, and is no node: a web server, a client of Redis.
 *
 * Classes. What is of class PEER_URGENT goes before everything else that is queued; PEER_ENTRIES
 * and PEER_BULK share the rest four to one. Large messages go in pieces, so that none waits for
 * one; at most PEER_WRITE_BYTES_MAX are with the kernel and cannot be overtaken, beside about as
 * much that it buffers itself. Each class has a bounded queue: peer_send says ERR_FULL, and `room`
 * comes when half of it is free.
 *
 * Time. Each side says something every `ping_ms`, and a link is down when nothing was heard for
 * `dead_ms` or nothing sent was acknowledged for so long. Connecting is tried again after
 * `redial_ms_min`, doubled up to `redial_ms_max`, each time less up to half of it at random.
 * Where both sides connect at the same time, the connection of the side that is smaller by (node,
 * core) stays.
 *
 * Callbacks come from io_run or peers_turn, never from inside a call of peer_*. In a callback every
 * function of this header may be called but peers_free.
 *
 * Introductions. A node that wants to join knows an address and the secret, no number of its own,
 * nor whom it connects to, nor the cluster's id. It asks one question over a connection of its own
 * and gets one answer, to the same port, with the same proofs: neither side believes, nor says more
 * than its hello, before the other has proved that it knows the secret (or, without one, is this
 * machine). They end there: peers whose `self.node` is 0 are good for that alone, and are made anew
 * when the node has a number. A node that has one may ask, too.
 *
 * A node's cores may share one address (SO_REUSEPORT): which of them a connection comes to is
 * chance, and who is meant stands in the first thing that is said over it. Then it is handed on,
 * with that (`elsewhere`, peers_take).
 *
 * One thread, the io's. Runs on both implementations of io.h.
 */
#ifndef KX_REPLICATION_PEER_PEER_H
#define KX_REPLICATION_PEER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"

struct io;
struct iovec;
struct peer;
struct peer_handover;
struct peers;
struct sockaddr;

enum peer_class {
	PEER_URGENT,  /* heartbeats, votes: small */
	PEER_ENTRIES, /* entries and their acknowledgements */
	PEER_BULK,    /* snapshots */
};
enum { PEER_CLASSES = 3 };

enum {
	PEER_CLUSTER_BYTES = 16,
	PEER_KIND_MAX = 239, /* above are our own */
	/* Shorter ones are guessed. */
	PEER_SECRET_BYTES_MIN = 16,
};

/* Of all that is said over a link, its owner's messages too: from the lowest to the highest that
 * somebody speaks. Both use the highest that is common; where there is none both are refused, and
 * say so with both.
 *
 *   1   the first one
 *   2   a call that is forwarded has the term that it is sent to */
struct peer_versions {
	uint16_t min, max; /* 1 <= min <= max */
};
enum { PEER_VERSION_MIN = 2, PEER_VERSION_MAX = 2 };

struct peer_identity {
	uint8_t cluster[PEER_CLUSTER_BYTES];
	uint64_t node;        /* > 0; 0: one that asks to be introduced, and has none yet */
	uint64_t incarnation; /* > 0, but of such a one */
	uint16_t core;        /* which of `cores` */
	uint16_t cores, stores;
};

/* X(NAME, number on the wire, a word for programs, what it says) */
#define PEER_REFUSAL_LIST(X)                                                                       \
	X(PEER_REFUSED_VERSION, 1, "version", "no common version of the protocol")                 \
	X(PEER_REFUSED_CLUSTER, 2, "cluster", "another cluster")                                   \
	X(PEER_REFUSED_SECRET, 3, "secret",                                                        \
	    "the cluster secret is another one, or only one side has it")                          \
	X(PEER_REFUSED_NODE, 4, "node", "another node is meant")                                   \
	X(PEER_REFUSED_INCARNATION, 5, "incarnation", "another incarnation of the node is meant")  \
	X(PEER_REFUSED_CORE, 6, "core", "another core is meant")                                   \
	X(PEER_REFUSED_STRANGER, 7, "stranger", "no such node is known here")                      \
	X(PEER_REFUSED_REMOTE, 8, "remote",                                                        \
	    "without a cluster secret only this machine may connect")                              \
	X(PEER_REFUSED_SELF, 9, "self", "it is the same node")                                     \
	X(PEER_REFUSED_DUPLICATE, 10, "duplicate", "there is a link already")                      \
	X(PEER_REFUSED_QUESTION, 11, "question", "nobody is introduced here")                      \
	X(PEER_REFUSED_BUSY, 12, "busy", "too many are being introduced")                          \
	/* No node has said these: they are what was found in a node's place, or at our port. */   \
	X(PEER_REFUSED_FOREIGN, 13, "foreign", "it is no Kalix node")                              \
	X(PEER_REFUSED_SILENT, 14, "silent", "it says nothing")

enum peer_refusal {
#define X(name, number, word, text) name = number,
	PEER_REFUSAL_LIST(X)
#undef X
};
enum { PEER_REFUSALS = 15 }; /* above all numbers */

/* "another cluster"; "unknown reason" for a number that is not in the list. */
const char *peer_refusal_text(unsigned reason);
/* "cluster"; "unknown". */
const char *peer_refusal_word(unsigned reason);

struct peer_callbacks {
	/* The peer is there; `them` is valid during the call. */
	void (*up)(void *arg, struct peer *peer, const struct peer_identity *them);
	/* It is gone: ERR_CLOSED, ERR_TIMEOUT, another error of the connection; ERR_EXISTS: a newer
	 * link takes its place; ERR_CORRUPT: bytes came changed; ERR_PERMISSION: bytes came that
	 * the peer did not send; ERR_PROTOCOL; ERR_NOMEM; ERR_CANCELED: peers_stop. */
	void (*down)(void *arg, struct peer *peer, int error);
	/* `message` is valid during the call. */
	void (*message)(void *arg, struct peer *peer, enum peer_class class, uint8_t kind,
	    struct slice message);
	/* After an ERR_FULL of this class, when half of its queue is free. May be NULL. */
	void (*room)(void *arg, struct peer *peer, enum peer_class class);
	/* A node of the cluster (it knows the secret) that is no peer yet, or under another
	 * incarnation, connects. It is let in where it is one after the call. May be NULL. */
	void (*stranger)(void *arg, const struct peer_identity *them);
	/* A connection came here, to this node's one address, and means its core `core`: nothing is
	 * proved yet. `handover` is the callee's, who brings it to that core's peers_take, or gives
	 * it to peer_handover_free. NULL: it is refused, and the other side tries again. */
	void (*elsewhere)(void *arg, uint16_t core, struct peer_handover *handover);
	/* Somebody who knows the secret asks (peers_introduce there); `them` and `question` are
	 * valid during the call. The answer is peers_introduced with the token, now or within
	 * `answer_ms`. NULL: nobody is answered. */
	void (*introduced)(
	    void *arg, const struct peer_identity *them, struct slice question, uint64_t token);
	void *arg;
};

/* Zeros stand for the defaults. */
struct peers_options {
	struct peer_identity self;
	struct peer_versions versions; /* PEER_VERSION_MIN to PEER_VERSION_MAX */
	/* Empty: none. Not kept, only what is derived from them. While the cluster's secret is
	 * changed the one before is `secret_previous`, and both are good: connecting is tried with
	 * the new one first and with the other where that is refused. So a cluster gets a new one
	 * node by node: first all have both, then all have the new one only. */
	struct slice secret, secret_previous;
	struct peer_callbacks callbacks;

	/* Bytes that nobody can guess; must be given. Below is the system's. Error: ERR_*. */
	int (*entropy)(void *arg, uint8_t *to, size_t bytes);
	void *entropy_arg;

	uint32_t ping_ms;                       /* 1000 */
	uint32_t dead_ms;                       /* 5000; at least twice ping_ms */
	uint32_t handshake_ms;                  /* 5000: connecting and proving, each */
	uint32_t redial_ms_min, redial_ms_max;  /* 50 and 5000 */
	uint32_t answer_ms;                     /* 10000: for a question to be answered */
	uint32_t held_up_ms;                    /* 10: a write that takes as long was */
	uint64_t queue_bytes_max[PEER_CLASSES]; /* PEER_QUEUE_BYTES_DEFAULT, urgent a sixteenth */
};

int peers_entropy_system(void *arg, uint8_t *to, size_t bytes);

/* ERR_INVALID (a secret that is too short, a previous one alone, an identity with zeros, versions
 * or times that do not fit), ERR_NOMEM, or what entropy says. `options` is copied; `io` outlives
 * it. With `self.node` 0 they only introduce, and need no callbacks. */
NODISCARD int peers_new(
    struct io *io, const struct peers_options *options, struct peers **ret_peers);

/* Takes connections at the address from now on; one only. Errors: those of io_listen; ERR_INVALID:
 * `self.node` is 0. */
NODISCARD int peers_listen(
    struct peers *peers, const struct sockaddr *address, size_t address_bytes);
uint16_t peers_port(const struct peers *peers); /* 0: does not listen */

/* Goes on with a connection that another core of this node was asked for. The handover is taken in
 * any case: where it cannot go on (no memory, peers_stop) the connection is closed. */
void peers_take(struct peers *peers, struct peer_handover *handover);
/* Any thread: closes the connection of one that nobody takes. NULL-safe. */
void peer_handover_free(struct peer_handover *handover);

/* Asks whichever core of whichever node is there; both slices are copied or valid during the call.
 * `done` comes once, from io_run, also where peers_stop ends it: 0 with an answer, and who gave it;
 * or an error, and `them` is NULL: ERR_PERMISSION: the secrets differ, or without one the other is
 * not this machine; ERR_UNSUPPORTED: no common version, or nobody is introduced there; ERR_AGAIN:
 * too many are; ERR_EXISTS: it is this node itself; ERR_PROTOCOL: what answers is no node;
 * ERR_TIMEOUT; ERR_CLOSED; ERR_REFUSED: nobody
 * listens there; others of connections. Not tried again by itself. Errors here: ERR_INVALID (the
 * address), ERR_TOO_LARGE (more than PEER_QUESTION_BYTES_MAX), ERR_FULL (PEER_INTRODUCTIONS_MAX are
 * under way), ERR_CANCELED (peers_stop was called), ERR_NOMEM. */
NODISCARD int peers_introduce(struct peers *peers, const struct sockaddr *address,
    size_t address_bytes, struct slice question,
    void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them),
    void *arg);
/* The answer to a question; the connection ends when it is sent. ERR_CLOSED: who asked has gone, or
 * waited too long, or it was answered; ERR_TOO_LARGE: more than PEER_ANSWER_BYTES_MAX;
 * ERR_NOMEM. */
NODISCARD int peers_introduced(struct peers *peers, uint64_t token, struct slice answer);

/* Sends what the turn has queued: once, at the end of each. */
void peers_turn(struct peers *peers);

/* Takes no more connections and ends all links (`down` comes as ever). peers_stopped says, after
 * some turns, that nothing is under way any more; only then peers_free may be called, which frees
 * the peers too. */
void peers_stop(struct peers *peers);
bool peers_stopped(const struct peers *peers);
void peers_free(struct peers *peers); /* NULL-safe */

/* A peer to have a link with: node, incarnation and core of `them` count. An address of 0 bytes:
 * it will connect to us. `arg` is the caller's. ERR_EXISTS (node and core), ERR_INVALID (it is
 * ourselves, or the address is none, or `self.node` is 0), ERR_NOMEM. */
NODISCARD int peer_add(struct peers *peers, const struct peer_identity *them,
    const struct sockaddr *address, size_t address_bytes, void *arg, struct peer **ret_peer);
/* Ends its link without a word, and frees it: no callback names it any more. */
void peer_remove(struct peer *peer);
/* Ends its link, if one is up: `down` comes with this error (below 0), soon and not from in here,
 * and then it is linked anew. From any callback; for who is told what makes no sense. */
void peer_reset(struct peer *peer, int error);
/* From the next time that it is connected to; at once where no link is up. ERR_INVALID. */
NODISCARD int peer_set_address(
    struct peer *peer, const struct sockaddr *address, size_t address_bytes);
void *peer_arg(const struct peer *peer);
bool peer_is_up(const struct peer *peer);

/* Why there is no link, where somebody is there. */
struct peer_refused {
	unsigned reason; /* enum peer_refusal, or a number that a later version has */
	bool by_us;
	/* Lately who is there has said to be the node that is meant, of this cluster, in that
	 * incarnation. */
	bool named;
};
/* True: no link is up, and attempts at one, of either side, were refused lately: within about three
 * of them. Nothing of it was proved: it is for people, and for who asks whether a node is gone.
 * What ends by itself (another core was reached, there is a link already) is no such reason. */
bool peer_refused(const struct peer *peer, struct peer_refused *ret_refused);
/* NULL: there is none. */
struct peer *peer_find(const struct peers *peers, uint64_t node, uint16_t core);

/* Queues a message (the bytes are copied). ERR_CLOSED: no link is up; ERR_FULL: its class is full;
 * ERR_TOO_LARGE: more than PEER_MESSAGE_BYTES_MAX, of PEER_URGENT PEER_URGENT_BYTES_MAX; ERR_NOMEM.
 * An empty queue takes any message. */
NODISCARD int peer_send(struct peer *peer, enum peer_class class, uint8_t kind,
    const struct iovec *iov, size_t iov_count);
/* The same without a copy: on 0 `data` is ours until `release` was called, once, from anywhere in
 * here; on an error it never is. */
NODISCARD int peer_send_owned(struct peer *peer, enum peer_class class, uint8_t kind,
    struct slice data, void (*release)(void *arg), void *arg);
/* Bytes queued in the class and not yet with the kernel. */
uint64_t peer_queued_bytes(const struct peer *peer, enum peer_class class);

struct peers_figures {
	uint64_t links_up, links_down, dials, accepted;
	uint64_t dials_failed; /* nobody was there */
	uint64_t refused_by_us, refused_by_them;
	/* Of both, by reason; 0: none that is known here. FOREIGN and SILENT are of neither. */
	uint64_t refused[PEER_REFUSALS];
	uint64_t messages_sent, messages_received;
	uint64_t records_sent, bytes_sent, bytes_received;
	uint64_t writes;
	uint64_t frames_compressed, compressed_from, compressed_to;
	uint64_t queue_full;
	uint64_t damaged, forged, malformed, silent;
	uint64_t replaced, duplicates;
	uint64_t asked, answered;         /* introductions: answers got, and given */
	uint64_t handed_over, taken_over; /* connections, to and from other cores of this node */
};
struct peers_figures peers_figures(const struct peers *peers);

#endif
