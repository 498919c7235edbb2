/* The last log lines of the process, in memory that is bounded: for looking at a running server
 * without its standard error. Any thread; the lock is held for one copy.
 *
 * Lines are numbered from 1. A reader that comes back with the number behind its last line gets
 * what came since, and sees by the first number where lines were thrown away meanwhile.
 */
#ifndef KX_BASE_LOG_RING_H
#define KX_BASE_LOG_RING_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define LOG_RING_BYTES ((size_t)1 << 20)

/* From now on every line is kept, too. Before threads start, once. ERR_NOMEM. */
NODISCARD int log_ring_start(void);
/* No line is kept any more, and none is left. After threads have ended. */
void log_ring_stop(void);

struct log_ring_read {
	uint64_t first; /* number of the first line in the text */
	uint64_t next;  /* number behind the last one */
};

/* Appends lines, each with its newline, beginning with number `from`; 0: the newest. At most
 * lines_max of them, and at most about bytes_max bytes. Errors of buffer_append. */
NODISCARD int log_ring_read(uint64_t from, uint32_t lines_max, size_t bytes_max, struct buffer *out,
    struct log_ring_read *ret_read);

#endif
