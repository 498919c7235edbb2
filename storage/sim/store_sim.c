#include "storage/sim/store_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/io/fs.h"
#include "base/io/sim/part.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"
#include "storage/sim/version.h"
#include "storage/store.h"

enum { PATH_BYTES = FS_PATH_BYTES_MAX + 1 };

static const uint64_t SLOW_NS = 50000000;
static const uint64_t READ_NS_MIN = 10000, READ_NS_MAX = 200000;
static const uint64_t WRITE_NS_MIN = 100000, WRITE_NS_MAX = 5000000;
static const uint64_t LARGEST_COMPACTION_BYTES = 64ULL << 20;

/* What is durable of one store: known by the number in the name of its file. */
struct image {
	struct image *next;
	char *dir;
	uint64_t number;
	uint64_t sheds; /* each makes it another one */
	struct version *content;
	struct version *versions; /* content, and older ones that are still read */
	bool was_damaged;         /* a value of it, which may have been written over since */
	bool compaction_stopped;
	/* Of a write under way; here, so that nothing is lost with a process that ends in it. */
	struct version *changes;
	struct version *merged;
};

/* All stores of a node. */
struct store_disk {
	struct sim_part part;
	struct image *images;
	uint64_t numbers;
	struct store_sim_faults faults;
	struct store_sim_figures figures;
};

struct store {
	struct sim_node *node;
	struct store_disk *disk;
	struct image *image;
	struct fs_lock *lock; /* NULL: read only */
	struct fs_file *file; /* as large as the content; NULL: read only */
	uint64_t readers;     /* snapshots and cursors */
	bool writing;
	bool refuses_writes;
	uint64_t hits, misses, writes, written_bytes;
};

struct store_snapshot {
	struct version *version;
};

struct store_cursor {
	struct store *store;
	struct version *version;
	size_t position;
	size_t end;
};

/* ---- What outlives the process ---- */

static const char DISK_KIND[] = "stores";

static void image_drop_readers(struct image *image)
{
	struct version **link = &image->versions;
	while (*link != NULL) {
		struct version *version = *link;
		version->pins = 0;
		if (version == image->content) {
			link = &version->next;
			continue;
		}
		*link = version->next;
		version_free(version);
	}
}

static void image_drop_write(struct image *image)
{
	version_free(image->changes);
	version_free(image->merged);
	image->changes = NULL;
	image->merged = NULL;
}

static void disk_free(struct sim_part *part)
{
	struct store_disk *disk = (struct store_disk *)(void *)part;
	for (struct image *image = disk->images, *next; image != NULL; image = next) {
		next = image->next;
		image_drop_readers(image);
		image_drop_write(image);
		version_free(image->content);
		sim_part_free(image->dir);
		sim_part_free(image);
	}
	sim_part_free(disk);
}

static struct store_disk *disk_of(struct fs *fs)
{
	struct sim_node *node = sim_fs_node(fs);
	_Static_assert(offsetof(struct store_disk, part) == 0, "the part is the disk");
	struct sim_part *part = sim_node_part(node, DISK_KIND);
	if (part != NULL)
		return (struct store_disk *)(void *)part;
	struct store_disk *disk = sim_part_alloc(sizeof(*disk));
	disk->part.kind = DISK_KIND;
	disk->part.free = disk_free;
	sim_node_add_part(node, &disk->part);
	return disk;
}

static struct image *image_new(struct store_disk *disk, const char *dir)
{
	struct image *image = sim_part_alloc(sizeof(*image));
	size_t dir_bytes = strlen(dir) + 1;
	image->dir = memcpy(sim_part_alloc(dir_bytes), dir, dir_bytes);
	image->number = ++disk->numbers;
	image->content = version_new();
	image->versions = image->content;
	image->next = disk->images;
	disk->images = image;
	return image;
}

/* The newest one of the directory: those before it were lost. */
static struct image *image_of_dir(const struct store_disk *disk, const char *dir)
{
	for (struct image *image = disk->images; image != NULL; image = image->next)
		if (strcmp(image->dir, dir) == 0)
			return image;
	return NULL;
}

