/* string, but for patterns (lib_find.c): what makes or walks over much is charged first. */
#include "scripting/lib_text.h"

#include "base/assert.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

static int string_len(lua_State *lua)
{
	size_t bytes;
	luaL_checklstring(lua, 1, &bytes);
	lua_pushinteger(lua, (lua_Integer)bytes);
	return 1;
}

/* The part from `from` to `to` (from 1, negative from the end) as a range; empty: *ret_count 0. */
static void range_of(
    lua_Integer from, lua_Integer to, size_t bytes, size_t *ret_begin, size_t *ret_count)
{
	lua_Integer length = (lua_Integer)bytes;
	if (from < 0)
		from = from < -length ? 1 : length + from + 1;
	else if (from == 0)
		from = 1;
	if (to > length)
		to = length;
	else if (to < 0)
		to = to < -length ? 0 : length + to + 1;
	*ret_begin = (size_t)(from - 1);
	*ret_count = from > to ? 0 : (size_t)(to - from) + 1;
}

static int string_sub(lua_State *lua)
{
	size_t bytes, begin, count;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	range_of(luaL_checkinteger(lua, 2), luaL_optinteger(lua, 3, -1), bytes, &begin, &count);
	sandbox_charge_text(lua, count);
	lua_pushlstring(lua, count ? text + begin : "", count);
	return 1;
}

static int string_byte(lua_State *lua)
{
	size_t bytes, begin, count;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	lua_Integer from = luaL_optinteger(lua, 2, 1);
	range_of(from, luaL_optinteger(lua, 3, from), bytes, &begin, &count);
	if (count > SANDBOX_VALUES_MAX)
		return luaL_error(lua, "string slice too long");
	luaL_checkstack(lua, (int)count, "string slice too long");
	sandbox_charge(lua, count);
	for (size_t i = 0; i < count; i++)
		lua_pushinteger(lua, (unsigned char)text[begin + i]);
	return (int)count;
}

/* ---- lower, upper, reverse ---- */

/* What is made without a look at the clock, in the functions that pause in between. */
enum { PIECE_BYTES = 64 * 1024 };

enum change { LOWER, UPPER, REVERSE };

/* As in the C locale, whatever the process's. */
static void change_piece(
    const char *text, size_t bytes, size_t from, size_t to, enum change change, char *made)
{
	for (size_t i = from; i < to; i++) {
		char byte = text[change == REVERSE ? bytes - 1 - i : i];
		if (change == LOWER && byte >= 'A' && byte <= 'Z')
			byte = (char)(byte - 'A' + 'a');
		else if (change == UPPER && byte >= 'a' && byte <= 'z')
			byte = (char)(byte - 'a' + 'A');
		made[i] = byte;
	}
}

/* On the stack: the text, which change, a block. `from` is how much of it is made. */
static int change_on(lua_State *lua, int status, lua_KContext from)
{
	(void)status;
	size_t bytes, at = (size_t)from;
	const char *text = lua_tolstring(lua, 1, &bytes);
	enum change change = (enum change)lua_tointeger(lua, 2);
	char *made = sandbox_making(lua, 3);
	while (at < bytes) {
		size_t to = bytes - at > PIECE_BYTES ? at + PIECE_BYTES : bytes;
		change_piece(text, bytes, at, to, change, made);
		sandbox_charge(lua, (to - at) / 2);
		at = to;
		if (at < bytes && sandbox_slice_over(lua))
			return sandbox_pause(lua, (lua_KContext)at, change_on);
	}
	sandbox_made(lua, 3, bytes);
	return 1;
}

static int changed(lua_State *lua, enum change change)
{
	size_t bytes;
	luaL_checklstring(lua, 1, &bytes);
	lua_settop(lua, 1);
	sandbox_charge_text(lua, bytes);
	lua_pushinteger(lua, (lua_Integer)change);
	(void)sandbox_make(lua, bytes);
	return change_on(lua, LUA_OK, 0);
}

static int string_lower(lua_State *lua)
{
	return changed(lua, LOWER);
}

static int string_upper(lua_State *lua)
{
	return changed(lua, UPPER);
}

