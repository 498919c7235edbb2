/* doctor: what an operator would look at on a machine and its server, each with what to do. */
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

#define TEXT_BYTES  512
#define BLOCK_BYTES ((size_t)4096)

enum { SYNCS = 64, SYNC_SECONDS_MAX = 2, ASK_TIMEOUT_MS = 1500, CLOCKS_APART_MS_MAX = 1000 };
/* The default of max_connections, and what a server opens beside them. */
enum { DESCRIPTORS_WANTED = 10000 + 1024, DESCRIPTORS_NEEDED = 256 };
/* A disk that is slower makes every command so slow; what is faster is none. */
enum { SYNC_SLOW_US = 10000, SYNC_UNLIKELY_US = 10 };

enum result { GOOD, WARN, FAIL };

struct doctor {
	struct print print;
	bool failed;
};

/* `advice`: "" where it is good. */
static void tell(struct doctor *doctor, const char *check, enum result result, const char *found,
    const char *advice)
{
	static const char *const names[] = {"ok", "warn", "fail"};
	print_text(&doctor->print, check);
	print_text(&doctor->print, names[result]);
	print_text(&doctor->print, found);
	print_text(&doctor->print, result == GOOD ? "" : advice);
	doctor->failed = doctor->failed || result == FAIL;
}

/* ---- The machine ---- */

/* With the server's own code. */
static void check_io_uring(struct doctor *doctor)
{
	char why[TEXT_BYTES] = "", found[TEXT_BYTES];
	struct utsname name = {.release = "?"};
	struct io *io;
	uname(&name);
	int error = io_new(NULL, why, sizeof(why), &io);
	if (error) {
		tell(doctor, "io_uring", FAIL, why[0] ? why : error_text(error),
		    "kalixd does not start without it: change the setting that is named");
		return;
	}
	io_free(io);
	snprintf(found, sizeof(found), "kernel %.100s, allowed", name.release);
	tell(doctor, "io_uring", GOOD, found, "");
}

static void limit_text(char text[32], rlim_t limit, rlim_t unit)
{
	if (limit == RLIM_INFINITY)
		snprintf(text, 32, "unlimited");
	else
		snprintf(text, 32, "%" PRIu64, (uint64_t)(limit / unit));
}

static void check_limits(struct doctor *doctor)
{
	struct rlimit limit = {0};
	char text[32], found[TEXT_BYTES];
	getrlimit(RLIMIT_NOFILE, &limit);
	limit_text(text, limit.rlim_max, 1);
	snprintf(found, sizeof(found), "at most %s (ulimit -Hn)", text);
	tell(doctor, "descriptors",
	    limit.rlim_max < DESCRIPTORS_NEEDED   ? FAIL
	    : limit.rlim_max < DESCRIPTORS_WANTED ? WARN
	                                          : GOOD,
	    found,
	    "too few for 10000 clients: raise it (LimitNOFILE= of the unit), or set "
	    "max_connections lower");
	getrlimit(RLIMIT_MEMLOCK, &limit);
	limit_text(text, limit.rlim_max, KIB);
	snprintf(found, sizeof(found), "%s KiB (ulimit -Hl)", text);
	/* Kernels that Kalix runs on take only little of io_uring's memory from it. */
	tell(doctor, "locked memory", limit.rlim_max < 64 * KIB ? WARN : GOOD, found,
	    "io_uring may find too little: raise it to 64 KiB at least (LimitMEMLOCK= of the "
	    "unit)");
}

static void check_huge_pages(struct doctor *doctor)
{
	char text[128] = "";
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = 0;
		fclose(file);
	}
	text[strcspn(text, "\n")] = 0;
	tell(doctor, "huge pages", strstr(text, "[never]") ? WARN : GOOD,
	    text[0] ? text : "this kernel has none",
	    "calls touch memory far apart, and are slower without: echo madvise > "
	    "/sys/kernel/mm/transparent_hugepage/enabled");
}

static void check_clock(struct doctor *doctor)
{
	struct timex timex = {0};
	int state = adjtimex(&timex);
	if (state < 0)
		tell(doctor, "clock", WARN, "the kernel does not say whether it is synchronised",
		    "see to it that it is");
	else
		tell(doctor, "clock", state == TIME_ERROR ? WARN : GOOD,
		    state == TIME_ERROR ? "not synchronised" : "synchronised",
		    "handlers see it, and tokens live by it: run chrony or systemd-timesyncd");
}

