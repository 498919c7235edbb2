// sources: base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/resp_reader.c
// sources: base/wire/resp_writer.c base/wire/utf8.c client/lanes.c client/node.c client/reply.c
// sources: client/request.c client/slots.c client/step.c
/* One reply of a server, as libkalix makes texts of it: there always is one, its texts end, and
 * what an array or a map becomes is JSON. The same as the answer to CLUSTER SLOTS: slots are of
 * nodes that are known. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "base/wire/json.h"
#include "client/client.h"

static const char *judge(struct slice wire, const struct kalix_reply *reply)
{
	if (!reply)
		return "there is a reply";
	const char *json = kalix_reply_json(reply);
	size_t bytes = kalix_reply_json_bytes(reply);
	if (json[bytes] != 0)
		return "a text ends";
	if (strlen(kalix_reply_message(reply)) + strlen(kalix_reply_details(reply)) >
	    wire.bytes + 64)
		return "an error is no longer than what was sent";
	if (reply->code != KALIX_OK)
		return bytes == 0 ? NULL : "an error has no JSON";
	if (!memchr("*~>%,#", wire.data[0], 6))
		return NULL;
	struct json_reader reader;
	json_reader_init(&reader, slice_of(json, bytes), NULL, JSON_DEPTH_MAX);
	return json_skip(&reader) ? "an array or a map becomes JSON" : NULL;
}

static const char *judge_slots(struct slice wire)
{
	static struct node *nodes[CLIENT_NODES_MAX];
	struct kalix k = {.nodes = nodes, .epoll_fd = -1, .wake_fd = -1};
	struct node asked = {.host = "127.0.0.1", .port = "1"};
	const char *wrong = NULL;
	slots_learn(&k, &asked, wire);
	for (uint32_t slot = 0; k.slots && slot < SLOT_COUNT; slot++)
		if (k.slots[slot] > k.node_count)
			wrong = "a slot is a known node's";
	for (size_t i = 0; i < k.node_count; i++) {
		if (strlen(nodes[i]->host) == 0 || strlen(nodes[i]->port) == 0)
			wrong = "a node has an address";
		node_free(&k, nodes[i]);
	}
	mem_free(k.slots);
	return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice wire = slice_of(data, bytes);
	if (bytes == 0)
		return 0;
	struct kalix_reply *reply = reply_read(wire);
	fuzz_must_hold(judge(wire, reply));
	kalix_reply_free(reply);
	fuzz_must_hold(judge_slots(wire));
	return 0;
}
