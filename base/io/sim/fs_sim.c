/* fs.h on a simulated disk: every call that changes something is a crash point, every operation may
 * have a fault, and blocking takes virtual time (of the offload job that blocks). */
#include "base/io/sim/fs_sim.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/fs_common.h"
#include "base/io/sim/part.h"
#include "base/io/sim/world.h"
#include "base/mem.h"

static const uint64_t LOCK_WAIT_NS = (uint64_t)10 * 1000 * 1000 * 1000;
static const uint64_t UNLIMITED_BYTES = (uint64_t)1 << 40;

struct fs *sim_fs_new(struct sim_node *node)
{
	struct fs *fs = sim_mem_zalloc(sizeof(*fs));
	fs->node = node;
	return fs;
}

struct sim_node *sim_fs_node(const struct fs *fs)
{
	return fs->node;
}

static bool is_inside(const struct fs *fs)
{
	return fs->node->sim->inside == fs->node;
}

/* ---- Open files ---- */

static void file_add(struct fs_file *file)
{
	struct fs *fs = file->fs;
	file->next = fs->files;
	if (fs->files != NULL)
		fs->files->previous = file;
	fs->files = file;
	inode_take(file->inode)->open_files++;
}

static void file_remove(struct fs_file *file)
{
	struct fs *fs = file->fs;
	*(file->previous != NULL ? &file->previous->next : &fs->files) = file->next;
	if (file->next != NULL)
		file->next->previous = file->previous;
	if (file->holds_lock)
		file->inode->locked = false;
	file->inode->open_files--;
	inode_drop(disk_of(fs), file->inode);
}

static void lock_remove(struct fs_lock *lock)
{
	struct fs_lock **link = &lock->fs->locks;
	while (*link != lock)
		link = &(*link)->next;
	*link = lock->next;
	lock->inode->locked = false;
	inode_drop(disk_of(lock->fs), lock->inode);
}

void sim_fs_process_ended(struct fs *fs)
{
	for (struct fs_file *file = fs->files, *next; file != NULL; file = next) {
		next = file->next;
		if (file->of_process)
			file_remove(file);
	}
	for (struct fs_lock *lock = fs->locks, *next; lock != NULL; lock = next) {
		next = lock->next;
		if (lock->of_process)
			lock_remove(lock);
	}
}

void sim_fs_free(struct fs *fs)
{
	/* The operator's, that is the test's own. */
	while (fs->files != NULL)
		fs_close(fs->files);
	while (fs->locks != NULL)
		fs_unlock(fs->locks);
	sim_mem_free(fs);
}

int fs_open_root(const char *path, bool create, struct fs **ret_fs)
{
	(void)create;
	ASSERT(path != NULL);
	struct sim_node *node = sim_inside();
	if (node == NULL)
		return ERR_UNSUPPORTED;
	*ret_fs = node->fs;
	return 0;
}

void fs_close_root(struct fs *fs)
{
	(void)fs; /* The node's. */
}

/* ---- Blocking and crash points ---- */

static void blocks(const struct fs *fs, uint64_t min_ns, uint64_t max_ns)
{
	if (is_inside(fs))
		fs->node->blocked_ns += sim_latency_ns(fs->node, min_ns, max_ns);
}

static void blocks_for_write(const struct fs *fs)
{
	const struct sim_faults *faults = &fs->node->sim->faults;
	blocks(fs, faults->write_ns_min, faults->write_ns_max);
}

static void blocks_for_sync(const struct fs *fs)
{
	const struct sim_faults *faults = &fs->node->sim->faults;
	blocks(fs, faults->sync_ns_min, faults->sync_ns_max);
}

/* For what happens at once or not at all. */
static enum sim_moment point_of_whole(const struct fs *fs, const char *what)
{
	enum sim_moment moment = sim_point(fs->node, what);
	if (moment == SIM_END_BEFORE)
		sim_die(fs->node);
	return moment;
}

static void end_point(const struct fs *fs, enum sim_moment moment)
{
	if (moment != SIM_GO_ON)
		sim_die(fs->node);
}

/* ---- Data ---- */

static void assert_transfer(
    const struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	ASSERT(offset <= INT64_MAX - bytes);
	if (!(file->flags & FS_DIRECT))
		return;
	ASSERT(offset % FS_ALIGNMENT == 0);
	ASSERT(bytes % FS_ALIGNMENT == 0);
	ASSERT((uintptr_t)data % FS_ALIGNMENT == 0);
}

int fs_read(struct fs_file *file, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes)
{
	ASSERT(file->flags & FS_READ);
	assert_transfer(file, offset, data, bytes);
	const struct sim_faults *faults = &file->fs->node->sim->faults;
	blocks(file->fs, faults->read_ns_min, faults->read_ns_max);
	return sim_file_read(file, offset, data, bytes, ret_bytes);
}

int fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	struct fs *fs = file->fs;
	ASSERT(file->flags & FS_WRITE);
	assert_transfer(file, offset, data, bytes);
	blocks_for_write(fs);
	enum sim_moment moment = point_of_whole(fs, "fs_write");
	if (moment == SIM_END_DURING) {
		sim_file_write_some(file, offset, data, bytes);
		sim_die(fs->node);
	}
	int error = sim_file_write(file, offset, data, bytes);
	end_point(fs, moment);
	return error;
}

int fs_sync(struct fs_file *file)
{
	struct fs *fs = file->fs;
	blocks_for_sync(fs);
	enum sim_moment moment = point_of_whole(fs, "fs_sync");
	if (moment == SIM_END_DURING) {
		sim_file_sync_some(file, sim_file_changes(file));
		sim_die(fs->node);
	}
	int error = sim_file_sync(file, sim_file_changes(file));
	end_point(fs, moment);
	return error;
}

int fs_size(struct fs_file *file, uint64_t *ret_bytes)
{
	*ret_bytes = file->inode->seen.bytes;
	return 0;
}

/* Any size but a smaller one where `grow_only`. */
static int resize(struct fs_file *file, const char *what, uint64_t bytes)
{
	struct fs *fs = file->fs;
	ASSERT(file->flags & FS_WRITE);
	ASSERT(bytes <= INT64_MAX);
	blocks_for_write(fs);
	enum sim_moment moment = point_of_whole(fs, what);
	int error = 0;
	if (disk_has_room(disk_of(fs), file->inode, bytes)) {
		disk_resize(file->inode, bytes);
	} else {
		fs->node->sim->figures.no_space++;
		error = ERR_NO_SPACE;
	}
	end_point(fs, moment);
	return error;
}

int fs_allocate(struct fs_file *file, uint64_t offset, uint64_t bytes)
{
	ASSERT(bytes > 0);
	ASSERT(offset <= INT64_MAX - bytes);
	uint64_t end = offset + bytes;
	return resize(
	    file, "fs_allocate", end > file->inode->seen.bytes ? end : file->inode->seen.bytes);
}

int fs_truncate(struct fs_file *file, uint64_t bytes)
{
	return resize(file, "fs_truncate", bytes);
}

/* ---- Names ---- */

static struct inode *create(
    struct fs *fs, struct inode *dir, const char *name, bool is_dir, const char *what)
{
	blocks_for_write(fs);
	enum sim_moment moment = point_of_whole(fs, what);
	struct inode *inode = disk_create(disk_of(fs), dir, name, is_dir);
	end_point(fs, moment);
	return inode;
}

/* A process holds its locks to its end, and this thread is the only one: there is nobody who could
 * give one up while this call waits. Only the kernel can, once it is done with a dead process's
 * writes. */
static bool wait_for_lock(struct fs *fs, struct inode *inode)
{
	if (inode->locked) {
		blocks(fs, LOCK_WAIT_NS, LOCK_WAIT_NS);
		return false;
	}
	sim_writes_left_finish(fs->node, inode);
	return true;
}

int fs_open(struct fs *fs, const char *path, unsigned flags, struct fs_file **ret_file)
{
	ASSERT(flags & (FS_READ | FS_WRITE));
	ASSERT(!(flags & FS_EXCLUSIVE) || (flags & FS_CREATE));
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	const char *name;
	struct inode *dir = disk_find_parent(disk_of(fs), path, &name);
	struct inode *inode = disk_find(disk_of(fs), path);
	if (dir == NULL || (inode == NULL && !(flags & FS_CREATE)))
		return ERR_NOT_FOUND;
	if (inode != NULL && (flags & FS_EXCLUSIVE))
		return ERR_EXISTS;
	if (inode != NULL && inode->is_dir)
		return ERR_IO;
	if (inode != NULL && (flags & FS_LOCKED) && !wait_for_lock(fs, inode))
		return ERR_BUSY;

	size_t path_bytes = strlen(path) + 1;
	struct fs_file *file = mem_zalloc(1, sizeof(*file) + path_bytes);
	if (file == NULL)
		return ERR_NOMEM;
	memcpy(file->path, path, path_bytes);
	file->fs = fs;
	file->flags = flags;
	file->of_process = is_inside(fs);
	file->inode = inode != NULL ? inode : create(fs, dir, name, false, "fs_open");
	file->holds_lock = (flags & FS_LOCKED) != 0;
	file->inode->locked = file->inode->locked || file->holds_lock;
	file_add(file);
	*ret_file = file;
	return 0;
}

void fs_close(struct fs_file *file)
{
	if (file == NULL)
		return;
	ASSERT_MSG(
	    file->operations == 0, "%s is closed while operations on it are under way", file->path);
	file_remove(file);
	mem_free(file);
}

/* Whether `to` is `from` or below it: a directory cannot be moved into itself. */
static bool is_below(const char *from, const char *to)
{
	size_t bytes = strlen(from);
	return strncmp(from, to, bytes) == 0 && to[bytes] == '/';
}

