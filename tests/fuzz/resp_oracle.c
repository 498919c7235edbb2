#include "tests/fuzz/resp_oracle.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/random.h"
#include "base/wire/resp.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TRANSCRIPT_BYTES_MAX = 256 << 20,
	ARGS_MAX = 16,
	/* How a stream is cut: whole, into single bytes, or at random. */
	CUT_NOT = 0,
	CUT_BYTES = 1,
	CUT_RANDOM = 2,
};

/* Small, so that short inputs reach all of them. */
static const struct resp_limits LIMITS = {
    .args_max = ARGS_MAX,
    .bulk_bytes_max = 200,
    .inline_bytes_max = 100,
    .request_bytes_max = 500,
};

/* What happened, as text. */
#define NOTE(transcript, ...)                                                                      \
	do {                                                                                       \
		if (buffer_append_format(transcript, __VA_ARGS__))                                 \
			abort();                                                                   \
	} while (0)

static void note_bytes(struct buffer *transcript, struct slice bytes)
{
	NOTE(transcript, " %zu:", bytes.bytes);
	if (buffer_append_slice(transcript, bytes))
		abort();
}

static size_t next_cut(int cut, struct random *random, size_t left)
{
	if (cut == CUT_NOT || left == 0)
		return left;
	return cut == CUT_BYTES ? 1 : (size_t)random_between(random, 1, left < 40 ? left : 40);
}

/* At another address every time, and with nothing behind it. */
static uint8_t *copy_of(struct slice bytes)
{
	uint8_t *copy = malloc(bytes.bytes > 0 ? bytes.bytes : 1);
	if (!copy)
		abort();
	if (bytes.bytes > 0)
		memcpy(copy, bytes.data, bytes.bytes);
	return copy;
}

/* --- Requests --------------------------------------------------------------------------------- */

static void note_request(
    struct buffer *transcript, const struct slice *args, uint32_t args_count, size_t bytes)
{
	NOTE(transcript, "request of %zu:", bytes);
	for (uint32_t i = 0; i < args_count; i++)
		note_bytes(transcript, args[i]);
	NOTE(transcript, "\n");
}

static const char *judge_error_text(const struct resp_parser *parser)
{
	static const char prefix[] = "Protocol error: ";
	char text[RESP_ERROR_TEXT_BYTES_MAX];
	resp_error_text(parser, text);
	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return "an error without a text";
	for (const char *at = text; *at; at++) {
		if (*at < 0x20 || *at > 0x7e)
			return "a text that is not printable";
	}
	return NULL;
}

/* All requests of the stream, and how it ended. */
static const char *parse_stream(
    struct slice stream, int cut, uint64_t seed, struct buffer *transcript)
{
	struct random random;
	random_init(&random, seed);
	struct resp_parser parser;
	resp_parser_init(&parser);
	size_t begin = 0;
	size_t end = next_cut(cut, &random, stream.bytes);
	for (;;) {
		struct slice args[ARGS_MAX];
		struct resp_request request;
		size_t bytes = end - begin;
		uint8_t *copy = copy_of(slice_of(stream.data + begin, bytes));
		int error = resp_parse(&parser, &LIMITS, copy, bytes, args, &request);
		if (error == 0)
			note_request(transcript, args, request.args_count, request.bytes);
		free(copy);
		if (error == 0) {
			begin += request.bytes;
			if (request.bytes == 0 || begin > end)
				return "a request takes no bytes, or more than there are";
			continue;
		}
		if (error != ERR_TRUNCATED) {
			NOTE(transcript, "%s\n", error_name(error));
			return judge_error_text(&parser);
		}
		size_t wanted = resp_parser_wanted(&parser);
		if (wanted <= bytes || wanted > LIMITS.request_bytes_max)
			return "no more bytes wanted, or more than a request may have";
		if (end == stream.bytes) {
			NOTE(transcript, "%s\n", error_name(error));
			return NULL;
		}
		end += next_cut(cut, &random, stream.bytes - end);
	}
}

/* The second parser sees the longest request's bytes, or as many of them as there are. */
struct plain {
	const uint8_t *data;
	size_t bytes;
	size_t at;
	struct slice args[ARGS_MAX];
	uint32_t args_count;
	uint8_t text[500]; /* of an inline command's words; LIMITS.request_bytes_max */
};

static int plain_more(const struct plain *plain)
{
	return plain->bytes >= LIMITS.request_bytes_max ? ERR_TOO_LARGE : ERR_TRUNCATED;
}

