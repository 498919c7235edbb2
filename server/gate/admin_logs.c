/* ADMIN LOGS: the process's last log lines. */
#include <string.h>

#include "base/log_ring.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"

enum {
	LINES_DEFAULT = 100,
	LINES_MAX = 1000,
	TEXT_BYTES = 128 * 1024,
	/* A line is printable ASCII: escapes at most double it. */
	JSON_BYTES_MAX = 4 * TEXT_BYTES + LINES_MAX * 64,
};

static void write_lines(struct json_writer *json, struct slice text, uint64_t number)
{
	while (text.bytes > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.bytes);
		size_t bytes = end ? (size_t)(end - text.data) : text.bytes;
		json_write_object_begin(json);
		json_member_text(json, "line", slice_of(text.data, bytes));
		json_member_u64(json, "number", number++);
		json_write_object_end(json);
		bytes += end != NULL;
		text = slice_of(text.data + bytes, text.bytes - bytes);
	}
}

static void answer(struct session *session, uint64_t from, uint32_t count)
{
	struct buffer text, out;
	struct json_writer json;
	struct resp_writer writer;
	struct log_ring_read read = {0};
	buffer_init(&text, 2 * TEXT_BYTES);
	buffer_init(&out, JSON_BYTES_MAX);
	int error = log_ring_read(from, count, TEXT_BYTES, &text, &read);
	json_writer_init(&json, &out);
	json_write_object_begin(&json);
	json_write_key(&json, slice_from_text("lines"));
	json_write_array_begin(&json);
	write_lines(&json, buffer_view(&text), read.first);
	json_write_array_end(&json);
	json_member_u64(&json, "next", read.next);
	json_write_object_end(&json);
	if (!error)
		error = json_writer_finish(&json);
	reply_begin(session, &writer);
	admin_write_json(session, &writer, &out, error);
	reply_end(session, &writer);
	buffer_done(&text);
	buffer_done(&out);
}

void admin_logs(struct session *session, const struct slice *args, uint32_t count)
{
	int64_t from = 0, lines = LINES_DEFAULT;
	bool good = count % 2 == 0;
	for (uint32_t i = 2; i + 1 < count && good; i += 2)
		good =
		    (word_is(args[i], "from") && word_integer(args[i + 1], 1, INT64_MAX, &from)) ||
		    (word_is(args[i], "count") && word_integer(args[i + 1], 1, LINES_MAX, &lines));
	if (good)
		answer(session, (uint64_t)from, (uint32_t)lines);
	else
		admin_usage(session, "ADMIN LOGS [FROM number] [COUNT n]");
}
