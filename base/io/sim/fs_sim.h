/* Simulated open files, and the halves of an operation on them, each at its own time. Private to
 * base/io/sim. Callers of sim_file_* stand inside the process and have passed their crash point. */
#ifndef KX_BASE_IO_SIM_FS_SIM_H
#define KX_BASE_IO_SIM_FS_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/io/sim/world.h"

struct fs {
	struct sim_node *node;
	struct fs_file *files; /* all open ones */
	struct fs_lock *locks; /* all held ones */
};

struct fs_file {
	struct fs *fs;
	struct inode *inode;
	struct fs_file *next;
	struct fs_file *previous;
	unsigned flags;
	bool of_process;
	bool holds_lock;
	uint64_t operations;
	char path[]; /* as it was opened */
};

struct fs_lock {
	struct fs *fs;
	struct inode *inode;
	struct fs_lock *next;
	bool of_process;
};

static inline struct disk *disk_of(const struct fs *fs)
{
	return &fs->node->disk;
}

/* An operation is under way: the file may not be closed. */
void sim_file_hold(struct fs_file *file);
void sim_file_release(struct fs_file *file);

/* The write completes now, faults included. */
NODISCARD int sim_file_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes);
/* Any of its sectors are written; for a process that ends in the middle of it. */
void sim_file_write_some(struct fs_file *file, uint64_t offset, const void *data, size_t bytes);
/* What becomes of a write under way when its process ends: all, nothing or a beginning of it, now
 * or later. Outside. */
void sim_file_write_cut_off(
    struct fs_file *file, uint64_t offset, const void *data, size_t bytes, enum sim_crash crash);

/* The newest change of the file: what a sync that is issued now covers. */
uint64_t sim_file_changes(const struct fs_file *file);
/* The sync completes now, faults included. */
NODISCARD int sim_file_sync(struct fs_file *file, uint64_t changes);
/* The same for a write that asked for its own range to be synced. */
NODISCARD int sim_file_sync_range(
    struct fs_file *file, uint64_t changes, uint64_t offset, uint64_t bytes);
void sim_file_sync_some(struct fs_file *file, uint64_t changes);

NODISCARD int sim_file_read(
    struct fs_file *file, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes);

/* For the trace. */
uint64_t sim_file_number(const struct fs_file *file);

#endif
