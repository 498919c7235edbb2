/* Simulated processes: how they end, what is left of them, and that everything follows from the
 * seed. */
#include "tests/unit/io/suites.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"

enum { BLOCK = FS_ALIGNMENT };

static uint8_t block[4 * BLOCK] __attribute__((aligned(FS_ALIGNMENT)));

static void take_and_lock(void *arg)
{
	struct sim_node *node = arg;
	struct fs_lock *lock;
	struct fs_file *file;
	ck_assert_ptr_nonnull(mem_alloc(1000));
	ck_assert_ptr_nonnull(mem_alloc_aligned(4096, 8192));
	ck_assert_int_eq(fs_lock(sim_node_fs(node), "LOCK", &lock), 0);
	ck_assert_int_eq(
	    fs_open(sim_node_fs(node), "a", FS_WRITE | FS_CREATE | FS_LOCKED, &file), 0);
}

static int lock_of(struct sim_node *node)
{
	struct fs_lock *lock = NULL;
	int error = fs_lock(sim_node_fs(node), "LOCK", &lock);
	fs_unlock(lock);
	return error;
}

static int lock_in_open(struct sim_node *node)
{
	struct fs_file *file = NULL;
	int error = fs_open(sim_node_fs(node), "a", FS_WRITE | FS_LOCKED, &file);
	fs_close(file);
	return error;
}

START_TEST(the_end_of_a_process_frees_what_it_held)
{
	struct sim *sim = sim_new(1, NULL);
	struct sim_node *node = sim_node_new(sim);
	ck_assert_str_eq(sim_node_state(node), "never booted");
	for (int round = 0; round < 3; round++) {
		struct io *io = sim_node_boot(node);
		ck_assert_ptr_nonnull(io);
		ck_assert(sim_node_run(node, take_and_lock, node));
		ck_assert(sim_node_is_running(node));
		ck_assert_str_eq(sim_node_state(node), "running");
		ck_assert_int_eq(lock_of(node), ERR_BUSY);
		ck_assert_int_eq(lock_in_open(node), ERR_BUSY);
		if (round == 0) {
			io_free(io);
			/* Two pieces of memory, a lock, a file. */
			ck_assert_uint_eq(sim_node_stop(node), 4);
			ck_assert_str_eq(sim_node_state(node), "stopped");
		} else if (round == 1) {
			sim_node_crash(node, SIM_KILL);
			ck_assert_str_eq(sim_node_state(node), "killed");
		} else {
			sim_node_crash(node, SIM_POWER_CUT);
			ck_assert_str_eq(sim_node_state(node), "power cut");
			break;
		}
		ck_assert(!sim_node_is_running(node));
		ck_assert_int_eq(lock_of(node), 0);
		ck_assert_int_eq(lock_in_open(node), 0);
	}
	sim_free(sim);
}
END_TEST

struct counted {
	struct sim_node *node;
	unsigned before;
	unsigned after;
	unsigned ended;
};

static void panics(void *arg)
{
	struct counted *counted = arg;
	counted->before++;
	PANIC("sync of %s failed", "segment 7");
	counted->after++;
}

static void count_end(void *arg)
{
	struct counted *counted = arg;
	ck_assert(!sim_node_is_running(counted->node));
	counted->ended++;
}

START_TEST(a_panic_ends_the_process_and_not_the_program)
{
	struct sim *sim = sim_new(1, NULL);
	struct sim_node *node = sim_node_new(sim);
	struct counted counted = {.node = node};
	sim_node_set_ended(node, count_end, &counted);
	sim_node_boot(node);
	ck_assert(!sim_node_run(node, panics, &counted));
	ck_assert_uint_eq(counted.before, 1);
	ck_assert_uint_eq(counted.after, 0);
	ck_assert_uint_eq(counted.ended, 1);
	ck_assert(strncmp(sim_node_state(node), "panic: ", 7) == 0);
	ck_assert_ptr_nonnull(strstr(sim_node_state(node), "sync of segment 7 failed"));
	ck_assert_uint_eq(sim_figures(sim).ended_by_panic, 1);
	sim_node_boot(node);
	sim_free(sim);
}
END_TEST