/* ---- The disk ---- */

static void check_space(struct doctor *doctor, struct fs *fs, const char *dir)
{
	uint64_t free_bytes = 0, total_bytes = 0;
	char found[TEXT_BYTES];
	if (fs_space(fs, &free_bytes, &total_bytes)) {
		tell(doctor, "space", FAIL, "cannot be measured", "is the directory still there?");
		return;
	}
	/* As a server with nothing unwritten keeps back. */
	uint64_t reserve = total_bytes / 100 * DISK_RESERVE_PERCENT;
	if (reserve > DISK_RESERVE_BYTES_MAX_DEFAULT)
		reserve = DISK_RESERVE_BYTES_MAX_DEFAULT;
	if (reserve < DISK_RESERVE_EXTRA_BYTES)
		reserve = DISK_RESERVE_EXTRA_BYTES;
	snprintf(found, sizeof(found), "%" PRIu64 " of %" PRIu64 " MiB free", free_bytes / MIB,
	    total_bytes / MIB);
	tell(doctor, "space",
	    free_bytes < reserve       ? FAIL
	    : free_bytes < 2 * reserve ? WARN
	                               : GOOD,
	    found,
	    free_bytes < reserve
	        ? "below the server's reserve, where it refuses changes: free space"
	        : "soon below the server's reserve: free space");
	struct statfs status;
	if (statfs(dir, &status))
		return;
	bool memory = status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
	bool remote = status.f_type == NFS_SUPER_MAGIC;
	tell(doctor, "file system", memory || remote ? WARN : GOOD,
	    memory   ? "in memory"
	    : remote ? "NFS"
	             : "a local disk's",
	    memory ? "nothing is left when the machine stops: use a disk"
	           : "whether a sync is one is up to another machine: use a local disk");
}

/* One block after the other, each written and synced, as the log is. */
static int measure_syncs(struct fs_file *file, void *block, struct histogram *took_us)
{
	uint64_t began_ns = clock_monotonic_ns();
	int error = fs_allocate(file, 0, SYNCS * BLOCK_BYTES);
	if (!error)
		error = fs_sync(file);
	for (uint64_t i = 0; i < SYNCS && !error; i++) {
		uint64_t from_ns = clock_monotonic_ns();
		if (from_ns - began_ns > SYNC_SECONDS_MAX * NS_PER_S)
			break;
		error = fs_write(file, i * BLOCK_BYTES, block, BLOCK_BYTES);
		if (!error)
			error = fs_sync(file);
		histogram_record(took_us, (clock_monotonic_ns() - from_ns) / 1000);
	}
	return error;
}

static void check_sync(struct doctor *doctor, struct fs *fs)
{
	static struct histogram took_us; /* large, as the view; this program has one thread */
	static struct histogram_view view;
	char name[64], found[TEXT_BYTES];
	struct fs_file *file;
	void *block = fs_buffer_alloc(BLOCK_BYTES);
	snprintf(name, sizeof(name), "kalix-doctor.%ld", (long)getpid());
	int error = block
	                ? fs_open(fs, name, FS_WRITE | FS_CREATE | FS_EXCLUSIVE | FS_DIRECT, &file)
	                : ERR_NOMEM;
	if (!error) {
		memset(block, 'k', BLOCK_BYTES);
		error = measure_syncs(file, block, &took_us);
		fs_close(file);
		int removed = fs_unlink(fs, name);
		error = error ? error : removed;
	}
	fs_buffer_free(block);
	if (error) {
		snprintf(found, sizeof(found), "a file of its own: %s", error_text(error));
		tell(doctor, "sync", FAIL, found, error_advice(error));
		return;
	}
	histogram_merge(&view, &took_us);
	uint64_t median_us = histogram_quantile(&view, 500000);
	snprintf(found, sizeof(found),
	    "half of %" PRIu64 " within %" PRIu64 " us, all within %" PRIu64, view.count, median_us,
	    view.max);
	bool unlikely = median_us < SYNC_UNLIKELY_US;
	tell(doctor, "sync", unlikely || median_us > SYNC_SLOW_US ? WARN : GOOD, found,
	    unlikely ? "faster than any disk: is anything left after a power cut?"
	             : "each command takes so long at least: use a disk with a protected cache");
}

