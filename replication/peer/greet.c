/* The handshake of a link; hello.h says what is sent, and why it proves something. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log_line.h"
#include "replication/peer/peer_parts.h"

enum { VERSIONS_BYTES = sizeof("65535 to 65535") };

static const char PROOF_OF_INITIATOR[] = "initiator proves";
static const char PROOF_OF_ACCEPTOR[] = "acceptor proves";
static const char KEY_OF_INITIATOR[] = "initiator's records";
static const char KEY_OF_ACCEPTOR[] = "acceptor's records";

#define X(name, number, word, text)                                                                \
	_Static_assert((number) > 0 && (number) < PEER_REFUSALS, "counted by number");
PEER_REFUSAL_LIST(X)
#undef X

const char *peer_refusal_text(unsigned reason)
{
	switch (reason) {
#define X(name, number, word, text)                                                                \
	case number:                                                                               \
		return text;
		PEER_REFUSAL_LIST(X)
#undef X
	}
	return "unknown reason";
}

const char *peer_refusal_word(unsigned reason)
{
	switch (reason) {
#define X(name, number, word, text)                                                                \
	case number:                                                                               \
		return word;
		PEER_REFUSAL_LIST(X)
#undef X
	}
	return "unknown";
}

/* ---- Saying ---- */

static void say(struct link *link, const uint8_t *greeting, size_t bytes)
{
	ASSERT(bytes <= sizeof(link->greetings) - link->greetings_bytes);
	memcpy(link->greetings + link->greetings_bytes, greeting, bytes);
	link->greetings_bytes += bytes;
	link_flush(link);
}

/* "2", "1 to 3". */
static const char *versions_text(struct peer_versions versions, char text[VERSIONS_BYTES])
{
	if (!peer_versions_are_good(versions))
		return "unknown";
	if (versions.min == versions.max)
		snprintf(text, VERSIONS_BYTES, "%u", versions.min);
	else
		snprintf(text, VERSIONS_BYTES, "%u to %u", versions.min, versions.max);
	return text;
}

/* Ranges without a common version have an order. */
static const char *versions_advice(struct peer_versions ours, struct peer_versions theirs)
{
	if (!peer_versions_are_good(theirs))
		return "the same version of Kalix is needed on both nodes";
	if (theirs.max < ours.min)
		return "the other node is the older one: upgrade that, to a version of Kalix that "
		       "speaks what this one does";
	return "this node is the older one: upgrade it, to a version of Kalix that speaks what the "
	       "other one does";
}

static void log_refusal(struct link *link, bool by_us, unsigned reason)
{
	struct peers *peers = link->peers;
	uint64_t silenced = 0;
	const struct peer_identity *known =
	    link->peer != NULL ? &link->peer->identity : &link->theirs.from;
	unsigned line = reason < PEER_REFUSALS ? reason : 0;
	if (!log_limit_allows(peers, &peers->refused[by_us ? 0 : 1][line], &silenced))
		return;
	const struct log_field by = FIELD_TEXT("by", by_us ? "us" : "them"),
	                       why = FIELD_TEXT("reason", peer_refusal_text(reason)),
	                       address = FIELD_TEXT("address", link->name),
	                       connected = FIELD_BOOL("we_connected", link->initiator),
	                       node = FIELD_U64("node", known->node),
	                       incarnation = FIELD_HEX("incarnation", known->incarnation),
	                       core = FIELD_U64("core", known->core),
	                       unsaid = FIELD_U64("silenced", silenced);
	if (reason != PEER_REFUSED_VERSION) {
		LOG_LINE(LEVEL_WARNING, "peer_refused", by, why, address, connected, node,
		    incarnation, core, unsaid);
		return;
	}
	char ours[VERSIONS_BYTES], theirs[VERSIONS_BYTES];
	struct peer_versions versions = peers->options.versions;
	LOG_LINE(LEVEL_WARNING, "peer_refused", by, why, address, connected, node, incarnation,
	    core, FIELD_TEXT("we_speak", versions_text(versions, ours)),
	    FIELD_TEXT("they_speak", versions_text(link->theirs.versions, theirs)),
	    FIELD_TEXT("advice", versions_advice(versions, link->theirs.versions)), unsaid);
}

