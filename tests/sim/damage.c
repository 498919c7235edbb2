#include "tests/sim/damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/sim/sim.h"
#include "base/random.h"
#include "storage/log_format.h"

enum { PATH_BYTES = 128, FRAMES_MAX = 4 };

struct search {
	char path[PATH_BYTES];
	uint64_t seen;
	const struct damage *damage;
};

static int choose_segment(void *arg, const char *name, bool is_dir)
{
	struct search *search = arg;
	size_t bytes = strlen(name);
	if (is_dir || bytes < 4 || strcmp(name + bytes - 4, ".seg") != 0)
		return 0;
	if (random_below(search->damage->random, ++search->seen) == 0)
		snprintf(search->path, PATH_BYTES, "%s/%s", search->damage->log_dir, name);
	return 0;
}

/* What stands in the file; the caller frees it. NULL: it is not there. */
static uint8_t *read_file(const struct damage *damage, const char *path, uint64_t *ret_bytes)
{
	struct fs_file *file;
	uint64_t bytes;
	size_t count = 0;
	int error = fs_open(sim_node_fs(damage->node), path, FS_READ, &file);
	if (error == ERR_NOT_FOUND)
		return NULL;
	ASSERT(error == 0);
	error = fs_size(file, &bytes);
	ASSERT(error == 0);
	uint8_t *data = malloc(bytes + 1);
	ASSERT(data != NULL);
	error = fs_read(file, 0, data, bytes, &count);
	ASSERT(error == 0 && count == bytes);
	fs_close(file);
	*ret_bytes = bytes;
	return data;
}

static void flip(const struct damage *damage, const char *path, uint64_t offset, uint64_t bytes)
{
	sim_disk_rot(damage->node, path, offset + random_below(damage->random, bytes),
	    (uint8_t)(1u << random_below(damage->random, 8)));
}

uint64_t damage_any(const struct damage *damage)
{
	struct search search = {.damage = damage};
	uint64_t bytes = 0;
	if (fs_list(sim_node_fs(damage->node), damage->log_dir, choose_segment, &search) != 0 ||
	    search.seen == 0)
		return 0;
	free(read_file(damage, search.path, &bytes));
	if (bytes == 0)
		return 0;
	flip(damage, search.path, 0, bytes);
	return 1;
}

struct proof {
	const struct damage *damage;
	uint64_t life;
	bool durable;
	uint64_t watermark;
	uint64_t later; /* the lowest frame with which a later life began */
};

static int prove_by_segment(void *arg, const char *name, bool is_dir)
{
	struct proof *proof = arg;
	const struct damage *damage = proof->damage;
	char path[PATH_BYTES];
	uint64_t segment;
	uint64_t bytes = 0;
	int end = 0;
	if (is_dir || sscanf(name, "%16" SCNx64 ".seg%n", &segment, &end) != 1 || end == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", damage->log_dir, name);
	uint8_t *data = read_file(damage, path, &bytes);
	size_t count = (size_t)bytes;
	if (proof->durable &&
	    sim_disk_read_durable(damage->node, path, 0, data, (size_t)bytes, &count) != 0)
		count = 0;
	bytes = count;
	for (uint64_t offset = 0; offset < bytes; offset += LOG_ALIGNMENT) {
		struct log_frame_header header;
		if (log_frame_check(data + offset, bytes - offset, damage->store_id, segment,
		        offset, bytes, &header) != LOG_VALID)
			continue;
		if (header.life > proof->life && header.life_frame < proof->later)
			proof->later = header.life_frame;
		if (header.life != proof->life)
			continue;
		if (header.watermark > proof->watermark)
			proof->watermark = header.watermark;
	}
	free(data);
	return 0;
}

uint64_t damage_proven(const struct damage *damage, uint64_t life, bool durable)
{
	struct proof proof = {.damage = damage, .life = life, .durable = durable};
	int error = fs_list(sim_node_fs(damage->node), damage->log_dir, prove_by_segment, &proof);
	return error == 0 ? proof.watermark : 0;
}

uint64_t damage_later_life(const struct damage *damage, uint64_t life)
{
	struct proof proof = {.damage = damage, .life = life, .later = UINT64_MAX};
	int error = fs_list(sim_node_fs(damage->node), damage->log_dir, prove_by_segment, &proof);
	return error == 0 ? proof.later : UINT64_MAX;
}

/* The newest frame whose number is lower; its frame number is 0 where there is none. */
static struct log_frame_header newest_frame(const struct damage *damage, uint64_t segment,
    const uint8_t *data, uint64_t bytes, uint64_t below)
{
	struct log_frame_header newest = {.frame = 0};
	for (uint64_t offset = 0; offset < bytes; offset += LOG_ALIGNMENT) {
		struct log_frame_header header;
		if (log_frame_check(data + offset, bytes - offset, damage->store_id, segment,
		        offset, bytes, &header) == LOG_VALID &&
		    header.frame > newest.frame && header.frame < below)
			newest = header;
	}
	return newest;
}

uint64_t damage_end(const struct damage *damage, uint64_t segment)
{
	char path[PATH_BYTES];
	uint64_t bytes = 0;
	snprintf(path, sizeof(path), "%s/%016" PRIx64 ".seg", damage->log_dir, segment);
	uint8_t *data = read_file(damage, path, &bytes);
	if (data == NULL)
		return 0;
	uint64_t wanted = 1 + random_below(damage->random, FRAMES_MAX);
	uint64_t flipped = 0;
	for (uint64_t below = UINT64_MAX; flipped < wanted; flipped++) {
		struct log_frame_header newest = newest_frame(damage, segment, data, bytes, below);
		if (newest.frame == 0)
			break;
		below = newest.frame;
		flip(damage, path, newest.offset, newest.used_bytes);
	}
	free(data);
	return flipped;
}
