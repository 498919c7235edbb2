/* What the files of value.h share: what is kept in an interpreter, paths of errors, and the checks
 * of scalars, which are the same whether a value comes or goes. For value*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_INSIDE_H
#define KX_SCRIPTING_VALUE_INSIDE_H

#include "base/buffer.h"
#include "base/limits.h"
#include "scripting/schema_node.h"
#include "scripting/value.h"

/* A key of a map on its way out. */
struct value_key {
	const uint8_t *data; /* of the key's own string, or of `digits` */
	uint32_t bytes;
	int slot;        /* its copy on Lua's stack, or 0 */
	int64_t integer; /* of a map with integer keys */
	uint8_t digits[20];
};

enum { VALUE_PLAN_SLOTS = 64 };
struct value_plan_slot {
	uint64_t number; /* of a record's schema */
	const struct value_plan *plan;
};

enum { VALUE_TEXT_SLOTS = 512 };
/* A short text that Lua has: its bytes, as two words that may overlap. */
struct value_text_slot {
	uint64_t head, tail;
	size_t bytes; /* 0: none */
};

/* Of value_lazy.h: what was skimmed last, and which fields of records scripts touch. */
enum { VALUE_HABIT_SLOTS = 32 };
struct value_habit {
	uint64_t number;     /* of the record's schema */
	uint64_t often;      /* fields to decode at once */
	uint32_t pushes;     /* of its tables, in this round */
	uint8_t touches[64]; /* SCHEMA_DIRECT_FIELDS_MAX */
};
enum { VALUE_LAZY_SLOTS = 32 };
/* A lazy table that was made or asked for lately, by its address. While a table at that address is
 * lazy it is this one: another one would have taken the slot when it was made. */
struct value_lazy_slot {
	const void *table;
	struct lazy_doc *doc;
	struct lazy_node *node;
};
struct value_lazy {
	struct lazy_node *nodes;
	uint32_t *offsets;
	size_t node_count, node_capacity, offset_count, offset_capacity;
	unsigned depth;
	struct value_habit habits[VALUE_HABIT_SLOTS];
	struct value_lazy_slot tables[VALUE_LAZY_SLOTS];
};

/* One for each interpreter, a userdata in the registry: memory that outlives errors which Lua
 * raises through us. Nothing in it has a meaning between two calls. */
struct value_state {
	const void *list_mark, *view_mark, *lazy_mark; /* addresses of the metatables, which stay */
	/* In the registry: of value_direct.h, of value_lazy.h. A number is found there in a third
	 * of the time of an address. */
	int names_reference, lazy_reference;
	struct buffer text;     /* JSON strings with escapes */
	struct buffer bytes;    /* what base64 decodes to */
	struct buffer document; /* what kalix.json.encode writes */
	struct buffer packed;   /* of value_print.c */
	struct value_key *keys; /* of all maps begun and not ended */
	size_t key_count, key_capacity;
	unsigned name_tables; /* of records, in the registry */
	/* Of value_direct.h. */
	struct value_plan_slot plans[VALUE_PLAN_SLOTS]; /* those used last, by number */
	uint32_t plan_count, plan_names;
	struct value_text_slot texts[VALUE_TEXT_SLOTS]; /* keys of maps, seen last */
	struct pack_item *items;                        /* of all tables begun and not ended */
	uint32_t *order;                                /* as many */
	size_t item_count, item_capacity;
	struct value_lazy lazy;
	unsigned scratches_taken; /* value_scratch_take: runs that are in the middle of something */
	/* For tests, which compare both ways. */
	bool no_direct, no_lazy;
	uint64_t direct_count; /* values that went so */
	uint64_t lazy_count;   /* states that were */
};

struct value_state *value_state_of(struct lua_State *lua);
/* The same; NULL: there is none. */
struct value_state *value_state_find(struct lua_State *lua);
#define VALUE_SCRATCH_BYTES_MAX (1 << 30)
void value_scratch_open(struct value_state *state);
void value_scratch_close(struct value_state *state); /* empty afterwards */
/* Gives back what one large value made grow. */
void value_state_trim(struct value_state *state);
void value_push_list_mark(struct lua_State *lua);
/* A table of the record's names as Lua strings, 1 to count: pushing one from there costs a fifth of
 * finding it by its bytes. Made when first asked for. */
