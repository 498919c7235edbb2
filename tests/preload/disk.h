/* What a tracked directory would hold if the power went now: the part of the preload library
 * that knows, and that at the chosen moment makes it so and ends the process.
 *
 * The model
 *   Data. A file has its durable content (as of its last sync), and blocks of 4 KiB that were
 *   written since. At a power cut each of these blocks is as durable or as written: all old, all
 *   new, or each by chance, decided per file. A changed size is kept or lost the same way.
 *   Names. Creations, renames, links, unlinks and new directories happen at once, and become
 *   durable with a sync of their directory (for a rename between two: of either). At a power cut
 *   those not yet durable happen up to a random one of them in the order they were made, or none,
 *   or all. A file's sync makes no name durable, sync_file_range makes nothing durable.
 *
 * A process that ends otherwise (it was to be killed, or came to its end) leaves everything as
 * it is, and what was durable of it in the shadow file, from which the next process goes on: a
 * page cache outlives processes.
 *
 * Settings, from the environment
 *   POWERCUT_DIR      the tracked directory; without it nothing is tracked
 *   POWERCUT_SHADOW   the shadow file, outside of it
 *   POWERCUT_REPORT   where to write what was counted, one line each
 *   POWERCUT_AT       the process ends at this point, 1 is the first; 0 or nothing: never
 *   POWERCUT_KIND     how: power (default) or kill
 *   POWERCUT_SEED     decides everything that is left to chance
 *   POWERCUT_SWALLOW  syncs of this class do nothing and say that they did; several classes with
 *                     '|' between them
 *   POWERCUT_FAIL_AT  the call at this point fails
 *   POWERCUT_FAIL     with this errno
 *
 * A point is a call that changes something or syncs; it is passed before or after its effect, by
 * chance. A class of syncs is "KIND PATH": KIND is new (a file that was made through the same
 * descriptor), old (any other), or dir; PATH is relative to the tracked directory, numbers as
 * '#'.
 *
 * Real syncs are left out: there is no real power to be cut, and tests are quicker.
 *
 * All functions want the library's mutex to be held, but disk_start.
 */
#ifndef KX_TESTS_PRELOAD_DISK_H
#define KX_TESTS_PRELOAD_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Exit statuses of processes that the library ended. */
enum {
	POWERCUT_POWER = 99,
	POWERCUT_KILL = 98,
	POWERCUT_ASSERTION = 96, /* of a library, which cannot stand an error that it got */
	POWERCUT_UNCOVERED = 97, /* a call that the library does not know how to record */
};

enum { DISK_BLOCK_BYTES = 4096 };

struct inode;

/* Reads the settings and what there is. False: nothing is to be tracked. */
bool disk_start(void);

/* Whether the absolute path lies below the tracked directory, or is it. */
bool disk_tracks(const char *path);

/* Around each call that is a point. The first returns 0, or the errno that the call is to fail with
 * instead of being made. `what` and `path` are for the trace. */
int disk_begin(const char *what, const char *path);
void disk_end(void);

/* What was done, after it was done. Paths are absolute. */
struct inode *disk_created(const char *path, const struct stat *status);
void disk_linked(const char *from, const char *to, const struct stat *status);
/* `replaced`: the status of what stood at `to`, or NULL. */
void disk_renamed(
    const char *from, const char *to, const struct stat *status, const struct stat *replaced);
/* Two names of one directory changed places; the statuses are those before. */
void disk_exchanged(
    const char *one, const char *other, const struct stat *one_was, const struct stat *other_was);
void disk_unlinked(const char *path, const struct stat *status);
/* `fd` may be of any mode. */
void disk_wrote(struct inode *inode, int fd, uint64_t offset, uint64_t bytes);
void disk_resized(struct inode *inode, int fd, uint64_t before, uint64_t after);
void disk_synced(struct inode *inode, int fd, bool made_here);
/* A write that asked for its own range to be synced. */
void disk_synced_range(
    struct inode *inode, int fd, bool made_here, uint64_t offset, uint64_t bytes);
void disk_synced_all(void);

/* The tracked file or directory; NULL: not tracked. */
struct inode *disk_inode(const struct stat *status);
/* Whether the inode is still this one. */
bool disk_is(const struct inode *inode, const struct stat *status);

/* The process comes to its end: shadow and report are written. */
void disk_leave(void);

/* Ends the process: the library would record something wrong. */
__attribute__((noreturn)) void disk_uncovered(const char *what, const char *path);

/* Chance, from the seed. */
uint64_t disk_random(uint64_t below);

#endif
