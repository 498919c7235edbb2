/* Makes a store, damages a table of it, and repairs it, to be cut off at any moment. Each process
 * checks first what those before it left: in place is the damaged store or the repaired one, with
 * exactly the keys that it can have, and the damaged one is kept. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store_tool.h"
#include "tests/preload/victim.h"
#include "tests/unit/store/source.h"

/* Of what is said to be durable. */
enum { DAMAGED, FIRST_LOST, LAST_LOST, REPAIRED };

enum { DAMAGE_OFFSET = 30000, DAMAGE_BYTES = 16, COPIES = 8, TOUCHES = 30, NAME_BYTES = 64 };

static struct fs *fs;
static char root[512];
static char why[STORE_WHY_BYTES];

/* The disk may fail or be full; what it held may not be damaged by that. */
static void must(const char *what, int error)
{
	if (error != 0)
		victim_fails(what, error, why);
}

static struct store_options options_of(const char *dir, bool read_only)
{
	return (struct store_options){.fs = fs,
	    .root = root,
	    .dir = dir,
	    .block_cache_bytes = 1 << 20,
	    .read_only = read_only};
}

static struct model whole(void)
{
	struct model model;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		model.version[number] = 1;
	return model;
}

/* ---- What is there ---- */

enum state { OLD, NEW };

static enum state state_of(const char *dir, const struct victim *victim)
{
	struct model model = whole();
	struct store *store;
	struct store_options options = options_of(dir, true);
	must(dir, store_open(&options, why, sizeof(why), &store));
	struct buffer value;
	uint64_t lost = 0, absent = 0;
	buffer_init(&value, 4096);
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		uint8_t key[16], expected[MODEL_VALUE_BYTES_MAX];
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		bool is_lost =
		    number >= victim->said[FIRST_LOST] && number <= victim->said[LAST_LOST];
		if (is_lost && error == ERR_CORRUPT)
			lost++;
		else if (is_lost && error == ERR_NOT_FOUND)
			absent++;
		else if (error != 0 || is_lost)
			victim_wrong("%s: key %u: %s", dir, (unsigned)number, error_name(error));
		else if (!slice_equal(buffer_view(&value),
		             model_value(number, model.version[number], expected)))
			victim_wrong("%s: key %u has another value", dir, (unsigned)number);
	}
	buffer_done(&value);
	store_close(store);
	if (lost > 0 && absent > 0)
		victim_wrong("%s is half repaired", dir);
	return absent > 0 ? NEW : OLD;
}

static void copy_name(char name[NAME_BYTES], unsigned number)
{
	snprintf(name, NAME_BYTES, "stores/db.before-repair-%u", number);
}

static bool is_there(const char *path)
{
	bool exists;
	must(path, fs_exists(fs, path, &exists));
	return exists;
}

/* Returns what is in place. */
static enum state check(const struct victim *victim)
{
	enum state state = state_of("stores/db", victim);
	if (state == OLD && victim->said[REPAIRED] != 0)
		victim_wrong("it was repaired, and is damaged again");
	bool kept = state == OLD;
	for (unsigned number = 1; number <= COPIES; number++) {
		char copy[NAME_BYTES];
		copy_name(copy, number);
		if (is_there(copy))
			kept = state_of(copy, victim) == OLD || kept;
	}
	if (!kept)
		victim_wrong("the damaged store was not kept");
	return state;
}

/* ---- Making and damaging it ---- */

static int remove_file(void *arg, const char *name, bool is_dir)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	return is_dir ? 0 : fs_unlink(fs, path);
}

static void remove_files(const char *dir)
{
	if (is_there(dir))
		must(dir, fs_list(fs, dir, remove_file, (void *)(uintptr_t)dir));
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
	must(path, fs_open(fs, path, FS_READ, &file));
	must(path, fs_size(file, &bytes));
	fs_close(file);
	if (bytes > 2 * DAMAGE_OFFSET)
		memcpy(arg, path, sizeof(path));
	return 0;
}

static void write_store(void)
{
	struct store *store;
	struct store_options options = options_of("stores/db", false);
	struct model empty = {0};
	struct model model = whole();
	struct model_source source = model_source(&empty, &model);
	uint8_t anchor[KEY_OWN_BYTES];
	key_own_put(anchor, KEY_KIND_ANCHOR);
	struct store_change change = {
	    .key = slice_of(anchor, sizeof(anchor)), .value = slice_from_text("anchor")};
	struct array_source own = array_source(&change, 1);
	must("store_open", store_open(&options, why, sizeof(why), &store));
	must("store_write", store_write(store, &source.source));
	must("store_write", store_write(store, &own.source));
	store_close(store);
}

