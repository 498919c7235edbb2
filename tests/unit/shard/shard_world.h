/* One simulated machine with one core's shards, for unit tests: production shards and groups over
 * simulated files, and the host without Lua. */
#ifndef KX_TESTS_UNIT_SHARD_SHARD_WORLD_H
#define KX_TESTS_UNIT_SHARD_SHARD_WORLD_H

#include "base/io/sim/sim.h"
#include "server/shard/shard.h"
#include "tests/unit/shard/host_fake.h"
#include "tests/unit/starve.h"

enum { WORLD_SHARDS = 4, WORLD_STEPS_MAX = 400000 };

struct world {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct host *host;
	struct shards *shards;
	uint64_t fold_cache_bytes_max, queue_bytes_max, clean_bytes_max;
	uint32_t cold_percent, frame_bytes_max;
	struct starve starve; /* of each turn */
	uint64_t absent;      /* by number: 1 << shard is not here from the begin on */
	bool (*elsewhere)(void *arg, struct shard_call *call, uint32_t shard);
	bool (*others)(void *arg, uint32_t shard); /* from the next boot on */
	bool closed;
	unsigned faults, answers;
	char reference[24], traceback[128];
};
extern struct world world;

struct test_call {
	struct shard_call call;
	bool done;
	unsigned order; /* of the answers: 1 is the first */
	char address[64], name[32], payload[32], token[64];
};

void world_set_up(void); /* booted, all shards serve, app "shop" version 1 is active */
void world_set_up_without(
    uint64_t absent, bool (*elsewhere)(void *arg, struct shard_call *call, uint32_t shard));
void world_tear_down(void);
void world_boot(void); /* as after a crash */
void world_crash(void);
void world_close(void); /* every call ends */
void world_stop(void);  /* after it: nothing is left */
void world_step(unsigned count);
void world_wait_ready(void);
/* Runs the world until `until`; fails the test if that never comes. */
void world_run_until(bool (*until)(void *arg), void *arg);
/* In the process. */
void world_do(void (*run)(void *arg), void *arg);
void world_activate(const char *bundle, uint64_t index);
/* The same, and `type` was dropped with this incarnation. */
void world_activate_dropping(
    const char *bundle, uint64_t index, const char *type, uint64_t incarnation);
void world_checkpoint(void);
/* What is acknowledged is in the store, and the head of the entity is damaged there; as after a
 * crash. Whoever reads it closes its shard. */
void world_boot_damaged(const char *address, uint32_t shard);
/* An address of that type in the shard. Static. */
const char *world_address(const char *type, uint32_t shard);

/* A call with a timeout of a minute. */
void test_call_init(struct test_call *call, const char *address, const char *name, uint64_t id);
void test_call_submit(struct test_call *call);
void test_call_wait(struct test_call *call);
void test_call_done(struct test_call *call); /* frees its answer */
/* All of it. */
enum status test_call_run(
    struct test_call *call, const char *address, const char *name, uint64_t id);
struct host_fake_view test_call_view(const struct test_call *call);
/* The state of an entity by its query. */
struct host_fake_view world_get(const char *address);

#endif
