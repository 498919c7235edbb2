/* The simulated world as its processes meet it through io.h: its clock, its slowness, its faults,
 * and what exactly a sync covers. */
#include "tests/unit/io/machine.h"
#include "tests/unit/io/suites.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/io.h"
#include "base/mem.h"

static uint8_t block[FS_ALIGNMENT] __attribute__((aligned(FS_ALIGNMENT)));

/* A process with one file and one operation. */
struct process {
	struct machine machine;
	struct io *io;
	struct fs_file *file;
	struct io_op op;
	unsigned done;
	bool panics; /* as an owner must where a durable write fails */
};

static struct process process;

static void turn(void *arg)
{
	io_run(((struct process *)arg)->io);
}

static void note_done(struct io_op *op)
{
	process.done++;
	if (op->result < 0 && process.panics)
		PANIC("a write failed: %s", error_name((int)op->result));
}

static bool is_done(void *arg)
{
	return ((struct process *)arg)->done > 0;
}

static void open_in_process(void *arg)
{
	(void)arg;
	process.file = machine_open(&process.machine, "a", FS_READ | FS_WRITE);
}

/* With a durable file "a" of 'x'. */
static void begin(uint64_t seed, const struct sim_faults *faults)
{
	process = (struct process){.machine = machine_new(seed, faults), .op.done = note_done};
	machine_make_durable(&process.machine, "a", 'x');
	process.io = sim_node_boot(process.machine.node);
	sim_node_set_turn(process.machine.node, turn, &process);
	ck_assert(sim_node_run(process.machine.node, open_in_process, NULL));
}

static void write_block(char letter)
{
	memset(block, letter, sizeof(block));
	io_write_durable(process.io, &process.op, process.file, block, sizeof(block), 0);
}

static void run_until_done(void)
{
	ck_assert(sim_run_until(process.machine.sim, is_done, &process, 10000));
}

static void end(void)
{
	sim_free(process.machine.sim);
}

START_TEST(a_sync_covers_what_had_completed_when_it_was_issued)
{
	unsigned lost = 0;
	for (uint64_t seed = 0; seed < 200; seed++) {
		begin(seed, NULL);
		struct sim_node *node = process.machine.node;
		uint64_t before = sim_crash_points(node);
		write_block('y');
		/* Its write has completed, and with that its sync was issued. */
		while (sim_crash_points(node) < before + 1)
			ck_assert(sim_step(process.machine.sim));
		ck_assert_uint_eq(process.done, 0);
		struct fs_file *file = machine_open(&process.machine, "a", FS_WRITE);
		write_letter(file, FS_ALIGNMENT - SECTOR, SECTOR, 'z');
		fs_close(file);
		run_until_done();
		ck_assert_int_eq(process.op.result, 0);
		machine_power_cut(&process.machine);
		const char *found = machine_sectors(&process.machine, "a");
		ck_assert_int_eq(strncmp(found, "yyyyyyy", 7), 0);
		ck_assert(found[7] == 'y' || found[7] == 'z');
		lost += found[7] == 'y';
		end();
	}
	ck_assert_uint_gt(lost, 40);
	ck_assert_uint_lt(lost, 200);
}
END_TEST

START_TEST(a_failing_sync_of_a_durable_write_is_told)
{
	begin(1, NULL);
	sim_disk_fault(process.machine.node, SIM_SYNC_ERROR, "a", 0, 1, 1);
	write_block('y');
	run_until_done();
	ck_assert_int_eq(process.op.result, ERR_IO);
	ck_assert_uint_eq(sim_figures(process.machine.sim).sync_errors, 1);
	end();
}
END_TEST

START_TEST(an_owner_that_panics_ends_its_process_only)
{
	begin(1, NULL);
	process.panics = true;
	sim_disk_fault(process.machine.node, SIM_WRITE_ERROR, "a", 0, 1, 1);
	write_block('y');
	run_until_done();
	ck_assert(!sim_node_is_running(process.machine.node));
	ck_assert_ptr_nonnull(
	    strstr(sim_node_state(process.machine.node), "a write failed: ERR_IO"));
	end();
}
END_TEST

START_TEST(a_failing_read_and_a_full_disk_are_told)
{
	begin(1, NULL);
	sim_disk_fault(process.machine.node, SIM_READ_ERROR, "a", 0, 1, 1);
	io_read(process.io, &process.op, process.file, block, sizeof(block), 0);
	run_until_done();
	ck_assert_int_eq(process.op.result, ERR_IO);
	process.done = 0;
	sim_disk_set_capacity(process.machine.node, FILE_BYTES);
	io_write_durable(process.io, &process.op, process.file, block, sizeof(block), FILE_BYTES);
	run_until_done();
	ck_assert_int_eq(process.op.result, ERR_NO_SPACE);
	end();
}
END_TEST

/* How long one durable write takes. */
static uint64_t write_ns(uint32_t factor)
{
	begin(3, NULL);
	sim_disk_set_slowness(process.machine.node, factor);
	uint64_t before_ns = sim_now_ns(process.machine.sim);
	write_block('y');
	run_until_done();
	uint64_t taken_ns = sim_now_ns(process.machine.sim) - before_ns;
	end();
	return taken_ns;
}

