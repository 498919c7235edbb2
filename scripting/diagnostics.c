#include "scripting/diagnostics.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* A place for one more: at the end, or, for an error, that of the last warning where all are taken.
 * NULL: none. */
static struct host_diagnostic *place_for(
    struct host_diagnostics *diagnostics, enum host_severity severity)
{
	if (diagnostics->count < DIAGNOSTICS_MAX)
		return &diagnostics->items[diagnostics->count++];
	if (severity == HOST_WARNING)
		return NULL;
	for (size_t i = diagnostics->count; i > 0; i--) {
		struct host_diagnostic *item = &diagnostics->items[i - 1];
		if (item->severity == HOST_WARNING) {
			mem_free(item->file);
			mem_free(item->text);
			return item;
		}
	}
	return NULL;
}

static int make_room(struct host_diagnostics *diagnostics)
{
	if (diagnostics->count == DIAGNOSTICS_MAX)
		return 0;
	return array_reserve(&diagnostics->items, &diagnostics->capacity, diagnostics->count + 1,
	    sizeof(*diagnostics->items));
}

static char *copy(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *to = mem_alloc(bytes);
	if (to)
		memcpy(to, text, bytes);
	return to;
}

int diagnostics_add_list(struct host_diagnostics *diagnostics, enum host_severity severity,
    const char *file, uint32_t line, const char *format, va_list arguments)
{
	char text[DIAGNOSTIC_TEXT_MAX];
	vsnprintf(text, sizeof(text), format, arguments);
	char *file_copy = copy(file ? file : "");
	char *text_copied = copy(text);
	if (!file_copy || !text_copied || make_room(diagnostics)) {
		mem_free(file_copy);
		mem_free(text_copied);
		return ERR_NOMEM;
	}
	struct host_diagnostic *item = place_for(diagnostics, severity);
	if (!item) {
		mem_free(file_copy);
		mem_free(text_copied);
		return 0;
	}
	*item = (struct host_diagnostic){
	    .severity = severity, .file = file_copy, .line = line, .text = text_copied};
	return 0;
}

int diagnostics_add(struct host_diagnostics *diagnostics, enum host_severity severity,
    const char *file, uint32_t line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int error = diagnostics_add_list(diagnostics, severity, file, line, format, arguments);
	va_end(arguments);
	return error;
}

bool diagnostics_have_error(const struct host_diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		if (diagnostics->items[i].severity == HOST_ERROR)
			return true;
	}
	return false;
}

static bool is_before(const struct host_diagnostic *a, const struct host_diagnostic *b)
{
	if (a->severity != b->severity)
		return a->severity < b->severity;
	int order = strcmp(a->file, b->file);
	return order != 0 ? order < 0 : a->line < b->line;
}

/* Insertion, which is stable; they are few. */
void diagnostics_sort(struct host_diagnostics *diagnostics)
{
	for (size_t i = 1; i < diagnostics->count; i++) {
		struct host_diagnostic moved = diagnostics->items[i];
		size_t to = i;
		for (; to > 0 && is_before(&moved, &diagnostics->items[to - 1]); to--)
			diagnostics->items[to] = diagnostics->items[to - 1];
		diagnostics->items[to] = moved;
	}
}

void host_diagnostics_free(struct host_diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		mem_free(diagnostics->items[i].file);
		mem_free(diagnostics->items[i].text);
	}
	mem_free(diagnostics->items);
	*diagnostics = (struct host_diagnostics){0};
}
