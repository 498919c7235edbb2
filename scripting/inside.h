/* What the files behind host.h share: the host itself, and how a C function that a script called
 * finds out for whom it runs.
 *
 * Inside of scripting/ only.
 */
#ifndef KX_SCRIPTING_INSIDE_H
#define KX_SCRIPTING_INSIDE_H

#include "base/list.h"
#include "scripting/component.h"

struct lua_State;

/* First member of what a run belongs to: sandbox_run's owner. */
enum owner_kind { OWNER_LOAD, OWNER_CALL, OWNER_TEST };
struct script_owner {
	enum owner_kind kind;
	struct host *host;
	struct host_bundle *bundle;
};
/* NULL outside of any run. */
struct script_owner *script_owner(struct lua_State *lua);

struct host {
	struct host_options options;
	struct sandbox *sandbox;
	struct lua_State *lua; /* the main state */
	struct list bundles;
	struct list spare_calls; /* ended ones, kept with their buffers and ctx */
	size_t spare_count;
	size_t begun;
	uint64_t ctx_last; /* number of the last call's ctx */
	/* Dev mode: an interpreter seeded differently, in which every fold is repeated. */
	struct host *shadow;
	int kalix; /* reference to what `require "kalix"` gives */
	struct host_figures figures;
};

/* The state of one loading. */
struct load {
	struct script_owner owner;
	struct host_diagnostics *diagnostics;
	int error; /* ours: ERR_NOMEM */
	bool refused;
	struct emit_place *emits;
	size_t emit_count, emit_capacity;
};
/* `ctx:emit("name"` in a file. */
struct emit_place {
	char name[64 + 1];
	char file[BUNDLE_PATH_BYTES_MAX + 1];
	uint32_t line;
};
/* The loading that runs here, or NULL. */
struct load *load_current(struct lua_State *lua);
__attribute__((format(printf, 5, 6))) void load_tell(struct load *load, enum host_severity severity,
    const char *file, uint32_t line, const char *format, ...);
/* Raises, because memory was lacking. */
__attribute__((noreturn)) void load_out_of_memory(struct load *load, struct lua_State *lua);

/* Pushes the table `kalix` (scripting/library.c). */
void library_open(struct host *host, struct lua_State *lua);
/* One event of the log hook, of the call that runs. */
void library_log(struct host *host, int level, struct slice text);
/* Adds the constructors of components to the table on top (scripting/declare.c). */
void declare_open(struct lua_State *lua);
/* The component that a constructor gave, or NULL. */
struct host_component *declare_component_at(struct lua_State *lua, int position);
/* Pushes the table `kalix.password` (scripting/lib_password.c). */
void password_open(struct lua_State *lua);
/* `require` (scripting/load.c). */
int load_require(struct lua_State *lua);
/* ctx's metatable, once for each interpreter (scripting/ctx.c). */
void ctx_open(struct lua_State *lua);
/* A method of ctx in the public contract that this version does not have. */
bool ctx_is_later(struct slice name);

/* Suspicious things in a file, as warnings (scripting/lint.c): the function on top of the stack is
 * the file's. */
void lint_file(struct load *load, struct lua_State *lua, const char *file);
/* A file emits an event of that name: looked at when all components are known. */
void load_emits(struct load *load, const char *file, uint32_t line, struct slice name);

/* Whether the function on top of the stack ends by itself within SANDBOX_STEP instructions and
 * calls nothing but C, where what it is given are decoded values and ctx (scripting/straight.c). */
enum { STRAIGHT_NOT = -1, STRAIGHT_WITHOUT_GLOBALS = 0 /* above: the upvalue that has them */ };
int straight_find(struct lua_State *lua);
/* Whether what was found still holds of the function at `position`. Two slots of the stack. */
bool straight_still(struct lua_State *lua, int position, int found);

/* ": did you mean add_item?", or "". */
void suggest(struct slice name, const struct slice *known, size_t count, char *text, size_t bytes);

#endif
