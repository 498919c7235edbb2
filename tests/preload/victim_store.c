#include "tests/preload/victim_store.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "tests/unit/store/source.h"

enum { DAMAGE_OFFSET = 30000, DAMAGE_BYTES = 16, TOUCHES = 30 };

struct fs *victim_fs;
char victim_why[STORE_WHY_BYTES];

static char root[512];

void victim_store_begin(const struct victim *victim)
{
	snprintf(root, sizeof(root), "%s/data", victim->dir);
	victim_must(root, fs_open_root(root, true, &victim_fs));
}

void victim_must(const char *what, int error)
{
	if (error != 0)
		victim_fails(what, error, victim_why);
}

struct store_options victim_store_options(const char *dir, bool read_only)
{
	return (struct store_options){.fs = victim_fs,
	    .root = root,
	    .dir = dir,
	    .block_cache_bytes = 1 << 20,
	    .read_only = read_only};
}

void victim_touch(void)
{
	victim_must("other", fs_make_dir(victim_fs, "other"));
	for (uint32_t number = 0; number < TOUCHES; number++)
		victim_must("other/touch",
		    fs_replace_file(victim_fs, "other/touch", &number, sizeof(number)));
}

static struct model whole(void)
{
	struct model model;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		model.version[number] = 1;
	return model;
}

/* ---- What is there ---- */

bool victim_is_there(const char *path)
{
	bool exists;
	victim_must(path, fs_exists(victim_fs, path, &exists));
	return exists;
}

/* Whether the key says that it is the old store, or the new one; neither where it is in both. */
struct seen {
	uint64_t old, new;
};

static void see(const char *dir, uint64_t number, int error, struct slice value, bool is_lost,
    bool goes, struct seen *seen)
{
	uint8_t expected[MODEL_VALUE_BYTES_MAX];
	if (goes && error == ERR_NOT_FOUND) {
		seen->new ++;
		return;
	}
	if (goes)
		seen->old++;
	if (is_lost && error == ERR_CORRUPT)
		return;
	if (is_lost || error != 0)
		victim_wrong("%s: key %u: %s", dir, (unsigned)number, error_name(error));
	if (!slice_equal(value, model_value((uint32_t)number, 1, expected)))
		victim_wrong("%s: key %u has another value", dir, (unsigned)number);
}

enum victim_state victim_state_of(
    const char *dir, const struct victim *victim, uint64_t first, uint64_t last)
{
	struct store *store;
	struct seen seen = {0};
	struct store_options options = victim_store_options(dir, true);
	victim_must(dir, store_open(&options, victim_why, sizeof(victim_why), &store));
	struct buffer value;
	buffer_init(&value, 4096);
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		uint8_t key[16];
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		bool is_lost = number >= victim->said[SAID_FIRST_LOST] &&
		               number <= victim->said[SAID_LAST_LOST];
		see(dir, number, error, buffer_view(&value), is_lost,
		    number >= first && number <= last, &seen);
	}
	buffer_done(&value);
	store_close(store);
	if (seen.old > 0 && seen.new > 0)
		victim_wrong("%s is half done", dir);
	return seen.new > 0 ? VICTIM_NEW : VICTIM_OLD;
}

/* ---- Making and damaging it ---- */

static int remove_file(void *arg, const char *name, bool is_dir)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	return is_dir ? 0 : fs_unlink(victim_fs, path);
}

static void remove_files(const char *dir)
{
	if (victim_is_there(dir))
		victim_must(dir, fs_list(victim_fs, dir, remove_file, (void *)(uintptr_t)dir));
}

/* The one that has the keys. */
static int find_table(void *arg, const char *name, bool is_dir)
{
	const char *dot = strrchr(name, '.');
	char path[512];
	struct fs_file *file;
	uint64_t bytes;
	if (is_dir || dot == NULL || strcmp(dot, ".sst") != 0)
		return 0;
	snprintf(path, sizeof(path), "stores/db/%s", name);
	victim_must(path, fs_open(victim_fs, path, FS_READ, &file));
	victim_must(path, fs_size(file, &bytes));
	fs_close(file);
	if (bytes > 2 * DAMAGE_OFFSET)
		memcpy(arg, path, sizeof(path));
	return 0;
}

static void write_store(void)
{
	struct store *store;
	struct store_options options = victim_store_options("stores/db", false);
	struct model empty = {0};
	struct model model = whole();
	struct model_source source = model_source(&empty, &model);
	uint8_t anchor[KEY_OWN_BYTES];
	key_own_put(anchor, KEY_KIND_ANCHOR);
	struct store_change change = {
	    .key = slice_of(anchor, sizeof(anchor)), .value = slice_from_text("anchor")};
	struct array_source own = array_source(&change, 1);
	victim_must("store_open", store_open(&options, victim_why, sizeof(victim_why), &store));
	victim_must("store_write", store_write(store, &source.source));
	victim_must("store_write", store_write(store, &own.source));
	store_close(store);
}

static void damage(struct victim *victim)
{
	char table[512] = "";
	uint8_t bytes[DAMAGE_BYTES];
	struct fs_file *file;
	memset(bytes, 0xee, sizeof(bytes));
	victim_must("stores/db", fs_list(victim_fs, "stores/db", find_table, table));
	victim_must(table, fs_open(victim_fs, table, FS_WRITE, &file));
	victim_must(table, fs_write(file, DAMAGE_OFFSET, bytes, sizeof(bytes)));
	victim_must(table, fs_sync(file));
	fs_close(file);

	struct store *store;
	struct store_options options = victim_store_options("stores/db", true);
	struct buffer value;
	uint8_t key[16];
	uint64_t first = MODEL_KEYS, last = 0;
	buffer_init(&value, 4096);
	victim_must("store_open", store_open(&options, victim_why, sizeof(victim_why), &store));
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		buffer_clear(&value);
		if (store_get(store, model_key(number, key), &value) == 0)
			continue;
		first = number < first ? number : first;
		last = number;
	}
	buffer_done(&value);
	store_close(store);
	if (first > last)
		victim_wrong("nothing is damaged");
	victim->said[SAID_FIRST_LOST] = first;
	victim->said[SAID_LAST_LOST] = last;
	victim->said[SAID_DAMAGED] = 1;
	victim_says_durable(victim->said);
}

void victim_make_damaged(struct victim *victim)
{
	victim_must("stores", fs_make_dir(victim_fs, "stores"));
	victim_must("stores/db", fs_make_dir(victim_fs, "stores/db"));
	victim_must("names", fs_sync_dir(victim_fs, "stores"));
	victim_must("names", fs_sync_dir(victim_fs, "."));
	remove_files("stores/db/ingest");
	remove_files("stores/db/kept");
	remove_files("stores/db");
	/* No compactions: they would stop on the damage. */
	victim_must("DAMAGED", fs_replace_file(victim_fs, "stores/db/DAMAGED", "", 0));
	write_store();
	damage(victim);
}
