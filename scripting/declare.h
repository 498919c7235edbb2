/* Reading the table that a constructor was given. Inside of scripting/ only: declare.c reads
 * components, declare_parts.c what stands in them.
 */
#ifndef KX_SCRIPTING_DECLARE_H
#define KX_SCRIPTING_DECLARE_H

#include "scripting/inside.h"

struct lua_Debug;

/* One constructor's call. Complaints name the place where the key stands, as nearly as it is known.
 */
struct declaration {
	struct lua_State *lua;
	struct load *load;
	struct host_component *component; /* NULL: app.lua's own table */
	const char *what;                 /* its name, for messages */
	const char *file;                 /* of the call */
	uint32_t line;
};

/* An error at the line where `key` is set (the call's line where it is NULL or not found). */
__attribute__((format(printf, 3, 4))) void declare_complain(
    struct declaration *declaration, const char *key, const char *format, ...);

/* The line in which the command or event of that name is set, nearest before its function where
 * that stands in the same file; the call's line where it is not found. */
uint32_t declare_line(
    const struct declaration *declaration, const char *name, const struct place *function);

struct key_set {
	const char *const *known;
	size_t known_count;
	const char *const *later; /* of the public contract, not in this version */
	size_t later_count;
	bool first_is_function; /* [1] is one of the keys */
};
/* Complains of every key of the table that is not in the set; `what` names the table. */
void declare_check_keys(
    struct declaration *declaration, int table, const struct key_set *keys, const char *what);

/* commands, queries and events of the table at `table`. */
void declare_handlers(struct declaration *declaration, int table, bool queries);
void declare_events(struct declaration *declaration, int table);

/* The field `key` of `table`: functions by version, from `first` to `last`. */
void declare_steps(struct declaration *declaration, int table, const char *key, uint32_t first,
    uint32_t last, struct steps *ret_steps);

/* A field of some type; complains and says false where it is of another. Absent: *ret untouched. */
bool declare_integer(struct declaration *declaration, int table, const char *key, int64_t min,
    int64_t max, int64_t *ret_value);
bool declare_boolean(struct declaration *declaration, int table, const char *key, bool *ret_value);
bool declare_schema(
    struct declaration *declaration, int table, const char *key, struct schema **ret_schema);
bool declare_text(
    struct declaration *declaration, int table, const char *key, size_t bytes_max, char **ret_text);

/* A function's place in the files. */
void declare_place(struct declaration *declaration, int function, struct place *ret_place);

/* A function's or frame's file, as it stands in the bundle. */
const char *source_name(const struct lua_Debug *about);

/* The line in which `key` is set (`key =` or `["key"] =`), at or after `from`; 0 where it is not
 * found. */
uint32_t source_find_key(struct slice source, uint32_t from, const char *key);

#endif