void link_refuse(struct link *link, enum peer_refusal reason)
{
	uint8_t greeting[PEER_GREETING_BYTES_MAX];
	const struct peer_refuse refuse = {
	    .reason = reason, .versions = link->peers->options.versions};
	link->peers->figures.refused_by_us++;
	peers_note_refusal(link, reason, true);
	if (link->introduction != NULL)
		link->introduction->refused = reason;
	if (reason == PEER_REFUSED_DUPLICATE)
		link->peers->figures.duplicates++;
	else
		log_refusal(link, true, reason);
	link->state = LINK_REFUSING;
	say(link, greeting, peer_refuse_write(&refuse, greeting));
}

/* ---- Who is no node ---- */

static void note_found(struct link *link, enum peer_refusal found)
{
	peers_note_refusal(link, found, true);
	link->accounted = true;
}

static uint64_t meant_node(const struct link *link)
{
	return link->peer != NULL ? link->peer->identity.node : 0;
}

void link_is_foreign(struct link *link, struct slice heard)
{
	struct peers *peers = link->peers;
	uint64_t silenced = 0;
	note_found(link, PEER_REFUSED_FOREIGN);
	if (!log_limit_allows(peers, &peers->foreign[link->initiator], &silenced))
		return;
	const struct log_field address = FIELD_TEXT("address", link->name),
	                       like = FIELD_TEXT("looks_like", peer_foreign_name(heard)),
	                       unsaid = FIELD_U64("silenced", silenced);
	if (link->initiator)
		LOG_LINE(LEVEL_WARNING, "not_a_peer_port", address,
		    FIELD_U64("node", meant_node(link)), like,
		    FIELD_TEXT("advice",
		        "what answers there is not the peer port of a Kalix node: look at the "
		        "address and the port"),
		    unsaid);
	else
		LOG_LINE(LEVEL_WARNING, "not_a_node", address, like,
		    FIELD_TEXT("advice",
		        "who connects from there to the peer port is no Kalix node: clients have "
		        "the client port and the cluster port"),
		    unsaid);
}

void link_is_silent(struct link *link)
{
	struct peers *peers = link->peers;
	uint64_t silenced = 0;
	note_found(link, PEER_REFUSED_SILENT);
	if (!log_limit_allows(peers, &peers->silent, &silenced))
		return;
	LOG_LINE(LEVEL_WARNING, "peer_says_nothing", FIELD_TEXT("address", link->name),
	    FIELD_U64("node", meant_node(link)),
	    FIELD_TEXT("advice",
	        "what listens there is a node that hangs, or is not the peer port of a Kalix node: "
	        "look at the address and the port"),
	    FIELD_U64("silenced", silenced));
}

static int say_hello(struct link *link)
{
	const struct peers *peers = link->peers;
	struct peer_hello *hello = &link->ours;
	*hello = (struct peer_hello){.versions = peers->options.versions,
	    .role = link->initiator ? PEER_CONNECTS : PEER_ACCEPTS,
	    .has_secret = peers->has_secret,
	    .from = peers->options.self,
	    .boot = peers->boot,
	    .asks = link->initiator && link->introduction != NULL,
	    .to_core = PEER_ANY_CORE};
	const struct peer_identity *to = link->initiator ? NULL : &link->theirs.from;
	if (link->peer != NULL)
		to = &link->peer->identity;
	if (to != NULL) {
		hello->to_node = to->node;
		hello->to_incarnation = to->incarnation;
		hello->to_core = to->core;
	}
	int error =
	    peers->options.entropy(peers->options.entropy_arg, hello->nonce, sizeof(hello->nonce));
	if (error != 0)
		return error;
	link->ours_size = peer_hello_write(hello, link->ours_bytes);
	say(link, link->ours_bytes, link->ours_size);
	return 0;
}

/* Of both hellos, the initiator's first. */
static int prove(const struct link *link, const char *label, uint8_t ret_proof[PEER_PROOF_BYTES])
{
	struct slice ours = slice_of(link->ours_bytes, link->ours_size);
	struct slice theirs = slice_of(link->theirs_bytes, link->theirs_size);
	return peer_prove(&link->peers->keys[link->key], label, link->initiator ? ours : theirs,
	    link->initiator ? theirs : ours, ret_proof);
}

