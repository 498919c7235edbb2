/* What only the ring does: its explanations, short pieces, threads, and doing nothing at no
 * cost. */
#include "tests/unit/io/forbid.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io_uring.h"
#include "base/mem.h"

enum { BLOCK = FS_ALIGNMENT };

/* ---- Why there is no ring ---- */

START_TEST(a_seccomp_filter_is_named)
{
	char why[256];
	struct io *io = NULL;
	forbid_call(__NR_io_uring_setup, 0, EPERM);
	ck_assert_int_eq(io_new(NULL, why, sizeof(why), &io), ERR_UNSUPPORTED);
	ck_assert_ptr_null(io);
	ck_assert_ptr_nonnull(strstr(why, "seccomp"));
}
END_TEST

START_TEST(a_hidden_ring_is_named)
{
	char why[256];
	struct io *io = NULL;
	forbid_call(__NR_io_uring_setup, 0, ENOSYS);
	ck_assert_int_eq(io_new(NULL, why, sizeof(why), &io), ERR_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(why, "CONFIG_IO_URING"));
}
END_TEST

START_TEST(every_reason_has_its_words)
{
	static const struct {
		int err;
		int disabled;
		const char *release;
		uint64_t memlock_bytes;
		int error;
		const char *words;
	} reasons[] = {
	    {EPERM, 2, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "kernel.io_uring_disabled = 2"},
	    {EPERM, 1, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "kernel.io_uring_group"},
	    {EPERM, 0, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "seccomp"},
	    {EPERM, -1, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "seccomp"},
	    {EACCES, 0, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "security module"},
	    {EINVAL, 0, "5.10.0-1-amd64", UINT64_MAX, ERR_UNSUPPORTED, "older than 6.1"},
	    {EINVAL, 0, "6.0.19", UINT64_MAX, ERR_UNSUPPORTED, "older than 6.1"},
	    {ENOSYS, 0, "4.19.0", UINT64_MAX, ERR_UNSUPPORTED, "older than 6.1"},
	    {ENOSYS, 0, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "CONFIG_IO_URING"},
	    {EINVAL, 0, "6.10.0", UINT64_MAX, ERR_UNSUPPORTED, "Invalid argument"},
	    {ENOMEM, 0, "6.1.0", 65536, ERR_NOMEM, "RLIMIT_MEMLOCK (ulimit -l) is 64 KiB"},
	    {ENOMEM, 0, "6.1.0", UINT64_MAX, ERR_NOMEM, "out of memory"},
	    {EMFILE, 0, "6.1.0", UINT64_MAX, ERR_UNSUPPORTED, "ulimit -n"},
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		char why[256];
		ck_assert_int_eq(
		    ring_explain_from(reasons[i].err, reasons[i].disabled, reasons[i].release,
		        reasons[i].memlock_bytes, why, sizeof(why)),
		    reasons[i].error);
		ck_assert_msg(
		    strstr(why, reasons[i].words) != NULL, "%s: %s", reasons[i].words, why);
	}
}
END_TEST

START_TEST(a_limit_on_descriptors_is_reported)
{
	char why[256];
	struct io *io = NULL;
	struct rlimit limit;
	struct rlimit none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int error = io_new(NULL, why, sizeof(why), &io);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_lt(error, 0);
	ck_assert_ptr_nonnull(strstr(why, "ulimit -n"));
}
END_TEST

START_TEST(every_failing_allocation_of_a_new_ring_is_reported)
{
	char why[256];
	uint64_t nth = 1;
	for (;; nth++) {
		struct io *io = NULL;
		mem_fail_at(nth);
		int error = io_new(NULL, why, sizeof(why), &io);
		bool failed = mem_failed();
		mem_fail_at(0);
		if (!failed) {
			ck_assert_int_eq(error, 0);
			io_free(io);
			break;
		}
		ck_assert_int_eq(error, ERR_NOMEM);
		ck_assert_ptr_null(io);
	}
	ck_assert_uint_gt(nth, 4);
	io_free(NULL);
}
END_TEST

