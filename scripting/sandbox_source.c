/* What Lua's parser must not be given, found before it sees the text. It runs without hooks, so its
 * work must be small beforehand:
 *
 *   bytecode             is trusted by Lua and can do anything
 *   length               bounded, shorter for what scripts load while they run
 *   chains of a.b[c].d   Lua 5.4.4 explains an error in one by recursion over the whole chain, in C
 *   functions in others  a name is looked up through all of them
 *   labels and gotos     are compared each with each
 *   _ENV <const>         makes Lua 5.4.4 generate wrong code (CVE-2022-28805)
 *
 * Nesting of expressions and blocks is bounded by Lua itself (200 levels of C), for which our
 * threads have enough stack.
 */
#include "scripting/sandbox_internal.h"

#include "base/assert.h"

#include <ctype.h>
#include <stdio.h>

enum {
	CHAIN_MAX = 200,
	FUNCTIONS_MAX = 40,
	BRACKETS_MAX = 200,
	LABELS_MAX = 200,
	GOTOS_MAX = 1000,
	BLOCKS_MAX = 200
};

enum token { END, NAME, VALUE, SYMBOL };

struct scan {
	const uint8_t *at, *end;
	unsigned line;
	/* The last token. */
	enum token token;
	struct slice text; /* of a name; of a symbol, its one byte */

	unsigned chain;
	unsigned brackets;
	unsigned chains[BRACKETS_MAX]; /* what `chain` was outside of each open bracket */
	unsigned functions, blocks;
	bool is_function[BLOCKS_MAX];
	unsigned labels, gotos;
	unsigned env; /* tokens of `_ENV < const` seen in a row */
	uint64_t units;
};

static int peek(const struct scan *scan, size_t ahead)
{
	return (size_t)(scan->end - scan->at) > ahead ? scan->at[ahead] : -1;
}

static void advance(struct scan *scan, size_t bytes)
{
	for (; bytes > 0 && scan->at < scan->end; bytes--) {
		if (*scan->at++ == '\n')
			scan->line++;
	}
}

/* At a '[': how many '=' a long bracket has, or -1 where it is none. */
static int long_bracket(const struct scan *scan)
{
	size_t equals = 0;
	while (peek(scan, 1 + equals) == '=')
		equals++;
	return peek(scan, 1 + equals) == '[' ? (int)(equals < INT32_MAX ? equals : INT32_MAX) : -1;
}

static void skip_long(struct scan *scan, size_t equals)
{
	advance(scan, equals + 2);
	while (scan->at < scan->end) {
		if (peek(scan, 0) == ']') {
			size_t same = 0;
			while (same < equals && peek(scan, 1 + same) == '=')
				same++;
			if (same == equals && peek(scan, 1 + same) == ']') {
				advance(scan, equals + 2);
				return;
			}
			/* Nothing in between can begin the end. */
			advance(scan, 1 + same);
		} else {
			advance(scan, 1);
		}
	}
}

static void skip_quoted(struct scan *scan, int quote)
{
	advance(scan, 1);
	while (scan->at < scan->end && peek(scan, 0) != quote && peek(scan, 0) != '\n')
		advance(scan, peek(scan, 0) == '\\' ? 2 : 1);
	if (peek(scan, 0) == quote)
		advance(scan, 1);
}

static void skip_blanks(struct scan *scan)
{
	for (;;) {
		if (scan->at < scan->end && isspace(*scan->at)) {
			advance(scan, 1);
		} else if (peek(scan, 0) == '-' && peek(scan, 1) == '-') {
			advance(scan, 2);
			int equals = peek(scan, 0) == '[' ? long_bracket(scan) : -1;
			if (equals >= 0) {
				skip_long(scan, (size_t)equals);
				continue;
			}
			while (scan->at < scan->end && *scan->at != '\n')
				advance(scan, 1);
		} else {
			return;
		}
	}
}

static bool is_name(int byte)
{
	return byte >= 0 && (isalnum(byte) || byte == '_');
}

