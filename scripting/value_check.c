/* Paths and texts of errors, and the checks of scalars. */
#include "base/assert.h"
#include "base/wire/address.h"
#include "base/wire/decimal.h"
#include "base/wire/utf8.h"
#include "scripting/pattern.h"
#include "scripting/value_inside.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* --- Paths ------------------------------------------------------------------------------------ */

enum {
	/* A key in a path; longer ones are cut, as they come from outside. */
	KEY_BYTES_SHOWN = 64
};

void value_trouble_init(struct value_trouble *trouble)
{
	trouble->reason[0] = 0;
	trouble->path_at = VALUE_PATH_BYTES;
	trouble->path_cut = false;
}

int value_fail(struct value_trouble *trouble, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(trouble->reason, sizeof(trouble->reason), format, arguments);
	va_end(arguments);
	trouble->path_at = VALUE_PATH_BYTES;
	trouble->path_cut = false;
	return ERR_INVALID;
}

int value_at_key(struct value_trouble *trouble, struct slice key, int error)
{
	if (error != ERR_INVALID || trouble->path_cut)
		return error;
	bool is_cut = key.bytes > KEY_BYTES_SHOWN;
	size_t bytes = is_cut ? utf8_cut(key, KEY_BYTES_SHOWN) : key.bytes;
	size_t needed = bytes + (is_cut ? 3 : 0) + (trouble->path_at < VALUE_PATH_BYTES ? 1 : 0);
	if (needed + 3 > trouble->path_at) {
		/* The innermost keys say most. */
		trouble->path_at -= 3;
		memcpy(trouble->path + trouble->path_at, "...", 3);
		trouble->path_cut = true;
		return error;
	}
	char *to = trouble->path + trouble->path_at - needed;
	trouble->path_at -= needed;
	for (size_t i = 0; i < bytes; i++)
		*to++ = (char)(key.data[i] < 0x20 || key.data[i] == 0x7f ? '?' : key.data[i]);
	if (is_cut) {
		memcpy(to, "...", 3);
		to += 3;
	}
	if (to < trouble->path + VALUE_PATH_BYTES)
		*to = '.';
	return error;
}

int value_at_position(struct value_trouble *trouble, uint64_t position, int error)
{
	uint8_t digits[DECIMAL_INTEGER_BYTES_MAX];
	return value_at_key(
	    trouble, slice_of(digits, decimal_write_unsigned(position, digits)), error);
}

void value_trouble_tell(const struct value_trouble *trouble, struct value_problem *problem)
{
	size_t bytes = VALUE_PATH_BYTES - trouble->path_at;
	snprintf(problem->why, sizeof(problem->why), "%.*s%s%s", (int)bytes,
	    trouble->path + trouble->path_at, bytes ? ": " : "", trouble->reason);
}

/* --- Texts ------------------------------------------------------------------------------------ */

int value_mismatch(struct value_trouble *trouble, const struct schema *schema, const char *got)
{
	char expected[200];
	schema_describe(schema, expected, sizeof(expected));
	return value_fail(trouble, "expected %s, got %s", expected, got);
}

int value_mismatch_integer(struct value_trouble *trouble, const struct schema *schema, int64_t got)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)got);
	return value_mismatch(trouble, schema, text);
}

int value_mismatch_number(struct value_trouble *trouble, const struct schema *schema, double got)
{
	char text[40];
	if (isfinite(got)) {
		size_t bytes = decimal_write_double(got, (uint8_t *)text);
		text[bytes] = 0;
	} else {
		snprintf(text, sizeof(text), "%s", isnan(got) ? "nan" : "infinity");
	}
	return value_mismatch(trouble, schema, text);
}

int value_mismatch_text(
    struct value_trouble *trouble, const struct schema *schema, struct slice got)
{
	char text[64];
	size_t count = utf8_valid(got) ? utf8_count(got) : got.bytes;
	snprintf(text, sizeof(text), "string of %zu %s%s", count,
	    utf8_valid(got) ? "character" : "byte", count == 1 ? "" : "s");
	return value_mismatch(trouble, schema, text);
}

int value_mismatch_count(struct value_trouble *trouble, const struct schema *schema, size_t got)
{
	char text[32];
	snprintf(text, sizeof(text), "%zu", got);
	return value_mismatch(trouble, schema, text);
}

int value_unknown_field(
    struct value_trouble *trouble, const struct schema *schema, struct slice name)
{
	int nearest = -1;
	if (name.bytes <= KEY_BYTES_SHOWN)
		nearest = name_nearest(name, schema->names, (int)schema->name_count);
	if (nearest >= 0)
		value_fail(trouble, "unknown field; did you mean %.64s?",
		    (const char *)schema->names[nearest].data);
	else
		value_fail(trouble, "unknown field");
	return value_at_key(trouble, name, ERR_INVALID);
}

/* --- Scalars ---------------------------------------------------------------------------------- */

int value_check_string(struct value_work *work, struct value_trouble *trouble,
    const struct schema *schema, struct slice text)
{
	if (schema->has_min || schema->has_max) {
		int64_t count = (int64_t)utf8_count(text);
		if ((schema->has_min && count < schema->min.integer) ||
		    (schema->has_max && count > schema->max.integer))
			return value_mismatch_text(trouble, schema, text);
	}
	if (schema->name_count > 0 && schema_find_name(schema, text) < 0)
		return value_mismatch_text(trouble, schema, text);
	if (!schema->has_text)
		return 0;
	uint64_t steps_max = PATTERN_STEPS_MAX(text.bytes), steps = steps_max;
	bool matches = false;
	int error = pattern_matches(schema->text, text, &steps, &matches);
	value_work(work, steps_max - steps);
	if (error)
		return value_fail(
		    trouble, "too long for its pattern \"%.64s\"", (const char *)schema->text.data);
	return matches ? 0 : value_mismatch_text(trouble, schema, text);
}

int value_check_number(struct value_trouble *trouble, const struct schema *schema, double value)
{
	if (!isfinite(value) || (schema->has_min && value < schema->min.number) ||
	    (schema->has_max && value > schema->max.number))
		return value_mismatch_number(trouble, schema, value);
	return 0;
}

int value_check_count(struct value_trouble *trouble, const struct schema *schema, size_t count)
{
	if ((schema->has_min && (int64_t)count < schema->min.integer) ||
	    (schema->has_max && (int64_t)count > schema->max.integer))
		return value_mismatch_count(trouble, schema, count);
	return 0;
}

bool value_integer_of(double number, int64_t *ret_integer)
{
	/* Both bounds are doubles exactly; NaN fails the first comparison. */
	if (!(number >= -0x1p63 && number < 0x1p63) || number != floor(number))
		return false;
	*ret_integer = (int64_t)number;
	return true;
}

bool value_integer_key(struct slice key, int64_t *ret_integer)
{
	struct decimal number;
	if (key.bytes == 0 || key.bytes > DECIMAL_INTEGER_BYTES_MAX)
		return false;
	if (decimal_parse(key, &number) || !number.is_integer || number.bytes != key.bytes)
		return false;
	if (number.integer == 0 && key.bytes != 1)
		return false; /* -0 */
	*ret_integer = number.integer;
	return true;
}
