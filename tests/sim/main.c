/* engine_sim: the storage engine in a simulated world, one seed after another, each in a process of
 * its own, so that one that fails does not take the others with it. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io/sim/sim.h"
#include "base/mutation.h"
#include "tests/sim/commit.h"
#include "tests/sim/coverage.h"
#include "tests/sim/plan.h"
#include "tests/sim/seed.h"

enum {
	JOBS_MAX = 64,
	SEEDS_FOR_COVERAGE = 100, /* with so many, everything has to have happened */
	REPEATED_ONE_IN = 20,     /* of the seeds are run twice, and compared */
	HANGS_AFTER_S = 120,      /* a safeguard, not a measurement */
	OUTPUT_BYTES_MAX = 8192,
	FAILURES_SHOWN_MAX = 20,
};

struct options {
	uint64_t first;
	uint64_t count;
	unsigned jobs;
	enum profile profiles[PROFILES]; /* taken in turn */
	unsigned profile_count;
	enum mutation mutation;
	bool trace;
	bool until_failure;
};

/* A child process, which runs one seed. */
struct child {
	pid_t pid; /* 0: none */
	uint64_t seed;
	bool is_repeat;
	int result_fd;
	int output_fd;
};

/* What a child sends. */
struct answer {
	struct seed_result result;
	uint64_t mutation_hits;
};

struct run {
	struct options options;
	struct child children[JOBS_MAX];
	uint64_t passed, failed;
	uint64_t repeated, differing;
	uint64_t seeds_of_profile[PROFILES];
	struct coverage coverage;
	uint64_t mutation_hits;
	/* Trace hashes of seeds that are run twice, by order. */
	uint64_t *hashes;
};

static enum profile profile_of(const struct options *options, uint64_t seed)
{
	return options->profiles[seed % options->profile_count];
}

/* ---- A child ---- */

__attribute__((noreturn)) static void run_child(
    const struct options *options, uint64_t seed, int result_fd, int output_fd)
{
	struct answer answer;
	if (output_fd >= 0)
		dup2(output_fd, STDERR_FILENO);
	alarm(HANGS_AFTER_S);
	mutation_set(options->mutation);
	seed_run(seed, profile_of(options, seed), options->trace, &answer.result);
	answer.mutation_hits = mutation_hits();
	bool written = write(result_fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer);
	fflush(NULL);
	_exit(written ? 0 : 1);
}

static void start_child(struct run *run, struct child *child, uint64_t seed, bool is_repeat)
{
	int fds[2];
	int output_fd = run->options.trace ? -1 : memfd_create("output", 0);
	if (pipe(fds) != 0) {
		perror("pipe");
		exit(1);
	}
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid == 0)
		run_child(&run->options, seed, fds[1], output_fd);
	close(fds[1]);
	*child = (struct child){.pid = pid,
	    .seed = seed,
	    .is_repeat = is_repeat,
	    .result_fd = fds[0],
	    .output_fd = output_fd};
}

static void show_failure(const struct run *run, const struct child *child, int status)
{
	char output[OUTPUT_BYTES_MAX];
	if (run->failed > FAILURES_SHOWN_MAX)
		return;
	printf("seed %" PRIu64 " (profile %u, %s) failed, commit %s", child->seed,
	    (unsigned)profile_of(&run->options, child->seed),
	    profile_name(profile_of(&run->options, child->seed)), commit_text());
	if (WIFSIGNALED(status))
		printf(", signal %d%s", WTERMSIG(status),
		    WTERMSIG(status) == SIGALRM ? " (VIOLATED: progress: it hangs)" : "");
	printf("\n");
	ssize_t bytes =
	    child->output_fd < 0 ? 0 : pread(child->output_fd, output, sizeof(output), 0);
	if (bytes > 0)
		fwrite(output, 1, (size_t)bytes, stdout);
	if (WIFSIGNALED(status))
		printf("again: tests/sim/engine_sim --seeds %" PRIu64 " 1 --profiles %u --trace\n",
		    child->seed, (unsigned)profile_of(&run->options, child->seed));
}

static void take_result(
    struct run *run, const struct child *child, const struct seed_result *result)
{
	uint64_t *hash = &run->hashes[(child->seed - run->options.first) / REPEATED_ONE_IN];
	if (child->is_repeat) {
		run->repeated++;
		if (*hash != result->trace_hash) {
			run->differing++;
			printf("seed %" PRIu64 " (profile %u): two runs differ\n", child->seed,
			    (unsigned)profile_of(&run->options, child->seed));
		}
		return;
	}
	run->passed++;
	run->seeds_of_profile[profile_of(&run->options, child->seed)]++;
	coverage_add(&run->coverage, &result->coverage);
	if ((child->seed - run->options.first) % REPEATED_ONE_IN == 0)
		*hash = result->trace_hash;
}

/* Waits for one to end; false: it failed. */
static bool reap(struct run *run, struct child **ret_child)
{
	int status;
	pid_t pid;
	do
		pid = waitpid(-1, &status, 0);
	while (pid < 0 && errno == EINTR);
	struct child *child = run->children;
	while (child->pid != pid)
		child++;
	struct answer answer;
	ssize_t bytes = read(child->result_fd, &answer, sizeof(answer));
	bool good =
	    WIFEXITED(status) && WEXITSTATUS(status) == 0 && bytes == (ssize_t)sizeof(answer);
	if (good) {
		take_result(run, child, &answer.result);
		run->mutation_hits += answer.mutation_hits;
	} else {
		run->failed++;
		show_failure(run, child, status);
	}
	close(child->result_fd);
	if (child->output_fd >= 0)
		close(child->output_fd);
	child->pid = 0;
	*ret_child = child;
	return good;
}

