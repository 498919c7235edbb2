#include "server/gate/call_options.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/duration.h"
#include "base/wire/json_reader.h"
#include "base/wire/msgpack.h"
#include "server/gate/commands.h"

enum option { OPTION_IDEMPOTENCY, OPTION_TIMEOUT, OPTION_STALE, OPTION_META, OPTION_COUNT };

static const char *const option_words[OPTION_COUNT] = {
    [OPTION_IDEMPOTENCY] = "idempotency",
    [OPTION_TIMEOUT] = "timeout",
    [OPTION_STALE] = "stale",
    [OPTION_META] = "meta",
};

/* OPTION_COUNT: none. */
static enum option option_of(struct slice word)
{
	/* Payloads in JSON begin with other signs most often. */
	if (word.bytes == 0 || (unsigned)(word.data[0] | 0x20) - 'a' > 'z' - 'a')
		return OPTION_COUNT;
	for (int i = 0; i < OPTION_COUNT; i++)
		if (word_is(word, option_words[i]))
			return (enum option)i;
	return OPTION_COUNT;
}

/* NULL, or what is wrong. */
static const char *take(enum option option, struct slice value, struct call_options *options)
{
	switch (option) {
	case OPTION_IDEMPOTENCY:
		if (value.bytes == 0 || value.bytes > TOKEN_BYTES_MAX)
			return "IDEMPOTENCY: a token is 1 to 128 bytes";
		options->token = value;
		return NULL;
	case OPTION_TIMEOUT:
		if (duration_parse(value, &options->timeout_ms) || options->timeout_ms == 0 ||
		    options->timeout_ms > CALL_TIMEOUT_MS_MAX)
			return "TIMEOUT: expected milliseconds from 1 to 3600000";
		return NULL;
	case OPTION_STALE:
		if (duration_parse(value, &options->stale_ms) ||
		    options->stale_ms > CALL_STALE_MS_MAX)
			return "STALE: expected milliseconds, at most 86400000";
		options->has_stale = true;
		return NULL;
	case OPTION_META:
		if (value.bytes > METADATA_BYTES_MAX)
			return "META: at most 16384 bytes";
		options->metadata = value;
		return NULL;
	case OPTION_COUNT:
		break;
	}
	UNREACHABLE();
}

int call_options_parse(const struct slice *args, uint32_t count, struct call_options *ret_options,
    const char **ret_why)
{
	struct call_options options = {.timeout_ms = CALL_TIMEOUT_MS};
	unsigned seen = 0;
	uint32_t at = 0;
	const char *why = NULL;
	if (count > 0 && option_of(args[0]) == OPTION_COUNT) {
		options.has_payload = true;
		options.payload = args[0];
		at = 1;
	}
	while (!why && at < count) {
		enum option option = option_of(args[at]);
		if (option == OPTION_COUNT)
			why = "behind the payload come IDEMPOTENCY token, TIMEOUT ms, STALE ms, "
			      "META json";
		else if (at + 1 == count)
			why = "the last option has no value";
		else if (seen & 1U << option)
			why = "an option stands twice";
		else
			why = take(option, args[at + 1], &options);
		seen |= 1U << option;
		at += 2;
	}
	if (why) {
		*ret_why = why;
		return ERR_INVALID;
	}
	*ret_options = options;
	return 0;
}

/* ---- META ---- */

/* MessagePack says how many values a container has before them: so containers are counted first, in
 * the order in which they begin. */
struct containers {
	uint32_t *counts;
	size_t known;
};

/* One walk over the text: counts, or, with `writer`, writes. */
static int walk(struct slice json, struct buffer *scratch, struct containers *containers,
    struct msgpack_writer *writer)
{
	struct json_reader reader;
	size_t open[JSON_DEPTH_MAX];
	size_t depth = 0, begun = 0;
	json_reader_init(&reader, json, scratch, JSON_DEPTH_MAX - 1);
	for (;;) {
		enum json_token token;
		int error = json_next(&reader, &token);
		if (error || token == JSON_END)
			return error;
		if (token == JSON_OBJECT_END || token == JSON_ARRAY_END) {
			depth--;
			continue;
		}
		/* A pair counts by its key. */
		/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.ArraySubscript): set below */
		bool in_object = depth > 0 && containers->counts[open[depth - 1]] >> 31;
		if (!writer && depth > 0 && (!in_object || token == JSON_KEY))
			containers->counts[open[depth - 1]]++;
		if (token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN) {
			bool object = token == JSON_OBJECT_BEGIN;
			if (!writer)
				containers->counts[begun] = object ? UINT32_C(1) << 31 : 0;
			uint32_t items = containers->counts[begun] & ~(UINT32_C(1) << 31);
			if (writer && object)
				msgpack_write_map(writer, items);
			else if (writer)
				msgpack_write_array(writer, items);
			open[depth++] = begun++;
		} else if (writer && (token == JSON_KEY || token == JSON_STRING)) {
			msgpack_write_string(writer, reader.text);
		} else if (writer && token == JSON_INTEGER) {
			msgpack_write_integer(writer, reader.integer);
		} else if (writer && token == JSON_DOUBLE) {
			msgpack_write_double(writer, reader.number);
		} else if (writer && token == JSON_NULL) {
			msgpack_write_nil(writer);
		} else if (writer) {
			msgpack_write_boolean(writer, token == JSON_TRUE);
		}
	}
}

int metadata_convert(struct slice json, struct buffer *out, const char **ret_why)
{
	ASSERT(json.bytes <= METADATA_BYTES_MAX);
	struct buffer scratch;
	struct msgpack_writer writer;
	/* Each container takes a byte of the text, and one more where it is closed. */
	struct containers containers = {
	    .counts = mem_zalloc(json.bytes + 1, sizeof(*containers.counts))};
	if (!containers.counts)
		return ERR_NOMEM;
	buffer_init(&scratch, METADATA_BYTES_MAX);
	msgpack_writer_init(&writer, out);
	int error = walk(json, &scratch, &containers, NULL);
	if (!error && !(containers.counts[0] >> 31))
		error = ERR_INVALID;
	if (!error) {
		error = walk(json, &scratch, &containers, &writer);
		int written = msgpack_writer_finish(&writer);
		error = error ? error : written;
	}
	buffer_done(&scratch);
	mem_free(containers.counts);
	if (error && error != ERR_NOMEM && error != ERR_TOO_LARGE) {
		*ret_why = "META: expected a JSON object";
		return ERR_INVALID;
	}
	return error;
}
