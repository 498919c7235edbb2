#include "base/log_line.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

_Static_assert(LOG_LINE_BYTES_MAX <= PIPE_BUF, "lines of several threads do not mix in a pipe");

enum {
	/* Kept free for " cut=true", " lost=" with a number, and the newline. */
	TAIL_BYTES = 48
};

static _Atomic int level_min = LEVEL_INFO;
static int descriptor_now = STDERR_FILENO;
static log_line_sink *sink_now;
static void *sink_arg;
static void (*copy_now)(struct slice line);
static _Atomic uint64_t lost;

void log_line_set_level(enum log_level level)
{
	atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

void log_line_set_descriptor(int descriptor)
{
	ASSERT(descriptor >= 0);
	descriptor_now = descriptor;
}

void log_line_set_sink(log_line_sink *sink, void *arg)
{
	sink_now = sink;
	sink_arg = arg;
}

void log_line_nowhere(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

void log_line_set_copy(void (*copy)(struct slice line))
{
	copy_now = copy;
}

bool log_line_is_on(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&level_min, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LEVEL_DEBUG:
		return "debug";
	case LEVEL_INFO:
		return "info";
	case LEVEL_WARNING:
		return "warning";
	case LEVEL_ERROR:
		return "error";
	}
	UNREACHABLE();
}

static void put_text(struct writer *out, const char *text)
{
	writer_slice(out, slice_from_text(text));
}

static __attribute__((format(printf, 2, 3))) void put_format(
    struct writer *out, const char *format, ...)
{
	char text[64];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ASSERT(length >= 0 && (size_t)length < sizeof(text));
	writer_bytes(out, text, (size_t)length);
}

static void put_time(struct writer *out)
{
	int64_t now_ms = clock_real_ms();
	int64_t ms = now_ms % 1000;
	if (ms < 0) /* a clock before 1970 */
		ms += 1000;
	time_t seconds = (time_t)((now_ms - ms) / 1000);
	struct tm parts;
	if (!gmtime_r(&seconds, &parts)) {
		put_format(out, "%" PRId64, now_ms);
		return;
	}
	put_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
	    parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)ms);
}

static bool needs_quotes(struct slice text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		uint8_t byte = text.data[i];
		if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\' || byte == '=')
			return true;
	}
	return text.bytes == 0;
}

/* One byte of a quoted text, whole or not at all. */
static void put_escaped(struct writer *out, uint8_t byte)
{
	char escape[5];
	size_t bytes = 2;
	escape[0] = '\\';
	if (byte == '"' || byte == '\\') {
		escape[1] = (char)byte;
	} else if (byte == '\n') {
		escape[1] = 'n';
	} else if (byte == '\t') {
		escape[1] = 't';
	} else if (byte < ' ' || byte >= 0x7f) {
		snprintf(escape, sizeof(escape), "\\x%02x", byte);
		bytes = 4;
	} else {
		escape[0] = (char)byte;
		bytes = 1;
	}
	writer_bytes(out, escape, bytes);
}

/* As much of it as fits: the beginning of a long text is worth more than nothing. */
static void put_value(struct writer *out, struct slice text)
{
	if (!needs_quotes(text)) {
		size_t room = writer_left(out);
		writer_bytes(out, text.data, text.bytes < room ? text.bytes : room);
		if (text.bytes > room)
			writer_fail(out);
		return;
	}
	if (writer_left(out) < 2) {
		writer_fail(out);
		return;
	}
	writer_u8(out, '"');
	out->end--; /* for the closing quote, which follows in any case */
	for (size_t i = 0; i < text.bytes && !out->failed; i++)
		put_escaped(out, text.data[i]);
	out->end = out->failed ? out->at + 1 : out->end + 1;
	writer_u8(out, '"');
}

static void put_field(struct writer *out, const struct log_field *field)
{
	struct writer before = *out;
	writer_u8(out, ' ');
	put_text(out, field->key);
	writer_u8(out, '=');
	bool key_fits = !out->failed;
	switch (field->kind) {
	case LOG_FIELD_TEXT:
		put_value(out, slice_from_text(field->value.text ? field->value.text : ""));
		break;
	case LOG_FIELD_SLICE:
		put_value(out, field->value.slice);
		break;
	case LOG_FIELD_U64:
		put_format(out, "%" PRIu64, field->value.u64);
		break;
	case LOG_FIELD_I64:
		put_format(out, "%" PRId64, field->value.i64);
		break;
	case LOG_FIELD_HEX:
		put_format(out, "%016" PRIx64, field->value.u64);
		break;
	case LOG_FIELD_BOOL:
		put_text(out, field->value.boolean ? "true" : "false");
		break;
	case LOG_FIELD_ERROR:
		put_text(out, error_name((int)field->value.i64));
		break;
	}
	/* Half a number would be a lie. */
	bool is_text = field->kind == LOG_FIELD_TEXT || field->kind == LOG_FIELD_SLICE;
	if (out->failed && !(is_text && key_fits)) {
		*out = before;
		writer_fail(out);
	}
}

/* False where the line was lost. */
static bool write_line(int descriptor, struct slice line)
{
	/* A pipe that polls as writable takes PIPE_BUF bytes without waiting. */
	struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
	if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return false;
	ssize_t written;
	do {
		written = write(descriptor, line.data, line.bytes);
	} while (written < 0 && errno == EINTR);
	return written >= 0;
}

void log_line(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	if (!log_line_is_on(level))
		return;
	if (sink_now == log_line_nowhere && !copy_now) {
		/* A look at a simulated clock may cost time: as much as if the line were made. */
		(void)clock_real_ms();
		return;
	}
	uint8_t text[LOG_LINE_BYTES_MAX];
	struct writer out = writer_of(text, sizeof(text) - TAIL_BYTES);
	put_time(&out);
	writer_u8(&out, ' ');
	put_text(&out, log_level_name(level));
	writer_u8(&out, ' ');
	put_text(&out, event);
	ASSERT(!out.failed);
	for (size_t i = 0; i < count && !out.failed; i++)
		put_field(&out, &fields[i]);

	bool cut = out.failed;
	struct writer tail = writer_of(out.at, (size_t)(text + sizeof(text) - out.at));
	if (cut)
		put_text(&tail, " cut=true");
	uint64_t lost_before = atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
	if (lost_before > 0)
		put_format(&tail, " lost=%" PRIu64, lost_before);
	writer_u8(&tail, '\n');
	ASSERT(!tail.failed);

	struct slice line = slice_of(text, (size_t)(tail.at - text));
	if (copy_now)
		copy_now(line);
	if (sink_now)
		sink_now(sink_arg, level, line);
	else if (!write_line(descriptor_now, line))
		atomic_fetch_add_explicit(&lost, lost_before + 1, memory_order_relaxed);
}