/* ---- Crash points ---- */

struct save {
	struct fs *fs;
	int error;
	const char *text;
};

static void replace(void *arg)
{
	struct save *save = arg;
	save->error = fs_replace_file(save->fs, "d/id", save->text, strlen(save->text));
}

static uint64_t points_of_replace(void)
{
	struct sim *sim = sim_new(1, NULL);
	struct sim_node *node = sim_node_new(sim);
	struct save save = {.fs = sim_node_fs(node), .text = "one"};
	sim_node_boot(node);
	ck_assert_int_eq(fs_make_dir(save.fs, "d"), 0);
	ck_assert_uint_eq(sim_crash_points(node), 0);
	ck_assert(sim_node_run(node, replace, &save));
	ck_assert_int_eq(save.error, 0);
	uint64_t points = sim_crash_points(node);
	sim_free(sim);
	return points;
}

static void check_is_one_or_two(struct fs *fs)
{
	char text[8] = "";
	size_t bytes = 0;
	ck_assert_int_eq(fs_read_file(fs, "d/id", text, sizeof(text), &bytes), 0);
	ck_assert_uint_eq(bytes, 3);
	ck_assert(memcmp(text, "one", 3) == 0 || memcmp(text, "two", 3) == 0);
}

START_TEST(a_replaced_file_survives_a_crash_at_every_point)
{
	/* Open, truncate, write, sync, rename, directory sync. */
	uint64_t points = points_of_replace();
	ck_assert_uint_eq(points, 6);
	struct sim_figures sum = {0};
	for (uint64_t seed = 0; seed < 200; seed++) {
		for (uint64_t nth = 1; nth <= points; nth++) {
			struct sim *sim = sim_new(seed, NULL);
			struct sim_node *node = sim_node_new(sim);
			struct save save = {.fs = sim_node_fs(node), .text = "one", .error = 1};
			ck_assert_int_eq(fs_make_dir(save.fs, "d"), 0);
			ck_assert_int_eq(fs_sync_dir(save.fs, "."), 0);
			replace(&save);
			ck_assert_int_eq(save.error, 0);
			save = (struct save){.fs = save.fs, .text = "two", .error = 1};
			sim_node_boot(node);
			sim_crash_at(node, nth, seed % 2 ? SIM_KILL : SIM_POWER_CUT);
			ck_assert(!sim_node_run(node, replace, &save));
			ck_assert_int_eq(save.error, 1);
			check_is_one_or_two(save.fs);
			sim_node_crash(node, SIM_POWER_CUT);
			check_is_one_or_two(save.fs);
			struct sim_figures figures = sim_figures(sim);
			sum.ended_before_effect += figures.ended_before_effect;
			sum.ended_in_effect += figures.ended_in_effect;
			sum.ended_after_effect += figures.ended_after_effect;
			sim_free(sim);
		}
	}
	ck_assert_uint_gt(sum.ended_before_effect, 200);
	ck_assert_uint_gt(sum.ended_in_effect, 200);
	ck_assert_uint_gt(sum.ended_after_effect, 200);
}
END_TEST

START_TEST(a_beaten_path_is_found_unsafe_without_its_sync)
{
	/* The same without the sync of the data: some seed must show the loss. */
	unsigned damaged = 0;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct sim *sim = sim_new(seed, NULL);
		struct sim_node *node = sim_node_new(sim);
		struct fs *fs = sim_node_fs(node);
		struct fs_file *file = NULL;
		ck_assert_int_eq(fs_open(fs, "id.tmp", FS_WRITE | FS_CREATE, &file), 0);
		ck_assert_int_eq(fs_write(file, 0, "two", 3), 0);
		fs_close(file);
		ck_assert_int_eq(fs_rename(fs, "id.tmp", "id"), 0);
		ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
		sim_node_crash(node, SIM_POWER_CUT);
		char text[8] = "";
		size_t bytes = 0;
		ck_assert_int_eq(fs_read_file(fs, "id", text, sizeof(text), &bytes), 0);
		damaged += bytes != 3 || memcmp(text, "two", 3) != 0;
		sim_free(sim);
	}
	ck_assert_uint_gt(damaged, 20);
}
END_TEST

