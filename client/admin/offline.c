#include "client/admin/offline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/io/fs.h"
#include "base/mem.h"
#include "storage/data_member.h"
#include "storage/data_peers.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "client/admin/commands.h"
#include "client/admin/print.h"
#include "storage/store.h"

#define WHY_BYTES        512
#define BASES_MAX        ((size_t)1 << 20)
#define BASE_KEY_BYTES   (KEY_SHARD_BYTES + 1 + KEY_SHARD_BYTES)
#define ANCHOR_KEY_BYTES (KEY_SHARD_BYTES + 1)
#define ANCHOR_BYTES_MAX 4096

int offline_open(const char *path, struct offline *ret_offline, char *why, size_t why_bytes)
{
	*ret_offline = (struct offline){.path = path};
	int error = fs_open_root(path, false, &ret_offline->fs);
	if (error) {
		snprintf(
		    why, why_bytes, "%s: %s: %s", path, error_text(error), error_advice(error));
		return error;
	}
	error = data_dir_open(ret_offline->fs, 0, NULL, why, why_bytes, &ret_offline->dir);
	if (error)
		return error;
	ret_offline->identity = data_dir_identity(ret_offline->dir);
	return 0;
}

void offline_done(struct offline *offline)
{
	data_dir_close(offline->dir);
	fs_close_root(offline->fs);
	*offline = (struct offline){0};
}

static struct log_base find_base(void *arg, uint32_t group)
{
	const struct offline_store *store = arg;
	size_t low = 0, high = store->base_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (store->bases[middle].shard < group)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < store->base_count && store->bases[low].shard == group)
		return store->bases[low].base;
	return (struct log_base){0};
}

static int read_anchor(struct offline_store *store, uint64_t store_id, char *why, size_t why_bytes)
{
	uint8_t key[ANCHOR_KEY_BYTES];
	key_shard_put(key, KEY_STORE_SHARD);
	key[KEY_SHARD_BYTES] = KEY_KIND_ANCHOR;
	struct buffer value;
	buffer_init(&value, ANCHOR_BYTES_MAX);
	int error = store_get(store->store, slice_of(key, sizeof(key)), &value);
	struct record_anchor anchor;
	if (error == ERR_NOT_FOUND) {
		buffer_done(&value);
		return 0;
	}
	if (!error)
		error = record_anchor_decode(buffer_view(&value), &anchor);
	buffer_done(&value);
	if (!error && anchor.store != store_id)
		error = ERR_FOREIGN;
	if (error) {
		snprintf(why, why_bytes, "%s: the checkpoint's anchor: %s: %s", store->db_path,
		    error_text(error), error_advice(error));
		return error;
	}
	store->has_anchor = true;
	store->anchor = anchor.log;
	return 0;
}

static int keep_base(struct offline_store *store, uint32_t shard, const struct log_base *base)
{
	if (store->base_count == BASES_MAX)
		return ERR_TOO_LARGE;
	if (array_reserve(
	        &store->bases, &store->base_capacity, store->base_count + 1, sizeof(*store->bases)))
		return ERR_NOMEM;
	store->bases[store->base_count++] = (struct offline_base){.shard = shard, .base = *base};
	return 0;
}

static int read_bases(struct offline_store *store, char *why, size_t why_bytes)
{
	uint8_t first[ANCHOR_KEY_BYTES], end[ANCHOR_KEY_BYTES];
	key_shard_put(first, KEY_STORE_SHARD);
	key_shard_put(end, KEY_STORE_SHARD);
	first[KEY_SHARD_BYTES] = KEY_KIND_APPLIED;
	end[KEY_SHARD_BYTES] = KEY_KIND_APPLIED + 1;
	struct store_cursor *cursor = NULL;
	int error = store_cursor_open(store->store, NULL, slice_of(first, sizeof(first)),
	    slice_of(end, sizeof(end)), &cursor);
	while (!error) {
		struct slice key, value;
		error = store_cursor_next(cursor, &key, &value);
		if (error)
			break;
		struct log_base base;
		error =
		    key.bytes == BASE_KEY_BYTES ? record_applied_decode(value, &base) : ERR_CORRUPT;
		if (!error)
			error = keep_base(store, key_shard_get(key.data + ANCHOR_KEY_BYTES), &base);
	}
	store_cursor_close(cursor);
	if (error == ERR_NOT_FOUND)
		return 0;
	snprintf(why, why_bytes, "%s: the shards' progress: %s: %s", store->db_path,
	    error_text(error), error_advice(error));
	return error;
}

