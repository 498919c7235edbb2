#include "client/admin/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/offline.h"
#include "client/admin/print.h"
#include "client/admin/tell.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "storage/store_tool.h"

#define WHY_BYTES    512
#define KEY_TEXT_MAX 512
#define COPIES_MAX   1000

static enum exit_code store_failed(const char *path, int error)
{
	char why[WHY_BYTES];
	snprintf(why, sizeof(why), "%s: %s: %s", path, error_text(error), error_advice(error));
	(void)command_failed(error, why);
	return error == ERR_CORRUPT ? EXIT_UNHEALTHY : EXIT_REFUSED;
}

/* ---- verify ---- */

struct verify {
	char path[OFFLINE_PATH_BYTES];
	uint64_t bad;
};

static void verify_bad(void *arg, const char *what)
{
	struct verify *verify = arg;
	verify->bad++;
	fprintf(stderr, "%s: %s\n", verify->path, what);
}

static const char *const verify_columns[] = {"store", "state", "bytes_on_disk", "damaged_files"};

/* Needs nothing of what the store says of itself, which may be damaged too. */
static enum exit_code verify_store(
    const struct args *args, struct offline *offline, uint32_t number, void *arg)
{
	(void)args;
	struct print *print = arg;
	struct verify verify = {.bad = 0};
	char store_path[DATA_DIR_PATH_BYTES], why[STORE_WHY_BYTES] = "";
	struct store *store;
	data_dir_store_path(offline->dir, number, store_path, sizeof(store_path));
	snprintf(verify.path, sizeof(verify.path), "%s/db", store_path);
	int error = store_open(&(struct store_options){.fs = offline->fs,
	                           .root = offline->path,
	                           .dir = verify.path,
	                           .block_cache_bytes = OFFLINE_CACHE_BYTES,
	                           .read_only = true,
	                           .tolerant = true},
	    why, sizeof(why), &store);
	if (error) {
		(void)command_failed(error, why);
		return error == ERR_CORRUPT ? EXIT_UNHEALTHY : EXIT_REFUSED;
	}
	error = store_verify(store, verify_bad, &verify);
	uint64_t bytes = store_figures(store).bytes_on_disk;
	store_close(store);
	if (error && error != ERR_CORRUPT)
		return store_failed(verify.path, error);
	print_number(print, number);
	print_text(print, error ? "damaged" : "good");
	print_number(print, bytes);
	print_number(print, verify.bad);
	return error ? EXIT_UNHEALTHY : EXIT_DONE;
}

enum exit_code command_store_verify(const struct args *args)
{
	struct print print;
	print_begin(&print, args->format, verify_columns,
	    sizeof(verify_columns) / sizeof(verify_columns[0]));
	enum exit_code code = offline_each(args, verify_store, &print);
	return command_finish(&print, code);
}

/* ---- dump ---- */

static const char *const shard_columns[] = {
    "store", "shard", "applied_index", "applied_term", "term", "vote", "commit"};
static const char *const key_columns[] = {"store", "shard", "kind", "key", "value_bytes"};

/* Printable bytes as they are, others as \xHH; cut at the end of `text`. */
static void key_text(struct slice key, char *text, size_t text_bytes)
{
	size_t at = 0;
	for (size_t i = 0; i < key.bytes && at + 5 < text_bytes; i++) {
		uint8_t c = key.data[i];
		if (c > 0x20 && c < 0x7f && c != '\\')
			text[at++] = (char)c;
		else
			at += (size_t)snprintf(text + at, text_bytes - at, "\\x%02x", c);
	}
	text[at] = '\0';
}

static enum exit_code dump_keys(struct offline_store *store, struct print *print)
{
	struct store_cursor *cursor = NULL;
	int error =
	    store_cursor_open(store->store, NULL, slice_of(NULL, 0), slice_of(NULL, 0), &cursor);
	while (!error) {
		struct slice key, value;
		error = store_cursor_next(cursor, &key, &value);
		if (error)
			break;
		char text[KEY_TEXT_MAX];
		if (key.bytes <= KEY_SHARD_BYTES) {
			error = ERR_CORRUPT;
			break;
		}
		struct slice rest =
		    slice_of(key.data + KEY_SHARD_BYTES + 1, key.bytes - KEY_SHARD_BYTES - 1);
		key_text(rest, text, sizeof(text));
		print_number(print, store->number);
		print_number(print, key_shard_get(key.data));
		print_number(print, key.data[KEY_SHARD_BYTES]);
		print_text(print, text);
		print_number(print, value.bytes);
	}
	store_cursor_close(cursor);
	if (error == ERR_NOT_FOUND)
		return EXIT_DONE;
	return store_failed(store->db_path, error);
}