static void damage(struct victim *victim)
{
	char table[512] = "";
	uint8_t bytes[DAMAGE_BYTES];
	struct fs_file *file;
	memset(bytes, 0xee, sizeof(bytes));
	must("stores/db", fs_list(fs, "stores/db", find_table, table));
	must(table, fs_open(fs, table, FS_WRITE, &file));
	must(table, fs_write(file, DAMAGE_OFFSET, bytes, sizeof(bytes)));
	must(table, fs_sync(file));
	fs_close(file);

	struct store *store;
	struct store_options options = options_of("stores/db", true);
	struct buffer value;
	uint8_t key[16];
	uint64_t first = MODEL_KEYS, last = 0;
	buffer_init(&value, 4096);
	must("store_open", store_open(&options, why, sizeof(why), &store));
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
	victim->said[FIRST_LOST] = first;
	victim->said[LAST_LOST] = last;
	victim->said[DAMAGED] = 1;
	victim_says_durable(victim->said);
}

static void make_damaged(struct victim *victim)
{
	must("stores", fs_make_dir(fs, "stores"));
	must("stores/db", fs_make_dir(fs, "stores/db"));
	must("names", fs_sync_dir(fs, "stores"));
	must("names", fs_sync_dir(fs, "."));
	remove_files("stores/db/ingest");
	remove_files("stores/db/kept");
	remove_files("stores/db");
	/* No compactions: they would stop on the damage. */
	must("DAMAGED", fs_replace_file(fs, "stores/db/DAMAGED", "", 0));
	write_store();
	damage(victim);
}

/* ---- Repairing it ---- */

static void ignore_bad(void *arg, const char *what)
{
	(void)arg;
	(void)what;
}

static int ignore_lost(void *arg, struct slice after, struct slice before)
{
	(void)after;
	(void)before;
	++*(unsigned *)arg;
	return 0;
}

static int ignore_opened(void *arg, uint32_t shard)
{
	(void)arg;
	(void)shard;
	return 0;
}

static int decide(void *arg, uint64_t keys)
{
	(void)keys;
	if (*(unsigned *)arg != 1)
		victim_wrong("%u stretches are lost", *(unsigned *)arg);
	return 0;
}

static void repair(struct victim *victim)
{
	unsigned lost = 0, number = 1;
	uint64_t keys;
	char copy[NAME_BYTES];
	struct store_options options = options_of("stores/db", false);
	struct store_repair_plan plan = {.bad = ignore_bad,
	    .lost = ignore_lost,
	    .opened = ignore_opened,
	    .decide = decide,
	    .arg = &lost};
	for (copy_name(copy, number); is_there(copy); copy_name(copy, ++number))
		if (number == COPIES)
			return;
	must("store_repair", store_repair(&options, copy, &plan, &keys, why, sizeof(why)));
	if (keys != MODEL_KEYS - (victim->said[LAST_LOST] - victim->said[FIRST_LOST] + 1) + 1)
		victim_wrong("%llu keys were kept", (unsigned long long)keys);
	victim->said[REPAIRED] = 1;
	victim_says_durable(victim->said);
}

/* Does something for long enough that the power is likely to be cut after the repair. */
static void touch(void)
{
	must("other", fs_make_dir(fs, "other"));
	for (uint32_t number = 0; number < TOUCHES; number++)
		must("other/touch", fs_replace_file(fs, "other/touch", &number, sizeof(number)));
}

int main(int argc, char **argv)
{
	struct victim victim = victim_of(argc, argv);
	snprintf(root, sizeof(root), "%s/data", victim.dir);
	must(root, fs_open_root(root, true, &fs));
	if (victim.said[DAMAGED] == 0 && victim.steps > 0)
		make_damaged(&victim);
	if (victim.said[DAMAGED] != 0 && check(&victim) == OLD && victim.steps > 0) {
		repair(&victim);
		(void)check(&victim);
	}
	if (victim.said[REPAIRED] != 0 && victim.steps > 0)
		touch();
	fs_close_root(fs);
	return 0;
}
