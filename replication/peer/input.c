/* What arrives over a link: greetings first, then records, whose frames become messages. Nothing of
 * a record is looked at before it is whole and proved. */
#include "base/assert.h"
#include "replication/peer/peer_parts.h"

static int message_arrived(
    struct link *link, enum peer_class class, uint8_t kind, struct slice message)
{
	struct peers *peers = link->peers;
	const struct peer_callbacks *callbacks = &peers->options.callbacks;
	if (link->introduction != NULL)
		return introduction_message(link, kind, message);
	peers->figures.messages_received++;
	callbacks->message(callbacks->arg, link->peer, class, kind, message);
	return 0;
}

/* A piece of a message that has several. */
static int piece_arrived(struct link *link, const struct peer_frame *frame, struct slice raw)
{
	enum peer_class class = frame->class;
	struct buffer *assembly = &link->assembly[class];
	uint64_t *whole_bytes = &link->assembly_bytes[class];
	/* What introduces is said in one piece. */
	if (frame->first != (*whole_bytes == 0) || link->introduction != NULL)
		return ERR_PROTOCOL;
	if (frame->first) {
		*whole_bytes = frame->message_bytes;
		link->assembly_kind[class] = frame->kind;
	}
	uint64_t have = buffer_bytes(assembly) + raw.bytes;
	if (frame->kind != link->assembly_kind[class] || have > *whole_bytes ||
	    frame->last != (have == *whole_bytes))
		return ERR_PROTOCOL;
	int error = buffer_append_slice(assembly, raw);
	if (error != 0 || !frame->last)
		return error;
	*whole_bytes = 0;
	error = message_arrived(link, class, frame->kind, buffer_view(assembly));
	buffer_clear(assembly);
	buffer_trim(assembly, PEER_RECORD_BYTES_MAX);
	return error;
}

static int frame_arrived(struct link *link, const struct peer_frame *frame)
{
	struct slice raw = frame->payload;
	if (frame->compressed) {
		int error = peer_expand(frame->payload, link->peers->raw, frame->raw_bytes);
		if (error != 0)
			return error;
		raw = slice_of(link->peers->raw, frame->raw_bytes);
	}
	if (!frame->first || !frame->last)
		return piece_arrived(link, frame, raw);
	/* Between the pieces of another message of its class nothing may stand. */
	if (link->assembly_bytes[frame->class] != 0)
		return ERR_PROTOCOL;
	if (frame->kind == PEER_KIND_PING)
		return 0;
	return message_arrived(link, frame->class, frame->kind, raw);
}

static int record_arrived(struct link *link, const struct peer_record *record)
{
	struct reader reader = reader_of(record->body);
	int error = peer_record_check(record, &link->key_in, link->number_in);
	if (error != 0)
		return error;
	link->number_in++;
	/* Not before: bytes that make nothing whole, as behind a length that was damaged, are not
	 * a sign of life. */
	link->heard_ns = io_now_ns(link->peers->io);
	/* Callbacks may end the link: then the rest is nobody's. */
	for (unsigned i = 0; i < record->frames && link_is_proved(link); i++) {
		struct peer_frame frame = {0};
		error = peer_frame_read(&reader, &frame);
		if (error == 0)
			error = frame_arrived(link, &frame);
		if (error != 0)
			return error;
	}
	return link_is_proved(link) && !reader_finished(&reader) ? ERR_PROTOCOL : 0;
}

/* Takes one thing from the begin of the input. *ret_bytes: how many it had, or, with ERR_TRUNCATED,
 * how many it will have at least. */
static int take_one(struct link *link, struct slice input, size_t *ret_bytes)
{
	if (link_is_proved(link)) {
		struct peer_record record;
		int error = peer_record_read(input, &record, ret_bytes);
		return error != 0 ? error : record_arrived(link, &record);
	}
	struct peer_greeting greeting = {.kind = 0}; /* gcc does not see that it is written */
	int error = peer_greeting_read(input, &greeting);
	*ret_bytes = input.bytes + 1;
	/* Behind a hello it is one whose bytes were changed. */
	if (link->state == LINK_HELLO && peer_is_foreign(input))
		link_is_foreign(link, input);
	if (error != 0)
		return error;
	*ret_bytes = greeting.whole.bytes;
	link_greeting_arrived(link, &greeting);
	return 0;
}

static bool listens(const struct link *link)
{
	return link->state == LINK_HELLO || link->state == LINK_PROOF || link_is_proved(link);
}

static void failed(struct link *link, int error)
{
	struct peers_figures *figures = &link->peers->figures;
	figures->damaged += error == ERR_CORRUPT;
	figures->forged += error == ERR_PERMISSION;
	figures->malformed += error == ERR_PROTOCOL;
	if (link->state != LINK_ENDING)
		link_end(link, error, true);
}

void link_received(struct link *link, const uint8_t *data, size_t bytes)
{
	link->peers->figures.bytes_received += bytes;
	/* What is whole is used where it lies. What is not is copied, and of what comes behind only
	 * as much as it lacks. */
	while (listens(link)) {
		struct slice kept = buffer_view(&link->input);
		struct slice input = kept.bytes > 0 ? kept : slice_of(data, bytes);
		size_t wanted = 0;
		if (input.bytes == 0)
			break;
		int error = take_one(link, input, &wanted);
		if (error == 0 && kept.bytes > 0) {
			buffer_consume(&link->input, wanted);
		} else if (error == 0) {
			data += wanted;
			bytes -= wanted;
		} else if (error == ERR_TRUNCATED) {
			ASSERT(wanted > input.bytes);
			size_t lacks = wanted - kept.bytes;
			size_t taken = lacks < bytes ? lacks : bytes;
			error = buffer_append(&link->input, data, taken);
			data += taken;
			bytes -= taken;
			if (error == 0 && taken < lacks)
				break;
		}
		if (error != 0) {
			failed(link, error);
			break;
		}
	}
	/* Nothing is said before a hello is answered; so nothing has to travel with it. */
	if (link->state == LINK_HANDING && bytes > 0)
		failed(link, ERR_PROTOCOL);
	if (listens(link))
		buffer_trim(&link->input, PEER_GREETING_BYTES_MAX);
}