static enum exit_code dump_store(const struct args *args, struct offline_store *store, void *arg)
{
	struct print *print = arg;
	if (args->keys)
		return dump_keys(store, print);
	for (size_t i = 0; i < store->base_count; i++) {
		const struct offline_base *base = &store->bases[i];
		print_number(print, store->number);
		print_number(print, base->shard);
		print_number(print, base->base.index);
		print_number(print, base->base.term);
		print_number(print, base->base.hard.term);
		print_number(print, base->base.hard.vote);
		print_number(print, base->base.hard.commit);
	}
	return EXIT_DONE;
}

enum exit_code command_store_dump(const struct args *args)
{
	if (args->keys)
		return offline_print_stores(
		    args, key_columns, sizeof(key_columns) / sizeof(key_columns[0]), dump_store);
	return offline_print_stores(
	    args, shard_columns, sizeof(shard_columns) / sizeof(shard_columns[0]), dump_store);
}

/* ---- repair ---- */

struct repair {
	const struct args *args;
	struct offline *offline;
	struct tell *tell;
	uint32_t store;
	char path[OFFLINE_PATH_BYTES], copy[OFFLINE_PATH_BYTES];
	bool stopped; /* by `decide`, with that code */
	enum exit_code code;
};

static void repair_bad(void *arg, const char *what)
{
	const struct repair *repair = arg;
	fprintf(stderr, "%s: %s\n", repair->path, what);
}

/* "key \x10a of shard 3", or what an absent end of a stretch means. */
static void end_of_stretch(struct slice key, const char *absent, char *text, size_t bytes)
{
	char name[KEY_TEXT_MAX];
	uint32_t shard = key.bytes >= KEY_SHARD_BYTES ? key_shard_get(key.data) : 0;
	if (key.bytes <= KEY_SHARD_BYTES || shard == KEY_STORE_SHARD) {
		snprintf(text, bytes, "%s", absent);
		return;
	}
	key_text(
	    slice_of(key.data + KEY_SHARD_BYTES, key.bytes - KEY_SHARD_BYTES), name, sizeof(name));
	snprintf(text, bytes, "key %s of shard %" PRIu32, name, shard);
}

static int repair_lost(void *arg, struct slice after, struct slice before)
{
	const struct repair *repair = arg;
	char begin[KEY_TEXT_MAX + 32], end[KEY_TEXT_MAX + 32];
	bool has_first = after.bytes >= KEY_SHARD_BYTES;
	uint32_t last =
	    before.bytes >= KEY_SHARD_BYTES ? key_shard_get(before.data) : KEY_STORE_SHARD;
	struct tell_of of = {.store = repair->store,
	    .first_shard = has_first ? key_shard_get(after.data) : 0,
	    .last_shard = last == KEY_STORE_SHARD ? TELL_NO_SHARD : last,
	    .what = "gives_up"};
	end_of_stretch(after, "the beginning", begin, sizeof(begin));
	end_of_stretch(before, "the end", end, sizeof(end));
	tell_line(repair->tell, &of, "gives up what stood behind %s and before %s", begin, end);
	return 0;
}

static int repair_shard(void *arg, const struct store_repair_shard *shard)
{
	const struct repair *repair = arg;
	struct tell_of of = {.store = repair->store,
	    .first_shard = shard->shard,
	    .last_shard = shard->shard,
	    .what = !shard->is_certain ? "may_lose"
	            : shard->keys      ? "keeps_part"
	                               : "keeps_nothing"};
	char bytes[64] = "";
	if (shard->gap_bytes > 0)
		snprintf(bytes, sizeof(bytes), ", about %" PRIu64 " KiB on the disk",
		    (shard->gap_bytes + 1023) / 1024);
	if (!shard->is_certain)
		tell_line(repair->tell, &of,
		    "may lose keys at one end of it, where a stretch begins or ends; keeps %" PRIu64
		    " %s",
		    shard->keys, print_plural(shard->keys, "key", "keys"));
	else if (shard->keys == 0)
		tell_line(repair->tell, &of,
		    "nothing of it can be read: all of its entities are gone%s; restore a backup "
		    "where they are needed",
		    bytes);
	else
		tell_line(repair->tell, &of,
		    "only a part of it stays, %" PRIu64 " %s; what stood in %" PRIu64
		    " %s of it is gone%s: entities with names between those said above, or events "
		    "of them. It serves what is left and tells no client: compare it with a "
		    "backup, or with what your apps know, before they do",
		    shard->keys, print_plural(shard->keys, "key", "keys"), shard->gaps,
		    print_plural(shard->gaps, "stretch", "stretches"), bytes);
	return 0;
}

