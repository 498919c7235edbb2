/* Cuts processes off and looks at what they leave.
 *
 *   driver CASES VICTIM LIBRARY PERCENT
 *
 * CASES is a file of lines:
 *   cut NAME SEEDS                  power cuts and kills at random points: nothing may be wrong in
 *                                   SEEDS seeds
 *   each NAME power|kill            the first process ends at each of its points in turn, and a
 *                                   power cut follows later
 *   fail NAME ERRNO                 each of its calls in turn fails: it stops, refuses or goes on,
 *                                   and nothing is wrong afterwards
 *   needed SEEDS CLASS|CLASS...     without these syncs something must be wrong in at most SEEDS
 *                                   seeds
 *   redundant CLASS # reason        not needed, and why; the class exists
 *
 * PERCENT is how long it may take: of the seeds of `cut`, and of the points of `each` and `fail`
 * (all of them from 200 on; 100 is every second). A class of syncs that the victim has and no line
 * names is a failure: whoever adds a sync says what it is for.
 *
 * A seed is a row of processes in one directory, each cut off at a random point or not at all, and
 * a last one that only looks. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/preload/disk.h"
#include "tests/preload/victim.h"

enum {
	RUNS = 4, /* processes of a seed that may be cut off */
	STEPS = 6,
	TEXT_BYTES = 16384,
	LINE_BYTES = 1024,
	WORDS_BYTES = 1500,
	CLASSES_MAX = 128,
	SETTINGS = 11,
	ARGUMENTS = 3 + VICTIM_NUMBERS,
	EACH_POINTS_MAX = 2000,
	POINTS_STEP = 2, /* at 100 percent every second point is tried */
};

static const char *victim;
static const char *library;
static const char *work; /* temporary, removed at the end */
static uint64_t random_state;
static unsigned passed;
static unsigned failed;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % below;
}

static void die(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- One process ---- */

struct seed {
	uint64_t seed;
	uint64_t run;
	uint64_t said[VICTIM_NUMBERS]; /* last, to be durable */
	uint64_t points; /* of the last process, roughly what the next one will have */
	char dir[512];   /* below `work` */
	char shadow[600];
	char report[600];
	int status;            /* of the last process */
	char what[TEXT_BYTES]; /* all that the last process said */
};

/* What is done to a process. */
struct cut {
	uint64_t at; /* 0: none */
	bool kill;
	uint64_t fail_at; /* 0: none */
	uint64_t fail_errno;
	const char *swallow;
};

/* All of it, or at least its later half: what was said last is what counts. */
static void read_all(int fd, char text[TEXT_BYTES])
{
	size_t used = 0;
	for (;;) {
		if (used + 1 == TEXT_BYTES) {
			used = TEXT_BYTES / 2;
			memmove(text, text + TEXT_BYTES - 1 - used, used);
		}
		ssize_t bytes = read(fd, text + used, TEXT_BYTES - 1 - used);
		if (bytes <= 0)
			break;
		used += (size_t)bytes;
	}
	text[used] = '\0';
}

static void number_text(char text[32], uint64_t number)
{
	snprintf(text, 32, "%llu", (unsigned long long)number);
}

static pid_t spawn(struct seed *seed, const struct cut *cut, uint64_t steps, int out)
{
	char numbers[ARGUMENTS][32];
	char settings[SETTINGS][800];
	uint64_t chance = seed->seed * 100 + seed->run;
	snprintf(settings[0], sizeof(settings[0]), "LD_PRELOAD=%s", library);
	snprintf(settings[1], sizeof(settings[1]), "POWERCUT_DIR=%s", seed->dir);
	snprintf(settings[2], sizeof(settings[2]), "POWERCUT_SHADOW=%s", seed->shadow);
	snprintf(settings[3], sizeof(settings[3]), "POWERCUT_REPORT=%s", seed->report);
	snprintf(settings[4], sizeof(settings[4]), "POWERCUT_AT=%llu", (unsigned long long)cut->at);
	snprintf(
	    settings[5], sizeof(settings[5]), "POWERCUT_KIND=%s", cut->kill ? "kill" : "power");
	snprintf(
	    settings[6], sizeof(settings[6]), "POWERCUT_SEED=%llu", (unsigned long long)chance);
	snprintf(settings[7], sizeof(settings[7]), "POWERCUT_SWALLOW=%s", cut->swallow);
	snprintf(settings[8], sizeof(settings[8]), "LC_ALL=C.UTF-8");
	snprintf(settings[9], sizeof(settings[9]), "POWERCUT_FAIL_AT=%llu",
	    (unsigned long long)cut->fail_at);
	snprintf(settings[10], sizeof(settings[10]), "POWERCUT_FAIL=%llu",
	    (unsigned long long)cut->fail_errno);
	char *environment[SETTINGS + 1] = {0};
	for (size_t i = 0; i < SETTINGS; i++)
		environment[i] = settings[i];
	uint64_t values[ARGUMENTS] = {seed->seed, steps, seed->run};
	memcpy(values + 3, seed->said, sizeof(seed->said));
	char *arguments[ARGUMENTS + 3] = {(char *)(uintptr_t)victim, seed->dir};
	for (size_t i = 0; i < ARGUMENTS; i++) {
		number_text(numbers[i], values[i]);
		arguments[2 + i] = numbers[i];
	}
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	pid_t child;
	int error = posix_spawn(&child, victim, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0) {
		errno = error;
		die(victim);
	}
	return child;
}

/* What the process said about what is durable from now on. */
static void take_words(struct seed *seed)
{
	char copy[TEXT_BYTES];
	char *rest = copy;
	memcpy(copy, seed->what, sizeof(copy));
	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		if (strncmp(line, "durable ", 8) != 0)
			continue;
		char *number = line + 8;
		for (size_t i = 0; i < VICTIM_NUMBERS; i++)
			seed->said[i] = strtoull(number, &number, 10);
	}
}