/* ---- All of them ---- */

static struct child *free_child(struct run *run)
{
	for (unsigned i = 0; i < run->options.jobs; i++)
		if (run->children[i].pid == 0)
			return &run->children[i];
	return NULL;
}

static void run_seeds(struct run *run)
{
	const struct options *options = &run->options;
	uint64_t next = 0;
	uint64_t running = 0;
	bool stop = false;
	for (;;) {
		struct child *child = free_child(run);
		if (child != NULL && !stop && next < options->count) {
			start_child(run, child, options->first + next++, false);
			running++;
			continue;
		}
		if (running == 0)
			return;
		bool good = reap(run, &child);
		running--;
		stop = stop || (!good && options->until_failure);
		bool repeat = good && !child->is_repeat && !options->trace && !stop &&
		              (child->seed - options->first) % REPEATED_ONE_IN == 0;
		if (!repeat)
			continue;
		start_child(run, child, child->seed, true);
		running++;
	}
}

static double now_s(void)
{
	struct timespec at;
	(void)timespec_get(&at, TIME_UTC);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static bool summarize(struct run *run, double seconds)
{
	const struct coverage *coverage = &run->coverage;
	uint64_t seeds = run->passed;
	printf("seeds by profile:");
	for (unsigned i = 0; i < PROFILES; i++)
		printf(" %s %" PRIu64, profile_name((enum profile)i), run->seeds_of_profile[i]);
	printf("\n%" PRIu64 " seeds, %" PRIu64 " operations, %" PRIu64 " events, %" PRIu64
	       " ends of processes; %.1f s, %.0f events/s, %.2f s a seed\n\n",
	    seeds, coverage->operations, coverage->sim.events, coverage->ends, seconds,
	    (double)coverage->sim.events / seconds,
	    seeds > 0 ? seconds * run->options.jobs / (double)seeds : 0);
	coverage_print(coverage);
	uint64_t passed = run->passed;
	uint64_t failed = run->failed;
	if (run->repeated > 0) {
		*(run->differing == 0 ? &passed : &failed) += 1;
		printf("%" PRIu64 " seeds run twice, %" PRIu64 " with another trace\n",
		    run->repeated, run->differing);
	}
	if (run->options.mutation != MUTATION_NONE)
		printf("hits: %" PRIu64 "\n", run->mutation_hits);
	if (run->options.profile_count == PROFILES && seeds >= SEEDS_FOR_COVERAGE) {
		size_t zeros = coverage_print_zeros(coverage);
		*(zeros == 0 ? &passed : &failed) += 1;
		printf("%zu things that should happen never happened\n", zeros);
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
	return failed == 0;
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
	    "usage: engine_sim [--seeds FIRST COUNT] [--jobs N] [--profiles P,P...] [--trace]\n"
	    "                  [--until-failure] [--mutation NAME]\n"
	    "       engine_sim --mutations\n"
	    "Profiles:");
	for (unsigned i = 0; i < PROFILES; i++)
		fprintf(stderr, " %u %s", i, profile_name((enum profile)i));
	fprintf(stderr, "\n");
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	if (text == NULL)
		usage();
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		usage();
	return value;
}

static void parse_profiles(const char *text, struct options *options)
{
	options->profile_count = 0;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at == ',')
			continue;
		if (*at < '0' || *at >= '0' + PROFILES || options->profile_count == PROFILES)
			usage();
		options->profiles[options->profile_count++] = (enum profile)(*at - '0');
	}
	if (options->profile_count == 0)
		usage();
}

/* One a line: name, within how many seeds it is found, what it does. */
static void parse(int argc, char **argv, struct options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	*options = (struct options){.first = 1, .count = 100};
	parse_profiles("0,1,2,3,4", options);
	options->jobs = cpus < 1 ? 1 : cpus > JOBS_MAX ? JOBS_MAX : (unsigned)cpus;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			options->first = number_of(argv[++i]);
			options->count = number_of(argv[++i]);
		} else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
			options->jobs = (unsigned)number_of(argv[++i]);
		} else if (strcmp(argv[i], "--profiles") == 0 && i + 1 < argc) {
			parse_profiles(argv[++i], options);
		} else if (strcmp(argv[i], "--mutations") == 0) {
			mutation_print_all(stdout);
			exit(0);
		} else if (strcmp(argv[i], "--mutation") == 0 && i + 1 < argc) {
			if (!mutation_built() || mutation_find(argv[++i], &options->mutation) != 0)
				usage();
		} else if (strcmp(argv[i], "--trace") == 0) {
			options->trace = true;
		} else if (strcmp(argv[i], "--until-failure") == 0) {
			options->until_failure = true;
		} else {
			usage();
		}
	}
	if (options->jobs < 1 || options->jobs > JOBS_MAX)
		usage();
	if (options->count < 1 || options->count > UINT64_MAX - options->first)
		usage();
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	ASSERT(run != NULL);
	parse(argc, argv, &run->options);
	run->hashes = calloc(run->options.count / REPEATED_ONE_IN + 1, sizeof(uint64_t));
	ASSERT(run->hashes != NULL);
	double begin = now_s();
	run_seeds(run);
	bool good = summarize(run, now_s() - begin);
	free(run->hashes);
	free(run);
	return good ? 0 : 1;
}
