/* Lua 5.4's own compiled form of a file, as lua_dump writes it, taken apart so that lint.c
 * can look at what functions assign, and straight.c at what they may do: the compiler has resolved
 * every name to a local, an upvalue or a global by then, which looking at the source text could
 * only guess.
 *
 * Only what this process compiled itself is ever read; a form that is not understood (another Lua)
 * gives ERR_UNSUPPORTED. Views belong to the bytes.
 */
#ifndef KX_SCRIPTING_BYTECODE_H
#define KX_SCRIPTING_BYTECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct bytecode_upvalue {
	bool in_stack; /* a local of the enclosing function; else one of its upvalues */
	uint8_t index;
	struct slice name;
};

struct bytecode_function {
	uint32_t parent; /* its own number where it is the file's main function, 0 */
	uint32_t first_line;
	uint8_t parameters;
	struct slice code;       /* instructions of 4 bytes */
	struct slice *constants; /* strings; others have no bytes and no data */
	uint32_t constant_count;
	struct bytecode_upvalue *upvalues;
	uint32_t upvalue_count;
	struct slice line_deltas;
	uint32_t (*lines)[2]; /* instruction, its line */
	uint32_t line_count;
};

struct bytecode {
	struct bytecode_function *functions;
	uint32_t count;
	size_t capacity;
};

/* ERR_UNSUPPORTED, ERR_NOMEM. */
NODISCARD int bytecode_read(struct slice dump, struct bytecode *ret_bytecode);
void bytecode_done(struct bytecode *bytecode);

enum bytecode_operation {
	OPERATION_LOADK = 3,
	OPERATION_LOADNIL = 8,
	OPERATION_GETUPVAL = 9,
	OPERATION_SETUPVAL = 10,
	OPERATION_GETTABUP = 11,
	OPERATION_GETTABLE = 12,
	OPERATION_GETI = 13,
	OPERATION_GETFIELD = 14,
	OPERATION_SETTABUP = 15,
	OPERATION_SETTABLE = 16,
	OPERATION_SETI = 17,
	OPERATION_SETFIELD = 18,
	OPERATION_SELF = 20,
	OPERATION_CONCAT = 53,
	OPERATION_JMP = 56,
	OPERATION_EQ = 57,
	OPERATION_RETURN1 = 72,
	OPERATION_SETLIST = 78,
	OPERATION_EXTRAARG = 82
};

struct bytecode_instruction {
	unsigned operation;
	uint8_t a, b, c;
	uint32_t bx;
};
struct bytecode_instruction bytecode_at(const struct bytecode_function *function, uint32_t number);

#endif