static int say_proof(struct link *link)
{
	uint8_t greeting[PEER_GREETING_BYTES_MAX];
	uint8_t proof[PEER_PROOF_BYTES];
	int error = prove(link, link->initiator ? PROOF_OF_INITIATOR : PROOF_OF_ACCEPTOR, proof);
	if (error == 0)
		say(link, greeting,
		    peer_greeting_write(PEER_PROOF, slice_of(proof, sizeof(proof)), greeting));
	return error;
}

/* Nothing leaves this machine: the name is an address and a port. */
static bool is_local(const struct link *link)
{
	return strncmp(link->name, "127.", 4) == 0 || strncmp(link->name, "[::1]:", 6) == 0;
}

void link_greet(struct link *link)
{
	link->state = LINK_HELLO;
	if (!link->peers->has_secret && !is_local(link)) {
		link_refuse(link, PEER_REFUSED_REMOTE);
		return;
	}
	int error = link->initiator ? say_hello(link) : 0;
	if (error != 0)
		link_end(link, error, true);
}

/* ---- Hearing ---- */

/* Who asks knows no cluster, and may have no number. */
static int question_is_wrong(const struct link *link, const struct peer_hello *theirs)
{
	const struct peers *peers = link->peers;
	if (theirs->has_secret != peers->has_secret)
		return PEER_REFUSED_SECRET;
	if (theirs->from.node == peers->options.self.node)
		return PEER_REFUSED_SELF;
	bool answers = link->initiator || peers->options.callbacks.introduced != NULL;
	return answers ? 0 : PEER_REFUSED_QUESTION;
}

/* Whether the two hellos are of those who want one another: 0, or why not. */
static int hello_is_wrong(const struct link *link, const struct peer_hello *theirs)
{
	const struct peers *peers = link->peers;
	const struct peer_identity *self = &peers->options.self;
	if (peer_version_common(peers->options.versions, theirs->versions) == 0)
		return PEER_REFUSED_VERSION;
	bool asks = link->introduction != NULL || theirs->asks;
	if (asks)
		return question_is_wrong(link, theirs);
	if (memcmp(theirs->from.cluster, self->cluster, sizeof(self->cluster)) != 0)
		return PEER_REFUSED_CLUSTER;
	if (theirs->has_secret != peers->has_secret)
		return PEER_REFUSED_SECRET;
	if (theirs->from.node == self->node)
		return PEER_REFUSED_SELF;
	if (theirs->to_node != 0 && theirs->to_node != self->node)
		return PEER_REFUSED_NODE;
	if (theirs->to_incarnation != 0 && theirs->to_incarnation != self->incarnation)
		return PEER_REFUSED_INCARNATION;
	if (theirs->to_core != PEER_ANY_CORE && theirs->to_core != self->core)
		return PEER_REFUSED_CORE;
	if (!link->initiator)
		return 0;
	const struct peer_identity *meant = &link->peer->identity;
	if (theirs->from.node != meant->node)
		return PEER_REFUSED_NODE;
	if (theirs->from.incarnation != meant->incarnation)
		return PEER_REFUSED_INCARNATION;
	return theirs->from.core != meant->core ? PEER_REFUSED_CORE : 0;
}

static int hello_arrived(struct link *link, const struct peer_greeting *greeting)
{
	struct peer_hello theirs;
	int error = peer_hello_read(greeting->kind, greeting->content, &theirs);
	if (error != 0)
		return error;
	/* Our own, thrown back, has our role. */
	if (theirs.role != (link->initiator ? PEER_ACCEPTS : PEER_CONNECTS))
		return ERR_PROTOCOL;
	link->theirs = theirs;
	memcpy(link->theirs_bytes, greeting->whole.data, greeting->whole.bytes);
	link->theirs_size = greeting->whole.bytes;
	int refusal = hello_is_wrong(link, &theirs);
	if (refusal == PEER_REFUSED_CORE && link_may_be_handed(link))
		return link_hand_over(link);
	if (refusal != 0) {
		link_refuse(link, (enum peer_refusal)refusal);
		return 0;
	}
	error = theirs.asks ? introduction_begin(link) : 0;
	if (error != 0)
		return error;
	link->state = LINK_PROOF;
	return link->initiator ? say_proof(link) : say_hello(link);
}

static int make_keys(struct link *link)
{
	struct peer_key *initiators = link->initiator ? &link->key_out : &link->key_in;
	struct peer_key *acceptors = link->initiator ? &link->key_in : &link->key_out;
	int error = prove(link, KEY_OF_INITIATOR, initiators->bytes);
	return error != 0 ? error : prove(link, KEY_OF_ACCEPTOR, acceptors->bytes);
}

