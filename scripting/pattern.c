#include "scripting/pattern.h"

#include "base/assert.h"
#include "scripting/matcher.h"

int pattern_matches(struct slice pattern, struct slice text, uint64_t *steps, bool *ret_matches)
{
	struct matcher matcher;
	if (pattern.bytes > 0 && pattern.data[0] == '^')
		pattern = slice_of(pattern.data + 1, pattern.bytes - 1);
	matcher_begin(&matcher, text, 0, pattern);
	matcher.whole = matcher.anchored = true;
	matcher.steps = *steps;
	enum match match = matcher_run(&matcher);
	*steps = matcher.steps;
	/* It was checked, so what is wrong is that it nests too deeply. */
	if (match == MATCH_MORE || match == MATCH_WRONG)
		return ERR_TOO_LARGE;
	*ret_matches = match == MATCH_FOUND;
	return 0;
}

/* --- Checking --------------------------------------------------------------------------------- */

/* Behind the set that begins at `at`, or NULL where it does not end. */
static const uint8_t *check_set(const uint8_t *at, const uint8_t *end)
{
	at++;
	if (at < end && *at == '^')
		at++;
	do {
		if (at == end)
			return NULL;
		if (*at++ == '%') {
			if (at == end)
				return NULL;
			at++;
		}
	} while (at == end || *at != ']');
	return at + 1;
}

struct check {
	const uint8_t *end;
	unsigned count, open_count;
	bool open[MATCHER_CAPTURES_MAX];
	unsigned stack[MATCHER_CAPTURES_MAX];
	const char *why;
};

static const uint8_t *check_percent(struct check *check, const uint8_t *at)
{
	if (at + 1 == check->end) {
		check->why = "a pattern that ends with %";
		return NULL;
	}
	uint8_t letter = at[1];
	if (letter == 'b') {
		if (check->end - at < 4)
			check->why = "%b needs two characters";
		return check->why ? NULL : at + 4;
	}
	if (letter == 'f') {
		if (check->end - at < 3 || at[2] != '[')
			check->why = "%f needs a set";
		else if (!check_set(at + 2, check->end))
			check->why = "a set without ]";
		return check->why ? NULL : check_set(at + 2, check->end);
	}
	if (letter >= '0' && letter <= '9') {
		unsigned index = (unsigned)letter - '1';
		if (letter == '0' || index >= check->count || check->open[index])
			check->why = "a reference to a capture that is not there";
		return check->why ? NULL : at + 2;
	}
	return at + 2;
}

static const uint8_t *check_capture(struct check *check, const uint8_t *at)
{
	if (*at == '(') {
		if (check->count == MATCHER_CAPTURES_MAX) {
			check->why = "more than 32 captures";
			return NULL;
		}
		if (at + 1 < check->end && at[1] == ')') {
			/* A position, which no reference can stand for: never closed. */
			check->open[check->count++] = true;
			return at + 2;
		}
		check->open[check->count] = true;
		check->stack[check->open_count++] = check->count++;
		return at + 1;
	}
	if (check->open_count == 0) {
		check->why = "a ) without (";
		return NULL;
	}
	check->open[check->stack[--check->open_count]] = false;
	return at + 1;
}

int pattern_check(struct slice pattern, const char **ret_why)
{
	if (pattern.bytes > PATTERN_BYTES_MAX) {
		*ret_why = "a pattern of more than 256 bytes";
		return ERR_INVALID;
	}
	if (pattern.bytes == 0)
		return 0;
	struct check check = {.end = pattern.data + pattern.bytes};
	const uint8_t *at = pattern.data;
	while (at && at < check.end) {
		if (*at == '(' || *at == ')') {
			at = check_capture(&check, at);
		} else if (*at == '%') {
			at = check_percent(&check, at);
		} else if (*at == '[') {
			at = check_set(at, check.end);
			if (!at)
				check.why = "a set without ]";
		} else {
			at++;
		}
	}
	if (!check.why && check.open_count > 0)
		check.why = "a ( without )";
	if (!check.why)
		return 0;
	*ret_why = check.why;
	return ERR_INVALID;
}
