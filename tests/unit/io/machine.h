/* A simulated machine, and files of it whose content is a letter repeated. */
#ifndef KX_TESTS_UNIT_IO_MACHINE_H
#define KX_TESTS_UNIT_IO_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/fs.h"
#include "base/io/sim/sim.h"

enum {
	SECTOR = 512,
	FILE_BYTES = 8 * SECTOR,
};

struct machine {
	struct sim *sim;
	struct sim_node *node;
	struct fs *fs;
};

struct machine machine_new(uint64_t seed, const struct sim_faults *faults);
void machine_power_cut(struct machine *machine);
struct fs_file *machine_open(struct machine *machine, const char *path, unsigned flags);
void write_letter(struct fs_file *file, uint64_t offset, size_t bytes, char letter);
/* A file whose name, size and FILE_BYTES of `letter` are durable. */
void machine_make_durable(struct machine *machine, const char *path, char letter);
bool machine_exists(struct machine *machine, const char *path);
/* The file's first letter of each sector, "" where it is empty, NULL where it is absent. */
const char *machine_sectors(struct machine *machine, const char *path);

#endif
