#include "scripting/pattern.h"

#include "base/assert.h"

#include <ctype.h>

enum {
	CAPTURES_MAX = 32,
	/* Nested tries, each a C frame of about 100 bytes; Lua's own bound is 200. */
	NESTING_MAX = 200,
};

struct capture {
	const uint8_t *begin;
	size_t bytes;
	enum { CAPTURE_OPEN, CAPTURE_CLOSED } state;
};

struct match {
	const uint8_t *text_begin, *text_end, *pattern_end;
	uint64_t *steps;
	unsigned depth;
	int error;
	unsigned level; /* captures begun */
	struct capture captures[CAPTURES_MAX];
};

static const uint8_t *match_here(struct match *match, const uint8_t *text, const uint8_t *pattern);

static bool step(struct match *match)
{
	if (*match->steps > 0) {
		(*match->steps)--;
		return true;
	}
	match->error = ERR_TOO_LARGE;
	return false;
}

/* The end of the single-character class at `pattern`; the pattern is well-formed. */
static const uint8_t *class_end(const struct match *match, const uint8_t *pattern)
{
	ASSERT(pattern < match->pattern_end);
	if (*pattern == '%')
		return pattern + 2;
	if (*pattern++ != '[')
		return pattern;
	if (pattern < match->pattern_end && *pattern == '^')
		pattern++;
	do { /* a ']' in first place is itself */
		if (*pattern++ == '%')
			pattern++;
	} while (pattern < match->pattern_end && *pattern != ']');
	return pattern + 1;
}

/* As in the C locale, whatever the process's. */
static bool in_class(uint8_t byte, uint8_t letter)
{
	bool is_ascii = byte < 0x80;
	bool found;
	switch (letter | 0x20) {
	case 'a':
		found = is_ascii && isalpha(byte);
		break;
	case 'c':
		found = byte < 0x20 || byte == 0x7f;
		break;
	case 'd':
		found = byte >= '0' && byte <= '9';
		break;
	case 'g':
		found = byte > 0x20 && byte < 0x7f;
		break;
	case 'l':
		found = byte >= 'a' && byte <= 'z';
		break;
	case 'p':
		found = is_ascii && ispunct(byte);
		break;
	case 's':
		found = byte == ' ' || (byte >= '\t' && byte <= '\r');
		break;
	case 'u':
		found = byte >= 'A' && byte <= 'Z';
		break;
	case 'w':
		found = is_ascii && isalnum(byte);
		break;
	case 'x':
		found = is_ascii && isxdigit(byte);
		break;
	default:
		return letter == byte;
	}
	return (letter & 0x20) ? found : !found;
}

/* `pattern` at '[', `end` behind its ']'. */
static bool in_set(uint8_t byte, const uint8_t *pattern, const uint8_t *end)
{
	bool found = true;
	const uint8_t *last = end - 1;
	if (pattern[1] == '^') {
		found = false;
		pattern++;
	}
	while (++pattern < last) {
		if (*pattern == '%') {
			pattern++;
			if (in_class(byte, *pattern))
				return found;
		} else if (pattern[1] == '-' && pattern + 2 < last) {
			if (pattern[0] <= byte && byte <= pattern[2])
				return found;
			pattern += 2;
		} else if (*pattern == byte) {
			return found;
		}
	}
	return !found;
}

static bool matches_one(
    const struct match *match, const uint8_t *text, const uint8_t *pattern, const uint8_t *end)
{
	if (text >= match->text_end)
		return false;
	switch (*pattern) {
	case '.':
		return true;
	case '%':
		return in_class(*text, pattern[1]);
	case '[':
		return in_set(*text, pattern, end);
	}
	return *pattern == *text;
}

/* %bxy */
static const uint8_t *match_balance(
    struct match *match, const uint8_t *text, const uint8_t *pattern)
{
	if (text >= match->text_end || *text != pattern[0])
		return NULL;
	size_t open = 1;
	while (++text < match->text_end && step(match)) {
		if (*text == pattern[1]) {
			if (--open == 0)
				return text + 1;
		} else if (*text == pattern[0]) {
			open++;
		}
	}
	return NULL;
}

/* NOLINTBEGIN(misc-no-recursion): bounded by NESTING_MAX */

static const uint8_t *match_most(
    struct match *match, const uint8_t *text, const uint8_t *pattern, const uint8_t *end)
{
	size_t count = 0;
	while (matches_one(match, text + count, pattern, end) && step(match))
		count++;
	for (;;) {
		const uint8_t *found = match_here(match, text + count, end + 1);
		if (found || match->error || count == 0)
			return found;
		count--;
	}
}

static const uint8_t *match_least(
    struct match *match, const uint8_t *text, const uint8_t *pattern, const uint8_t *end)
{
	for (;;) {
		const uint8_t *found = match_here(match, text, end + 1);
		if (found || match->error)
			return found;
		if (!matches_one(match, text, pattern, end))
			return NULL;
		text++;
	}
}

