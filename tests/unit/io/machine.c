#include "tests/unit/io/machine.h"

#include <string.h>

#include "tests/unit/run.h"

struct machine machine_new(uint64_t seed, const struct sim_faults *faults)
{
	struct machine machine = {.sim = sim_new(seed, faults)};
	machine.node = sim_node_new(machine.sim);
	machine.fs = sim_node_fs(machine.node);
	return machine;
}

void machine_power_cut(struct machine *machine)
{
	sim_node_crash(machine->node, SIM_POWER_CUT);
}

struct fs_file *machine_open(struct machine *machine, const char *path, unsigned flags)
{
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(machine->fs, path, flags, &file), 0);
	return file;
}

void write_letter(struct fs_file *file, uint64_t offset, size_t bytes, char letter)
{
	char data[FILE_BYTES];
	ck_assert_uint_le(bytes, sizeof(data));
	memset(data, letter, bytes);
	ck_assert_int_eq(fs_write(file, offset, data, bytes), 0);
}

/* A file whose name, size and FILE_BYTES of `letter` are durable. */
void machine_make_durable(struct machine *machine, const char *path, char letter)
{
	struct fs_file *file = machine_open(machine, path, FS_WRITE | FS_CREATE);
	write_letter(file, 0, FILE_BYTES, letter);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
	ck_assert_int_eq(fs_sync_dir(machine->fs, "."), 0);
}

bool machine_exists(struct machine *machine, const char *path)
{
	bool found = false;
	ck_assert_int_eq(fs_exists(machine->fs, path, &found), 0);
	return found;
}

/* The file's first letter of each sector, "" where it is empty, NULL where it is absent. */
const char *machine_sectors(struct machine *machine, const char *path)
{
	static char letters[65];
	static char data[64 * SECTOR];
	size_t bytes = 0;
	if (!machine_exists(machine, path))
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