static struct image *image_of_number(
    const struct store_disk *disk, const char *dir, uint64_t number)
{
	for (struct image *image = disk->images; image != NULL; image = image->next)
		if (image->number == number && strcmp(image->dir, dir) == 0)
			return image;
	return NULL;
}

void store_sim_set_faults(struct fs *fs, const struct store_sim_faults *faults)
{
	static const struct store_sim_faults none;
	disk_of(fs)->faults = faults != NULL ? *faults : none;
}

bool store_sim_damage(struct fs *fs, const char *dir, struct slice key)
{
	struct image *image = image_of_dir(disk_of(fs), dir);
	struct entry *entry = image != NULL ? version_get(image->content, key) : NULL;
	if (entry == NULL)
		return false;
	entry->damaged = true;
	image->was_damaged = true;
	return true;
}

struct store_sim_figures store_sim_figures(struct fs *fs)
{
	return disk_of(fs)->figures;
}

/* ---- Faults ---- */

static void blocks(struct store *store, uint64_t min_ns, uint64_t max_ns)
{
	const struct store_sim_faults *faults = &store->disk->faults;
	sim_node_block(store->node, min_ns, max_ns);
	if (!sim_node_draw(store->node, faults->slow_ppm))
		return;
	uint64_t slow_ns = faults->slow_ns != 0 ? faults->slow_ns : SLOW_NS;
	store->disk->figures.slow_calls++;
	sim_node_block(store->node, slow_ns, slow_ns);
}

static int read_fails(struct store *store, const struct entry *entry)
{
	struct store_disk *disk = store->disk;
	bool damaged = entry != NULL && entry->damaged;
	if (damaged || sim_node_draw(store->node, disk->faults.read_corrupt_ppm)) {
		disk->figures.corrupt_reads++;
		sim_node_trace(store->node, "store: corrupt", damaged, 0);
		return ERR_CORRUPT;
	}
	if (sim_node_draw(store->node, disk->faults.read_error_ppm)) {
		disk->figures.failed_reads++;
		sim_node_trace(store->node, "store: read error", 0, 0);
		return ERR_IO;
	}
	return 0;
}

/* ---- Opening ---- */

