/* A host without Lua, for tests of server/shard: scripting/host.h's functions over handlers that
 * are written in C. A program links it in place of libkx_scripting.a.
 *
 * Every change of an entity has an id, a number that the caller chooses and gives as payload. The
 * state is the list of the ids that made it, the last HOST_FAKE_IDS of them, so whoever reads a
 * state sees which changes are in it and in which order. Replies are text:
 *
 *   revision:id,id,...
 *
 * A bundle's bytes are "fake:APP:VERSION", or "fake:APP:VERSION:COMPONENT", which has that one
 * alone. Else it has two components, `counter` (a value entity) and `account` (event-sourced;
 * snapshots every HOST_FAKE_SNAPSHOT_EVERY events), with
 *
 *   add id       the id is added           slow id   the same, after several slices
 *   many id      account: three events, id, id + 1 and id + 2
 *   fail id      FAILED_PRECONDITION; the message is what the reply would be
 *   noop         no change                 broken    a fault of the handler
 *   delete id    the entity goes           big       a change whose reply is 100 KiB
 *   secret id    an internal add           get       the query
 *   late         slow, without a change
 *   hash id      add, after a job that it waits for
 *   wide id      counter: the state becomes a text of so many KiB, all of it NUL bytes
 *   now          the query of the time: ms    look       a command without a change that gives it,
 *                                                           and says that it ran HOST_FAKE_LONG_NS
 *
 * Of version HOST_FAKE_FEWER, `counter` is gone, and `account` has no `many`.
 */
#ifndef KX_TESTS_UNIT_SHARD_HOST_FAKE_H
#define KX_TESTS_UNIT_SHARD_HOST_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	HOST_FAKE_IDS = 64,
	HOST_FAKE_SNAPSHOT_EVERY = 10,
	HOST_FAKE_SLICES = 3,
	HOST_FAKE_FEWER = 1000000,
	HOST_FAKE_LONG_NS = 5000000,
};

struct host_fake_view {
	uint64_t revision;
	size_t count;
	uint64_t ids[HOST_FAKE_IDS]; /* oldest first */
};
/* Of a reply, or of the message of `fail`. False: it is none. */
bool host_fake_parse(struct slice text, struct host_fake_view *ret_view);

/* What host_component_change_bytes_max says from now on; 0: the default, 16 KiB. */
void host_fake_set_change_bytes_max(uint64_t bytes);
/* Of how many changes a counter keeps the state; 0: the default, none. */
void host_fake_set_history(uint32_t count);
/* Replies end with "@VERSION" from now on, or do not: host_fake_parse is for those without. */
void host_fake_show_version(bool shows);
/* How many jobs were taken from calls, and not given back, at one time. */
unsigned host_fake_jobs_most(void);

#endif
