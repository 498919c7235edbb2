/* The contract tests of io.h and fs.h are written once and run against both implementations:
 * io_test links this on the kernel (platform_kernel.c), io_sim_test on the simulator
 * (platform_sim.c).
 *
 * One machine per test, made by the fixture of its group. */
#ifndef KX_TESTS_UNIT_IO_PLATFORM_H
#define KX_TESTS_UNIT_IO_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct io;

/* Fixtures: an empty machine. platform_setup makes an io as well. */
void platform_setup_files(void);
void platform_setup(void);
void platform_done(void);

/* The machine's files. */
struct fs *platform_fs(void);
/* Somebody else's view of the same files (a second struct fs, or the same where there is but
 * one). */
struct fs *platform_other_fs(void);

struct io *platform_io(void);
/* One for another core of the same machine: made by the first call, gone with the machine. */
struct io *platform_second_io(void);
/* Turns until `until` is true; fails the test where nothing is left that could make it true. */
void platform_run(bool (*until)(void *arg), void *arg);
/* A turn that does not wait for anything to complete. */
void platform_turn(void);

/* On the kernel only: where the files really are, and a name in it that leads elsewhere. */
const char *platform_directory(void);
void platform_link(const char *name, const char *target);

#endif
