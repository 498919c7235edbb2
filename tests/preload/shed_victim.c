/* Makes a store, damages a table of it, and takes a range away that the damage is in, to be cut off
 * at any moment. Each process checks first what those before it left: in place is the old store or
 * the new one, with exactly the keys that it can have; and takes it up as a start does. */
#include <stdio.h>

#include "base/io/fs.h"
#include "tests/preload/victim_store.h"
#include "tests/unit/store/source.h"

enum { WIDER = 3 };

static uint64_t first_of(const struct victim *victim)
{
	uint64_t first = victim->said[SAID_FIRST_LOST];
	return first > WIDER ? first - WIDER : 0;
}

static uint64_t last_of(const struct victim *victim)
{
	return victim->said[SAID_LAST_LOST] + WIDER;
}

static enum victim_state check(const struct victim *victim)
{
	enum victim_state state =
	    victim_state_of("stores/db", victim, first_of(victim), last_of(victim));
	if (state == VICTIM_OLD && victim->said[SAID_DONE] != 0)
		victim_wrong("the range was taken away, and is there again");
	return state;
}

static void shed(struct victim *victim)
{
	uint8_t first[16], end[16];
	struct store_options options = victim_store_options("stores/db", false);
	struct store_range range = {.first = model_key((uint32_t)first_of(victim), first),
	    .end = model_key((uint32_t)last_of(victim) + 1, end)};
	struct store_shed_ranges ranges = {.gone = &range, .gone_count = 1};
	victim_must("store_shed", store_shed(&options, &ranges, victim_why, sizeof(victim_why)));
	victim->said[SAID_DONE] = 1;
	victim_says_durable(victim->said);
}

static void settle_once(void)
{
	struct store *store;
	struct store_options options = victim_store_options("stores/db", false);
	victim_must("store_open", store_open(&options, victim_why, sizeof(victim_why), &store));
	store_settled(store);
	store_close(store);
}

/* Nothing is left beside the one that was opened well; where its removal failed, behind the next
 * start. */
static void settle(void)
{
	settle_once();
	if (victim_is_there("stores/db.shed/CURRENT"))
		settle_once();
	if (victim_is_there("stores/db.shed/CURRENT"))
		victim_wrong("the old store is still there");
}

int main(int argc, char **argv)
{
	struct victim victim = victim_of(argc, argv);
	victim_store_begin(&victim);
	if (victim.said[SAID_DAMAGED] == 0 && victim.steps > 0)
		victim_make_damaged(&victim);
	if (victim.said[SAID_DAMAGED] != 0) {
		bool room;
		struct store_options options = victim_store_options("stores/db", false);
		victim_must("store_shed_make_room", store_shed_make_room(&options, &room));
	}
	if (victim.said[SAID_DAMAGED] != 0 && check(&victim) == VICTIM_OLD && victim.steps > 0) {
		shed(&victim);
		(void)check(&victim);
	}
	if (victim.said[SAID_DONE] != 0 && victim.steps > 0) {
		settle();
		victim_touch();
		(void)check(&victim);
	}
	fs_close_root(victim_fs);
	return 0;
}
