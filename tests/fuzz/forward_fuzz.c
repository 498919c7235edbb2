// sources: server/forward_wire.c server/shard/map.c base/wire/address.c base/wire/utf8.c
// libraries: -lxxhash
/* Messages between nodes about calls: what is read is written again as the same bytes; everything
 * else is refused. The first byte says which message it is. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "server/forward_wire.h"

enum { SHARDS = 128, SPAN_BYTES = 1 << 20 };

static struct forward_message message;
static uint8_t span[SPAN_BYTES];

static const char *wrong_again(struct slice bytes)
{
	size_t at = 0;
	for (size_t i = 0; i < message.count; i++) {
		memcpy(span + at, message.iov[i].iov_base, message.iov[i].iov_len);
		at += message.iov[i].iov_len;
	}
	if (at != message.bytes || !slice_equal(slice_of(span, at), bytes))
		return "a message has one encoding";
	return NULL;
}

static bool is_refusal(int error)
{
	return error == ERR_PROTOCOL || error == ERR_UNSUPPORTED;
}

static const char *wrong_call(struct slice bytes)
{
	static struct slice roles[FORWARD_ROLES_MAX];
	struct forward_numbers numbers;
	struct shard_call call;
	int error = forward_call_read(bytes, SHARDS, &numbers, &call, roles);
	if (error)
		return is_refusal(error) ? NULL : "a call is good or refused";
	if (forward_call_write(&message, &numbers, &call))
		return "what was read can be written";
	return wrong_again(bytes);
}

static const char *wrong_directory(struct slice bytes)
{
	static struct slice drop[DROPPED_TYPES_MAX];
	struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
	struct forward_numbers numbers;
	struct meta_request request;
	struct buffer head;
	int error = forward_directory_read(bytes, &numbers, &request, drop, wanted);
	if (error)
		return is_refusal(error) ? NULL : "a request is good or refused";
	buffer_init(&head, FORWARD_MESSAGE_BYTES_MAX);
	const char *wrong = NULL;
	if (forward_directory_write(&head, &numbers, &request) ||
	    buffer_append_slice(&head, request.bundle))
		wrong = "what was read can be written";
	else if (!slice_equal(buffer_view(&head), bytes))
		wrong = "a request has one encoding";
	buffer_done(&head);
	return wrong;
}

static const char *wrong_reply(struct slice bytes)
{
	struct forward_reply reply;
	int error = forward_reply_read(bytes, &reply);
	if (error)
		return is_refusal(error) ? NULL : "an answer is good or refused";
	forward_reply_write(&message, &reply);
	return wrong_again(bytes);
}

static const char *wrong_part(struct slice bytes)
{
	uint64_t id;
	struct slice part;
	int error = forward_part_read(bytes, &id, &part);
	if (error)
		return is_refusal(error) ? NULL : "a part is good or refused";
	forward_part_write(&message, id, part);
	return wrong_again(bytes);
}

static const char *wrong_refusal(struct slice bytes)
{
	struct forward_refusal refusal;
	int error = forward_refusal_read(bytes, &refusal);
	if (error)
		return is_refusal(error) ? NULL : "a refusal is good or refused";
	forward_refusal_write(&message, &refusal);
	return wrong_again(bytes);
}

static const char *wrong_news(struct slice bytes)
{
	struct forward_news news;
	struct reader reader;
	int error = forward_news_read(bytes, SHARDS, &reader);
	if (error)
		return is_refusal(error) ? NULL : "news are good or refused";
	struct writer out = writer_of(span, sizeof(span));
	forward_news_begin(&out);
	while (forward_news_next(&reader, &news)) {
		if (news.shard > SHARDS)
			return "there is such a shard";
		forward_news_add(&out, &news);
	}
	return !out.failed && slice_equal(writer_view(&out), bytes) ? NULL
	                                                            : "news have one encoding";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char *(*const kinds[])(struct slice) = {
	    wrong_call, wrong_directory, wrong_reply, wrong_part, wrong_refusal, wrong_news};
	if (bytes == 0 || bytes > SPAN_BYTES / 2)
		return 0;
	size_t kind = data[0] % (sizeof(kinds) / sizeof(kinds[0]));
	fuzz_must_hold(kinds[kind](slice_of(data + 1, bytes - 1)));
	return 0;
}
