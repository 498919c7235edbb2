/* The inside of peer.h: peers, their links, and who calls whom. Private to replication/peer.
 *
 *   peers.c   the table of peers, listening, dialing again, which of two links stays
 *   link.c    one connection: its states, its ends, its sending
 *   greet.c   its handshake
 *   handover.c  its way to the core that it means
 *   introduce.c one question and its answer, over a link of no peer
 *   input.c   what arrives over it
 *
 * The states of a link:
 *
 *   CONNECTING --connected--> HELLO --their hello--> PROOF --their proof--> UP
 *        |                      | \                    |  \                 |
 *        |            (accepted)   \------ refuse -----+--- REFUSING        |
 *        |                      |                      |      | told        |
 *        +------- error --------+----------------------+------+-- error ----+--> ENDING --> freed
 *
 * An accepted one that means another core of this node goes from HELLO to HANDING, and to ENDING as
 * soon as its socket has left io.
 *
 * One for an introduction goes from PROOF to ASKING in place of UP, and has no peer ever.
 *
 * A link is freed when its operation and its socket are done, never before. Its peer may be gone
 * long before: then `peer` is NULL. */
#ifndef KX_REPLICATION_PEER_PEER_PARTS_H
#define KX_REPLICATION_PEER_PEER_PARTS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "base/io/io.h"
#include "base/list.h"
#include "base/random.h"
#include "replication/peer/hello.h"
#include "replication/peer/queue.h"

enum {
	PEER_NAME_BYTES = 64,
};

enum link_state {
	LINK_CONNECTING,
	LINK_HELLO, /* waits for the other's */
	LINK_PROOF,
	LINK_UP,
	LINK_ASKING,   /* both have proved themselves, for a question and its answer */
	LINK_HANDING,  /* its socket is leaving, to another core */
	LINK_REFUSING, /* ends when what it says is sent */
	LINK_ENDING,
};

/* A line of the log for each reason, and not more often than this. */
struct log_limit {
	uint64_t told_ns; /* 0: never */
	uint64_t silenced;
};

/* One question. Of the one that asks from its begin, of the other since it heard PEER_ASK. */
struct peer_introduction {
	/* Of the one that asks. */
	void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them);
	void *arg;
	unsigned refused; /* why; 0: not */
	bool told;
	uint8_t question[PEER_QUESTION_BYTES_MAX];
	size_t question_bytes;
	/* Of the other. */
	uint64_t token; /* 0: nothing was asked yet */
	bool answered;
	/* Of both: it is one of those that are under way. */
	bool counted;
};

struct link {
	struct peers *peers;
	struct peer *peer;          /* it dials or is up for it; NULL: not known yet, or gone */
	struct list_node node;      /* peers.links */
	struct list_node stranger;  /* peers.strangers: accepted and not proved */
	struct list_node attention; /* peers.attention: something is queued */
	enum link_state state;
	bool initiator;
	bool taken;     /* from another core: that is done once */
	bool accounted; /* why it ends has a line of its own */
	bool down_owed; /* it was up, and its owner is told when the socket is closed */
	int end_error;
	struct io_op connecting;
	struct io_socket *socket; /* NULL: not yet, or not any more */
	char name[PEER_NAME_BYTES];
	uint64_t host; /* a hash of what its address has in common with others of one machine */
	struct io_timer timer;

	/* Handshake. */
	unsigned key; /* which of peers.keys; of an accepted one the other side chooses */
	struct peer_hello ours, theirs;
	uint8_t ours_bytes[PEER_GREETING_BYTES_MAX], theirs_bytes[PEER_GREETING_BYTES_MAX];
	size_t ours_size, theirs_size;
	uint8_t greetings[2 * PEER_GREETING_BYTES_MAX]; /* to be sent */
	size_t greetings_bytes;
	struct peer_handover *handover;         /* HANDING */
	struct peer_introduction *introduction; /* NULL: it is for a peer */

	/* Out. */
	struct peer_key key_out, key_in;
	uint64_t number_out, number_in;
	struct peer_queue queue;
	struct buffer output; /* with the kernel while `writing` */
	bool writing;
	uint64_t write_turn;      /* of peers: when it was handed over */
	unsigned compressed_left; /* so many records are compressed, then it is tried without */
	struct io_op write;
	struct iovec iov;
	uint64_t sent_ns, heard_ns, up_ns;

	/* In. */
	struct buffer input; /* the begin of a record or greeting */
	struct buffer assembly[PEER_CLASSES];
	uint64_t assembly_bytes[PEER_CLASSES]; /* of the whole message; 0: none is under way */
	uint8_t assembly_kind[PEER_CLASSES];
};

