#include "tests/preload/disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/preload/disk_parts.h"
#include "tests/preload/raw.h"

struct disk disk;

/* How often each class of syncs was asked for. */
static struct {
	char text[256];
	uint64_t count;
} classes[128];

void *must_alloc(size_t bytes)
{
	void *memory = calloc(1, bytes > 0 ? bytes : 1);
	if (memory == NULL)
		disk_uncovered("out of memory", "");
	return memory;
}

void *must_realloc(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes > 0 ? bytes : 1);
	if (memory == NULL)
		disk_uncovered("out of memory", "");
	return memory;
}

char *must_copy(const char *text)
{
	size_t bytes = strlen(text) + 1;
	return memcpy(must_alloc(bytes), text, bytes);
}

void disk_uncovered(const char *what, const char *path)
{
	char text[1400];
	int bytes = snprintf(text, sizeof(text), "powercut: cannot record: %s %s (%s)\n", what,
	    path, strerror(errno));
	if (bytes > 0)
		syscall(SYS_write, 2, text, (size_t)bytes);
	raw_exit(POWERCUT_UNCOVERED);
}

uint64_t disk_random(uint64_t below)
{
	disk.random += 0x9e3779b97f4a7c15;
	uint64_t mixed = disk.random;
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return (mixed ^ mixed >> 31) % below;
}

/* ---- Settings ---- */