/* ---- A process with operations under way ---- */

enum { WRITERS = 4 };

struct process {
	struct sim_node *node;
	struct io *io;
	struct fs_file *file;
	unsigned open_flags;
	struct io_op ops[WRITERS];
	uint64_t writes_left;
};

/* Outside of every process: what was acknowledged. */
static uint64_t acknowledged;

static void written(struct io_op *op);

static void write_next(struct process *process, struct io_op *op)
{
	uint64_t number = process->writes_left;
	if (number == 0)
		return;
	process->writes_left--;
	op->done = written;
	io_write_durable(
	    process->io, op, process->file, block, BLOCK, (uint64_t)(op - process->ops) * BLOCK);
}

static struct process *current;

static void written(struct io_op *op)
{
	ck_assert_int_eq(op->result, 0);
	acknowledged++;
	write_next(current, op);
}

static void turn(void *arg)
{
	struct process *process = arg;
	io_run(process->io);
}

static void begin(void *arg)
{
	struct process *process = arg;
	unsigned flags = FS_READ | FS_WRITE | FS_CREATE | FS_DIRECT | process->open_flags;
	ck_assert_int_eq(fs_open(sim_node_fs(process->node), "log", flags, &process->file), 0);
	for (size_t i = 0; i < WRITERS; i++)
		write_next(process, &process->ops[i]);
}

static void boot(struct process *process, struct sim_node *node, uint64_t writes)
{
	*process = (struct process){.node = node, .writes_left = writes};
	current = process;
	process->io = sim_node_boot(node);
	sim_node_set_turn(node, turn, process);
	sim_node_run(node, begin, process);
}

START_TEST(the_same_seed_gives_the_same_trace)
{
	struct sim_faults faults = {.crash_ppm = 20000,
	    .power_cut_percent = 50,
	    .write_lost_ppm = 10000,
	    .slow_ppm = 1000,
	    .rot_ppm = 1000};
	uint64_t hashes[3];
	uint64_t counts[3];
	for (size_t run = 0; run < 3; run++) {
		static struct process process;
		struct sim *sim = sim_new(run == 2 ? 8 : 7, &faults);
		struct sim_node *node = sim_node_new(sim);
		/* Addresses differ between the runs, nothing else may. */
		void *noise = mem_alloc(100 + run * 5000);
		acknowledged = 0;
		for (int life = 0; life < 20; life++) {
			boot(&process, node, 200);
			ck_assert(sim_run_until(sim, NULL, NULL, 100000));
			if (sim_node_is_running(node))
				sim_node_crash(node, SIM_KILL);
		}
		hashes[run] = sim_trace_hash(sim);
		counts[run] = acknowledged;
		mem_free(noise);
		sim_free(sim);
	}
	ck_assert_uint_gt(counts[0], 200);
	ck_assert_uint_eq(hashes[0], hashes[1]);
	ck_assert_uint_eq(counts[0], counts[1]);
	ck_assert_uint_ne(hashes[0], hashes[2]);
}
END_TEST

START_TEST(every_way_to_end_happens_and_is_counted)
{
	struct sim_figures sum = {0};
	for (uint64_t seed = 0; seed < 100; seed++) {
		static struct process process;
		struct sim_faults faults = {.crash_ppm = 30000, .power_cut_percent = 40};
		struct sim *sim = sim_new(seed, &faults);
		struct sim_node *node = sim_node_new(sim);
		for (int life = 0; life < 10; life++) {
			boot(&process, node, 1000);
			/* It cannot go on for ever: some point of it is the last. */
			ck_assert(sim_run_until(sim, NULL, NULL, 1000000));
			ck_assert(!sim_node_is_running(node));
		}
		struct sim_figures figures = sim_figures(sim);
#define X(name) sum.name += figures.name;
		SIM_FIGURE_LIST(X)
#undef X
		sim_free(sim);
	}
	ck_assert_uint_eq(sum.ended_by_kill + sum.ended_by_power_cut, 1000);
	ck_assert_uint_gt(sum.ended_by_kill, 400);
	ck_assert_uint_gt(sum.ended_by_power_cut, 200);
	ck_assert_uint_gt(sum.ended_before_effect, 200);
	ck_assert_uint_gt(sum.ended_in_effect, 200);
	ck_assert_uint_gt(sum.ended_after_effect, 200);
	ck_assert_uint_gt(sum.writes_under_way_at_end, 200);
	ck_assert_uint_gt(sum.writes_after_end, 50);
}
END_TEST

