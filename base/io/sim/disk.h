/* The disk of a simulated node: files and directories, each as it is seen, as it is durable, and
 * the list of changes between the two. What happens at a power cut is decided here; faults are
 * decided in fs_sim.c. Private to base/io/sim. */
#ifndef KX_BASE_IO_SIM_DISK_H
#define KX_BASE_IO_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/sim/image.h"

struct sim;
struct inode;

enum { DISK_SECTOR_BYTES = 512 };

struct dir_entry {
	char *name;
	struct inode *inode; /* counted */
};

/* Sorted by name. */
struct dir_map {
	struct dir_entry *entries;
	size_t count;
	size_t capacity;
};

/* One change of a file since its last sync. */
struct disk_change {
	struct disk_change *next;
	uint64_t sequence;
	uint64_t offset;
	uint64_t bytes;    /* 0: only the size changes */
	uint8_t *data;     /* NULL: zeros */
	bool never_stored; /* the device drops it, whatever is synced */
	bool changes_size;
	uint64_t size_after; /* where changes_size */
};

struct inode {
	struct inode *next; /* of all of the disk, in order of number */
	struct inode *previous;
	struct inode *next_dead;
	uint64_t number;
	uint64_t users; /* entries, changes of names, open files */
	uint64_t open_files;
	bool is_dir;
	bool locked;
	bool is_used; /* scratch of disk_used_bytes */

	/* A file. */
	struct image seen;
	struct image durable;
	struct disk_change *changes;
	struct disk_change **changes_end;
	uint64_t changes_sequence; /* of the newest */

	/* A directory. */
	struct dir_map seen_names;
	struct dir_map durable_names;
	uint64_t names_pending; /* scratch of a power cut: changes, */
	uint64_t names_kept;    /* how many of them happen, */
	uint64_t names_counted; /* and how many were looked at */
	bool names_cut;
	bool names_needed; /* scratch of a directory sync */
};

/* One change of names since the directory sync that would cover it. */
struct name_change {
	struct name_change *next;
	struct inode *from_dir; /* NULL: nothing goes away */
	char *from;
	struct inode *to_dir; /* NULL: nothing comes */
	char *to;
	struct inode *inode;
	bool durable; /* scratch of a power cut */
};

struct disk {
	struct sim *sim;
	struct inode *root;
	struct inode *first;
	struct inode *last;
	struct name_change *name_changes;
	struct name_change **name_changes_end;
	uint64_t capacity_bytes; /* 0: unlimited */
};

void disk_init(struct disk *disk, struct sim *sim, uint64_t capacity_bytes);
void disk_done(struct disk *disk);

/* Everything unsynced is kept, lost or torn, and bits may flip. */
void disk_power_cut(struct disk *disk);

/* ---- Data ---- */

uint64_t disk_used_bytes(const struct disk *disk);
/* Whether a file may get this size. */
bool disk_has_room(const struct disk *disk, const struct inode *file, uint64_t bytes);
/* A write that completed. In `durable` nothing changes. */
void disk_write(struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes);
/* Of the sectors of the range, each by chance: a write that failed or was cut off. */
void disk_write_some(
    struct disk *disk, struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes);
/* A write that the device acknowledges and forgets; a page cache in between still shows it. */
void disk_write_nothing(
    struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes, bool cached);
void disk_resize(struct inode *file, uint64_t bytes);
/* Makes the changes up to this one durable. */
void disk_sync(struct inode *file, uint64_t sequence);
/* Of those only what touches the range. */
void disk_sync_range(struct inode *file, uint64_t sequence, uint64_t offset, uint64_t bytes);
/* Each of them by chance; what remains is still unsynced. */
void disk_sync_some(struct disk *disk, struct inode *file, uint64_t sequence);
/* Each of them by chance; what is not stored is not stored by a later sync either. */
void disk_sync_fail(struct disk *disk, struct inode *file, uint64_t sequence);

/* ---- Names ---- */

/* The inode that the path leads to, not counted; NULL where there is none. */
struct inode *disk_find(const struct disk *disk, const char *path);
/* The directory that holds the path's last part; NULL where there is none. *ret_name points into
 * path. */
struct inode *disk_find_parent(const struct disk *disk, const char *path, const char **ret_name);
struct inode *disk_lookup(const struct inode *dir, const char *name);

/* Each makes a change of names that the next disk_sync_dir of the directory makes durable. */
struct inode *disk_create(struct disk *disk, struct inode *dir, const char *name, bool is_dir);
void disk_rename(struct disk *disk, struct inode *from_dir, const char *from, struct inode *to_dir,
    const char *to);
void disk_unlink(struct disk *disk, struct inode *dir, const char *name);
void disk_sync_dir(struct disk *disk, struct inode *dir);
/* disk_names.c's part of a power cut and of disk_done. */
void disk_names_power_cut(struct disk *disk);
void disk_names_done(struct disk *disk);

struct inode *inode_take(struct inode *inode);
void inode_drop(struct disk *disk, struct inode *inode);
/* disk_data.c's part of an inode's end. */
void inode_data_done(struct inode *inode);

#endif
