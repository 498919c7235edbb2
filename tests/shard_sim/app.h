/* The app that the simulated shards serve. Two are behind this, and the linker chooses: handlers in
 * C, whose host has no Lua (app_fake.c), and Lua on production's host (app_lua.c, app/). Both are
 * an app "shop" with a value entity `counter` and an event-sourced one, `account`.
 */
#ifndef KX_TESTS_SHARD_SIM_APP_H
#define KX_TESTS_SHARD_SIM_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "scripting/host.h"
#include "tests/shard_sim/model.h"

struct app_command {
	const char *name;
	enum model_kind kind;
	unsigned weight, ids;
	bool only_account, token, takes_long;
	/* What it may answer in place of STATUS_OK, and commands without it may not: INTERNAL, or
	 * FAILED_PRECONDITION with a state as its message. STATUS_OK: neither. */
	enum status failure;
	bool never_done; /* STATUS_OK is no answer */
};
const struct app_command *app_commands(size_t *ret_count);

bool app_is_lua(void);
/* Once in the program. False: its files are not there. */
bool app_open(void);
void app_seed(void);         /* before each seed */
unsigned app_versions(void); /* 1 .. this */
/* A version's bundle with these types (MODEL_HAS_...), with a reference of the caller's, and its
 * hash. */
struct host_bundle *app_load(
    struct host *host, unsigned version, unsigned types, char ret_hash[HOST_HASH_CHARACTERS + 1]);
/* The same as bytes, for a directory to deploy; of an app in Lua. */
void app_bundle(unsigned version, unsigned types, struct buffer *out);
uint32_t app_state_version(uint32_t version);

struct app_figures {
	uint64_t pauses, exhausted, events_folded;
};
struct app_figures app_figures(const struct host *host);

/* In which order an interpreter as it comes goes through a table, in this process: it depends on
 * how hashes are seeded, which is what the app's must not. 0: there is none. */
uint64_t app_accidental_order(void);

#endif
