#include "client/admin/tell.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/wire/json.h"

#define TEXT_BYTES_MAX 2048
#define LINE_BYTES_MAX 16384

void tell_begin(struct tell *tell, enum output_format format)
{
	*tell = (struct tell){.format = format};
	if (format == OUTPUT_JSON)
		putchar('[');
}

static void write_shard(struct json_writer *json, const char *key, uint32_t shard)
{
	if (shard == TELL_NO_SHARD)
		return;
	json_write_key(json, slice_from_text(key));
	json_write_integer(json, shard);
}

static int write_json(struct tell *tell, const struct tell_of *of, const char *text)
{
	struct buffer line;
	struct json_writer json;
	buffer_init(&line, LINE_BYTES_MAX);
	json_writer_init(&json, &line);
	json_write_object_begin(&json);
	write_shard(&json, "first_shard", of->first_shard);
	write_shard(&json, "last_shard", of->last_shard);
	json_write_key(&json, slice_from_text("store"));
	json_write_integer(&json, of->store);
	json_write_key(&json, slice_from_text("text"));
	json_write_string(&json, slice_from_text(text));
	json_write_key(&json, slice_from_text("what"));
	json_write_string(&json, slice_from_text(of->what));
	json_write_object_end(&json);
	int error = json_writer_finish(&json);
	if (!error) {
		struct slice view = buffer_view(&line);
		if (tell->format == OUTPUT_JSON && tell->rows > 0)
			fputs(",\n", stdout);
		fwrite(view.data, 1, view.bytes, stdout);
		if (tell->format == OUTPUT_JSONL)
			putchar('\n');
	}
	buffer_done(&line);
	return error;
}

static void print_line(const struct tell_of *of, const char *text)
{
	printf("store %" PRIu32, of->store);
	if (of->first_shard == TELL_NO_SHARD)
		printf(": %s\n", text);
	else if (of->last_shard == TELL_NO_SHARD)
		printf(", shards from %" PRIu32 " on: %s\n", of->first_shard, text);
	else if (of->first_shard == of->last_shard)
		printf(", shard %" PRIu32 ": %s\n", of->first_shard, text);
	else
		printf(", shards %" PRIu32 " to %" PRIu32 ": %s\n", of->first_shard, of->last_shard,
		    text);
}

void tell_line(struct tell *tell, const struct tell_of *of, const char *format, ...)
{
	char text[TEXT_BYTES_MAX];
	va_list values;
	va_start(values, format);
	vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	if (tell->format == OUTPUT_TABLE)
		print_line(of, text);
	else if (!tell->error)
		tell->error = write_json(tell, of, text);
	/* The plan comes before the question, wherever both go. */
	fflush(stdout);
	tell->rows++;
}

int tell_end(struct tell *tell)
{
	if (tell->format == OUTPUT_JSON)
		fputs("]\n", stdout);
	if (fflush(stdout) != 0 && !tell->error)
		tell->error = ERR_IO;
	return tell->error;
}