static bool may_end_with(const struct cut *cut, int status)
{
	if (status == 0)
		return true;
	if (cut->fail_at != 0 && (status == PANIC_EXIT_STATUS || status == VICTIM_REFUSED ||
	                             status == POWERCUT_ASSERTION))
		return true;
	return cut->at != 0 && status == (cut->kill ? POWERCUT_KILL : POWERCUT_POWER);
}

/* False: it found something wrong, or came to another end than it should. */
static bool run_process(struct seed *seed, const struct cut *cut, uint64_t steps)
{
	int ends[2];
	int status;
	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe");
	seed->run++;
	pid_t child = spawn(seed, cut, steps, ends[1]);
	close(ends[1]);
	read_all(ends[0], seed->what);
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	take_words(seed);
	seed->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (WIFEXITED(status) && may_end_with(cut, WEXITSTATUS(status)))
		return true;
	size_t used = strlen(seed->what);
	snprintf(seed->what + used, sizeof(seed->what) - used, "(run %llu ended with status %#x)\n",
	    (unsigned long long)seed->run, (unsigned)status);
	return false;
}

/* The last of it, where what was wrong stands. */
static void print_words(const struct seed *seed)
{
	size_t bytes = strlen(seed->what);
	const char *from = seed->what + (bytes > WORDS_BYTES ? bytes - WORDS_BYTES : 0);
	printf("%s", from);
}

static uint64_t read_points(const struct seed *seed)
{
	unsigned long long points = 0;
	FILE *file = fopen(seed->report, "r");
	if (file == NULL || fscanf(file, "points %llu", &points) != 1)
		die(seed->report);
	fclose(file);
	return points;
}

/* ---- One seed ---- */

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static void seed_begin(struct seed *seed, uint64_t number)
{
	memset(seed, 0, sizeof(*seed));
	seed->seed = number;
	snprintf(seed->dir, sizeof(seed->dir), "%s/dir", work);
	snprintf(seed->shadow, sizeof(seed->shadow), "%s/shadow", work);
	snprintf(seed->report, sizeof(seed->report), "%s/report", work);
	unlink(seed->shadow);
	if (mkdir(seed->dir, 0700) < 0)
		die(seed->dir);
	random_state = number * 7919;
}