START_TEST(acknowledged_writes_survive_and_others_may_not)
{
	uint64_t lost = 0;
	uint64_t kept = 0;
	uint64_t torn = 0;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		static struct process process;
		struct sim *sim = sim_new(seed, NULL);
		struct sim_node *node = sim_node_new(sim);
		struct fs_file *file = NULL;
		ck_assert_int_eq(
		    fs_open(sim_node_fs(node), "log", FS_READ | FS_WRITE | FS_CREATE, &file), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node), "."), 0);
		memset(block, 'x', BLOCK);
		acknowledged = 0;
		boot(&process, node, WRITERS);
		sim_crash_at(node, 1 + seed % (2 * WRITERS), SIM_POWER_CUT);
		ck_assert(sim_run_until(sim, NULL, NULL, 1000));
		ck_assert(!sim_node_is_running(node));
		uint64_t whole = 0;
		uint64_t touched = 0;
		for (uint64_t i = 0; i < WRITERS; i++) {
			uint8_t found[BLOCK] = {0};
			size_t bytes = 0;
			ck_assert_int_eq(fs_read(file, i * BLOCK, found, BLOCK, &bytes), 0);
			size_t letters = 0;
			for (size_t j = 0; j < BLOCK; j++)
				letters += found[j] == 'x';
			whole += letters == BLOCK;
			touched += letters > 0;
		}
		ck_assert_uint_ge(whole, acknowledged);
		kept += whole - acknowledged;
		torn += touched - whole;
		lost += WRITERS - touched;
		fs_close(file);
		sim_free(sim);
	}
	ck_assert_uint_gt(kept, 100);
	ck_assert_uint_gt(torn, 100);
	ck_assert_uint_gt(lost, 100);
}
END_TEST

/* One life writes 'x' and is killed with writes under way, the next writes 'y' in the same places
 * and is done. Returns how many places then lose their 'y'. */
static unsigned overwritten_by_the_dead(uint64_t seed, unsigned open_flags)
{
	static struct process process;
	struct sim *sim = sim_new(seed, NULL);
	struct sim_node *node = sim_node_new(sim);
	unsigned wrong = 0;
	for (int life = 0; life < 2; life++) {
		memset(block, life == 0 ? 'x' : 'y', BLOCK);
		process = (struct process){
		    .node = node, .writes_left = WRITERS, .open_flags = open_flags};
		current = &process;
		process.io = sim_node_boot(node);
		sim_node_set_turn(node, turn, &process);
		ck_assert(sim_node_run(node, begin, &process));
		if (life == 0)
			sim_node_crash(node, SIM_KILL);
	}
	ck_assert(sim_run_until(sim, NULL, NULL, 1000));
	sim_node_crash(node, SIM_KILL);
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(sim_node_fs(node), "log", FS_READ, &file), 0);
	for (uint64_t i = 0; i < WRITERS; i++) {
		uint8_t found = 0;
		size_t bytes = 0;
		ck_assert_int_eq(fs_read(file, i * BLOCK, &found, 1, &bytes), 0);
		wrong += found != 'y';
	}
	fs_close(file);
	sim_free(sim);
	return wrong;
}

START_TEST(writes_of_a_killed_process_end_before_its_lock_does)
{
	unsigned without = 0;
	for (uint64_t seed = 0; seed < 200; seed++) {
		ck_assert_uint_eq(overwritten_by_the_dead(seed, FS_LOCKED), 0);
		without += overwritten_by_the_dead(seed, 0);
	}
	ck_assert_uint_gt(without, 50);
}
END_TEST

struct last_work {
	struct sim_node *node;
	struct io *io;
	struct fs_file *file;
	struct io_op write;
	struct io_op job;
	struct io_timer timer;
	unsigned done;
	unsigned turns;
	unsigned steps;
};

