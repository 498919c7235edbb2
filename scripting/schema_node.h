/* What a schema looks like inside: for schema*.c and value*.c only.
 *
 * A node is made with schema_node_new, filled in by whoever makes it, and finished with
 * schema_node_finish, which checks it as a whole; it never changes after that. Children are at most
 * SCHEMA_DEPTH_MAX deep, so that functions may recurse along them.
 */
#ifndef KX_SCRIPTING_SCHEMA_NODE_H
#define KX_SCRIPTING_SCHEMA_NODE_H

#include "scripting/schema.h"

/* So that a schema's encoding, which nests twice for each type, is never too deep to be read. */
#define SCHEMA_DEFAULT_DEPTH_MAX 32

/* Of records that value_direct.h takes: Lua keeps each text up to 40 bytes only once. */
#define SCHEMA_DIRECT_FIELDS_MAX 64
#define SCHEMA_DIRECT_NAME_BYTES 40

union schema_bound {
	int64_t integer; /* SCHEMA_INTEGER, and lengths of all others */
	double number;   /* SCHEMA_NUMBER */
};

struct schema {
	uint32_t references;
	uint64_t number; /* no other schema of this thread ever has it */
	enum schema_kind kind;
	bool open;             /* SCHEMA_RECORD */
	bool has_min, has_max; /* of a value, of a length or of a count */
	bool has_text;         /* text is there, though it may be empty */
	bool all_optional;     /* SCHEMA_RECORD: every field is */
	bool direct;           /* value_direct.h takes it, children and all */
	bool plain;            /* and value_short_json.h takes it from JSON */
	unsigned depth;        /* 1 without children */
	uint32_t nodes;        /* with its children, written out */
	union schema_bound min, max;
	struct slice text; /* a string's pattern; an optional's default as MessagePack; a tag */
	uint32_t count;
	struct schema **children; /* list, optional: one; map: key, value; record; one_of */
	struct slice *names;      /* a string's enum, a record's fields: sorted, each once */
	uint32_t child_count, name_count; /* how many of `count` are there: for releasing */
};

/* One reference; NULL: no memory. */
struct schema *schema_node_new(enum schema_kind kind);
/* Room for `count` names or children. ERR_NOMEM. */
NODISCARD int schema_node_reserve(struct schema *schema, size_t count, bool names, bool children);
/* Append a copy of the name; the child with a reference more. */
NODISCARD int schema_node_add_name(struct schema *schema, struct slice name);
void schema_node_add_child(struct schema *schema, struct schema *child);
NODISCARD int schema_node_set_text(struct schema *schema, struct slice text);
/* Sorts, checks, and counts. ERR_INVALID with a sentence in `why`. */
NODISCARD int schema_node_finish(struct schema *schema, char *why, size_t why_bytes);

const char *schema_kind_name(enum schema_kind kind); /* "one_of" */
/* The position of a name, or -1. */
int schema_find_name(const struct schema *schema, struct slice name);
/* The tag's values that an alternative of a one_of with a tag has: its field's schema. */
const struct schema *schema_tag_of(const struct schema *one_of, uint32_t alternative);

/* "integer >= 1": what an error says was expected. Cut where there is no room. */
void schema_describe(const struct schema *schema, char *text, size_t bytes);

#endif
