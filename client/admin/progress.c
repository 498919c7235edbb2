#include "client/admin/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

enum { POLL_MS = 250, LINE_MS = 2000 };

struct progress {
	const char *what;
	uint64_t began_ns, told_ns, most;
	/* What all nodes had sent in snapshots since it began, and what they said last: that is
	 * less after one of them was restarted. */
	uint64_t sent, sent_last;
	bool terminal, told, asked;
};

static void count_bytes(struct progress *progress, struct slice document)
{
	uint64_t now = pick_number(document, "snapshot_bytes");
	if (progress->asked && now > progress->sent_last)
		progress->sent += now - progress->sent_last;
	progress->sent_last = now;
	progress->asked = true;
}

/* What is left of it goes by what was done so far. */
static void tell_bytes(const struct progress *progress, uint64_t left, struct slice document)
{
	uint64_t done = progress->most - left;
	char sent[PRINT_SIZE_BYTES], rate[PRINT_SIZE_BYTES], rest[PRINT_SIZE_BYTES];
	print_size(sent, progress->sent);
	print_size(rate, pick_number(document, "snapshot_bytes_per_s"));
	fprintf(stderr, "; %s sent, %s/s", sent, rate);
	if (done == 0 || left == 0 || progress->sent == 0)
		return;
	print_size(rest, (uint64_t)((double)progress->sent / (double)done * (double)left));
	fprintf(stderr, ", about %s left", rest);
}

static void tell(struct progress *progress, uint64_t left, struct slice document)
{
	uint64_t now_ns = clock_monotonic_ns();
	double seconds = (double)(now_ns - progress->began_ns) / (double)NS_PER_S;
	if (left > progress->most)
		progress->most = left;
	count_bytes(progress, document);
	double rate = seconds > 0 ? (double)(progress->most - left) / seconds : 0;
	if (!progress->terminal && progress->told && left > 0 &&
	    now_ns - progress->told_ns < LINE_MS * NS_PER_MS)
		return;
	progress->told = true;
	progress->told_ns = now_ns;
	fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " %s left, %.1f/s",
	    progress->terminal ? "\r\x1b[K" : "", left, progress->most, progress->what, rate);
	if (rate > 0)
		fprintf(stderr, ", %.0f s to go", (double)left / rate);
	tell_bytes(progress, left, document);
	if (!progress->terminal)
		fputc('\n', stderr);
}

enum exit_code progress_wait(
    struct online *online, uint32_t seconds, const char *what, progress_left *left, const void *arg)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	struct progress progress = {
	    .what = what, .began_ns = clock_monotonic_ns(), .terminal = isatty(STDERR_FILENO) == 1};
	enum exit_code code = EXIT_UNHEALTHY;
	while (code == EXIT_UNHEALTHY) {
		cluster_ask(online);
		if (online->code == KALIX_OK) {
			struct slice document = slice_from_text(online_json(online));
			uint64_t count = left(document, arg);
			tell(&progress, count, document);
			if (count == 0)
				code = EXIT_DONE;
		} else if (!online_may_come(online->code)) {
			code = online_said(online);
		}
		if (clock_monotonic_ns() - progress.began_ns >= seconds * NS_PER_S)
			break;
		if (code == EXIT_UNHEALTHY)
			(void)nanosleep(&pause, NULL);
	}
	if (progress.terminal)
		fputc('\n', stderr);
	return code;
}
