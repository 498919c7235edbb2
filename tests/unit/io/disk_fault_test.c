/* The faults of a simulated disk. They strike processes only. */
#include "tests/unit/io/machine.h"
#include "tests/unit/io/suites.h"

#include <string.h>

#include "base/io/io.h"

START_TEST(a_full_disk_says_so_and_recovers)
{
	struct sim_faults faults = {.disk_bytes = 64 * 1024};
	struct machine machine = machine_new(1, &faults);
	uint64_t free_bytes = 0;
	uint64_t total_bytes = 0;
	ck_assert_int_eq(fs_space(machine.fs, &free_bytes, &total_bytes), 0);
	ck_assert_uint_eq(free_bytes, 64 * 1024);
	ck_assert_uint_eq(total_bytes, 64 * 1024);
	struct fs_file *file = machine_open(&machine, "a", FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_allocate(file, 0, 60 * 1024), 0);
	ck_assert_int_eq(fs_allocate(file, 0, 65 * 1024), ERR_NO_SPACE);
	struct fs_file *other = machine_open(&machine, "b", FS_WRITE | FS_CREATE);
	write_letter(other, 0, 4096, 'b');
	char data[4096] = "";
	ck_assert_int_eq(fs_write(other, 4096, data, 4096), ERR_NO_SPACE);
	/* What has its space already can be written. */
	ck_assert_int_eq(fs_write(file, 59 * 1024, data, 1024), 0);
	ck_assert_int_eq(fs_space(machine.fs, &free_bytes, &total_bytes), 0);
	ck_assert_uint_eq(free_bytes, 0);
	fs_close(file);
	ck_assert_int_eq(fs_unlink(machine.fs, "a"), 0);
	ck_assert_int_eq(fs_space(machine.fs, &free_bytes, &total_bytes), 0);
	ck_assert_uint_eq(free_bytes, 60 * 1024);
	ck_assert_int_eq(fs_write(other, 4096, data, 4096), 0);
	fs_close(other);
	ck_assert_uint_eq(sim_figures(machine.sim).no_space, 2);
	sim_disk_set_capacity(machine.node, 0);
	ck_assert_int_eq(fs_space(machine.fs, &free_bytes, &total_bytes), 0);
	ck_assert_uint_gt(free_bytes, 1 << 30);
	sim_free(machine.sim);
}
END_TEST

struct work {
	struct machine *machine;
	const char *path;
	unsigned flags;
	uint64_t offset;
	char letter;
	bool sync;
	int write_result;
	int sync_result;
	int read_result;
};

static void do_work(void *arg)
{
	struct work *work = arg;
	static char data[FILE_BYTES] __attribute__((aligned(FS_ALIGNMENT)));
	struct fs_file *file = machine_open(work->machine, work->path, work->flags);
	memset(data, work->letter, sizeof(data));
	work->write_result = fs_write(file, work->offset, data, sizeof(data));
	if (work->sync)
		work->sync_result = fs_sync(file);
	size_t bytes = 0;
	work->read_result = fs_read(file, work->offset, data, sizeof(data), &bytes);
	fs_close(file);
}

static void run_work(struct machine *machine, struct work *work)
{
	work->machine = machine;
	work->flags = FS_READ | FS_WRITE | (work->flags & FS_DIRECT);
	if (!sim_node_is_running(machine->node))
		sim_node_boot(machine->node);
	ck_assert(sim_node_run(machine->node, do_work, work));
}

START_TEST(a_lost_write_is_acknowledged_and_gone)
{
	struct machine machine = machine_new(1, NULL);
	machine_make_durable(&machine, "a", 'x');
	sim_disk_fault(machine.node, SIM_WRITE_LOST, "a", 100, 1, 1);
	struct work work = {.path = "a", .letter = 'y', .sync = true};
	run_work(&machine, &work);
	ck_assert_int_eq(work.write_result, 0);
	ck_assert_int_eq(work.sync_result, 0);
	/* A page cache hides it until the power is cut. */
	ck_assert_str_eq(machine_sectors(&machine, "a"), "yyyyyyyy");
	machine_power_cut(&machine);
	ck_assert_str_eq(machine_sectors(&machine, "a"), "xxxxxxxx");
	ck_assert_uint_eq(sim_figures(machine.sim).writes_lost, 1);
	run_work(&machine, &work);
	machine_power_cut(&machine);
	ck_assert_str_eq(machine_sectors(&machine, "a"), "yyyyyyyy");

	sim_disk_fault(machine.node, SIM_WRITE_LOST, NULL, 0, UINT64_MAX, 1);
	work = (struct work){.path = "a", .flags = FS_DIRECT, .letter = 'z', .sync = true};
	run_work(&machine, &work);
	ck_assert_str_eq(machine_sectors(&machine, "a"), "yyyyyyyy");
	sim_free(machine.sim);
}
END_TEST

