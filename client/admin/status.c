/* status: how a running server is, for people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/refused.h"

static const char *const core_columns[] = {
    "core", "shards", "leading", "closed", "connections", "requests", "errors"};
static const char *const store_columns[] = {"store", "core", "log_mib", "dirty_mib", "free_mib",
    "checkpoints", "shards_closed", "writable"};

#define COUNT(columns) (sizeof(columns) / sizeof((columns)[0]))
/* A disk that does not answer a write of the log for so long stands still, or nearly. */
enum { WAITING_MS = 2000 };
#define MIB_BYTES (UINT64_C(1) << 20)

/* Other nodes, which are there. This one is no worse for that: they have proved nothing, and
 * anybody may stand where one was. */
static void say_refused(struct slice status)
{
	struct slice nodes, node;
	size_t at = 0;
	while (pick_member(status, "refused", &nodes) && pick_element(nodes, &at, &node))
		printf("no link with node %" PRIu64 ": it is reached, but %s\n",
		    pick_number(node, "node"), refused_text(pick_text(node, "reason")));
}

/* Whoever is asked sees it; what brings it back is known where the whole cluster is. */
static bool has_quorums(struct slice status, bool say)
{
	uint64_t count = pick_number(status, "quorumless");
	if (count && say)
		printf("%" PRIu64 " %s no quorum, as this node sees it, and %s not served: see "
		       "kalix-admin cluster status\n",
		    count, print_plural(count, "shard has", "shards have"),
		    print_plural(count, "is", "are"));
	return count == 0;
}

static bool is_store_well(struct slice store, bool say)
{
	bool is_full = !pick_true(store, "writable");
	bool is_stopped = pick_true(store, "compactions_stopped");
	uint64_t waiting_ms = pick_number(store, "waiting_ms");
	bool is_silent = waiting_ms >= WAITING_MS;
	uint64_t number = pick_number(store, "store");
	if (is_full && say)
		printf("store %" PRIu64 " takes no changes: its disk is full\n", number);
	if (is_stopped && say)
		printf("store %" PRIu64 " is not compacted, as a part of it cannot be read, and "
		       "grows; in a cluster that is mended by itself; a node alone is to be "
		       "stopped, then kalix-admin store verify DIR says where it is, and store "
		       "repair DIR what would be given up\n",
		    number);
	if (is_silent && say)
		printf("store %" PRIu64 ": its disk has not answered a write for %" PRIu64
		       " s: what this node leads of it stands still; look at the disk, and at the "
		       "kernel's log\n",
		    number, waiting_ms / 1000);
	return !is_full && !is_stopped && !is_silent;
}

/* What docs/admin-protocol.md calls healthy; says what is not. */
static bool is_well(struct slice status, bool say)
{
	struct slice cores, core, stores, store;
	size_t at = 0;
	bool well = pick_true(status, "ready");
	if (!well && say)
		puts("not ready: it is starting, or not every shard has a leader");
	uint64_t pending = pick_number(status, "pending");
	if (pending && say)
		printf("%" PRIu64 " %s the newest version of an app yet: see kalix-admin app "
		       "list\n",
		    pending, print_plural(pending, "shard does not have", "shards do not have"));
	if (say)
		say_refused(status);
	well = has_quorums(status, say) && well && !pending;
	if (!pick_member(status, "cores", &cores))
		return false;
	while (pick_element(cores, &at, &core)) {
		uint64_t number = pick_number(core, "core"), closed = pick_number(core, "closed");
		size_t store_at = 0;
		if (closed && say)
			printf("core %" PRIu64 ": %" PRIu64 " %s closed: see kalix-admin log "
			       "verify and store verify\n",
			    number, closed, print_plural(closed, "shard is", "shards are"));
		well = well && !closed;
		if (!pick_member(core, "stores", &stores))
			continue;
		while (pick_element(stores, &store_at, &store))
			well = is_store_well(store, say) && well;
	}
	return well;
}

bool status_is_well(struct slice status)
{
	return is_well(status, false);
}

static void print_numbers(
    struct print *print, struct slice from, const char *const *names, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		print_number(print, pick_number(from, names[i]));
}

static int print_cores(struct slice cores)
{
	struct print print;
	struct slice core;
	size_t at = 0;
	print_begin(&print, OUTPUT_TABLE, core_columns, COUNT(core_columns));
	while (pick_element(cores, &at, &core))
		print_numbers(&print, core, core_columns, COUNT(core_columns));
	return print_end(&print);
}

static int print_stores(struct slice cores)
{
	struct print print;
	struct slice core, stores, store;
	size_t at = 0;
	print_begin(&print, OUTPUT_TABLE, store_columns, COUNT(store_columns));
	while (pick_element(cores, &at, &core)) {
		size_t store_at = 0;
		if (!pick_member(core, "stores", &stores))
			continue;
		while (pick_element(stores, &store_at, &store)) {
			print_number(&print, pick_number(store, "store"));
			print_number(&print, pick_number(core, "core"));
			print_number(&print, pick_number(store, "log_bytes") / MIB_BYTES);
			print_number(&print, pick_number(store, "dirty_bytes") / MIB_BYTES);
			print_number(&print, pick_number(store, "free_bytes") / MIB_BYTES);
			print_number(&print, pick_number(store, "checkpoints"));
			print_number(&print, pick_number(store, "shards_closed"));
			print_text(&print, pick_true(store, "writable") ? "yes" : "no");
		}
	}
	return print_end(&print);
}

static void print_text_member(struct slice from, const char *name)
{
	struct slice text = pick_text(from, name);
	printf("%.*s", (int)text.bytes, text.bytes ? (const char *)text.data : "");
}

static enum exit_code print_status(struct slice status)
{
	struct slice ports, cores;
	uint64_t up_s = pick_number(status, "uptime_ms") / 1000;
	if (!pick_member(status, "ports", &ports) || !pick_member(status, "cores", &cores))
		return command_failed(ERR_CORRUPT, "the server's reply is no status");
	printf("kalixd ");
	print_text_member(status, "version");
	printf(", mode ");
	print_text_member(status, "mode");
	printf(", up %" PRIu64 "h %02" PRIu64 "m %02" PRIu64 "s, port %" PRIu64
	       ", cluster port %" PRIu64 "\ncluster ",
	    up_s / 3600, up_s / 60 % 60, up_s % 60, pick_number(ports, "port"),
	    pick_number(ports, "cluster"));
	print_text_member(status, "cluster");
	uint64_t shards = pick_number(status, "shards");
	printf(", %" PRIu64 " %s; node %" PRIu64 ", in CLUSTER NODES ", shards,
	    print_plural(shards, "shard", "shards"), pick_number(status, "node"));
	print_text_member(status, "id");
	puts("\n");
	int error = print_cores(cores);
	putchar('\n');
	if (!error)
		error = print_stores(cores);
	putchar('\n');
	if (is_well(status, true))
		puts("well: every shard serves");
	return error ? command_failed(error, "") : EXIT_DONE;
}

enum exit_code command_status(const struct args *args)
{
	struct online online;
	struct slice status = slice_of(NULL, 0);
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "STATUS");
		code = online_run(&online);
	}
	if (!code) {
		status = slice_from_text(online_json(&online));
		code = args->format == OUTPUT_TABLE ? print_status(status)
		                                    : online_print(&online, NULL, 0);
	}
	if (!code && !is_well(status, false))
		code = EXIT_UNHEALTHY;
	online_done(&online);
	return code;
}
