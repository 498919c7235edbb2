/* Right and wrong histories, fed to the check. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "tests/cluster/events.h"
#include "tests/cluster/history.h"

enum { OPERATIONS = 1024, UNKNOWNS = 12 };

static struct history_operation operations[OPERATIONS];

/* What a cell that works would have told: begins and ends lie around when each took effect. */
static size_t invent(struct random *dice, bool unknowns, struct history_operation *to, size_t count)
{
	long long value = 0, changes = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t at = (i + 1) * 1000;
		struct history_operation *operation = &to[i];
		*operation = (struct history_operation){
		    .kind = (enum history_kind)random_below(dice, HISTORY_KINDS),
		    .to = (long long)i + 1,
		    .from = random_chance(dice, 1, 2) ? value : -1,
		    .begin_ns = at - random_below(dice, 900),
		    .end_ns = at + random_below(dice, 9000),
		    .value = value,
		    .changes = changes};
		bool misses = operation->kind == HISTORY_CAS && operation->from != value;
		bool nothing = random_chance(dice, 1, 10);
		operation->result = nothing  ? HISTORY_NOTHING
		                    : misses ? HISTORY_REFUSED
		                             : HISTORY_OK;
		if (!nothing && !misses && operation->kind != HISTORY_GET) {
			value = operation->to;
			changes++;
		}
		if (unknowns && random_chance(dice, 1, 10))
			operation->result = HISTORY_UNKNOWN;
	}
	to[count] = (struct history_operation){.begin_ns = (count + 20) * 1000,
	    .end_ns = (count + 21) * 1000,
	    .value = value,
	    .changes = changes};
	return count + 1;
}

static unsigned self_facts, self_failures;

static void fact(bool good, const char *text)
{
	printf("%s %s\n", good ? "ok" : "not ok", text);
	self_facts++;
	self_failures += !good;
}

static enum history_verdict judged(
    size_t count, const struct history_operation *given, size_t states_max)
{
	memcpy(operations, given, count * sizeof(*given));
	return history_linear(operations, count, states_max);
}

static bool linear(size_t count, const struct history_operation *given)
{
	enum history_verdict verdict = judged(count, given, HISTORY_STATES_MAX);
	ASSERT(verdict != HISTORY_NOT_DECIDED);
	return verdict == HISTORY_LINEAR;
}

/* As many writes without an answer, in any order, and a read of what none of them wrote. */
static enum history_verdict unknowns_judged(size_t states_max)
{
	static struct history_operation given[UNKNOWNS + 1];
	for (size_t i = 0; i < UNKNOWNS; i++)
		given[i] = (struct history_operation){.kind = HISTORY_WRITE,
		    .result = HISTORY_UNKNOWN,
		    .to = (long long)i + 1,
		    .begin_ns = i + 1};
	given[UNKNOWNS] = (struct history_operation){
	    .begin_ns = 100, .end_ns = 200, .value = UNKNOWNS + 1, .changes = UNKNOWNS};
	return judged(UNKNOWNS + 1, given, states_max);
}

/* The same judgement of what was exported and read back. */
static bool exported_linear(size_t count, const struct history_operation *given)
{
	size_t read = 0;
	FILE *file = tmpfile();
	memcpy(operations, given, count * sizeof(*given));
	bool good = file && events_write(file, operations, count);
	if (file)
		rewind(file);
	good = good && events_read(file, operations, OPERATIONS, &read) && read == count;
	if (file)
		(void)fclose(file);
	if (!good)
		printf("not ok %zu operations exported, %zu read\n", count, read);
	return good && history_linear(operations, read, HISTORY_STATES_MAX) == HISTORY_LINEAR;
}

#define WRITE_EVENTS                                                                               \
	"{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"key\":1,\"value\":7,\"time\":5}\n"   \
	"{\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"key\":1,\"value\":7,\"time\":9,"         \
	"\"found\":{\"value\":0,\"changes\":0}}\n"
#define READ_END(v, c)                                                                             \
	"{\"process\":2,\"type\":\"ok\",\"f\":\"read\",\"key\":1,\"value\":" v ",\"time\":15,"     \
	"\"found\":{\"value\":" v ",\"changes\":" c "}}\n"
#define READ_EVENTS(v, c)                                                                          \
	"{\"process\":2,\"type\":\"invoke\",\"f\":\"read\",\"key\":1,\"value\":null,\"time\":10}"  \
	"\n" READ_END(v, c)

