/* Lazy tables: made, read, written and settled. value_lazy.h says what that means. */
#include "scripting/value_lazy.h"

#include "base/assert.h"
#include "base/mem.h"
#include "scripting/own_key.h"
#include "scripting/sandbox.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

const struct schema lazy_any = {.kind = SCHEMA_ANY};

enum {
	/* Smaller ones are decoded at once, which costs less. */
	STATE_BYTES_MIN = 48,
	STATE_ENTRIES_MIN = 6,
	CHILD_BYTES_MIN = 48,
	/* Slots of a table: of all that is in it most often. */
	SLOTS = 4,
	/* Of a record's tables in a round, how many show which fields scripts touch: those that
	 * half of them were asked for are decoded at once in the others. */
	ROUND = 256,
	LEARNING = 8,
	NODES_KEPT = 1024,
	OFFSETS_KEPT = 8192,
};

/* What is needed wherever a value becomes a Lua value. */
struct opener {
	lua_State *lua;
	struct value_state *state;
	struct lazy_doc *doc;
	int metatable; /* on Lua's stack */
	int doc_at;    /* the same; 0: only in the table at `table` */
	int table;
};

static void charge(lua_State *lua, uint64_t units, size_t bytes)
{
	struct value_work work = {.lua = lua, .units = units};
	value_charge(&work);
	if (bytes > 1024)
		sandbox_charge_bytes(lua, bytes);
}

/* As value_plan_of, but for the error. */
static const struct value_plan *plan_of(
    lua_State *lua, struct value_state *state, const struct schema *record)
{
	const struct value_plan *plan = value_plan_of(lua, state, record);
	if (!plan)
		luaL_error(lua, "stack overflow");
	return plan;
}

static inline bool is_record(const struct lazy_node *node)
{
	return node->schema && node->schema->kind == SCHEMA_RECORD;
}

/* --- Nodes and their tables ------------------------------------------------------------------- */

static inline uint32_t table_slot(const struct lazy_doc *doc, const void *table)
{
	uint64_t hash = (uint64_t)(uintptr_t)table * 0x9e3779b97f4a7c15u;
	return (uint32_t)(hash >> 40) & (doc->slot_count - 1);
}

static inline struct value_lazy_slot *known_slot(struct value_state *state, const void *table)
{
	uint64_t hash = (uint64_t)(uintptr_t)table * 0x9e3779b97f4a7c15u;
	return &state->lazy.tables[(hash >> 40) % VALUE_LAZY_SLOTS];
}

static void set_table(
    struct value_state *state, struct lazy_doc *doc, struct lazy_node *node, const void *table)
{
	*known_slot(state, table) =
	    (struct value_lazy_slot){.table = table, .doc = doc, .node = node};
	uint32_t slot = table_slot(doc, table);
	/* Another node's table may have been here, and be gone. */
	while (doc->slots[slot] && doc->nodes[doc->slots[slot] - 1].table != table)
		slot = (slot + 1) & (doc->slot_count - 1);
	if (doc->slots[slot])
		doc->nodes[doc->slots[slot] - 1].table = NULL;
	doc->slots[slot] = (uint32_t)(node - doc->nodes) + 1;
	node->table = table;
	node->had_table = true;
}

static struct lazy_node *find_table(struct lazy_doc *doc, const void *table)
{
	uint32_t slot = table_slot(doc, table);
	while (doc->nodes[doc->slots[slot] - 1].table != table)
		slot = (slot + 1) & (doc->slot_count - 1);
	return &doc->nodes[doc->slots[slot] - 1];
}

struct lazy_found lazy_find(struct lua_State *lua, struct value_state *state, int position)
{
	const void *table = lua_topointer(lua, position);
	struct value_lazy_slot *slot = known_slot(state, table);
	if (__builtin_expect(slot->table != table, 0)) {
		lua_rawgetp(lua, position, own_key(OWN_KEY_LINK));
		struct lazy_doc *doc = lua_touserdata(lua, -1);
		lua_pop(lua, 1);
		ASSERT(doc);
		*slot = (struct value_lazy_slot){
		    .table = table, .doc = doc, .node = find_table(doc, table)};
	}
	return (struct lazy_found){.node = slot->node, .doc = slot->doc};
}

bool lazy_is_link(struct lua_State *lua, int position)
{
	return lua_touserdata(lua, position) == own_key(OWN_KEY_LINK);
}

void lazy_push_link(struct lua_State *lua)
{
	lua_pushlightuserdata(lua, own_key(OWN_KEY_LINK));
}