static int string_reverse(lua_State *lua)
{
	return changed(lua, REVERSE);
}

static int string_char(lua_State *lua)
{
	sandbox_charge(lua, (uint64_t)lua_gettop(lua));
	return sandbox_stock(lua, STOCK_CHAR);
}

/* ---- rep ---- */

/* On the stack: text, times, what is between, a block with the first `made_bytes` of the result, of
 * which each piece is a copy of its beginning. */
static int rep_on(lua_State *lua, int status, lua_KContext made_bytes)
{
	(void)status;
	size_t one = lua_rawlen(lua, 1) + lua_rawlen(lua, 3), at = (size_t)made_bytes;
	size_t all = (size_t)lua_tointeger(lua, 2) * one - lua_rawlen(lua, 3);
	size_t piece_max = one > PIECE_BYTES ? one : PIECE_BYTES - PIECE_BYTES % one;
	char *made = sandbox_making(lua, 4);
	while (at < all) {
		size_t piece = at < piece_max ? at : piece_max;
		if (piece > all - at)
			piece = all - at;
		memcpy(made + at, made, piece);
		at += piece;
		sandbox_charge(lua, piece / 64);
		if (at < all && sandbox_slice_over(lua))
			return sandbox_pause(lua, (lua_KContext)at, rep_on);
	}
	sandbox_made(lua, 4, all);
	return 1;
}

static int string_rep(lua_State *lua)
{
	size_t bytes, between_bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	lua_Integer times = luaL_checkinteger(lua, 2);
	if (lua_isnoneornil(lua, 3)) {
		lua_settop(lua, 2);
		lua_pushliteral(lua, "");
	}
	const char *between = luaL_checklstring(lua, 3, &between_bytes);
	if (times <= 0 || bytes + between_bytes == 0) {
		lua_pushliteral(lua, "");
		return 1;
	}
	/* Lengths of strings are bounded, so their sum does not wrap around. */
	size_t one = bytes + between_bytes;
	if ((uint64_t)times > SANDBOX_TEXT_BYTES_MAX || one > SANDBOX_TEXT_BYTES_MAX)
		sandbox_charge_text(lua, UINT64_MAX / 2);
	uint64_t all = (uint64_t)times * one - between_bytes;
	sandbox_charge_text(lua, all);
	lua_settop(lua, 3);
	lua_pushinteger(lua, times);
	lua_replace(lua, 2);
	char *made = sandbox_make(lua, all);
	memcpy(made, text, bytes);
	if (times > 1)
		memcpy(made + bytes, between, between_bytes);
	return rep_on(lua, LUA_OK, (lua_KContext)(times > 1 ? one : bytes));
}

/* ---- pack ---- */

/* The most bytes that a format can come to, apart from its arguments' own: a field is at most 16
 * bytes and 16 of padding, and `cN` is N. */
static uint64_t packed_bytes_max(lua_State *lua, const char *format)
{
	uint64_t bytes = 0;
	for (const char *at = format; *at; at++) {
		bytes += 32;
		if (*at != 'c')
			continue;
		uint64_t count = 0;
		while (isdigit((unsigned char)at[1]) && count < UINT32_MAX)
			count = count * 10 + (uint64_t)(*++at - '0');
		bytes += count;
		if (bytes > UINT32_MAX)
			luaL_error(lua, "invalid format (too long)");
	}
	return bytes;
}

static int string_pack(lua_State *lua)
{
	uint64_t bytes = packed_bytes_max(lua, luaL_checkstring(lua, 1));
	int top = lua_gettop(lua);
	for (int i = 2; i <= top; i++) {
		if (lua_type(lua, i) == LUA_TSTRING)
			bytes += lua_rawlen(lua, i);
	}
	sandbox_charge_text(lua, bytes);
	/* Its buffer doubles. */
	sandbox_charge_bytes(lua, 3 * bytes);
	return sandbox_stock(lua, STOCK_PACK);
}

