#include "client/admin/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/wire/json.h"
#include "base/wire/utf8.h"

#define TABLE_BYTES_MAX  ((size_t)256 << 20)
#define LINE_BYTES_MAX   ((size_t)1 << 20)
#define OBJECT_BYTES_MAX ((size_t)64 << 20)
#define CELL_BYTES_MAX   4096

static void keep_error(struct print *print, int error)
{
	if (print->error == 0)
		print->error = error;
}

void print_begin(
    struct print *print, enum output_format format, const char *const *columns, unsigned count)
{
	ASSERT(count > 0 && count <= PRINT_COLUMNS_MAX);
	*print = (struct print){.format = format, .columns = columns, .count = count};
	buffer_init(&print->cells, TABLE_BYTES_MAX);
	buffer_init(&print->line, LINE_BYTES_MAX);
	for (unsigned i = 0; i < count; i++)
		print->width[i] = strlen(columns[i]);
	if (format == OUTPUT_JSON)
		fputs("[", stdout);
}

static void write_line(struct print *print)
{
	struct slice text = buffer_view(&print->line);
	if (text.bytes > 0 && fwrite(text.data, 1, text.bytes, stdout) != text.bytes)
		keep_error(print, ERR_IO);
	buffer_clear(&print->line);
}

/* JSON is written cell by cell: `text` is either a number's digits or to be quoted. */
static void cell_json(struct print *print, const char *text, bool is_number)
{
	const char *before =
	    print->at == 0 ? (print->format == OUTPUT_JSON && print->rows > 0 ? ",\n{" : "{") : ",";
	keep_error(print, buffer_append_text(&print->line, before));
	struct json_writer json;
	json_writer_init(&json, &print->line);
	json_write_string(&json, slice_from_text(print->columns[print->at]));
	keep_error(print, json_writer_finish(&json));
	keep_error(print, buffer_append_text(&print->line, ":"));
	if (is_number) {
		keep_error(print, buffer_append_text(&print->line, text));
	} else {
		json_writer_init(&json, &print->line);
		json_write_string(&json, slice_from_text(text));
		keep_error(print, json_writer_finish(&json));
	}
	if (print->at + 1 == print->count) {
		const char *after = print->format == OUTPUT_JSONL ? "}\n" : "}";
		keep_error(print, buffer_append_text(&print->line, after));
		write_line(print);
	}
}

static void cell_table(struct print *print, const char *text, bool is_number)
{
	size_t bytes = strlen(text);
	uint8_t length[4];
	store_u32le(length, (uint32_t)bytes);
	keep_error(print, buffer_append(&print->cells, length, sizeof(length)));
	if (bytes > 0)
		keep_error(print, buffer_append(&print->cells, text, bytes));
	print->number[print->at] = is_number;
	size_t width = utf8_count(slice_of(text, bytes));
	if (width > print->width[print->at])
		print->width[print->at] = width;
}

static void cell(struct print *print, const char *text, bool is_number)
{
	ASSERT(print->at < print->count);
	if (print->format == OUTPUT_TABLE)
		cell_table(print, text, is_number);
	else
		cell_json(print, text, is_number);
	if (++print->at == print->count) {
		print->at = 0;
		print->rows++;
	}
}

/* Of one code point that does not stand as it is; a terminal would obey it. */
static int escape(char *to, size_t room, const uint8_t *at, unsigned bytes)
{
	if (*at == '\n' || *at == '\t')
		return snprintf(to, room, "\\%c", *at == '\n' ? 'n' : 't');
	if (bytes == 0)
		return snprintf(to, room, "\\x%02x", *at);
	return snprintf(to, room, "\\u%04x", bytes == 1 ? *at : at[1]);
}

/* U+0000 to U+001F, U+007F to U+009F. */
static bool is_control(const uint8_t *at, unsigned bytes)
{
	return (bytes == 1 && (*at < 0x20 || *at == 0x7f)) ||
	       (bytes == 2 && *at == 0xc2 && at[1] < 0xa0);
}

