/* What a simulated disk keeps and loses, and its faults: stated over many seeds, because each is a
 * matter of chance. */
#include "tests/unit/io/suites.h"

#include <string.h>

#include "base/io/fs.h"
#include "base/io/sim/sim.h"

enum {
	SEEDS = 1000,
	SECTOR = 512,
	FILE_BYTES = 8 * SECTOR,
};

struct machine {
	struct sim *sim;
	struct sim_node *node;
	struct fs *fs;
};

static struct machine machine_new(uint64_t seed, const struct sim_faults *faults)
{
	struct machine machine = {.sim = sim_new(seed, faults)};
	machine.node = sim_node_new(machine.sim);
	machine.fs = sim_node_fs(machine.node);
	return machine;
}

static void power_cut(struct machine *machine)
{
	sim_node_crash(machine->node, SIM_POWER_CUT);
}

static struct fs_file *open_file(struct machine *machine, const char *path, unsigned flags)
{
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(machine->fs, path, flags, &file), 0);
	return file;
}

static void write_letter(struct fs_file *file, uint64_t offset, size_t bytes, char letter)
{
	char data[FILE_BYTES];
	ck_assert_uint_le(bytes, sizeof(data));
	memset(data, letter, bytes);
	ck_assert_int_eq(fs_write(file, offset, data, bytes), 0);
}

/* A file whose name, size and FILE_BYTES of `letter` are durable. */
static void make_durable(struct machine *machine, const char *path, char letter)
{
	struct fs_file *file = open_file(machine, path, FS_WRITE | FS_CREATE);
	write_letter(file, 0, FILE_BYTES, letter);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
	ck_assert_int_eq(fs_sync_dir(machine->fs, "."), 0);
}

static bool exists(struct machine *machine, const char *path)
{
	bool found = false;
	ck_assert_int_eq(fs_exists(machine->fs, path, &found), 0);
	return found;
}

/* The file's first letter of each sector, "" where it is empty, NULL where it is absent. */
static const char *sectors(struct machine *machine, const char *path)
{
	static char letters[65];
	static char data[64 * SECTOR];
	size_t bytes = 0;
	if (!exists(machine, path))
		return NULL;
	ck_assert_int_eq(fs_read_file(machine->fs, path, data, sizeof(data), &bytes), 0);
	size_t count = (bytes + SECTOR - 1) / SECTOR;
	bool whole = true;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = i * SECTOR; j < (i + 1) * SECTOR && j < bytes; j++)
			whole = whole && data[j] == data[i * SECTOR];
		letters[i] = data[i * SECTOR];
		if (letters[i] == 0)
			letters[i] = '0';
	}
	ck_assert_msg(whole, "sectors are torn whole or not at all");
	letters[count] = '\0';
	return letters;
}

START_TEST(what_was_synced_survives)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'x');
		power_cut(&machine);
		ck_assert_str_eq(sectors(&machine, "a"), "xxxxxxxx");
		power_cut(&machine);
		ck_assert_str_eq(sectors(&machine, "a"), "xxxxxxxx");
		sim_free(machine.sim);
	}
}
END_TEST

START_TEST(what_was_not_synced_is_kept_or_lost_or_torn)
{
	unsigned kept = 0;
	unsigned lost = 0;
	unsigned torn = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'x');
		struct fs_file *file = open_file(&machine, "a", FS_READ | FS_WRITE);
		write_letter(file, 0, FILE_BYTES, 'y');
		ck_assert_str_eq(sectors(&machine, "a"), "yyyyyyyy");
		power_cut(&machine);
		const char *found = sectors(&machine, "a");
		size_t changed = 0;
		for (const char *letter = found; *letter != '\0'; letter++)
			changed += *letter == 'y';
		ck_assert_uint_eq(strspn(found, "xy"), 8);
		kept += changed == 8;
		lost += changed == 0;
		torn += changed > 0 && changed < 8;
		fs_close(file);
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(kept, SEEDS / 10);
	ck_assert_uint_gt(lost, SEEDS / 10);
	ck_assert_uint_gt(torn, SEEDS / 10);
}
END_TEST

START_TEST(unsynced_writes_are_lost_in_any_order)
{
	unsigned seen[4] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'x');
		struct fs_file *file = open_file(&machine, "a", FS_WRITE);
		write_letter(file, 0, SECTOR, '1');
		write_letter(file, SECTOR, SECTOR, '2');
		power_cut(&machine);
		const char *found = sectors(&machine, "a");
		seen[(found[0] == '1') + 2 * (found[1] == '2')]++;
		ck_assert_str_eq(found + 2, "xxxxxx");
		fs_close(file);
		sim_free(machine.sim);
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], SEEDS / 20);
}
END_TEST

