/* The data of open simulated files, and the faults that strike it. */
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/fs_common.h"
#include "base/io/sim/fs_sim.h"

void sim_file_hold(struct fs_file *file)
{
	file->operations++;
}

void sim_file_release(struct fs_file *file)
{
	ASSERT(file->operations > 0);
	file->operations--;
}

uint64_t sim_file_number(const struct fs_file *file)
{
	return file->inode->number;
}

static bool strikes(
    const struct fs_file *file, enum sim_fault fault, uint64_t offset, uint64_t bytes)
{
	struct sim_node *node = file->fs->node;
	if (!sim_fault_strikes(node, fault, file->path, offset, bytes))
		return false;
	sim_trace(node->sim, node, "fault", (uint64_t)fault, offset);
	return true;
}

static const struct inode *directory_of(const struct disk *disk, const struct inode *file)
{
	for (const struct inode *dir = disk->first; dir != NULL; dir = dir->next)
		for (size_t i = 0; i < dir->seen_names.count; i++)
			if (dir->seen_names.entries[i].inode == file)
				return dir;
	return NULL;
}

/* Another place of the same alignment, in this file or one beside it. False: there is none. */
static bool write_misdirected(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	struct sim *sim = file->fs->node->sim;
	const struct inode *dir = directory_of(disk_of(file->fs), file->inode);
	if (dir == NULL)
		return false;
	uint64_t step = offset % FS_ALIGNMENT == 0 ? FS_ALIGNMENT : DISK_SECTOR_BYTES;
	uint64_t remainder = offset % step;
	size_t count = dir->seen_names.count;
	size_t first = (size_t)sim_random_below(sim, count);
	for (size_t i = 0; i < count; i++) {
		struct inode *other = dir->seen_names.entries[(first + i) % count].inode;
		if (other->is_dir || other->seen.bytes < remainder + bytes)
			continue;
		uint64_t places = (other->seen.bytes - remainder - bytes) / step + 1;
		uint64_t place = remainder + step * sim_random_below(sim, places);
		if (other == file->inode && place == offset)
			continue;
		disk_write(other, place, data, bytes);
		/* The device has stored it, if at the wrong place: no power cut heals that. */
		disk_sync(other, other->changes_sequence);
		return true;
	}
	return false;
}

int sim_file_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	struct inode *inode = file->inode;
	struct sim *sim = file->fs->node->sim;
	if (bytes == 0)
		return 0;
	if (!disk_has_room(disk_of(file->fs), inode, offset + bytes)) {
		sim->figures.no_space++;
		return ERR_NO_SPACE;
	}
	if (strikes(file, SIM_WRITE_ERROR, offset, bytes)) {
		sim->figures.write_errors++;
		disk_write_some(disk_of(file->fs), inode, offset, data, bytes);
		return ERR_IO;
	}
	if (strikes(file, SIM_WRITE_LOST, offset, bytes)) {
		sim->figures.writes_lost++;
		disk_write_nothing(inode, offset, data, bytes, !(file->flags & FS_DIRECT));
		return 0;
	}
	if (strikes(file, SIM_WRITE_MISDIRECTED, offset, bytes) &&
	    write_misdirected(file, offset, data, bytes)) {
		sim->figures.writes_misdirected++;
		disk_write_nothing(inode, offset, data, bytes, false);
		return 0;
	}
	disk_write(inode, offset, data, bytes);
	return 0;
}

void sim_file_write_some(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	if (disk_has_room(disk_of(file->fs), file->inode, offset + bytes))
		disk_write_some(disk_of(file->fs), file->inode, offset, data, bytes);
}

void sim_file_write_cut_off(
    struct fs_file *file, uint64_t offset, const void *data, size_t bytes, enum sim_crash crash)
{
	struct sim *sim = file->fs->node->sim;
	uint64_t written = bytes;
	/* A power cut deals with it as with every unsynced write; a kernel finishes what it
	 * carries, at once, later, or not at all, in pages. */
	if (crash == SIM_KILL && sim_random_below(sim, 2) == 0)
		written = sim_random_below(sim, bytes / IMAGE_PAGE_BYTES + 1) * IMAGE_PAGE_BYTES;
	if (!disk_has_room(disk_of(file->fs), file->inode, offset + written))
		return;
	if (crash == SIM_KILL && sim_random_below(sim, 2) == 0)
		sim_write_left_add(
		    file->fs->node, file->inode, file->holds_lock, offset, data, written);
	else
		disk_write(file->inode, offset, data, written);
}

uint64_t sim_file_changes(const struct fs_file *file)
{
	return file->inode->changes_sequence;
}

static bool sync_fails(struct fs_file *file, uint64_t changes)
{
	if (!strikes(file, SIM_SYNC_ERROR, 0, 0))
		return false;
	file->fs->node->sim->figures.sync_errors++;
	disk_sync_fail(disk_of(file->fs), file->inode, changes);
	return true;
}

int sim_file_sync(struct fs_file *file, uint64_t changes)
{
	if (sync_fails(file, changes))
		return ERR_IO;
	disk_sync(file->inode, changes);
	return 0;
}

int sim_file_sync_range(struct fs_file *file, uint64_t changes, uint64_t offset, uint64_t bytes)
{
	if (sync_fails(file, changes))
		return ERR_IO;
	disk_sync_range(file->inode, changes, offset, bytes);
	return 0;
}

void sim_file_sync_some(struct fs_file *file, uint64_t changes)
{
	disk_sync_some(disk_of(file->fs), file->inode, changes);
}

int sim_file_read(
    struct fs_file *file, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes)
{
	if (strikes(file, SIM_READ_ERROR, offset, bytes)) {
		file->fs->node->sim->figures.read_errors++;
		return ERR_IO;
	}
	*ret_bytes = image_read(&file->inode->seen, offset, data, bytes);
	return 0;
}

/* ---- The operator ---- */

static struct inode *file_at(struct sim_node *node, const char *path)
{
	ASSERT(fs_path_is_valid(path));
	struct inode *inode = disk_find(&node->disk, path);
	return inode != NULL && !inode->is_dir ? inode : NULL;
}

void sim_disk_rot(struct sim_node *node, const char *path, uint64_t offset, uint8_t mask)
{
	struct inode *inode = file_at(node, path);
	ASSERT_MSG(inode != NULL, "%s", path);
	ASSERT(offset < inode->seen.bytes);
	/* What rots is what is stored: nothing that is still to be stored heals it. */
	disk_sync(inode, inode->changes_sequence);
	struct image *images[] = {&inode->seen, &inode->durable};
	for (size_t i = 0; i < 2; i++) {
		uint8_t byte;
		if (image_read(images[i], offset, &byte, 1) == 0)
			continue;
		byte ^= mask;
		image_write(images[i], offset, &byte, 1);
	}
	node->sim->figures.bits_rotted += (uint64_t)__builtin_popcount(mask);
}

int sim_disk_read_durable(struct sim_node *node, const char *path, uint64_t offset, void *data,
    size_t bytes, size_t *ret_bytes)
{
	const struct inode *inode = file_at(node, path);
	if (inode == NULL)
		return ERR_NOT_FOUND;
	*ret_bytes = image_read(&inode->durable, offset, data, bytes);
	return 0;
}
