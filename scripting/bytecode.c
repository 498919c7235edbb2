#include "scripting/bytecode.h"

#include "base/array.h"
#include "base/mem.h"

/* The head of Lua 5.4 on the machines that Kalix is built for: version, format, a text that finds
 * damage, sizes of instruction, integer and float, and one of each. */
static const uint8_t head[] = {0x1b, 'L', 'u', 'a', 0x54, 0, 0x19, 0x93, '\r', '\n', 0x1a, '\n', 4,
    8, 8, 0x78, 0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x28, 0x77, 0x40};

struct input {
	const uint8_t *at, *end;
	bool broken;
};

static uint8_t read_byte(struct input *input)
{
	if (input->at == input->end) {
		input->broken = true;
		return 0;
	}
	return *input->at++;
}

static struct slice read_bytes(struct input *input, uint64_t bytes)
{
	if (bytes > (uint64_t)(input->end - input->at)) {
		input->broken = true;
		return slice_of(NULL, 0);
	}
	struct slice view = slice_of(input->at, (size_t)bytes);
	input->at += bytes;
	return view;
}

/* Groups of seven bits, the highest first; the last one is marked. */
static uint64_t read_number(struct input *input)
{
	uint64_t value = 0;
	for (int i = 0; i < 10; i++) {
		uint8_t byte = read_byte(input);
		value = value << 7 | (byte & 0x7f);
		if (byte & 0x80)
			return value;
	}
	input->broken = true;
	return 0;
}

/* A count of things of at least `bytes_min` each. */
static uint32_t read_count(struct input *input, size_t bytes_min)
{
	uint64_t count = read_number(input);
	if (count > (uint64_t)(input->end - input->at) / bytes_min) {
		input->broken = true;
		return 0;
	}
	return (uint32_t)count;
}

static struct slice read_string(struct input *input)
{
	uint64_t bytes = read_number(input);
	return bytes ? read_bytes(input, bytes - 1) : slice_of(NULL, 0);
}

static struct slice read_constant(struct input *input)
{
	switch (read_byte(input)) {
	case 0x00: /* nil, false, true */
	case 0x01:
	case 0x11:
		break;
	case 0x03: /* integer, float */
	case 0x13:
		read_bytes(input, 8);
		break;
	case 0x04: /* short and long string */
	case 0x14:
		return read_string(input);
	default:
		input->broken = true;
	}
	return slice_of(NULL, 0);
}

static int new_function(struct bytecode *bytecode, uint32_t parent, uint32_t *ret_number)
{
	if (array_reserve(&bytecode->functions, &bytecode->capacity, (size_t)bytecode->count + 1,
	        sizeof(*bytecode->functions)))
		return ERR_NOMEM;
	bytecode->functions[bytecode->count] = (struct bytecode_function){.parent = parent};
	*ret_number = bytecode->count++;
	return 0;
}

/* Everything in front of the inner functions. */
static int read_front(struct input *input, struct bytecode_function *function)
{
	read_string(input);
	function->first_line = (uint32_t)read_number(input);
	read_number(input);
	struct slice shape = read_bytes(input, 3); /* parameters, whether more, registers */
	function->parameters = shape.bytes ? shape.data[0] : 0;
	function->code = read_bytes(input, read_count(input, 4) * UINT64_C(4));
	function->constant_count = read_count(input, 1);
	if (function->constant_count) {
		function->constants =
		    mem_zalloc(function->constant_count, sizeof(*function->constants));
		if (!function->constants)
			return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < function->constant_count; i++)
		function->constants[i] = read_constant(input);
	function->upvalue_count = read_count(input, 3);
	if (function->upvalue_count) {
		function->upvalues =
		    mem_zalloc(function->upvalue_count, sizeof(*function->upvalues));
		if (!function->upvalues)
			return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < function->upvalue_count; i++) {
		function->upvalues[i].in_stack = read_byte(input);
		function->upvalues[i].index = read_byte(input);
		read_byte(input);
	}
	return input->broken ? ERR_UNSUPPORTED : 0;
}

/* Everything behind them. */
static int read_back(struct input *input, struct bytecode_function *function)
{
	function->line_deltas = read_bytes(input, read_count(input, 1));
	function->line_count = read_count(input, 2);
	if (function->line_count) {
		function->lines = mem_zalloc(function->line_count, sizeof(*function->lines));
		if (!function->lines)
			return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < function->line_count; i++) {
		function->lines[i][0] = (uint32_t)read_number(input);
		function->lines[i][1] = (uint32_t)read_number(input);
	}
	uint32_t locals = read_count(input, 3);
	for (uint32_t i = 0; i < locals; i++) {
		read_string(input);
		read_number(input);
		read_number(input);
	}
	uint32_t names = read_count(input, 1);
	for (uint32_t i = 0; i < names; i++) {
		struct slice name = read_string(input);
		if (i < function->upvalue_count)
			function->upvalues[i].name = name;
	}
	return input->broken ? ERR_UNSUPPORTED : 0;
}

/* A function whose inner functions are being read. */
struct open_function {
	uint32_t number;
	uint32_t left;
};
enum { OPEN_MAX = 256 }; /* above what Lua's compiler nests */

static int read_functions(struct input *input, struct bytecode *bytecode)
{
	struct open_function open[OPEN_MAX];
	unsigned depth = 0;
	uint32_t parent = 0;
	for (;;) {
		if (depth == OPEN_MAX)
			return ERR_UNSUPPORTED;
		uint32_t number;
		int error = new_function(bytecode, parent, &number);
		if (!error)
			error = read_front(input, &bytecode->functions[number]);
		if (error)
			return error;
		open[depth++] = (struct open_function){number, read_count(input, 1)};
		while (depth > 0 && open[depth - 1].left == 0) {
			error = read_back(input, &bytecode->functions[open[--depth].number]);
			if (error)
				return error;
		}
		if (depth == 0)
			return 0;
		open[depth - 1].left--;
		parent = open[depth - 1].number;
	}
}

int bytecode_read(struct slice dump, struct bytecode *ret_bytecode)
{
	if (dump.bytes <= sizeof(head) || memcmp(dump.data, head, sizeof(head)) != 0)
		return ERR_UNSUPPORTED;
	/* Behind the head, the number of the main function's upvalues. */
	struct input input = {dump.data + sizeof(head) + 1, dump.data + dump.bytes, false};
	struct bytecode bytecode = {0};
	int error = read_functions(&input, &bytecode);
	if (error) {
		bytecode_done(&bytecode);
		return error;
	}
	*ret_bytecode = bytecode;
	return 0;
}

void bytecode_done(struct bytecode *bytecode)
{
	for (uint32_t i = 0; i < bytecode->count; i++) {
		mem_free(bytecode->functions[i].constants);
		mem_free(bytecode->functions[i].upvalues);
		mem_free(bytecode->functions[i].lines);
	}
	mem_free(bytecode->functions);
	*bytecode = (struct bytecode){0};
}

struct bytecode_instruction bytecode_at(const struct bytecode_function *function, uint32_t number)
{
	uint32_t word;
	memcpy(&word, function->code.data + number * UINT64_C(4), sizeof(word));
	return (struct bytecode_instruction){.operation = word & 0x7f,
	    .a = (uint8_t)(word >> 7),
	    .b = (uint8_t)(word >> 16),
	    .c = (uint8_t)(word >> 24),
	    .bx = word >> 15};
}