/* A number's text is right when printing the number gives it back. */
static int plain_length(struct plain *plain, long long *ret_length)
{
	char text[40] = "";
	size_t length = 0;
	while (plain->at < plain->bytes && strchr("-0123456789", plain->data[plain->at]) &&
	       plain->data[plain->at] != '\0' && length < 30)
		text[length++] = (char)plain->data[plain->at++];
	const char *digits = text[0] == '-' ? text + 1 : text;
	if (strchr(digits, '-') || strlen(digits) > 18 || (digits[0] == '0' && digits[1]))
		return ERR_PROTOCOL;
	if (plain->at == plain->bytes)
		return plain_more(plain);
	if (plain->data[plain->at++] != '\r' || digits[0] == '\0')
		return ERR_PROTOCOL;
	long long number = strtoll(text, NULL, 10);
	if (number < -1 || (text[0] == '-' && number == 0))
		return ERR_PROTOCOL;
	if (plain->at == plain->bytes)
		return plain_more(plain);
	if (plain->data[plain->at++] != '\n')
		return ERR_PROTOCOL;
	*ret_length = number;
	return 0;
}

static int plain_array(struct plain *plain)
{
	long long count;
	plain->at = 1;
	int error = plain_length(plain, &count);
	if (error)
		return error;
	if (count > ARGS_MAX)
		return ERR_TOO_LARGE;
	for (long long i = 0; i < count; i++) {
		if (plain->at == plain->bytes)
			return plain_more(plain);
		if (plain->data[plain->at++] != '$')
			return ERR_PROTOCOL;
		long long length;
		error = plain_length(plain, &length);
		if (error)
			return error;
		if (length < 0)
			return ERR_PROTOCOL;
		if (length > (long long)LIMITS.bulk_bytes_max)
			return ERR_TOO_LARGE;
		size_t end = plain->at + (size_t)length + 2;
		if (end > LIMITS.request_bytes_max)
			return ERR_TOO_LARGE;
		if (end > plain->bytes)
			return ERR_TRUNCATED;
		if (plain->data[end - 2] != '\r' || plain->data[end - 1] != '\n')
			return ERR_PROTOCOL;
		plain->args[plain->args_count++] =
		    slice_of(plain->data + plain->at, (size_t)length);
		plain->at = end;
	}
	return 0;
}

static bool plain_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\v' || byte == '\f' ||
	       byte == '\r';
}

static int plain_hex(uint8_t digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *found = digit ? strchr(digits, digit) : NULL;
	return found ? (int)(found - digits) % 16 : -1;
}

/* What stands for one character within quotes; how many bytes that were. */
static size_t plain_character(const uint8_t *at, size_t left, uint8_t quote, uint8_t *to)
{
	*to = at[0];
	if (at[0] != '\\' || left < 2)
		return 1;
	if (quote == '\'') {
		if (at[1] != '\'')
			return 1;
		*to = '\'';
		return 2;
	}
	if (at[1] == 'x' && left >= 4 && plain_hex(at[2]) >= 0 && plain_hex(at[3]) >= 0) {
		*to = (uint8_t)(plain_hex(at[2]) * 16 + plain_hex(at[3]));
		return 4;
	}
	static const char letters[] = "nrtba";
	static const char meanings[] = "\n\r\t\b\a";
	const char *found = at[1] ? strchr(letters, at[1]) : NULL;
	*to = found ? (uint8_t)meanings[found - letters] : at[1];
	return 2;
}

static int plain_words(struct plain *plain, size_t end)
{
	size_t at = 0;
	size_t used = 0;
	for (;;) {
		while (at < end && plain_space(plain->data[at]))
			at++;
		if (at == end)
			return 0;
		if (plain->args_count == ARGS_MAX)
			return ERR_TOO_LARGE;
		size_t word = used;
		uint8_t quote = 0;
		for (bool closed = false; at < end; closed = false) {
			uint8_t byte = plain->data[at];
			if (!quote && plain_space(byte))
				break;
			if (!quote && (byte == '"' || byte == '\'')) {
				quote = byte;
				at++;
			} else if (quote && byte == quote) {
				quote = 0;
				closed = true;
				at++;
			} else if (quote) {
				at += plain_character(
				    plain->data + at, end - at, quote, &plain->text[used++]);
			} else {
				plain->text[used++] = byte;
				at++;
			}
			if (closed && at < end && !plain_space(plain->data[at]))
				return ERR_PROTOCOL;
		}
		if (quote)
			return ERR_PROTOCOL;
		plain->args[plain->args_count++] = slice_of(plain->text + word, used - word);
	}
}

