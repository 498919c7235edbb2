/* States whose parts are decoded when a script first touches them.
 *
 * A lazy table is a table with a metatable of ours and a node: where in the state's bytes the
 * table's entries are. An entry is taken when it is read or written for the first time: then its
 * value is in the table itself, where nothing is special about it any more. So a table has one
 * identity from its first day, and what is written are the bytes of entries that nobody took, and
 * the values that are in the table.
 *
 * To scripts it is a plain table: indexing and `#` go through the metatable, and functions that
 * look at tables raw settle it first, after which it is plain (value_view_target does, which they
 * all ask). C code that walks a script's table raw calls value_settle before.
 *
 * Only bytes that encoding would make again, bit by bit, become lazy: lazy_skim holds all of them
 * against the schema before anything else happens, and whatever it does not take is decoded at once
 * in the general way. So no error can come later than it did. The bytes are copied, and live as
 * long as a table that needs them. Nodes refer to schemas: no table outlives the bundle that its
 * schema is from, since nothing but the bundle's functions could hold it.
 *
 * For value*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_LAZY_H
#define KX_SCRIPTING_VALUE_LAZY_H

#include "scripting/value_direct.h"

#define LAZY_TAKEN (UINT32_C(1) << 31)

/* A record or a map of the state. */
struct lazy_node {
	const struct schema *schema; /* NULL: a map without a schema */
	const void *table;           /* what stands for it in Lua, while something does */
	uint64_t given;              /* a record: fields that have an entry */
	uint32_t at;                 /* where its head is in the bytes */
	uint32_t count;              /* of entries: in the order of their keys, or fields */
	uint32_t taken;              /* how many of them are */
	uint32_t first;              /* of its offsets */
	bool added;                  /* another key was assigned, that no entry has */
	bool had_table;
};

/* A state: a userdata, which each of its lazy tables refers to. */
struct lazy_doc {
	const uint8_t *bytes;
	/* A node's: where the key of each entry begins, with LAZY_TAKEN, and where the last ends.
	 */
	uint32_t *offsets;
	uint32_t *slots; /* node + 1, by the address of its table */
	uint32_t slot_count, node_count;
	unsigned depth;           /* of tables in each other, itself included */
	struct lazy_node nodes[]; /* as they come in the bytes */
};

static inline uint32_t lazy_offset(
    const struct lazy_doc *doc, const struct lazy_node *node, uint32_t entry)
{
	return doc->offsets[node->first + entry] & ~LAZY_TAKEN;
}

static inline bool lazy_is_taken(
    const struct lazy_doc *doc, const struct lazy_node *node, uint32_t entry)
{
	return doc->offsets[node->first + entry] & LAZY_TAKEN;
}

/* Whether a record has all fields up to its last: then entries and fields are numbered alike. */
static inline bool lazy_is_dense(const struct lazy_node *node)
{
	return (node->given & (node->given + 1)) == 0;
}

/* The entry of a record's field, which has one. */
static inline uint32_t lazy_entry_of_field(const struct lazy_node *node, uint32_t field)
{
	if (__builtin_expect(lazy_is_dense(node), 1))
		return field;
	return (uint32_t)__builtin_popcountll(node->given & (((uint64_t)1 << field) - 1));
}

/* The field of a record's entry. */
static inline uint32_t lazy_field_of_entry(const struct lazy_node *node, uint32_t entry)
{
	if (__builtin_expect(lazy_is_dense(node), 1))
		return entry;
	uint64_t fields = node->given;
	for (uint32_t i = 0; i < entry; i++)
		fields &= fields - 1;
	return (uint32_t)__builtin_ctzll(fields);
}

/* Makes the metatable. */
void lazy_open(struct lua_State *lua, struct value_state *state);
/* The node of the lazy table at `position`, and its doc, which stays while the table is lazy. */
struct lazy_found {
	struct lazy_node *node;
	struct lazy_doc *doc;
};
struct lazy_found lazy_find(struct lua_State *lua, struct value_state *state, int position);
/* The schema of an entry's value, or of its field. */
extern const struct schema lazy_any;
static inline const struct schema *lazy_entry_schema(const struct lazy_node *node, uint32_t entry)
{
	if (__builtin_expect(!node->schema, 0))
		return &lazy_any;
	if (node->schema->kind == SCHEMA_MAP)
		return node->schema->children[1];
	return node->schema->children[lazy_field_of_entry(node, entry)];
}
/* The text at `at`, which is known to be one. */
static inline struct slice lazy_text(const uint8_t *at)
{
	uint8_t first = *at++;
	if (__builtin_expect(first < 0xc0, 1))
		return slice_of(at, first & 0x1f);
	if (first == 0xd9)
		return slice_of(at + 1, *at);
	return first == 0xda ? slice_of(at + 2, load_u16be(at)) : slice_of(at + 4, load_u32be(at));
}
/* The first entry whose key is not below `key`; a map's. */
uint32_t lazy_lower_bound(
    const struct lazy_doc *doc, const struct lazy_node *node, struct slice key);
/* Whether a key, met while the lazy table is walked raw, is none of the script's. */
bool lazy_is_link(struct lua_State *lua, int position);
void lazy_push_link(struct lua_State *lua);

/* Holds a state against the schema (NULL: any): false where it is no record or map, or not what
 * encoding would make of a value that the schema accepts. Leaves its nodes and their offsets in
 * state->lazy. May raise. */
NODISCARD bool lazy_skim(struct lua_State *lua, struct value_state *state, struct slice msgpack,
    const struct schema *schema);

#endif
