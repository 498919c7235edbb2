#include "storage/records.h"

#include "base/bytes.h"

void record_applied_encode(const struct log_base *base, uint8_t data[RECORD_APPLIED_BYTES])
{
	struct writer out = writer_of(data, RECORD_APPLIED_BYTES);
	writer_u8(&out, RECORD_FORMAT);
	writer_u64le(&out, base->index);
	writer_u64le(&out, base->term);
	writer_u64le(&out, base->hard.term);
	writer_u64le(&out, base->hard.vote);
	writer_u64le(&out, base->hard.commit);
	writer_u64le(&out, base->frame);
	ASSERT(!out.failed && writer_left(&out) == 0);
}

int record_applied_decode(struct slice data, struct log_base *ret_base)
{
	struct reader in = reader_of(data);
	uint8_t format = reader_u8(&in);
	if (!in.failed && format != RECORD_FORMAT)
		return ERR_FORMAT;
	struct log_base base;
	base.index = reader_u64le(&in);
	base.term = reader_u64le(&in);
	base.hard.term = reader_u64le(&in);
	base.hard.vote = reader_u64le(&in);
	base.hard.commit = reader_u64le(&in);
	base.frame = reader_u64le(&in);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_base = base;
	return 0;
}

void record_anchor_encode(const struct record_anchor *anchor, uint8_t data[RECORD_ANCHOR_BYTES])
{
	struct writer out = writer_of(data, RECORD_ANCHOR_BYTES - LOG_ANCHOR_BYTES);
	writer_u8(&out, RECORD_ANCHOR_FORMAT);
	writer_u64le(&out, anchor->store);
	ASSERT(!out.failed && writer_left(&out) == 0);
	log_anchor_encode(&anchor->log, data + writer_used(&out));
}

int record_anchor_decode(struct slice data, struct record_anchor *ret_anchor)
{
	struct reader in = reader_of(data);
	uint8_t format = reader_u8(&in);
	if (!in.failed && (format == 0 || format > RECORD_ANCHOR_FORMAT))
		return ERR_FORMAT;
	struct record_anchor anchor;
	anchor.store = reader_u64le(&in);
	if (in.failed)
		return ERR_CORRUPT;
	int error = log_anchor_decode(reader_rest(&in), &anchor.log);
	if (error)
		return error;
	/* Each format has the log's anchor of the same age: another pair was never written. */
	bool is_first_log = anchor.log.life_frame == 0;
	if (is_first_log != (format == RECORD_ANCHOR_FORMAT_FIRST))
		return ERR_CORRUPT;
	*ret_anchor = anchor;
	return 0;
}
