#include "tests/shard_sim/app.h"

#include <stdio.h>

#include "tests/unit/shard/host_fake.h"

static const struct app_command commands[] = {
    {.name = "add", .kind = MODEL_CHANGE, .weight = 30, .ids = 1},
    {.name = "add", .kind = MODEL_CHANGE, .weight = 14, .ids = 1, .token = true},
    {.name = "many", .kind = MODEL_CHANGE, .weight = 5, .ids = 3, .only_account = true},
    {.name = "slow", .kind = MODEL_CHANGE, .weight = 4, .ids = 1},
    {.name = "slow", .kind = MODEL_CHANGE, .weight = 2, .ids = 1, .token = true},
    {.name = "delete", .kind = MODEL_DELETE, .weight = 2, .ids = 1},
    {.name = "big", .kind = MODEL_CHANGE, .weight = 1, .ids = 1, .token = true, .never_done = true},
    {.name = "get", .kind = MODEL_READ, .weight = 24, .ids = 0},
    {.name = "fail",
        .kind = MODEL_READ,
        .weight = 8,
        .ids = 0,
        .failure = STATUS_FAILED_PRECONDITION,
        .never_done = true},
    {.name = "noop", .kind = MODEL_READ, .weight = 4, .ids = 0},
    {.name = "late", .kind = MODEL_READ, .weight = 2, .ids = 0},
    {.name = "now", .kind = MODEL_READ, .weight = 5, .ids = 0},
    {.name = "look", .kind = MODEL_READ, .weight = 3, .ids = 0},
    {.name = "broken",
        .kind = MODEL_READ,
        .weight = 1,
        .ids = 0,
        .failure = STATUS_INTERNAL,
        .never_done = true},
};

const struct app_command *app_commands(size_t *ret_count)
{
	*ret_count = sizeof(commands) / sizeof(commands[0]);
	return commands;
}

bool app_is_lua(void)
{
	return false;
}

bool app_open(void)
{
	return true;
}

void app_seed(void)
{
	host_fake_set_change_bytes_max(4096);
	host_fake_show_version(true);
}

unsigned app_versions(void)
{
	return MODEL_VERSIONS_MAX;
}

struct host_bundle *app_load(
    struct host *host, unsigned version, unsigned types, char ret_hash[HOST_HASH_CHARACTERS + 1])
{
	static const char *const only[] = {[MODEL_HAS_ACCOUNT] = ":account",
	    [MODEL_HAS_COUNTER] = ":counter",
	    [MODEL_HAS_BOTH] = ""};
	char text[32];
	struct host_bundle *bundle;
	snprintf(text, sizeof(text), "fake:shop:%u%s", version, only[types]);
	host_bundle_hash(slice_from_text(text), ret_hash);
	/* The one thing that a failing allocation may hit. */
	while (host_load(host, slice_from_text(text), NULL, &bundle))
		continue;
	return bundle;
}

uint32_t app_state_version(uint32_t version)
{
	(void)version;
	return 1;
}

struct app_figures app_figures(const struct host *host)
{
	(void)host;
	return (struct app_figures){0};
}

uint64_t app_accidental_order(void)
{
	return 0;
}