static void last_write_done(struct io_op *op)
{
	ck_assert_int_eq(op->result, 0);
	CONTAINER_OF(op, struct last_work, write)->done++;
}

static void last_job(struct io_op *op)
{
	op->result = 7;
}

static void last_job_done(struct io_op *op)
{
	ck_assert_int_eq(op->result, 7);
	CONTAINER_OF(op, struct last_work, job)->done++;
}

static void last_timer_fired(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct last_work, timer)->done++;
}

static void count_turn(void *arg)
{
	struct last_work *work = arg;
	work->turns++;
	io_run(work->io);
}

static void begin_last_work(void *arg)
{
	struct last_work *work = arg;
	ck_assert_int_eq(
	    fs_open(sim_node_fs(work->node), "a", FS_WRITE | FS_CREATE, &work->file), 0);
	ck_assert_int_eq(fs_allocate(work->file, 0, BLOCK), 0);
	work->write.done = last_write_done;
	work->job.done = last_job_done;
	work->timer.fired = last_timer_fired;
	io_write_durable(work->io, &work->write, work->file, block, BLOCK, 0);
	io_offload(work->io, &work->job, last_job);
	io_timer_set(work->io, &work->timer, io_now_ns(work->io) + 20000000);
}

static void end_last_work(void *arg)
{
	struct last_work *work = arg;
	while (work->done < 3 && work->steps++ < 1000) {
		io_poll(work->io, UINT64_MAX);
		io_run(work->io);
	}
	fs_close(work->file);
	io_free(work->io);
}

START_TEST(a_process_can_wait_for_its_last_operations)
{
	struct sim *sim = sim_new(1, NULL);
	struct last_work work = {.node = sim_node_new(sim)};
	work.io = sim_node_boot(work.node);
	sim_node_set_turn(work.node, count_turn, &work);
	ck_assert(sim_node_run(work.node, begin_last_work, &work));
	ck_assert(sim_node_run(work.node, end_last_work, &work));
	ck_assert_uint_eq(work.done, 3);
	ck_assert_uint_eq(work.turns, 0);
	ck_assert_uint_le(work.steps, 10);
	ck_assert_uint_ge(sim_now_ns(sim), 1020000000);
	ck_assert_uint_eq(sim_node_stop(work.node), 0);
	sim_free(sim);
}
END_TEST

/* What is under way when a process dies while it waits is cut off as ever. */
START_TEST(a_process_can_end_while_it_waits)
{
	for (uint64_t point = 1; point <= 2; point++) {
		struct sim *sim = sim_new(point, NULL);
		struct last_work work = {.node = sim_node_new(sim)};
		work.io = sim_node_boot(work.node);
		ck_assert(sim_node_run(work.node, begin_last_work, &work));
		sim_crash_at(work.node, point, SIM_POWER_CUT);
		ck_assert(!sim_node_run(work.node, end_last_work, &work));
		ck_assert(!sim_node_is_running(work.node));
		struct io *io = sim_node_boot(work.node);
		sim_crash_at(work.node, 0, SIM_KILL);
		ck_assert_ptr_nonnull(io);
		sim_free(sim);
	}
}
END_TEST

Suite *process_suite(void)
{
	Suite *suite = suite_create("process");
	TCase *tcase = tcase_create("process");
	tcase_add_test(tcase, the_end_of_a_process_frees_what_it_held);
	tcase_add_test(tcase, a_panic_ends_the_process_and_not_the_program);
	tcase_add_test(tcase, a_replaced_file_survives_a_crash_at_every_point);
	tcase_add_test(tcase, a_beaten_path_is_found_unsafe_without_its_sync);
	tcase_add_test(tcase, the_same_seed_gives_the_same_trace);
	tcase_add_test(tcase, every_way_to_end_happens_and_is_counted);
	tcase_add_test(tcase, acknowledged_writes_survive_and_others_may_not);
	tcase_add_test(tcase, writes_of_a_killed_process_end_before_its_lock_does);
	tcase_add_test(tcase, a_process_can_wait_for_its_last_operations);
	tcase_add_test(tcase, a_process_can_end_while_it_waits);
	suite_add_tcase(suite, tcase);
	return suite;
}