static int string_unpack(lua_State *lua)
{
	size_t format_bytes, bytes;
	const char *format = luaL_checklstring(lua, 1, &format_bytes);
	luaL_checklstring(lua, 2, &bytes);
	packed_bytes_max(lua, format);
	if (format_bytes > SANDBOX_VALUES_MAX)
		return luaL_error(lua, "too many results");
	/* Each field copies at most the whole text, and all of them nothing twice. */
	sandbox_charge(lua, format_bytes * 4 + bytes / 8);
	sandbox_charge_bytes(lua, bytes);
	return sandbox_stock(lua, STOCK_UNPACK);
}

static int string_packsize(lua_State *lua)
{
	size_t bytes;
	const char *format = luaL_checklstring(lua, 1, &bytes);
	packed_bytes_max(lua, format);
	sandbox_charge(lua, bytes);
	return sandbox_stock(lua, STOCK_PACKSIZE);
}

/* ---- format ---- */

enum { SPEC_BYTES_MAX = 32, ITEM_BYTES_MAX = 512 };

struct spec {
	char text[SPEC_BYTES_MAX]; /* '%', flags, width, precision; then room for the length */
	size_t bytes;
	char conversion;
	bool bare, has_precision;
};

/* Reads a specification behind its '%'; where it goes on. */
static const char *read_spec(lua_State *lua, const char *at, const char *end, struct spec *spec)
{
	spec->bytes = 0;
	spec->text[spec->bytes++] = '%';
	spec->has_precision = false;
	size_t flags = 0, digits = 0;
	for (; at < end && *at && strchr("-+#0 ", *at); at++) {
		if (++flags > 5)
			luaL_error(lua, "invalid format (repeated flags)");
		spec->text[spec->bytes++] = *at;
	}
	/* Two digits at most, as in Lua itself: what comes out fits ITEM_BYTES_MAX. */
	for (; at < end && isdigit((unsigned char)*at); at++) {
		if (++digits > 2)
			luaL_error(lua, "invalid conversion (width or precision too long)");
		spec->text[spec->bytes++] = *at;
	}
	if (at < end && *at == '.') {
		spec->text[spec->bytes++] = *at++;
		spec->has_precision = true;
		digits = 0;
		for (; at < end && isdigit((unsigned char)*at); at++) {
			if (++digits > 2)
				luaL_error(lua, "invalid conversion (width or precision too long)");
			spec->text[spec->bytes++] = *at;
		}
	}
	if (at == end)
		luaL_error(lua, "invalid conversion to 'format' (nothing behind '%%')");
	spec->bare = spec->bytes == 1;
	spec->conversion = *at;
	return at + 1;
}

/* The specification with the length that C needs, and its end. */
static const char *finish_spec(struct spec *spec, const char *length)
{
	size_t bytes = strlen(length);
	memcpy(spec->text + spec->bytes, length, bytes);
	spec->text[spec->bytes + bytes] = spec->conversion;
	spec->text[spec->bytes + bytes + 1] = 0;
	return spec->text;
}

/* The formats are read_spec's, with two digits at most. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void add_number(lua_State *lua, struct text *out, struct spec *spec, int argument)
{
	char item[ITEM_BYTES_MAX];
	int bytes;
	if (spec->conversion == 'c') {
		int byte = (int)luaL_checkinteger(lua, argument);
		bytes = snprintf(item, sizeof(item), finish_spec(spec, ""), byte);
	} else if (strchr("dioxXu", spec->conversion)) {
		lua_Integer integer = luaL_checkinteger(lua, argument);
		bytes = snprintf(item, sizeof(item), finish_spec(spec, "ll"), integer);
	} else {
		lua_Number number = luaL_checknumber(lua, argument);
		bytes = snprintf(item, sizeof(item), finish_spec(spec, ""), number);
	}
	ASSERT(bytes >= 0 && bytes < ITEM_BYTES_MAX);
	text_add(lua, out, item, (size_t)bytes);
}

static void add_text(lua_State *lua, struct text *out, struct spec *spec, int argument)
{
	size_t bytes;
	const char *text = sandbox_tostring(lua, argument, &bytes);
	if (spec->bare || (!spec->has_precision && bytes >= 100)) {
		text_add(lua, out, text, bytes);
	} else {
		char item[ITEM_BYTES_MAX];
		if (memchr(text, 0, bytes))
			luaL_argerror(lua, argument, "string contains zeros");
		int written = snprintf(item, sizeof(item), finish_spec(spec, ""), text);
		ASSERT(written >= 0 && written < ITEM_BYTES_MAX);
		text_add(lua, out, item, (size_t)written);
	}
	lua_pop(lua, 1);
}

#pragma GCC diagnostic pop

/* The escape of a byte: with three digits where another digit follows. How many characters. */
static size_t escape(unsigned char byte, bool digit_follows, char *to)
{
	size_t length = 0;
	to[length++] = '\\';
	if (!iscntrl(byte) || byte == '\n') {
		to[length++] = (char)byte;
		return length;
	}
	if (byte >= 100 || digit_follows)
		to[length++] = (char)('0' + byte / 100);
	if (byte >= 10 || digit_follows)
		to[length++] = (char)('0' + byte / 10 % 10);
	to[length++] = (char)('0' + byte % 10);
	return length;
}

