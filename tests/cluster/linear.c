/* Wing and Gong's search: of the operations that may be the next one, each is tried, and a state
 * (which are done, and the cell) that led nowhere is not tried again. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "tests/cluster/history.h"

struct cell {
	long long value, changes;
};

struct step {
	struct cell before;
	size_t chosen; /* rank among the candidates */
	size_t operation;
};

struct search {
	struct history_operation *operations;
	size_t count;
	bool *done;
	uint64_t *marks; /* one random number for each operation */
	uint64_t done_mark;
	size_t wanted; /* operations with an answer that are not done */
	size_t low;    /* all below are done */
	struct cell cell;
	struct step *steps;
	size_t step_count;
	size_t *candidates;
	uint64_t *seen; /* open addressing; 0: free */
	size_t seen_count, seen_size, seen_max;
};

static int by_begin(const void *a, const void *b)
{
	const struct history_operation *x = a, *y = b;
	return (x->begin_ns > y->begin_ns) - (x->begin_ns < y->begin_ns);
}

static bool known(const struct history_operation *operation)
{
	return operation->result == HISTORY_OK || operation->result == HISTORY_REFUSED;
}

static void *zeros(size_t count, size_t bytes)
{
	void *memory = calloc(count + 1, bytes);
	ASSERT(memory);
	return memory;
}

static bool note(uint64_t *seen, size_t size, uint64_t mark)
{
	size_t at = (size_t)(mark & (size - 1));
	while (seen[at] && seen[at] != mark)
		at = (at + 1) & (size - 1);
	bool is_new = !seen[at];
	seen[at] = mark;
	return is_new;
}

/* Whether this state was never here before. Two states with one mark: once in 2^64. */
static bool first_time(struct search *search)
{
	uint64_t mark =
	    search->done_mark ^ ((uint64_t)search->cell.value * 0x9e3779b97f4a7c15ULL +
	                            (uint64_t)search->cell.changes * 0xc2b2ae3d27d4eb4fULL);
	if (search->seen_count * 2 >= search->seen_size) {
		size_t size = search->seen_size * 2;
		uint64_t *larger = zeros(size, sizeof(*larger));
		for (size_t i = 0; i < search->seen_size; i++)
			if (search->seen[i])
				note(larger, size, search->seen[i]);
		free(search->seen);
		search->seen = larger;
		search->seen_size = size;
	}
	bool is_new = note(search->seen, search->seen_size, mark ? mark : 1);
	search->seen_count += is_new;
	return is_new;
}

static bool fits(const struct history_operation *operation, struct cell cell)
{
	bool equal = cell.value == operation->from;
	if (operation->result == HISTORY_UNKNOWN) /* without effect it need not be done at all */
		return operation->kind != HISTORY_CAS || equal;
	if (operation->value != cell.value || operation->changes != cell.changes)
		return false;
	return operation->kind != HISTORY_CAS || equal == (operation->result == HISTORY_OK);
}

/* Those that may come next: none that is not done ended before they began. Those with an answer
 * come first; an unknown change only where something waits for more changes than there are. */
static size_t candidates(struct search *search)
{
	uint64_t end_ns = UINT64_MAX;
	size_t end = search->low, found = 0;
	long long least = 0;
	bool any = false;
	for (; end < search->count && search->operations[end].begin_ns <= end_ns; end++) {
		const struct history_operation *operation = &search->operations[end];
		if (search->done[end] || !known(operation))
			continue;
		if (operation->end_ns < end_ns)
			end_ns = operation->end_ns;
		if (!any || operation->changes < least)
			least = operation->changes;
		any = true;
		if (fits(operation, search->cell))
			search->candidates[found++] = end;
	}
	if (!any || least < search->cell.changes)
		return 0;
	if (least == search->cell.changes)
		return found;
	for (size_t i = search->low; i < end; i++)
		if (!search->done[i] && !known(&search->operations[i]) &&
		    fits(&search->operations[i], search->cell))
			search->candidates[found++] = i;
	return found;
}

static void mark(struct search *search, size_t at, bool done)
{
	search->done[at] = done;
	search->done_mark ^= search->marks[at];
	if (known(&search->operations[at]))
		search->wanted += done ? (size_t)-1 : 1;
	if (!done && at < search->low)
		search->low = at;
	while (search->low < search->count && search->done[search->low])
		search->low++;
}

static void advance(struct search *search, size_t chosen)
{
	size_t at = search->candidates[chosen];
	const struct history_operation *operation = &search->operations[at];
	search->steps[search->step_count++] = (struct step){search->cell, chosen, at};
	if (operation->kind != HISTORY_GET && operation->result != HISTORY_REFUSED)
		search->cell = (struct cell){operation->to, search->cell.changes + 1};
	mark(search, at, true);
}

static enum history_verdict find(struct search *search)
{
	size_t chosen = 0;
	while (search->wanted > 0) {
		if (search->seen_count >= search->seen_max)
			return HISTORY_NOT_DECIDED;
		if (chosen < candidates(search)) {
			advance(search, chosen);
			chosen = 0;
			if (search->wanted == 0 || first_time(search))
				continue;
		} else if (search->step_count == 0) {
			return HISTORY_NOT_LINEAR;
		}
		struct step *step = &search->steps[--search->step_count];
		mark(search, step->operation, false);
		search->cell = step->before;
		chosen = step->chosen + 1;
	}
	return HISTORY_LINEAR;
}

enum history_verdict history_linear(
    struct history_operation *operations, size_t count, size_t states_max)
{
	struct random dice;
	random_init(&dice, 1);
	qsort(operations, count, sizeof(*operations), by_begin);
	struct search search = {.operations = operations,
	    .done = zeros(count, sizeof(*search.done)),
	    .marks = zeros(count, sizeof(*search.marks)),
	    .steps = zeros(count, sizeof(*search.steps)),
	    .candidates = zeros(count, sizeof(*search.candidates)),
	    .seen_size = 1024,
	    .seen_max = states_max,
	    .seen = zeros(1024, sizeof(*search.seen))};
	for (size_t i = 0; i < count; i++) {
		struct history_operation *operation = &operations[i];
		/* What did nothing, and what changes nothing and has no answer, is no matter. */
		bool counts = known(operation) || (operation->result == HISTORY_UNKNOWN &&
		                                      operation->kind != HISTORY_GET);
		if (!counts)
			continue;
		operations[search.count] = *operation;
		search.marks[search.count++] = random_u64(&dice);
		search.wanted += known(operation);
	}
	enum history_verdict verdict = find(&search);
	free(search.done);
	free(search.marks);
	free(search.steps);
	free(search.candidates);
	free(search.seen);
	return verdict;
}
