/* What is suspicious in a file, as warnings: a handler keeps nothing between calls, so file-level
 * locals and tables are constants; globals can't be assigned; events are emitted by names that are
 * declared; ctx has no methods of later versions. Values that are passed on (table.insert(cache,
 * x)) are not followed.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "scripting/bytecode.h"
#include "scripting/inside.h"

#include <lauxlib.h>
#include <lua.h>

#define REGISTERS      256
#define DUMP_BYTES_MAX (64 * MIB)

struct lint {
	struct load *load;
	const char *file;
	const struct bytecode *bytecode;
	const struct bytecode_function *function;
	/* The file-level local whose table, or a table in it, a register holds; or NULL. */
	const struct bytecode_upvalue *origins[REGISTERS];
	bool emits[REGISTERS]; /* the register holds a method named emit */
};

enum owner { OWNER_FUNCTION, OWNER_FILE, OWNER_GLOBALS };

/* Whose the upvalue is: a local of some enclosing function, of the file, or the globals' table. */
static enum owner find_owner(const struct lint *lint, uint8_t index)
{
	const struct bytecode_function *function = lint->function;
	const struct bytecode_function *main = &lint->bytecode->functions[0];
	for (;;) {
		if (index >= function->upvalue_count)
			return OWNER_FUNCTION;
		const struct bytecode_upvalue *upvalue = &function->upvalues[index];
		if (function == main)
			return OWNER_GLOBALS;
		const struct bytecode_function *parent =
		    &lint->bytecode->functions[function->parent];
		if (upvalue->in_stack)
			return parent == main ? OWNER_FILE : OWNER_FUNCTION;
		index = upvalue->index;
		function = parent;
	}
}

static const struct bytecode_upvalue *file_local(const struct lint *lint, uint8_t index)
{
	return find_owner(lint, index) == OWNER_FILE ? &lint->function->upvalues[index] : NULL;
}

static void warn_of_content(
    const struct lint *lint, uint32_t line, const struct bytecode_upvalue *origin)
{
	if (origin)
		load_tell(lint->load, HOST_WARNING, lint->file, line,
		    "a function changes the table of '%.*s', which belongs to the file: a handler "
		    "keeps nothing between calls, so the change may be lost or seen by others",
		    (int)origin->name.bytes, (const char *)origin->name.data);
}

static struct slice constant(const struct lint *lint, uint32_t number)
{
	return number < lint->function->constant_count ? lint->function->constants[number]
	                                               : slice_of(NULL, 0);
}

static void check_up_table(
    const struct lint *lint, const struct bytecode_instruction *instruction, uint32_t line)
{
	switch (find_owner(lint, instruction->a)) {
	case OWNER_GLOBALS: {
		struct slice name = constant(lint, instruction->b);
		load_tell(lint->load, HOST_WARNING, lint->file, line,
		    "'%.*s' is assigned as a global, which raises an error: is a 'local' missing?",
		    (int)name.bytes, (const char *)name.data);
		return;
	}
	case OWNER_FILE:
		warn_of_content(lint, line, &lint->function->upvalues[instruction->a]);
		return;
	case OWNER_FUNCTION:
		return;
	}
}

static void check_upvalue(
    const struct lint *lint, const struct bytecode_instruction *instruction, uint32_t line)
{
	const struct bytecode_upvalue *upvalue = file_local(lint, instruction->b);
	if (upvalue)
		load_tell(lint->load, HOST_WARNING, lint->file, line,
		    "a function assigns '%.*s', a local of the file: a handler keeps nothing "
		    "between "
		    "calls, so the value may be lost or seen by others",
		    (int)upvalue->name.bytes, (const char *)upvalue->name.data);
}

