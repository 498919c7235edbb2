#include "scripting/lib_pattern.h"

#include <ctype.h>

enum { DEPTH_MAX = 150, STEPS_BETWEEN_CHARGES = 200 };

void pattern_begin(
    struct pattern_match *match, lua_State *lua, struct slice text, const char *pattern_end)
{
	match->lua = lua;
	match->text = (const char *)text.data;
	match->text_end = match->text + text.bytes;
	match->pattern_end = pattern_end;
	match->depth = 0;
	match->steps = 0;
	match->captures = 0;
}

static inline void count_steps(struct pattern_match *match, size_t steps)
{
	match->steps += (unsigned)(steps < UINT32_MAX / 2 ? steps : UINT32_MAX / 2);
	if (match->steps >= STEPS_BETWEEN_CHARGES) {
		unsigned charged = match->steps;
		match->steps = 0;
		sandbox_charge(match->lua, charged);
	}
}

/* ---- One item: a character, a class, a set ---- */

/* Behind the item that begins at `item`. */
static const char *item_end(const struct pattern_match *match, const char *item)
{
	const char *at = item + 1;
	if (*item == '%') {
		if (at == match->pattern_end)
			luaL_error(match->lua, "malformed pattern (ends with '%%')");
		return at + 1;
	}
	if (*item != '[')
		return at;
	if (at < match->pattern_end && *at == '^')
		at++;
	/* The first character is part of the set even if it is a bracket. */
	do {
		if (at == match->pattern_end)
			luaL_error(match->lua, "malformed pattern (missing ']')");
		if (*at++ == '%') {
			if (at == match->pattern_end)
				luaL_error(match->lua, "malformed pattern (missing ']')");
			at++;
		}
	} while (at == match->pattern_end || *at != ']');
	return at + 1;
}

static bool in_class(unsigned char byte, unsigned char class)
{
	bool in;
	switch (tolower(class)) {
	case 'a':
		in = isalpha(byte);
		break;
	case 'c':
		in = iscntrl(byte);
		break;
	case 'd':
		in = isdigit(byte);
		break;
	case 'g':
		in = isgraph(byte);
		break;
	case 'l':
		in = islower(byte);
		break;
	case 'p':
		in = ispunct(byte);
		break;
	case 's':
		in = isspace(byte);
		break;
	case 'u':
		in = isupper(byte);
		break;
	case 'w':
		in = isalnum(byte);
		break;
	case 'x':
		in = isxdigit(byte);
		break;
	default:
		return class == byte;
	}
	return isupper(class) ? !in : in;
}

/* `set` is at its '[', `last` at its ']'. */
static bool in_set(unsigned char byte, const char *set, const char *last)
{
	bool found = true;
	const char *at = set + 1;
	if (*at == '^') {
		found = false;
		at++;
	}
	while (at < last) {
		if (*at == '%') {
			if (in_class(byte, (unsigned char)at[1]))
				return found;
			at += 2;
		} else if (at[1] == '-' && at + 2 < last) {
			if ((unsigned char)at[0] <= byte && byte <= (unsigned char)at[2])
				return found;
			at += 3;
		} else {
			if ((unsigned char)*at == byte)
				return found;
			at++;
		}
	}
	return !found;
}

static inline bool is_one(
    struct pattern_match *match, const char *at, const char *item, const char *behind)
{
	count_steps(match, *item == '[' ? (size_t)(behind - item) : 1);
	if (!at || at >= match->text_end)
		return false;
	unsigned char byte = (unsigned char)*at;
	switch (*item) {
	case '.':
		return true;
	case '%':
		return in_class(byte, (unsigned char)item[1]);
	case '[':
		return in_set(byte, item, behind - 1);
	default:
		return (unsigned char)*item == byte;
	}
}

/* ---- Items with a meaning of their own ---- */

static const char *match_balanced(
    struct pattern_match *match, const char *at, const char *delimiters)
{
	if (match->pattern_end - delimiters < 2)
		luaL_error(match->lua, "malformed pattern (missing arguments to '%%b')");
	if (at >= match->text_end || *at != delimiters[0])
		return NULL;
	size_t open = 1;
	while (++at < match->text_end) {
		count_steps(match, 1);
		if (*at == delimiters[1]) {
			if (--open == 0)
				return at + 1;
		} else if (*at == delimiters[0]) {
			open++;
		}
	}
	return NULL;
}

static bool is_frontier(
    struct pattern_match *match, const char *at, const char *set, const char *end)
{
	unsigned char before = at == match->text ? 0 : (unsigned char)at[-1];
	unsigned char here = at == match->text_end ? 0 : (unsigned char)*at;
	count_steps(match, (size_t)(end - set));
	return !in_set(before, set, end - 1) && in_set(here, set, end - 1);
}

static const char *match_again(struct pattern_match *match, const char *at, unsigned char digit)
{
	int index = digit - '1';
	if (index < 0 || index >= match->captures || match->capture[index].bytes == CAPTURE_OPEN)
		luaL_error(match->lua, "invalid capture index %%%d", index + 1);
	if (match->capture[index].bytes == CAPTURE_POSITION)
		luaL_error(match->lua, "invalid capture index %%%d", index + 1);
	size_t bytes = (size_t)match->capture[index].bytes;
	count_steps(match, 1 + bytes / 8);
	if ((size_t)(match->text_end - at) < bytes ||
	    memcmp(match->capture[index].at, at, bytes) != 0)
		return NULL;
	return at + bytes;
}

/* NOLINTBEGIN(misc-no-recursion): bounded by DEPTH_MAX */

