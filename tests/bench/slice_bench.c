/* How long a core is kept by handlers that do not end: runs of an app's handlers as a server has
 * them, four calls at a time, a slice of one after the other, garbage collected in between. Of each
 * handler: the longest slice, the 99th percentile and the median, in microseconds of the
 * thread's own processor time; the same for ending a call together with beginning the next one, and
 * for the pieces of garbage collection between slices.
 *
 *	slice_bench DIRECTORY_OF_THE_APP COMPONENT SECONDS [HANDLER...]
 *
 * With SLICE_WHERE=US in the environment, slices of more than that are said one by one, with where
 * they were when they had taken so long (addresses for addr2line). */
#include <dirent.h>
#include <execinfo.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "scripting/host.h"

enum { FILES_MAX = 16, TIMES_MAX = 4000000, CALLS = 4, FRAMES_MAX = 40 };

/* As in the server (server/main.c). */
extern const char *malloc_conf;
const char *malloc_conf = "thp:always,metadata_thp:auto,dirty_decay_ms:60000";

struct times {
	uint32_t *us10; /* tenths of a microsecond */
	size_t count;
};

static struct host *host;
static struct host_bundle *bundle;
static uint64_t where_ns;
static timer_t where_timer;
static void *where_frames[FRAMES_MAX];
static volatile int where_count;

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "slice_bench: %s\n", what);
	exit(1);
}

/* ---- Where a slice is when it is long ---- */

static void overdue(int signal)
{
	(void)signal;
	where_count = backtrace(where_frames, FRAMES_MAX);
}

static void where_open(void)
{
	const char *text = getenv("SLICE_WHERE");
	if (!text)
		return;
	where_ns = strtoull(text, NULL, 10) * 1000;
	(void)backtrace(where_frames, FRAMES_MAX);
	struct sigaction action = {.sa_handler = overdue, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	event._sigev_un._tid = (int)syscall(SYS_gettid);
	check(sigaction(SIGUSR1, &action, NULL) == 0 &&
	          timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &where_timer) == 0,
	    "timer");
}

static void where_set(uint64_t ns)
{
	if (where_ns == 0)
		return;
	struct itimerspec at = {.it_value = {.tv_nsec = (long)ns}};
	check(timer_settime(where_timer, 0, &at, NULL) == 0, "timer");
}

static void where_say(const char *handler, const char *what, uint64_t ns)
{
	if (where_count > 0 && ns > where_ns) {
		printf("  %s %s %" PRIu64 " us:", handler, what, ns / 1000);
		fflush(stdout);
		char **names = backtrace_symbols(where_frames, where_count);
		for (int i = 2; i < where_count && i < 12; i++) {
			char *slash = strrchr(names[i], '/');
			printf(" %s", slash ? slash + 1 : names[i]);
		}
		free(names);
		printf("\n");
	}
	where_count = 0;
}

/* ---- Loading ---- */

static struct host_bundle *load(const char *directory)
{
	struct host_file files[FILES_MAX];
	static char names[FILES_MAX][256];
	static struct buffer contents[FILES_MAX];
	size_t count = 0;
	DIR *dir = opendir(directory);
	check(dir != NULL, directory);
	for (struct dirent *entry; (entry = readdir(dir)) && count < FILES_MAX;) {
		char path[1024];
		if (!strstr(entry->d_name, ".lua"))
			continue;
		snprintf(names[count], sizeof(names[count]), "%s", entry->d_name);
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		FILE *file = fopen(path, "r");
		check(file != NULL, path);
		uint8_t *room;
		buffer_init(&contents[count], MIB);
		check(!buffer_reserve(&contents[count], 64 * KIB, &room), "memory");
		buffer_commit(&contents[count], fread(room, 1, 64 * KIB, file));
		fclose(file);
		files[count] = (struct host_file){
		    slice_from_text(names[count]), buffer_view(&contents[count])};
		count++;
	}
	closedir(dir);
	struct host_diagnostics diagnostics = {0};
	struct buffer bytes;
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	check(!host_bundle_pack(files, count, &bytes), "packing");
	struct host_bundle *loaded;
	int error = host_load(host, buffer_view(&bytes), &diagnostics, &loaded);
	check(!error, diagnostics.count ? diagnostics.items[0].text : "loading");
	host_diagnostics_free(&diagnostics);
	buffer_done(&bytes);
	for (size_t i = 0; i < count; i++)
		buffer_done(&contents[i]);
	return loaded;
}

