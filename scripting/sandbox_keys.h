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
/* Stable; `scratch` has room for as many. Charged. */
void sandbox_keys_sort(
    lua_State *lua, struct sandbox_key *keys, struct sandbox_key *scratch, size_t count);
/* Pushes a list of all keys of the table at `table`, in order; *ret_others are equal to each other
 * or not. Charged; may raise. */
void sandbox_keys_push(lua_State *lua, int table, size_t *ret_others);

#endif
