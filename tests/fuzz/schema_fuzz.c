// sources: base/wire/address.c base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/msgpack.c
// sources: base/wire/transcode.c base/wire/utf8.c
// sources: scripting/matcher.c scripting/pattern.c scripting/schema.c scripting/schema_accepts.c
// sources: scripting/schema_code.c
/* A schema's encoding: what is read is written the same, accepts itself unless that takes a closer
 * look than is taken, and can be shown. */
#include "base/buffer.h"
#include "base/wire/json_writer.h"
#include "base/wire/transcode.h"
#include "scripting/schema.h"
#include "tests/fuzz/fuzz.h"

static const char *judge(struct schema *schema, struct buffer *first, struct buffer *second)
{
	char why[128];
	struct schema *again;
	if (schema_encode(schema, first))
		return "a schema can be encoded";
	if (schema_decode(buffer_view(first), &again))
		return "what was encoded can be decoded";
	int error = schema_encode(again, second);
	bool is_accepted = schema_accepts_all(NULL, again, why, sizeof(why)) ||
	                   schema_accepts_all(schema, again, why, sizeof(why)) || why[0];
	schema_release(again);
	if (error || !slice_equal(buffer_view(first), buffer_view(second)))
		return "what was decoded is encoded the same";
	if (!is_accepted)
		return "a refusal says why";
	struct json_writer writer;
	buffer_clear(second);
	json_writer_init(&writer, second);
	schema_json(schema, &writer);
	error = json_writer_finish(&writer);
	/* A default may hold what JSON has not. */
	return error && error != ERR_INVALID ? "a schema can be shown" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct schema *schema;
	if (schema_decode(slice_of(data, bytes), &schema))
		return 0;
	struct buffer first, second;
	buffer_init(&first, 1 << 24);
	buffer_init(&second, 1 << 24);
	fuzz_must_hold(judge(schema, &first, &second));
	buffer_done(&first);
	buffer_done(&second);
	schema_release(schema);
	return 0;
}