static int plain_inline(struct plain *plain)
{
	size_t end = 0;
	while (end < plain->bytes && end < LIMITS.inline_bytes_max && plain->data[end] != '\n')
		end++;
	if (end == LIMITS.inline_bytes_max)
		return ERR_TOO_LARGE;
	if (end == plain->bytes)
		return ERR_TRUNCATED;
	plain->at = end + 1;
	if (end > 0 && plain->data[end - 1] == '\r')
		end--;
	return plain_words(plain, end);
}

static void parse_plainly(struct slice stream, struct buffer *transcript)
{
	size_t begin = 0;
	for (;;) {
		struct plain plain = {.data = stream.data + begin, .bytes = stream.bytes - begin};
		if (plain.bytes > LIMITS.request_bytes_max)
			plain.bytes = LIMITS.request_bytes_max;
		int error = ERR_TRUNCATED;
		if (plain.bytes > 0)
			error = plain.data[0] == '*' ? plain_array(&plain) : plain_inline(&plain);
		if (error) {
			NOTE(transcript, "%s\n", error_name(error));
			return;
		}
		note_request(transcript, plain.args, plain.args_count, plain.at);
		begin += plain.at;
	}
}

const char *resp_request_oracle(struct slice stream, uint64_t seed)
{
	struct buffer plain;
	buffer_init(&plain, TRANSCRIPT_BYTES_MAX);
	parse_plainly(stream, &plain);
	const char *wrong = NULL;
	for (int cut = CUT_NOT; !wrong && cut <= CUT_RANDOM; cut++) {
		struct buffer transcript;
		buffer_init(&transcript, TRANSCRIPT_BYTES_MAX);
		wrong = parse_stream(stream, cut, seed, &transcript);
		if (!wrong && !slice_equal(buffer_view(&transcript), buffer_view(&plain)))
			wrong = cut == CUT_NOT ? "the plain parser sees something else"
			                       : "pieces are seen differently than the whole";
		buffer_done(&transcript);
	}
	buffer_done(&plain);
	return wrong;
}

/* --- Replies ---------------------------------------------------------------------------------- */

enum {
	REPLY_BULK_BYTES_MAX = 300,
	REPLY_DEPTH_MAX = 8,
};

static void note_item(struct buffer *transcript, const struct resp_item *item)
{
	NOTE(transcript, "%d", (int)item->type);
	switch (item->type) {
	case RESP_VERBATIM:
		note_bytes(transcript, slice_of(item->format, 3));
		note_bytes(transcript, item->text);
		break;
	case RESP_SIMPLE:
	case RESP_ERROR:
	case RESP_BULK:
	case RESP_BIG_NUMBER:
		note_bytes(transcript, item->text);
		break;
	case RESP_INTEGER:
		NOTE(transcript, " %lld", (long long)item->integer);
		break;
	case RESP_DOUBLE:
		/* All NaN are one. */
		NOTE(transcript, " %.17g", item->number == item->number ? item->number : 0.5);
		break;
	case RESP_BOOLEAN:
		NOTE(transcript, " %d", item->boolean);
		break;
	case RESP_NULL:
		break;
	case RESP_ARRAY:
	case RESP_SET:
	case RESP_PUSH:
	case RESP_MAP:
		NOTE(transcript, " %u", item->count);
		break;
	}
	NOTE(transcript, "\n");
}

/* A line or string of a type that the writer has no function for, or would change. */
static void write_raw(struct resp_writer *writer, char type, struct slice text)
{
	struct buffer raw;
	buffer_init(&raw, TRANSCRIPT_BYTES_MAX);
	NOTE(&raw, "%c", type);
	if (type == '!')
		NOTE(&raw, "%zu\r\n", text.bytes);
	if (buffer_append_slice(&raw, text))
		abort();
	NOTE(&raw, "\r\n");
	resp_write_raw(writer, buffer_view(&raw));
	buffer_done(&raw);
}

static void write_item(struct resp_writer *writer, const struct resp_item *item)
{
	switch (item->type) {
	case RESP_VERBATIM:
		resp_write_verbatim(writer, item->format, item->text);
		return;
	case RESP_SIMPLE:
		write_raw(writer, '+', item->text);
		return;
	case RESP_ERROR:
		write_raw(writer, '!', item->text);
		return;
	case RESP_BULK:
		resp_write_bulk(writer, item->text);
		return;
	case RESP_BIG_NUMBER:
		write_raw(writer, '(', item->text);
		return;
	case RESP_INTEGER:
		resp_write_integer(writer, item->integer);
		return;
	case RESP_DOUBLE:
		resp_write_double(writer, item->number);
		return;
	case RESP_BOOLEAN:
		resp_write_boolean(writer, item->boolean);
		return;
	case RESP_NULL:
		resp_write_null(writer);
		return;
	case RESP_ARRAY:
		resp_write_array(writer, item->count);
		return;
	case RESP_SET:
		resp_write_set(writer, item->count);
		return;
	case RESP_PUSH:
		resp_write_push(writer, item->count);
		return;
	case RESP_MAP:
		resp_write_map(writer, item->count);
		return;
	}
}

