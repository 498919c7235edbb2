/* The apps that the directory knows, in memory; meta_records.h has their bytes. One thread.
 */
#ifndef KX_SERVER_META_META_APPS_H
#define KX_SERVER_META_META_APPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "scripting/host.h"
#include "server/meta/meta.h"

struct json_writer;

/* Older activations than these are forgotten: their bundles stay in the log's history no longer. */
#define META_HISTORY_MAX    32
#define META_USER_BYTES_MAX 64
#define META_TYPES_MAX      4096 /* of one app */
/* A bit for each shard, by number. */
#define META_SHARD_BITS_BYTES (SHARDS_MAX / 8 + 1)

struct meta_history {
	char hash[HOST_HASH_CHARACTERS + 1];
	char by[META_USER_BYTES_MAX + 1];
	int64_t at_ms;
	/* How many entries before this one stands what a rollback goes to; 0: nothing does. Not a
	 * hash: a version that came twice has two. */
	uint32_t back;
};

/* Owned by the list; its members by it. */
struct meta_app {
	char name[NAME_BYTES_MAX + 1];
	char hash[HOST_HASH_CHARACTERS + 1]; /* active; "": removed */
	uint64_t generation;
	struct buffer catalogue; /* what host_catalogue_add made */
	struct meta_type *types;
	size_t type_count, type_capacity;
	struct meta_history history[META_HISTORY_MAX]; /* newest last */
	size_t history_count;
	/* Not in the record: shards that were not at this generation when they were asked last (of
	 * those led here, and, as far as this node is to know, of all), whether it is worth asking
	 * again, and whether it is time to. */
	uint32_t pending_here, pending;
	bool is_closed; /* all that are pending here are */
	bool is_behind, asks_again;
	bool not_loaded; /* a core could not load what the directory has, when it was tried last */
	bool led_again;  /* since it was asked for, a shard has begun to lead here */
	/* Those that are known to have it, for good: what a shard has activated it keeps. */
	uint8_t have[META_SHARD_BITS_BYTES];
};

struct meta_apps {
	struct meta_app **items; /* by name */
	size_t count, capacity;
};

void meta_apps_done(struct meta_apps *apps); /* empty afterwards */
struct meta_app *meta_apps_find(const struct meta_apps *apps, struct slice name);
/* The app that has data of this type, or may have, or NULL. */
struct meta_app *meta_apps_owner(const struct meta_apps *apps, struct slice type);
/* The newest that any app knows of this type; 0: it was never dropped. */
uint64_t meta_apps_incarnation(const struct meta_apps *apps, struct slice type);
/* Room for one more: then the next meta_apps_put does not fail. */
NODISCARD int meta_apps_reserve(struct meta_apps *apps);
/* In the place of one with the same name, which is the caller's then; NULL: there was none.
 * ERR_NOMEM: nothing changed, and `app` is still the caller's. */
NODISCARD int meta_apps_exchange(
    struct meta_apps *apps, struct meta_app *app, struct meta_app **ret_old);
/* The same, and that one is freed. */
NODISCARD int meta_apps_put(struct meta_apps *apps, struct meta_app *app);
/* It is the caller's afterwards. */
void meta_apps_remove(struct meta_apps *apps, const struct meta_app *app);
uint64_t meta_apps_generation(const struct meta_apps *apps); /* the highest */

struct meta_app *meta_app_new(struct slice name); /* NULL: no memory */
void meta_app_free(struct meta_app *app);         /* NULL-safe */
/* In the place of one with this name. ERR_NOMEM; ERR_FULL: too many. */
NODISCARD int meta_app_set_type(
    struct meta_app *app, struct slice type, bool active, uint64_t incarnation);
/* What is known of shards, of the same generation. */
void meta_app_adopt(struct meta_app *app, const struct meta_app *old);
/* How many of the shards 1 to `shards` are known to have it. */
uint32_t meta_app_count_have(const struct meta_app *app, uint32_t shards);
/* Its data is there, or may come: the name is its app's. */
bool meta_type_is_owned(const struct meta_type *type);
const struct meta_type *meta_app_type(const struct meta_app *app, struct slice type);
/* Forgets the oldest where there is no room. */
void meta_app_add_history(struct meta_app *app, const struct meta_history *entry);
/* The newest activation of this hash, or NULL. */
const struct meta_history *meta_app_activation(const struct meta_app *app, const char *hash);

/* What a rollback of the active version goes to, or NULL: there is nothing, or the history has
 * forgotten it. */
const struct meta_history *meta_app_undo(const struct meta_app *app);

/* {app, hash, generation, types, history: [{hash, at, by}..]} */
void meta_app_json(const struct meta_app *app, struct json_writer *writer);

#endif
