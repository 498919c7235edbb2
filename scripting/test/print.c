/* Values as Lua would write them, for people who look for a difference. */
#include "base/wire/utf8.h"
#include "scripting/sandbox_keys.h"
#include "scripting/test/parts.h"
#include "scripting/value.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES_MAX = 76, TEXT_SHOWN_MAX = 1000, DEPTH_MAX = 24, INDENT = 2 };

/* A table under way, on the stack at `table`, the list of its keys above. */
struct open_table {
	int table;
	lua_Integer at, count;
	lua_Integer next; /* as long as keys are 1, 2, 3 they are not written */
};

struct printer {
	lua_State *lua;
	struct buffer *out;
	size_t end; /* of what may be written */
	bool full;
	bool lines;                  /* an element a line, where a table does not fit one */
	const struct printer *outer; /* in which this one writes a line */
	unsigned depth;
	struct open_table tables[DEPTH_MAX];
};

static void put(struct printer *printer, const char *text, size_t bytes)
{
	if (printer->full || buffer_bytes(printer->out) + bytes > printer->end ||
	    buffer_append(printer->out, text, bytes))
		printer->full = true;
}

static void put_text(struct printer *printer, const char *text)
{
	put(printer, text, strlen(text));
}

static void put_string(struct printer *printer, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(printer->lua, position, &bytes);
	size_t shown = bytes > TEXT_SHOWN_MAX ? TEXT_SHOWN_MAX : bytes;
	bool is_text = utf8_valid(slice_of(text, bytes));
	if (is_text)
		shown = utf8_cut(slice_of(text, bytes), TEXT_SHOWN_MAX);
	put_text(printer, "\"");
	for (size_t i = 0; i < shown && !printer->full; i++) {
		unsigned char byte = (unsigned char)text[i];
		char escaped[8];
		if (byte == '"' || byte == '\\')
			snprintf(escaped, sizeof(escaped), "\\%c", byte);
		else if (byte == '\n')
			snprintf(escaped, sizeof(escaped), "\\n");
		else if (byte < ' ' || byte == 0x7f || (byte >= 0x80 && !is_text))
			snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
		else
			snprintf(escaped, sizeof(escaped), "%c", byte);
		put_text(printer, escaped);
	}
	put_text(printer, "\"");
	if (shown < bytes) {
		char more[48];
		snprintf(more, sizeof(more), "... (%zu bytes)", bytes);
		put_text(printer, more);
	}
}

static void put_scalar(struct printer *printer, int position)
{
	lua_State *lua = printer->lua;
	switch (lua_type(lua, position)) {
	case LUA_TSTRING:
		put_string(printer, position);
		return;
	case LUA_TNUMBER: {
		lua_pushvalue(lua, position);
		put_text(printer, lua_tostring(lua, -1));
		lua_pop(lua, 1);
		return;
	}
	case LUA_TBOOLEAN:
		put_text(printer, lua_toboolean(lua, position) ? "true" : "false");
		return;
	case LUA_TNIL:
		put_text(printer, "nil");
		return;
	default:
		if (value_is_null(lua, position)) {
			put_text(printer, "kalix.null");
			return;
		}
		put_text(printer, "(");
		put_text(printer, luaL_typename(lua, position));
		put_text(printer, ")");
	}
}

static bool is_name(lua_State *lua, int position)
{
	size_t bytes;
	if (lua_type(lua, position) != LUA_TSTRING)
		return false;
	const char *text = lua_tolstring(lua, position, &bytes);
	if (bytes == 0 || bytes > 64 || isdigit((unsigned char)text[0]))
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	return true;
}

/* `name` or `[key]`. */
static void put_key(struct printer *printer, int position)
{
	if (is_name(printer->lua, position)) {
		put_text(printer, lua_tostring(printer->lua, position));
		return;
	}
	put_text(printer, "[");
	put_scalar(printer, position);
	put_text(printer, "]");
}

static void put_line(struct printer *printer, unsigned depth)
{
	static const char spaces[DEPTH_MAX * INDENT + 1] =
	    "                                                ";
	put_text(printer, "\n");
	put(printer, spaces, (size_t)depth * INDENT);
}

/* Whether the value on top is a table that is not to be written: one in itself, or too deep. */
static bool is_left_out(const struct printer *printer)
{
	for (const struct printer *at = printer; at; at = at->outer)
		for (unsigned i = 0; i < at->depth; i++)
			if (lua_rawequal(at->lua, at->tables[i].table, -1))
				return true;
	return printer->depth == DEPTH_MAX;
}