void print_size(char to[PRINT_SIZE_BYTES], uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes / 1024;
	size_t unit = 0;
	if (bytes < 1024) {
		snprintf(to, PRINT_SIZE_BYTES, "%u B", (unsigned)bytes);
		return;
	}
	for (; size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		size /= 1024;
	snprintf(to, PRINT_SIZE_BYTES, "%.1f %s", size, units[unit]);
}

const char *print_plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

void print_clean(char *to, size_t bytes_max, struct slice text, const char *as_they_are)
{
	enum { ESCAPE_BYTES_MAX = 8 };
	const uint8_t *at = text.data;
	const uint8_t *end = at ? at + text.bytes : at;
	size_t used = 0;
	while (at < end && used + ESCAPE_BYTES_MAX < bytes_max) {
		unsigned bytes = utf8_sequence(at, end);
		if (bytes > 0 && (!is_control(at, bytes) ||
		                     (*at != '\0' && bytes == 1 && strchr(as_they_are, *at)))) {
			memcpy(to + used, at, bytes);
			used += bytes;
		} else {
			used += (size_t)escape(to + used, bytes_max - used, at, bytes);
		}
		at += bytes > 0 ? bytes : 1;
	}
	to[used] = '\0';
}

void print_text(struct print *print, const char *text)
{
	char clean[CELL_BYTES_MAX];
	print_clean(clean, sizeof(clean), slice_from_text(text), "");
	cell(print, clean, false);
}

void print_number(struct print *print, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	cell(print, text, true);
}

static void table_cell(const struct print *print, unsigned column, const char *text, size_t bytes)
{
	/* Bytes are not places. */
	int blank = (int)(print->width[column] - utf8_count(slice_of(text, bytes)));
	bool is_last = column + 1 == print->count;
	if (print->number[column])
		printf("%*s%.*s%s", blank, "", (int)bytes, text, is_last ? "" : "  ");
	else if (is_last)
		printf("%.*s", (int)bytes, text);
	else
		printf("%.*s%*s  ", (int)bytes, text, blank, "");
}

static void table_print(struct print *print)
{
	struct reader in = reader_of(buffer_view(&print->cells));
	for (unsigned i = 0; i < print->count; i++)
		table_cell(print, i, print->columns[i], strlen(print->columns[i]));
	putchar('\n');
	for (uint64_t row = 0; row < print->rows; row++) {
		for (unsigned i = 0; i < print->count; i++) {
			uint32_t bytes = reader_u32le(&in);
			struct slice text = reader_slice(&in, bytes);
			table_cell(print, i, text.data ? (const char *)text.data : "", text.bytes);
		}
		putchar('\n');
	}
	ASSERT(!in.failed);
}

int print_end(struct print *print)
{
	ASSERT(print->at == 0 || print->error != 0);
	if (print->error == 0 && print->format == OUTPUT_TABLE && print->rows > 0)
		table_print(print);
	if (print->format == OUTPUT_JSON)
		fputs("]\n", stdout);
	if (fflush(stdout) != 0)
		keep_error(print, ERR_IO);
	buffer_done(&print->cells);
	buffer_done(&print->line);
	return print->error;
}

/* ---- One object, as JSON ---- */

void print_object_begin(struct print_object *object)
{
	buffer_init(&object->text, OBJECT_BYTES_MAX);
	json_writer_init(&object->json, &object->text);
	json_write_object_begin(&object->json);
}

void print_object_text(struct print_object *object, const char *name, struct slice value)
{
	json_write_key(&object->json, slice_from_text(name));
	json_write_string(&object->json, value);
}

void print_object_number(struct print_object *object, const char *name, uint64_t value)
{
	json_write_key(&object->json, slice_from_text(name));
	json_write_integer(&object->json, (int64_t)value);
}

void print_object_boolean(struct print_object *object, const char *name, bool value)
{
	json_write_key(&object->json, slice_from_text(name));
	json_write_boolean(&object->json, value);
}

int print_object_end(struct print_object *object, const char *before, const char *after)
{
	json_write_object_end(&object->json);
	int error = json_writer_finish(&object->json);
	struct slice text = buffer_view(&object->text);
	if (!error &&
	    (fputs(before, stdout) < 0 || fwrite(text.data, 1, text.bytes, stdout) != text.bytes ||
	        fputs(after, stdout) < 0 || fflush(stdout)))
		error = ERR_IO;
	buffer_done(&object->text);
	return error;
}
