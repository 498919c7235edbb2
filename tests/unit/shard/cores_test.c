/* Calls that cross from core to core: two threads, each with its ring, store and shards, on real
 * files. Also under ThreadSanitizer. */
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/mailbox.h"
#include "base/list.h"
#include "base/slot.h"
#include "replication/group.h"
#include "server/shard/shard.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/host_fake.h"

enum { CORES = 2, SHARDS = 6, CALLS = 400, AT_ONCE = 12, ENTITIES = 10, MAILBOX = 4 };
#define STACK_BYTES ((size_t)8 * 1024 * 1024)

#ifdef __SANITIZE_THREAD__
/* RocksDB is not built for ThreadSanitizer, which then sees half of how it synchronises. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:librocksdb.so\nrace:librocksdb.so\n";
}
#endif

static const struct shard_map map = {
    .shard_count = SHARDS, .store_count = CORES, .core_count = CORES};

struct core_call {
	struct shard_call call;
	struct core *core;
	char address[32], payload[24];
	bool busy, is_read;
};

struct core {
	uint32_t number;
	pthread_t thread;
	struct fs *fs;
	struct io *io;
	struct group_store *stores[CORES];
	struct host *host;
	struct shards *shards;
	struct mailbox *from[CORES], *to[CORES];
	struct core_call calls[AT_ONCE];
	unsigned sent, answered, wrong, crossed;
	struct shards_activation activation;
	bool activated, closed;
};

static struct core cores[CORES];
static char directory[256];
static pthread_barrier_t barrier;
static _Atomic unsigned finished_count, closed_count;

static void meet(void)
{
	pthread_barrier_wait(&barrier);
}

static void must(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s\n", what, error_name(error));
	abort();
}

static void turn(struct core *core)
{
	bool more = shards_turn(core->shards);
	more |= group_store_turn(core->stores[core->number]);
	more |= shards_run_long(core->shards);
	io_poll(core->io, more ? 0 : 5 * NS_PER_MS);
	io_run(core->io);
}

static void open_store(struct core *core)
{
	char why[512] = "", dir[32];
	struct engine_report report;
	must(io_new(&(struct io_options){0}, why, sizeof(why), &core->io), "io_new");
	must(fs_open_root(directory, true, &core->fs), "fs_open_root");
	snprintf(dir, sizeof(dir), "store%u", core->number);
	struct group_store_options options = {.engine = {.fs = core->fs,
	                                          .io = core->io,
	                                          .root = directory,
	                                          .dir = dir,
	                                          .store_id = 7 + core->number}};
	int error =
	    group_store_open(&options, why, sizeof(why), &core->stores[core->number], &report);
	must(error, why);
	must(host_new(&(struct host_options){.mode = HOST_PRODUCTION}, &core->host), "host_new");
	struct shards_options shards = {.io = core->io,
	    .host = core->host,
	    .map = map,
	    .core = core->number,
	    .stores = core->stores,
	    .seed = 5};
	must(shards_new(&shards, &core->shards), "shards_new");
	for (uint32_t i = 0; i < CORES; i++)
		if (i != core->number)
			must(mailbox_new(MAILBOX, core->io, &core->from[i]), "mailbox_new");
}

static void connect_cores(struct core *core)
{
	struct shards *peers[CORES] = {NULL};
	for (uint32_t i = 0; i < CORES; i++) {
		if (i == core->number)
			continue;
		peers[i] = cores[i].shards;
		core->to[i] = cores[i].from[core->number];
	}
	shards_connect(core->shards, peers, core->to, core->from);
}

static void activated(struct shards_activation *activation)
{
	struct core *core = CONTAINER_OF(activation, struct core, activation);
	core->activated = activation->status == STATUS_OK;
}

static void activate(struct core *core)
{
	struct host_bundle *bundle;
	struct slice bytes = slice_from_text("fake:shop:1");
	must(host_load(core->host, bytes, NULL, &bundle), "host_load");
	shards_provide(core->shards, bundle);
	core->activation.app = slice_from_text("shop");
	host_bundle_hash(bytes, core->activation.hash);
	core->activation.directory_index = 1;
	core->activation.done = activated;
	shards_activate(core->shards, &core->activation);
	while (!core->activated)
		turn(core);
}

static void answered(struct shard_call *call)
{
	struct core_call *of = CONTAINER_OF(call, struct core_call, call);
	struct host_fake_view view;
	of->core->answered++;
	of->core->crossed += call->owner != call->origin;
	if (call->status != STATUS_OK || !host_fake_parse(buffer_view(&call->reply), &view))
		of->core->wrong++;
	buffer_done(&call->reply);
	buffer_done(&call->details);
	of->busy = false;
}

static void submit(struct core *core, struct core_call *of)
{
	unsigned number = core->sent++;
	memset(&of->call, 0, sizeof(of->call));
	of->core = core;
	of->busy = true;
	snprintf(of->address, sizeof(of->address), "%s/e%u", number % 3 ? "counter" : "account",
	    number % ENTITIES);
	snprintf(of->payload, sizeof(of->payload), "%u", 1 + core->number * CALLS + number);
	of->call.address = slice_from_text(of->address);
	of->call.name = slice_from_text(number % 4 == 3 ? "get" : "add");
	of->call.has_payload = true;
	of->call.payload = slice_from_text(of->payload);
	of->call.caller.name = slice_from_text("default");
	of->call.deadline_ns = clock_monotonic_ns() + 100 * NS_PER_S;
	of->call.done = answered;
	shards_submit(core->shards, &of->call);
}

static void shards_are_closed(void *arg)
{
	struct core *core = arg;
	core->closed = true;
	atomic_fetch_add(&closed_count, 1);
}

static void store_is_closed(void *arg)
{
	struct core *core = arg;
	core->closed = true;
}

static void end(struct core *core)
{
	/* Others may still have calls here. */
	atomic_fetch_add(&finished_count, 1);
	while (atomic_load(&finished_count) < CORES)
		turn(core);
	shards_close(core->shards, shards_are_closed, core);
	while (atomic_load(&closed_count) < CORES)
		turn(core);
	core->closed = false;
	group_store_close(core->stores[core->number], store_is_closed, core);
	while (!core->closed)
		turn(core);
	meet();
	shards_free(core->shards);
	group_store_free(core->stores[core->number]);
	host_free(core->host);
	for (uint32_t i = 0; i < CORES; i++)
		mailbox_free(core->from[i]);
	meet();
	fs_close_root(core->fs);
	io_free(core->io);
}

