#include "scripting/matcher.h"

#include "base/assert.h"

#include <ctype.h>
#include <string.h>

/* ---- One item: a character, a class, a set ---- */

static bool wrong(struct matcher *matcher, const char *why)
{
	matcher->why = why;
	matcher->why_capture = -1;
	return false;
}

/* Behind the item that begins at `item`; NULL where it is malformed. */
static const uint8_t *item_end(struct matcher *matcher, const uint8_t *item)
{
	const uint8_t *at = item + 1, *end = matcher->pattern_end;
	if (*item == '%') {
		if (at < end)
			return at + 1;
		wrong(matcher, "malformed pattern (ends with '%')");
		return NULL;
	}
	if (*item != '[')
		return at;
	if (at < end && *at == '^')
		at++;
	/* The first character is part of the set even if it is a bracket. */
	do {
		if (at == end || (*at++ == '%' && at++ == end)) {
			wrong(matcher, "malformed pattern (missing ']')");
			return NULL;
		}
	} while (at == end || *at != ']');
	return at + 1;
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

/* `set` is at its '[', `last` at its ']'. */
static bool in_set(uint8_t byte, const uint8_t *set, const uint8_t *last)
{
	bool found = true;
	const uint8_t *at = set + 1;
	if (*at == '^') {
		found = false;
		at++;
	}
	while (at < last) {
		if (*at == '%') {
			if (in_class(byte, at[1]))
				return found;
			at += 2;
		} else if (at[1] == '-' && at + 2 < last) {
			if (at[0] <= byte && byte <= at[2])
				return found;
			at += 3;
		} else if (*at++ == byte) {
			return found;
		}
	}
	return !found;
}

static inline void count(struct matcher *matcher, size_t steps)
{
	matcher->steps -= steps < matcher->steps ? steps : matcher->steps;
}

static inline bool is_one(
    struct matcher *matcher, const uint8_t *at, const uint8_t *item, const uint8_t *behind)
{
	if (at == matcher->text_end)
		return false;
	switch (*item) {
	case '.':
		return true;
	case '%':
		return in_class(*at, item[1]);
	case '[':
		/* Long sets take longer, if not as long as so many characters. */
		count(matcher, (size_t)(behind - item) / 16);
		return in_set(*at, item, behind - 1);
	default:
		return *item == *at;
	}
}

/* ---- Tries ---- */

static struct match_frame *push(struct matcher *matcher, struct match_frame frame)
{
	ASSERT(matcher->depth < MATCHER_NESTING_MAX);
	struct match_frame *top = &matcher->frames[matcher->depth++];
	*top = frame;
	return top;
}

/* Goes on below the frame on top, as Lua's matcher calls itself. */
static bool enter(struct matcher *matcher, const uint8_t *at, const uint8_t *item)
{
	if (matcher->depth == MATCHER_NESTING_MAX)
		return wrong(matcher, "pattern too complex");
	matcher->at = at;
	matcher->item = item;
	matcher->state = MATCHER_GOES_ON;
	return true;
}

static bool fail(struct matcher *matcher)
{
	matcher->state = MATCHER_FAILED;
	return true;
}

/* The frame on top has looked at as many as there are, or as steps are left. */
static bool count_most(struct matcher *matcher)
{
	struct match_frame *top = &matcher->frames[matcher->depth - 1];
	const uint8_t *at = top->text, *item = top->item, *behind = top->rest - 1;
	while (is_one(matcher, at, item, behind)) {
		at++;
		count(matcher, 1);
		if (matcher->steps == 0) {
			top->text = at;
			return true;
		}
	}
	top->text = at;
	return enter(matcher, at, top->rest);
}

/* Takes the last try back. */
static bool go_back(struct matcher *matcher)
{
	struct match_frame *top = &matcher->frames[matcher->depth - 1];
	switch (top->kind) {
	case FRAME_MOST:
		if (top->text > top->least)
			return enter(matcher, --top->text, top->rest);
		break;
	case FRAME_LEAST:
		if (is_one(matcher, top->text, top->item, top->rest - 1))
			return enter(matcher, ++top->text, top->rest);
		break;
	case FRAME_OPTIONAL:
		matcher->depth--;
		return enter(matcher, top->text, top->rest);
	case FRAME_OPENED:
		matcher->captures--;
		break;
	case FRAME_CLOSED:
		matcher->capture[top->capture].bytes = MATCH_CAPTURE_OPEN;
		break;
	}
	matcher->depth--;
	return true;
}

/* ---- Steps of the pattern ---- */

static bool step_open(struct matcher *matcher)
{
	const uint8_t *behind = matcher->item + 1;
	bool is_position = behind < matcher->pattern_end && *behind == ')';
	if (matcher->captures == MATCHER_CAPTURES_MAX)
		return wrong(matcher, "too many captures");
	matcher->capture[matcher->captures++] = (struct match_capture){.begin = matcher->at,
	    .bytes = is_position ? MATCH_CAPTURE_POSITION : MATCH_CAPTURE_OPEN};
	push(matcher, (struct match_frame){.kind = FRAME_OPENED});
	return enter(matcher, matcher->at, behind + is_position);
}

static bool step_close(struct matcher *matcher)
{
	int index = matcher->captures - 1;
	while (index >= 0 && matcher->capture[index].bytes != MATCH_CAPTURE_OPEN)
		index--;
	if (index < 0)
		return wrong(matcher, "invalid pattern capture");
	matcher->capture[index].bytes = matcher->at - matcher->capture[index].begin;
	push(matcher, (struct match_frame){.kind = FRAME_CLOSED, .capture = index});
	return enter(matcher, matcher->at, matcher->item + 1);
}

static bool step_item(struct matcher *matcher)
{
	const uint8_t *item = matcher->item, *at = matcher->at, *behind = item_end(matcher, item);
	if (!behind)
		return false;
	uint8_t suffix = behind < matcher->pattern_end ? *behind : 0;
	if (!is_one(matcher, at, item, behind)) {
		if (suffix != '*' && suffix != '-' && suffix != '?')
			return fail(matcher);
		matcher->item = behind + 1;
		return true;
	}
	struct match_frame frame = {.text = at, .item = item, .rest = behind + 1};
	switch (suffix) {
	case '*':
	case '+':
		frame.kind = FRAME_MOST;
		frame.least = at + (suffix == '+');
		frame.text = at + 1;
		push(matcher, frame);
		matcher->state = MATCHER_COUNTS;
		return true;
	case '-':
		frame.kind = FRAME_LEAST;
		push(matcher, frame);
		return enter(matcher, at, behind + 1);
	case '?':
		frame.kind = FRAME_OPTIONAL;
		push(matcher, frame);
		return enter(matcher, at + 1, behind + 1);
	default:
		matcher->at++;
		matcher->item = behind;
		return true;
	}
}

/* %bxy: `item` is at its '%'. */
static bool step_balance(struct matcher *matcher)
{
	const uint8_t *ends = matcher->item + 2;
	if (matcher->state == MATCHER_GOES_ON) {
		if (matcher->pattern_end - ends < 2)
			return wrong(matcher, "malformed pattern (missing arguments to '%b')");
		if (matcher->at == matcher->text_end || *matcher->at != ends[0])
			return fail(matcher);
		matcher->open = 1;
		matcher->at++;
		matcher->state = MATCHER_BALANCES;
	}
	for (; matcher->steps > 0; matcher->steps--) {
		if (matcher->at == matcher->text_end)
			return fail(matcher);
		uint8_t byte = *matcher->at++;
		if (byte == ends[1]) {
			if (--matcher->open == 0) {
				matcher->item = ends + 2;
				matcher->state = MATCHER_GOES_ON;
				return true;
			}
		} else if (byte == ends[0]) {
			matcher->open++;
		}
	}
	return true;
}

static bool step_frontier(struct matcher *matcher)
{
	const uint8_t *set = matcher->item + 2, *at = matcher->at;
	if (set >= matcher->pattern_end || *set != '[')
		return wrong(matcher, "missing '[' after '%f' in pattern");
	const uint8_t *behind = item_end(matcher, set);
	if (!behind)
		return false;
	uint8_t before = at == matcher->text ? 0 : at[-1];
	uint8_t here = at == matcher->text_end ? 0 : *at;
	count(matcher, (size_t)(behind - set) / 8);
	matcher->item = behind;
	return (!in_set(before, set, behind - 1) && in_set(here, set, behind - 1)) || fail(matcher);
}

/* %0 to %9: what a capture holds, again. */
static bool step_again(struct matcher *matcher, uint8_t digit)
{
	int index = digit - '1';
	if (index < 0 || index >= matcher->captures ||
	    matcher->capture[index].bytes == MATCH_CAPTURE_OPEN) {
		wrong(matcher, "invalid capture index");
		matcher->why_capture = index + 1;
		return false;
	}
	const struct match_capture *capture = &matcher->capture[index];
	ptrdiff_t bytes = capture->bytes;
	/* A position is no text, and nothing is equal to it. */
	if (bytes == MATCH_CAPTURE_POSITION || matcher->text_end - matcher->at < bytes)
		return fail(matcher);
	count(matcher, (size_t)bytes / 16);
	if (memcmp(capture->begin, matcher->at, (size_t)bytes) != 0)
		return fail(matcher);
	matcher->at += bytes;
	matcher->item += 2;
	return true;
}

static bool step_escape(struct matcher *matcher)
{
	const uint8_t *kind = matcher->item + 1;
	if (kind < matcher->pattern_end) {
		if (*kind == 'b')
			return step_balance(matcher);
		if (*kind == 'f')
			return step_frontier(matcher);
		if (*kind >= '0' && *kind <= '9')
			return step_again(matcher, *kind);
	}
	return step_item(matcher);
}

static bool step(struct matcher *matcher)
{
	switch (*matcher->item) {
	case '(':
		return step_open(matcher);
	case ')':
		return step_close(matcher);
	case '%':
		return step_escape(matcher);
	case '$':
		if (matcher->item + 1 < matcher->pattern_end)
			return step_item(matcher);
		matcher->item++;
		return matcher->at == matcher->text_end || fail(matcher);
	default:
		return step_item(matcher);
	}
}

/* ---- The search ---- */

void matcher_begin_at(struct matcher *matcher, const uint8_t *begin)
{
	matcher->begin = matcher->at = begin;
	matcher->item = matcher->pattern;
	matcher->captures = matcher->depth = 0;
	matcher->state = MATCHER_GOES_ON;
}

void matcher_begin(struct matcher *matcher, struct slice text, size_t from, struct slice pattern)
{
	static const uint8_t nothing[1];
	ASSERT(from <= text.bytes);
	matcher->text = text.data ? text.data : nothing;
	matcher->text_end = matcher->text + text.bytes;
	matcher->pattern = pattern.data ? pattern.data : nothing;
	matcher->pattern_end = matcher->pattern + pattern.bytes;
	matcher->whole = matcher->anchored = false;
	matcher_begin_at(matcher, matcher->text + from);
}

void matcher_reject(struct matcher *matcher)
{
	matcher->depth = 0;
	matcher->state = MATCHER_FAILED;
}

/* Nothing fits where the search stands. False: nor anywhere. */
static bool search_on(struct matcher *matcher)
{
	if (matcher->anchored || matcher->begin == matcher->text_end)
		return false;
	matcher_begin_at(matcher, matcher->begin + 1);
	return true;
}

enum match matcher_run(struct matcher *matcher)
{
	while (matcher->steps > 0) {
		bool goes_on = true;
		switch (matcher->state) {
		case MATCHER_GOES_ON:
			matcher->steps--;
			if (matcher->item < matcher->pattern_end) {
				goes_on = step(matcher);
				break;
			}
			matcher->end = matcher->at;
			if (!matcher->whole || matcher->at == matcher->text_end)
				return MATCH_FOUND;
			fail(matcher);
			break;
		case MATCHER_COUNTS:
			goes_on = count_most(matcher);
			break;
		case MATCHER_BALANCES:
			goes_on = step_balance(matcher);
			break;
		case MATCHER_FAILED:
			matcher->steps--;
			if (matcher->depth > 0)
				goes_on = go_back(matcher);
			else if (!search_on(matcher))
				return MATCH_NONE;
			break;
		}
		if (!goes_on)
			return MATCH_WRONG;
	}
	return MATCH_MORE;
}

void matcher_copy(struct matcher *to, const struct matcher *from)
{
	size_t used =
	    offsetof(struct matcher, frames) + (size_t)from->depth * sizeof(struct match_frame);
	memcpy(to, from, used);
}
