/* What stands on the rig's disk. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/fs.h"
#include "tests/unit/log/rig.h"
#include "tests/unit/run.h"

const char *rig_path(uint64_t segment)
{
	static char path[64];
	snprintf(path, sizeof(path), "log/%016" PRIx64 ".seg", segment);
	return path;
}

struct search {
	struct rig *rig;
	uint64_t number;
	struct log_frame_header *header;
	bool found;
};

static int search_segment(void *arg, const char *name, bool is_dir)
{
	struct search *search = arg;
	uint64_t segment = strtoull(name, NULL, 16);
	if (is_dir || !strstr(name, ".seg") || search->found)
		return 0;
	struct fs_file *file;
	uint64_t bytes = 0;
	ck_assert_int_eq(fs_open(search->rig->fs, rig_path(segment), FS_READ, &file), 0);
	ck_assert_int_eq(fs_size(file, &bytes), 0);
	uint8_t *data = malloc(bytes);
	ck_assert_ptr_nonnull(data);
	size_t count = 0;
	ck_assert_int_eq(fs_read(file, 0, data, bytes, &count), 0);
	for (uint64_t at = 0; at < bytes && !search->found;) {
		struct log_frame_header header;
		if (log_frame_check(data + at, bytes - at, RIG_STORE, segment, at, bytes,
		        &header) == LOG_VALID) {
			if (header.frame == search->number) {
				search->found = true;
				*search->header = header;
			}
			at += header.frame_bytes;
		} else {
			at += LOG_ALIGNMENT;
		}
	}
	free(data);
	fs_close(file);
	return 0;
}

bool rig_find_frame(struct rig *rig, uint64_t number, struct log_frame_header *ret_header)
{
	struct search search = {.rig = rig, .number = number, .header = ret_header};
	ck_assert_int_eq(fs_list(rig->fs, "log", search_segment, &search), 0);
	return search.found;
}

void rig_rot_frame(struct rig *rig, uint64_t number)
{
	struct log_frame_header header;
	ck_assert_msg(rig_find_frame(rig, number, &header), "no frame %" PRIu64, number);
	sim_disk_rot(rig->node, rig_path(header.segment), header.offset + header.used_bytes / 2, 4);
}
