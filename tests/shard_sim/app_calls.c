#include "tests/shard_sim/app_calls.h"

#include <string.h>

#include "base/hash.h"
#include "tests/sim/verdict.h"

static const struct app_command *pick_any(struct random *random)
{
	size_t count;
	unsigned all = 0;
	const struct app_command *command = app_commands(&count);
	for (size_t i = 0; i < count; i++)
		all += command[i].weight;
	unsigned at = (unsigned)random_below(random, all);
	while (at >= command->weight)
		at -= command++->weight;
	return command;
}

const struct app_command *app_command_pick(struct random *random, unsigned entity)
{
	const struct app_command *command = pick_any(random);
	while (command->only_account && !model_is_account(entity))
		command = pick_any(random);
	return command;
}

const struct app_command *app_command_named(const char *name)
{
	size_t count;
	const struct app_command *command = app_commands(&count);
	while (strcmp(command->name, name) != 0)
		command++;
	return command;
}

void app_expect_status(
    const struct shard_call *call, const struct app_command *command, const char *name)
{
	enum status status = call->status;
	bool is_failure = status == STATUS_FAILED_PRECONDITION || status == STATUS_INTERNAL;
	struct slice text = buffer_view(&call->reply);
	EXPECT(!is_failure || (command && command->failure == status), "answer", "%s to %s: %.*s",
	    status_name(status), name, (int)text.bytes, (const char *)text.data);
	EXPECT(status != STATUS_OK || !command || !command->never_done, "answer",
	    "%s was done: %.*s", name, (int)text.bytes, (const char *)text.data);
}

void app_unexpected(const struct shard_call *call, const char *name)
{
	struct slice text = buffer_view(&call->reply);
	verdict_fail("answer", "%s to %s: %.*s", status_name(call->status), name, (int)text.bytes,
	    (const char *)text.data);
}

uint64_t app_answers_hash(uint64_t before, const struct shard_call *call, const char *name)
{
	before = hash_bytes(buffer_view(&call->reply), before);
	before = hash_bytes(buffer_view(&call->details), before);
	return hash_bytes(slice_from_text(name), before + call->status);
}
