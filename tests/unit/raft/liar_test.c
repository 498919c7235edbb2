/* Peers that say anything at all, in every order: whatever comes over a link must not end the
 * process. Two things may, because then the group is broken, and going on would spread it: two
 * leaders in one term, and a leader that replaces what is committed. */
#include "tests/unit/raft/suites.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "replication/raft/raft.h"

enum { LOG_MAX = 400, ROOM = 5, PLACES = 3, SEEDS = 400, STEPS = 300, ENTRIES_MAX = 3 };

struct liar {
	struct random random;
	struct raft *raft;
	uint64_t terms[LOG_MAX], now_ms;
	struct raft_membership membership;
	uint64_t epoch, appended, hard_term, hard_vote;
	bool hard;
	uint64_t led; /* steps */
	uint8_t bytes[ENTRIES_MAX][RAFT_MEMBERSHIP_BYTES_MAX];
	struct raft_entry entries[ENTRIES_MAX];
};

static jmp_buf stopped;
static char stopped_by[200];

static void stop(const char *file, int line, const char *what)
{
	(void)file, (void)line;
	snprintf(stopped_by, sizeof(stopped_by), "%s", what);
	longjmp(stopped, 1);
}

static uint64_t term_of(void *arg, uint64_t index)
{
	const struct liar *liar = arg;
	EXPECT(index < LOG_MAX);
	return liar->terms[index];
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	(void)arg, (void)first;
	*ret_bytes = bytes_max < count_max ? bytes_max : count_max;
	return (uint32_t)*ret_bytes;
}

static uint64_t below(struct liar *liar, uint64_t bound)
{
	return random_below(&liar->random, bound);
}

/* Near what is true mostly, so that it is listened to. */
static uint64_t near(struct liar *liar, uint64_t value)
{
	if (below(liar, 16) != 0)
		return value;
	if (below(liar, 20) == 0)
		return random_u64(&liar->random);
	uint64_t off = below(liar, 4);
	return below(liar, 2) && value >= off ? value - off : value + below(liar, 2);
}

static struct raft_membership any_membership(struct liar *liar)
{
	static const unsigned roles[] = {RAFT_VOTER, RAFT_VOTER | RAFT_OUTGOING, RAFT_OUTGOING,
	    RAFT_OUTGOING | RAFT_LEARNER_NEXT, RAFT_LEARNER};
	struct raft_membership membership = {.leaves_joint = below(liar, 2)};
	for (uint64_t replica = 1; replica <= ROOM + 1; replica++)
		if (below(liar, 2))
			membership.members[membership.count++] = (struct raft_member){
			    .replica = replica, .roles = roles[below(liar, 5)]};
	return membership;
}

/* For a while nobody says that he leads or campaigns, so that this one can. */
static enum raft_message_kind any_kind(struct liar *liar)
{
	static const enum raft_message_kind replies[] = {RAFT_PREVOTE_REPLY, RAFT_VOTE_REPLY,
	    RAFT_APPEND_REPLY, RAFT_HEARTBEAT_REPLY, RAFT_WAKE, RAFT_READ_INDEX};
	if (liar->now_ms % 20000 < 15000)
		return replies[below(liar, sizeof(replies) / sizeof(replies[0]))];
	return (enum raft_message_kind)(1 + below(liar, RAFT_READ_INDEX_REPLY));
}

static struct raft_message any_message(struct liar *liar)
{
	struct raft_status status = raft_status(liar->raft);
	struct raft_message message = {
	    .kind = any_kind(liar),
	    .from = below(liar, ROOM + 1),
	    .to = 1,
	    .term = near(liar, status.term),
	    .at = {near(liar, status.last.term), near(liar, status.last.index)},
	    .hint = {near(liar, status.last.term), near(liar, status.last.index)},
	    .commit = near(liar, status.commit),
	    .round = near(liar, 5),
	    .refused = below(liar, 4) == 0,
	    .forced = below(liar, 2),
	    .asleep = below(liar, 2),
	};
	if (message.kind == RAFT_PREVOTE_REPLY && !message.refused)
		message.term++;
	if (message.kind != RAFT_APPEND_ENTRIES)
		return message;
	message.count = (uint32_t)below(liar, ENTRIES_MAX + 1);
	message.entries = liar->entries;
	for (uint32_t i = 0; i < message.count; i++) {
		struct raft_membership membership = any_membership(liar);
		struct writer writer = writer_of(liar->bytes[i], sizeof(liar->bytes[i]));
		raft_membership_write(&writer, &membership);
		liar->entries[i] = (struct raft_entry){.term = near(liar, message.term),
		    .kind = (enum raft_entry_kind)(1 + below(liar, 3)),
		    .data = writer_view(&writer)};
	}
	return message;
}

/* ---- The owner, who speaks the truth ---- */

static void go_on(struct liar *liar)
{
	struct raft_output output;
	struct raft_message message;
	do {
		while (raft_next(liar->raft, &output)) {
			if (output.kind == RAFT_HARD) {
				liar->hard = true;
				liar->hard_term = output.term;
				liar->hard_vote = output.vote;
			}
			if (output.kind != RAFT_APPEND)
				continue;
			liar->epoch = output.epoch;
			liar->appended = output.at.index + output.count - 1;
			EXPECT(liar->appended < LOG_MAX);
			for (uint32_t i = 0; i < output.count; i++)
				liar->terms[output.at.index + i] = output.entries[i].term;
		}
	} while (raft_send(liar->raft, liar->now_ms, &message));
}