static void read_token(struct scan *scan)
{
	skip_blanks(scan);
	const uint8_t *from = scan->at;
	int byte = peek(scan, 0);
	if (byte < 0) {
		scan->token = END;
		return;
	}
	if (is_name(byte) || (byte == '.' && isdigit(peek(scan, 1) < 0 ? 0 : peek(scan, 1)))) {
		bool number = !isalpha(byte) && byte != '_';
		while (is_name(peek(scan, 0)) || (number && peek(scan, 0) == '.'))
			advance(scan, 1);
		scan->token = number ? VALUE : NAME;
	} else if (byte == '"' || byte == '\'') {
		skip_quoted(scan, byte);
		scan->token = VALUE;
	} else if (byte == '[' && long_bracket(scan) >= 0) {
		skip_long(scan, (size_t)long_bracket(scan));
		scan->token = VALUE;
	} else {
		advance(scan, 1);
		scan->token = SYMBOL;
	}
	scan->text = slice_of(from, (size_t)(scan->at - from));
}

static bool is_word(const struct scan *scan, const char *word)
{
	return scan->token == NAME && slice_equal(scan->text, slice_from_text(word));
}

static bool is_symbol(const struct scan *scan, char symbol)
{
	return scan->token == SYMBOL && scan->text.data[0] == (uint8_t)symbol;
}

static const char *look_at_env(struct scan *scan)
{
	if (is_word(scan, "_ENV"))
		scan->env = 1;
	else if (scan->env == 1 && is_symbol(scan, '<'))
		scan->env = 2;
	else if (scan->env == 2 && (is_word(scan, "const") || is_word(scan, "close")))
		return "_ENV can't have an attribute";
	else
		scan->env = 0;
	return NULL;
}

static const char *open_block(struct scan *scan, bool is_function)
{
	if (scan->blocks == BLOCKS_MAX)
		return "blocks are nested too deeply";
	scan->is_function[scan->blocks++] = is_function;
	scan->functions += is_function;
	return scan->functions > FUNCTIONS_MAX ? "functions are nested too deeply" : NULL;
}

static const char *look_at_name(struct scan *scan)
{
	scan->units += 2 + 8 * (uint64_t)scan->functions;
	/* `while` and `for` have their `do`, `elseif` and `else` the end of their `if`. */
	if (is_word(scan, "function") || is_word(scan, "do") || is_word(scan, "if") ||
	    is_word(scan, "repeat"))
		return open_block(scan, is_word(scan, "function"));
	if ((is_word(scan, "end") || is_word(scan, "until")) && scan->blocks > 0)
		scan->functions -= scan->is_function[--scan->blocks];
	if (is_word(scan, "goto") && ++scan->gotos > GOTOS_MAX)
		return "too many gotos";
	return NULL;
}

/* A chain goes on through `.name` and `[...]`. What stands inside of brackets counts from where the
 * outer chain is, because the recursion goes through both. */
static void end_chain(struct scan *scan)
{
	scan->chain = scan->brackets > 0 ? scan->chains[scan->brackets - 1] : 0;
}

static const char *look_at_symbol(struct scan *scan)
{
	switch (scan->text.data[0]) {
	case '.':
		if (peek(scan, 0) != '.') {
			scan->chain++;
			break;
		}
		while (peek(scan, 0) == '.')
			advance(scan, 1);
		/* `..` or `...`: no field. */
		scan->text.data = (const uint8_t *)"~";
		end_chain(scan);
		break;
	case '(':
	case '[':
	case '{':
		if (scan->brackets == BRACKETS_MAX)
			return "brackets are nested too deeply";
		scan->chain += scan->text.data[0] == '[';
		scan->chains[scan->brackets++] = scan->chain;
		break;
	case ')':
	case ']':
	case '}':
		if (scan->brackets > 0)
			scan->chain = scan->chains[--scan->brackets];
		break;
	case ':':
		if (peek(scan, 0) == ':' && ++scan->labels > 2 * LABELS_MAX)
			return "too many labels";
		break;
	default:
		end_chain(scan);
	}
	return scan->chain > CHAIN_MAX ? "a chain of fields is too long" : NULL;
}

