/* Rows on standard output, as a table, one JSON array, or a JSON object per line.
 *
 * Columns are named once; a row is then given column by column, in their order. The table is
 * printed at the end, when the widths are known; JSON lines at once.
 */
#ifndef KX_CLIENT_ADMIN_PRINT_H
#define KX_CLIENT_ADMIN_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/wire/json_writer.h"
#include "client/admin/args.h"

#define PRINT_COLUMNS_MAX 16

struct print {
	enum output_format format;
	const char *const *columns;
	unsigned count;
	unsigned at;                    /* next column of the row under way */
	bool number[PRINT_COLUMNS_MAX]; /* aligned to the right */
	size_t width[PRINT_COLUMNS_MAX];
	uint64_t rows;
	struct buffer cells; /* table: bytes u32 | text, cell by cell */
	struct buffer line;
	int error;
};

/* Bytes for people: "512 B", "34.5 MiB". */
enum { PRINT_SIZE_BYTES = 24 };
void print_size(char to[PRINT_SIZE_BYTES], uint64_t bytes);

/* Which of the two words goes with the number: "1 shard", "2 shards". */
const char *print_plural(uint64_t count, const char *one, const char *many);

/* Copies text as it may stand on a terminal: valid UTF-8 as it is, but for control characters;
 * they, and bytes that are no UTF-8, as \n, \u001b, \xff, save those named in as_they_are. Cut, and
 * ended with a NUL, within bytes_max. */
void print_clean(char *to, size_t bytes_max, struct slice text, const char *as_they_are);

/* `columns`: lower_case names, count at most PRINT_COLUMNS_MAX; they stay the caller's. */
void print_begin(
    struct print *print, enum output_format format, const char *const *columns, unsigned count);
void print_text(struct print *print, const char *text); /* through print_clean */
void print_number(struct print *print, uint64_t value);
/* Prints what is left, and frees. ERR_NOMEM, ERR_TOO_LARGE (a table above 256 MiB), ERR_IO. */
NODISCARD int print_end(struct print *print);

/* ---- One object, as JSON ---- */

/* `json` is its writer, for members that the functions below are not enough for. */
struct print_object {
	struct buffer text;
	struct json_writer json;
};

void print_object_begin(struct print_object *object);
void print_object_text(struct print_object *object, const char *name, struct slice value);
void print_object_number(struct print_object *object, const char *name, uint64_t value);
void print_object_boolean(struct print_object *object, const char *name, bool value);
/* Prints it with `before` and `after` around it, and frees. ERR_NOMEM, ERR_TOO_LARGE (64 MiB),
 * ERR_UTF8 (then nothing was printed), ERR_IO. */
NODISCARD int print_object_end(struct print_object *object, const char *before, const char *after);

#endif