/* The table on top of the stack is begun, and stays there. */
static void open_table(struct printer *printer)
{
	size_t others;
	luaL_checkstack(printer->lua, 20, "tables in tables");
	struct open_table *table = &printer->tables[printer->depth++];
	*table = (struct open_table){.table = lua_gettop(printer->lua), .next = 1};
	sandbox_keys_push(printer->lua, table->table, &others);
	table->count = (lua_Integer)lua_rawlen(printer->lua, -1);
	put_text(printer, "{");
}

/* Pushes the next value of the innermost table, behind its key. */
static void next_value(struct printer *printer)
{
	lua_State *lua = printer->lua;
	struct open_table *table = &printer->tables[printer->depth - 1];
	int keys = table->table + 1;
	sandbox_charge(lua, 10);
	if (table->at > 0)
		put_text(printer, printer->lines ? "," : ", ");
	if (printer->lines)
		put_line(printer, printer->depth);
	lua_rawgeti(lua, keys, ++table->at);
	if (lua_isinteger(lua, -1) && lua_tointeger(lua, -1) == table->next) {
		table->next++;
	} else {
		put_key(printer, keys + 1);
		put_text(printer, " = ");
	}
	lua_rawget(lua, table->table);
}

/* Ends those that have no more. */
static void close_tables(struct printer *printer)
{
	while (printer->depth > 0) {
		struct open_table *table = &printer->tables[printer->depth - 1];
		if (table->at < table->count)
			return;
		printer->depth--;
		if (printer->lines && table->count > 0)
			put_line(printer, printer->depth);
		put_text(printer, "}");
		lua_settop(printer->lua, table->table - 1);
	}
}

/* In one line, of at most so many bytes. */
static bool put_in_line(const struct printer *outer, int position, size_t bytes_max)
{
	lua_State *lua = outer->lua;
	struct buffer *out = outer->out;
	struct printer printer = {
	    .lua = lua, .out = out, .end = buffer_bytes(out) + bytes_max, .outer = outer};
	size_t before = buffer_bytes(out);
	int top = lua_gettop(lua);
	lua_pushvalue(lua, position);
	do {
		if (lua_istable(lua, -1) && !is_left_out(&printer)) {
			open_table(&printer);
		} else if (lua_istable(lua, -1)) {
			put_text(&printer, "{...}");
			lua_pop(lua, 1);
		} else {
			put_scalar(&printer, lua_gettop(lua));
			lua_pop(lua, 1);
		}
		close_tables(&printer);
		if (printer.depth > 0)
			next_value(&printer);
	} while (!printer.full && lua_gettop(lua) > top);
	lua_settop(lua, top);
	if (printer.full)
		buffer_truncate(out, before);
	return !printer.full;
}

void test_print(lua_State *lua, int position, struct buffer *out)
{
	struct printer printer = {
	    .lua = lua, .out = out, .end = buffer_bytes(out) + TEST_TEXT_BYTES_MAX, .lines = true};
	int top = lua_gettop(lua);
	lua_pushvalue(lua, position);
	do {
		size_t left = LINE_BYTES_MAX - (size_t)printer.depth * INDENT;
		int value = lua_gettop(lua);
		if (put_in_line(&printer, value, left)) {
			lua_pop(lua, 1);
		} else if (lua_istable(lua, value) && !is_left_out(&printer)) {
			open_table(&printer);
		} else if (lua_istable(lua, value)) {
			put_text(&printer, "{...}");
			lua_pop(lua, 1);
		} else {
			put_scalar(&printer, value);
			lua_pop(lua, 1);
		}
		close_tables(&printer);
		if (printer.depth > 0)
			next_value(&printer);
	} while (!printer.full && lua_gettop(lua) > top);
	lua_settop(lua, top);
	if (printer.full && buffer_append_text(out, " ..."))
		luaL_error(lua, "out of memory");
}

void test_print_key(lua_State *lua, int position, struct buffer *out)
{
	struct printer printer = {
	    .lua = lua, .out = out, .end = buffer_bytes(out) + TEST_TEXT_BYTES_MAX};
	if (is_name(lua, position) && buffer_bytes(out) > 0)
		put_text(&printer, ".");
	put_key(&printer, position);
}
