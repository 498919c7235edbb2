/* What one process leaves for the next, in one file: everything that was durable, and the changes
 * of names that were not, in their order. (What is there now does not tell the order, and a CURRENT
 * that becomes durable before what it names would be damage that no file system does.)
 *
 *   inode count u64, then for each, as u64: visible, number, is_dir, count (of bytes or names);
 *   of a file its bytes, of a directory for each name: inode index u64, length u64, text;
 *   change count u64, then for each: the directories of the name that goes and of the one that
 *   comes, the inode, the one that is exchanged (as index + 1 u64; 0: none), both names (length
 *   u64, text)
 *
 * Inode 0 is the tracked directory. The file is read by the same machine that wrote it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/preload/disk_parts.h"
#include "tests/preload/raw.h"

struct entries {
	uint64_t ino;
	int64_t off;
	unsigned short length;
	unsigned char type;
	char name[];
};

void each_name(const char *path, void (*each)(void *arg, const char *name), void *arg)
{
	char *names = NULL;
	size_t bytes = 0;
	_Alignas(8) char buffer[8192];
	int fd = raw_open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		disk_uncovered("open", path);
	for (;;) {
		long got = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
		if (got < 0)
			disk_uncovered("getdents", path);
		if (got == 0)
			break;
		for (long at = 0; at < got;) {
			const struct entries *entry = (const struct entries *)(void *)(buffer + at);
			at += entry->length;
			if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
				continue;
			size_t length = strlen(entry->name) + 1;
			names = must_realloc(names, bytes + length);
			memcpy(names + bytes, entry->name, length);
			bytes += length;
		}
	}
	raw_close(fd);
	/* Copied first: `each` may remove. */
	for (size_t at = 0; at < bytes; at += strlen(names + at) + 1)
		each(arg, names + at);
	free(names);
}

/* ---- What is there ---- */

struct place {
	char path[1024];
	struct inode *dir;
};

static void stat_at(struct place *place, const char *name, char path[1024], struct stat *status)
{
	if ((size_t)snprintf(path, 1024, "%s/%s", place->path, name) >= 1024)
		disk_uncovered("a path is too long", name);
	if (syscall(SYS_newfstatat, AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW) < 0)
		disk_uncovered("stat", path);
}

static struct inode *read_inode(const char *path, const struct stat *status)
{
	struct inode *inode = inode_new(S_ISDIR(status->st_mode));
	inode->visible = true;
	inode->number = status->st_ino;
	if (!inode->is_dir) {
		int fd = raw_open(path, O_RDONLY);
		if (fd < 0)
			disk_uncovered("open", path);
		inode_dirty(inode, fd, 0, (uint64_t)status->st_size);
		inode_settle(inode, fd);
		raw_close(fd);
	}
	return inode;
}

static void scan_name(void *arg, const char *name)
{
	struct place *place = arg;
	struct place below;
	struct stat status;
	stat_at(place, name, below.path, &status);
	below.dir = disk_inode(&status);
	if (below.dir == NULL)
		below.dir = read_inode(below.path, &status);
	name_set(place->dir, name, below.dir);
	if (below.dir->is_dir)
		each_name(below.path, scan_name, &below);
}

static struct place top_place(void)
{
	struct place top = {.dir = disk.top};
	snprintf(top.path, sizeof(top.path), "%s", disk.root);
	return top;
}

void shadow_scan(void)
{
	struct stat status;
	if (syscall(SYS_newfstatat, AT_FDCWD, disk.root, &status, 0) < 0)
		disk_uncovered("no directory", disk.root);
	disk.top = read_inode(disk.root, &status);
	struct place top = top_place();
	each_name(top.path, scan_name, &top);
}

/* ---- Writing ---- */

struct file {
	int fd;
	off_t at;
	uint8_t *buffer;
	size_t used;
};

enum { FILE_BUFFER_BYTES = 1 << 20 };

