/* What a simulated disk keeps and loses: stated over many seeds, because it is a matter of
 * chance. */
#include "tests/unit/io/machine.h"
#include "tests/unit/io/suites.h"

#include <string.h>

enum { SEEDS = 1000 };

START_TEST(what_was_synced_survives)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		machine_make_durable(&machine, "a", 'x');
		machine_power_cut(&machine);
		ck_assert_str_eq(machine_sectors(&machine, "a"), "xxxxxxxx");
		machine_power_cut(&machine);
		ck_assert_str_eq(machine_sectors(&machine, "a"), "xxxxxxxx");
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
		machine_make_durable(&machine, "a", 'x');
		struct fs_file *file = machine_open(&machine, "a", FS_READ | FS_WRITE);
		write_letter(file, 0, FILE_BYTES, 'y');
		ck_assert_str_eq(machine_sectors(&machine, "a"), "yyyyyyyy");
		machine_power_cut(&machine);
		const char *found = machine_sectors(&machine, "a");
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
		machine_make_durable(&machine, "a", 'x');
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		write_letter(file, 0, SECTOR, '1');
		write_letter(file, SECTOR, SECTOR, '2');
		machine_power_cut(&machine);
		const char *found = machine_sectors(&machine, "a");
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
		machine_make_durable(&machine, "a", 'x');
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		write_letter(file, 0, 4 * SECTOR, 'y');
		machine_power_cut(&machine);
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

START_TEST(a_sector_rewritten_with_its_own_bytes_keeps_them)
{
	struct sim_faults faults = {.torn_percent = 100, .garbage_percent = 100};
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct machine machine = machine_new(seed, &faults);
		machine_make_durable(&machine, "a", 'x');
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		write_letter(file, 0, FILE_BYTES, 'x');
		machine_power_cut(&machine);
		ck_assert_str_eq(machine_sectors(&machine, "a"), "xxxxxxxx");
		ck_assert_uint_eq(sim_figures(machine.sim).garbage_sectors, 0);
		fs_close(file);
		sim_free(machine.sim);
	}
}
END_TEST

START_TEST(unsynced_sizes_are_kept_up_to_one_of_them)
{
	unsigned seen[4] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		machine_make_durable(&machine, "a", 'x');
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE);
		ck_assert_int_eq(fs_allocate(file, 0, 10 * SECTOR), 0);
		write_letter(file, 10 * SECTOR, SECTOR, 'y');
		ck_assert_int_eq(fs_truncate(file, 2 * SECTOR), 0);
		machine_power_cut(&machine);
		const char *found = machine_sectors(&machine, "a");
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
		machine_make_durable(&machine, "a", 'a');
		fs_close(machine_open(&machine, "b", FS_WRITE | FS_CREATE));
		ck_assert_int_eq(fs_rename(machine.fs, "a", "c"), 0);
		ck_assert_int_eq(fs_unlink(machine.fs, "b"), 0);
		machine_power_cut(&machine);
		bool a = machine_exists(&machine, "a");
		bool b = machine_exists(&machine, "b");
		bool c = machine_exists(&machine, "c");
		ck_assert(a != c);
		ck_assert_str_eq(machine_sectors(&machine, a ? "a" : "c"), "aaaaaaaa");
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
		machine_make_durable(&machine, "d/a", 'a');
		machine_make_durable(&machine, "x", 'x');
		/* In "d" itself nothing was synced yet. */
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		ck_assert_int_eq(fs_rename(machine.fs, "d/a", "d/b"), 0);
		ck_assert_int_eq(fs_unlink(machine.fs, "x"), 0);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		machine_power_cut(&machine);
		ck_assert_str_eq(machine_sectors(&machine, "d/b"), "aaaaaaaa");
		ck_assert(!machine_exists(&machine, "d/a"));
		sim_free(machine.sim);
	}
}
END_TEST

START_TEST(syncing_a_file_does_not_keep_its_name)
{
	unsigned kept = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct machine machine = machine_new(seed, NULL);
		struct fs_file *file = machine_open(&machine, "a", FS_WRITE | FS_CREATE);
		write_letter(file, 0, SECTOR, 'a');
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		machine_power_cut(&machine);
		if (machine_exists(&machine, "a")) {
			ck_assert_str_eq(machine_sectors(&machine, "a"), "a");
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
		machine_make_durable(&machine, "a", 'a');
		fs_close(machine_open(&machine, "b", FS_WRITE | FS_CREATE));
		fs_close(machine_open(&machine, "d/b", FS_WRITE | FS_CREATE));
		ck_assert_int_eq(fs_rename(machine.fs, "a", "d/a"), 0);
		if (seed % 2 == 0)
			ck_assert_int_eq(fs_sync_dir(machine.fs, seed % 4 == 0 ? "d" : "."), 0);
		machine_power_cut(&machine);
		bool there = machine_exists(&machine, "d/a");
		ck_assert(there != machine_exists(&machine, "a"));
		/* What came first in its directory is there too. */
		ck_assert(!there || machine_exists(&machine, "b"));
		ck_assert(!there || machine_exists(&machine, "d/b"));
		ck_assert(there || seed % 2 == 1);
		ck_assert_str_eq(machine_sectors(&machine, there ? "d/a" : "a"), "aaaaaaaa");
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
		struct fs_file *file = machine_open(&machine, "d/e/f", FS_WRITE | FS_CREATE);
		ck_assert_int_eq(fs_sync(file), 0);
		fs_close(file);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d/e"), 0);
		ck_assert_int_eq(fs_sync_dir(machine.fs, "d"), 0);
		machine_power_cut(&machine);
		if (machine_exists(&machine, "d"))
			ck_assert(machine_exists(&machine, "d/e/f"));
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
		machine_power_cut(&machine);
		char data[8];
		size_t bytes = 0;
		ck_assert_int_eq(fs_read_file(machine.fs, "id", data, sizeof(data), &bytes), 0);
		ck_assert_uint_eq(bytes, 4);
		ck_assert_int_eq(memcmp(data, "two!", 4), 0);
		sim_free(machine.sim);
	}
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
	tcase_add_test(losses, a_sector_rewritten_with_its_own_bytes_keeps_them);
	tcase_add_test(losses, unsynced_sizes_are_kept_up_to_one_of_them);
	tcase_add_test(losses, unsynced_names_happen_up_to_one_of_them);
	tcase_add_test(losses, a_synced_directory_keeps_its_names);
	tcase_add_test(losses, syncing_a_file_does_not_keep_its_name);
	tcase_add_test(losses, a_rename_between_directories_happens_in_both_or_neither);
	tcase_add_test(losses, a_new_directory_is_lost_with_all_that_is_in_it);
	tcase_add_test(losses, a_replaced_file_is_old_or_new_and_new_once_replaced);
	suite_add_tcase(suite, losses);
	return suite;
}