static void *run(void *arg)
{
	struct core *core = arg;
	open_store(core);
	meet();
	connect_cores(core);
	meet();
	shards_start(core->shards);
	activate(core);
	while (core->answered < CALLS) {
		for (size_t i = 0; i < AT_ONCE && core->sent < CALLS; i++)
			if (!core->calls[i].busy)
				submit(core, &core->calls[i]);
		turn(core);
	}
	end(core);
	return NULL;
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *position)
{
	(void)status;
	(void)flag;
	(void)position;
	return remove(path);
}

START_TEST(calls_cross_to_the_core_that_owns_the_shard_and_back)
{
	const char *parent = getenv("TMPDIR");
	snprintf(directory, sizeof(directory), "%s/kalix-cores-XXXXXX", parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	pthread_barrier_init(&barrier, NULL, CORES);
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (uint32_t i = 0; i < CORES; i++) {
		cores[i].number = i;
		ck_assert_int_eq(pthread_create(&cores[i].thread, &attributes, run, &cores[i]), 0);
	}
	for (uint32_t i = 0; i < CORES; i++) {
		ck_assert_int_eq(pthread_join(cores[i].thread, NULL), 0);
		ck_assert_uint_eq(cores[i].answered, CALLS);
		ck_assert_uint_eq(cores[i].wrong, 0);
		ck_assert_uint_gt(cores[i].crossed, 0);
	}
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

static Suite *cores_suite(void)
{
	Suite *suite = suite_create("cores");
	TCase *tcase = tcase_create("mailboxes");
	tcase_add_test(tcase, calls_cross_to_the_core_that_owns_the_shard_and_back);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {cores_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