static const uint8_t *match_capture(
    struct match *match, const uint8_t *text, const uint8_t *pattern)
{
	if (*pattern == '(') {
		bool is_position = pattern[1] == ')';
		struct capture *capture = &match->captures[match->level++];
		*capture = (struct capture){
		    .begin = text, .state = is_position ? CAPTURE_CLOSED : CAPTURE_OPEN};
		const uint8_t *found = match_here(match, text, pattern + (is_position ? 2 : 1));
		if (!found)
			match->level--;
		return found;
	}
	unsigned level = match->level;
	while (match->captures[--level].state != CAPTURE_OPEN)
		ASSERT(level > 0);
	struct capture *capture = &match->captures[level];
	capture->state = CAPTURE_CLOSED;
	capture->bytes = (size_t)(text - capture->begin);
	const uint8_t *found = match_here(match, text, pattern + 1);
	if (!found)
		capture->state = CAPTURE_OPEN;
	return found;
}

/* %1 to %9 */
static const uint8_t *match_back(struct match *match, const uint8_t *text, uint8_t digit)
{
	const struct capture *capture = &match->captures[digit - '1'];
	if (!capture->begin || (size_t)(match->text_end - text) < capture->bytes ||
	    memcmp(capture->begin, text, capture->bytes) != 0)
		return NULL;
	return text + capture->bytes;
}

static bool at_frontier(const struct match *match, const uint8_t *text, const uint8_t *set)
{
	const uint8_t *end = class_end(match, set);
	uint8_t before = text == match->text_begin ? 0 : text[-1];
	uint8_t after = text == match->text_end ? 0 : *text;
	return !in_set(before, set, end) && in_set(after, set, end);
}

/* What `%` begins, where that is no class. NULL with *ret_handled: no match. */
static const uint8_t *match_special(
    struct match *match, const uint8_t *text, const uint8_t **pattern, bool *ret_handled)
{
	const uint8_t *at = *pattern;
	*ret_handled = true;
	if (at[1] == 'b') {
		*pattern = at + 4;
		return match_balance(match, text, at + 2);
	}
	if (at[1] == 'f') {
		*pattern = class_end(match, at + 2);
		return at_frontier(match, text, at + 2) ? text : NULL;
	}
	if (at[1] >= '1' && at[1] <= '9') {
		*pattern = at + 2;
		return match_back(match, text, at[1]);
	}
	*ret_handled = false;
	return text;
}

static const uint8_t *match_loop(struct match *match, const uint8_t *text, const uint8_t *pattern)
{
	while (pattern < match->pattern_end) {
		if (!step(match))
			return NULL;
		if (*pattern == '(' || *pattern == ')')
			return match_capture(match, text, pattern);
		if (*pattern == '$' && pattern + 1 == match->pattern_end)
			break;
		if (*pattern == '%') {
			bool handled;
			text = match_special(match, text, &pattern, &handled);
			if (!text)
				return NULL;
			if (handled)
				continue;
		}
		const uint8_t *end = class_end(match, pattern);
		uint8_t suffix = end < match->pattern_end ? *end : 0;
		if (suffix == '*')
			return match_most(match, text, pattern, end);
		if (suffix == '-')
			return match_least(match, text, pattern, end);
		bool one = matches_one(match, text, pattern, end);
		if (suffix == '+')
			return one ? match_most(match, text + 1, pattern, end) : NULL;
		if (suffix == '?') {
			if (one) {
				const uint8_t *found = match_here(match, text + 1, end + 1);
				if (found || match->error)
					return found;
			}
			pattern = end + 1;
			continue;
		}
		if (!one)
			return NULL;
		text++;
		pattern = end;
	}
	return text == match->text_end ? text : NULL;
}

static const uint8_t *match_here(struct match *match, const uint8_t *text, const uint8_t *pattern)
{
	if (match->error)
		return NULL;
	if (match->depth == NESTING_MAX) {
		match->error = ERR_TOO_LARGE;
		return NULL;
	}
	match->depth++;
	const uint8_t *found = match_loop(match, text, pattern);
	match->depth--;
	return found;
}

/* NOLINTEND(misc-no-recursion) */

int pattern_matches(struct slice pattern, struct slice text, uint64_t *steps, bool *ret_matches)
{
	static const uint8_t nothing[1];
	const uint8_t *begin = text.data ? text.data : nothing;
	const uint8_t *at = pattern.data ? pattern.data : nothing;
	struct match match = {.text_begin = begin,
	    .text_end = begin + text.bytes,
	    .pattern_end = at + pattern.bytes,
	    .steps = steps};
	if (pattern.bytes > 0 && *at == '^')
		at++;
	bool matches = match_here(&match, begin, at) != NULL;
	if (match.error)
		return match.error;
	*ret_matches = matches;
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
	bool open[CAPTURES_MAX];
	unsigned stack[CAPTURES_MAX];
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
		if (check->count == CAPTURES_MAX) {
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
