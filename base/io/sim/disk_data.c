/* The data of simulated files: what completed, what is durable, and what a power cut makes of the
 * difference. */
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/disk.h"
#include "base/io/sim/world.h"

static const uint32_t LOST_PERCENT = 34;
static const uint32_t TORN_PERCENT = 33;

static uint64_t rounded_to_pages(uint64_t bytes)
{
	return (bytes + IMAGE_PAGE_BYTES - 1) / IMAGE_PAGE_BYTES * IMAGE_PAGE_BYTES;
}

void disk_init(struct disk *disk, struct sim *sim, uint64_t capacity_bytes)
{
	*disk = (struct disk){.sim = sim, .capacity_bytes = capacity_bytes};
	disk->name_changes_end = &disk->name_changes;
	struct inode *root = sim_mem_zalloc(sizeof(*root));
	root->is_dir = true;
	root->users = 1;
	disk->root = disk->first = disk->last = root;
}

void disk_done(struct disk *disk)
{
	disk_names_done(disk);
	inode_drop(disk, disk->root);
	ASSERT(disk->first == NULL);
}

/* Counted afresh: a file that has neither a name nor a user takes no space, though a power cut may
 * bring it back. */
uint64_t disk_used_bytes(const struct disk *disk)
{
	uint64_t used = 0;
	for (struct inode *inode = disk->first; inode != NULL; inode = inode->next)
		inode->is_used = inode->open_files > 0;
	for (const struct inode *dir = disk->first; dir != NULL; dir = dir->next)
		for (size_t i = 0; i < dir->seen_names.count; i++)
			dir->seen_names.entries[i].inode->is_used = true;
	for (const struct inode *inode = disk->first; inode != NULL; inode = inode->next)
		used += inode->is_used ? rounded_to_pages(inode->seen.bytes) : 0;
	return used;
}

bool disk_has_room(const struct disk *disk, const struct inode *file, uint64_t bytes)
{
	if (disk->capacity_bytes == 0 || bytes <= file->seen.bytes)
		return true;
	uint64_t others = disk_used_bytes(disk) - rounded_to_pages(file->seen.bytes);
	return others + rounded_to_pages(bytes) <= disk->capacity_bytes;
}

static bool all_zeros(const uint8_t *data, uint64_t bytes)
{
	return bytes > 0 && data[0] == 0 && memcmp(data, data + 1, (size_t)bytes - 1) == 0;
}

static struct disk_change *change_add(struct inode *file)
{
	struct disk_change *change = sim_mem_zalloc(sizeof(*change));
	change->sequence = ++file->changes_sequence;
	if (file->changes_end == NULL || file->changes == NULL)
		file->changes_end = &file->changes;
	*file->changes_end = change;
	file->changes_end = &change->next;
	return change;
}

static void change_free(struct disk_change *change)
{
	sim_mem_free(change->data);
	sim_mem_free(change);
}

static struct disk_change *write_add(
    struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	struct disk_change *change = change_add(file);
	change->offset = offset;
	change->bytes = bytes;
	if (data != NULL && !all_zeros(data, bytes)) {
		change->data = sim_mem_zalloc((size_t)bytes);
		memcpy(change->data, data, (size_t)bytes);
	}
	return change;
}

static void grow_for(struct inode *file, struct disk_change *change)
{
	uint64_t end = change->offset + change->bytes;
	if (end <= file->seen.bytes)
		return;
	change->changes_size = true;
	change->size_after = end;
	image_resize(&file->seen, end);
}

void disk_write(struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	ASSERT(!file->is_dir);
	if (bytes == 0)
		return;
	struct disk_change *change = write_add(file, offset, data, bytes);
	grow_for(file, change);
	image_write(&file->seen, offset, change->data, bytes);
}

