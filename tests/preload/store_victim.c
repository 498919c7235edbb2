/* Makes a data directory and writes batches into one store, to be cut off at any moment. Each
 * process checks first what those before it left: every batch that was acknowledged is there,
 * whole; the one that was under way is there whole or not at all. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/io/fs.h"
#include "storage/data_dir.h"
#include "storage/store.h"
#include "tests/preload/victim.h"
#include "tests/unit/store/source.h"

/* Of what is said to be durable. */
enum { ID, ACKED };

static const uint8_t NUMBER_KEY[] = {0xff, 0xff, 0xff, 0xff, 1};

/* The changes of a batch, and behind them its number. */
struct batch_source {
	struct store_source source;
	struct model_source model;
	bool numbered;
	uint8_t number[8];
};

static bool batch_next(struct store_source *base, struct store_change *ret_change)
{
	struct batch_source *source = (struct batch_source *)(void *)base;
	if (source->model.source.next(&source->model.source, ret_change))
		return true;
	if (source->numbered)
		return false;
	source->numbered = true;
	*ret_change = (struct store_change){.key = slice_of(NUMBER_KEY, sizeof(NUMBER_KEY)),
	    .value = slice_of(source->number, sizeof(source->number))};
	return true;
}

static uint64_t read_number(struct store *store)
{
	struct buffer value;
	buffer_init(&value, 64);
	int error = store_get(store, slice_of(NUMBER_KEY, sizeof(NUMBER_KEY)), &value);
	if (error != 0 && error != ERR_NOT_FOUND)
		victim_wrong("the batch's number: %s", error_name(error));
	struct reader in = reader_of(buffer_view(&value));
	uint64_t number = error == 0 ? reader_u64le(&in) : 0;
	buffer_done(&value);
	return number;
}

static void report_damage(void *arg, const char *what)
{
	(void)arg;
	victim_wrong("%s", what);
}

static void change(struct model *model, const struct victim *victim, uint64_t number)
{
	uint64_t random = victim->seed * 1000 + number;
	model_change(model, &random, (uint32_t)number);
}

/* Returns the number of the last batch, whose content *model is then. */
static uint64_t check(struct store *store, const struct victim *victim, struct model *model)
{
	uint64_t number = read_number(store);
	if (number < victim->said[ACKED] || number > victim->said[ACKED] + 1)
		victim_wrong("batch %llu was acknowledged, and %llu is there",
		    (unsigned long long)victim->said[ACKED], (unsigned long long)number);
	for (uint64_t batch = 1; batch <= number; batch++)
		change(model, victim, batch);
	if (!model_matches_before(model, store, slice_of(NUMBER_KEY, 4)))
		victim_wrong("batch %llu is not whole", (unsigned long long)number);
	if (victim->steps == 0 && store_verify(store, report_damage, NULL) != 0)
		victim_wrong("it cannot be verified");
	return number;
}

static void says_acked(struct victim *victim, uint64_t number)
{
	victim->said[ACKED] = number;
	victim_says_durable(victim->said);
}

/* After a write that found no space. */
static void check_unchanged(struct store *store, const struct model *model, uint64_t number)
{
	victim_says("no space for batch %llu", (unsigned long long)number + 1);
	if (read_number(store) != number ||
	    !model_matches_before(model, store, slice_of(NUMBER_KEY, 4)))
		victim_wrong("a write without space changed something");
}

static void write_batches(
    struct store *store, struct victim *victim, struct model *model, uint64_t number)
{
	for (uint64_t step = 1; step <= victim->steps; step++) {
		struct model before = *model;
		number++;
		change(model, victim, number);
		struct batch_source source = {
		    .source = {.next = batch_next}, .model = model_source(&before, model)};
		store_u64le(source.number, number);
		int error = store_write(store, &source.source);
		if (error == ERR_NO_SPACE) {
			check_unchanged(store, &before, number - 1);
			source.model = model_source(&before, model);
			source.numbered = false;
			error = store_write(store, &source.source);
		}
		if (error != 0)
			victim_wrong("store_write: %s", error_name(error));
		says_acked(victim, number);
		/* Compactions are to be cut off, too. */
		usleep((useconds_t)(victim->seed * 31 + number * 17) % 4 * 1000);
		store_check(store);
	}
}

/* The disk may fail or be full; what it held may not be damaged by that. */
static struct store *open_store(struct fs *fs, const char *root, struct data_dir *dir)
{
	char why[STORE_WHY_BYTES];
	char path[DATA_DIR_PATH_BYTES];
	char db[DATA_DIR_PATH_BYTES + 4];
	data_dir_store_path(dir, 0, path, sizeof(path));
	snprintf(db, sizeof(db), "%s/db", path);
	int error = fs_make_dir(fs, db);
	if (error == 0)
		error = fs_sync_dir(fs, path);
	if (error != 0)
		victim_fails(db, error, error_text(error));
	struct store_options options = {
	    .fs = fs, .root = root, .dir = db, .block_cache_bytes = 1 << 20};
	struct store *store;
	error = store_open(&options, why, sizeof(why), &store);
	if (error != 0)
		victim_fails("store_open", error, why);
	return store;
}

int main(int argc, char **argv)
{
	struct victim victim = victim_of(argc, argv);
	struct fs *fs;
	struct data_dir *dir;
	char root[512];
	char why[DATA_DIR_WHY_BYTES];
	snprintf(root, sizeof(root), "%s/data", victim.dir);
	int error = fs_open_root(root, true, &fs);
	if (error != 0)
		victim_fails(root, error, error_text(error));
	uint64_t id[2] = {victim.run, victim.seed};
	error = data_dir_open(fs, 1, id, why, sizeof(why), &dir);
	if (error != 0)
		victim_fails("data_dir_open", error, why);
	id[0] = data_dir_identity(dir).id[0];
	if (victim.said[ID] != 0 && victim.said[ID] != id[0])
		victim_wrong("the data directory was made anew");
	victim.said[ID] = id[0];
	victim_says_durable(victim.said);

	struct store *store = open_store(fs, root, dir);
	struct model model = {0};
	uint64_t number = check(store, &victim, &model);
	says_acked(&victim, number);
	write_batches(store, &victim, &model, number);
	store_close(store);
	data_dir_close(dir);
	fs_close_root(fs);
	return 0;
}
