/* The directory as a power cut leaves it: first it is decided, in memory, what is kept of what
 * was not durable; then everything is removed and made again from that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/preload/disk_parts.h"
#include "tests/preload/raw.h"

enum keep { KEEP_NOTHING, KEEP_ALL, KEEP_SOME };

static enum keep draw_keep(void)
{
	return (enum keep)disk_random(3);
}

/* ---- Deciding ---- */

static void decide_names(void)
{
	uint64_t count = 0;
	for (struct change *change = disk.changes; change != NULL; change = change->next)
		count++;
	uint64_t kept = 0;
	switch (draw_keep()) {
	case KEEP_NOTHING:
		break;
	case KEEP_ALL:
		kept = count;
		break;
	case KEEP_SOME:
		kept = disk_random(count + 1);
		break;
	}
	for (struct change *change = disk.changes; change != NULL && kept > 0;
	     change = change->next, kept--)
		change_apply(change);
}

static bool keeps(enum keep keep)
{
	return keep == KEEP_ALL || (keep == KEEP_SOME && disk_random(2) == 0);
}

/* Afterwards `durable` is what remains. */
static void decide_data(struct inode *inode)
{
	enum keep keep = draw_keep();
	struct stat status;
	if (syscall(SYS_fstat, inode->fd, &status) < 0)
		disk_uncovered("fstat", "");
	size_t now = (size_t)status.st_size;
	size_t larger = now > inode->durable_bytes ? now : inode->durable_bytes;
	size_t bytes = keeps(keep) ? now : inode->durable_bytes;
	inode->durable = must_realloc(inode->durable, larger);
	memset(inode->durable + inode->durable_bytes, 0, larger - inode->durable_bytes);
	for (size_t block = 0; block < inode->dirty_count; block++) {
		size_t offset = block * DISK_BLOCK_BYTES;
		if (!inode->dirty_blocks[block] || offset >= larger || !keeps(keep))
			continue;
		size_t length = larger - offset;
		if (length > DISK_BLOCK_BYTES)
			length = DISK_BLOCK_BYTES;
		ssize_t got = raw_pread(inode->fd, inode->durable + offset, length, (off_t)offset);
		if (got < 0)
			disk_uncovered("pread", "");
		memset(inode->durable + offset + got, 0, length - (size_t)got);
	}
	inode->durable_bytes = bytes;
}

/* ---- Making it so ---- */

static void remove_below(const char *path);

static void remove_name(void *arg, const char *name)
{
	char path[1024];
	struct stat status;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name) >= sizeof(path))
		disk_uncovered("a path is too long", name);
	if (syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
		disk_uncovered("stat", path);
	if (S_ISDIR(status.st_mode))
		remove_below(path);
	if (syscall(SYS_unlinkat, AT_FDCWD, path, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) < 0)
		disk_uncovered("unlink", path);
}

static void remove_below(const char *path)
{
	each_name(path, remove_name, (void *)(uintptr_t)path);
}

static void make_file(const char *path, const struct inode *inode)
{
	int fd = raw_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		disk_uncovered("create", path);
	for (size_t at = 0; at < inode->durable_bytes;) {
		ssize_t written =
		    raw_pwrite(fd, inode->durable + at, inode->durable_bytes - at, (off_t)at);
		if (written <= 0)
			disk_uncovered("write", path);
		at += (size_t)written;
	}
	raw_close(fd);
}

/* Files with several names are made once and linked then. */
static struct made {
	const struct inode *inode;
	char path[1024];
} * made;
static size_t made_count;

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the directories that a test made. */
static void make_below(const char *path, const struct inode *dir)
{
	char below[1024];
	for (const struct name *name = dir->durable_names; name != NULL; name = name->next) {
		if ((size_t)snprintf(below, sizeof(below), "%s/%s", path, name->text) >=
		    sizeof(below))
			disk_uncovered("a path is too long", name->text);
		if (name->inode->is_dir) {
			if (syscall(SYS_mkdirat, AT_FDCWD, below, 0700) < 0)
				disk_uncovered("mkdir", below);
			make_below(below, name->inode);
			continue;
		}
		size_t i = 0;
		while (i < made_count && made[i].inode != name->inode)
			i++;
		if (i < made_count) {
			if (syscall(SYS_linkat, AT_FDCWD, made[i].path, AT_FDCWD, below, 0) < 0)
				disk_uncovered("link", below);
			continue;
		}
		make_file(below, name->inode);
		made = must_realloc(made, (made_count + 1) * sizeof(*made));
		made[made_count].inode = name->inode;
		snprintf(made[made_count++].path, sizeof(made->path), "%s", below);
	}
}

void power_cut(void)
{
	decide_names();
	for (struct inode *inode = disk.inodes; inode != NULL; inode = inode->next)
		if (!inode->is_dir && inode->dirty)
			decide_data(inode);
	remove_below(disk.root);
	make_below(disk.root, disk.top);
}
