/* What the files of the library that stand in front of libc share. The functions want the library's
 * mutex to be held, but for calls_lock. */
#ifndef KX_TESTS_PRELOAD_CALLS_H
#define KX_TESTS_PRELOAD_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))

enum { CALLS_PATH_BYTES = 1024 };

void calls_lock(void);
void calls_unlock(void);

/* The path that was opened. */
bool calls_descriptor_path(int fd, char path[CALLS_PATH_BYTES]);
/* Whether the file is tracked, and its absolute path. */
bool calls_tracked_path(int directory, const char *from, char path[CALLS_PATH_BYTES]);
bool calls_stat(const char *path, struct stat *status);
/* Sets errno; -1. */
int calls_fail(int error);

bool calls_track(int fd);
/* The descriptor is a tracked file. */
ssize_t calls_write(int fd, const void *data, size_t bytes, off_t at);
/* Of the range; of all where it is empty. */
int calls_sync(int fd, uint64_t offset, uint64_t bytes);

#endif