void value_push_names(
    struct lua_State *lua, struct value_state *state, const struct schema *record);

/* Pushes a list of the keys of the table at `position`, in the order of the sandbox's `pairs`. For
 * errors: what a script catches may decide what a fold gives, so which of several wrong keys is
 * named must not depend on hashes. May raise. */
void value_push_keys(struct lua_State *lua, int position);

void value_plans_open(struct lua_State *lua, struct value_state *state);

/* The target's table in place of a view, at `position`; a lazy table is settled, others stay. */
void value_unwrap(struct lua_State *lua, const struct value_state *state, int position);

/* Work that is not charged yet; enough of it goes to the sandbox, which may raise. */
struct value_work {
	struct lua_State *lua;
	uint64_t units;
};
void value_charge(struct value_work *work);
static inline void value_work(struct value_work *work, uint64_t units)
{
	work->units += units;
	if (__builtin_expect(work->units > 2000, 0))
		value_charge(work);
}

/* A path grows from its end to its front, as the functions that found the problem return. */
#define VALUE_PATH_BYTES 192
struct value_trouble {
	char reason[VALUE_WHY_BYTES - VALUE_PATH_BYTES - 8];
	char path[VALUE_PATH_BYTES];
	size_t path_at; /* the path is path[path_at .. VALUE_PATH_BYTES) */
	bool path_cut;
};
void value_trouble_init(struct value_trouble *trouble);
/* All of these give ERR_INVALID, to be returned. */
__attribute__((format(printf, 2, 3), cold)) int value_fail(
    struct value_trouble *trouble, const char *format, ...);
/* "expected SCHEMA, got GOT" */
__attribute__((cold)) int value_mismatch(
    struct value_trouble *trouble, const struct schema *schema, const char *got);
__attribute__((cold)) int value_mismatch_integer(
    struct value_trouble *trouble, const struct schema *schema, int64_t got);
__attribute__((cold)) int value_mismatch_number(
    struct value_trouble *trouble, const struct schema *schema, double got);
__attribute__((cold)) int value_mismatch_text(
    struct value_trouble *trouble, const struct schema *schema, struct slice got);
__attribute__((cold)) int value_mismatch_count(
    struct value_trouble *trouble, const struct schema *schema, size_t got);
/* A record has no such field. */
__attribute__((cold)) int value_unknown_field(
    struct value_trouble *trouble, const struct schema *schema, struct slice name);
/* Puts a key or a position in front of the path; gives `error` back. */
__attribute__((cold)) int value_at_key(struct value_trouble *trouble, struct slice key, int error);
__attribute__((cold)) int value_at_position(
    struct value_trouble *trouble, uint64_t position, int error);
/* The same for a key at `slot` of Lua's stack; one that has no text is shown by its type. */
__attribute__((cold)) int value_at_slot(
    struct lua_State *lua, struct value_trouble *trouble, int slot, int error);
void value_trouble_tell(const struct value_trouble *trouble, struct value_problem *problem);

/* 0, or ERR_INVALID with the trouble. `text` is UTF-8. */
NODISCARD int value_check_string(struct value_work *work, struct value_trouble *trouble,
    const struct schema *schema, struct slice text);
NODISCARD static inline int value_check_integer(
    struct value_trouble *trouble, const struct schema *schema, int64_t value)
{
	if (__builtin_expect((schema->has_min && value < schema->min.integer) ||
	                         (schema->has_max && value > schema->max.integer),
	        0))
		return value_mismatch_integer(trouble, schema, value);
	return 0;
}
NODISCARD int value_check_number(
    struct value_trouble *trouble, const struct schema *schema, double value);
NODISCARD int value_check_count(
    struct value_trouble *trouble, const struct schema *schema, size_t count);
/* A double that is a whole number of 64 bits. */
bool value_integer_of(double number, int64_t *ret_integer);
/* The number that a key of a map with integer keys spells, in its one way. */
bool value_integer_key(struct slice key, int64_t *ret_integer);

#endif
