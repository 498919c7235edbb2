#include "client/admin/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

/* Without an answer for SILENT_MS that is said. */
enum { POLL_MS = 250, LINE_MS = 2000, SILENT_MS = 2000 };

struct progress {
	const struct progress_work *work;
	uint64_t began_ns, told_ns, most;
	uint64_t done_before; /* it was waited for */
	bool job_ran;         /* while it is waited for */
	/* What all nodes had sent in snapshots since it began, and what they said last: that is
	 * less after one of them was restarted. */
	uint64_t sent, sent_last;
	bool terminal, told, asked;
	uint64_t silent_ns; /* since then there was no answer; 0: there was */
	bool silence_said;
	/* Of the directory. From there on it was, unless it was taken back; 0: in none yet. */
	uint64_t wanted_version;
	bool taken_back;
};

/* ---- The cluster's records ---- */

struct progress_job progress_job(struct slice document, const char *job, uint64_t node)
{
	struct slice jobs, one;
	size_t at = 0;
	if (!pick_member(document, "jobs", &jobs))
		return (struct progress_job){.was = false};
	while (pick_element(jobs, &at, &one))
		if (slice_equal(pick_text(one, "job"), slice_from_text(job)) &&
		    pick_number(one, "node") == node)
			return (struct progress_job){.was = true,
			    .runs = pick_true(one, "runs"),
			    .all = pick_number(one, "all"),
			    .left = pick_number(one, "left"),
			    .ms = pick_number(one, "ms"),
			    .began_ms = pick_number(one, "began_ms")};
	return (struct progress_job){.was = false};
}

void progress_print_job(const struct progress_job *job, const char *what)
{
	uint64_t done = job->all > job->left ? job->all - job->left : 0;
	double seconds = (double)job->ms / 1000;
	double rate = job->ms > 0 ? (double)done / seconds : 0;
	if (!job->runs) {
		printf("done, %" PRIu64 " %s in %.0f s, %.1f/s\n", job->all, what, seconds, rate);
		return;
	}
	printf("%" PRIu64 " of %" PRIu64 " %s left, %.1f/s", job->left, job->all, what, rate);
	if (rate > 0)
		printf(", %.0f s to go", (double)job->left / rate);
	putchar('\n');
}

/* ---- Waiting ---- */

static void count_bytes(struct progress *progress, struct slice document)
{
	uint64_t now = pick_number(document, "snapshot_bytes");
	if (progress->asked && now > progress->sent_last)
		progress->sent += now - progress->sent_last;
	progress->sent_last = now;
	progress->asked = true;
}

/* What is left of it goes by what was done since the bytes are counted. */
static void tell_bytes(const struct progress *progress, uint64_t left, struct slice document)
{
	uint64_t all_done = progress->most - left;
	uint64_t done = all_done > progress->done_before ? all_done - progress->done_before : 0;
	char sent[PRINT_SIZE_BYTES], rate[PRINT_SIZE_BYTES], rest[PRINT_SIZE_BYTES];
	print_size(sent, progress->sent);
	print_size(rate, pick_number(document, "snapshot_bytes_per_s"));
	fprintf(stderr, "; %s sent, %s/s", sent, rate);
	if (done == 0 || left == 0 || progress->sent == 0)
		return;
	print_size(rest, (uint64_t)((double)progress->sent / (double)done * (double)left));
	fprintf(stderr, ", about %s left", rest);
}

static void tell(
    struct progress *progress, uint64_t left, const struct progress_job *job, struct slice document)
{
	uint64_t now_ns = clock_monotonic_ns();
	double seconds = (double)(now_ns - progress->began_ns) / (double)NS_PER_S;
	if (left > progress->most)
		progress->most = left;
	if (progress->job_ran) {
		if (job->all > progress->most)
			progress->most = job->all;
		if (job->ms > 0)
			seconds = (double)job->ms / 1000;
	}
	if (!progress->asked)
		progress->done_before = progress->most - left;
	count_bytes(progress, document);
	double rate = seconds > 0 ? (double)(progress->most - left) / seconds : 0;
	if (!progress->terminal && progress->told && left > 0 &&
	    now_ns - progress->told_ns < LINE_MS * NS_PER_MS)
		return;
	progress->told = true;
	progress->told_ns = now_ns;
	fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " %s left, %.1f/s",
	    progress->terminal ? "\r\x1b[K" : "", left, progress->most, progress->work->what, rate);
	if (rate > 0)
		fprintf(stderr, ", %.0f s to go", (double)left / rate);
	tell_bytes(progress, left, document);
	if (!progress->terminal)
		fputc('\n', stderr);
}

