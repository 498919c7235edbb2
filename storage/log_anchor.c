/* The anchor's bytes: format version, then its fields in order, all u64. Format 1 ended before
 * life_frame. */
#include "base/assert.h"
#include "base/bytes.h"
#include "storage/log.h"

#define ANCHOR_FORMAT               2
#define ANCHOR_FORMAT_NO_LIFE_FRAME 1

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
	writer_u64le(&out, anchor->life_frame);
	for (size_t i = 0; i < LOG_LIVES_BEFORE; i++) {
		writer_u64le(&out, anchor->before[i].life);
		writer_u64le(&out, anchor->before[i].frame);
	}
	ASSERT(!out.failed && writer_left(&out) == 0);
}

static bool are_lives_possible(const struct log_anchor *anchor)
{
	struct log_life last = {.life = anchor->life, .frame = anchor->life_frame};
	/* The LIFE frame was durable before anything else of it. */
	if (last.frame == 0 || last.frame > anchor->durable_frame)
		return false;
	bool ended = false;
	for (size_t i = 0; i < LOG_LIVES_BEFORE; i++) {
		const struct log_life *next = &anchor->before[i];
		bool is_none = next->life == 0 && next->frame == 0;
		bool falls = next->life > 0 && next->life < last.life && next->frame > 0 &&
		             next->frame < last.frame;
		if (!is_none && (ended || !falls))
			return false;
		ended = ended || is_none;
		last = *next;
	}
	return true;
}

static bool is_possible(const struct log_anchor *anchor, uint64_t format)
{
	if (anchor->first_segment == 0 || anchor->first_frame == 0 || anchor->life == 0 ||
	    anchor->needed_frame > anchor->durable_frame + 1)
		return false;
	return format == ANCHOR_FORMAT_NO_LIFE_FRAME || are_lives_possible(anchor);
}

static void read_lives(struct reader *in, struct log_anchor *anchor)
{
	anchor->life_frame = reader_u64le(in);
	for (size_t i = 0; i < LOG_LIVES_BEFORE; i++) {
		anchor->before[i].life = reader_u64le(in);
		anchor->before[i].frame = reader_u64le(in);
	}
}

int log_anchor_decode(struct slice data, struct log_anchor *ret_anchor)
{
	struct reader in = reader_of(data);
	uint64_t format = reader_u64le(&in);
	if (!in.failed && format > ANCHOR_FORMAT)
		return ERR_FORMAT;
	struct log_anchor anchor = {0};
	anchor.first_segment = reader_u64le(&in);
	anchor.first_frame = reader_u64le(&in);
	anchor.needed_frame = reader_u64le(&in);
	anchor.durable_frame = reader_u64le(&in);
	anchor.segment_next = reader_u64le(&in);
	anchor.life = reader_u64le(&in);
	anchor.chain = reader_u64le(&in);
	if (format != ANCHOR_FORMAT_NO_LIFE_FRAME)
		read_lives(&in, &anchor);
	if (!reader_finished(&in) || format == 0 || !is_possible(&anchor, format))
		return ERR_CORRUPT;
	*ret_anchor = anchor;
	return 0;
}
