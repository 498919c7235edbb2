/* Lazy tables to MessagePack: the bytes of what nobody took, with what the table has instead of the
 * rest. value_direct.h says what false means. */
#include "scripting/value_pack.h"

#include <lua.h>

static const struct schema any = {.kind = SCHEMA_ANY};

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX */

/* The doc's bytes from `from` to `until`. */
static inline bool pack_bytes(
    struct packer *packer, const struct lazy_doc *doc, uint32_t from, uint32_t until)
{
	if (!have_room(packer, until - from))
		return false;
	packer->to = put_content(packer->to, slice_of(doc->bytes + from, until - from));
	return true;
}

/* Entries begin to end as they are, but for those that were taken. */
static bool pack_range(struct packer *packer, const struct lazy_doc *doc,
    const struct lazy_node *node, uint32_t entry, uint32_t end)
{
	while (entry < end) {
		if (lazy_is_taken(doc, node, entry)) {
			entry++;
			continue;
		}
		uint32_t from = lazy_offset(doc, node, entry);
		while (entry < end && !lazy_is_taken(doc, node, entry))
			entry++;
		if (!pack_bytes(packer, doc, from, lazy_offset(doc, node, entry)))
			return false;
	}
	return true;
}

static bool pack_lazy_record(
    struct packer *packer, const struct lazy_doc *doc, const struct lazy_node *node, int position)
{
	struct value_state *state = packer->state;
	const struct schema *schema = node->schema;
	const struct value_plan *plan = value_plan_of(packer->lua, state, schema);
	uint64_t held, rest = 0;
	if (!plan || !pack_have_items(state, schema->count) ||
	    !pack_take_fields(packer, schema, plan, position, &held))
		return false;
	uint32_t entry = 0;
	for (uint64_t given = node->given; given; given &= given - 1, entry++) {
		if (!lazy_is_taken(doc, node, entry))
			rest |= given & -given;
	}
	if (plan->required & ~(held | rest))
		return false;
	if (!pack_count(packer, 0x80, 0xde, (size_t)__builtin_popcountll(held | rest)))
		return false;
	size_t begin = state->item_count;
	state->item_count += schema->count;
	uint32_t done = 0;
	for (; held; held &= held - 1) {
		unsigned i = (unsigned)__builtin_ctzll(held);
		uint32_t until = lazy_entry_of_field(node, i);
		if (!pack_range(packer, doc, node, done, until) ||
		    !pack_field(packer, &plan->fields[i], &state->items[begin + i]))
			return false;
		done = until;
	}
	state->item_count = begin;
	return pack_range(packer, doc, node, done, node->count);
}

/* The table's own entries, in order, between those of the bytes. */
static bool pack_lazy_map(
    struct packer *packer, const struct lazy_doc *doc, const struct lazy_node *node, int position)
{
	struct value_state *state = packer->state;
	const struct schema *schema = node->schema ? node->schema : &any;
	size_t begin = state->item_count;
	if (!pack_take_entries(packer, schema, position))
		return false;
	size_t held = state->item_count - begin, count = held + node->count - node->taken;
	if (value_check_count(&packer->trouble, schema, count) ||
	    !pack_count(packer, 0x80, 0xde, count))
		return false;
	if (held > 0)
		pack_sort(&packer->work, &state->items[begin], &state->order[begin], held);
	uint32_t done = 0;
	for (size_t i = 0; i < held; i++) {
		const struct pack_item *item = &state->items[begin + state->order[begin + i]];
		uint32_t until = lazy_lower_bound(doc, node, item->key);
		if (!pack_range(packer, doc, node, done, until))
			return false;
		if (!pack_entry(packer, item))
			return false;
		done = until;
	}
	state->item_count = begin;
	return pack_range(packer, doc, node, done, node->count);
}

/* How many bytes a map's head has. */
static inline unsigned head_bytes(size_t count)
{
	return count < 16 ? 1 : count <= UINT16_MAX ? 3 : 5;
}

/* The value on top, which an entry's key has now; nothing for what counts as absent. */
static bool pack_held(struct packer *packer, const struct lazy_doc *doc,
    const struct lazy_node *node, uint32_t entry, size_t *ret_count)
{
	lua_State *lua = packer->lua;
	uint32_t from = lazy_offset(doc, node, entry);
	struct slice name = lazy_text(doc->bytes + from);
	struct slice key =
	    slice_of(doc->bytes + from, (size_t)(name.data + name.bytes - (doc->bytes + from)));
	const struct schema *schema = lazy_entry_schema(node, entry);
	struct pack_item item;
	bool is_optional = schema->kind == SCHEMA_OPTIONAL;
	if (is_optional && value_is_null(lua, -1)) {
		--*ret_count;
		return true;
	}
	/* No schema takes a nil. */
	if (!pack_take(packer, is_optional ? schema->children[0] : schema, &item)) {
		--*ret_count;
		return lua_isnil(lua, -1);
	}
	if (!have_room(packer, key.bytes + content_bytes(&item)))
		return false;
	packer->to = put_content(packer->to, key);
	if (item.type == ITEM_TABLE)
		return pack_table(packer, item.schema, lua_gettop(lua));
	packer->to = put_scalar(packer->to, &item);
	return true;
}

/* Pushes what the table has under the key of a taken entry; nil is nothing. A record's plan has its
 * names, which are in the table at `names`. */