START_TEST(a_misdirected_write_lands_elsewhere)
{
	unsigned same = 0;
	unsigned other = 0;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct machine machine = machine_new(seed, NULL);
		machine_make_durable(&machine, "a", 'a');
		machine_make_durable(&machine, "b", 'b');
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		write_letter(file, FILE_BYTES, FILE_BYTES, 'a');
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		sim_disk_fault(machine.node, SIM_WRITE_MISDIRECTED, "a", 0, 1, 1);
		struct work work = {.path = "a", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		ck_assert_int_eq(work.write_result, 0);
		ck_assert_uint_eq(sim_figures(machine.sim).writes_misdirected, 1);
		/* What it destroyed stays so. */
		machine_power_cut(&machine);
		if (strcmp(machine_sectors(&machine, "a"), "aaaaaaaayyyyyyyy") == 0) {
			ck_assert_str_eq(machine_sectors(&machine, "b"), "bbbbbbbb");
			same++;
		} else {
			ck_assert_str_eq(machine_sectors(&machine, "a"), "aaaaaaaaaaaaaaaa");
			ck_assert_str_eq(machine_sectors(&machine, "b"), "yyyyyyyy");
			other++;
		}
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(same, 10);
	ck_assert_uint_gt(other, 10);
}
END_TEST

START_TEST(a_failed_write_leaves_its_range_undefined)
{
	unsigned changed = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct machine machine = machine_new(seed, NULL);
		machine_make_durable(&machine, "a", 'x');
		sim_disk_fault(machine.node, SIM_WRITE_ERROR, "a", 0, FILE_BYTES, 1);
		struct work work = {.path = "a", .letter = 'y'};
		run_work(&machine, &work);
		ck_assert_int_eq(work.write_result, ERR_IO);
		for (const char *letter = machine_sectors(&machine, "a"); *letter != '\0';
		     letter++) {
			ck_assert(*letter == 'x' || *letter == 'y');
			changed += *letter == 'y';
		}
		run_work(&machine, &work);
		ck_assert_int_eq(work.write_result, 0);
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(changed, 20);
	ck_assert_uint_lt(changed, 140);
}
END_TEST

START_TEST(a_sync_that_failed_lies_when_it_is_tried_again)
{
	unsigned lost = 0;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct machine machine = machine_new(seed, NULL);
		machine_make_durable(&machine, "a", 'x');
		sim_disk_fault(machine.node, SIM_SYNC_ERROR, "a", 0, UINT64_MAX, 1);
		struct work work = {.path = "a", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		ck_assert_int_eq(work.sync_result, ERR_IO);
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		/* The cache still shows what was never stored. */
		ck_assert_str_eq(machine_sectors(&machine, "a"), "yyyyyyyy");
		machine_power_cut(&machine);
		const char *found = machine_sectors(&machine, "a");
		ck_assert(strcmp(found, "yyyyyyyy") == 0 || strcmp(found, "xxxxxxxx") == 0);
		lost += found[0] == 'x';
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(lost, 20);
	ck_assert_uint_lt(lost, 80);
}
END_TEST

START_TEST(a_read_error_strikes_the_chosen_range_only)
{
	struct machine machine = machine_new(1, NULL);
	machine_make_durable(&machine, "a", 'x');
	machine_make_durable(&machine, "b", 'x');
	sim_disk_fault(machine.node, SIM_READ_ERROR, "a", FILE_BYTES, 1, 1);
	struct work first = {.path = "a", .letter = 'y'};
	run_work(&machine, &first);
	ck_assert_int_eq(first.read_result, 0);
	struct work beside = {.path = "b", .offset = FILE_BYTES, .letter = 'y'};
	run_work(&machine, &beside);
	ck_assert_int_eq(beside.read_result, 0);
	struct work hit = {.path = "a", .offset = FILE_BYTES, .letter = 'y'};
	run_work(&machine, &hit);
	ck_assert_int_eq(hit.read_result, ERR_IO);
	run_work(&machine, &hit);
	ck_assert_int_eq(hit.read_result, 0);
	sim_disk_fault(machine.node, SIM_READ_ERROR, NULL, 0, UINT64_MAX, 99);
	sim_disk_clear_faults(machine.node);
	run_work(&machine, &hit);
	ck_assert_int_eq(hit.read_result, 0);
	ck_assert_uint_eq(sim_figures(machine.sim).read_errors, 1);
	sim_free(machine.sim);
}
END_TEST

START_TEST(rot_of_what_was_not_synced_is_not_healed_by_a_sync)
{
	struct machine machine = machine_new(1, NULL);
	machine_make_durable(&machine, "a", 'x');
	struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
	write_letter(file, 0, FILE_BYTES, 'y');
	sim_disk_rot(machine.node, "a", 1000, 0x81);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
	machine_power_cut(&machine);
	uint8_t data[FILE_BYTES];
	size_t bytes = 0;
	ck_assert_int_eq(fs_read_file(machine.fs, "a", data, sizeof(data), &bytes), 0);
	ck_assert_uint_eq(data[999], 'y');
	ck_assert_uint_eq(data[1000], 'y' ^ 0x81);
	sim_free(machine.sim);
}
END_TEST

START_TEST(rot_flips_the_bits_asked_for)
{
	struct machine machine = machine_new(1, NULL);
	machine_make_durable(&machine, "a", 'x');
	sim_disk_rot(machine.node, "a", 1000, 0x81);
	uint8_t data[FILE_BYTES];
	size_t bytes = 0;
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(fs_read_file(machine.fs, "a", data, sizeof(data), &bytes), 0);
		size_t changed = 0;
		for (size_t i = 0; i < FILE_BYTES; i++)
			changed += data[i] != 'x';
		ck_assert_uint_eq(changed, 1);
		ck_assert_uint_eq(data[1000], 'x' ^ 0x81);
		machine_power_cut(&machine);
	}
	ck_assert_int_eq(
	    sim_disk_read_durable(machine.node, "a", 1000, data, sizeof(data), &bytes), 0);
	ck_assert_uint_eq(bytes, FILE_BYTES - 1000);
	ck_assert_uint_eq(data[0], 'x' ^ 0x81);
	ck_assert_int_eq(
	    sim_disk_read_durable(machine.node, "b", 0, data, sizeof(data), &bytes), ERR_NOT_FOUND);
	sim_free(machine.sim);
}
END_TEST

START_TEST(chances_strike_as_often_as_asked)
{
	struct sim_faults faults = {.write_lost_ppm = 100000,
	    .write_misdirected_ppm = 100000,
	    .write_error_ppm = 100000,
	    .read_error_ppm = 100000,
	    .sync_error_ppm = 100000,
	    .rot_ppm = 500000,
	    .slow_ppm = 10000};
	struct machine machine = machine_new(1, &faults);
	machine_make_durable(&machine, "a", 'x');
	machine_make_durable(&machine, "b", 'x');
	for (int i = 0; i < 1000; i++) {
		struct work work = {.path = i % 2 ? "a" : "b", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		if (i % 10 == 0)
			machine_power_cut(&machine);
	}
	struct sim_figures figures = sim_figures(machine.sim);
	const uint64_t counted[] = {figures.writes_lost, figures.writes_misdirected,
	    figures.write_errors, figures.read_errors, figures.sync_errors, figures.bits_rotted};
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		ck_assert_uint_gt(counted[i], 40);
		ck_assert_uint_lt(counted[i], 200);
	}
	ck_assert_uint_gt(figures.slow_periods, 0);
	sim_free(machine.sim);
}
END_TEST

Suite *disk_fault_suite(void)
{
	Suite *suite = suite_create("disk_fault");
	TCase *faults = tcase_create("faults");
	tcase_add_test(faults, a_full_disk_says_so_and_recovers);
	tcase_add_test(faults, a_lost_write_is_acknowledged_and_gone);
	tcase_add_test(faults, a_misdirected_write_lands_elsewhere);
	tcase_add_test(faults, a_failed_write_leaves_its_range_undefined);
	tcase_add_test(faults, a_sync_that_failed_lies_when_it_is_tried_again);
	tcase_add_test(faults, a_read_error_strikes_the_chosen_range_only);
	tcase_add_test(faults, rot_flips_the_bits_asked_for);
	tcase_add_test(faults, rot_of_what_was_not_synced_is_not_healed_by_a_sync);
	tcase_add_test(faults, chances_strike_as_often_as_asked);
	suite_add_tcase(suite, faults);
	return suite;
}
