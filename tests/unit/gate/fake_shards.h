/* Shards that execute nothing, behind the real shard.h: what a call is answered with follows from
 * its name. For tests of what stands above; the linker chooses them instead of libkx_shard.a.
 *
 *   get       JSON or MessagePack of what was asked, at the next shards_turn
 *   nothing   no reply (null)
 *   big       a string of 100,000 bytes
 *   fail      FAILED_PRECONDITION with details
 *   broken    INTERNAL with a reference; told to `error`, too
 *   wait      answered when fake_shards_release is called
 *   slow      as get, and says that it took a quarter of a second
 *   late      answered after everything that came in the same turn
 */
#ifndef KX_TESTS_UNIT_GATE_FAKE_SHARDS_H
#define KX_TESTS_UNIT_GATE_FAKE_SHARDS_H

#include "server/shard/shard.h"

/* Answers the calls that wait. */
void fake_shards_release(struct shards *shards);
/* Of the last call that came. */
struct fake_last {
	char address[600], name[128], payload[256], token[132];
	uint8_t metadata[256];
	size_t metadata_bytes;
	bool has_payload, queries_only, internal_allowed, anywhere;
	uint64_t deadline_ns, order, at_revision, stale_ns;
	enum shard_call_kind kind;
	enum host_encoding reply_encoding;
};
/* A call of the name "get" is a query. */
const struct fake_last *fake_shards_last(const struct shards *shards);

#endif