/* All items of the stream, and how it ended; the same written anew, without attributes. */
static const char *read_stream(struct slice stream, int cut, uint64_t seed,
    struct buffer *transcript, struct resp_writer *writer)
{
	struct random random;
	random_init(&random, seed);
	struct resp_reader reader;
	resp_reader_init(&reader, REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX);
	size_t end = next_cut(cut, &random, stream.bytes);
	for (;;) {
		uint8_t *copy = copy_of(slice_of(stream.data, end));
		resp_reader_feed(&reader, slice_of(copy, end));
		struct resp_item item;
		int error;
		while ((error = resp_reader_next(&reader, &item)) == 0) {
			note_item(transcript, &item);
			if (writer && item.type == RESP_VERBATIM && strlen(item.format) != 3)
				writer->error = ERR_UNSUPPORTED; /* has a NUL */
			else if (writer)
				write_item(writer, &item);
		}
		free(copy);
		if (resp_reader_offset(&reader) > end ||
		    resp_reader_depth(&reader) > REPLY_DEPTH_MAX)
			return "the reader stands at a wrong place";
		if (error == ERR_TRUNCATED && resp_reader_wanted(&reader) <= end)
			return "no more bytes wanted";
		if (error != ERR_TRUNCATED || end == stream.bytes) {
			NOTE(transcript, "%s\n", error_name(error));
			return NULL;
		}
		end += next_cut(cut, &random, stream.bytes - end);
	}
}

/* resp_reader_whole, asked after every byte, and resp_reader_skip agree on where replies end. */
static const char *judge_ends(struct slice stream)
{
	struct resp_reader whole;
	struct resp_reader skipping;
	resp_reader_init(&whole, REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX);
	resp_reader_init(&skipping, REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX);
	resp_reader_feed(&skipping, stream);
	for (size_t bytes = 1; bytes <= stream.bytes; bytes++) {
		resp_reader_feed(&whole, slice_of(stream.data, bytes));
		int error = resp_reader_whole(&whole);
		if (error == ERR_TRUNCATED)
			continue;
		if (resp_reader_skip(&skipping) != error)
			return "skipping and reading do not agree";
		if (error)
			return NULL;
		if (resp_reader_offset(&whole) != resp_reader_offset(&skipping) ||
		    resp_reader_offset(&whole) != bytes)
			return "skipping and reading do not end alike";
	}
	return NULL;
}

/* A transcript without its last line, which says how the stream ended. */
static struct slice items_of(struct slice transcript)
{
	ASSERT(transcript.data && transcript.bytes > 0);
	size_t bytes = transcript.bytes - 1;
	while (bytes > 0 && transcript.data[bytes - 1] != '\n')
		bytes--;
	return slice_of(transcript.data, bytes);
}

const char *resp_reply_oracle(struct slice stream, uint64_t seed)
{
	struct buffer whole;
	struct buffer rewritten;
	buffer_init(&whole, TRANSCRIPT_BYTES_MAX);
	buffer_init(&rewritten, TRANSCRIPT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &rewritten, RESP3);
	const char *wrong = read_stream(stream, CUT_NOT, seed, &whole, &writer);
	bool is_rewritten = resp_writer_finish(&writer) == 0;
	for (int cut = CUT_BYTES; !wrong && cut <= CUT_RANDOM; cut++) {
		struct buffer pieces;
		buffer_init(&pieces, TRANSCRIPT_BYTES_MAX);
		wrong = read_stream(stream, cut, seed, &pieces, NULL);
		if (!wrong && !slice_equal(buffer_view(&pieces), buffer_view(&whole)))
			wrong = "pieces are seen differently than the whole";
		buffer_done(&pieces);
	}
	if (!wrong)
		wrong = judge_ends(stream);
	if (!wrong && is_rewritten) {
		struct buffer again;
		buffer_init(&again, TRANSCRIPT_BYTES_MAX);
		wrong = read_stream(buffer_view(&rewritten), CUT_NOT, seed, &again, NULL);
		struct slice items = items_of(buffer_view(&again));
		if (!wrong && !slice_equal(items, items_of(buffer_view(&whole))))
			wrong = "what was written reads back differently";
		buffer_done(&again);
	}
	buffer_done(&whole);
	buffer_done(&rewritten);
	return wrong;
}
