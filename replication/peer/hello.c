#include "replication/peer/hello.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

static const uint8_t MAGIC[3] = {'K', 'X', 'P'};

bool peer_is_foreign(struct slice input)
{
	size_t known = input.bytes < sizeof(MAGIC) ? input.bytes : sizeof(MAGIC);
	return known > 0 && memcmp(input.data, MAGIC, known) != 0;
}

const char *peer_foreign_name(struct slice input)
{
	/* TLS: an alert or a handshake; Redis: an array of strings, or an answer. */
	static const struct {
		const char *begin, *name;
	} known[] = {{"HTTP/", "HTTP"}, {"GET ", "HTTP"}, {"HEAD ", "HTTP"}, {"POST ", "HTTP"},
	    {"PUT ", "HTTP"}, {"*", "Redis"}, {"-", "Redis"}, {"+", "Redis"}, {"$", "Redis"},
	    {"SSH-", "SSH"}, {"\x15\x03", "TLS"}, {"\x16\x03", "TLS"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct slice begin = slice_from_text(known[i].begin);
		if (input.bytes >= begin.bytes && memcmp(input.data, begin.data, begin.bytes) == 0)
			return known[i].name;
	}
	return "unknown";
}

int peer_greeting_read(struct slice input, struct peer_greeting *ret_greeting)
{
	if (peer_is_foreign(input))
		return ERR_PROTOCOL;
	struct reader reader = reader_of(input);
	reader_skip(&reader, sizeof(MAGIC));
	uint8_t kind = reader_u8(&reader);
	uint16_t content_bytes = reader_u16le(&reader);
	uint16_t zero = reader_u16le(&reader);
	if (reader.failed)
		return ERR_TRUNCATED;
	if (kind < PEER_HELLO || kind > PEER_ASK || zero != 0 ||
	    content_bytes > PEER_GREETING_CONTENT_MAX)
		return ERR_PROTOCOL;
	struct slice content = reader_slice(&reader, content_bytes);
	uint64_t hash = reader_u64le(&reader);
	if (reader.failed)
		return ERR_TRUNCATED;
	size_t hashed = PEER_GREETING_HEAD_BYTES + (size_t)content_bytes;
	if (hash_bytes(slice_of(input.data, hashed), 0) != hash)
		return ERR_CORRUPT;
	*ret_greeting = (struct peer_greeting){.kind = (enum peer_greeting_kind)kind,
	    .content = content,
	    .whole = slice_of(input.data, hashed + PEER_GREETING_HASH_BYTES)};
	return 0;
}

size_t peer_greeting_write(
    enum peer_greeting_kind kind, struct slice content, uint8_t to[PEER_GREETING_BYTES_MAX])
{
	struct writer writer = writer_of(to, PEER_GREETING_BYTES_MAX);
	ASSERT(content.bytes <= PEER_GREETING_CONTENT_MAX);
	writer_bytes(&writer, MAGIC, sizeof(MAGIC));
	writer_u8(&writer, (uint8_t)kind);
	writer_u16le(&writer, (uint16_t)content.bytes);
	writer_u16le(&writer, 0);
	writer_slice(&writer, content);
	writer_u64le(&writer, hash_bytes(writer_view(&writer), 0));
	ASSERT(!writer.failed);
	return writer_used(&writer);
}

int peer_hello_read(
    enum peer_greeting_kind kind, struct slice content, struct peer_hello *ret_hello)
{
	struct peer_hello hello = {.asks = kind == PEER_ASK};
	bool named = kind == PEER_HELLO;
	struct reader reader = reader_of(content);
	hello.versions.min = reader_u16le(&reader);
	hello.versions.max = reader_u16le(&reader);
	uint8_t role = reader_u8(&reader);
	uint8_t has_secret = reader_u8(&reader);
	reader_bytes(&reader, hello.from.cluster, sizeof(hello.from.cluster));
	hello.from.node = reader_u64le(&reader);
	hello.from.incarnation = reader_u64le(&reader);
	hello.from.core = reader_u16le(&reader);
	hello.from.cores = reader_u16le(&reader);
	hello.from.stores = reader_u16le(&reader);
	reader_skip(&reader, 2);
	hello.boot = reader_u64le(&reader);
	hello.to_node = reader_u64le(&reader);
	hello.to_incarnation = reader_u64le(&reader);
	hello.to_core = reader_u16le(&reader);
	reader_bytes(&reader, hello.nonce, sizeof(hello.nonce));
	if (reader.failed || !peer_versions_are_good(hello.versions) ||
	    (role != PEER_CONNECTS && role != PEER_ACCEPTS) || has_secret > 1 ||
	    (named && (hello.from.node == 0 || hello.from.incarnation == 0)) ||
	    (hello.asks && role != PEER_CONNECTS) || hello.from.core >= hello.from.cores)
		return ERR_PROTOCOL;
	hello.role = (enum peer_role)role;
	hello.has_secret = has_secret == 1;
	*ret_hello = hello;
	return 0;
}

size_t peer_hello_write(const struct peer_hello *hello, uint8_t to[PEER_GREETING_BYTES_MAX])
{
	uint8_t content[PEER_HELLO_BYTES];
	struct writer writer = writer_of(content, sizeof(content));
	writer_u16le(&writer, hello->versions.min);
	writer_u16le(&writer, hello->versions.max);
	writer_u8(&writer, (uint8_t)hello->role);
	writer_u8(&writer, hello->has_secret);
	writer_bytes(&writer, hello->from.cluster, sizeof(hello->from.cluster));
	writer_u64le(&writer, hello->from.node);
	writer_u64le(&writer, hello->from.incarnation);
	writer_u16le(&writer, hello->from.core);
	writer_u16le(&writer, hello->from.cores);
	writer_u16le(&writer, hello->from.stores);
	writer_u16le(&writer, 0);
	writer_u64le(&writer, hello->boot);
	writer_u64le(&writer, hello->to_node);
	writer_u64le(&writer, hello->to_incarnation);
	writer_u16le(&writer, hello->to_core);
	writer_bytes(&writer, hello->nonce, sizeof(hello->nonce));
	ASSERT(!writer.failed && writer_left(&writer) == 0);
	return peer_greeting_write(hello->asks ? PEER_ASK : PEER_HELLO, writer_view(&writer), to);
}

size_t peer_refuse_write(const struct peer_refuse *refuse, uint8_t to[PEER_GREETING_BYTES_MAX])
{
	uint8_t content[PEER_REFUSE_BYTES];
	struct writer writer = writer_of(content, sizeof(content));
	ASSERT(peer_versions_are_good(refuse->versions));
	writer_u8(&writer, (uint8_t)refuse->reason);
	writer_u16le(&writer, refuse->versions.min);
	writer_u16le(&writer, refuse->versions.max);
	ASSERT(!writer.failed && writer_left(&writer) == 0);
	return peer_greeting_write(PEER_REFUSE, writer_view(&writer), to);
}

struct peer_refuse peer_refuse_read(struct slice content)
{
	struct reader reader = reader_of(content);
	struct peer_refuse refuse = {.reason = reader_u8(&reader)};
	struct peer_versions versions = {.min = reader_u16le(&reader)};
	versions.max = reader_u16le(&reader);
	if (content.bytes == 0)
		refuse.reason = 0;
	if (!reader.failed && peer_versions_are_good(versions))
		refuse.versions = versions;
	return refuse;
}

bool peer_versions_are_good(struct peer_versions versions)
{
	return versions.min > 0 && versions.min <= versions.max;
}

unsigned peer_version_common(struct peer_versions a, struct peer_versions b)
{
	unsigned highest = a.max < b.max ? a.max : b.max;
	return highest >= a.min && highest >= b.min ? highest : 0;
}