int fs_rename(struct fs *fs, const char *from, const char *to)
{
	if (!fs_path_is_valid(from) || !fs_path_is_valid(to) || is_below(from, to))
		return ERR_INVALID;
	const char *from_name;
	const char *to_name;
	struct inode *from_dir = disk_find_parent(disk_of(fs), from, &from_name);
	struct inode *to_dir = disk_find_parent(disk_of(fs), to, &to_name);
	struct inode *inode = disk_find(disk_of(fs), from);
	if (inode == NULL || to_dir == NULL)
		return ERR_NOT_FOUND;
	struct inode *replaced = disk_find(disk_of(fs), to);
	if (replaced == inode)
		return 0;
	if (replaced != NULL && (replaced->is_dir || inode->is_dir))
		return ERR_IO;
	blocks_for_write(fs);
	enum sim_moment moment = point_of_whole(fs, "fs_rename");
	disk_rename(disk_of(fs), from_dir, from_name, to_dir, to_name);
	end_point(fs, moment);
	return 0;
}

int fs_unlink(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	const char *name;
	struct inode *dir = disk_find_parent(disk_of(fs), path, &name);
	struct inode *inode = disk_find(disk_of(fs), path);
	if (inode == NULL)
		return ERR_NOT_FOUND;
	if (inode->is_dir)
		return ERR_IO;
	blocks_for_write(fs);
	enum sim_moment moment = point_of_whole(fs, "fs_unlink");
	disk_unlink(disk_of(fs), dir, name);
	end_point(fs, moment);
	return 0;
}

int fs_make_dir(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	const char *name;
	struct inode *dir = disk_find_parent(disk_of(fs), path, &name);
	if (dir == NULL)
		return ERR_NOT_FOUND;
	const struct inode *inode = disk_find(disk_of(fs), path);
	if (inode != NULL)
		return inode->is_dir ? 0 : ERR_EXISTS;
	create(fs, dir, name, true, "fs_make_dir");
	return 0;
}

int fs_sync_dir(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	struct inode *dir = disk_find(disk_of(fs), path);
	if (dir == NULL)
		return ERR_NOT_FOUND;
	if (!dir->is_dir)
		return ERR_IO;
	blocks_for_sync(fs);
	enum sim_moment moment = point_of_whole(fs, "fs_sync_dir");
	if (sim_fault_strikes(fs->node, SIM_SYNC_ERROR, path, 0, 0)) {
		fs->node->sim->figures.sync_errors++;
		end_point(fs, moment);
		return ERR_IO;
	}
	disk_sync_dir(disk_of(fs), dir);
	end_point(fs, moment);
	return 0;
}

int fs_exists(struct fs *fs, const char *path, bool *ret_exists)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	*ret_exists = disk_find(disk_of(fs), path) != NULL;
	return 0;
}

int fs_list(struct fs *fs, const char *path, int (*each)(void *arg, const char *name, bool is_dir),
    void *arg)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	const struct inode *dir = disk_find(disk_of(fs), path);
	if (dir == NULL)
		return ERR_NOT_FOUND;
	if (!dir->is_dir)
		return ERR_IO;
	/* Copied first, because `each` may create and unlink. */
	struct fs_names names = {0};
	int error = 0;
	for (size_t i = 0; i < dir->seen_names.count && error == 0; i++) {
		const struct dir_entry *entry = &dir->seen_names.entries[i];
		error = fs_names_add(&names, entry->name, entry->inode->is_dir);
	}
	if (error == 0)
		error = fs_names_each(&names, each, arg);
	fs_names_done(&names);
	return error;
}

int fs_space(struct fs *fs, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes)
{
	const struct disk *disk = disk_of(fs);
	uint64_t total = disk->capacity_bytes != 0 ? disk->capacity_bytes : UNLIMITED_BYTES;
	uint64_t used = disk_used_bytes(disk);
	*ret_free_bytes = used < total ? total - used : 0;
	*ret_total_bytes = total;
	return 0;
}

int fs_lock(struct fs *fs, const char *path, struct fs_lock **ret_lock)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	const char *name;
	struct inode *dir = disk_find_parent(disk_of(fs), path, &name);
	struct inode *inode = disk_find(disk_of(fs), path);
	if (dir == NULL)
		return ERR_NOT_FOUND;
	if (inode != NULL && inode->is_dir)
		return ERR_IO;
	if (inode != NULL && inode->locked)
		return ERR_BUSY;
	struct fs_lock *lock = mem_zalloc(1, sizeof(*lock));
	if (lock == NULL)
		return ERR_NOMEM;
	if (inode == NULL)
		inode = create(fs, dir, name, false, "fs_lock");
	inode->locked = true;
	*lock = (struct fs_lock){
	    .fs = fs, .inode = inode_take(inode), .next = fs->locks, .of_process = is_inside(fs)};
	fs->locks = lock;
	*ret_lock = lock;
	return 0;
}

void fs_unlock(struct fs_lock *lock)
{
	if (lock == NULL)
		return;
	lock_remove(lock);
	mem_free(lock);
}