static void file_flush(struct file *file)
{
	for (size_t done = 0; done < file->used;) {
		ssize_t written =
		    raw_pwrite(file->fd, file->buffer + done, file->used - done, file->at);
		if (written <= 0)
			disk_uncovered("write", disk.shadow);
		done += (size_t)written;
		file->at += written;
	}
	file->used = 0;
}

static void file_put(struct file *file, const void *data, size_t bytes)
{
	const uint8_t *from = data;
	while (bytes > 0) {
		size_t room = FILE_BUFFER_BYTES - file->used;
		size_t part = bytes < room ? bytes : room;
		memcpy(file->buffer + file->used, from, part);
		file->used += part;
		from += part;
		bytes -= part;
		if (file->used == FILE_BUFFER_BYTES)
			file_flush(file);
	}
}

static void file_put_number(struct file *file, uint64_t number)
{
	file_put(file, &number, sizeof(number));
}

static uint64_t count_names(const struct inode *dir)
{
	uint64_t count = 0;
	for (const struct name *name = dir->durable_names; name != NULL; name = name->next)
		count++;
	return count;
}

static void put_inode(struct file *file, const struct inode *inode)
{
	file_put_number(file, inode->visible);
	file_put_number(file, inode->number);
	file_put_number(file, inode->is_dir);
	file_put_number(file, inode->is_dir ? count_names(inode) : inode->durable_bytes);
	if (!inode->is_dir) {
		file_put(file, inode->durable, inode->durable_bytes);
		return;
	}
	for (const struct name *name = inode->durable_names; name != NULL; name = name->next) {
		size_t bytes = strlen(name->text);
		file_put_number(file, name->inode->index);
		file_put_number(file, bytes);
		file_put(file, name->text, bytes);
	}
}

static void put_text(struct file *file, const char *text)
{
	size_t bytes = text != NULL ? strlen(text) : 0;
	file_put_number(file, bytes);
	file_put(file, text, bytes);
}

static void put_changes(struct file *file)
{
	uint64_t count = 0;
	for (const struct change *change = disk.changes; change != NULL; change = change->next)
		count++;
	file_put_number(file, count);
	for (const struct change *change = disk.changes; change != NULL; change = change->next) {
		const struct inode *inodes[] = {
		    change->remove_dir, change->add_dir, change->inode, change->exchanged};
		for (size_t i = 0; i < sizeof(inodes) / sizeof(inodes[0]); i++)
			file_put_number(file, inodes[i] != NULL ? inodes[i]->index + 1 : 0);
		put_text(file, change->remove_name);
		put_text(file, change->add_name);
	}
}

/* The tracked directory first, then every other one. */
static uint64_t number_inodes(void)
{
	uint64_t count = 1;
	disk.top->index = 0;
	for (struct inode *inode = disk.inodes; inode != NULL; inode = inode->next)
		if (inode != disk.top)
			inode->index = count++;
	return count;
}

void shadow_store(void)
{
	struct file file = {.buffer = must_alloc(FILE_BUFFER_BYTES)};
	file.fd = raw_openat(AT_FDCWD, disk.shadow, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file.fd < 0)
		disk_uncovered("create", disk.shadow);
	file_put_number(&file, number_inodes());
	put_inode(&file, disk.top);
	for (struct inode *inode = disk.inodes; inode != NULL; inode = inode->next)
		if (inode != disk.top)
			put_inode(&file, inode);
	put_changes(&file);
	file_flush(&file);
	raw_close(file.fd);
	free(file.buffer);
}

/* ---- Reading ---- */

static void file_get(struct file *file, void *to, size_t bytes)
{
	if (bytes > 0 && raw_pread(file->fd, to, bytes, file->at) != (ssize_t)bytes)
		disk_uncovered("read", disk.shadow);
	file->at += (off_t)bytes;
}

static uint64_t file_get_number(struct file *file)
{
	uint64_t number;
	file_get(file, &number, sizeof(number));
	return number;
}

