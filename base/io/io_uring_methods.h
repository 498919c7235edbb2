/* How durable writes are handed to the kernel: two ways that mean the same, and which of them takes
 * less time here and now.
 *
 *   synced   one request that asks for its own sync (RWF_DSYNC). The kernel's own threads flush, on
 *            the processor that gets the device's interrupts: half the processor time for this
 *            process. They have ordinary priority and wait where other programs keep that
 *            processor busy.
 *   linked   a write with a sync linked behind it, which a thread of the ring runs: next to the
 *            core's own thread, with its priority.
 *
 * On a machine that has nothing else to do the first is at least as quick; where other programs
 * keep all processors busy the second can be quicker by a factor of ten (docs/performance.md). So
 * both are measured: now and then a write goes the other way. Pure: no clock, no ring. */
#ifndef KX_BASE_IO_IO_URING_METHODS_H
#define KX_BASE_IO_IO_URING_METHODS_H

#include <stdbool.h>
#include <stdint.h>

enum write_method {
	WRITE_SYNCED,
	WRITE_LINKED,
	WRITE_METHODS,
};

/* All zeros at the begin: synced is preferred, nothing is known. */
struct write_methods {
	uint64_t mean_ns[WRITE_METHODS]; /* of late; 0: not known */
	uint64_t writes;
	enum write_method preferred;
};

enum write_method write_methods_next(struct write_methods *methods);
/* A write that was not short nor submitted twice took so long. */
void write_methods_took(struct write_methods *methods, enum write_method method, uint64_t ns);

#endif
