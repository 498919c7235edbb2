/* Which commands of the app callers choose, and which answers they may get, whoever serves it. */
#ifndef KX_TESTS_SHARD_SIM_APP_CALLS_H
#define KX_TESTS_SHARD_SIM_APP_CALLS_H

#include <stdint.h>

#include "base/random.h"
#include "server/shard/shard.h"
#include "tests/shard_sim/app.h"

/* One that the entity has, by weight. */
const struct app_command *app_command_pick(struct random *random, unsigned entity);
const struct app_command *app_command_named(const char *name); /* it is there */

/* The seed fails where the command (NULL: a history, or a list) cannot have this status. */
void app_expect_status(
    const struct shard_call *call, const struct app_command *command, const char *name);
/* For a status that nothing here has: the seed fails. */
__attribute__((noreturn)) void app_unexpected(const struct shard_call *call, const char *name);

/* Of all answers so far and this one, with all that it says: two runs of a seed have the same. */
uint64_t app_answers_hash(uint64_t before, const struct shard_call *call, const char *name);

#endif
