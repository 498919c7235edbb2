/* A history as a file that any checker can read: one JSON object a line for each begin and each
 * end of an operation, in the order of time, as Jepsen has them.
 *
 *   {"process":2,"type":"invoke","f":"cas","key":7,"value":[0,19],"time":1000}
 *   {"process":2,"type":"ok","f":"cas","key":7,"value":[0,19],"time":3000,
 *    "found":{"value":0,"changes":3}}                                    (in one line)
 *
 *   process  has one operation under way; after an "info" it is never heard of again
 *   type     invoke; ok: done; fail: surely not done; info: takes effect at any time from its
 *            invoke on, once, or never
 *   f        read, write, cas: of the register `key`, which is 0 in the beginning
 *   value    read: null, and at its ok what was read; write: what is written; cas: [what has to be
 *            there, what is written]
 *   time     nanoseconds of one clock that never goes back, from anywhere
 *   found    of what was answered: the register, and how often it was changed, before the
 *            operation. More than a register tells; a checker of registers can leave it out. A cas
 *            that failed and has it found another value.
 */
#ifndef KX_TESTS_CLUSTER_EVENTS_H
#define KX_TESTS_CLUSTER_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct history_operation;

/* Sorts the operations by their begin. */
bool events_write(FILE *file, struct history_operation *operations, size_t count);

/* False where something is no such event, where an end has no begin, where an answer lacks what was
 * found, or where there are more than `max` operations. One without an end is unknown. */
bool events_read(FILE *file, struct history_operation *operations, size_t max, size_t *ret_count);

#endif
