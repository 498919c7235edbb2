/* The inside of disk.h: shared by disk.c (what happens while the process lives), disk_power.c
 * (what is left of it) and disk_shadow.c (what the next process must know). */
#ifndef KX_TESTS_PRELOAD_DISK_PARTS_H
#define KX_TESTS_PRELOAD_DISK_PARTS_H

#include "tests/preload/disk.h"

struct name {
	struct name *next;
	char *text;
	struct inode *inode;
};

struct inode {
	struct inode *next; /* all, the newest first */
	uint64_t number;    /* of the file system, while `visible` */
	bool visible;       /* it has a name now, so that its number is its own */
	bool is_dir;
	bool seen; /* scratch of walks */

	/* A directory. */
	struct name *durable_names;

	/* A file. */
	uint8_t *durable;
	size_t durable_bytes;
	int fd; /* for reading what it holds now, while it is dirty; otherwise -1 */
	bool dirty;
	uint8_t *dirty_blocks; /* one byte each */
	size_t dirty_count;    /* how many there are in the array */
	uint64_t index;        /* in the shadow file */
};

/* A change of names that is not durable yet. */
struct change {
	struct change *next;      /* in the order they happened */
	struct inode *remove_dir; /* NULL: nothing goes */
	char *remove_name;
	struct inode *add_dir; /* NULL: nothing comes */
	char *add_name;
	struct inode *inode;
	struct inode *exchanged; /* takes the name that goes, in the same step; NULL: nobody does */
};

struct disk {
	char root[1024];
	size_t root_bytes;
	char shadow[1024];
	char report[1024];
	struct inode *top;
	struct inode *inodes;
	struct change *changes;
	struct change **changes_end;

	uint64_t points;
	uint64_t cut_at;
	bool kill; /* instead of a power cut */
	bool cut_after;
	uint64_t fail_at;
	int fail_errno;
	char swallow[256];
	uint64_t random;
};

extern struct disk disk;

/* ---- disk.c ---- */

struct inode *inode_new(bool is_dir);
struct inode *name_find(const struct inode *dir, const char *text);
void name_set(struct inode *dir, const char *text, struct inode *inode); /* NULL: remove */
struct change *change_add(struct inode *remove_dir, const char *remove_name, struct inode *add_dir,
    const char *add_name, struct inode *inode);
void change_apply(const struct change *change);
/* Marks the blocks of the range, those behind the end too. */
void inode_dirty(struct inode *inode, int fd, uint64_t offset, uint64_t bytes);
/* Everything that it holds now is durable. */
void inode_settle(struct inode *inode, int fd);
void *must_alloc(size_t bytes); /* zeroed */
void *must_realloc(void *memory, size_t bytes);
char *must_copy(const char *text);

/* ---- disk_power.c ---- */

/* The directory becomes what a power cut leaves of it. */
void power_cut(void);

/* ---- disk_shadow.c ---- */

/* Whatever is there is durable. */
void shadow_scan(void);
/* False: there is no shadow file. It is removed. */
bool shadow_load(void);
void shadow_store(void);

/* Calls `each` for every name in the directory, but "." and "..". */
void each_name(const char *path, void (*each)(void *arg, const char *name), void *arg);

#endif