/* The end of the sector that offset is in, or of the range. */
static uint64_t sector_end(uint64_t offset, uint64_t end)
{
	uint64_t next = (offset / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
	return next < end ? next : end;
}

void disk_write_some(
    struct disk *disk, struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	for (uint64_t at = offset; at < end;) {
		uint64_t next = sector_end(at, end);
		if (sim_random_below(disk->sim, 2) == 0)
			disk_write(file, at, data == NULL ? NULL : data + (at - offset), next - at);
		at = next;
	}
}

void disk_write_nothing(
    struct inode *file, uint64_t offset, const uint8_t *data, uint64_t bytes, bool cached)
{
	if (bytes == 0)
		return;
	struct disk_change *change = write_add(file, offset, data, bytes);
	change->never_stored = true;
	grow_for(file, change);
	if (cached)
		image_write(&file->seen, offset, change->data, bytes);
}

void disk_resize(struct inode *file, uint64_t bytes)
{
	if (bytes == file->seen.bytes)
		return;
	struct disk_change *change = change_add(file);
	change->changes_size = true;
	change->size_after = bytes;
	image_resize(&file->seen, bytes);
}

/* Applies what of the change fits into the durable size. */
static void store(struct inode *file, const struct disk_change *change, uint64_t from, uint64_t to)
{
	if (change->never_stored)
		return;
	if (to > file->durable.bytes)
		to = file->durable.bytes;
	if (from >= to)
		return;
	const uint8_t *data = change->data;
	image_write(
	    &file->durable, from, data == NULL ? NULL : data + (from - change->offset), to - from);
}

static void store_all(struct inode *file, const struct disk_change *change)
{
	if (change->changes_size)
		image_resize(&file->durable, change->size_after);
	store(file, change, change->offset, change->offset + change->bytes);
}

void disk_sync(struct inode *file, uint64_t sequence)
{
	while (file->changes != NULL && file->changes->sequence <= sequence) {
		struct disk_change *change = file->changes;
		file->changes = change->next;
		store_all(file, change);
		change_free(change);
	}
}

static bool overlaps(const struct disk_change *change, uint64_t offset, uint64_t bytes)
{
	return change->offset < offset + bytes && offset < change->offset + change->bytes;
}

void disk_sync_range(struct inode *file, uint64_t sequence, uint64_t offset, uint64_t bytes)
{
	struct disk_change **link = &file->changes;
	while (*link != NULL) {
		struct disk_change *change = *link;
		bool covered = change->sequence <= sequence;
		/* The file system syncs its size as ever. */
		if (covered && change->changes_size)
			image_resize(&file->durable, change->size_after);
		if (covered && overlaps(change, offset, bytes)) {
			store(file, change, change->offset, change->offset + change->bytes);
			*link = change->next;
			change_free(change);
			continue;
		}
		change->changes_size = change->changes_size && !covered;
		link = &change->next;
	}
	file->changes_end = link;
}

void disk_sync_some(struct disk *disk, struct inode *file, uint64_t sequence)
{
	/* Nothing is taken off the list: storing a change early does not hinder storing it again,
	 * but only data may be stored out of order, sizes follow one another. */
	for (struct disk_change *change = file->changes;
	     change != NULL && change->sequence <= sequence; change = change->next)
		if (sim_random_below(disk->sim, 2) == 0)
			store(file, change, change->offset, change->offset + change->bytes);
}

void disk_sync_fail(struct disk *disk, struct inode *file, uint64_t sequence)
{
	for (struct disk_change *change = file->changes;
	     change != NULL && change->sequence <= sequence; change = change->next)
		if (sim_random_below(disk->sim, 2) == 0)
			change->never_stored = true;
	/* The journal of the file system is healthy: sizes are as the process sees them. */
	disk_sync(file, sequence);
}

/* A device may spoil a sector that it was changing; one that gets the bytes it holds it leaves
 * alone, whatever happens. */
static bool is_changing(
    const struct inode *file, const struct disk_change *change, uint64_t at, uint64_t next)
{
	uint8_t now[DISK_SECTOR_BYTES];
	size_t bytes = (size_t)(next - at);
	if (change->never_stored || next > file->durable.bytes)
		return false;
	image_read(&file->durable, at, now, bytes);
	if (change->data == NULL)
		return !all_zeros(now, bytes);
	return memcmp(now, change->data + (at - change->offset), bytes) != 0;
}

static void spoil(struct disk *disk, struct inode *file, uint64_t at, uint64_t next)
{
	uint8_t garbage[DISK_SECTOR_BYTES];
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)sim_random(disk->sim);
	image_write(&file->durable, at, garbage, next - at);
	disk->sim->figures.garbage_sectors++;
}

static void store_torn(struct disk *disk, struct inode *file, const struct disk_change *change)
{
	struct sim *sim = disk->sim;
	uint64_t end = change->offset + change->bytes;
	for (uint64_t at = change->offset; at < end;) {
		uint64_t next = sector_end(at, end);
		if (sim_random_below(sim, 2) == 0)
			store(file, change, at, next);
		else if (is_changing(file, change, at, next) &&
		         sim_random_below(sim, 100) < sim->faults.garbage_percent)
			spoil(disk, file, at, next);
		at = next;
	}
}

static void store_by_chance(struct disk *disk, struct inode *file, const struct disk_change *change)
{
	struct sim *sim = disk->sim;
	uint32_t lost = sim->faults.lost_percent;
	uint32_t torn = sim->faults.torn_percent;
	if (lost == 0 && torn == 0) {
		lost = LOST_PERCENT;
		torn = TORN_PERCENT;
	}
	uint64_t drawn = sim_random_below(sim, 100);
	if (drawn < lost) {
		sim->figures.unsynced_writes_lost++;
	} else if (drawn < lost + torn) {
		sim->figures.unsynced_writes_torn++;
		store_torn(disk, file, change);
	} else {
		sim->figures.unsynced_writes_kept++;
		store(file, change, change->offset, change->offset + change->bytes);
	}
}

static void file_power_cut(struct disk *disk, struct inode *file)
{
	struct sim *sim = disk->sim;
	uint64_t sizes = 0;
	for (const struct disk_change *change = file->changes; change != NULL;
	     change = change->next)
		sizes += change->changes_size;
	uint64_t sizes_left = sizes == 0 ? 0 : sim_random_below(sim, sizes + 1);
	sim->figures.sizes_lost += sizes - sizes_left;

	while (file->changes != NULL) {
		struct disk_change *change = file->changes;
		file->changes = change->next;
		if (change->changes_size && sizes_left > 0) {
			sizes_left--;
			image_resize(&file->durable, change->size_after);
		}
		if (change->bytes > 0)
			store_by_chance(disk, file, change);
		change_free(change);
	}
	if (file->durable.bytes > 0 && sim_chance(sim, sim->faults.rot_ppm)) {
		uint64_t offset = sim_random_below(sim, file->durable.bytes);
		uint8_t byte;
		image_read(&file->durable, offset, &byte, 1);
		byte = (uint8_t)(byte ^ 1u << sim_random_below(sim, 8));
		image_write(&file->durable, offset, &byte, 1);
		sim->figures.bits_rotted++;
	}
	image_copy(&file->seen, &file->durable);
}

void disk_power_cut(struct disk *disk)
{
	disk_names_power_cut(disk);
	for (struct inode *inode = disk->first; inode != NULL; inode = inode->next)
		if (!inode->is_dir)
			file_power_cut(disk, inode);
}

void inode_data_done(struct inode *inode)
{
	image_done(&inode->seen);
	image_done(&inode->durable);
	while (inode->changes != NULL) {
		struct disk_change *change = inode->changes;
		inode->changes = change->next;
		change_free(change);
	}
}
