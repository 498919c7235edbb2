/* The anchor's bytes: format version, then its fields in order, all u64. */
#include "base/assert.h"
#include "base/bytes.h"
#include "storage/log.h"

#define ANCHOR_FORMAT 1

void log_anchor_encode(const struct log_anchor *anchor, uint8_t data[LOG_ANCHOR_BYTES])
{
	struct writer out = writer_of(data, LOG_ANCHOR_BYTES);
	writer_u64le(&out, ANCHOR_FORMAT);
	writer_u64le(&out, anchor->first_segment);
	writer_u64le(&out, anchor->first_frame);
	writer_u64le(&out, anchor->needed_frame);
	writer_u64le(&out, anchor->durable_frame);
	writer_u64le(&out, anchor->segment_next);
	writer_u64le(&out, anchor->life);
	writer_u64le(&out, anchor->chain);
	ASSERT(!out.failed && writer_left(&out) == 0);
}

int log_anchor_decode(struct slice data, struct log_anchor *ret_anchor)
{
	struct reader in = reader_of(data);
	uint64_t format = reader_u64le(&in);
	struct log_anchor anchor = {0};
	anchor.first_segment = reader_u64le(&in);
	anchor.first_frame = reader_u64le(&in);
	anchor.needed_frame = reader_u64le(&in);
	anchor.durable_frame = reader_u64le(&in);
	anchor.segment_next = reader_u64le(&in);
	anchor.life = reader_u64le(&in);
	anchor.chain = reader_u64le(&in);
	if (data.bytes >= sizeof(uint64_t) && format > ANCHOR_FORMAT)
		return ERR_FORMAT;
	if (!reader_finished(&in) || format != ANCHOR_FORMAT || anchor.first_segment == 0 ||
	    anchor.first_frame == 0 || anchor.life == 0 ||
	    anchor.needed_frame > anchor.durable_frame + 1)
		return ERR_CORRUPT;
	*ret_anchor = anchor;
	return 0;
}