static void get_text(struct file *file, char text[256])
{
	size_t bytes = file_get_number(file);
	if (bytes >= 256)
		disk_uncovered("a name is too long", disk.shadow);
	file_get(file, text, bytes);
	text[bytes] = '\0';
}

static void get_inode(struct file *file, struct inode **inodes, struct inode *inode)
{
	inode->visible = file_get_number(file) != 0;
	inode->number = file_get_number(file);
	inode->is_dir = file_get_number(file) != 0;
	uint64_t count = file_get_number(file);
	if (!inode->is_dir) {
		inode->durable = must_alloc(count);
		inode->durable_bytes = count;
		file_get(file, inode->durable, count);
		return;
	}
	for (; count > 0; count--) {
		char text[256];
		struct inode *named = inodes[file_get_number(file)];
		get_text(file, text);
		name_set(inode, text, named);
	}
}

static void get_changes(struct file *file, struct inode **inodes)
{
	for (uint64_t count = file_get_number(file); count > 0; count--) {
		char remove_name[256];
		char add_name[256];
		struct inode *of[4];
		for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
			uint64_t index = file_get_number(file);
			of[i] = index > 0 ? inodes[index - 1] : NULL;
		}
		get_text(file, remove_name);
		get_text(file, add_name);
		struct change *change = change_add(of[0], remove_name, of[1], add_name, of[2]);
		change->exchanged = of[3];
	}
}

/* Blocks that differ from what is durable were written and not synced. */
static void compare_data(struct inode *inode, const char *path, const struct stat *status)
{
	size_t bytes = (size_t)status->st_size;
	int fd = raw_open(path, O_RDONLY);
	if (fd < 0)
		disk_uncovered("open", path);
	if (bytes != inode->durable_bytes)
		inode_dirty(inode, fd, 0, 0);
	for (size_t offset = 0; offset < bytes; offset += DISK_BLOCK_BYTES) {
		uint8_t block[DISK_BLOCK_BYTES];
		uint8_t durable[DISK_BLOCK_BYTES] = {0};
		ssize_t got = raw_pread(fd, block, sizeof(block), (off_t)offset);
		if (got < 0)
			disk_uncovered("read", path);
		if (offset < inode->durable_bytes) {
			size_t left = inode->durable_bytes - offset;
			memcpy(durable, inode->durable + offset,
			    left < sizeof(durable) ? left : sizeof(durable));
		}
		if (memcmp(block, durable, (size_t)got) != 0)
			inode_dirty(inode, fd, offset, (uint64_t)got);
	}
	raw_close(fd);
}

/* What is there, against what is known of it. */
static void compare_name(void *arg, const char *name)
{
	struct place *place = arg;
	struct place below;
	struct stat status;
	stat_at(place, name, below.path, &status);
	below.dir = disk_inode(&status);
	if (below.dir == NULL)
		disk_uncovered("a file that no process made", below.path);
	if (!below.dir->seen && !below.dir->is_dir)
		compare_data(below.dir, below.path, &status);
	below.dir->seen = true;
	if (below.dir->is_dir)
		each_name(below.path, compare_name, &below);
}

bool shadow_load(void)
{
	struct file file = {.fd = raw_open(disk.shadow, O_RDONLY)};
	if (file.fd < 0)
		return false;
	uint64_t count = file_get_number(&file);
	struct inode **inodes = must_alloc(count * sizeof(*inodes));
	for (uint64_t i = count; i > 0; i--)
		inodes[i - 1] = inode_new(false);
	for (uint64_t i = 0; i < count; i++)
		get_inode(&file, inodes, inodes[i]);
	disk.top = inodes[0];
	get_changes(&file, inodes);
	free(inodes);
	raw_close(file.fd);
	syscall(SYS_unlinkat, AT_FDCWD, disk.shadow, 0);
	struct place top = top_place();
	each_name(top.path, compare_name, &top);
	return true;
}