static void push_held(struct packer *packer, const struct lazy_doc *doc,
    const struct lazy_node *node, uint32_t entry, int position, const struct value_plan *plan,
    int names)
{
	if (plan) {
		uint32_t field = lazy_field_of_entry(node, entry);
		lua_rawgeti(packer->lua, names, (lua_Integer)plan->names + field + 1);
	} else {
		struct slice name = lazy_text(doc->bytes + lazy_offset(doc, node, entry));
		lua_pushlstring(packer->lua, (const char *)name.data, name.bytes);
	}
	lua_rawget(packer->lua, position);
}

/* The same for the only entry of a map that was taken: that key is in the table, if it still has a
 * value, and the link. Looking there costs half of finding the key's string by its bytes. */
static void push_only_held(struct packer *packer, int position)
{
	lua_State *lua = packer->lua;
	lazy_push_link(lua);
	if (lua_next(lua, position))
		return;
	lua_pushnil(lua);
	if (lua_next(lua, position) && lazy_is_link(lua, -2))
		lua_pushnil(lua);
}

/* The same for a table that has no keys but those of its entries: these are gone through as they
 * come in the bytes, and the table is only asked for those that were taken. */
static bool pack_lazy_entries(
    struct packer *packer, const struct lazy_doc *doc, const struct lazy_node *node, int position)
{
	/* Slots of Lua's stack that are given back together. */
	enum { HELD_MAX = 4 };
	lua_State *lua = packer->lua;
	const struct value_plan *plan = NULL;
	size_t count = node->count;
	unsigned held = 0;
	if (!have_room(packer, 0))
		return false;
	if (node->schema && node->schema->kind == SCHEMA_RECORD) {
		plan = value_plan_of(lua, packer->state, node->schema);
		if (!plan)
			return false;
		value_push_plan_names(lua, packer->state);
	}
	int top = lua_gettop(lua);
	size_t head = (size_t)(packer->to - (packer->out->data + packer->out->begin));
	if (!pack_count(packer, 0x80, 0xde, count))
		return false;
	uint32_t done = lazy_offset(doc, node, 0);
	for (uint32_t entry = 0, left = node->taken; left > 0; entry++) {
		ASSERT(entry < node->count);
		if (!lazy_is_taken(doc, node, entry))
			continue;
		left--;
		if (!plan && node->taken == 1)
			push_only_held(packer, position);
		else
			push_held(packer, doc, node, entry, position, plan, top);
		if (!pack_bytes(packer, doc, done, lazy_offset(doc, node, entry)) ||
		    !pack_held(packer, doc, node, entry, &count))
			return false;
		if (++held == HELD_MAX) {
			lua_settop(lua, top);
			held = 0;
		}
		done = lazy_offset(doc, node, entry + 1);
	}
	if (!pack_bytes(packer, doc, done, lazy_offset(doc, node, node->count)))
		return false;
	if (__builtin_expect(count == node->count, 1))
		return true;
	if (plan) {
		/* A field went, which may be needed: that is found out there. */
		if (buffer_bytes(packer->out) > head)
			buffer_truncate(packer->out, head);
		packer->to = packer->out->data + packer->out->begin + head;
		return pack_lazy_record(packer, doc, node, position);
	}
	if (node->schema && value_check_count(&packer->trouble, node->schema, count))
		return false;
	uint8_t *at = packer->out->data + packer->out->begin + head;
	if (count < 16)
		*at = (uint8_t)(0x80 | count);
	else
		put_u16(at, 0xde, count);
	return true;
}

/* Whether that would do: no new keys, and however many are gone, the head is as long. */
static bool is_simple(const struct lazy_node *node)
{
	if (node->added)
		return false;
	return node->count <= UINT16_MAX &&
	       head_bytes(node->count) == head_bytes(node->count - node->taken);
}

/* Whether nothing was ever taken from it, nor from what is in it. */
static inline bool is_whole(const struct lazy_node *node)
{
	return node->taken == 0 && !node->added;
}

static bool pack_whole(
    struct packer *packer, const struct lazy_doc *doc, const struct lazy_node *node)
{
	size_t bytes = lazy_offset(doc, node, node->count) - node->at;
	if (!have_room(packer, bytes))
		return false;
	packer->to = put_content(packer->to, slice_of(doc->bytes + node->at, bytes));
	value_work(&packer->work, 4);
	return true;
}

/* A table that is settled while it is packed is inside itself, of which nothing comes: so its doc
 * stays as long as it is looked at. */
enum lazy_packed pack_lazy(struct packer *packer, const struct schema *schema, int position)
{
	lua_State *lua = packer->lua;
	struct lazy_found found = lazy_find(lua, packer->state, position);
	const struct lazy_node *node = found.node;
	const struct lazy_doc *doc = found.doc;
	/* It may stand deeper than it did. */
	if (packer->depth - 1 + doc->depth > VALUE_DEPTH_MAX)
		return LAZY_TO_SETTLE;
	/* Without a schema the same bytes come, unless there are some that are no text. */
	bool is_same = node->schema == (schema->kind == SCHEMA_ANY ? NULL : schema);
	if (is_whole(node) && (is_same || (schema->kind == SCHEMA_ANY && node->schema->plain)))
		return pack_whole(packer, doc, node) ? LAZY_PACKED : LAZY_FAILED;
	if (!is_same)
		return LAZY_TO_SETTLE;
	value_work(&packer->work, 4 + node->count / 4);
	bool done;
	if (is_simple(node))
		done = pack_lazy_entries(packer, doc, node, position);
	else if (schema->kind == SCHEMA_RECORD)
		done = pack_lazy_record(packer, doc, node, position);
	else
		done = pack_lazy_map(packer, doc, node, position);
	return done ? LAZY_PACKED : LAZY_FAILED;
}

/* NOLINTEND(misc-no-recursion) */