static bool events_are_linear(const char *text)
{
	size_t count = 0;
	FILE *file = tmpfile();
	bool good = file && fputs(text, file) >= 0;
	if (file)
		rewind(file);
	good = good && events_read(file, operations, OPERATIONS, &count);
	if (file)
		(void)fclose(file);
	return good && history_linear(operations, count, HISTORY_STATES_MAX) == HISTORY_LINEAR;
}

#define OP(k, r, f, t, b, e, v, c)                                                                 \
	{                                                                                          \
		.kind = HISTORY_##k, .result = HISTORY_##r, .from = (f), .to = (t),                \
		.begin_ns = (b), .end_ns = (e), .value = (v), .changes = (c)                       \
	}
#define JUDGED(...)                                                                                \
	linear(sizeof((struct history_operation[]){__VA_ARGS__}) / sizeof(*operations),            \
	    (struct history_operation[]){__VA_ARGS__})

int history_self(void)
{
	fact(JUDGED(OP(WRITE, OK, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 15, 30, 0, 0)),
	    "a read beside a write may see what was before it");
	fact(!JUDGED(OP(WRITE, OK, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 21, 30, 0, 0)),
	    "a read behind a write may not, nor may an acknowledged write be lost");
	fact(JUDGED(OP(WRITE, OK, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30 - 11, 40, 0, 0)),
	    "one that may be older may, by as much as that");
	fact(!JUDGED(OP(WRITE, OK, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30 - 9, 40, 0, 0)),
	    "and not by more");
	fact(!JUDGED(OP(WRITE, OK, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30, 40, 7, 2)),
	    "a write is not done twice");
	fact(!JUDGED(OP(WRITE, NOTHING, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30, 40, 7, 1)),
	    "what was surely not done is not seen");
	fact(JUDGED(OP(WRITE, UNKNOWN, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30, 40, 0, 0),
	         OP(GET, OK, 0, 0, 50, 60, 7, 1)),
	    "an unknown write may take effect late");
	fact(!JUDGED(OP(WRITE, UNKNOWN, 0, 7, 10, 20, 0, 0), OP(GET, OK, 0, 0, 30, 40, 7, 1),
	         OP(GET, OK, 0, 0, 50, 60, 0, 0)),
	    "but not be taken back");
	fact(!JUDGED(OP(WRITE, UNKNOWN, 0, 7, 50, 60, 0, 0), OP(GET, OK, 0, 0, 30, 40, 7, 1)),
	    "and not before it began");
	fact(!JUDGED(OP(CAS, OK, 5, 7, 10, 20, 0, 0)), "a CAS finds the value that it needs");
	fact(
	    !JUDGED(OP(CAS, REFUSED, 0, 7, 10, 20, 0, 0)), "and is refused only where it does not");
	fact(!JUDGED(OP(CAS, OK, 0, 7, 10, 20, 0, 0), OP(CAS, OK, 0, 8, 10, 20, 0, 0)),
	    "of two CAS from one value one is done");
	fact(JUDGED(OP(CAS, OK, 0, 7, 10, 20, 0, 0), OP(CAS, UNKNOWN, 0, 8, 10, 20, 0, 0),
	         OP(GET, OK, 0, 0, 30, 40, 7, 1)),
	    "the other one may be unknown");
	fact(unknowns_judged(HISTORY_STATES_MAX) == HISTORY_NOT_LINEAR,
	    "of unknown ones all orders are tried");
	fact(unknowns_judged(1000) == HISTORY_NOT_DECIDED,
	    "and where they are too many nothing is said of the history");
	struct random dice;
	static struct history_operation invented[512];
	unsigned right = 0, caught = 0, right_exported = 0, caught_exported = 0;
	random_init(&dice, 0);
	for (int round = 0; round < 200; round++) {
		size_t count = invent(&dice, true, invented, 400);
		right += linear(count, invented);
		right_exported += exported_linear(count, invented);
		/* The last reader misses one change, which no other can stand for. */
		count = invent(&dice, false, invented, 400);
		invented[count - 1].changes--;
		caught += !linear(count, invented);
		caught_exported += !exported_linear(count, invented);
	}
	fact(right == 200, "200 histories of a cell that works");
	fact(caught == 200, "200 histories of one that loses a change");
	fact(right_exported == 200, "both in the form of events: 200 that are right");
	fact(caught_exported == 200, "and 200 that are wrong");
	fact(events_are_linear(WRITE_EVENTS READ_EVENTS("7", "1")), "events by hand are read");
	fact(!events_are_linear(WRITE_EVENTS READ_EVENTS("0", "0")),
	    "and a stale read among them is seen");
	fact(!events_are_linear(READ_END("0", "0")), "an end without a begin is no history");
	printf("%u passed, %u failed\n", self_facts - self_failures, self_failures);
	return self_failures ? 1 : 0;
}
