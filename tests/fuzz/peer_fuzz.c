// sources: replication/peer/frame.c replication/peer/hello.c replication/peer/key.c
// sources: replication/peer/queue.c replication/peer/input.c replication/peer/greet.c
// sources: replication/peer/handover.c replication/peer/introduce.c replication/peer/link.c
// sources: replication/peer/peers.c
// sources: tests/fuzz/peer_net.c
// sources: base/io/timers.c
// libraries: -llz4 -lcrypto -lxxhash
/* Bytes from another node. The first byte says who sends them:
 *
 *   even  anybody: to a node's listener, cut at random
 *   odd   somebody who knows the secret (which is none here): a good handshake goes before, and the
 *         bytes are the bodies of records, one after the other, sealed as they should be
 *
 * and its highest bits what for: a link, a question to the node, or the answer to its own.
 *
 * Every parser is also given them by itself. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/peer_net.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log_line.h"
#include "replication/peer/frame.h"
#include "replication/peer/hello.h"

/* With ranges below, around and above ours. */
static void negotiate(struct peer_versions theirs)
{
	static const struct peer_versions ours[] = {{1, 1}, {1, 2}, {2, 3}, {2, UINT16_MAX}};
	fuzz_must_hold(peer_versions_are_good(theirs) ? NULL : "what is read is a range");
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		unsigned common = peer_version_common(ours[i], theirs);
		bool overlap = ours[i].min <= theirs.max && theirs.min <= ours[i].max;
		bool spoken = common >= ours[i].min && common <= ours[i].max &&
		              common >= theirs.min && common <= theirs.max;
		bool highest = common == ours[i].max || common == theirs.max;
		fuzz_must_hold(common == peer_version_common(theirs, ours[i])
		                   ? NULL
		                   : "both sides find the same version");
		fuzz_must_hold((overlap ? spoken && highest : common == 0)
		                   ? NULL
		                   : "it is the highest that both speak");
	}
}

/* As the content of a refusal. */
static void parse_refuse(struct slice content)
{
	struct peer_refuse refuse = peer_refuse_read(content);
	uint8_t again[PEER_GREETING_BYTES_MAX];
	struct peer_greeting greeting;
	if (!peer_versions_are_good(refuse.versions))
		return;
	size_t bytes = peer_refuse_write(&refuse, again);
	fuzz_must_hold(peer_greeting_read(slice_of(again, bytes), &greeting) == 0 &&
	                       greeting.kind == PEER_REFUSE &&
	                       memcmp(greeting.content.data, content.data, PEER_REFUSE_BYTES) == 0
	                   ? NULL
	                   : "a refusal is written as it was read");
}

static void parse(struct slice bytes)
{
	static uint8_t expanded[PEER_FRAME_BYTES_MAX];
	struct peer_greeting greeting;
	struct peer_record record;
	struct peer_frame frame;
	size_t wanted = 0;
	if (peer_greeting_read(bytes, &greeting) == 0) {
		struct peer_hello hello;
		uint8_t again[PEER_GREETING_BYTES_MAX];
		if ((greeting.kind == PEER_HELLO || greeting.kind == PEER_ASK) &&
		    peer_hello_read(greeting.kind, greeting.content, &hello) == 0) {
			(void)peer_hello_write(&hello, again);
			negotiate(hello.versions);
		}
	}
	parse_refuse(bytes);
	fuzz_must_hold(
	    !peer_is_foreign(bytes) || (peer_greeting_read(bytes, &greeting) == ERR_PROTOCOL &&
	                                   peer_foreign_name(bytes)[0] != '\0')
	        ? NULL
	        : "who is foreign greets in no way, and has a name");
	if (peer_record_read(bytes, &record, &wanted) == 0) {
		struct peer_key key = {{1}};
		fuzz_must_hold(record.bytes <= bytes.bytes ? NULL : "a record lies in its bytes");
		fuzz_must_hold(
		    peer_record_check(&record, &key, 3) != 0 ? NULL : "a tag is guessed");
	}
	struct reader reader = reader_of(bytes);
	while (reader_left(&reader) > 0 && peer_frame_read(&reader, &frame) == 0)
		if (frame.compressed)
			(void)peer_expand(frame.payload, expanded, frame.raw_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	log_line_set_level(LEVEL_ERROR);
	if (bytes == 0)
		return 0;
	struct slice rest = slice_of(data + 1, bytes - 1);
	parse(rest);
	static const enum peer_net_purpose purposes[] = {
	    PEER_NET_LINK, PEER_NET_LINK, PEER_NET_QUESTION, PEER_NET_ANSWER};
	peer_net_run(data[0] % 2 == 1, purposes[data[0] / 64], data[0] / 2, rest);
	return 0;
}
