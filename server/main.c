/* kalixd: the server. */
#include "config.h"

#include <signal.h>
#include <stdio.h>

#include "base/log_ring.h"
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

int main(int argc, char **argv)
{
	static struct config config;
	static struct config_origins origins;
	enum config_wish wish;
	char why[CONFIG_WHY_BYTES] = "";
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
	block_signals();
	server_log_level(config.log_level);
	if (log_ring_start()) {
		fputs("kalixd: out of memory\n", stderr);
		return 1;
	}
	return server_run(&config, &origins, PACKAGE_VERSION);
}