static void tell_up(struct link *link)
{
	struct peers *peers = link->peers;
	const struct peer_callbacks *callbacks = &peers->options.callbacks;
	const struct peer_identity *them = &link->theirs.from;
	link->state = LINK_UP;
	link->up_ns = link->sent_ns = link->heard_ns = io_now_ns(peers->io);
	link_set_timer(link);
	peers->figures.links_up++;
	LOG_LINE(LEVEL_INFO, "peer_up", FIELD_U64("node", them->node),
	    FIELD_HEX("incarnation", them->incarnation), FIELD_U64("core", them->core),
	    FIELD_TEXT("address", link->name), FIELD_BOOL("we_connected", link->initiator),
	    FIELD_U64("version", peer_version_common(link->ours.versions, link->theirs.versions)));
	callbacks->up(callbacks->arg, link->peer, them);
}

/* With the key that we have proved, or, of one that connects, any of ours: that is the link's then.
 * 0; PEER_REFUSED_SECRET; or an error. */
static int proof_is_wrong(struct link *link, struct slice proof)
{
	unsigned last = link->initiator ? link->key : link->peers->key_count - 1;
	const char *label = link->initiator ? PROOF_OF_ACCEPTOR : PROOF_OF_INITIATOR;
	for (; link->key <= last; link->key++) {
		uint8_t expected[PEER_PROOF_BYTES];
		int error = prove(link, label, expected);
		if (error != 0)
			return error;
		if (proof.bytes == sizeof(expected) &&
		    peer_same(proof.data, expected, sizeof(expected)))
			return 0;
	}
	link->key = 0;
	return PEER_REFUSED_SECRET;
}

static int proof_arrived(struct link *link, const struct peer_greeting *greeting)
{
	int wrong = proof_is_wrong(link, greeting->content);
	if (wrong > 0)
		link_refuse(link, (enum peer_refusal)wrong);
	if (wrong != 0)
		return wrong < 0 ? wrong : 0;
	int error = make_keys(link);
	if (error != 0)
		return error;
	int refusal =
	    link->introduction != NULL ? introduction_establish(link) : peers_establish(link);
	if (refusal > 0)
		link_refuse(link, (enum peer_refusal)refusal);
	if (refusal != 0)
		return 0;
	/* First of all that is ours to say; where it fails, the link was never up. */
	error = link->initiator ? 0 : say_proof(link);
	if (error != 0 || link->state != LINK_PROOF)
		return error;
	if (link->introduction != NULL)
		introduction_proved(link);
	else
		tell_up(link);
	return 0;
}

static void refusal_arrived(struct link *link, const struct peer_greeting *greeting)
{
	const struct peer_refuse refuse = peer_refuse_read(greeting->content);
	unsigned reason = refuse.reason;
	if (peer_versions_are_good(refuse.versions))
		link->theirs.versions = refuse.versions;
	link->peers->figures.refused_by_them++;
	peers_note_refusal(link, reason, false);
	if (link->introduction != NULL)
		link->introduction->refused = reason;
	if (link->peer != NULL && reason == PEER_REFUSED_CORE)
		link->peer->wrong_cores++;
	/* It may have only the other one. */
	if (link->peer != NULL && reason == PEER_REFUSED_SECRET)
		link->peer->key = (link->peer->key + 1) % link->peers->key_count;
	if (reason != PEER_REFUSED_DUPLICATE && reason != PEER_REFUSED_CORE)
		log_refusal(link, false, reason);
	link_end(link, ERR_REFUSED, true);
}

void link_greeting_arrived(struct link *link, const struct peer_greeting *greeting)
{
	int error = ERR_PROTOCOL;
	switch (greeting->kind) {
	case PEER_ASK:
	case PEER_HELLO:
		if (link->state == LINK_HELLO)
			error = hello_arrived(link, greeting);
		break;
	case PEER_PROOF:
		if (link->state == LINK_PROOF)
			error = proof_arrived(link, greeting);
		break;
	case PEER_REFUSE:
		refusal_arrived(link, greeting);
		return;
	}
	if (error == ERR_PROTOCOL)
		link->peers->figures.malformed++;
	if (error != 0 && link->state != LINK_ENDING)
		link_end(link, error, true);
}
