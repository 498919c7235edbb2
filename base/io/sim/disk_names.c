/* The names of a simulated disk. Every change of names is one record in one list, in order; a
 * directory sync, and a power cut, take from it what concerns a directory and, where a rename
 * ties two directories together, what concerns the other one up to there. */
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/sim/disk.h"
#include "base/io/sim/world.h"

static char *text_copy(const char *text)
{
	size_t bytes = strlen(text) + 1;
	return memcpy(sim_mem_zalloc(bytes), text, bytes);
}

/* ---- Maps ---- */

/* The first entry that is not before the name. */
static size_t map_position(const struct dir_map *map, const char *name)
{
	size_t low = 0;
	size_t high = map->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(map->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct dir_entry *map_find(const struct dir_map *map, const char *name)
{
	size_t position = map_position(map, name);
	if (position == map->count || strcmp(map->entries[position].name, name) != 0)
		return NULL;
	return &map->entries[position];
}

/* NOLINTNEXTLINE(misc-no-recursion): one level deep, by the list of the dead in inode_drop */
static void map_remove(struct disk *disk, struct dir_map *map, const char *name)
{
	struct dir_entry *entry = map_find(map, name);
	if (entry == NULL)
		return;
	struct dir_entry gone = *entry;
	size_t position = (size_t)(entry - map->entries);
	map->count--;
	memmove(entry, entry + 1, (map->count - position) * sizeof(*entry));
	sim_mem_free(gone.name);
	inode_drop(disk, gone.inode);
}

static void map_set(struct disk *disk, struct dir_map *map, const char *name, struct inode *inode)
{
	inode_take(inode);
	map_remove(disk, map, name);
	if (map->count == map->capacity) {
		size_t capacity = map->capacity == 0 ? 8 : map->capacity * 2;
		struct dir_entry *entries = sim_mem_zalloc(capacity * sizeof(*entries));
		if (map->count > 0)
			memcpy(entries, map->entries, map->count * sizeof(*entries));
		sim_mem_free(map->entries);
		map->entries = entries;
		map->capacity = capacity;
	}
	size_t position = map_position(map, name);
	struct dir_entry *entry = &map->entries[position];
	memmove(entry + 1, entry, (map->count - position) * sizeof(*entry));
	*entry = (struct dir_entry){.name = text_copy(name), .inode = inode};
	map->count++;
}

static void map_copy(struct disk *disk, struct dir_map *to, const struct dir_map *from)
{
	/* First what comes, then what goes: an inode in both must not lose its last user
	 * between. */
	for (size_t i = 0; i < from->count; i++)
		map_set(disk, to, from->entries[i].name, from->entries[i].inode);
	for (size_t i = to->count; i > 0; i--)
		if (map_find(from, to->entries[i - 1].name) == NULL)
			map_remove(disk, to, to->entries[i - 1].name);
}

/* NOLINTNEXTLINE(misc-no-recursion): one level deep, by the list of the dead in inode_drop */
static void map_done(struct disk *disk, struct dir_map *map)
{
	while (map->count > 0)
		map_remove(disk, map, map->entries[map->count - 1].name);
	sim_mem_free(map->entries);
	*map = (struct dir_map){0};
}

/* ---- Inodes ---- */

struct inode *inode_take(struct inode *inode)
{
	inode->users++;
	return inode;
}

static void inode_free(struct disk *disk, struct inode *inode)
{
	inode_data_done(inode);
	*(inode->previous != NULL ? &inode->previous->next : &disk->first) = inode->next;
	*(inode->next != NULL ? &inode->next->previous : &disk->last) = inode->previous;
	sim_mem_free(inode);
}

/* NOLINTNEXTLINE(misc-no-recursion): one level deep, by the list of the dead in inode_drop */
void inode_drop(struct disk *disk, struct inode *inode)
{
	/* A directory's end drops what is in it: a list of the dead in place of recursion. */
	static struct inode *dead;
	static bool emptying;

	ASSERT(inode->users > 0);
	if (--inode->users > 0)
		return;
	inode->next_dead = dead;
	dead = inode;
	if (emptying)
		return;
	emptying = true;
	while (dead != NULL) {
		struct inode *end = dead;
		dead = end->next_dead;
		map_done(disk, &end->seen_names);
		map_done(disk, &end->durable_names);
		inode_free(disk, end);
	}
	emptying = false;
}

static struct inode *inode_new(struct disk *disk, bool is_dir)
{
	struct inode *inode = sim_mem_zalloc(sizeof(*inode));
	inode->number = ++disk->sim->inode_count;
	inode->is_dir = is_dir;
	inode->previous = disk->last;
	disk->last->next = inode;
	disk->last = inode;
	return inode;
}

/* ---- Paths ---- */

struct inode *disk_lookup(const struct inode *dir, const char *name)
{
	ASSERT(dir->is_dir);
	const struct dir_entry *entry = map_find(&dir->seen_names, name);
	return entry == NULL ? NULL : entry->inode;
}

struct inode *disk_find_parent(const struct disk *disk, const char *path, const char **ret_name)
{
	char part[FS_PATH_BYTES_MAX + 1];
	struct inode *dir = disk->root;
	for (;;) {
		const char *slash = strchr(path, '/');
		if (slash == NULL) {
			*ret_name = path;
			return dir;
		}
		size_t bytes = (size_t)(slash - path);
		memcpy(part, path, bytes);
		part[bytes] = '\0';
		path = slash + 1;
		if (strcmp(part, ".") == 0)
			continue;
		dir = disk_lookup(dir, part);
		if (dir == NULL || !dir->is_dir)
			return NULL;
	}
}

struct inode *disk_find(const struct disk *disk, const char *path)
{
	const char *name;
	struct inode *dir = disk_find_parent(disk, path, &name);
	if (dir == NULL || strcmp(name, ".") == 0)
		return dir;
	return disk_lookup(dir, name);
}

/* ---- Changes ---- */

static struct dir_map *map_of(struct inode *dir, bool durable)
{
	return durable ? &dir->durable_names : &dir->seen_names;
}

static void change_apply(struct disk *disk, const struct name_change *change, bool durable)
{
	if (change->from_dir != NULL)
		map_remove(disk, map_of(change->from_dir, durable), change->from);
	if (change->to_dir != NULL)
		map_set(disk, map_of(change->to_dir, durable), change->to, change->inode);
}

static void change_free(struct disk *disk, struct name_change *change)
{
	if (change->from_dir != NULL)
		inode_drop(disk, change->from_dir);
	if (change->to_dir != NULL)
		inode_drop(disk, change->to_dir);
	inode_drop(disk, change->inode);
	sim_mem_free(change->from);
	sim_mem_free(change->to);
	sim_mem_free(change);
}

static void change_names(struct disk *disk, struct inode *from_dir, const char *from,
    struct inode *to_dir, const char *to, struct inode *inode)
{
	struct name_change *change = sim_mem_zalloc(sizeof(*change));
	change->inode = inode_take(inode);
	if (from_dir != NULL) {
		change->from_dir = inode_take(from_dir);
		change->from = text_copy(from);
	}
	if (to_dir != NULL) {
		change->to_dir = inode_take(to_dir);
		change->to = text_copy(to);
	}
	*disk->name_changes_end = change;
	disk->name_changes_end = &change->next;
	change_apply(disk, change, false);
}

struct inode *disk_create(struct disk *disk, struct inode *dir, const char *name, bool is_dir)
{
	ASSERT(disk_lookup(dir, name) == NULL);
	struct inode *inode = inode_new(disk, is_dir);
	change_names(disk, NULL, NULL, dir, name, inode);
	return inode;
}

void disk_rename(struct disk *disk, struct inode *from_dir, const char *from, struct inode *to_dir,
    const char *to)
{
	struct inode *inode = disk_lookup(from_dir, from);
	ASSERT(inode != NULL);
	change_names(disk, from_dir, from, to_dir, to, inode);
}

void disk_unlink(struct disk *disk, struct inode *dir, const char *name)
{
	struct inode *inode = disk_lookup(dir, name);
	ASSERT(inode != NULL && !inode->is_dir);
	change_names(disk, dir, name, NULL, NULL, inode);
}

/* ---- What becomes durable ---- */

/* Makes durable, in order, and forgets the changes for which `happens`; forgets the others too
 * where `drop`. */
static void settle(struct disk *disk, bool (*happens)(struct name_change *change), bool drop)
{
	struct name_change **link = &disk->name_changes;
	while (*link != NULL) {
		struct name_change *change = *link;
		bool durable = happens(change);
		if (durable)
			change_apply(disk, change, true);
		if (!durable && !drop) {
			link = &change->next;
			continue;
		}
		*link = change->next;
		change_free(disk, change);
	}
	disk->name_changes_end = link;
}

static bool is_needed(struct name_change *change)
{
	return (change->from_dir != NULL && change->from_dir->names_needed) ||
	       (change->to_dir != NULL && change->to_dir->names_needed);
}

void disk_sync_dir(struct disk *disk, struct inode *dir)
{
	ASSERT(dir->is_dir);
	for (struct inode *inode = disk->first; inode != NULL; inode = inode->next)
		inode->names_needed = inode == dir;
	/* A rename that ties in another directory takes along all earlier changes of that one. More
	 * than needed may become durable (its later changes), which a kernel may do at any time. */
	bool grew = true;
	while (grew) {
		grew = false;
		for (struct name_change *change = disk->name_changes; change != NULL;
		     change = change->next) {
			if (change->from_dir == NULL || change->to_dir == NULL ||
			    !is_needed(change))
				continue;
			grew = grew || !change->from_dir->names_needed ||
			       !change->to_dir->names_needed;
			change->from_dir->names_needed = true;
			change->to_dir->names_needed = true;
		}
	}
	settle(disk, is_needed, false);
}

static bool is_durable(struct name_change *change)
{
	return change->durable;
}

static void count_pending(struct inode *dir)
{
	if (dir != NULL)
		dir->names_pending++;
}

/* Counts the change for its directory; false once that one has had all that it keeps. */
static bool is_kept_by(struct inode *dir)
{
	return dir == NULL || (!dir->names_cut && dir->names_counted++ < dir->names_kept);
}

static bool survives_power_cut(struct name_change *change)
{
	struct inode *from_dir = change->from_dir;
	struct inode *to_dir = change->to_dir == from_dir ? NULL : change->to_dir;
	bool kept_from = is_kept_by(from_dir);
	bool kept_to = is_kept_by(to_dir);
	if (kept_from && kept_to)
		return true;
	if (from_dir != NULL)
		from_dir->names_cut = true;
	if (to_dir != NULL)
		to_dir->names_cut = true;
	return false;
}

void disk_names_power_cut(struct disk *disk)
{
	struct sim *sim = disk->sim;
	for (struct inode *inode = disk->first; inode != NULL; inode = inode->next) {
		inode->names_pending = 0;
		inode->names_counted = 0;
		inode->names_cut = false;
	}
	uint64_t before = 0;
	for (struct name_change *change = disk->name_changes; change != NULL;
	     change = change->next) {
		before++;
		count_pending(change->from_dir);
		if (change->to_dir != change->from_dir)
			count_pending(change->to_dir);
	}
	for (struct inode *inode = disk->first; inode != NULL; inode = inode->next)
		inode->names_kept =
		    inode->names_pending == 0 ? 0 : sim_random_below(sim, inode->names_pending + 1);

	uint64_t kept = 0;
	for (struct name_change *change = disk->name_changes; change != NULL;
	     change = change->next) {
		change->durable = survives_power_cut(change);
		kept += change->durable;
	}
	sim->figures.names_kept += kept;
	sim->figures.names_lost += before - kept;
	settle(disk, is_durable, true);

	/* Taken along while it is walked: a directory that goes away here drops what is in it. */
	struct inode *inode = inode_take(disk->root);
	while (inode != NULL) {
		if (inode->is_dir)
			map_copy(disk, &inode->seen_names, &inode->durable_names);
		struct inode *next = inode->next;
		if (next != NULL)
			inode_take(next);
		inode_drop(disk, inode);
		inode = next;
	}
}

void disk_names_done(struct disk *disk)
{
	while (disk->name_changes != NULL) {
		struct name_change *change = disk->name_changes;
		disk->name_changes = change->next;
		change_free(disk, change);
	}
	disk->name_changes_end = &disk->name_changes;
}