static void quote(lua_State *lua, struct text *out, const char *text, size_t bytes)
{
	enum { QUOTED_PIECE = 8192 };
	text_add(lua, out, "\"", 1);
	for (size_t i = 0, spent = 0; i < bytes; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (byte == '"' || byte == '\\' || iscntrl(byte)) {
			char made[8];
			bool digit_follows = i + 1 < bytes && isdigit((unsigned char)text[i + 1]);
			text_add(lua, out, made, escape(byte, digit_follows, made));
		} else {
			text_add(lua, out, text + i, 1);
		}
		if (i - spent >= QUOTED_PIECE) {
			spent = i;
			sandbox_spend(lua, QUOTED_PIECE * 4);
		}
	}
	text_add(lua, out, "\"", 1);
}

/* %q: text that Lua reads as the same value. */
static void add_quoted(lua_State *lua, struct text *out, const struct spec *spec, int argument)
{
	size_t bytes;
	char item[64];
	if (!spec->bare)
		luaL_error(lua, "specifier '%%q' cannot have modifiers");
	switch (lua_type(lua, argument)) {
	case LUA_TSTRING: {
		const char *text = lua_tolstring(lua, argument, &bytes);
		sandbox_charge(lua, bytes % 8192 * 4);
		quote(lua, out, text, bytes);
		return;
	}
	case LUA_TNUMBER: {
		int length;
		lua_Number number = lua_tonumber(lua, argument);
		if (lua_isinteger(lua, argument))
			length = snprintf(item, sizeof(item),
			    lua_tointeger(lua, argument) == LUA_MININTEGER ? "0x%llx" : "%lld",
			    lua_tointeger(lua, argument));
		else if (isnan(number))
			length = snprintf(item, sizeof(item), "(0/0)");
		else if (isinf(number))
			length = snprintf(item, sizeof(item), number > 0 ? "1e9999" : "-1e9999");
		else
			length = snprintf(item, sizeof(item), "%a", number);
		text_add(lua, out, item, (size_t)length);
		return;
	}
	case LUA_TNIL:
	case LUA_TBOOLEAN: {
		const char *text = sandbox_tostring(lua, argument, &bytes);
		text_add(lua, out, text, bytes);
		lua_pop(lua, 1);
		return;
	}
	default:
		luaL_argerror(lua, argument, "value has no literal form");
	}
}

static void add_item(lua_State *lua, struct text *out, struct spec *spec, int argument)
{
	switch (spec->conversion) {
	case 'c':
	case 'd':
	case 'i':
	case 'u':
	case 'o':
	case 'x':
	case 'X':
	case 'a':
	case 'A':
	case 'e':
	case 'E':
	case 'f':
	case 'F':
	case 'g':
	case 'G':
		add_number(lua, out, spec, argument);
		return;
	case 's':
		add_text(lua, out, spec, argument);
		return;
	case 'q':
		add_quoted(lua, out, spec, argument);
		return;
	default:
		luaL_error(lua, "invalid conversion '%%%c' to 'format'", spec->conversion);
	}
}