static void seed_end(const struct seed *seed)
{
	nftw(seed->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Points of a process that is not cut off. */
static uint64_t points_usual;

static bool run_seed(struct seed *seed, uint64_t number, const char *swallow, bool kills)
{
	bool right = true;
	seed_begin(seed, number);
	for (int run = 0; run < RUNS && right; run++) {
		struct cut cut = {.swallow = swallow};
		cut.kill = kills && draw(4) == 0;
		/* Sometimes it comes to its end, so that there are longer histories. */
		if (draw(8) != 0)
			cut.at = 1 + draw(points_usual);
		right = run_process(seed, &cut, STEPS);
	}
	struct cut none = {.swallow = swallow};
	if (right)
		right = run_process(seed, &none, 0);
	seed_end(seed);
	return right;
}

/* One process to which that is done at its point `nth`, later a power cut, and a look. */
static bool run_each(struct seed *seed, uint64_t nth, const struct cut *first, int *ret_status)
{
	seed_begin(seed, 5000 + nth);
	struct cut second = {.swallow = "", .at = draw(2) == 0 ? 1 : 1 + draw(points_usual)};
	struct cut none = {.swallow = ""};
	bool right = run_process(seed, first, STEPS);
	*ret_status = seed->status;
	right = right && run_process(seed, &second, STEPS) && run_process(seed, &none, 0);
	seed_end(seed);
	return right;
}

/* ---- Cases ---- */

static char classes[CLASSES_MAX][256];
static bool class_named[CLASSES_MAX];
static size_t class_count;

/* What a few whole processes do: how many points, and which classes of syncs. */
static void look_around(void)
{
	struct seed seed;
	struct cut none = {.swallow = ""};
	char line[LINE_BYTES];
	seed_begin(&seed, 1);
	for (int run = 0; run < RUNS; run++) {
		if (!run_process(&seed, &none, STEPS)) {
			print_words(&seed);
			die("the victim fails without being cut off");
		}
		uint64_t points = read_points(&seed);
		points_usual = points > points_usual ? points : points_usual;
		FILE *file = fopen(seed.report, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
			unsigned long long count;
			int at = 0;
			if (sscanf(line, "sync %llu %n", &count, &at) != 1)
				continue;
			line[strcspn(line, "\n")] = '\0';
			size_t i = 0;
			while (i < class_count && strcmp(classes[i], line + at) != 0)
				i++;
			if (i < class_count)
				continue;
			if (class_count == CLASSES_MAX)
				die("too many classes");
			snprintf(classes[class_count++], sizeof(classes[0]), "%.255s", line + at);
		}
		if (file != NULL)
			fclose(file);
	}
	seed_end(&seed);
}

static void result(bool good, const char *what)
{
	passed += good;
	failed += !good;
	printf("%s %s\n", good ? "ok" : "not ok", what);
	fflush(stdout);
}

static bool name_class(const char *class, size_t bytes)
{
	for (size_t i = 0; i < class_count; i++) {
		if (strlen(classes[i]) != bytes || strncmp(classes[i], class, bytes) != 0)
			continue;
		class_named[i] = true;
		return true;
	}
	return false;
}

/* All classes of "A|B" exist. */
static bool name_classes(const char *list)
{
	bool all = list[0] != '\0';
	while (*list != '\0') {
		size_t bytes = strcspn(list, "|");
		all = name_class(list, bytes) && all;
		list += bytes + (list[bytes] == '|');
	}
	return all;
}

static void run_cut(const char *name, uint64_t seeds)
{
	char text[LINE_BYTES + 64];
	struct seed seed;
	for (uint64_t number = 1; number <= seeds; number++) {
		if (run_seed(&seed, number, "", true))
			continue;
		print_words(&seed);
		snprintf(text, sizeof(text), "%s: seed %llu", name, (unsigned long long)number);
		result(false, text);
		return;
	}
	snprintf(text, sizeof(text), "%s: %llu seeds of %d processes", name,
	    (unsigned long long)seeds, RUNS);
	result(true, text);
}

/* `cut` or `fail` at every point, or as many of them as there is time for. */
static void run_all_points(const char *name, bool fails, struct cut cut, uint64_t step)
{
	char text[LINE_BYTES + 64];
	struct seed seed;
	unsigned went_on = 0, refused = 0, stopped = 0, asserted = 0;
	uint64_t nth = 1;
	/* Threads of RocksDB make the number of points differ a little from process to process. */
	for (; nth <= points_usual && nth <= EACH_POINTS_MAX; nth += step) {
		*(fails ? &cut.fail_at : &cut.at) = nth;
		int status;
		if (run_each(&seed, nth, &cut, &status)) {
			went_on += status == 0;
			refused += status == VICTIM_REFUSED;
			stopped += status == PANIC_EXIT_STATUS;
			asserted += status == POWERCUT_ASSERTION;
			continue;
		}
		print_words(&seed);
		snprintf(text, sizeof(text), "%s: at point %llu", name, (unsigned long long)nth);
		result(false, text);
		return;
	}
	int used = snprintf(text, sizeof(text), "%s: every %llu. of %llu points", name,
	    (unsigned long long)step, (unsigned long long)points_usual);
	if (fails)
		snprintf(text + used, sizeof(text) - (size_t)used,
		    "; the process went on in %u, refused in %u, stopped in %u, and by a library's "
		    "assertion in %u",
		    went_on, refused, stopped, asserted);
	result(true, text);
}

static void run_needed(const char *list, uint64_t seeds)
{
	char text[LINE_BYTES + 64];
	struct seed seed;
	if (!name_classes(list)) {
		snprintf(text, sizeof(text), "needed: %s: there are no such syncs", list);
		result(false, text);
		return;
	}
	for (uint64_t number = 1; number <= seeds; number++) {
		if (run_seed(&seed, 1000 + number, list, false))
			continue;
		snprintf(text, sizeof(text), "needed: %s: missed in seed %llu of %llu", list,
		    (unsigned long long)number, (unsigned long long)seeds);
		result(true, text);
		return;
	}
	snprintf(text, sizeof(text), "needed: %s: not missed in %llu seeds", list,
	    (unsigned long long)seeds);
	result(false, text);
}

static void run_line(char *line, uint64_t percent)
{
	char text[LINE_BYTES + 64];
	char name[64];
	char kind[16];
	unsigned long long seeds;
	int at = 0;
	uint64_t step = percent < 100 * POINTS_STEP ? 100 * POINTS_STEP / percent : 1;
	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return;
	if (sscanf(line, "cut %63s %llu%n", name, &seeds, &at) == 2 && line[at] == '\0') {
		run_cut(name, (seeds * percent + 99) / 100);
	} else if (sscanf(line, "each %63s %15s%n", name, kind, &at) == 2 && line[at] == '\0') {
		run_all_points(name, false,
		    (struct cut){.swallow = "", .kill = strcmp(kind, "kill") == 0}, step);
	} else if (sscanf(line, "fail %63s %llu%n", name, &seeds, &at) == 2 && line[at] == '\0') {
		run_all_points(name, true, (struct cut){.swallow = "", .fail_errno = seeds}, step);
	} else if (sscanf(line, "needed %llu %n", &seeds, &at) == 1 && at > 0) {
		run_needed(line + at, seeds);
	} else if (strncmp(line, "redundant ", 10) == 0) {
		char *reason = strstr(line, " # ");
		if (reason == NULL)
			die(line);
		*reason = '\0';
		snprintf(text, sizeof(text), "redundant: %s: %s", line + 10, reason + 3);
		result(name_classes(line + 10), text);
	} else {
		die(line);
	}
}

static void check_named(void)
{
	char text[512];
	for (size_t i = 0; i < class_count; i++) {
		if (class_named[i])
			continue;
		snprintf(text, sizeof(text), "no line says what this sync is for: %s", classes[i]);
		result(false, text);
	}
	snprintf(text, sizeof(text), "%zu classes of syncs are named", class_count);
	result(class_count > 0, text);
}

int main(int argc, char **argv)
{
	char directory[256];
	char line[LINE_BYTES];
	const char *parent = getenv("TMPDIR");
	snprintf(directory, sizeof(directory), "%s/kalix-powercut-XXXXXX",
	    parent != NULL ? parent : "/tmp");
	if (argc != 5) {
		fprintf(stderr, "usage: driver CASES VICTIM LIBRARY PERCENT\n");
		return 2;
	}
	victim = argv[2];
	library = argv[3];
	work = mkdtemp(directory);
	FILE *cases = fopen(argv[1], "r");
	if (work == NULL || cases == NULL)
		die(argv[1]);
	look_around();
	printf("%s: about %llu points in a process\n", victim, (unsigned long long)points_usual);
	while (fgets(line, sizeof(line), cases) != NULL)
		run_line(line, strtoull(argv[4], NULL, 10));
	fclose(cases);
	check_named();
	nftw(work, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}