static uint64_t number_setting(const char *name)
{
	const char *text = getenv(name);
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void text_setting(const char *name, char *to, size_t bytes)
{
	const char *text = getenv(name);
	snprintf(to, bytes, "%s", text != NULL ? text : "");
}

bool disk_start(void)
{
	text_setting("POWERCUT_DIR", disk.root, sizeof(disk.root));
	disk.root_bytes = strlen(disk.root);
	if (disk.root_bytes == 0)
		return false;
	text_setting("POWERCUT_SHADOW", disk.shadow, sizeof(disk.shadow));
	text_setting("POWERCUT_REPORT", disk.report, sizeof(disk.report));
	text_setting("POWERCUT_SWALLOW", disk.swallow, sizeof(disk.swallow));
	const char *kind = getenv("POWERCUT_KIND");
	disk.kill = kind != NULL && strcmp(kind, "kill") == 0;
	disk.cut_at = number_setting("POWERCUT_AT");
	disk.fail_at = number_setting("POWERCUT_FAIL_AT");
	disk.fail_errno = (int)number_setting("POWERCUT_FAIL");
	disk.random = number_setting("POWERCUT_SEED");
	disk.changes_end = &disk.changes;
	if (disk.shadow[0] == '\0' || !shadow_load())
		shadow_scan();
	return true;
}

bool disk_tracks(const char *path)
{
	if (disk.root_bytes == 0 || strncmp(path, disk.root, disk.root_bytes) != 0)
		return false;
	return path[disk.root_bytes] == '/' || path[disk.root_bytes] == '\0';
}

/* ---- Points ---- */

static void write_report(void)
{
	char text[300];
	int fd = raw_openat(AT_FDCWD, disk.report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	off_t at = 0;
	int bytes = snprintf(text, sizeof(text), "points %llu\n", (unsigned long long)disk.points);
	at += raw_pwrite(fd, text, (size_t)bytes, at);
	for (size_t i = 0; classes[i].count > 0; i++) {
		bytes = snprintf(text, sizeof(text), "sync %llu %s\n",
		    (unsigned long long)classes[i].count, classes[i].text);
		at += raw_pwrite(fd, text, (size_t)bytes, at);
	}
	raw_close(fd);
}

void disk_leave(void)
{
	if (disk.report[0] != '\0')
		write_report();
	if (disk.shadow[0] != '\0')
		shadow_store();
}

/* The mutex stays locked: whoever wants to change something meanwhile waits for the end. */
static void end_here(void)
{
	if (disk.report[0] != '\0')
		write_report();
	if (disk.kill) {
		shadow_store();
		raw_exit(POWERCUT_KILL);
	}
	power_cut();
	raw_exit(POWERCUT_POWER);
}

int disk_begin(const char *what, const char *path)
{
	disk.points++;
	if (getenv("POWERCUT_TRACE") != NULL) {
		char text[1400];
		int bytes = snprintf(text, sizeof(text), "%llu %s %s\n",
		    (unsigned long long)disk.points, what, path);
		syscall(SYS_write, 2, text, (size_t)bytes);
	}
	if (disk.points == disk.cut_at) {
		if (disk_random(2) == 0)
			end_here();
		disk.cut_after = true;
	}
	return disk.points == disk.fail_at ? disk.fail_errno : 0;
}

void disk_end(void)
{
	if (disk.cut_after)
		end_here();
}

/* ---- Inodes and names ---- */

struct inode *inode_new(bool is_dir)
{
	struct inode *inode = must_alloc(sizeof(*inode));
	inode->is_dir = is_dir;
	inode->fd = -1;
	inode->next = disk.inodes;
	disk.inodes = inode;
	return inode;
}

struct inode *disk_inode(const struct stat *status)
{
	for (struct inode *inode = disk.inodes; inode != NULL; inode = inode->next)
		if (inode->visible && inode->number == status->st_ino)
			return inode;
	return NULL;
}

bool disk_is(const struct inode *inode, const struct stat *status)
{
	/* One without a name has kept its number, but the library has not. */
	return inode->visible ? inode->number == status->st_ino : status->st_nlink == 0;
}

struct inode *name_find(const struct inode *dir, const char *text)
{
	for (struct name *name = dir->durable_names; name != NULL; name = name->next)
		if (strcmp(name->text, text) == 0)
			return name->inode;
	return NULL;
}

void name_set(struct inode *dir, const char *text, struct inode *inode)
{
	struct name **link = &dir->durable_names;
	while (*link != NULL && strcmp((*link)->text, text) != 0)
		link = &(*link)->next;
	struct name *name = *link;
	if (name != NULL && inode != NULL) {
		name->inode = inode;
	} else if (name != NULL) {
		*link = name->next;
		free(name->text);
		free(name);
	} else if (inode != NULL) {
		name = must_alloc(sizeof(*name));
		name->text = must_copy(text);
		name->inode = inode;
		*link = name;
	}
}

struct change *change_add(struct inode *remove_dir, const char *remove_name, struct inode *add_dir,
    const char *add_name, struct inode *inode)
{
	struct change *change = must_alloc(sizeof(*change));
	change->remove_dir = remove_dir;
	change->remove_name = remove_dir != NULL ? must_copy(remove_name) : NULL;
	change->add_dir = add_dir;
	change->add_name = add_dir != NULL ? must_copy(add_name) : NULL;
	change->inode = inode;
	*disk.changes_end = change;
	disk.changes_end = &change->next;
	return change;
}

void change_apply(const struct change *change)
{
	if (change->exchanged != NULL && change->remove_dir != NULL) {
		name_set(change->remove_dir, change->remove_name, change->exchanged);
		name_set(change->add_dir, change->add_name, change->inode);
		return;
	}
	/* Another file may have taken the name since, durably. */
	if (change->remove_dir != NULL &&
	    name_find(change->remove_dir, change->remove_name) == change->inode)
		name_set(change->remove_dir, change->remove_name, NULL);
	if (change->add_dir != NULL)
		name_set(change->add_dir, change->add_name, change->inode);
}

/* An earlier creation of what a rename took away must not come back after it. */
static void forget_additions(const struct change *until)
{
	for (struct change *change = disk.changes; change != until; change = change->next)
		if (change->add_dir == until->remove_dir && change->inode == until->inode &&
		    strcmp(change->add_name, until->remove_name) == 0)
			change->add_dir = NULL;
}

static void sync_names(const struct inode *dir)
{
	struct change **link = &disk.changes;
	while (*link != NULL) {
		struct change *change = *link;
		if (change->remove_dir != dir && change->add_dir != dir) {
			link = &change->next;
			continue;
		}
		if (change->remove_dir != NULL && change->exchanged == NULL)
			forget_additions(change);
		change_apply(change);
		*link = change->next;
		if (*link == NULL)
			disk.changes_end = link;
		free(change->remove_name);
		free(change->add_name);
		free(change);
	}
}

/* The directory of an absolute path, and the path's last part. */
static struct inode *parent_of(const char *path, const char **ret_name)
{
	char parent[1024];
	struct stat status;
	const char *slash = strrchr(path, '/');
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	if (syscall(SYS_newfstatat, AT_FDCWD, parent, &status, 0) < 0)
		disk_uncovered("no directory of", path);
	struct inode *dir = disk_inode(&status);
	if (dir == NULL || !dir->is_dir)
		disk_uncovered("unknown directory of", path);
	*ret_name = slash + 1;
	return dir;
}

struct inode *disk_created(const char *path, const struct stat *status)
{
	const char *name;
	struct inode *dir = parent_of(path, &name);
	/* A number of an inode that is gone is given out again. */
	struct inode *inode = inode_new(S_ISDIR(status->st_mode));
	inode->visible = true;
	inode->number = status->st_ino;
	change_add(NULL, NULL, dir, name, inode);
	return inode;
}

static void name_went(struct inode *inode, const struct stat *before)
{
	if (inode->is_dir || before->st_nlink == 1)
		inode->visible = false;
}

static struct inode *must_find(const struct stat *status, const char *path)
{
	struct inode *inode = disk_inode(status);
	if (inode == NULL)
		disk_uncovered("unknown file", path);
	return inode;
}

void disk_linked(const char *from, const char *to, const struct stat *status)
{
	const char *name;
	struct inode *inode = must_find(status, from);
	struct inode *dir = parent_of(to, &name);
	change_add(NULL, NULL, dir, name, inode);
}

void disk_renamed(
    const char *from, const char *to, const struct stat *status, const struct stat *replaced)
{
	const char *from_name;
	const char *to_name;
	struct inode *inode = must_find(status, from);
	struct inode *from_dir = parent_of(from, &from_name);
	struct inode *to_dir = parent_of(to, &to_name);
	if (replaced != NULL)
		name_went(must_find(replaced, to), replaced);
	change_add(from_dir, from_name, to_dir, to_name, inode);
}

void disk_exchanged(
    const char *one, const char *other, const struct stat *one_was, const struct stat *other_was)
{
	const char *one_name;
	const char *other_name;
	struct inode *dir = parent_of(one, &one_name);
	if (parent_of(other, &other_name) != dir)
		disk_uncovered("an exchange between two directories", one);
	struct change *change = change_add(dir, one_name, dir, other_name, must_find(one_was, one));
	change->exchanged = must_find(other_was, other);
}

void disk_unlinked(const char *path, const struct stat *status)
{
	const char *name;
	struct inode *inode = must_find(status, path);
	struct inode *dir = parent_of(path, &name);
	name_went(inode, status);
	change_add(dir, name, NULL, NULL, inode);
}

/* ---- Data ---- */

static int reading_fd(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reading = raw_open(path, O_RDONLY);
	if (reading < 0)
		disk_uncovered("cannot read", path);
	return reading;
}

void inode_dirty(struct inode *inode, int fd, uint64_t offset, uint64_t bytes)
{
	if (inode->fd < 0)
		inode->fd = reading_fd(fd);
	inode->dirty = true;
	if (bytes == 0)
		return;
	size_t first = offset / DISK_BLOCK_BYTES;
	size_t end = (offset + bytes + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES;
	if (end > inode->dirty_count) {
		inode->dirty_blocks = must_realloc(inode->dirty_blocks, end);
		memset(inode->dirty_blocks + inode->dirty_count, 0, end - inode->dirty_count);
		inode->dirty_count = end;
	}
	memset(inode->dirty_blocks + first, 1, end - first);
}

void disk_wrote(struct inode *inode, int fd, uint64_t offset, uint64_t bytes)
{
	inode_dirty(inode, fd, offset, bytes);
}

void disk_resized(struct inode *inode, int fd, uint64_t before, uint64_t after)
{
	/* What a cut took away is zero, also when the file grows again. */
	if (after < before)
		inode_dirty(inode, fd, after, before - after);
	else
		inode_dirty(inode, fd, 0, 0);
}

/* The blocks of the range, and the file's size. */
static void settle_range(struct inode *inode, int reading, size_t first, size_t end)
{
	struct stat status;
	if (syscall(SYS_fstat, reading, &status) < 0)
		disk_uncovered("fstat", "");
	size_t bytes = (size_t)status.st_size;
	inode->durable = must_realloc(inode->durable, bytes);
	if (bytes > inode->durable_bytes)
		memset(inode->durable + inode->durable_bytes, 0, bytes - inode->durable_bytes);
	inode->durable_bytes = bytes;
	for (size_t block = first; block < end && block < inode->dirty_count; block++) {
		size_t offset = block * DISK_BLOCK_BYTES;
		bool is_dirty = inode->dirty_blocks[block];
		inode->dirty_blocks[block] = 0;
		if (!is_dirty || offset >= bytes)
			continue;
		size_t length =
		    bytes - offset < DISK_BLOCK_BYTES ? bytes - offset : DISK_BLOCK_BYTES;
		if (raw_pread(reading, inode->durable + offset, length, (off_t)offset) !=
		    (ssize_t)length)
			disk_uncovered("short read", "");
	}
}

void inode_settle(struct inode *inode, int fd)
{
	int reading = inode->fd >= 0 ? inode->fd : reading_fd(fd);
	settle_range(inode, reading, 0, inode->dirty_count);
	raw_close(reading);
	free(inode->dirty_blocks);
	inode->dirty_blocks = NULL;
	inode->dirty_count = 0;
	inode->dirty = false;
	inode->fd = -1;
}

/* ---- Syncs ---- */

static void class_of(char *text, size_t bytes, const struct inode *inode, int fd, bool made_here)
{
	char link[64];
	char path[1024];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		disk_uncovered("readlink", link);
	path[length] = '\0';
	const char *below = path + (disk_tracks(path) ? disk.root_bytes : 0);
	below += below[0] == '/';
	const char *kind = inode->is_dir ? "dir" : made_here ? "new" : "old";
	size_t at = (size_t)snprintf(text, bytes, "%s ", kind);
	if (below[0] == '\0')
		below = ".";
	for (; *below != '\0' && at + 1 < bytes; below++) {
		bool is_digit = *below >= '0' && *below <= '9';
		bool in_number = text[at - 1] == '#';
		/* A number of the log is hexadecimal, and begins with zeros. */
		if (in_number && (is_digit || (*below >= 'a' && *below <= 'f')))
			continue;
		text[at++] = (char)(is_digit ? '#' : *below);
	}
	text[at] = '\0';
}

static void count_class(const char *text)
{
	size_t i = 0;
	while (classes[i].count > 0 && strcmp(classes[i].text, text) != 0)
		if (++i + 1 == sizeof(classes) / sizeof(classes[0]))
			disk_uncovered("too many classes of syncs", text);
	snprintf(classes[i].text, sizeof(classes[i].text), "%s", text);
	classes[i].count++;
}

/* POWERCUT_SWALLOW is one class, or several with '|' between them. */
static bool is_swallowed(const char *class)
{
	size_t bytes = strlen(class);
	for (const char *at = disk.swallow; *at != '\0';) {
		size_t length = strcspn(at, "|");
		if (length == bytes && strncmp(at, class, bytes) == 0)
			return true;
		at += length + (at[length] == '|');
	}
	return false;
}

static bool counts(const struct inode *inode, int fd, bool made_here)
{
	char text[256];
	class_of(text, sizeof(text), inode, fd, made_here);
	count_class(text);
	return !is_swallowed(text);
}

void disk_synced(struct inode *inode, int fd, bool made_here)
{
	if (!counts(inode, fd, made_here))
		return;
	if (inode->is_dir)
		sync_names(inode);
	else if (inode->dirty)
		inode_settle(inode, fd);
}

void disk_synced_range(struct inode *inode, int fd, bool made_here, uint64_t offset, uint64_t bytes)
{
	if (!counts(inode, fd, made_here) || !inode->dirty)
		return;
	size_t first = (size_t)(offset / DISK_BLOCK_BYTES);
	size_t end = (size_t)((offset + bytes + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES);
	settle_range(inode, inode->fd, first, end);
}

void disk_synced_all(void)
{
	count_class("all .");
	for (struct inode *inode = disk.inodes; inode != NULL; inode = inode->next) {
		if (inode->is_dir)
			sync_names(inode);
		else if (inode->dirty)
			inode_settle(inode, inode->fd);
	}
}