START_TEST(torn_sectors_may_hold_garbage)
{
	struct sim_faults faults = {.torn_percent = 100, .garbage_percent = 50};
	uint64_t garbage = 0;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct machine machine = machine_new(seed, &faults);
		make_durable(&machine, "a", 'x');
		struct fs_file *file = open_file(&machine, "a", FS_WRITE);
		write_letter(file, 0, 4 * SECTOR, 'y');
		power_cut(&machine);
		char data[FILE_BYTES];
		size_t bytes = 0;
		ck_assert_int_eq(fs_read_file(machine.fs, "a", data, sizeof(data), &bytes), 0);
		for (size_t i = 0; i < 4; i++)
			garbage += data[i * SECTOR] != 'x' && data[i * SECTOR] != 'y';
		for (size_t i = 4 * SECTOR; i < FILE_BYTES; i++)
			garbage += data[i] != 'x' ? 1000 : 0;
		fs_close(file);
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(garbage, 10);
	ck_assert_uint_le(garbage, 200);
}
END_TEST

START_TEST(unsynced_sizes_are_kept_up_to_one_of_them)
{
	unsigned seen[4] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'x');
		struct fs_file *file = open_file(&machine, "a", FS_WRITE);
		ck_assert_int_eq(fs_allocate(file, 0, 10 * SECTOR), 0);
		write_letter(file, 10 * SECTOR, SECTOR, 'y');
		ck_assert_int_eq(fs_truncate(file, 2 * SECTOR), 0);
		power_cut(&machine);
		const char *found = sectors(&machine, "a");
		if (strcmp(found, "xxxxxxxx") == 0) {
			seen[0]++;
		} else if (strcmp(found, "xxxxxxxx00") == 0) {
			seen[1]++;
		} else if (strlen(found) == 11) {
			/* The size may be there without the data. */
			ck_assert(
			    strcmp(found, "xxxxxxxx00y") == 0 || strcmp(found, "xxxxxxxx000") == 0);
			seen[2]++;
		} else {
			ck_assert_str_eq(found, "xx");
			seen[3]++;
		}
		fs_close(file);
		sim_free(machine.sim);
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], SEEDS / 10);
}
END_TEST

START_TEST(unsynced_names_happen_up_to_one_of_them)
{
	unsigned seen[4] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'a');
		fs_close(open_file(&machine, "b", FS_WRITE | FS_CREATE));
		ck_assert_int_eq(fs_rename(machine.fs, "a", "c"), 0);
		ck_assert_int_eq(fs_unlink(machine.fs, "b"), 0);
		power_cut(&machine);
		bool a = exists(&machine, "a");
		bool b = exists(&machine, "b");
		bool c = exists(&machine, "c");
		ck_assert(a != c);
		ck_assert_str_eq(sectors(&machine, a ? "a" : "c"), "aaaaaaaa");
		if (a)
			seen[b ? 1 : 0]++;
		else
			seen[b ? 2 : 3]++;
		sim_free(machine.sim);
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], SEEDS / 10);
}
END_TEST

START_TEST(a_synced_directory_keeps_its_names)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		ck_assert_int_eq(fs_make_dir(machine.fs, "d"), 0);
		make_durable(&machine, "d/a", 'a');
		make_durable(&machine, "x", 'x');
		/* In "d" itself nothing was synced yet. */
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		ck_assert_int_eq(fs_rename(machine.fs, "d/a", "d/b"), 0);
		ck_assert_int_eq(fs_unlink(machine.fs, "x"), 0);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		power_cut(&machine);
		ck_assert_str_eq(sectors(&machine, "d/b"), "aaaaaaaa");
		ck_assert(!exists(&machine, "d/a"));
		sim_free(machine.sim);
	}
}
END_TEST

START_TEST(syncing_a_file_does_not_keep_its_name)
{
	unsigned kept = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		struct fs_file *file = open_file(&machine, "a", FS_WRITE | FS_CREATE);
		write_letter(file, 0, SECTOR, 'a');
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		power_cut(&machine);
		if (exists(&machine, "a")) {
			ck_assert_str_eq(sectors(&machine, "a"), "a");
			kept++;
		}
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(kept, SEEDS / 10);
	ck_assert_uint_lt(kept, SEEDS - SEEDS / 10);
}
END_TEST