static void check_dir(struct doctor *doctor, const char *dir)
{
	struct fs *fs;
	int error = fs_open_root(dir, false, &fs);
	if (error) {
		char found[TEXT_BYTES];
		snprintf(found, sizeof(found), "%.300s: %s", dir, error_text(error));
		tell(doctor, "directory", FAIL, found,
		    "name a directory that is there, on the disk that the data is to be on");
		return;
	}
	check_space(doctor, fs, dir);
	check_sync(doctor, fs);
	fs_close_root(fs);
}

/* ---- The server ---- */

/* Quiet: what is wrong becomes a row. */
static int ask(struct online *online, size_t count, const char *const *words)
{
	kalix_options options = {.timeout_ms = ASK_TIMEOUT_MS};
	kalix_reply_free(online->reply);
	return kalix_command(online->k, count, words, NULL, &options, &online->reply);
}

static void check_server_clock(struct doctor *doctor, struct online *online)
{
	static const char *const words[] = {"TIME"};
	struct slice seconds, micros;
	size_t at = 0;
	char found[TEXT_BYTES];
	int64_t before_ms = clock_real_ms();
	if (ask(online, 1, words))
		return;
	struct slice reply = slice_from_text(online_json(online));
	if (!pick_element(reply, &at, &seconds) || !pick_element(reply, &at, &micros) ||
	    seconds.bytes < 3 || micros.bytes < 3)
		return;
	/* Texts, in quotes. */
	int64_t server_ms = strtoll((const char *)seconds.data + 1, NULL, 10) * 1000 +
	                    strtoll((const char *)micros.data + 1, NULL, 10) / 1000;
	int64_t after_ms = clock_real_ms();
	int64_t apart_ms = server_ms < before_ms  ? before_ms - server_ms
	                   : server_ms > after_ms ? server_ms - after_ms
	                                          : 0;
	snprintf(found, sizeof(found), "%" PRId64 " ms from the one here", apart_ms);
	tell(doctor, "server's clock", apart_ms > CLOCKS_APART_MS_MAX ? WARN : GOOD, found,
	    "one of them is wrong: synchronise both");
}

static void check_server(struct doctor *doctor, const struct args *args)
{
	static const char *const status[] = {"ADMIN", "STATUS"};
	char found[TEXT_BYTES];
	const char *host;
	bool named;
	struct online online;
	int code = online_connect(args, &online, &host, &named);
	if (!code)
		code = ask(&online, 2, status);
	if (code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME) {
		snprintf(found, sizeof(found), "none answers at %.200s", host);
		tell(doctor, "server", named ? FAIL : WARN, found,
		    named
		        ? "is kalixd running there, and the port open?"
		        : "fine if none is to run here; else start kalixd, or name it with --node");
	} else if (code) {
		snprintf(found, sizeof(found), "%s: %.300s", kalix_error_name(code),
		    online.reply ? kalix_reply_message(online.reply) : "");
		tell(doctor, "server", FAIL, found,
		    "--node takes [USER:PASSWORD@]HOST:PORT of a server that this is allowed on");
	} else {
		bool well = status_is_well(slice_from_text(online_json(&online)));
		snprintf(found, sizeof(found), "%.200s: %s", host,
		    well ? "well: every shard serves" : "not well");
		tell(doctor, "server", well ? GOOD : FAIL, found,
		    "kalix-admin status says what is not");
		check_server_clock(doctor, &online);
	}
	online_done(&online);
}

enum exit_code command_doctor(const struct args *args)
{
	static const char *const columns[] = {"check", "result", "found", "advice"};
	struct doctor doctor = {.failed = false};
	print_begin(&doctor.print, args->format, columns, 4);
	check_io_uring(&doctor);
	check_limits(&doctor);
	check_huge_pages(&doctor);
	check_clock(&doctor);
	if (args->words > 1)
		check_dir(&doctor, args->word[1]);
	check_server(&doctor, args);
	return command_finish(&doctor.print, doctor.failed ? EXIT_UNHEALTHY : EXIT_DONE);
}
