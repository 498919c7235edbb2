/* JSON of a server as rows: read token by token, so that any reply is printed, whatever members a
 * newer server adds. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/wire/json.h"
#include "base/wire/utf8.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define CELL_BYTES_MAX 4096

/* One value as a cell: a string without its quotes, everything else as its JSON. */
static void cell_of(
    struct json_reader *in, struct slice text, enum json_token token, char cell[CELL_BYTES_MAX])
{
	struct slice value = in->text;
	size_t begin = json_token_offset(in);
	if (token != JSON_STRING) {
		if (json_skip(in)) {
			cell[0] = 0;
			return;
		}
		value = slice_of(text.data + begin, json_offset(in) - begin);
	}
	size_t bytes = utf8_cut(value, CELL_BYTES_MAX - 1);
	if (bytes > 0)
		memcpy(cell, value.data, bytes);
	cell[bytes] = 0;
}

struct row {
	const char *const *columns;
	unsigned count;
	char cells[PRINT_COLUMNS_MAX][CELL_BYTES_MAX];
};

static int read_object(struct json_reader *in, struct slice text, struct row *row)
{
	enum json_token token;
	for (unsigned i = 0; i < row->count; i++)
		row->cells[i][0] = 0;
	for (;;) {
		unsigned column = 0;
		int error = json_next(in, &token);
		if (error || token == JSON_OBJECT_END)
			return error;
		while (column < row->count &&
		       !slice_equal(in->text, slice_from_text(row->columns[column])))
			column++;
		if ((error = json_next(in, &token)))
			return error;
		if (column < row->count)
			cell_of(in, text, token, row->cells[column]);
		else if ((error = json_skip(in)))
			return error;
	}
}

static int print_array(struct json_reader *in, struct slice text, struct row *row)
{
	struct print print;
	enum json_token token;
	int error;
	print_begin(&print, OUTPUT_TABLE, row->columns, row->count);
	while ((error = json_next(in, &token)) == 0 && token != JSON_ARRAY_END) {
		if (token == JSON_OBJECT_BEGIN) {
			error = read_object(in, text, row);
		} else {
			/* Not an object: the only cell of its row. */
			for (unsigned i = 0; i < row->count; i++)
				row->cells[i][0] = 0;
			cell_of(in, text, token, row->cells[0]);
		}
		if (error)
			break;
		for (unsigned i = 0; i < row->count; i++)
			print_text(&print, row->cells[i]);
	}
	int ended = print_end(&print);
	return error ? error : ended;
}

static int print_members(struct json_reader *in, struct slice text)
{
	char cell[CELL_BYTES_MAX], clean[CELL_BYTES_MAX];
	enum json_token token;
	int error;
	while ((error = json_next(in, &token)) == 0 && token != JSON_OBJECT_END) {
		printf("%-12.*s ", (int)in->text.bytes, (const char *)in->text.data);
		if ((error = json_next(in, &token)))
			break;
		/* A traceback has lines, and they are wanted as lines. */
		cell_of(in, text, token, cell);
		print_clean(clean, sizeof(clean), slice_from_text(cell), "\n\t");
		printf("%s\n", clean);
	}
	return error;
}

static int print_table(struct slice text, const char *const *columns, unsigned count)
{
	static struct row row; /* large; this program has one thread */
	struct json_reader in;
	struct buffer scratch;
	enum json_token token;
	buffer_init(&scratch, TEXT_BYTES_MAX);
	row.columns = columns;
	row.count = count;
	json_reader_init(&in, text, &scratch, JSON_DEPTH_MAX);
	int error = json_next(&in, &token);
	if (!error && token == JSON_ARRAY_BEGIN && columns)
		error = print_array(&in, text, &row);
	else if (!error && token == JSON_OBJECT_BEGIN)
		error = print_members(&in, text);
	else if (!error)
		printf("%.*s\n", (int)text.bytes, (const char *)text.data);
	buffer_done(&scratch);
	return error;
}

static int print_lines(struct slice text)
{
	struct json_reader in;
	enum json_token token;
	json_reader_init(&in, text, NULL, JSON_DEPTH_MAX);
	int error = json_next(&in, &token);
	if (error)
		return error;
	if (token != JSON_ARRAY_BEGIN) {
		printf("%.*s\n", (int)text.bytes, (const char *)text.data);
		return 0;
	}
	while ((error = json_next(&in, &token)) == 0 && token != JSON_ARRAY_END) {
		size_t begin = json_token_offset(&in);
		if ((error = json_skip(&in)))
			return error;
		printf("%.*s\n", (int)(json_offset(&in) - begin), (const char *)text.data + begin);
	}
	return error;
}

enum exit_code online_print(
    const struct online *online, const char *const *columns, unsigned column_count)
{
	struct slice text = slice_from_text(online_json(online));
	int error = 0;
	switch (online->args->format) {
	case OUTPUT_JSON:
		printf("%s\n", online_json(online));
		break;
	case OUTPUT_JSONL:
		error = print_lines(text);
		break;
	case OUTPUT_TABLE:
		error = print_table(text, columns, column_count);
		break;
	}
	return error ? command_failed(error, "the server's reply could not be read as JSON")
	             : EXIT_DONE;
}

/* ---- Rows inside an object ---- */

static int print_rows(struct slice rows, const char *const *columns, unsigned count)
{
	const char *used[PRINT_COLUMNS_MAX];
	unsigned used_count = 0;
	struct slice row, value;
	for (unsigned i = 0; i < count; i++) {
		bool any = i == 0;
		for (size_t at = 0; !any && pick_element(rows, &at, &row);)
			any = pick_member(row, columns[i], &value);
		if (any)
			used[used_count++] = columns[i];
	}
	static struct row cells; /* large; this program has one thread */
	struct json_reader in;
	struct buffer scratch;
	enum json_token token;
	buffer_init(&scratch, TEXT_BYTES_MAX);
	cells.columns = used;
	cells.count = used_count;
	json_reader_init(&in, rows, &scratch, JSON_DEPTH_MAX);
	int error = json_next(&in, &token);
	if (!error)
		error = print_array(&in, rows, &cells);
	cells.columns = NULL; /* they end here, and the row does not */
	buffer_done(&scratch);
	return error;
}

/* As an argument that a shell takes as it is: it may hold an id. */
static void print_cursor(struct slice json)
{
	uint8_t text[CELL_BYTES_MAX];
	size_t bytes = 0;
	if (json.bytes >= 2 && json.bytes < sizeof(text))
		bytes = json_unescape(slice_of(json.data + 1, json.bytes - 2), text);
	fputs("more: --cursor '", stdout);
	for (size_t i = 0; i < bytes; i++)
		if (text[i] == '\'')
			fputs("'\\''", stdout);
		else
			putchar(text[i]);
	puts("'");
}

enum exit_code online_print_member(const struct online *online, const char *name,
    const char *const *columns, unsigned column_count)
{
	struct slice text = slice_from_text(online_json(online));
	struct slice rows, cursor;
	int error = 0;
	if (online->args->format == OUTPUT_JSON || !pick_member(text, name, &rows))
		return online_print(online, NULL, 0);
	bool more = pick_member(text, "cursor", &cursor);
	if (online->args->format == OUTPUT_JSONL) {
		error = print_lines(rows);
		if (more)
			printf("{\"cursor\":%.*s}\n", (int)cursor.bytes, (const char *)cursor.data);
	} else {
		error = print_rows(rows, columns, column_count);
		if (more)
			print_cursor(cursor);
	}
	return error ? command_failed(error, "the server's reply could not be read as JSON")
	             : EXIT_DONE;
}