/* ---- Short and failing writes ---- */

struct counted {
	struct io_op op;
	unsigned done;
};

static void count(struct io_op *op)
{
	((struct counted *)op)->done++;
}

static bool is_done(void *arg)
{
	return ((struct counted *)arg)->done > 0;
}

static void limit_files(uint64_t bytes)
{
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct fs_file *file;
static uint8_t *blocks;

static void setup(void)
{
	platform_setup();
	signal(SIGXFSZ, SIG_IGN);
	blocks = fs_buffer_alloc(4 * BLOCK);
	ck_assert_ptr_nonnull(blocks);
	memset(blocks, 'x', 4 * BLOCK);
	ck_assert_int_eq(fs_open(platform_fs(), "file", FS_READ | FS_WRITE | FS_CREATE, &file), 0);
}

static void teardown(void)
{
	fs_close(file);
	fs_buffer_free(blocks);
	platform_done();
}

/* Both ways of a durable write, by the number of the loop. */
static enum write_method use_method(int number)
{
	enum write_method method = (enum write_method)number;
	platform_io()->write_methods.preferred = method;
	return method;
}

static bool is_submitted(void *arg)
{
	return io_figures(platform_io()).submitted >= *(uint64_t *)arg;
}

START_TEST(the_rest_of_a_short_write_is_written_and_synced)
{
	struct counted counted = {.op.done = count};
	enum write_method method = use_method(_i);
	uint64_t before = io_figures(platform_io()).submitted;
	limit_files(2 * BLOCK + 100);
	io_write_durable(platform_io(), &counted.op, file, blocks, 4 * BLOCK, 0);
	/* One or a pair, and after two blocks again. */
	uint64_t expected = before + (method == WRITE_LINKED ? 4 : 2);
	platform_run(is_submitted, &expected);
	limit_files(RLIM_INFINITY);
	platform_run(is_done, &counted);
	ck_assert_int_eq(counted.op.result, 0);
	ck_assert_uint_eq(counted.done, 1);
	ck_assert_uint_eq(counted.op.u.file.bytes_done, 4 * BLOCK);
	uint8_t *found = fs_buffer_alloc(4 * BLOCK);
	size_t bytes = 0;
	ck_assert_int_eq(fs_read(file, 0, found, 4 * BLOCK, &bytes), 0);
	ck_assert_uint_eq(bytes, 4 * BLOCK);
	ck_assert_int_eq(memcmp(found, blocks, 4 * BLOCK), 0);
	fs_buffer_free(found);
}
END_TEST

START_TEST(a_write_that_fails_is_told_once)
{
	struct counted counted = {.op.done = count};
	use_method(_i);
	limit_files(BLOCK);
	io_write_durable(platform_io(), &counted.op, file, blocks, BLOCK, BLOCK);
	platform_run(is_done, &counted);
	limit_files(RLIM_INFINITY);
	for (int i = 0; i < 5; i++)
		platform_turn();
	ck_assert_int_eq(counted.op.result, ERR_IO);
	ck_assert_uint_eq(counted.done, 1);
}
END_TEST

START_TEST(a_full_device_is_told)
{
	struct counted counted = {.op.done = count};
	use_method(_i);
	struct fs_file *full = NULL;
	platform_link("full", "/dev/full");
	ck_assert_int_eq(fs_open(platform_fs(), "full", FS_WRITE, &full), 0);
	io_write_durable(platform_io(), &counted.op, full, blocks, BLOCK, 0);
	platform_run(is_done, &counted);
	ck_assert_int_eq(counted.op.result, ERR_NO_SPACE);
	fs_close(full);
}
END_TEST

START_TEST(a_write_to_a_file_open_for_reading_fails)
{
	struct counted counted = {.op.done = count};
	use_method(_i);
	struct fs_file *read_only = NULL;
	ck_assert_int_eq(fs_open(platform_fs(), "file", FS_READ, &read_only), 0);
	io_write_durable(platform_io(), &counted.op, read_only, blocks, BLOCK, 0);
	platform_run(is_done, &counted);
	ck_assert_int_eq(counted.op.result, ERR_IO);
	fs_close(read_only);
}
END_TEST

START_TEST(a_ring_is_ready_while_there_is_something_to_take)
{
	struct counted counted = {.op.done = count};
	struct io *io = platform_io();
	while (io_ready(io))
		platform_turn();
	io_wake(io, NULL);
	ck_assert(io_ready(io));
	while (io_ready(io))
		platform_turn();
	/* The kernel has the bytes at hand, and completes it as it is handed over. */
	io_read(io, &counted.op, file, blocks, BLOCK, 0);
	ck_assert(!io_ready(io));
	io_poll(io, NS_PER_S);
	ck_assert(io_ready(io));
	platform_run(is_done, &counted);
	ck_assert(!io_ready(io));
}
END_TEST

START_TEST(what_is_submitted_in_a_turn_goes_on_without_a_poll)
{
	struct counted counted = {.op.done = count};
	struct io *io = platform_io();
	while (io_ready(io))
		platform_turn();
	io_read(io, &counted.op, file, blocks, BLOCK, 0);
	io_submit(io);
	for (int tries = 0; !io_ready(io) && tries < 1000; tries++)
		usleep(1000);
	ck_assert(io_ready(io));
	/* It takes nothing: that is left to the turn. */
	ck_assert_uint_eq(counted.done, 0);
	platform_run(is_done, &counted);
	io_submit(io);
	ck_assert(!io_ready(io));
}
END_TEST

START_TEST(more_operations_than_the_queue_has_entries_all_complete)
{
	enum { OPS = 500 };
	static struct counted ops[OPS];
	struct io_options options = {.queue_entries = 8};
	struct io *small = NULL;
	char why[256];
	ck_assert_int_eq(io_new(&options, why, sizeof(why), &small), 0);
	memset(ops, 0, sizeof(ops));
	for (size_t i = 0; i < OPS; i++) {
		ops[i].op.done = count;
		if (i % 2 == 0)
			io_write_durable(small, &ops[i].op, file, blocks, BLOCK, 0);
		else
			io_read(small, &ops[i].op, file, blocks + BLOCK, BLOCK, 0);
	}
	for (size_t done = 0; done < OPS;) {
		io_poll(small, NS_PER_S);
		done += io_run(small);
	}
	for (size_t i = 0; i < OPS; i++)
		ck_assert_uint_eq(ops[i].done, 1);
	io_free(small);
}
END_TEST

/* ---- Threads ---- */

static sem_t gate;
static sem_t begun;
static pthread_t turn_thread;

static void wait_at_gate(struct io_op *op)
{
	sem_post(&begun);
	sem_wait(&gate);
	op->result = pthread_equal(pthread_self(), turn_thread) ? ERR_INVALID : 1;
}

static void pass(struct io_op *op)
{
	op->result = pthread_equal(pthread_self(), turn_thread) ? ERR_INVALID : 2;
}

static void count_here(struct io_op *op)
{
	ck_assert(pthread_equal(pthread_self(), turn_thread));
	count(op);
}

START_TEST(long_jobs_leave_a_thread_for_short_ones)
{
	enum { LONG = 6 };
	struct counted long_jobs[LONG];
	turn_thread = pthread_self();
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	for (size_t i = 0; i < LONG; i++) {
		long_jobs[i] = (struct counted){.op.done = count_here};
		io_offload_bulk(platform_io(), &long_jobs[i].op, wait_at_gate);
	}
	sem_wait(&begun);
	/* Two threads, one of them waiting at the gate: these pass one after another. */
	for (int i = 0; i < 20; i++) {
		struct counted quick = {.op.done = count_here};
		io_offload(platform_io(), &quick.op, pass);
		platform_run(is_done, &quick);
		ck_assert_int_eq(quick.op.result, 2);
	}
	int waiting = 0;
	sem_getvalue(&begun, &waiting);
	ck_assert_int_eq(waiting, 0);
	for (size_t i = 0; i < LONG; i++)
		sem_post(&gate);
	for (size_t i = 0; i < LONG; i++) {
		platform_run(is_done, &long_jobs[i]);
		ck_assert_int_eq(long_jobs[i].op.result, 1);
	}
	sem_destroy(&gate);
	sem_destroy(&begun);
}
END_TEST

START_TEST(short_jobs_overlap)
{
	struct counted first = {.op.done = count_here};
	struct counted second = {.op.done = count_here};
	turn_thread = pthread_self();
	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	io_offload(platform_io(), &first.op, wait_at_gate);
	io_offload(platform_io(), &second.op, wait_at_gate);
	/* Both are in it at once, or this waits for ever. */
	sem_wait(&begun);
	sem_wait(&begun);
	sem_post(&gate);
	sem_post(&gate);
	platform_run(is_done, &first);
	platform_run(is_done, &second);
	sem_destroy(&gate);
	sem_destroy(&begun);
}
END_TEST

static void *wake_often(void *arg)
{
	for (int i = 0; i < 10000; i++)
		io_wake(arg, NULL);
	return NULL;
}

static unsigned woken_count;

static void note_wake(void *arg)
{
	(void)arg;
	woken_count++;
}

static bool is_woken(void *arg)
{
	(void)arg;
	return woken_count > 0;
}

START_TEST(another_thread_ends_the_waiting)
{
	pthread_t thread;
	for (int round = 0; round < 20; round++) {
		woken_count = 0;
		io_on_wake(platform_io(), note_wake, NULL);
		ck_assert_int_eq(pthread_create(&thread, NULL, wake_often, platform_io()), 0);
		platform_run(is_woken, NULL);
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(waiting_makes_few_turns)
{
	/* Idle is a call that does not return, so the count of turns is its measure. */
	uint64_t polls = io_figures(platform_io()).polls;
	uint64_t end_ns = clock_monotonic_ns() + 200 * NS_PER_MS;
	while (clock_monotonic_ns() < end_ns) {
		io_poll(platform_io(), 50 * NS_PER_MS);
		io_run(platform_io());
	}
	ck_assert_uint_le(io_figures(platform_io()).polls - polls, 6);
}
END_TEST

Suite *ring_suite(void)
{
	Suite *suite = suite_create("ring");
	TCase *reasons = tcase_create("reasons");
	tcase_add_test(reasons, a_seccomp_filter_is_named);
	tcase_add_test(reasons, a_hidden_ring_is_named);
	tcase_add_test(reasons, every_reason_has_its_words);
	tcase_add_test(reasons, a_limit_on_descriptors_is_reported);
	tcase_add_test(reasons, every_failing_allocation_of_a_new_ring_is_reported);
	suite_add_tcase(suite, reasons);
	TCase *files = tcase_create("ring files");
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_loop_test(
	    files, the_rest_of_a_short_write_is_written_and_synced, 0, WRITE_METHODS);
	tcase_add_loop_test(files, a_write_that_fails_is_told_once, 0, WRITE_METHODS);
	tcase_add_loop_test(files, a_full_device_is_told, 0, WRITE_METHODS);
	tcase_add_loop_test(files, a_write_to_a_file_open_for_reading_fails, 0, WRITE_METHODS);
	tcase_add_test(files, more_operations_than_the_queue_has_entries_all_complete);
	tcase_add_test(files, a_ring_is_ready_while_there_is_something_to_take);
	tcase_add_test(files, what_is_submitted_in_a_turn_goes_on_without_a_poll);
	suite_add_tcase(suite, files);
	TCase *threads = tcase_create("threads");
	tcase_add_checked_fixture(threads, platform_setup, platform_done);
	tcase_add_test(threads, long_jobs_leave_a_thread_for_short_ones);
	tcase_add_test(threads, short_jobs_overlap);
	tcase_add_test(threads, another_thread_ends_the_waiting);
	tcase_add_test(threads, waiting_makes_few_turns);
	suite_add_tcase(suite, threads);
	return suite;
}
