/* The matcher of Lua patterns, for schemas and for the string library: a machine whose whole state
 * is in one struct, so that a match can stop anywhere and go on later.
 *
 * Lua's own matcher calls itself for each try; here a try that may have to be taken back is a frame
 * of a stack in the struct, and there are as many frames as Lua's has calls, with its bound. What
 * is found is what Lua 5.4's finds; classes are those of the C locale.
 *
 *   matcher_begin -> set steps, matcher_run (MATCH_MORE: again)
 *   -> MATCH_FOUND: begin, end, captures
 *
 * Backtracking can take time exponential in the pattern: a step is about one character or set that
 * is looked at, counted down in `steps`, and at 0 the matcher stops. A struct is 9 KiB, of which
 * matcher_copy moves what is used.
 */
#ifndef KX_SCRIPTING_MATCHER_H
#define KX_SCRIPTING_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	MATCHER_CAPTURES_MAX = 32,
	MATCHER_NESTING_MAX = 200,
	MATCH_CAPTURE_OPEN = -1,
	MATCH_CAPTURE_POSITION = -2,
};

enum match {
	MATCH_FOUND,
	MATCH_NONE,
	MATCH_MORE, /* the steps are used up: set them, and run it again */
	MATCH_WRONG /* the pattern is malformed, or nests too deeply: `why` */
};

struct match_capture {
	const uint8_t *begin;
	ptrdiff_t bytes; /* or MATCH_CAPTURE_... */
};

/* A try that can be taken back, and how. */
struct match_frame {
	enum { FRAME_MOST, FRAME_LEAST, FRAME_OPTIONAL, FRAME_OPENED, FRAME_CLOSED } kind;
	int capture;          /* FRAME_CLOSED: which */
	const uint8_t *text;  /* where the rest was tried last */
	const uint8_t *least; /* FRAME_MOST: where it is tried last of all */
	const uint8_t *item;  /* the item that is repeated */
	const uint8_t *rest;  /* the pattern behind it and its suffix */
};

enum matcher_state {
	MATCHER_GOES_ON,  /* the pattern from `item` on is to match at `at` */
	MATCHER_COUNTS,   /* the frame on top looks how often its item fits */
	MATCHER_BALANCES, /* %b: `open` of its first character are open at `at` */
	MATCHER_FAILED    /* the frame on top has another way, or goes too */
};

struct matcher {
	const uint8_t *text, *text_end, *pattern, *pattern_end;
	bool whole;    /* the match must end with the text */
	bool anchored; /* and begin where the search does */
	uint64_t steps;

	const uint8_t *begin, *end; /* of the match */
	const char *why;
	int why_capture; /* with MATCH_WRONG: which capture is meant, or -1 */

	enum matcher_state state;
	const uint8_t *at, *item;
	size_t open;
	int captures, depth;
	struct match_capture capture[MATCHER_CAPTURES_MAX];
	struct match_frame frames[MATCHER_NESTING_MAX]; /* the last: only `depth` of them count */
};

/* A search from text.data + from on, for a pattern without its '^'; both views stay until it has
 * ended. */
void matcher_begin(struct matcher *matcher, struct slice text, size_t from, struct slice pattern);
/* The next search in the same text. */
void matcher_begin_at(struct matcher *matcher, const uint8_t *begin);
/* With `steps` > 0; each run gets on. */
enum match matcher_run(struct matcher *matcher);
/* What was found is not what was wanted: as if it had failed there. */
void matcher_reject(struct matcher *matcher);
void matcher_copy(struct matcher *to, const struct matcher *from);

#endif
