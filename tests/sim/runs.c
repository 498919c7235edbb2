#include "tests/sim/runs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io/sim/sim.h"
#include "base/mutation.h"
#include "tests/sim/commit.h"

enum {
	JOBS_MAX = 16,
	SEEDS_FOR_COVERAGE = 50, /* with so many, everything has to have happened */
	REPEATED_ONE_IN = 20,    /* of the seeds are run twice, and compared */
	HANGS_AFTER_S = 120,     /* of processor time: a safeguard, not a measurement */
	RESULT_BYTES_MAX = 3072,
	OUTPUT_BYTES_MAX = 8192,
	STACK_MOVED_BYTES = 5040, /* of a run that repeats another one */
	HEAP_MOVED_BYTES = 3000,
	FAILURES_SHOWN_MAX = 10,
};

struct child {
	pid_t pid; /* 0: none */
	uint64_t seed;
	bool is_repeat;
	int result_fd, output_fd;
};

struct answer {
	uint64_t mutation_hits;
	uint64_t accidental_order;
	uint8_t result[RESULT_BYTES_MAX] __attribute__((aligned(16)));
};

/* Of a seed that is run twice: what its first run gave. */
struct first_run {
	uint64_t trace_hash, accidental_order;
};

static struct {
	const struct runs_program *kind;
	const char *program;
	uint64_t first, count;
	unsigned jobs;
	enum mutation mutation;
	bool trace, until_failure, hashes;

	struct child children[JOBS_MAX];
	uint64_t passed, failed, repeated, differing, order_differing, hits;
	struct first_run *first_runs;
} run;

struct job {
	uint64_t seed;
	struct answer answer;
};

static void run_seed(void *arg)
{
	struct job *job = arg;
	mutation_set(run.mutation);
	if (run.kind->accidental_order)
		job->answer.accidental_order = run.kind->accidental_order();
	run.kind->seed(job->seed, run.trace, job->answer.result);
	job->answer.mutation_hits = mutation_hits();
}

/* Of its own time alone, however busy the machine is. */
static void end_when_it_hangs(void)
{
	struct itimerval timer = {.it_value = {.tv_sec = HANGS_AFTER_S}};
	int error = setitimer(ITIMER_PROF, &timer, NULL);
	ASSERT(!error);
}

__attribute__((noreturn)) static void run_child(uint64_t seed, int result_fd, int output_fd)
{
	struct job job = {.seed = seed};
	if (output_fd >= 0)
		dup2(output_fd, STDERR_FILENO);
	if (!run.trace)
		end_when_it_hangs();
	if (run.kind->accidental_order)
		sim_at_fixed_addresses(run_seed, &job);
	else
		run_seed(&job);
	bool written =
	    write(result_fd, &job.answer, sizeof(job.answer)) == (ssize_t)sizeof(job.answer);
	fflush(NULL);
	_exit(written ? 0 : 1);
}

/* With another stack and other memory than the first time, as a program has that is run again with
 * other arguments: it must make no difference. */
__attribute__((noreturn, noinline)) static void run_child_elsewhere(
    uint64_t seed, int result_fd, int output_fd)
{
	volatile char *stack = __builtin_alloca(STACK_MOVED_BYTES);
	void *volatile heap = malloc(HEAP_MOVED_BYTES);
	stack[0] = (char)(heap != NULL);
	run_child(seed, result_fd, output_fd);
}

static void start(struct child *child, uint64_t seed, bool is_repeat)
{
	int fds[2];
	int output_fd = run.trace ? -1 : memfd_create("output", 0);
	fflush(NULL);
	pid_t pid = pipe(fds) == 0 ? fork() : -1;
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (pid == 0 && is_repeat)
		run_child_elsewhere(seed, fds[1], output_fd);
	if (pid == 0)
		run_child(seed, fds[1], output_fd);
	close(fds[1]);
	*child = (struct child){.pid = pid,
	    .seed = seed,
	    .is_repeat = is_repeat,
	    .result_fd = fds[0],
	    .output_fd = output_fd};
}

static void show_failure(const struct child *child, int status)
{
	char output[OUTPUT_BYTES_MAX];
	if (run.failed > FAILURES_SHOWN_MAX)
		return;
	printf("seed %" PRIu64 " failed, commit %s", child->seed, commit_text());
	if (WIFSIGNALED(status))
		printf(", signal %d (VIOLATED: process: it hangs, or crashed)", WTERMSIG(status));
	printf("\n");
	ssize_t bytes =
	    child->output_fd < 0 ? 0 : pread(child->output_fd, output, sizeof(output), 0);
	if (bytes > 0)
		fwrite(output, 1, (size_t)bytes, stdout);
	if (WIFSIGNALED(status))
		printf("again: %s --seeds %" PRIu64 " 1 --trace\n", run.program, child->seed);
}

