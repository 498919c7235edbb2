/* Where a contract test keeps its store: a temporary directory (platform_kernel.c), or the disk
 * of a simulated machine, looked at from outside (platform_sim.c). */
#ifndef KX_TESTS_UNIT_STORE_PLATFORM_H
#define KX_TESTS_UNIT_STORE_PLATFORM_H

struct fs;

/* Fixtures: an empty machine. */
void platform_setup(void);
void platform_done(void);

struct fs *platform_fs(void);
/* The root's path, for the real store. */
const char *platform_root(void);
/* A directory and all in it. Only with the kernel's files. */
void platform_remove(const char *path);

#endif
