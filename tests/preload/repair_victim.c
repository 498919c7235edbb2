/* Makes a store, damages a table of it, and repairs it, to be cut off at any moment. Each process
 * checks first what those before it left: in place is the damaged store or the repaired one, with
 * exactly the keys that it can have, and the damaged one is kept. */
#include <stdio.h>
#include <string.h>

#include "base/io/fs.h"
#include "storage/store_tool.h"
#include "tests/preload/victim_store.h"
#include "tests/unit/store/source.h"

enum { COPIES = 8, NAME_BYTES = 64 };

/* ---- What is there ---- */

static enum victim_state state_of(const char *dir, const struct victim *victim)
{
	return victim_state_of(
	    dir, victim, victim->said[SAID_FIRST_LOST], victim->said[SAID_LAST_LOST]);
}

static void copy_name(char name[NAME_BYTES], unsigned number)
{
	snprintf(name, NAME_BYTES, "stores/db.before-repair-%u", number);
}

/* Returns what is in place. */
static enum victim_state check(const struct victim *victim)
{
	enum victim_state state = state_of("stores/db", victim);
	if (state == VICTIM_OLD && victim->said[SAID_DONE] != 0)
		victim_wrong("it was repaired, and is damaged again");
	bool kept = state == VICTIM_OLD;
	for (unsigned number = 1; number <= COPIES; number++) {
		char copy[NAME_BYTES];
		copy_name(copy, number);
		if (victim_is_there(copy))
			kept = state_of(copy, victim) == VICTIM_OLD || kept;
	}
	if (!kept)
		victim_wrong("the damaged store was not kept");
	return state;
}

/* ---- Repairing it ---- */

static void ignore_bad(void *arg, const char *what)
{
	(void)arg;
	(void)what;
}

static int ignore_lost(void *arg, struct slice after, struct slice before)
{
	(void)after;
	(void)before;
	++*(unsigned *)arg;
	return 0;
}

static int ignore_shard(void *arg, const struct store_repair_shard *shard)
{
	(void)arg;
	(void)shard;
	return 0;
}

static int ignore_opened(void *arg, uint32_t shard)
{
	(void)arg;
	(void)shard;
	return 0;
}

static int decide(void *arg, uint64_t keys)
{
	(void)keys;
	if (*(unsigned *)arg != 1)
		victim_wrong("%u stretches are lost", *(unsigned *)arg);
	return 0;
}

static void repair(struct victim *victim)
{
	unsigned lost = 0, number = 1;
	uint64_t keys;
	char copy[NAME_BYTES];
	struct store_options options = victim_store_options("stores/db", false);
	struct store_repair_plan plan = {.bad = ignore_bad,
	    .lost = ignore_lost,
	    .shard = ignore_shard,
	    .opened = ignore_opened,
	    .decide = decide,
	    .arg = &lost};
	for (copy_name(copy, number); victim_is_there(copy); copy_name(copy, ++number))
		if (number == COPIES)
			return;
	victim_must("store_repair",
	    store_repair(&options, copy, &plan, &keys, victim_why, sizeof(victim_why)));
	if (keys !=
	    MODEL_KEYS - (victim->said[SAID_LAST_LOST] - victim->said[SAID_FIRST_LOST] + 1) + 1)
		victim_wrong("%llu keys were kept", (unsigned long long)keys);
	victim->said[SAID_DONE] = 1;
	victim_says_durable(victim->said);
}

int main(int argc, char **argv)
{
	struct victim victim = victim_of(argc, argv);
	victim_store_begin(&victim);
	if (victim.said[SAID_DAMAGED] == 0 && victim.steps > 0)
		victim_make_damaged(&victim);
	if (victim.said[SAID_DAMAGED] != 0 && check(&victim) == VICTIM_OLD && victim.steps > 0) {
		repair(&victim);
		(void)check(&victim);
	}
	if (victim.said[SAID_DONE] != 0 && victim.steps > 0)
		victim_touch();
	fs_close_root(victim_fs);
	return 0;
}
