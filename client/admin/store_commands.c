#include "client/admin/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/offline.h"
#include "client/admin/print.h"
#include "storage/keys.h"
#include "storage/store.h"

#define WHY_BYTES    512
#define KEY_TEXT_MAX 512

static enum exit_code store_failed(const struct offline_store *store, int error)
{
	char why[WHY_BYTES];
	snprintf(
	    why, sizeof(why), "%s: %s: %s", store->db_path, error_text(error), error_advice(error));
	return command_failed(error, why);
}

/* ---- verify ---- */

struct verify {
	const struct offline_store *store;
	uint64_t bad;
};

static void verify_bad(void *arg, const char *what)
{
	struct verify *verify = arg;
	verify->bad++;
	fprintf(stderr, "%s: %s\n", verify->store->db_path, what);
}

static const char *const verify_columns[] = {"store", "state", "bytes_on_disk", "damaged_files"};

static enum exit_code verify_store(const struct args *args, struct offline_store *store, void *arg)
{
	(void)args;
	struct print *print = arg;
	struct verify verify = {.store = store};
	int error = store_verify(store->store, verify_bad, &verify);
	if (error && error != ERR_CORRUPT)
		return store_failed(store, error);
	bool damaged = error == ERR_CORRUPT || verify.bad > 0;
	print_number(print, store->number);
	print_text(print, damaged ? "damaged" : "good");
	print_number(print, store_figures(store->store).bytes_on_disk);
	print_number(print, verify.bad);
	return damaged ? EXIT_UNHEALTHY : EXIT_DONE;
}

enum exit_code command_store_verify(const struct args *args)
{
	struct print print;
	print_begin(&print, args->format, verify_columns,
	    sizeof(verify_columns) / sizeof(verify_columns[0]));
	enum exit_code code = offline_each_store(args, verify_store, &print);
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
	(void)store_failed(store, error);
	return error == ERR_CORRUPT ? EXIT_UNHEALTHY : EXIT_REFUSED;
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
	struct print print;
	if (args->keys)
		print_begin(&print, args->format, key_columns,
		    sizeof(key_columns) / sizeof(key_columns[0]));
	else
		print_begin(&print, args->format, shard_columns,
		    sizeof(shard_columns) / sizeof(shard_columns[0]));
	enum exit_code code = offline_each_store(args, dump_store, &print);
	return command_finish(&print, code);
}
