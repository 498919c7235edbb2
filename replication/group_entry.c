#include "base/bytes.h"
#include "replication/group_parts.h"
#include "storage/batch.h"

void group_entry_header(
    uint8_t header[GROUP_ENTRY_HEADER_BYTES], enum group_entry_kind kind, int64_t time_ms)
{
	header[0] = (uint8_t)kind;
	store_u64le(header + 1, (uint64_t)time_ms);
}

int group_entry_decode(struct slice payload, struct group_entry *ret_entry)
{
	if (payload.bytes < GROUP_ENTRY_HEADER_BYTES)
		return ERR_CORRUPT;
	uint8_t kind = payload.data[0];
	if (kind < GROUP_NOOP || kind > GROUP_MEMBERSHIP)
		return ERR_FORMAT;
	ret_entry->kind = (enum group_entry_kind)kind;
	ret_entry->time_ms = (int64_t)load_u64le(payload.data + 1);
	ret_entry->batch = slice_of(
	    payload.data + GROUP_ENTRY_HEADER_BYTES, payload.bytes - GROUP_ENTRY_HEADER_BYTES);
	/* Who the members are changes nothing of what the shard holds. */
	if (kind == GROUP_MEMBERSHIP)
		ret_entry->batch = slice_of(NULL, 0);
	return 0;
}

struct slice group_members_batch(
    uint8_t span[GROUP_MEMBERS_BATCH_BYTES_MAX], struct slice membership)
{
	uint8_t key = KEY_KIND_MEMBERS;
	struct writer out = writer_of(span, GROUP_MEMBERS_BATCH_BYTES_MAX);
	batch_begin(&out);
	batch_put(&out, slice_of(&key, 1), membership);
	return writer_view(&out);
}