/* No more than are needed: one too few would be written behind. */
static void make_places(struct liar *liar, uint32_t more)
{
	struct raft_status status = raft_status(liar->raft);
	uint32_t places = status.places_taken + more;
	if (places <= status.places)
		return;
	struct raft *before = liar->raft;
	liar->raft = raft_move(before, malloc(raft_bytes(places)), places);
	free(before);
}

static uint32_t strangers_in(const struct liar *liar, const struct raft_message *message)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < message->count; i++) {
		struct raft_membership membership;
		if (message->entries[i].kind == RAFT_MEMBERSHIP &&
		    !raft_membership_read(message->entries[i].data, &membership))
			count += raft_strangers(liar->raft, &membership);
	}
	return count;
}

static void tell(struct liar *liar, struct raft_event event)
{
	event.now_ms = liar->now_ms;
	raft_step(liar->raft, &event);
}

static void request(struct liar *liar)
{
	struct raft_position first;
	struct raft_change change = {(enum raft_change_kind)below(liar, 3), 1 + below(liar, ROOM)};
	const char *why;
	uint64_t round;
	switch (below(liar, 4)) {
	case 0:
		if (raft_propose(liar->raft, liar->now_ms, 1, 1, &first) == 0) {
			liar->terms[first.index] = first.term;
			liar->appended = first.index;
		}
		return;
	case 1:
		(void)!raft_confirm(liar->raft, liar->now_ms, &round);
		return;
	case 2:
		(void)!raft_transfer(liar->raft, liar->now_ms, 1 + below(liar, ROOM));
		return;
	default:
		make_places(liar, 1);
		(void)!raft_change(liar->raft, liar->now_ms, &change, 1, RAFT_AUTOMATIC, &why);
		return;
	}
}

static void snapshot(struct liar *liar)
{
	struct raft_status status = raft_status(liar->raft);
	struct raft_position at = {near(liar, status.last.term), status.commit + below(liar, 5)};
	if (!status.installing && at.index < LOG_MAX - 10)
		(void)!raft_install(liar->raft, liar->now_ms, 2, near(liar, status.term), at);
	else if (status.installing && below(liar, 2))
		tell(liar, (struct raft_event){.kind = RAFT_INSTALL_FAILED});
}

static void one_step(struct liar *liar)
{
	struct raft_status status = raft_status(liar->raft);
	liar->now_ms += below(liar, 30);
	switch (below(liar, 12)) {
	case 0:
	case 5:
		if (liar->hard)
			tell(liar, (struct raft_event){.kind = RAFT_HARD_STORED,
			               .term = liar->hard_term,
			               .vote = liar->hard_vote});
		return;
	case 1:
		tell(liar, (struct raft_event){
		               .kind = RAFT_STORED, .index = liar->appended, .epoch = liar->epoch});
		return;
	case 2:
		if (raft_deadline(liar->raft) != RAFT_NEVER && status.role != RAFT_LEADER &&
		    liar->now_ms < raft_deadline(liar->raft))
			liar->now_ms = raft_deadline(liar->raft);
		tell(liar, (struct raft_event){.kind = RAFT_TICK});
		return;
	case 3:
		request(liar);
		return;
	case 4:
		snapshot(liar);
		tell(liar, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT,
		               .replica = 1 + below(liar, ROOM),
		               .index = near(liar, status.commit)});
		return;
	default:
		break;
	}
	struct raft_message message = any_message(liar);
	make_places(liar, strangers_in(liar, &message));
	tell(liar, (struct raft_event){.kind = RAFT_RECEIVED, .message = &message});
}

static void open_liar(struct liar *liar, uint64_t seed)
{
	memset(liar, 0, sizeof(*liar));
	random_init(&liar->random, seed);
	liar->membership = (struct raft_membership){
	    .count = 3, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};
	struct raft_options options = {.self = 1,
	    .replicas_max = ROOM,
	    .seed = seed,
	    .log = {.term = term_of, .fit = fit, .arg = liar},
	    .election_ms = 1000,
	    .heartbeat_ms = 100,
	    .sleep_ms = 300,
	    .leases = seed % 2,
	    .messages_in_flight_max = 2,
	    .bytes_in_flight_max = 3,
	    .message_bytes_max = 2,
	    .uncommitted_bytes_max = 20};
	struct raft_start start = {.membership = &liar->membership};
	liar->raft = raft_init(malloc(raft_bytes(PLACES)), PLACES, &options, &start);
}

/* False: it stopped, because the group is broken. */
static bool survives(struct liar *liar)
{
	assert_set_hook(stop);
	if (setjmp(stopped) != 0)
		return false;
	for (unsigned step = 0; step < STEPS; step++) {
		one_step(liar);
		go_on(liar);
		liar->led += raft_status(liar->raft).role == RAFT_LEADER;
	}
	return true;
}

START_TEST(lies_end_nothing_but_a_broken_group)
{
	static struct liar liar;
	uint64_t broken = 0, led = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		open_liar(&liar, seed);
		if (!survives(&liar)) {
			ck_assert_msg(strstr(stopped_by, "two leaders in term") ||
			                  strstr(stopped_by, "committed"),
			    "seed %u: %s", (unsigned)seed, stopped_by);
			broken++;
		}
		led += liar.led;
		free(liar.raft);
	}
	assert_set_hook(NULL);
	/* They are listened to. */
	ck_assert_uint_gt(led, SEEDS);
	ck_assert_uint_lt(broken, SEEDS / 2);
}
END_TEST

Suite *liar_suite(void)
{
	Suite *suite = suite_create("liar");
	TCase *tcase = tcase_create("all");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, lies_end_nothing_but_a_broken_group);
	suite_add_tcase(suite, tcase);
	return suite;
}
