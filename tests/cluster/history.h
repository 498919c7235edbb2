/* What clients of a cluster did to one entity, and whether that can have been.
 *
 * The entity is a cell: a value, and how often it was changed. Every answer says both as they were
 * before the operation, so that a change that is lost, doubled or out of order shows in the next
 * answer.
 */
#ifndef KX_TESTS_CLUSTER_HISTORY_H
#define KX_TESTS_CLUSTER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind {
	HISTORY_GET,
	HISTORY_WRITE,
	HISTORY_CAS,
	HISTORY_KINDS,
};

enum history_result {
	HISTORY_OK,
	HISTORY_REFUSED, /* a CAS that found another value */
	HISTORY_NOTHING, /* surely not done */
	HISTORY_UNKNOWN, /* takes effect at any time from its begin on, or never */
	HISTORY_RESULTS,
};

struct history_operation {
	unsigned entity, client;
	enum history_kind kind;
	enum history_result result;
	long long from, to; /* CAS: the value it needs; what it writes */
	/* A read that may be older than all that was answered before it, by so much, begins so much
	 * earlier: then it is as any other. Both from one clock, which all nodes have, too. */
	uint64_t stale_ns;
	uint64_t begin_ns, end_ns;
	/* What was found, of those that are OK or REFUSED. */
	long long value, changes;
};

enum history_verdict {
	HISTORY_LINEAR,
	HISTORY_NOT_LINEAR,
	HISTORY_NOT_DECIDED, /* there are more ways than were to be tried */
};

/* So many states have a table of 128 MiB; those that our clients tell of have some thousands. */
#define HISTORY_STATES_MAX ((size_t)1 << 23)

/* Whether the operations of one entity, which this sorts, are those of one cell (value 0, no
 * changes) that took them one at a time, each between its begin and its end. */
enum history_verdict history_linear(
    struct history_operation *operations, size_t count, size_t states_max);

/* Tells whether right and wrong histories are found to be such, and counts. The exit status. */
int history_self(void);

#endif
