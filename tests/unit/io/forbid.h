/* Makes the kernel refuse a system call to this process, as an older one or a container would. */
#ifndef KX_TESTS_UNIT_IO_FORBID_H
#define KX_TESTS_UNIT_IO_FORBID_H

/* From now on, for good, and for threads made later: `number` (__NR_...) answers with this errno.
 * Where `second` is not 0, only calls with that second argument. */
void forbid_call(long number, unsigned second, int err);

#endif
