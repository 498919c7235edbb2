/* Time, as everything above this folder sees it. A contract without an implementation of its own:
 * programs link base/clock_system.c (libkx_clock.a), the simulator links its simulated clock under
 * the same names. No other code may ask the system for the time. Any thread.
 */
#ifndef KX_BASE_CLOCK_H
#define KX_BASE_CLOCK_H

#include <stdint.h>

/* For durations and timers: never goes back, starts anywhere, means nothing after a restart or on
 * another machine. */
uint64_t clock_monotonic_ns(void);

/* What the calling thread itself has run, from anywhere: time in which the processor was given to
 * others does not count. A system call; simulated, it is the monotonic time. */
uint64_t clock_thread_ns(void);

/* Milliseconds since 1970 UTC. May jump either way: never for timers, never for safety. */
int64_t clock_real_ms(void);

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

#endif
