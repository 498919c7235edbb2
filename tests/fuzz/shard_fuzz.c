// sources: server/shard/records.c replication/group_entry.c storage/batch.c
/* Records of a shard, and what stands around an entry's batch: what is read is written again as the
 * same bytes, or reads the same from them; everything else is refused. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "replication/group_parts.h"
#include "server/shard/records.h"

enum { SPAN_BYTES = 1 << 16 };
static uint8_t span[SPAN_BYTES];

static bool is_refusal(int error)
{
	return error == ERR_CORRUPT || error == ERR_FORMAT;
}

static const char *wrong_head(struct slice record)
{
	struct head head, again;
	int error = head_read(record, &head);
	if (error)
		return is_refusal(error) ? NULL : "a head is good, corrupt or of another format";
	struct writer out = writer_of(span, sizeof(span));
	head_write(&out, &head);
	if (out.failed || writer_used(&out) - head.state.bytes > HEAD_BYTES_MAX)
		return "a head without its state is short";
	if (head_read(writer_view(&out), &again) || again.revision != head.revision ||
	    again.kind != head.kind || again.exists != head.exists ||
	    again.window_before != head.window_before || !slice_equal(again.state, head.state))
		return "a head reads the same again";
	return NULL;
}

static const char *wrong_snapshot(struct slice record)
{
	struct snapshot snapshot;
	int error = snapshot_read(record, &snapshot);
	if (error)
		return is_refusal(error) ? NULL
		                         : "a snapshot is good, corrupt or of another format";
	struct writer out = writer_of(span, sizeof(span));
	snapshot_write(&out, &snapshot);
	return out.failed || writer_used(&out) - snapshot.state.bytes > SNAPSHOT_BYTES_MAX
	           ? "a snapshot without its state is short"
	           : NULL;
}

static const char *wrong_events(struct slice record)
{
	struct reader in = reader_of(record);
	struct host_event event;
	const uint8_t *before = in.at;
	while (event_record_read(&in, &event)) {
		struct slice bytes = slice_of(before, (size_t)(in.at - before));
		before = in.at;
		struct writer out = writer_of(span, sizeof(span));
		event_record_write(&out, &event);
		if (out.failed || writer_used(&out) != event_record_bytes(&event))
			return "an event has the bytes that were promised";
		if (bytes.data && !slice_equal(writer_view(&out), bytes))
			return "an event has one form";
	}
	return NULL;
}

static const char *wrong_others(struct slice record)
{
	struct token_record token;
	struct shard_meta meta;
	struct reader in;
	struct active_record active;
	struct dropped_record dropped;
	uint32_t apps = 0, types = 0;
	struct group_entry entry;
	struct slice id;
	struct hash128 hash;
	uint64_t time_ms;
	int errors[] = {token_read(record, &token), shard_meta_read(record, &meta),
	    active_open(record, &in, &apps, &types), group_entry_decode(record, &entry),
	    key_head_id(record, &id), key_expiry_get(record, &time_ms, &hash)};
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] && !is_refusal(errors[i]))
			return "a record is good, corrupt or of another format";
	for (uint32_t i = 0; !errors[2] && i < apps; i++)
		if (!active_read(&in, &active) || active.app.bytes == 0 ||
		    active.app.bytes > NAME_BYTES_MAX)
			return "an app has a name";
	for (uint32_t i = 0; !errors[2] && i < types; i++)
		if (!dropped_read(&in, &dropped) || dropped.incarnation == 0)
			return "what was dropped has a number";
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice record = slice_of(data, bytes);
	if (bytes > SPAN_BYTES / 2)
		return 0;
	fuzz_must_hold(wrong_head(record));
	fuzz_must_hold(wrong_snapshot(record));
	fuzz_must_hold(wrong_events(record));
	fuzz_must_hold(wrong_others(record));
	return 0;
}
