/* What the process says about itself: events, one line each.
 *
 *   2026-01-31T12:00:00.123Z warning log_damaged group=7 offset=4096 error=ERR_CORRUPT
 *
 *   LOG_LINE(LEVEL_WARNING, "log_damaged", FIELD_U64("group", group),
 *       FIELD_U64("offset", offset), FIELD_ERROR("error", error));
 *
 * A line is printable ASCII whatever the values are: text from outside is quoted and escaped, so
 * that it can neither begin a line nor act on a terminal. It is at most LOG_LINE_BYTES_MAX long;
 * what does not fit is left out, and `cut=true` says so. Secrets and payloads are never logged, and
 * of users' values only lengths and types. Events and keys are [a-z0-9_], stable, and greppable.
 *
 * A line is one write(2). A reader that has stalled must not stall a core: what the descriptor does
 * not take at once is lost, and the next line says `lost=N`. Nothing is allocated. Any thread; the
 * settings are made before threads start, but for the level, which may change at any time.
 */
#ifndef KX_BASE_LOG_LINE_H
#define KX_BASE_LOG_LINE_H

#include "base/slice.h"

enum log_level {
	LEVEL_DEBUG,   /* for developers; off unless asked for */
	LEVEL_INFO,    /* what an operator wants to find afterwards */
	LEVEL_WARNING, /* something is wrong, and handled */
	LEVEL_ERROR    /* somebody must act */
};

enum log_field_kind {
	LOG_FIELD_TEXT,
	LOG_FIELD_SLICE,
	LOG_FIELD_U64,
	LOG_FIELD_I64,
	LOG_FIELD_HEX, /* 16 digits: ids and hashes */
	LOG_FIELD_BOOL,
	LOG_FIELD_ERROR /* its name */
};

struct log_field {
	const char *key;
	enum log_field_kind kind;
	union {
		const char *text; /* NULL is written as "" */
		struct slice slice;
		uint64_t u64;
		int64_t i64;
		bool boolean;
	} value;
};

#define FIELD_TEXT(name, what)                                                                     \
	((struct log_field){.key = (name), .kind = LOG_FIELD_TEXT, .value.text = (what)})
#define FIELD_SLICE(name, what)                                                                    \
	((struct log_field){.key = (name), .kind = LOG_FIELD_SLICE, .value.slice = (what)})
#define FIELD_U64(name, what)                                                                      \
	((struct log_field){.key = (name), .kind = LOG_FIELD_U64, .value.u64 = (what)})
#define FIELD_I64(name, what)                                                                      \
	((struct log_field){.key = (name), .kind = LOG_FIELD_I64, .value.i64 = (what)})
#define FIELD_HEX(name, what)                                                                      \
	((struct log_field){.key = (name), .kind = LOG_FIELD_HEX, .value.u64 = (what)})
#define FIELD_BOOL(name, what)                                                                     \
	((struct log_field){.key = (name), .kind = LOG_FIELD_BOOL, .value.boolean = (what)})
#define FIELD_ERROR(name, what)                                                                    \
	((struct log_field){.key = (name), .kind = LOG_FIELD_ERROR, .value.i64 = (what)})

/* Fields are evaluated only where the level is on. */
#define LOG_LINE(level, event, ...)                                                                \
	do {                                                                                       \
		if (log_line_is_on(level)) {                                                       \
			const struct log_field log_line_fields[] = {__VA_ARGS__};                  \
			log_line(level, event, log_line_fields,                                    \
			    sizeof(log_line_fields) / sizeof(log_line_fields[0]));                 \
		}                                                                                  \
	} while (0)

void log_line(
    enum log_level level, const char *event, const struct log_field *fields, size_t count);

bool log_line_is_on(enum log_level level);

/* Lines below it are left out; LEVEL_INFO at first. */
void log_line_set_level(enum log_level level);

/* Where lines go: a descriptor (2 at first), or a function of a test's or the simulator's, which
 * gets each line with its newline and without a 0, valid during the call. NULL: the descriptor
 * again. */
void log_line_set_descriptor(int descriptor);
typedef void log_line_sink(void *arg, enum log_level level, struct slice line);
void log_line_set_sink(log_line_sink *sink, void *arg);
/* A sink that takes nothing: lines for it are not even made, where nobody has a copy. */
void log_line_nowhere(void *arg, enum log_level level, struct slice line);

/* Gets each line that is told, too, also where the descriptor does not take it. Any thread calls
 * it. NULL: nobody. */
void log_line_set_copy(void (*copy)(struct slice line));

/* "debug", "info", "warning", "error". */
const char *log_level_name(enum log_level level);

#endif