static int string_format(lua_State *lua)
{
	size_t bytes;
	const char *at = luaL_checklstring(lua, 1, &bytes);
	const char *end = at + bytes;
	int top = lua_gettop(lua), argument = 1;
	struct text out;
	sandbox_charge(lua, 10 + bytes / 8);
	text_begin(lua, &out, bytes + 64);
	while (at < end) {
		const char *percent = memchr(at, '%', (size_t)(end - at));
		if (!percent) {
			text_add(lua, &out, at, (size_t)(end - at));
			break;
		}
		text_add(lua, &out, at, (size_t)(percent - at));
		at = percent + 1;
		if (at < end && *at == '%') {
			text_add(lua, &out, at++, 1);
			continue;
		}
		struct spec spec;
		at = read_spec(lua, at, end, &spec);
		if (++argument > top)
			return luaL_argerror(lua, argument, "no value");
		sandbox_charge(lua, 20);
		add_item(lua, &out, &spec, argument);
	}
	text_end(lua, &out);
	return 1;
}

/* ---- Arithmetic ---- */

/* Pushes the number that the value is, or says. */
static bool push_number(lua_State *lua, int position)
{
	if (lua_type(lua, position) == LUA_TNUMBER) {
		lua_pushvalue(lua, position);
		return true;
	}
	size_t bytes;
	if (lua_type(lua, position) != LUA_TSTRING)
		return false;
	const char *text = lua_tolstring(lua, position, &bytes);
	sandbox_charge(lua, bytes / 8);
	return lua_stringtonumber(lua, text) == bytes + 1;
}

/* Upvalues: the operation, the name of its event. */
static int calculate(lua_State *lua)
{
	int operation = (int)lua_tointeger(lua, lua_upvalueindex(1));
	const char *event = lua_tostring(lua, lua_upvalueindex(2));
	lua_settop(lua, 2);
	if (push_number(lua, 1) && push_number(lua, 2)) {
		if (operation == LUA_OPUNM)
			lua_pop(lua, 1);
		lua_arith(lua, operation);
		return 1;
	}
	lua_settop(lua, 2);
	if (lua_type(lua, 2) != LUA_TSTRING && luaL_getmetafield(lua, 2, event)) {
		lua_insert(lua, 1);
		lua_call(lua, 2, 1);
		return 1;
	}
	bool second = lua_type(lua, 1) == LUA_TNUMBER || lua_type(lua, 2) != LUA_TSTRING;
	return luaL_error(lua, "attempt to perform arithmetic on a %s value",
	    luaL_typename(lua, second && lua_type(lua, 2) != LUA_TNUMBER ? 2 : 1));
}

void sandbox_open_arithmetic(lua_State *lua)
{
	static const struct {
		const char *event;
		int operation;
	} events[] = {
	    {"__add", LUA_OPADD},
	    {"__div", LUA_OPDIV},
	    {"__idiv", LUA_OPIDIV},
	    {"__mod", LUA_OPMOD},
	    {"__mul", LUA_OPMUL},
	    {"__pow", LUA_OPPOW},
	    {"__sub", LUA_OPSUB},
	    {"__unm", LUA_OPUNM},
	};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		lua_pushinteger(lua, events[i].operation);
		lua_pushstring(lua, events[i].event);
		lua_pushcclosure(lua, calculate, 2);
		lua_setfield(lua, -2, events[i].event);
	}
}

void sandbox_open_string(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"byte", string_byte},
	    {"char", string_char},
	    {"format", string_format},
	    {"len", string_len},
	    {"lower", string_lower},
	    {"pack", string_pack},
	    {"packsize", string_packsize},
	    {"rep", string_rep},
	    {"reverse", string_reverse},
	    {"sub", string_sub},
	    {"unpack", string_unpack},
	    {"upper", string_upper},
	    {NULL, NULL},
	};
	lua_pushcfunction(lua, luaopen_string);
	lua_call(lua, 0, 1);
	sandbox_take_stock(lua, STOCK_CHAR, "char");
	sandbox_take_stock(lua, STOCK_PACK, "pack");
	sandbox_take_stock(lua, STOCK_UNPACK, "unpack");
	sandbox_take_stock(lua, STOCK_PACKSIZE, "packsize");
	lua_pop(lua, 1);
	luaL_newlib(lua, functions);
}