START_TEST(a_slow_disk_takes_longer_in_virtual_time)
{
	ck_assert_uint_ge(write_ns(1), 50 * 1000);
	ck_assert_uint_gt(write_ns(100), 50 * write_ns(1));
}
END_TEST

/* ---- Jobs ---- */

static void make_three(struct io_op *op)
{
	static const char *const names[] = {"one", "two", "three"};
	for (size_t i = 0; i < 3; i++) {
		struct fs_file *file;
		int error = fs_open(process.machine.fs, names[i], FS_WRITE | FS_CREATE, &file);
		if (error < 0) {
			op->result = error;
			return;
		}
		fs_close(file);
	}
	op->result = 3;
}

START_TEST(a_process_may_end_inside_a_job)
{
	unsigned left[4] = {0};
	for (uint64_t seed = 0; seed < 100; seed++) {
		begin(seed, NULL);
		sim_crash_at(process.machine.node, 1 + seed % 3, SIM_KILL);
		io_offload(process.io, &process.op, make_three);
		ck_assert(sim_run_until(process.machine.sim, NULL, NULL, 1000));
		ck_assert(!sim_node_is_running(process.machine.node));
		ck_assert_uint_eq(process.done, 0);
		bool one = machine_exists(&process.machine, "one");
		bool two = machine_exists(&process.machine, "two");
		bool three = machine_exists(&process.machine, "three");
		ck_assert(one || !two);
		ck_assert(two || !three);
		left[one + two + three]++;
		end();
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_gt(left[i], 0);
}
END_TEST

START_TEST(a_job_takes_the_time_that_its_calls_block)
{
	begin(1, NULL);
	sim_disk_set_slowness(process.machine.node, 1000);
	uint64_t before_ns = sim_now_ns(process.machine.sim);
	io_offload(process.io, &process.op, make_three);
	run_until_done();
	ck_assert_int_eq(process.op.result, 3);
	/* Three files made, each at least the least time of a write. */
	ck_assert_uint_ge(
	    sim_now_ns(process.machine.sim) - before_ns, UINT64_C(3) * 10 * 1000 * 1000);
	end();
}
END_TEST

/* ---- Time ---- */

struct calls {
	struct sim *sim;
	uint64_t at_ns[3];
	unsigned count;
};

static void note_call(void *arg)
{
	struct calls *calls = arg;
	calls->at_ns[calls->count++] = sim_now_ns(calls->sim);
}

START_TEST(calls_happen_at_their_time_in_order)
{
	struct sim *sim = sim_new(1, NULL);
	struct calls calls = {.sim = sim};
	uint64_t now_ns = sim_now_ns(sim);
	sim_call_at(sim, now_ns + 2000, note_call, &calls);
	sim_call_at(sim, now_ns + 1000, note_call, &calls);
	sim_call_at(sim, 0, note_call, &calls);
	ck_assert(sim_run_until(sim, NULL, NULL, 10));
	ck_assert_uint_eq(calls.count, 3);
	ck_assert_uint_eq(calls.at_ns[0], now_ns);
	ck_assert_uint_eq(calls.at_ns[1], now_ns + 1000);
	ck_assert_uint_eq(calls.at_ns[2], now_ns + 2000);
	ck_assert(!sim_step(sim));
	sim_free(sim);
}
END_TEST

static void read_clocks(void *arg)
{
	int64_t *real_ms = arg;
	ck_assert_uint_eq(clock_monotonic_ns(), sim_now_ns(process.machine.sim));
	*real_ms = clock_real_ms();
}

START_TEST(a_shifted_clock_shows_inside_the_process_only)
{
	int64_t before_ms = 0;
	int64_t after_ms = 0;
	begin(1, NULL);
	ck_assert(sim_node_run(process.machine.node, read_clocks, &before_ms));
	sim_node_shift_clock(process.machine.node, -5000);
	ck_assert(sim_node_run(process.machine.node, read_clocks, &after_ms));
	ck_assert_int_eq(after_ms, before_ms - 5000);
	ck_assert_int_eq(clock_real_ms(), before_ms);
	end();
}
END_TEST

struct fast {
	struct io *io;
	struct io_timer timer;
	uint64_t begun_ns, rung_ns;
};

static void fast_turn(void *arg)
{
	io_run(((struct fast *)arg)->io);
}

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct fast, timer)->rung_ns = clock_monotonic_ns();
}

static bool has_rung(void *arg)
{
	return ((struct fast *)arg)->rung_ns > 0;
}

static void set_timer(void *arg)
{
	struct fast *fast = arg;
	fast->begun_ns = clock_monotonic_ns();
	fast->timer.fired = rang;
	io_timer_set(fast->io, &fast->timer, fast->begun_ns + 1100 * NS_PER_MS);
	io_wake(fast->io, NULL);
}