static const char *look(struct scan *scan, bool behind_dot)
{
	const char *wrong = look_at_env(scan);
	if (!wrong && scan->token == NAME)
		wrong = look_at_name(scan);
	if (!wrong && scan->token == SYMBOL)
		wrong = look_at_symbol(scan);
	/* A name begins something, unless it names a field or method. */
	if (scan->token == NAME && !behind_dot)
		end_chain(scan);
	return wrong;
}

const char *sandbox_source_check(
    struct slice source, bool from_script, unsigned *ret_line, uint64_t *ret_units)
{
	struct scan scan = {.at = source.data, .end = source.data + source.bytes, .line = 1};
	const char *wrong = NULL;
	if (source.bytes > 0 && source.data[0] == LUA_SIGNATURE[0])
		wrong = "bytecode is not accepted";
	else if (source.bytes > (from_script ? SANDBOX_LOAD_BYTES_MAX : SANDBOX_SOURCE_BYTES_MAX))
		wrong = "the source is too long";
	bool behind_dot = false;
	while (!wrong) {
		read_token(&scan);
		if (scan.token == END)
			break;
		wrong = look(&scan, behind_dot);
		behind_dot = is_symbol(&scan, '.') || is_symbol(&scan, ':');
	}
	*ret_line = scan.line;
	*ret_units = scan.units + source.bytes * 2;
	return wrong;
}

/* ---- Loading ---- */

int sandbox_load(
    lua_State *lua, struct slice source, const char *chunk_name, bool from_script, int environment)
{
	unsigned line;
	uint64_t units;
	const char *wrong = sandbox_source_check(source, from_script, &line, &units);
	if (wrong) {
		const char *name =
		    *chunk_name == '@' || *chunk_name == '=' ? chunk_name + 1 : "load";
		lua_pushfstring(lua, "%s:%d: %s", name, (int)line, wrong);
		return ERR_INVALID;
	}
	sandbox_charge(lua, units);
	/* Code and constants are a small multiple of their text. */
	sandbox_charge_bytes(lua, source.bytes * 16);
	int status =
	    luaL_loadbufferx(lua, (const char *)source.data, source.bytes, chunk_name, "t");
	if (status != LUA_OK) {
		sandbox_pass_abort(lua, lua, status);
		return status == LUA_ERRMEM ? ERR_NOMEM : ERR_INVALID;
	}
	if (environment)
		lua_pushvalue(lua, environment);
	else
		lua_rawgeti(lua, LUA_REGISTRYINDEX, sandbox_from(lua)->globals);
	/* A main function has exactly one upvalue. */
	const char *upvalue = lua_setupvalue(lua, -2, 1);
	ASSERT(upvalue);
	return 0;
}

struct compilation {
	struct slice source;
	const char *chunk_name;
	int error;
};

static int compile(lua_State *lua)
{
	struct compilation *compilation = lua_touserdata(lua, 1);
	compilation->error =
	    sandbox_load(lua, compilation->source, compilation->chunk_name, false, 0);
	return 1;
}

int sandbox_compile(struct lua_State *lua, struct slice source, const char *chunk_name)
{
	struct compilation compilation = {.source = source, .chunk_name = chunk_name};
	if (!lua_checkstack(lua, 4))
		return ERR_NOMEM;
	lua_pushcfunction(lua, compile);
	lua_pushlightuserdata(lua, &compilation);
	int status = sandbox_pcall(lua, 1, 1);
	int error = status == LUA_OK       ? compilation.error
	            : status == LUA_ERRMEM ? ERR_NOMEM
	                                   : ERR_INVALID;
	if (error == ERR_NOMEM)
		lua_pop(lua, 1);
	return error;
}