/* The node whose bytes begin at `at`, or NULL. */
static struct lazy_node *find_node(struct lazy_doc *doc, uint32_t at)
{
	uint32_t low = 0, high = doc->node_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (doc->nodes[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low < doc->node_count && doc->nodes[low].at == at ? &doc->nodes[low] : NULL;
}

/* --- Habits ----------------------------------------------------------------------------------- */

static struct value_habit *habit_of(struct value_state *state, const struct schema *record)
{
	struct value_habit *habit = &state->lazy.habits[record->number % VALUE_HABIT_SLOTS];
	if (__builtin_expect(habit->number != record->number, 0))
		*habit = (struct value_habit){.number = record->number};
	return habit;
}

/* A table of the record is made: which of its fields are decoded at once? */
static uint64_t often_touched(struct value_state *state, const struct schema *record)
{
	struct value_habit *habit = habit_of(state, record);
	if (habit->pushes == ROUND)
		*habit = (struct value_habit){.number = record->number};
	if (habit->pushes == LEARNING) {
		for (uint32_t i = 0; i < record->count; i++)
			habit->often |= (uint64_t)(habit->touches[i] >= LEARNING / 2) << i;
	}
	habit->pushes++;
	return habit->often;
}

static void note_touch(struct value_state *state, const struct schema *record, uint32_t field)
{
	struct value_habit *habit = habit_of(state, record);
	if (habit->pushes <= LEARNING && habit->touches[field] < LEARNING)
		habit->touches[field]++;
}

/* --- Values ----------------------------------------------------------------------------------- */

static void push_text(lua_State *lua, struct slice text)
{
	if (__builtin_expect(text.bytes > 256, 0))
		charge(lua, text.bytes / 64, text.bytes);
	lua_pushlstring(lua, (const char *)text.data, text.bytes);
}

/* NOLINTBEGIN(misc-no-recursion): bounded by SCHEMA_DEPTH_MAX: records in each other */

static void push_entry(const struct opener *opener, const struct lazy_node *node, uint32_t entry);

static inline void take(struct lazy_doc *doc, struct lazy_node *node, uint32_t entry)
{
	if (!lazy_is_taken(doc, node, entry)) {
		doc->offsets[node->first + entry] |= LAZY_TAKEN;
		node->taken++;
	}
}

/* Fields of the table on top that scripts ask for most often. */
static void fill_often(const struct opener *opener, struct lazy_node *node, uint64_t often)
{
	lua_State *lua = opener->lua;
	const struct value_plan *plan = plan_of(lua, opener->state, node->schema);
	value_push_plan_names(lua, opener->state);
	for (; often; often &= often - 1) {
		uint32_t field = (uint32_t)__builtin_ctzll(often);
		uint32_t entry = lazy_entry_of_field(node, field);
		lua_rawgeti(lua, -1, (lua_Integer)plan->names + field + 1);
		push_entry(opener, node, entry);
		lua_rawset(lua, -4);
		take(opener->doc, node, entry);
	}
	lua_pop(lua, 1);
}

/* Ten slots of the stack. */
static void push_table(const struct opener *opener, struct lazy_node *node)
{
	lua_State *lua = opener->lua;
	uint64_t often =
	    is_record(node) ? node->given & often_touched(opener->state, node->schema) : 0;
	int slots = 1;
	for (uint64_t rest = often; rest; rest &= rest - 1)
		slots++;
	lua_createtable(lua, 0, slots < SLOTS ? SLOTS : slots);
	set_table(opener->state, opener->doc, node, lua_topointer(lua, -1));
	if (opener->doc_at)
		lua_pushvalue(lua, opener->doc_at);
	else
		lua_rawgetp(lua, opener->table, own_key(OWN_KEY_LINK));
	lua_rawsetp(lua, -2, own_key(OWN_KEY_LINK));
	lua_pushvalue(lua, opener->metatable);
	lua_setmetatable(lua, -2);
	if (often)
		fill_often(opener, node, often);
}

static void push_container(
    const struct opener *opener, const struct schema *schema, struct slice value)
{
	lua_State *lua = opener->lua;
	if (value.bytes >= CHILD_BYTES_MIN) {
		uint32_t at = (uint32_t)(value.data - opener->doc->bytes);
		struct lazy_node *node = find_node(opener->doc, at);
		/* One table each: what was made in a run that ended before it was kept has a slot
		 * already, and there are no more slots than for all nodes. */
		if (node && !node->had_table) {
			luaL_checkstack(lua, 10, NULL);
			push_table(opener, node);
			return;
		}
	}
	/* It was skimmed: only Lua's stack can be lacking. */
	luaL_checkstack(lua, 10, NULL);
	if (!value_unpack(lua, opener->state, value, schema, false))
		luaL_error(lua, "stack overflow");
}

/* Pushes a value that was skimmed; `schema` is asked for containers only. */
static void push_value(const struct opener *opener, const struct schema *schema, struct slice value)
{
	lua_State *lua = opener->lua;
	const uint8_t *at = value.data;
	uint8_t first = *at;
	if (first < 0x80 || first >= 0xe0) {
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		lua_pushinteger(lua, (int8_t)first);
		return;
	}
	if ((first & 0xe0) == 0xa0) {
		push_text(lua, slice_of(at + 1, value.bytes - 1));
		return;
	}
	switch (first) {
	case 0xc0:
		value_push_null(lua);
		return;
	case 0xc2:
	case 0xc3:
		lua_pushboolean(lua, first & 1);
		return;
	case 0xcb: {
		uint64_t bits = load_u64be(at + 1);
		double number;
		memcpy(&number, &bits, sizeof(number));
		lua_pushnumber(lua, number);
		return;
	}
	case 0xcc:
		lua_pushinteger(lua, at[1]);
		return;
	case 0xcd:
		lua_pushinteger(lua, load_u16be(at + 1));
		return;
	case 0xce:
		lua_pushinteger(lua, load_u32be(at + 1));
		return;
	case 0xcf:
	case 0xd3:
		lua_pushinteger(lua, (int64_t)load_u64be(at + 1));
		return;
	case 0xd0:
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		lua_pushinteger(lua, (int8_t)at[1]);
		return;
	case 0xd1:
		lua_pushinteger(lua, (int16_t)load_u16be(at + 1));
		return;
	case 0xd2:
		lua_pushinteger(lua, (int32_t)load_u32be(at + 1));
		return;
	case 0xc4:
	case 0xd9:
		push_text(lua, slice_of(at + 2, value.bytes - 2));
		return;
	case 0xc5:
	case 0xda:
		push_text(lua, slice_of(at + 3, value.bytes - 3));
		return;
	case 0xc6:
	case 0xdb:
		push_text(lua, slice_of(at + 5, value.bytes - 5));
		return;
	}
	push_container(opener, schema, value);
}

static void push_entry(const struct opener *opener, const struct lazy_node *node, uint32_t entry)
{
	const struct lazy_doc *doc = opener->doc;
	struct slice key = lazy_text(doc->bytes + lazy_offset(doc, node, entry));
	const uint8_t *at = key.data + key.bytes;
	const uint8_t *end = doc->bytes + lazy_offset(doc, node, entry + 1);
	const struct schema *schema = lazy_entry_schema(node, entry);
	if (schema->kind == SCHEMA_OPTIONAL)
		schema = schema->children[0];
	push_value(opener, schema, slice_of(at, (size_t)(end - at)));
}

/* NOLINTEND(misc-no-recursion) */

/* --- States ----------------------------------------------------------------------------------- */

/* Pushes what was skimmed last, and the bytes that it was. */
static struct lazy_doc *push_doc(lua_State *lua, struct value_state *state, struct slice msgpack)
{
	const struct value_lazy *lazy = &state->lazy;
	size_t slots = 2;
	while (slots < 2 * lazy->node_count)
		slots *= 2;
	size_t node_bytes = lazy->node_count * sizeof(struct lazy_node);
	size_t offset_bytes = lazy->offset_count * sizeof(uint32_t);
	size_t bytes = sizeof(struct lazy_doc) + node_bytes + offset_bytes +
	               slots * sizeof(uint32_t) + msgpack.bytes;
	charge(lua, lazy->offset_count / 4, bytes);
	struct lazy_doc *doc = lua_newuserdatauv(lua, bytes, 0);
	uint8_t *at = (uint8_t *)doc->nodes;
	memcpy(at, lazy->nodes, node_bytes);
	at += node_bytes;
	doc->offsets = (uint32_t *)(void *)at;
	memcpy(at, lazy->offsets, offset_bytes);
	at += offset_bytes;
	doc->slots = (uint32_t *)(void *)at;
	memset(at, 0, slots * sizeof(uint32_t));
	at += slots * sizeof(uint32_t);
	doc->bytes = at;
	memcpy(at, msgpack.data, msgpack.bytes);
	doc->slot_count = (uint32_t)slots;
	doc->node_count = (uint32_t)lazy->node_count;
	doc->depth = lazy->depth;
	return doc;
}

/* Gives back what one large state made grow. */
static void trim(struct value_lazy *lazy)
{
	if (lazy->node_capacity > NODES_KEPT) {
		mem_free(lazy->nodes);
		lazy->nodes = NULL;
		lazy->node_capacity = 0;
	}
	if (lazy->offset_capacity > OFFSETS_KEPT) {
		mem_free(lazy->offsets);
		lazy->offsets = NULL;
		lazy->offset_capacity = 0;
	}
}

/* Pushes a state as a lazy table; false with Lua's stack as it was where it is none: too small for
 * it to pay, or not the bytes that encoding makes. */
static bool push_lazy(struct lua_State *lua, struct value_state *state, struct slice msgpack,
    const struct schema *schema)
{
	struct value_lazy *lazy = &state->lazy;
	if (msgpack.bytes < STATE_BYTES_MIN || msgpack.bytes >= LAZY_TAKEN ||
	    !lua_checkstack(lua, 10))
		return false;
	value_plans_trim(lua, state);
	if (!lazy_skim(lua, state, msgpack, schema) ||
	    lazy->offset_count - lazy->node_count < STATE_ENTRIES_MIN) {
		trim(lazy);
		return false;
	}
	int top = lua_gettop(lua);
	struct opener opener = {
	    .lua = lua, .state = state, .doc_at = top + 1, .metatable = top + 2};
	opener.doc = push_doc(lua, state, msgpack);
	trim(lazy);
	lua_rawgeti(lua, LUA_REGISTRYINDEX, state->lazy_reference);
	push_table(&opener, &opener.doc->nodes[0]);
	state->lazy_count++;
	lua_copy(lua, top + 3, top + 1);
	lua_settop(lua, top + 1);
	return true;
}

int value_push_state(struct lua_State *lua, struct slice msgpack, const struct schema *schema,
    struct value_problem *problem)
{
	struct value_state *state = value_state_of(lua);
	if (!state->no_direct && !state->no_lazy && (!schema || schema->direct) &&
	    push_lazy(lua, state, msgpack, schema))
		return 0;
	return value_push_msgpack(lua, msgpack, schema, false, problem);
}

/* --- Entries by their keys -------------------------------------------------------------------- */

static inline int compare_texts(struct slice a, struct slice b)
{
	if (__builtin_expect(a.bytes == b.bytes && a.bytes - 8 <= 8, 1)) {
		uint64_t left = load_u64be(a.data), right = load_u64be(b.data);
		if (left == right) {
			left = load_u64be(a.data + a.bytes - 8);
			right = load_u64be(b.data + b.bytes - 8);
		}
		return (left > right) - (left < right);
	}
	return slice_compare(a, b);
}

uint32_t lazy_lower_bound(
    const struct lazy_doc *doc, const struct lazy_node *node, struct slice key)
{
	uint32_t low = 0, high = node->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct slice other = lazy_text(doc->bytes + lazy_offset(doc, node, middle));
		if (compare_texts(other, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The entry that the key at `position` names. */
static bool find_entry(
    const struct opener *opener, const struct lazy_node *node, int position, uint32_t *ret_entry)
{
	lua_State *lua = opener->lua;
	if (lua_type(lua, position) != LUA_TSTRING)
		return false;
	if (is_record(node)) {
		const struct value_plan *plan = plan_of(lua, opener->state, node->schema);
		int field = plan_find_name(plan, lua_topointer(lua, position));
		if (field < 0 || !(node->given >> field & 1))
			return false;
		note_touch(opener->state, node->schema, (uint32_t)field);
		*ret_entry = lazy_entry_of_field(node, (uint32_t)field);
		return true;
	}
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	struct slice key = slice_of(text, bytes);
	uint32_t entry = lazy_lower_bound(opener->doc, node, key);
	*ret_entry = entry;
	return entry < node->count &&
	       compare_texts(
	           lazy_text(opener->doc->bytes + lazy_offset(opener->doc, node, entry)), key) == 0;
}

/* --- What a table's metatable does ------------------------------------------------------------ */

/* Upvalues of the functions: the metatable, the state. */
static struct lazy_node *open_argument(lua_State *lua, struct opener *ret_opener)
{
	ret_opener->lua = lua;
	ret_opener->state = lua_touserdata(lua, lua_upvalueindex(2));
	ret_opener->metatable = lua_upvalueindex(1);
	ret_opener->doc_at = 0;
	ret_opener->table = 1;
	struct lazy_found found = lazy_find(lua, ret_opener->state, 1);
	ret_opener->doc = found.doc;
	return found.node;
}

/* What was read is in the table from then on: there the next access finds it, and changes it. */
static int lazy_index(lua_State *lua)
{
	enum { TABLE = 1, KEY, VALUE };
	struct opener opener;
	struct lazy_node *node = open_argument(lua, &opener);
	uint32_t entry;
	if (!find_entry(&opener, node, KEY, &entry) || lazy_is_taken(opener.doc, node, entry)) {
		lua_pushnil(lua);
		return 1;
	}
	push_entry(&opener, node, entry);
	lua_pushvalue(lua, KEY);
	lua_pushvalue(lua, VALUE);
	lua_rawset(lua, TABLE);
	take(opener.doc, node, entry);
	return 1;
}

static int lazy_newindex(lua_State *lua)
{
	enum { TABLE = 1, KEY, VALUE };
	struct opener opener;
	struct lazy_node *node = open_argument(lua, &opener);
	uint32_t entry;
	/* As Lua says it, with the place in the script. */
	if (lua_isnil(lua, KEY))
		return luaL_error(lua, "table index is nil");
	if (lua_type(lua, KEY) == LUA_TNUMBER && isnan(lua_tonumber(lua, KEY)))
		return luaL_error(lua, "table index is NaN");
	bool is_there = find_entry(&opener, node, KEY, &entry);
	lua_pushvalue(lua, KEY);
	lua_pushvalue(lua, VALUE);
	lua_rawset(lua, TABLE);
	if (is_there)
		take(opener.doc, node, entry);
	else
		node->added = true;
	return 0;
}

static int lazy_length(lua_State *lua)
{
	value_settle(lua, 1);
	lua_pushinteger(lua, (lua_Integer)lua_rawlen(lua, 1));
	return 1;
}

/* --- Settling --------------------------------------------------------------------------------- */

/* However many keys there are: it was stored so, and what scripts add is bounded. Nothing but a
 * lack of memory ends this early, and then the run is at its end, too. */
static void set_stored(lua_State *lua, int table, struct sandbox_run *run)
{
	if (run)
		run->large_tables = true;
	lua_rawset(lua, table);
	if (run)
		run->large_tables = false;
}

/* Whatever ends this half-way leaves a table that is lazy in the rest. */
static void settle(lua_State *lua, int table)
{
	luaL_checkstack(lua, 12, NULL);
	int top = lua_gettop(lua);
	struct opener opener = {
	    .lua = lua, .state = value_state_of(lua), .table = table, .metatable = top + 1};
	struct lazy_found found = lazy_find(lua, opener.state, table);
	struct lazy_node *node = found.node;
	opener.doc = found.doc;
	lua_rawgeti(lua, LUA_REGISTRYINDEX, opener.state->lazy_reference);
	charge(lua, 8 + 4 * (uint64_t)node->count, 0);
	struct sandbox_run *run = sandbox_current(lua);
	for (uint32_t i = 0; i < node->count; i++) {
		if (lazy_is_taken(opener.doc, node, i))
			continue;
		push_text(lua, lazy_text(opener.doc->bytes + lazy_offset(opener.doc, node, i)));
		push_entry(&opener, node, i);
		set_stored(lua, table, run);
		take(opener.doc, node, i);
	}
	lua_settop(lua, top);
	lua_pushnil(lua);
	lua_rawsetp(lua, table, own_key(OWN_KEY_LINK));
	lua_pushnil(lua);
	lua_setmetatable(lua, table);
}

void value_settle(struct lua_State *lua, int position)
{
	if (lua_type(lua, position) != LUA_TTABLE || !lua_getmetatable(lua, position))
		return;
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_LAZY));
	bool is_lazy = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	if (__builtin_expect(is_lazy, 0))
		settle(lua, lua_absindex(lua, position));
}

void lazy_open(struct lua_State *lua, struct value_state *state)
{
	static const luaL_Reg methods[] = {{"__index", lazy_index}, {"__newindex", lazy_newindex},
	    {"__len", lazy_length}, {NULL, NULL}};
	lua_createtable(lua, 0, 3);
	state->lazy_mark = lua_topointer(lua, -1);
	lua_pushvalue(lua, -1);
	lua_pushvalue(lua, -3);
	luaL_setfuncs(lua, methods, 2);
	lua_pushvalue(lua, -1);
	state->lazy_reference = luaL_ref(lua, LUA_REGISTRYINDEX);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_LAZY));
}
