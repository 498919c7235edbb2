/* Keys and other values in an order that depends on their content alone, never on addresses, seeds
 * or time: numbers, strings by their bytes, false, true, then all others by their types; those of
 * one type are equal here. */
#ifndef KX_SCRIPTING_SANDBOX_KEYS_H
#define KX_SCRIPTING_SANDBOX_KEYS_H

#include "scripting/sandbox_internal.h"

enum sandbox_key_kind { KEY_INTEGER, KEY_FLOAT, KEY_STRING, KEY_FALSE, KEY_TRUE, KEY_OTHER };

struct sandbox_key {
	enum sandbox_key_kind kind;
	int place; /* the caller's: where the value itself is */
	/* Of integers and strings: in this order without a sign; strings may still differ behind
	 * their first eight bytes. Of others: the type. */
	uint64_t prefix;
	union {
		lua_Integer integer;
		lua_Number number;
		struct slice text; /* of a value that stays on a stack or in a table meanwhile */
	};
};

/* nil counts among the others. */
void sandbox_key_read(lua_State *lua, int position, struct sandbox_key *ret_key);
/* Below, at or above 0. NaN is equal to every number, so only keys of tables are in order. */
int sandbox_key_compare(const struct sandbox_key *a, const struct sandbox_key *b);
/* A stable sort in the making: by merging `from`, in which pieces of `width` are in order, into
 * `to`, and back. Lives in Lua's memory where it pauses. */
struct sandbox_keys_sort {
	struct sandbox_key *from, *to;
	size_t count, width; /* 0: no piece is in order yet */
	size_t left, left_end, right, right_end, out;
	uint64_t text_bytes;
};
/* `scratch` has room for as many. */
void sandbox_keys_sort_begin(struct sandbox_keys_sort *sort, struct sandbox_key *keys,
    struct sandbox_key *scratch, size_t count);
/* Goes on until all is in order, in sort->from (true), or the slice is over. Charged. */
bool sandbox_keys_sort_on(lua_State *lua, struct sandbox_keys_sort *sort);
/* The same in one call, which the run pauses in; the result is in `keys`. */
void sandbox_keys_sort(
    lua_State *lua, struct sandbox_key *keys, struct sandbox_key *scratch, size_t count);
/* The list of all keys of a table in the making: pushes it, and returns its position, on top of
 * which nothing may be until it is done. */
struct sandbox_keys_list {
	enum { KEYS_COUNT, KEYS_READ, KEYS_SORT, KEYS_PLACE, KEYS_LISTED } stage;
	int table; /* where it stands on the stack */
	size_t count, others, at;
	struct sandbox_keys_sort sort;
};
int sandbox_keys_list(lua_State *lua, int table);
/* Goes on until the list stands at `position`, on top (true), or the slice is over. *ret_others are
 * equal to each other or not. Charged; may raise. */
bool sandbox_keys_list_on(lua_State *lua, int position, size_t *ret_others);
/* The same in one call: pushes the list. */
void sandbox_keys_push(lua_State *lua, int table, size_t *ret_others);

#endif