START_TEST(a_rename_between_directories_happens_in_both_or_neither)
{
	unsigned moved = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		ck_assert_int_eq(fs_make_dir(machine.fs, "d"), 0);
		make_durable(&machine, "a", 'a');
		fs_close(open_file(&machine, "b", FS_WRITE | FS_CREATE));
		fs_close(open_file(&machine, "d/b", FS_WRITE | FS_CREATE));
		ck_assert_int_eq(fs_rename(machine.fs, "a", "d/a"), 0);
		if (seed % 2 == 0)
			ck_assert_int_eq(fs_sync_dir(machine.fs, seed % 4 == 0 ? "d" : "."), 0);
		power_cut(&machine);
		bool there = exists(&machine, "d/a");
		ck_assert(there != exists(&machine, "a"));
		/* What came first in its directory is there too. */
		ck_assert(!there || exists(&machine, "b"));
		ck_assert(!there || exists(&machine, "d/b"));
		ck_assert(there || seed % 2 == 1);
		ck_assert_str_eq(sectors(&machine, there ? "d/a" : "a"), "aaaaaaaa");
		moved += there;
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(moved, SEEDS / 2);
	ck_assert_uint_lt(moved, SEEDS);
}
END_TEST

START_TEST(a_new_directory_is_lost_with_all_that_is_in_it)
{
	unsigned lost = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		ck_assert_int_eq(fs_make_dir(machine.fs, "d"), 0);
		ck_assert_int_eq(fs_make_dir(machine.fs, "d/e"), 0);
		struct fs_file *file = open_file(&machine, "d/e/f", FS_WRITE | FS_CREATE);
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d/e"), 0);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		power_cut(&machine);
		if (exists(&machine, "d"))
			ck_assert(exists(&machine, "d/e/f"));
		else
			lost++;
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(lost, SEEDS / 10);
	ck_assert_uint_lt(lost, SEEDS - SEEDS / 10);
}
END_TEST

START_TEST(a_replaced_file_is_old_or_new_and_new_once_replaced)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		ck_assert_int_eq(fs_replace_file(machine.fs, "id", "one", 3), 0);
		ck_assert_int_eq(fs_replace_file(machine.fs, "id", "two!", 4), 0);
		power_cut(&machine);
		char data[8];
		size_t bytes = 0;
		ck_assert_int_eq(fs_read_file(machine.fs, "id", data, sizeof(data), &bytes), 0);
		ck_assert_uint_eq(bytes, 4);
		ck_assert_int_eq(memcmp(data, "two!", 4), 0);
		sim_free(machine.sim);
	}
}
END_TEST

START_TEST(a_full_disk_says_so_and_recovers)
{
	struct sim_faults faults = {.disk_bytes = 64 * 1024};
	struct machine machine = machine_new(1, &faults);
	uint64_t free_bytes = 0;
	uint64_t total_bytes = 0;
	ck_assert_int_eq(fs_space(machine.fs, &free_bytes, &total_bytes), 0);
	ck_assert_uint_eq(free_bytes, 64 * 1024);
	ck_assert_uint_eq(total_bytes, 64 * 1024);
	struct fs_file *file = open_file(&machine, "a", FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_allocate(file, 0, 60 * 1024), 0);
	ck_assert_int_eq(fs_allocate(file, 0, 65 * 1024), ERR_NO_SPACE);
	struct fs_file *other = open_file(&machine, "b", FS_WRITE | FS_CREATE);
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

/* ---- Faults strike processes only ---- */

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
	struct fs_file *file = open_file(work->machine, work->path, work->flags);
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
	make_durable(&machine, "a", 'x');
	sim_disk_fault(machine.node, SIM_WRITE_LOST, "a", 100, 1, 1);
	struct work work = {.path = "a", .letter = 'y', .sync = true};
	run_work(&machine, &work);
	ck_assert_int_eq(work.write_result, 0);
	ck_assert_int_eq(work.sync_result, 0);
	/* A page cache hides it until the power is cut. */
	ck_assert_str_eq(sectors(&machine, "a"), "yyyyyyyy");
	power_cut(&machine);
	ck_assert_str_eq(sectors(&machine, "a"), "xxxxxxxx");
	ck_assert_uint_eq(sim_figures(machine.sim).writes_lost, 1);
	run_work(&machine, &work);
	power_cut(&machine);
	ck_assert_str_eq(sectors(&machine, "a"), "yyyyyyyy");

	sim_disk_fault(machine.node, SIM_WRITE_LOST, NULL, 0, UINT64_MAX, 1);
	work = (struct work){.path = "a", .flags = FS_DIRECT, .letter = 'z', .sync = true};
	run_work(&machine, &work);
	ck_assert_str_eq(sectors(&machine, "a"), "yyyyyyyy");
	sim_free(machine.sim);
}
END_TEST