static void join(char path[PATH_BYTES], const char *dir, const char *name)
{
	int bytes = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

static void name_of(char name[32], uint64_t number)
{
	snprintf(name, 32, "sim-%016llx", (unsigned long long)number);
}

struct search {
	uint64_t number; /* 0: none */
};

static int look(void *arg, const char *name, bool is_dir)
{
	struct search *search = arg;
	if (!is_dir && strncmp(name, "sim-", 4) == 0)
		search->number = strtoull(name + 4, NULL, 16);
	return 0;
}

static int open_file(const struct store_options *options, struct store *store)
{
	char name[32];
	char path[PATH_BYTES];
	name_of(name, store->image->number);
	join(path, options->dir, name);
	int error = fs_open(options->fs, path, FS_WRITE | FS_CREATE, &store->file);
	if (error == 0)
		error = fs_sync(store->file);
	/* At every opening: the one that made the name may have been killed before this. */
	if (error == 0)
		error = fs_sync_dir(options->fs, options->dir);
	return error;
}

static int open_image(const struct store_options *options, struct store *store)
{
	struct search search = {0};
	int error = fs_list(options->fs, options->dir, look, &search);
	if (error < 0)
		return error;
	struct store_disk *disk = store->disk;
	disk->figures.opens++;
	if (search.number != 0) {
		disk->figures.opens_of_existing++;
		store->image = image_of_number(disk, options->dir, search.number);
		return store->image != NULL ? 0 : ERR_CORRUPT;
	}
	if (image_of_dir(disk, options->dir) != NULL)
		disk->figures.stores_lost++;
	if (options->read_only)
		return ERR_NOT_FOUND;
	store->image = image_new(disk, options->dir);
	return 0;
}

static int open_store(const struct store_options *options, struct store *store)
{
	char path[PATH_BYTES];
	int error = 0;
	if (!options->read_only) {
		join(path, options->dir, "LOCK");
		error = fs_lock(options->fs, path, &store->lock);
	}
	if (error == 0)
		error = open_image(options, store);
	if (error == 0 && !options->read_only)
		error = open_file(options, store);
	return error;
}

int store_open(
    const struct store_options *options, char *why, size_t why_bytes, struct store **ret_store)
{
	struct store *store = mem_zalloc(1, sizeof(*store));
	int error = ERR_NOMEM;
	if (store != NULL) {
		store->node = sim_fs_node(options->fs);
		store->disk = disk_of(options->fs);
		error = open_store(options, store);
	}
	if (error < 0) {
		snprintf(why, why_bytes, "cannot open the simulated store in %s: %s", options->dir,
		    error_text(error));
		store_close(store);
		return error;
	}
	if (store->image->changes != NULL)
		store->disk->figures.writes_cut_off++;
	image_drop_write(store->image);
	/* The process that had them is gone. */
	if (!options->read_only)
		image_drop_readers(store->image);
	*ret_store = store;
	return 0;
}

uint64_t store_identity(const struct store *store)
{
	return store->image->number << 32 | (store->image->sheds + 1);
}

void store_settled(struct store *store)
{
	(void)store; /* it forgets nothing of itself */
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	ASSERT_MSG(store->readers == 0, "snapshots or cursors are still open");
	ASSERT(!store->writing);
	fs_close(store->file);
	fs_unlock(store->lock);
	mem_free(store);
}

/* ---- Reading ---- */

static int answer(struct store *store, struct slice key, struct buffer *value)
{
	const struct entry *entry = version_get(store->image->content, key);
	int error = read_fails(store, entry);
	if (error < 0)
		return error;
	return entry == NULL ? ERR_NOT_FOUND : buffer_append_slice(value, entry_value(entry));
}

int store_get(struct store *store, struct slice key, struct buffer *value)
{
	blocks(store, READ_NS_MIN, READ_NS_MAX);
	return answer(store, key, value);
}

int store_get_cached(struct store *store, struct slice key, struct buffer *value)
{
	struct store_disk *disk = store->disk;
	/* Damage is found where it is read from the disk. */
	const struct entry *entry = version_get(store->image->content, key);
	if ((entry != NULL && entry->damaged) ||
	    sim_node_draw(store->node, disk->faults.cold_percent * 10000)) {
		disk->figures.colds++;
		store->misses++;
		return ERR_AGAIN;
	}
	store->hits++;
	return entry == NULL ? ERR_NOT_FOUND : buffer_append_slice(value, entry_value(entry));
}

uint64_t store_range_bytes(struct store *store, struct slice first, struct slice end)
{
	blocks(store, READ_NS_MIN, READ_NS_MAX);
	const struct version *version = store->image->content;
	size_t from = version_find(version, first), to = version_find(version, end);
	uint64_t bytes = 0;
	for (size_t i = from; i < to; i++)
		bytes += version->entries[i]->key_bytes + version->entries[i]->value_bytes;
	return bytes;
}

static void pin(struct store *store, struct version *version)
{
	store->readers++;
	version->pins++;
}

static void unpin(struct store *store, struct version *version)
{
	struct image *image = store->image;
	ASSERT(store->readers > 0 && version->pins > 0);
	store->readers--;
	version->pins--;
	if (version->pins > 0 || version == image->content)
		return;
	struct version **link = &image->versions;
	while (*link != version)
		link = &(*link)->next;
	*link = version->next;
	version_free(version);
}

int store_snapshot_take(struct store *store, struct store_snapshot **ret_snapshot)
{
	struct store_snapshot *snapshot = mem_alloc(sizeof(*snapshot));
	if (snapshot == NULL)
		return ERR_NOMEM;
	snapshot->version = store->image->content;
	pin(store, snapshot->version);
	*ret_snapshot = snapshot;
	return 0;
}

void store_snapshot_release(struct store *store, struct store_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	unpin(store, snapshot->version);
	mem_free(snapshot);
}

int store_cursor_open(struct store *store, struct store_snapshot *snapshot, struct slice first,
    struct slice end, struct store_cursor **ret_cursor)
{
	blocks(store, READ_NS_MIN, READ_NS_MAX);
	struct store_cursor *cursor = mem_alloc(sizeof(*cursor));
	if (cursor == NULL)
		return ERR_NOMEM;
	struct version *version = snapshot != NULL ? snapshot->version : store->image->content;
	*cursor = (struct store_cursor){.store = store,
	    .version = version,
	    .position = version_find(version, first),
	    .end = end.bytes > 0 ? version_find(version, end) : version->count};
	pin(store, version);
	*ret_cursor = cursor;
	return 0;
}

void store_cursor_close(struct store_cursor *cursor)
{
	if (cursor == NULL)
		return;
	unpin(cursor->store, cursor->version);
	mem_free(cursor);
}

/* That nothing more comes is read, too. */
static int end_of(struct store *store)
{
	if (store->disk->faults.end_errors == 0)
		return ERR_NOT_FOUND;
	store->disk->faults.end_errors--;
	store->disk->figures.failed_reads++;
	sim_node_trace(store->node, "store: read error", 0, 0);
	return ERR_IO;
}

int store_cursor_next(struct store_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	if (cursor->position >= cursor->end)
		return end_of(cursor->store);
	const struct entry *entry = cursor->version->entries[cursor->position];
	int error = read_fails(cursor->store, entry);
	if (error < 0)
		return error;
	cursor->position++;
	*ret_key = entry_key(entry);
	*ret_value = entry_value(entry);
	return 0;
}

int store_verify(struct store *store, void (*bad)(void *arg, const char *what), void *arg)
{
	int error = 0;
	const struct version *content = store->image->content;
	for (size_t i = 0; i < content->count; i++) {
		if (!content->entries[i]->damaged)
			continue;
		bad(arg, "a damaged value");
		error = ERR_CORRUPT;
	}
	return error;
}

/* ---- Writing ---- */

static void become_durable(void *arg)
{
	struct image *image = arg;
	struct version *before = image->content;
	image->content = image->merged;
	image->merged = NULL;
	image->content->next = image->versions;
	image->versions = image->content;
	if (before->pins > 0)
		return;
	image->content->next = before->next;
	version_free(before);
}

/* Space is taken before anything changes, and given back afterwards: a write that only deletes
 * needs some, too. */
static int take_space(struct store *store)
{
	const struct image *image = store->image;
	uint64_t bytes = image->content->bytes + image->changes->bytes;
	if (sim_node_draw(store->node, store->disk->faults.no_space_ppm))
		return ERR_NO_SPACE;
	return bytes > 0 ? fs_allocate(store->file, 0, bytes) : 0;
}

static int write_changes(struct store *store)
{
	struct image *image = store->image;
	int error = take_space(store);
	if (error == ERR_NO_SPACE) {
		store->disk->figures.no_space++;
		return error;
	}
	if (error < 0)
		PANIC("the simulated store cannot write: %s", error_text(error));
	image->merged = version_merge(image->content, image->changes);
	sim_node_point(store->node, "store_write", become_durable, image);
	error = fs_truncate(store->file, image->content->bytes);
	if (error < 0)
		PANIC("the simulated store cannot write: %s", error_text(error));
	store->writes++;
	store->written_bytes += image->changes->bytes;
	store->disk->figures.writes++;
	return 0;
}

int store_write(struct store *store, struct store_source *source)
{
	struct image *image = store->image;
	ASSERT_MSG(store->file != NULL, "the store was opened for reading only");
	ASSERT_MSG(!store->writing, "writes overlap");
	ASSERT(source->error == 0);
	ASSERT(image->changes == NULL && image->merged == NULL);
	blocks(store, WRITE_NS_MIN, WRITE_NS_MAX);
	if (store->refuses_writes)
		return ERR_AGAIN;
	store->writing = true;
	image->changes = version_new();
	struct store_change change;
	while (source->next(source, &change))
		version_append(image->changes, &change);
	int error = source->error;
	if (error == 0 && image->changes->count > 0)
		error = write_changes(store);
	image_drop_write(image);
	store->writing = false;
	return error;
}

/* Whether the key, which is not before the one asked for last, is in one of the row's ranges that
 * are left. Those before it are left no more. */
static bool is_within(const struct store_range **row, size_t *left, struct slice key)
{
	for (; *left > 0 && slice_compare(key, (*row)->end) >= 0; ++*row)
		--*left;
	return *left > 0 && slice_compare(key, (*row)->first) >= 0;
}

/* Deletions of what is to go. ERR_CORRUPT: there is damage elsewhere. */
static int collect_shed(struct image *image, const struct store_shed_ranges *ranges)
{
	const struct version *content = image->content;
	const struct store_range *gone = ranges->gone, *damaged = ranges->damaged;
	size_t gone_left = ranges->gone_count, damaged_left = ranges->damaged_count;
	for (size_t i = 0; i < content->count; i++) {
		const struct entry *entry = content->entries[i];
		struct slice key = entry_key(entry);
		bool goes = is_within(&gone, &gone_left, key);
		if (!goes && entry->damaged && !is_within(&damaged, &damaged_left, key))
			return ERR_CORRUPT;
		if (goes || entry->damaged)
			version_append(
			    image->changes, &(struct store_change){.key = key, .is_delete = true});
	}
	return 0;
}

int store_shed(const struct store_options *options, const struct store_shed_ranges *ranges,
    char *why, size_t why_bytes)
{
	struct store *store;
	int error = store_open(options, why, why_bytes, &store);
	if (error < 0)
		return error;
	struct image *image = store->image;
	blocks(store, WRITE_NS_MIN, WRITE_NS_MAX);
	image->changes = version_new();
	error = collect_shed(image, ranges);
	if (error == 0 && image->changes->count > 0)
		error = write_changes(store);
	if (error < 0)
		snprintf(why, why_bytes, "%s: %s", options->dir, error_text(error));
	store->disk->figures.sheds += error == 0;
	image->sheds += error == 0;
	if (error == 0)
		image->compaction_stopped = image->was_damaged = false;
	image_drop_write(image);
	store_close(store);
	return error;
}

static bool has_damage(const struct version *content)
{
	for (size_t i = 0; i < content->count; i++)
		if (content->entries[i]->damaged)
			return true;
	return false;
}

int store_shed_make_room(const struct store_options *options, bool *ret_made)
{
	(void)options;
	*ret_made = false; /* it leaves none */
	return 0;
}

void store_check(struct store *store)
{
	struct store_disk *disk = store->disk;
	struct image *image = store->image;
	blocks(store, READ_NS_MIN, READ_NS_MAX);
	/* A compaction may have come by. */
	if (!image->was_damaged || image->compaction_stopped ||
	    !sim_node_draw(store->node, disk->faults.compaction_ppm) || !has_damage(image->content))
		return;
	sim_node_trace(store->node, "store: compaction met damage", 0, 0);
	disk->figures.compactions_stopped++;
	image->compaction_stopped = store->refuses_writes = true;
}

struct store_figures store_figures(const struct store *store)
{
	uint64_t bytes = store->image->content->bytes;
	return (struct store_figures){
	    .bytes_on_disk = bytes,
	    .cache_bytes = bytes,
	    .cache_hits = store->hits,
	    .cache_misses = store->misses,
	    .largest_compaction_bytes =
	        bytes < LARGEST_COMPACTION_BYTES ? bytes : LARGEST_COMPACTION_BYTES,
	    .writes = store->writes,
	    .written_bytes = store->written_bytes,
	    .compaction_stopped = store->image->compaction_stopped && !store->refuses_writes,
	    .refuses_writes = store->refuses_writes,
	};
}