int offline_store_open(struct offline *offline, uint32_t number, struct offline_store *ret_store,
    char *why, size_t why_bytes)
{
	struct offline_store *store = ret_store;
	*store = (struct offline_store){.number = number};
	data_dir_store_path(offline->dir, number, store->path, sizeof(store->path));
	snprintf(store->log_path, sizeof(store->log_path), "%s/log", store->path);
	snprintf(store->db_path, sizeof(store->db_path), "%s/db", store->path);
	uint64_t store_id = data_dir_store_id(offline->dir, number);

	int error = store_open(&(struct store_options){.fs = offline->fs,
	                           .root = offline->path,
	                           .dir = store->db_path,
	                           .block_cache_bytes = OFFLINE_CACHE_BYTES,
	                           .read_only = true,
	                           .tolerant = true},
	    why, why_bytes, &store->store);
	if (!error)
		error = read_anchor(store, store_id, why, why_bytes);
	if (!error)
		error = read_bases(store, why, why_bytes);
	if (error)
		return error;
	store->log = (struct log_tool_options){.fs = offline->fs,
	    .dir = store->log_path,
	    .store = store_id,
	    .anchor = store->anchor,
	    .base = find_base,
	    .base_arg = store};
	return 0;
}

void offline_store_done(struct offline_store *store)
{
	store_close(store->store);
	mem_free(store->bases);
	*store = (struct offline_store){0};
}

/* ---- Nodes of a cluster ---- */

/* Where nothing was kept of the others, a node that has joined is one of several. */
static int has_others(struct offline *offline, bool *ret_others)
{
	struct data_peers peers = {.count = 0};
	struct data_member member = {.node = 0};
	int error = data_peers_read(offline->fs, &peers);
	bool others = peers.count > 0;
	if (error == ERR_NOT_FOUND) {
		error = data_member_read(offline->fs, &member);
		others = member.node != 0;
	}
	/* Only what never was there says that there are none. */
	*ret_others = others || error == ERR_CORRUPT || error == ERR_FORMAT;
	return error == ERR_NOT_FOUND || *ret_others ? 0 : error;
}

static const char is_of_cluster[] =
    "belongs to a node of a cluster. A replica that forgets what it has acknowledged still has its "
    "vote, and others would lose that, too.";

void offline_say_later(const struct args *args, const char *instead)
{
	fprintf(stderr,
	    "kalix-admin: this will be refused: %s %s %s. Where all that is left is damaged: "
	    "--force\n",
	    args->data, is_of_cluster, instead);
}

enum exit_code offline_may_lose(const struct args *args, const char *instead, bool *ret_later)
{
	char why[WHY_BYTES] = "";
	struct offline offline;
	bool others = false;
	*ret_later = false;
	if (args->force)
		return EXIT_DONE;
	int error = offline_open(args->data, &offline, why, sizeof(why));
	if (!error && (error = has_others(&offline, &others)))
		snprintf(
		    why, sizeof(why), "%s: the file 'member': %s", args->data, error_text(error));
	offline_done(&offline);
	if (error)
		return command_failed(error, why);
	if (!others)
		return EXIT_DONE;
	if (!args->accept_loss || args->dry_run) {
		*ret_later = true;
		return EXIT_DONE;
	}
	fprintf(stderr,
	    "kalix-admin: %s %s Nothing was changed. %s. Where all that is left is damaged: "
	    "--force\n",
	    args->data, is_of_cluster, instead);
	return EXIT_REFUSED;
}

/* ---- All stores ---- */

enum exit_code offline_each(const struct args *args, offline_number_visit *visit, void *arg)
{
	char why[WHY_BYTES] = "";
	struct offline offline;
	enum exit_code worst = EXIT_DONE;
	int error = offline_open(args->data, &offline, why, sizeof(why));
	if (!error && args->store != ARGS_STORE_ALL && args->store >= offline.identity.stores) {
		snprintf(why, sizeof(why),
		    "there is no store %" PRIu32 ": the directory has %" PRIu32, args->store,
		    offline.identity.stores);
		error = ERR_NOT_FOUND;
	}
	if (error)
		worst = command_failed(error, why);
	for (uint32_t i = 0; !error && i < offline.identity.stores; i++) {
		if (args->store != ARGS_STORE_ALL && args->store != i)
			continue;
		enum exit_code code = visit(args, &offline, i, arg);
		if (code > worst)
			worst = code;
	}
	offline_done(&offline);
	return worst;
}

struct each_store {
	offline_visit *visit;
	void *arg;
};

static enum exit_code open_and_visit(
    const struct args *args, struct offline *offline, uint32_t number, void *arg)
{
	const struct each_store *each = arg;
	char why[WHY_BYTES] = "";
	struct offline_store store;
	enum exit_code code;
	int error = offline_store_open(offline, number, &store, why, sizeof(why));
	if (error) {
		code = command_failed(error, why);
		if (error == ERR_CORRUPT)
			code = EXIT_UNHEALTHY;
	} else {
		code = each->visit(args, &store, each->arg);
	}
	offline_store_done(&store);
	return code;
}

enum exit_code offline_each_store(const struct args *args, offline_visit *visit, void *arg)
{
	struct each_store each = {.visit = visit, .arg = arg};
	return offline_each(args, open_and_visit, &each);
}

enum exit_code offline_print_stores(const struct args *args, const char *const *columns,
    unsigned column_count, offline_visit *visit)
{
	struct print print;
	print_begin(&print, args->format, columns, column_count);
	return command_finish(&print, offline_each_store(args, visit, &print));
}