START_TEST(a_misdirected_write_lands_elsewhere)
{
	unsigned same = 0;
	unsigned other = 0;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct machine machine = machine_new(seed, NULL);
		make_durable(&machine, "a", 'a');
		make_durable(&machine, "b", 'b');
		struct fs_file *file = open_file(&machine, "a", FS_WRITE);
		write_letter(file, FILE_BYTES, FILE_BYTES, 'a');
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		sim_disk_fault(machine.node, SIM_WRITE_MISDIRECTED, "a", 0, 1, 1);
		struct work work = {.path = "a", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		ck_assert_int_eq(work.write_result, 0);
		ck_assert_uint_eq(sim_figures(machine.sim).writes_misdirected, 1);
		if (strcmp(sectors(&machine, "a"), "aaaaaaaayyyyyyyy") == 0) {
			ck_assert_str_eq(sectors(&machine, "b"), "bbbbbbbb");
			same++;
		} else {
			ck_assert_str_eq(sectors(&machine, "a"), "aaaaaaaaaaaaaaaa");
			ck_assert_str_eq(sectors(&machine, "b"), "yyyyyyyy");
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
		make_durable(&machine, "a", 'x');
		sim_disk_fault(machine.node, SIM_WRITE_ERROR, "a", 0, FILE_BYTES, 1);
		struct work work = {.path = "a", .letter = 'y'};
		run_work(&machine, &work);
		ck_assert_int_eq(work.write_result, ERR_IO);
		for (const char *letter = sectors(&machine, "a"); *letter != '\0'; letter++) {
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
		make_durable(&machine, "a", 'x');
		sim_disk_fault(machine.node, SIM_SYNC_ERROR, "a", 0, UINT64_MAX, 1);
		struct work work = {.path = "a", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		ck_assert_int_eq(work.sync_result, ERR_IO);
		struct fs_file *file = open_file(&machine, "a", FS_WRITE);
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		/* The cache still shows what was never stored. */
		ck_assert_str_eq(sectors(&machine, "a"), "yyyyyyyy");
		power_cut(&machine);
		const char *found = sectors(&machine, "a");
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
	make_durable(&machine, "a", 'x');
	make_durable(&machine, "b", 'x');
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

START_TEST(rot_flips_the_bits_asked_for)
{
	struct machine machine = machine_new(1, NULL);
	make_durable(&machine, "a", 'x');
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
		power_cut(&machine);
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
	make_durable(&machine, "a", 'x');
	make_durable(&machine, "b", 'x');
	for (int i = 0; i < 1000; i++) {
		struct work work = {.path = i % 2 ? "a" : "b", .letter = 'y', .sync = true};
		run_work(&machine, &work);
		if (i % 10 == 0)
			power_cut(&machine);
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

Suite *disk_suite(void)
{
	Suite *suite = suite_create("disk");
	TCase *losses = tcase_create("losses");
	tcase_add_test(losses, what_was_synced_survives);
	tcase_add_test(losses, what_was_not_synced_is_kept_or_lost_or_torn);
	tcase_add_test(losses, unsynced_writes_are_lost_in_any_order);
	tcase_add_test(losses, torn_sectors_may_hold_garbage);
	tcase_add_test(losses, unsynced_sizes_are_kept_up_to_one_of_them);
	tcase_add_test(losses, unsynced_names_happen_up_to_one_of_them);
	tcase_add_test(losses, a_synced_directory_keeps_its_names);
	tcase_add_test(losses, syncing_a_file_does_not_keep_its_name);
	tcase_add_test(losses, a_rename_between_directories_happens_in_both_or_neither);
	tcase_add_test(losses, a_new_directory_is_lost_with_all_that_is_in_it);
	tcase_add_test(losses, a_replaced_file_is_old_or_new_and_new_once_replaced);
	suite_add_tcase(suite, losses);
	TCase *faults = tcase_create("faults");
	tcase_add_test(faults, a_full_disk_says_so_and_recovers);
	tcase_add_test(faults, a_lost_write_is_acknowledged_and_gone);
	tcase_add_test(faults, a_misdirected_write_lands_elsewhere);
	tcase_add_test(faults, a_failed_write_leaves_its_range_undefined);
	tcase_add_test(faults, a_sync_that_failed_lies_when_it_is_tried_again);
	tcase_add_test(faults, a_read_error_strikes_the_chosen_range_only);
	tcase_add_test(faults, rot_flips_the_bits_asked_for);
	tcase_add_test(faults, chances_strike_as_often_as_asked);
	suite_add_tcase(suite, faults);
	return suite;
}