/* How much is left. */
static uint64_t look(struct progress *progress, struct slice document)
{
	const struct progress_work *work = progress->work;
	struct progress_job job = {.was = false};
	uint64_t left = work->left(document, work->arg);
	if (work->job)
		job = progress_job(document, work->job, work->node);
	progress->job_ran |= job.runs;
	if (job.runs && job.left > left)
		left = job.left;
	tell(progress, left, &job, document);
	return left;
}

/* What a node answers that does not lead the directory may be of before it was wanted. */
static bool is_taken_back(struct progress *progress, struct slice document)
{
	const struct progress_work *work = progress->work;
	uint64_t version = pick_number(document, "version");
	if (!work->wanted)
		return false;
	if (!work->wanted(document, work->arg))
		return progress->wanted_version > 0 && version >= progress->wanted_version;
	if (version > progress->wanted_version)
		progress->wanted_version = version;
	return false;
}

static uint64_t left_ms(const struct progress *progress, uint32_t seconds)
{
	uint64_t took_ns = clock_monotonic_ns() - progress->began_ns;
	return took_ns < seconds * NS_PER_S ? (seconds * NS_PER_S - took_ns) / NS_PER_MS : 0;
}

/* The node that is asked may have died, or nobody leads the directory: neither ends the work. Said
 * once. */
static void note_silence(struct progress *progress, const struct online *online, uint32_t seconds)
{
	uint64_t now_ns = clock_monotonic_ns();
	if (progress->silent_ns == 0)
		progress->silent_ns = now_ns;
	if (progress->silence_said || now_ns - progress->silent_ns < SILENT_MS * NS_PER_MS)
		return;
	progress->silence_said = true;
	fprintf(stderr, "%skalix-admin: what is under way goes on; ",
	    progress->terminal && progress->told ? "\n" : "");
	online_say_again(online, left_ms(progress, seconds));
}

/* The time is over, without a word. */
static void say_silent(const struct online *online, const struct progress_work *work)
{
	fprintf(stderr,
	    "kalix-admin: how many %s are left is not known, since there is no answer; what is "
	    "under way goes on: ask another node, or again (kalix-admin --node HOST:PORT cluster "
	    "status): %s\n",
	    work->what, kalix_reply_message(online->reply));
}

static enum exit_code judge(struct progress *progress, struct slice document)
{
	if (look(progress, document) == 0)
		return EXIT_DONE;
	progress->taken_back = is_taken_back(progress, document);
	return progress->taken_back ? EXIT_CONFLICT : EXIT_UNHEALTHY;
}

enum exit_code progress_wait(
    struct online *online, uint32_t seconds, const struct progress_work *work)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	struct progress progress = {.work = work,
	    .began_ns = clock_monotonic_ns(),
	    .terminal = isatty(STDERR_FILENO) == 1,
	    .wanted_version = work->since};
	enum exit_code code = EXIT_UNHEALTHY;
	while (code == EXIT_UNHEALTHY) {
		cluster_ask(online);
		if (online->code == KALIX_OK) {
			progress.silent_ns = 0;
			progress.silence_said = false;
			code = judge(&progress, slice_from_text(online_json(online)));
		} else if (!online_may_come(online->code)) {
			code = online_said(online);
		} else {
			note_silence(&progress, online, seconds);
		}
		if (clock_monotonic_ns() - progress.began_ns >= seconds * NS_PER_S)
			break;
		if (code == EXIT_UNHEALTHY)
			(void)nanosleep(&pause, NULL);
	}
	if (progress.terminal)
		fputc('\n', stderr);
	if (code == EXIT_UNHEALTHY && progress.silent_ns != 0)
		say_silent(online, work);
	if (progress.taken_back)
		fprintf(stderr, "kalix-admin: %s\n", work->taken_back);
	return code;
}
