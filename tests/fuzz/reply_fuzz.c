// sources: base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/resp_reader.c
// sources: base/wire/utf8.c client/reply.c
/* One reply of a server, as libkalix makes texts of it: there always is one, its texts end, and
 * what an array or a map becomes is JSON. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice wire = slice_of(data, bytes);
	if (bytes == 0)
		return 0;
	struct kalix_reply *reply = reply_read(wire);
	fuzz_must_hold(judge(wire, reply));
	kalix_reply_free(reply);
	return 0;
}
