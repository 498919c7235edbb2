/* Lua to JSON, the short way: value_short_json.h says what that means.
 *
 * A table of a few scalars goes through value_flat.c. Any other value is packed as MessagePack,
 * which checks it and sorts its keys, and the bytes of our own making, which need no second look,
 * are printed.
 */
#include "base/assert.h"
#include "base/wire/base64.h"
#include "base/wire/decimal.h"
#include "base/wire/json_writer.h"
#include "scripting/sandbox.h"
#include "scripting/value_short_json.h"

#include <lua.h>

enum {
	/* Of a scalar that is no text, or of what stands around one, and a comma. */
	SCALAR_BYTES_MAX = 32,
	PACKED_BYTES_KEPT = 64 * 1024,
	/* Printed between two looks at the clock. */
	PIECE_BYTES = 16 * 1024,
};

struct printer {
	struct lua_State *lua;
	const uint8_t *at;      /* in what was packed */
	const uint8_t *look_at; /* behind it, it is time for a look */
	struct buffer *out;
	uint8_t *to; /* in out's memory, behind its end */
	uint8_t *limit;
};

static bool grow(struct printer *printer, size_t bytes)
{
	struct buffer *out = printer->out;
	uint8_t *room;
	if (printer->to)
		buffer_commit(out, (size_t)(printer->to - (out->data + out->end)));
	if (buffer_reserve(out, bytes, &room))
		return false;
	printer->to = room;
	printer->limit = out->data + out->capacity;
	return true;
}

/* Room for `bytes`, and for a comma and the like. */
static inline bool have_room(struct printer *printer, size_t bytes)
{
	bytes += SCALAR_BYTES_MAX;
	if (__builtin_expect((size_t)(printer->limit - printer->to) >= bytes, 1))
		return true;
	return grow(printer, bytes);
}

static bool print_text(struct printer *printer, size_t bytes)
{
	if (!have_room(printer, 6 * bytes))
		return false;
	printer->to = json_quote(slice_of(printer->at, bytes), printer->to);
	printer->at += bytes;
	return true;
}

static bool print_bytes(struct printer *printer, size_t bytes)
{
	if (!have_room(printer, base64_encoded_bytes(bytes)))
		return false;
	*printer->to++ = '"';
	printer->to += base64_encode(slice_of(printer->at, bytes), printer->to);
	*printer->to++ = '"';
	printer->at += bytes;
	return true;
}

static void print_word(struct printer *printer, const char *word, size_t bytes)
{
	memcpy(printer->to, word, bytes);
	printer->to += bytes;
}

static void print_double(struct printer *printer)
{
	uint64_t bits = load_u64be(printer->at);
	double number;
	memcpy(&number, &bits, sizeof(number));
	printer->at += 8;
	printer->to += decimal_write_double(number, printer->to);
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t take_bits(struct printer *printer, unsigned bytes)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < bytes; i++)
		bits = bits << 8 | printer->at[i];
	printer->at += bytes;
	return bits;
}

/* The first byte is read: of 0xc0 to 0xd3, but not of a container or text. */
static bool print_scalar(struct printer *printer, uint8_t first)
{
	if (first == 0xc0)
		print_word(printer, "null", 4);
	else if (first == 0xc2)
		print_word(printer, "false", 5);
	else if (first == 0xc3)
		print_word(printer, "true", 4);
	else if (first == 0xcb)
		print_double(printer);
	else if (first >= 0xc4 && first <= 0xc6)
		return print_bytes(printer, take_bits(printer, 1u << (first - 0xc4)));
	else {
		ASSERT(first >= 0xcc && first <= 0xd3);
		unsigned bytes = 1u << (first & 3), shift = 64 - 8 * bytes;
		ASSERT(shift < 64);
		uint64_t bits = take_bits(printer, bytes);
		/* What value_pack.c writes without sign fits. */
		int64_t value = first >= 0xd0 ? (int64_t)(bits << shift) >> shift : (int64_t)bits;
		printer->to += decimal_write_integer(value, printer->to);
	}
	return true;
}

/* What was packed, and what is printed, go with the run where it is left here. */
__attribute__((cold, noinline)) static void look(struct printer *printer)
{
	printer->look_at = printer->at + PIECE_BYTES;
	sandbox_spend(printer->lua, SANDBOX_STEP);
}

static bool print(struct printer *printer);

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX, as what was packed is */

static bool print_container(struct printer *printer, bool is_map, size_t count)
{
	*printer->to++ = is_map ? '{' : '[';
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*printer->to++ = ',';
		if (__builtin_expect(printer->at > printer->look_at, 0))
			look(printer);
		if (!print(printer))
			return false;
		if (!is_map)
			continue;
		*printer->to++ = ':';
		if (!print(printer))
			return false;
	}
	/* Many may end in one place. */
	if (!have_room(printer, 0))
		return false;
	*printer->to++ = is_map ? '}' : ']';
	return true;
}

/* Leaves room for what its container puts behind it. */
static bool print(struct printer *printer)
{
	if (!have_room(printer, 0))
		return false;
	uint8_t first = *printer->at++;
	bool done = true;
	if (first < 0x80 || first >= 0xe0) {
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		printer->to += decimal_write_integer((int8_t)first, printer->to);
	} else if (first < 0xa0)
		done = print_container(printer, first < 0x90, first & 0xf);
	else if (first < 0xc0)
		done = print_text(printer, first & 0x1f);
	else if (first >= 0xdc)
		done =
		    print_container(printer, first >= 0xde, take_bits(printer, first & 1 ? 4 : 2));
	else if (first >= 0xd9)
		done = print_text(printer, take_bits(printer, 1u << (first - 0xd9)));
	else
		done = print_scalar(printer, first);
	return done;
}

/* NOLINTEND(misc-no-recursion) */

__attribute__((noinline)) static bool print_packed(struct lua_State *lua, struct value_state *state,
    int position, const struct schema *schema, struct buffer *out)
{
	struct buffer *packed = &state->packed;
	buffer_clear(packed);
	if (!value_pack(lua, state, position, schema, packed))
		return false;
	size_t before = buffer_bytes(out);
	struct printer printer = {
	    .lua = lua, .at = packed->data, .look_at = packed->data + PIECE_BYTES, .out = out};
	bool done = print(&printer);
	if (done) {
		ASSERT(printer.at == packed->data + packed->end);
		buffer_commit(out, (size_t)(printer.to - (out->data + out->end)));
	} else {
		buffer_truncate(out, before);
	}
	buffer_clear(packed);
	buffer_trim(packed, PACKED_BYTES_KEPT);
	return done;
}

bool value_print(struct lua_State *lua, struct value_state *state, int position,
    const struct schema *schema, struct buffer *out)
{
	if ((!schema || schema->kind == SCHEMA_ANY) && lua_type(lua, position) == LUA_TTABLE) {
		int top = lua_gettop(lua);
		if (value_print_flat(lua, state, position, out))
			return true;
		lua_settop(lua, top);
	}
	return print_packed(lua, state, position, schema, out);
}