static int repair_opened(void *arg, uint32_t shard)
{
	const struct repair *repair = arg;
	struct tell_of of = {
	    .store = repair->store, .first_shard = shard, .last_shard = shard, .what = "opened"};
	tell_line(repair->tell, &of,
	    "was closed by earlier damage and is opened again; what it had deleted then may be "
	    "there again");
	return 0;
}

static struct tell_of of_store(const struct repair *repair, const char *what)
{
	return (struct tell_of){.store = repair->store,
	    .first_shard = TELL_NO_SHARD,
	    .last_shard = TELL_NO_SHARD,
	    .what = what};
}

static int repair_decide(void *arg, uint64_t keys)
{
	struct repair *repair = arg;
	const struct args *args = repair->args;
	struct tell_of keeps = of_store(repair, "keeps");
	tell_line(repair->tell, &keeps,
	    "keeps %" PRIu64 " %s, in a new store; the damaged one stays as %s", keys,
	    print_plural(keys, "key", "keys"), repair->copy);
	repair->tell->plans = true;
	repair->stopped = true;
	repair->code = EXIT_DONE;
	if (args->dry_run)
		return ERR_CANCELED;
	repair->code = EXIT_REFUSED;
	if (!args->accept_loss) {
		fputs(
		    "Nothing was changed. To give this up for good, add --accept-loss.\n", stderr);
		return ERR_CANCELED;
	}
	if (!args_confirm(args, "This cannot be undone except from that copy.")) {
		repair->code = command_not_wanted();
		return ERR_CANCELED;
	}
	repair->stopped = false;
	return 0;
}

/* The first name that is free. */
static int name_copy(struct repair *repair, const char *store_path)
{
	bool exists = true;
	int error = 0;
	for (unsigned i = 1; i <= COPIES_MAX && exists && !error; i++) {
		snprintf(
		    repair->copy, sizeof(repair->copy), "%s/db.before-repair-%u", store_path, i);
		error = fs_exists(repair->offline->fs, repair->copy, &exists);
	}
	return error ? error : exists ? ERR_EXISTS : 0;
}

static enum exit_code repair_store(
    const struct args *args, struct offline *offline, uint32_t number, void *arg)
{
	struct repair repair = {.args = args, .offline = offline, .tell = arg, .store = number};
	char store_path[DATA_DIR_PATH_BYTES], why[STORE_WHY_BYTES] = "";
	data_dir_store_path(offline->dir, number, store_path, sizeof(store_path));
	snprintf(repair.path, sizeof(repair.path), "%s/db", store_path);
	struct store_options options = {.fs = offline->fs,
	    .root = offline->path,
	    .dir = repair.path,
	    .block_cache_bytes = OFFLINE_CACHE_BYTES};
	struct store_repair_plan plan = {.bad = repair_bad,
	    .lost = repair_lost,
	    .shard = repair_shard,
	    .opened = repair_opened,
	    .decide = repair_decide,
	    .arg = &repair};
	uint64_t keys = 0;
	int error = name_copy(&repair, store_path);
	if (!error)
		error = store_repair(&options, repair.copy, &plan, &keys, why, sizeof(why));
	if (repair.stopped)
		return repair.code;
	struct tell_of nothing = of_store(&repair, "nothing_to_repair");
	if (error == ERR_NOT_FOUND) {
		tell_line(repair.tell, &nothing, "nothing to repair (%s)", why);
		return EXIT_DONE;
	}
	if (error) {
		(void)command_failed(error, why);
		return error == ERR_CORRUPT ? EXIT_UNHEALTHY : EXIT_REFUSED;
	}
	struct tell_of repaired = of_store(&repair, "repaired");
	tell_line(repair.tell, &repaired,
	    "repaired, %" PRIu64 " %s; the copy is in %s. Start the server, look for what is "
	    "missing in the shards named above, and remove the copy when nothing is wanted of it",
	    keys, print_plural(keys, "key", "keys"), repair.copy);
	return EXIT_DONE;
}

enum exit_code command_store_repair(const struct args *args)
{
	static const char instead[] =
	    "Take the node out instead (kalix-admin node remove N --force, at another one), and "
	    "start it in an empty directory, with --join";
	struct tell tell;
	bool later;
	enum exit_code code = offline_may_lose(args, instead, &later);
	if (code)
		return code;
	tell_begin(&tell, args->format);
	code = offline_each(args, repair_store, &tell);
	int error = tell_end(&tell);
	if (later && tell.plans)
		offline_say_later(args, instead);
	return error ? command_failed(error, "") : code;
}