START_TEST(timers_follow_a_clock_that_is_fast)
{
	struct sim *sim = sim_new(1, NULL);
	struct sim_node *node = sim_node_new(sim);
	uint64_t now_ns = sim_now_ns(sim);
	sim_node_set_clock_speed(node, 100 * 1000);
	struct fast fast = {.io = sim_node_boot(node)};
	sim_node_set_turn(node, fast_turn, &fast);
	ck_assert(sim_node_run(node, set_timer, &fast));
	ck_assert_uint_eq(fast.begun_ns, now_ns / 10 * 11);
	ck_assert(sim_run_until(sim, has_rung, &fast, 1000));
	ck_assert_uint_ge(fast.rung_ns, fast.begun_ns + 1100 * NS_PER_MS);
	/* A timer is late by a millisecond at most, and a turn by microseconds. */
	ck_assert_uint_ge(sim_now_ns(sim), now_ns + NS_PER_S);
	ck_assert_uint_lt(sim_now_ns(sim), now_ns + NS_PER_S + 2 * NS_PER_MS);
	sim_free(sim);
}
END_TEST

static void look_three_times(void *arg)
{
	uint64_t *looks = arg;
	for (int i = 0; i < 3; i++)
		looks[i] = clock_monotonic_ns();
}

START_TEST(a_look_at_the_clock_takes_the_process_its_time)
{
	uint64_t looks[3];
	begin(1, NULL);
	sim_node_set_clock_cost(process.machine.node, 700);
	ck_assert(sim_node_run(process.machine.node, look_three_times, looks));
	ck_assert_uint_eq(looks[1], looks[0] + 700);
	ck_assert_uint_eq(looks[2], looks[1] + 700);
	ck_assert_uint_eq(clock_monotonic_ns(), looks[2]);
	ck_assert_uint_eq(sim_now_ns(process.machine.sim), looks[2]);
	sim_node_set_clock_cost(process.machine.node, 0);
	ck_assert(sim_node_run(process.machine.node, look_three_times, looks));
	ck_assert_uint_eq(looks[0], looks[2]);
	end();
}
END_TEST

enum { PIECES = 40 };

struct addresses {
	void *stack, *pieces[PIECES];
};

/* Of sizes and alignments that vary, half of them given back and taken again. */
static void take_pieces(void *arg)
{
	struct addresses *found = arg;
	found->stack = __builtin_frame_address(0);
	for (size_t i = 0; i < PIECES; i++) {
		size_t alignment = (size_t)16 << i % 8, bytes = (i * i + 1) * alignment;
		found->pieces[i] = i % 3 == 0 ? mem_alloc_aligned(alignment, bytes)
		                              : mem_realloc(NULL, i * i * 100 + 1);
		ck_assert_ptr_nonnull(found->pieces[i]);
		ck_assert_uint_eq((uintptr_t)found->pieces[i] % (i % 3 == 0 ? alignment : 16), 0);
		memset(found->pieces[i], (int)i, i * i);
		if (i % 4 == 3) {
			mem_free(found->pieces[i - 2]);
			found->pieces[i - 2] = mem_alloc((i - 2) * (i - 2) + 1);
			memset(found->pieces[i - 2], (int)i - 2, (i - 2) * (i - 2));
		}
	}
	for (size_t i = 0; i < PIECES; i++)
		for (size_t k = 0; k < i * i; k++)
			ck_assert_uint_eq(((uint8_t *)found->pieces[i])[k], i);
}

/* In a process of its own, which has already used its own stack and memory in some way. */
static struct addresses addresses_behind(size_t bytes)
{
	struct addresses found;
	int fds[2];
	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		volatile char *stack = __builtin_alloca(bytes);
		void *volatile heap = malloc(bytes);
		stack[0] = (char)(heap != NULL);
		sim_at_fixed_addresses(take_pieces, &found);
		_exit(write(fds[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &found, sizeof(found)), (ssize_t)sizeof(found));
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return found;
}

START_TEST(addresses_are_the_same_in_each_process)
{
	struct addresses first = addresses_behind(16);
	struct addresses second = addresses_behind(5000);
	ck_assert_mem_eq(&first, &second, sizeof(first));
}
END_TEST

Suite *world_suite(void)
{
	Suite *suite = suite_create("world");
	TCase *tcase = tcase_create("world");
	tcase_add_test(tcase, a_sync_covers_what_had_completed_when_it_was_issued);
	tcase_add_test(tcase, a_failing_sync_of_a_durable_write_is_told);
	tcase_add_test(tcase, an_owner_that_panics_ends_its_process_only);
	tcase_add_test(tcase, a_failing_read_and_a_full_disk_are_told);
	tcase_add_test(tcase, a_slow_disk_takes_longer_in_virtual_time);
	tcase_add_test(tcase, a_process_may_end_inside_a_job);
	tcase_add_test(tcase, a_job_takes_the_time_that_its_calls_block);
	tcase_add_test(tcase, calls_happen_at_their_time_in_order);
	tcase_add_test(tcase, a_shifted_clock_shows_inside_the_process_only);
	tcase_add_test(tcase, timers_follow_a_clock_that_is_fast);
	tcase_add_test(tcase, a_look_at_the_clock_takes_the_process_its_time);
	tcase_add_test(tcase, addresses_are_the_same_in_each_process);
	suite_add_tcase(suite, tcase);
	return suite;
}
