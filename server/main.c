/* kalixd: the server. */
#include "config.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log_ring.h"
#include "base/mem.h"
#include "server/begun_anew.h"
#include "server/configuration.h"
#include "server/server.h"

enum { EXIT_USAGE = 2 };

/* jemalloc's settings, read before main; the environment's MALLOC_CONF goes over them. Memory in
 * huge pages: calls touch many small blocks far apart, and on a virtual machine each miss of the
 * TLB walks two sets of page tables. Nothing forks, so no page is copied for one byte of it. What
 * is free goes back to the system after a minute and not after ten seconds: it goes in single
 * pages, which breaks huge ones, and what a checkpoint frees is wanted again for the next one. */
extern const char *malloc_conf;
const char *malloc_conf = "thp:always,metadata_thp:auto,dirty_decay_ms:60000";

/* Signals are waited for by one thread; none may hit the others. */
static void block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/* What an earlier life of this process has left, and no argument of anybody. */
static bool take_along(int *argc, char **argv, struct begun_anew *anew)
{
	char *end;
	if (*argc < 3 || strcmp(argv[*argc - 2], BEGUN_ANEW_FLAG) != 0)
		return true;
	long fd = strtol(argv[*argc - 1], &end, 10);
	if (*end || fd < 0 || fd > INT_MAX || begun_anew_take((int)fd, anew))
		return false;
	*argc -= 2;
	argv[*argc] = NULL;
	return true;
}

/* As it was called. Returns where that fails. */
static void begin_again(int argc, char **argv, const struct begun_anew *anew)
{
	static char flag[] = BEGUN_ANEW_FLAG;
	char number[16];
	int fd = -1;
	char **arguments = mem_zalloc((size_t)argc + 3, sizeof(char *));
	if (!arguments)
		return;
	if (begun_anew_keep(anew, &fd) == 0) {
		memcpy(arguments, argv, (size_t)argc * sizeof(char *));
		snprintf(number, sizeof(number), "%d", fd);
		arguments[argc] = flag;
		arguments[argc + 1] = number;
		/* The same program, also where another version of it has taken its place. */
		execv("/proc/self/exe", arguments);
		execvp(argv[0], arguments);
	}
	mem_free(arguments);
}

int main(int argc, char **argv)
{
	static struct config config;
	static struct config_origins origins;
	static struct begun_anew anew;
	enum config_wish wish;
	char why[CONFIG_WHY_BYTES] = "";
	if (!take_along(&argc, argv, &anew)) {
		fputs("kalixd: " BEGUN_ANEW_FLAG " is said by kalixd to itself alone\n", stderr);
		return EXIT_USAGE;
	}
	if (config_read(argc, argv, &config, &origins, &wish, why, sizeof(why))) {
		fprintf(stderr, "kalixd: %s\n", why);
		return EXIT_USAGE;
	}
	switch (wish) {
	case CONFIG_HELP:
		config_print_help(stdout);
		return 0;
	case CONFIG_VERSION:
		printf("kalixd %s\n", PACKAGE_VERSION);
		return 0;
	case CONFIG_RUN:
		break;
	}
	/* One that has begun again is named after /proc/self/exe by the kernel. */
	(void)prctl(PR_SET_NAME, "kalixd");
	block_signals();
	server_log_level(config.log_level);
	if (log_ring_start()) {
		fputs("kalixd: out of memory\n", stderr);
		return 1;
	}
	int status = server_run(&config, &origins, PACKAGE_VERSION, &anew);
	if (status != SERVER_AGAIN)
		return status;
	begin_again(argc, argv, &anew);
	fputs("kalixd: it cannot begin anew by itself: start it again\n", stderr);
	return 1;
}