/* ---- Measuring ---- */

static void note(struct times *times, uint64_t ns)
{
	if (times->count < TIMES_MAX)
		times->us10[times->count++] =
		    ns / 100 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 100);
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static void say(const char *what, struct times *times)
{
	size_t count = times->count;
	if (count == 0)
		return;
	size_t middle = count / 2, hundredth = count - 1 - count / 100;
	qsort(times->us10, count, sizeof(*times->us10), compare);
	printf("  %s %8.0f %7.0f %7.0f", what, times->us10[count - 1] / 10.0,
	    times->us10[hundredth] / 10.0, times->us10[middle] / 10.0);
	times->count = 0;
}

static struct host_call *begin(struct host_component *component, struct host_handler *handler)
{
	struct host_request request = {.component = component,
	    .handler = handler,
	    .address = slice_from_text("wild/1"),
	    .caller = {.kind = slice_from_text("client"), .name = slice_from_text("default")}};
	struct host_call *call;
	check(!host_call_begin(host, &request, &call), "begin");
	return call;
}

static void measure(struct host_component *component, struct host_handler *handler, uint64_t for_ns,
    struct times *slices, struct times *ends, struct times *idles)
{
	struct host_call *calls[CALLS];
	char name[80], outcome[200] = "";
	struct slice called = host_handler_name(handler);
	snprintf(name, sizeof(name), "%.*s", (int)called.bytes, (const char *)called.data);
	for (int i = 0; i < CALLS; i++)
		calls[i] = begin(component, handler);
	uint64_t begin_ns = clock_thread_ns(), now_ns = begin_ns, ended = 0;
	for (unsigned turn = 0; now_ns - begin_ns < for_ns; turn++) {
		struct host_call **call = &calls[turn % CALLS];
		uint64_t before_ns = now_ns;
		where_set(where_ns);
		enum host_progress progress = host_call_run(*call, 0);
		where_set(0);
		now_ns = clock_thread_ns();
		note(slices, now_ns - before_ns);
		where_say(name, "slice", now_ns - before_ns);
		if (progress == HOST_ENDED) {
			const struct host_outcome *came = host_call_outcome(*call);
			snprintf(outcome, sizeof(outcome), "%.*s", (int)came->message.bytes,
			    (const char *)came->message.data);
			before_ns = clock_thread_ns();
			host_call_end(*call);
			*call = begin(component, handler);
			now_ns = clock_thread_ns();
			note(ends, now_ns - before_ns);
			ended++;
		}
		before_ns = clock_thread_ns();
		where_set(where_ns);
		(void)host_idle(host);
		where_set(0);
		now_ns = clock_thread_ns();
		note(idles, now_ns - before_ns);
		where_say(name, "idle", now_ns - before_ns);
	}
	printf("%-14s", name);
	say("slices", slices);
	say("ends", ends);
	say("idle", idles);
	printf("  %" PRIu64 " ended, %s\n", ended, outcome);
	fflush(stdout);
	for (int i = 0; i < CALLS; i++)
		host_call_end(calls[i]);
	while (host_idle(host))
		;
}

int main(int argc, char **argv)
{
	check(argc >= 4, "usage: slice_bench DIRECTORY COMPONENT SECONDS [HANDLER...]");
	check(!host_new(&(struct host_options){.mode = HOST_PRODUCTION, .seed = 7}, &host), "Lua");
	bundle = load(argv[1]);
	struct host_component *component = host_component(bundle, slice_from_text(argv[2]));
	check(component != NULL, "no such component");
	uint64_t for_ns = (uint64_t)(strtod(argv[3], NULL) * 1e9);
	struct times all[3];
	for (int i = 0; i < 3; i++) {
		all[i] = (struct times){.us10 = calloc(TIMES_MAX, sizeof(uint32_t))};
		check(all[i].us10 != NULL, "memory");
	}
	where_open();
	printf("thread time in us: longest, 99th percentile, median\n");
	for (size_t i = 0; i < host_handler_count(component); i++) {
		struct host_handler *handler = host_handler_at(component, i);
		bool wanted = argc == 4;
		for (int k = 4; k < argc; k++)
			wanted |= slice_equal(host_handler_name(handler), slice_from_text(argv[k]));
		if (wanted)
			measure(component, handler, for_ns, &all[0], &all[1], &all[2]);
	}
	for (int i = 0; i < 3; i++)
		free(all[i].us10);
	host_bundle_release(bundle);
	host_free(host);
	return 0;
}
