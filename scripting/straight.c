/* Functions of which one look says that they end soon: straight_find in inside.h.
 *
 * A straight function has no way back (no loop), makes no function, and looks at nothing outside of
 * itself but some globals. So there is no function of Lua that it could call: what it is given are
 * values that were decoded, and ctx; what it finds among those globals is C, which charges for what
 * it does; and nothing that it can reach has a metatable of a script's. So each of its instructions
 * runs once at most.
 */
#include "base/buffer.h"
#include "base/limits.h"
#include "scripting/bytecode.h"
#include "scripting/inside.h"
#include "scripting/sandbox.h"

#include <lua.h>

#define DUMP_BYTES_MAX (1 * MIB)

/* What the instruction of a jump adds to its distance, so that it is never below 0. */
#define JUMP_ZERO ((1U << 24) - 1)

/* C functions, and tables of them, that call nothing but what they are given. */
static const char *const globals[] = {
    "assert", "error", "math", "select", "string", "table", "tonumber", "tostring", "type", "utf8"};

static bool is_known_global(struct slice name)
{
	for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
		if (slice_equal(name, slice_from_text(globals[i])))
			return true;
	}
	return false;
}

/* Notes in *upvalue which one is read as the globals' table. */
static bool goes_on(const struct bytecode_function *function,
    const struct bytecode_instruction *instruction, int *upvalue)
{
	unsigned operation = instruction->operation;
	if (operation == OPERATION_GETTABUP) {
		if (*upvalue != STRAIGHT_WITHOUT_GLOBALS && *upvalue != instruction->b + 1)
			return false;
		*upvalue = instruction->b + 1;
		return instruction->c < function->constant_count &&
		       is_known_global(function->constants[instruction->c]);
	}
	if (operation == OPERATION_JMP)
		return (instruction->bx << 8 | instruction->a) >= JUMP_ZERO;
	return operation <= OPERATION_LOADNIL ||
	       (operation >= OPERATION_GETTABLE && operation <= OPERATION_GETFIELD) ||
	       (operation >= OPERATION_SETTABLE && operation <= OPERATION_CONCAT) ||
	       (operation >= OPERATION_EQ && operation <= OPERATION_RETURN1) ||
	       operation == OPERATION_SETLIST || operation == OPERATION_EXTRAARG;
}

static int look(const struct bytecode *bytecode)
{
	const struct bytecode_function *function = &bytecode->functions[0];
	uint32_t count = (uint32_t)(function->code.bytes / 4);
	int upvalue = STRAIGHT_WITHOUT_GLOBALS;
	if (bytecode->count > 1 || count >= SANDBOX_STEP)
		return STRAIGHT_NOT;
	for (uint32_t i = 0; i < count; i++) {
		struct bytecode_instruction instruction = bytecode_at(function, i);
		if (!goes_on(function, &instruction, &upvalue))
			return STRAIGHT_NOT;
	}
	return upvalue;
}

static int write_dump(lua_State *lua, const void *data, size_t bytes, void *arg)
{
	(void)lua;
	return buffer_append(arg, data, bytes) != 0;
}

int straight_find(struct lua_State *lua)
{
	struct buffer dump;
	buffer_init(&dump, DUMP_BYTES_MAX);
	struct bytecode bytecode;
	int found = STRAIGHT_NOT;
	if (!lua_iscfunction(lua, -1) && lua_dump(lua, write_dump, &dump, 1) == 0 &&
	    bytecode_read(buffer_view(&dump), &bytecode) == 0) {
		found = look(&bytecode);
		bytecode_done(&bytecode);
	}
	buffer_done(&dump);
	return found;
}

bool straight_still(struct lua_State *lua, int position, int found)
{
	if (found <= STRAIGHT_WITHOUT_GLOBALS)
		return found == STRAIGHT_WITHOUT_GLOBALS;
	/* A script may assign _ENV, also from another function. */
	if (!lua_getupvalue(lua, position, found))
		return false;
	lua_pushglobaltable(lua);
	bool still = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	return still;
}