static const char *open_capture(
    struct pattern_match *match, const char *at, const char *pattern, ptrdiff_t what)
{
	if (match->captures >= PATTERN_CAPTURES_MAX)
		luaL_error(match->lua, "too many captures");
	match->capture[match->captures].at = at;
	match->capture[match->captures].bytes = what;
	match->captures++;
	const char *end = pattern_match(match, at, pattern);
	if (!end)
		match->captures--;
	return end;
}

static const char *close_capture(struct pattern_match *match, const char *at, const char *pattern)
{
	int index = match->captures - 1;
	while (index >= 0 && match->capture[index].bytes != CAPTURE_OPEN)
		index--;
	if (index < 0)
		luaL_error(match->lua, "invalid pattern capture");
	match->capture[index].bytes = at - match->capture[index].at;
	const char *end = pattern_match(match, at, pattern);
	if (!end)
		match->capture[index].bytes = CAPTURE_OPEN;
	return end;
}

/* ---- Repetition ---- */

static const char *match_most(struct pattern_match *match, const char *at, const char *item,
    const char *behind, ptrdiff_t least)
{
	ptrdiff_t count = 0;
	while (is_one(match, at + count, item, behind))
		count++;
	for (; count >= least; count--) {
		const char *end = pattern_match(match, at + count, behind + 1);
		if (end)
			return end;
	}
	return NULL;
}

static const char *match_least(
    struct pattern_match *match, const char *at, const char *item, const char *behind)
{
	for (;;) {
		const char *end = pattern_match(match, at, behind + 1);
		if (end)
			return end;
		if (!is_one(match, at, item, behind))
			return NULL;
		at++;
	}
}

/* What a step comes to: go on at *at and *pattern (true), or *ret_end is the answer. */
static bool step_item(
    struct pattern_match *match, const char **at, const char **pattern, const char **ret_end)
{
	const char *item = *pattern, *behind = item_end(match, item);
	char suffix = (char)(behind < match->pattern_end ? *behind : 0);
	if (suffix == '*' || suffix == '+') {
		*ret_end = match_most(match, *at, item, behind, suffix == '+');
		return false;
	}
	if (suffix == '-') {
		*ret_end = match_least(match, *at, item, behind);
		return false;
	}
	bool is = is_one(match, *at, item, behind);
	if (suffix == '?') {
		if (is) {
			*ret_end = pattern_match(match, *at + 1, behind + 1);
			if (*ret_end)
				return false;
		}
		*pattern = behind + 1;
		return true;
	}
	*ret_end = NULL;
	*at += is;
	*pattern = behind;
	return is;
}

static bool step_escape(
    struct pattern_match *match, const char **at, const char **pattern, const char **ret_end)
{
	const char *escape = *pattern + 1;
	unsigned char kind = escape < match->pattern_end ? (unsigned char)*escape : 0;
	*ret_end = NULL;
	if (kind == 'b') {
		*at = match_balanced(match, *at, escape + 1);
		*pattern = escape + 3;
		return *at != NULL;
	}
	if (kind == 'f') {
		const char *set = escape + 1;
		if (set >= match->pattern_end || *set != '[')
			luaL_error(match->lua, "missing '[' after '%%f' in pattern");
		const char *behind = item_end(match, set);
		*pattern = behind;
		return is_frontier(match, *at, set, behind);
	}
	if (isdigit(kind)) {
		*at = match_again(match, *at, kind);
		*pattern = escape + 1;
		return *at != NULL;
	}
	return step_item(match, at, pattern, ret_end);
}

const char *pattern_match(struct pattern_match *match, const char *at, const char *pattern)
{
	if (++match->depth > DEPTH_MAX)
		luaL_error(match->lua, "pattern too complex");
	const char *end = NULL;
	bool more = true;
	while (more) {
		if (pattern == match->pattern_end) {
			end = at;
			break;
		}
		count_steps(match, 1);
		switch (*pattern) {
		case '(':
			if (pattern + 1 < match->pattern_end && pattern[1] == ')')
				end = open_capture(match, at, pattern + 2, CAPTURE_POSITION);
			else
				end = open_capture(match, at, pattern + 1, CAPTURE_OPEN);
			more = false;
			break;
		case ')':
			end = close_capture(match, at, pattern + 1);
			more = false;
			break;
		case '$':
			if (pattern + 1 == match->pattern_end) {
				end = at == match->text_end ? at : NULL;
				more = false;
				break;
			}
			more = step_item(match, &at, &pattern, &end);
			break;
		case '%':
			more = step_escape(match, &at, &pattern, &end);
			break;
		default:
			more = step_item(match, &at, &pattern, &end);
		}
	}
	match->depth--;
	return end;
}

/* NOLINTEND(misc-no-recursion) */

/* ---- Captures ---- */

void pattern_push_capture(struct pattern_match *match, int index, const char *at, const char *end)
{
	if (index >= match->captures) {
		if (index != 0)
			luaL_error(match->lua, "invalid capture index %%%d", index + 1);
		lua_pushlstring(match->lua, at, (size_t)(end - at));
		return;
	}
	ptrdiff_t bytes = match->capture[index].bytes;
	if (bytes == CAPTURE_OPEN)
		luaL_error(match->lua, "unfinished capture");
	if (bytes == CAPTURE_POSITION)
		lua_pushinteger(match->lua, match->capture[index].at - match->text + 1);
	else
		lua_pushlstring(match->lua, match->capture[index].at, (size_t)bytes);
}

int pattern_push_captures(struct pattern_match *match, const char *at, const char *end)
{
	int count = match->captures == 0 && at ? 1 : match->captures;
	luaL_checkstack(match->lua, count, "too many captures");
	for (int i = 0; i < count; i++)
		pattern_push_capture(match, i, at, end);
	return count;
}
