/* Introductions: one question of a node that is none yet, and its answer. The handshake is that of
 * a link; what follows are two messages, numbered and sealed as all are. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/peer/peer_parts.h"

/* Kinds of messages, of these connections alone. */
enum { KIND_QUESTION = 1, KIND_ANSWER = 2 };

static unsigned *under_way(struct link *link)
{
	return &link->peers->introductions[link->initiator ? 0 : 1];
}

static void count(struct link *link)
{
	link->introduction->counted = true;
	++*under_way(link);
}

static int say(struct link *link, uint8_t kind, struct slice text)
{
	struct peer_message *message = mem_alloc(sizeof(*message) + text.bytes);
	if (message == NULL)
		return ERR_NOMEM;
	*message = (struct peer_message){
	    .data = message->copy, .bytes = text.bytes, .class = PEER_ENTRIES, .kind = kind};
	if (text.bytes > 0)
		memcpy(message->copy, text.data, text.bytes);
	peer_queue_push(&link->queue, message);
	link_attend(link);
	return 0;
}

/* ---- The end ---- */

static int error_of_refusal(unsigned reason, int error)
{
	switch (reason) {
	case PEER_REFUSED_SECRET:
	case PEER_REFUSED_REMOTE:
		return ERR_PERMISSION;
	case PEER_REFUSED_VERSION:
	case PEER_REFUSED_QUESTION:
		return ERR_UNSUPPORTED;
	case PEER_REFUSED_BUSY:
		return ERR_AGAIN;
	case PEER_REFUSED_SELF:
		return ERR_EXISTS;
	}
	return error;
}

void introduction_leave(struct link *link)
{
	struct peer_introduction *introduction = link->introduction;
	if (introduction == NULL || !introduction->counted)
		return;
	introduction->counted = false;
	--*under_way(link);
}

void introduction_free(struct link *link)
{
	struct peer_introduction *introduction = link->introduction;
	if (introduction == NULL)
		return;
	ASSERT(link->state == LINK_ENDING && !introduction->counted);
	link->introduction = NULL;
	if (link->initiator && !introduction->told)
		introduction->done(introduction->arg,
		    error_of_refusal(introduction->refused, link->end_error), slice_of(NULL, 0),
		    NULL);
	mem_free(introduction);
}

bool introduction_is_over(const struct link *link)
{
	return link->introduction->answered && peer_queue_bytes(&link->queue) == 0;
}

uint64_t introduction_patience_ms(const struct link *link)
{
	const struct peers_options *options = &link->peers->options;
	/* First the other side waits for the question. */
	if (link->initiator)
		return (uint64_t)options->handshake_ms + options->answer_ms;
	bool waits = link->introduction->token != 0 && !link->introduction->answered;
	return waits ? options->answer_ms : options->handshake_ms;
}

/* ---- The handshake ---- */

int introduction_begin(struct link *link)
{
	ASSERT(!link->initiator && link->introduction == NULL);
	link->introduction = mem_zalloc(1, sizeof(*link->introduction));
	return link->introduction != NULL ? 0 : ERR_NOMEM;
}

int introduction_establish(struct link *link)
{
	link_leave_strangers(link);
	if (link->initiator)
		return 0;
	if (*under_way(link) >= PEER_INTRODUCTIONS_MAX)
		return PEER_REFUSED_BUSY;
	count(link);
	return 0;
}

void introduction_proved(struct link *link)
{
	const struct peer_introduction *introduction = link->introduction;
	link->state = LINK_ASKING;
	link_set_timer(link);
	if (!link->initiator)
		return;
	int error = say(
	    link, KIND_QUESTION, slice_of(introduction->question, introduction->question_bytes));
	if (error != 0)
		link_end(link, error, true);
	else
		link_flush(link);
}

/* ---- The question and the answer ---- */

static void question_arrived(struct link *link, struct slice question)
{
	struct peers *peers = link->peers;
	const struct peer_callbacks *callbacks = &peers->options.callbacks;
	link->introduction->token = ++peers->tokens;
	link_set_timer(link);
	callbacks->introduced(
	    callbacks->arg, &link->theirs.from, question, link->introduction->token);
}

static void answer_arrived(struct link *link, struct slice answer)
{
	struct peer_introduction *introduction = link->introduction;
	introduction->told = true;
	link->peers->figures.asked++;
	LOG_LINE(LEVEL_INFO, "peer_introduced", FIELD_TEXT("address", link->name),
	    FIELD_BOOL("we_asked", true), FIELD_U64("node", link->theirs.from.node));
	introduction->done(introduction->arg, 0, answer, &link->theirs.from);
	/* It may have stopped all. */
	if (link->state != LINK_ENDING)
		link_end(link, ERR_CANCELED, true);
}

int introduction_message(struct link *link, uint8_t kind, struct slice message)
{
	bool is_first =
	    link->initiator ? !link->introduction->told : link->introduction->token == 0;
	if (!is_first || kind != (link->initiator ? KIND_ANSWER : KIND_QUESTION) ||
	    message.bytes > (link->initiator ? PEER_ANSWER_BYTES_MAX : PEER_QUESTION_BYTES_MAX))
		return ERR_PROTOCOL;
	if (link->initiator)
		answer_arrived(link, message);
	else
		question_arrived(link, message);
	return 0;
}

static struct link *find_token(const struct peers *peers, uint64_t token)
{
	LIST_FOR_EACH(at, &peers->links)
	{
		struct link *link = CONTAINER_OF(at, struct link, node);
		if (link->state == LINK_ASKING && !link->initiator &&
		    link->introduction->token == token && !link->introduction->answered)
			return link;
	}
	return NULL;
}

int peers_introduced(struct peers *peers, uint64_t token, struct slice answer)
{
	struct link *link = token != 0 ? find_token(peers, token) : NULL;
	if (link == NULL)
		return ERR_CLOSED;
	if (answer.bytes > PEER_ANSWER_BYTES_MAX)
		return ERR_TOO_LARGE;
	int error = say(link, KIND_ANSWER, answer);
	if (error != 0)
		return error;
	link->introduction->answered = true;
	link_set_timer(link);
	peers->figures.answered++;
	LOG_LINE(LEVEL_INFO, "peer_introduced", FIELD_TEXT("address", link->name),
	    FIELD_BOOL("we_asked", false), FIELD_U64("node", link->theirs.from.node));
	return 0;
}

int peers_introduce(struct peers *peers, const struct sockaddr *address, size_t address_bytes,
    struct slice question,
    void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them),
    void *arg)
{
	ASSERT(done != NULL);
	if (address_bytes == 0 || address_bytes > sizeof(struct sockaddr_storage) ||
	    (address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return ERR_INVALID;
	if (question.bytes > PEER_QUESTION_BYTES_MAX)
		return ERR_TOO_LARGE;
	if (peers->stopping)
		return ERR_CANCELED;
	if (peers->introductions[0] >= PEER_INTRODUCTIONS_MAX)
		return ERR_FULL;
	struct peer_introduction *introduction = mem_zalloc(1, sizeof(*introduction));
	struct link *link = introduction != NULL ? link_new(peers, NULL, NULL) : NULL;
	if (link == NULL) {
		mem_free(introduction);
		return ERR_NOMEM;
	}
	introduction->done = done;
	introduction->arg = arg;
	if (question.bytes > 0)
		memcpy(introduction->question, question.data, question.bytes);
	introduction->question_bytes = question.bytes;
	link->introduction = introduction;
	link->initiator = true;
	count(link);
	link_connect(link, address, address_bytes);
	return 0;
}