static void take_result(const struct child *child, const struct answer *answer)
{
	struct first_run *first = &run.first_runs[(child->seed - run.first) / REPEATED_ONE_IN];
	run.hits += answer->mutation_hits;
	if (child->is_repeat) {
		run.repeated++;
		run.order_differing += first->accidental_order != answer->accidental_order;
		if (first->trace_hash == run.kind->trace_hash(answer->result))
			return;
		run.differing++;
		printf("seed %" PRIu64 ": two runs differ\n", child->seed);
		return;
	}
	run.passed++;
	if (run.hashes)
		printf("seed %" PRIu64 " trace %016" PRIx64 "\n", child->seed,
		    run.kind->trace_hash(answer->result));
	run.kind->add(answer->result);
	if ((child->seed - run.first) % REPEATED_ONE_IN == 0)
		*first = (struct first_run){
		    run.kind->trace_hash(answer->result), answer->accidental_order};
}

/* Waits for one to end; false: it failed. */
static bool reap(struct child **ret_child)
{
	int status;
	pid_t pid;
	do
		pid = waitpid(-1, &status, 0);
	while (pid < 0 && errno == EINTR);
	struct child *child = run.children;
	while (child->pid != pid)
		child++;
	struct answer answer;
	ssize_t bytes = read(child->result_fd, &answer, sizeof(answer));
	bool good =
	    WIFEXITED(status) && WEXITSTATUS(status) == 0 && bytes == (ssize_t)sizeof(answer);
	if (good) {
		take_result(child, &answer);
	} else {
		run.failed++;
		show_failure(child, status);
	}
	close(child->result_fd);
	if (child->output_fd >= 0)
		close(child->output_fd);
	child->pid = 0;
	*ret_child = child;
	return good;
}

static struct child *free_child(void)
{
	for (unsigned i = 0; i < run.jobs; i++)
		if (run.children[i].pid == 0)
			return &run.children[i];
	return NULL;
}

static void run_seeds(void)
{
	uint64_t next = 0;
	uint64_t running = 0;
	bool stop = false;
	for (;;) {
		struct child *child = free_child();
		if (child && !stop && next < run.count) {
			start(child, run.first + next++, false);
			running++;
			continue;
		}
		if (running == 0)
			return;
		bool good = reap(&child);
		running--;
		stop = stop || (!good && run.until_failure);
		bool repeat = good && !child->is_repeat && !run.trace && !stop &&
		              (child->seed - run.first) % REPEATED_ONE_IN == 0;
		if (!repeat)
			continue;
		start(child, child->seed, true);
		running++;
	}
}

static bool summarize(void)
{
	printf("%" PRIu64 " seeds\n", run.passed);
	run.kind->print();
	uint64_t passed = run.passed;
	uint64_t failed = run.failed;
	if (run.repeated > 0) {
		*(run.differing == 0 ? &passed : &failed) += 1;
		printf("%" PRIu64 " seeds run twice, %" PRIu64 " with another trace\n",
		    run.repeated, run.differing);
	}
	if (run.repeated > 0 && run.kind->accidental_order) {
		/* Else it would be luck that the traces are the same. */
		*(run.order_differing == 0 ? &passed : &failed) += 1;
		printf("%" PRIu64 " of them with interpreters that were seeded differently\n",
		    run.order_differing);
	}
	if (run.mutation != MUTATION_NONE)
		printf("hits: %" PRIu64 "\n", run.hits);
	if (run.passed >= SEEDS_FOR_COVERAGE) {
		unsigned zeros = run.kind->print_zeros();
		*(zeros == 0 ? &passed : &failed) += 1;
		printf("%u things that should happen never happened\n", zeros);
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
	return failed == 0;
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
	    "usage: %s [--seeds FIRST COUNT] [--jobs N] [--trace] [--hashes] [--until-failure]\n"
	    "       [--mutation NAME]\n"
	    "       %s --mutations\n",
	    run.program, run.program);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		usage();
	return value;
}

static void parse(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	run.program = argv[0];
	run.first = 1;
	run.count = 100;
	run.jobs = cpus < 1 ? 1 : cpus > JOBS_MAX ? JOBS_MAX : (unsigned)cpus;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			run.first = number_of(argv[++i]);
			run.count = number_of(argv[++i]);
		} else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
			run.jobs = (unsigned)number_of(argv[++i]);
		} else if (strcmp(argv[i], "--mutations") == 0) {
			mutation_print_all(stdout);
			exit(0);
		} else if (strcmp(argv[i], "--mutation") == 0 && i + 1 < argc) {
			if (!mutation_built() || mutation_find(argv[++i], &run.mutation) != 0)
				usage();
		} else if (strcmp(argv[i], "--trace") == 0) {
			run.trace = true;
		} else if (strcmp(argv[i], "--hashes") == 0) {
			run.hashes = true;
		} else if (strcmp(argv[i], "--until-failure") == 0) {
			run.until_failure = true;
		} else {
			usage();
		}
	}
	if (run.jobs < 1 || run.jobs > JOBS_MAX || run.count < 1)
		usage();
}

int runs_main(int argc, char **argv, const struct runs_program *kind)
{
	ASSERT(kind->result_bytes <= RESULT_BYTES_MAX);
	run.kind = kind;
	parse(argc, argv);
	run.first_runs = calloc(run.count / REPEATED_ONE_IN + 1, sizeof(*run.first_runs));
	ASSERT(run.first_runs != NULL);
	run_seeds();
	bool good = summarize();
	free(run.first_runs);
	return good ? 0 : 1;
}