/* What a register holds after the instruction, as far as it matters here. */
static void follow(struct lint *lint, const struct bytecode_instruction *instruction)
{
	const struct bytecode_upvalue *origin = NULL;
	if (instruction->operation == OPERATION_GETUPVAL ||
	    instruction->operation == OPERATION_GETTABUP)
		origin = file_local(lint, instruction->b);
	else if (instruction->operation == OPERATION_GETFIELD ||
	         instruction->operation == OPERATION_GETTABLE ||
	         instruction->operation == OPERATION_GETI)
		origin = lint->origins[instruction->b];
	lint->origins[instruction->a] = origin;
	lint->emits[instruction->a] =
	    instruction->operation == OPERATION_SELF &&
	    slice_equal(constant(lint, instruction->c), slice_from_text("emit"));
}

/* ctx is a parameter, and nothing else that is one has methods of such names. */
static void check_method(
    const struct lint *lint, const struct bytecode_instruction *instruction, uint32_t line)
{
	struct slice name = constant(lint, instruction->c);
	if (instruction->b < lint->function->parameters && ctx_is_later(name))
		load_tell(lint->load, HOST_WARNING, lint->file, line,
		    "ctx:%.*s is not in this version of Kalix yet: the call would fail",
		    (int)name.bytes, (const char *)name.data);
}

static void check_instruction(
    struct lint *lint, const struct bytecode_instruction *instruction, uint32_t line)
{
	switch (instruction->operation) {
	case OPERATION_SETUPVAL:
		check_upvalue(lint, instruction, line);
		return;
	case OPERATION_SETTABUP:
		check_up_table(lint, instruction, line);
		return;
	case OPERATION_SETTABLE:
	case OPERATION_SETI:
	case OPERATION_SETFIELD:
		warn_of_content(lint, line, lint->origins[instruction->a]);
		return;
	case OPERATION_LOADK:
		/* The first argument of x:emit("name", ...). */
		if (instruction->a >= 2 && lint->emits[instruction->a - 2])
			load_emits(lint->load, lint->file, line, constant(lint, instruction->bx));
		break;
	case OPERATION_SELF:
		check_method(lint, instruction, line);
		break;
	}
	follow(lint, instruction);
}

static uint32_t line_at(
    const struct bytecode_function *function, uint32_t number, uint32_t line_before)
{
	if (number >= function->line_deltas.bytes)
		return line_before;
	int8_t delta = (int8_t)function->line_deltas.data[number];
	if (delta != INT8_MIN)
		return (uint32_t)((int64_t)line_before + delta);
	for (uint32_t i = 0; i < function->line_count; i++) {
		if (function->lines[i][0] == number)
			return function->lines[i][1];
	}
	return line_before;
}

static void check_function(struct lint *lint)
{
	memset(lint->origins, 0, sizeof(lint->origins));
	memset(lint->emits, 0, sizeof(lint->emits));
	uint32_t line = lint->function->first_line;
	uint32_t count = (uint32_t)(lint->function->code.bytes / 4);
	for (uint32_t i = 0; i < count; i++) {
		struct bytecode_instruction instruction = bytecode_at(lint->function, i);
		line = line_at(lint->function, i, line);
		check_instruction(lint, &instruction, line);
	}
}

static int write_dump(lua_State *lua, const void *data, size_t bytes, void *arg)
{
	(void)lua;
	return buffer_append(arg, data, bytes) != 0;
}

void lint_file(struct load *load, lua_State *lua, const char *file)
{
	struct buffer dump;
	buffer_init(&dump, DUMP_BYTES_MAX);
	struct bytecode bytecode;
	/* Where it can't be looked at, there are no warnings. */
	if (lua_dump(lua, write_dump, &dump, 0) == 0 &&
	    bytecode_read(buffer_view(&dump), &bytecode) == 0) {
		struct lint lint = {.load = load, .file = file, .bytecode = &bytecode};
		for (uint32_t i = 0; i < bytecode.count; i++) {
			lint.function = &bytecode.functions[i];
			check_function(&lint);
		}
		bytecode_done(&bytecode);
	}
	buffer_done(&dump);
}