struct peer {
	struct peers *peers;
	struct list_node node;
	struct peer_identity identity; /* node, incarnation, core */
	struct sockaddr_storage address;
	size_t address_bytes;
	void *arg;
	struct link *up;
	struct link *dialing;
	struct io_timer redial;
	uint64_t redial_ms;
	unsigned key;         /* to connect with */
	unsigned wrong_cores; /* in a row: SO_REUSEPORT chose another one */
	/* The last refusal since a link was up, and the last one of who is meant. */
	struct peer_refused refused;
	uint64_t refused_ns, named_ns; /* 0: none */
};

struct peers {
	struct io *io;
	struct peers_options options; /* without the secret */
	bool has_secret;
	uint64_t turns;          /* calls of peers_turn */
	struct peer_key keys[2]; /* of the secret and of the one before */
	unsigned key_count;
	uint64_t boot;
	struct random random;
	struct io_listener *listener;
	struct list peers;
	struct list links;
	struct list strangers;
	size_t stranger_count;
	struct list attention;
	unsigned introductions[2]; /* under way: asked by us, by others */
	uint64_t tokens;
	bool stopping;
	struct peers_figures figures;
	struct log_limit refused[2][PEER_REFUSALS]; /* by us, by them */
	struct log_limit ended;
	struct log_limit foreign[2], silent; /* at our port, where we connected to */
	uint8_t raw[PEER_FRAME_BYTES_MAX];   /* what a compressed piece stands for */
};

/* ---- peers.c ---- */

/* Their proof is right: makes the link its peer's. 0; a reason to refuse it; or negative: it has
 * ended meanwhile. */
int peers_establish(struct link *link);
/* The link is refused, by either side: noted for the peer that it is for, or says to be of. */
void peers_note_refusal(struct link *link, unsigned reason, bool by_us);
/* A link that was for a peer has ended. */
void peer_link_gone(struct peer *peer, struct link *link, bool was_up);
/* A socket that nobody has proved anything over becomes a link. NULL: it is closed already. */
struct link *peers_admit(struct peers *peers, struct io_socket *socket);
bool log_limit_allows(struct peers *peers, struct log_limit *limit, uint64_t *ret_silenced);

/* ---- link.c ---- */

/* NULL: no memory. */
struct link *link_new(struct peers *peers, struct peer *peer, struct io_socket *socket);
void link_connect(struct link *link, const struct sockaddr *address, size_t address_bytes);
/* From a callback of io's: `down` is told at once. Otherwise (told false) later. */
void link_end(struct link *link, int error, bool tell);
void link_leave_strangers(struct link *link); /* it has proved itself */
/* Of one that is ENDING, and whose socket and operations are done. */
void link_free(struct link *link);
void link_attend(struct link *link);
/* Gives to the kernel what is queued. */
void link_flush(struct link *link);
void link_set_timer(struct link *link);
static inline bool link_is_proved(const struct link *link)
{
	return link->state == LINK_UP || link->state == LINK_ASKING;
}

/* ---- greet.c ---- */

void link_greet(struct link *link); /* connected */
void link_greeting_arrived(struct link *link, const struct peer_greeting *greeting);
void link_refuse(struct link *link, enum peer_refusal reason);
/* Nothing was heard over it but this, which is of no node; or nothing at all, for so long. Noted
 * and said: the caller ends the link. */
void link_is_foreign(struct link *link, struct slice heard);
void link_is_silent(struct link *link);

/* ---- handover.c ---- */

/* Their hello has come, it means another core, and that core can have it. */
bool link_may_be_handed(const struct link *link);
/* ERR_NOMEM. */
NODISCARD int link_hand_over(struct link *link);

/* ---- introduce.c ---- */

/* Their PEER_ASK has come, and nothing is wrong with it. ERR_NOMEM. */
NODISCARD int introduction_begin(struct link *link);
/* Their proof is right: 0, or a reason to refuse them. */
int introduction_establish(struct link *link);
/* And they have ours. Ends the link where that fails. */
void introduction_proved(struct link *link);
/* ERR_PROTOCOL. */
NODISCARD int introduction_message(struct link *link, uint8_t kind, struct slice message);
/* Nothing is left to say. */
bool introduction_is_over(const struct link *link);
uint64_t introduction_patience_ms(const struct link *link);
/* The link is ENDING. */
void introduction_leave(struct link *link);
/* The link is over: who asked and was not told yet is told. From io_run. */
void introduction_free(struct link *link);

/* ---- input.c ---- */

void link_received(struct link *link, const uint8_t *data, size_t bytes);

#endif
