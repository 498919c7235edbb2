/* What stands on the rig's disk. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/io/fs.h"
#include "tests/unit/log/rig.h"
#include "tests/unit/run.h"

const char *rig_path(uint64_t segment)
{
	static char path[64];
	snprintf(path, sizeof(path), "log/%016" PRIx64 ".seg", segment);
	return path;
}

/* All of it, to be freed. */
static uint8_t *read_segment(struct rig *rig, uint64_t segment, uint64_t *ret_bytes)
{
	struct fs_file *file;
	size_t count = 0;
	ck_assert_int_eq(fs_open(rig->fs, rig_path(segment), FS_READ, &file), 0);
	ck_assert_int_eq(fs_size(file, ret_bytes), 0);
	uint8_t *data = malloc(*ret_bytes + 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(fs_read(file, 0, data, *ret_bytes, &count), 0);
	ck_assert_uint_eq(count, *ret_bytes);
	fs_close(file);
	return data;
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
	uint64_t bytes = 0;
	uint8_t *data = read_segment(search->rig, segment, &bytes);
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
	return 0;
}

bool rig_find_frame(struct rig *rig, uint64_t number, struct log_frame_header *ret_header)
{
	struct search search = {.rig = rig, .number = number, .header = ret_header};
	ck_assert_int_eq(fs_list(rig->fs, "log", search_segment, &search), 0);
	return search.found;
}

struct listing {
	struct rig *rig;
	uint64_t last;
	bool *present;
	uint64_t watermark;
};

static uint64_t life_of(const struct rig *rig, uint64_t frame)
{
	size_t i = rig->life_count;
	while (i > 1 && rig->life_frame[i - 1] > frame)
		i--;
	return i == 0 ? 0 : rig->life[i - 1];
}

static void list_frame(struct listing *listing, const struct log_frame_header *header)
{
	if (header->frame > listing->last || header->life != life_of(listing->rig, header->frame))
		return;
	listing->present[header->frame] = true;
	if (header->watermark > listing->watermark)
		listing->watermark = header->watermark;
}

static int list_segment(void *arg, const char *name, bool is_dir)
{
	struct listing *listing = arg;
	if (is_dir || !strstr(name, ".seg"))
		return 0;
	uint64_t segment = strtoull(name, NULL, 16), bytes = 0;
	uint8_t *data = read_segment(listing->rig, segment, &bytes);
	for (uint64_t at = 0; at < bytes;) {
		struct log_frame_header header;
		bool valid = log_frame_check(data + at, bytes - at, RIG_STORE, segment, at, bytes,
		                 &header) == LOG_VALID;
		if (valid)
			list_frame(listing, &header);
		at += valid ? header.frame_bytes : LOG_ALIGNMENT;
	}
	free(data);
	return 0;
}

uint64_t rig_list_frames(struct rig *rig, uint64_t last, bool *present)
{
	struct listing listing = {.rig = rig, .last = last, .present = present};
	ck_assert_int_eq(fs_list(rig->fs, "log", list_segment, &listing), 0);
	return listing.watermark;
}

void rig_rot_frame(struct rig *rig, uint64_t number)
{
	struct log_frame_header header;
	ck_assert_msg(rig_find_frame(rig, number, &header), "no frame %" PRIu64, number);
	sim_disk_rot(rig->node, rig_path(header.segment), header.offset + header.used_bytes / 2, 4);
}

/* ---- Forging ---- */

void rig_forge_begin(
    struct rig *rig, struct rig_forge *forge, uint64_t segment, uint64_t segment_bytes)
{
	*forge = (struct rig_forge){
	    .rig = rig, .segment = segment, .store = RIG_STORE, .life = 1, .life_frame = 1};
	struct fs_file *file;
	ck_assert_int_eq(fs_open(rig->fs, rig_path(segment), FS_WRITE | FS_CREATE, &file), 0);
	ck_assert_int_eq(fs_allocate(file, 0, segment_bytes), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
	ck_assert_int_eq(fs_sync_dir(rig->fs, "log"), 0);
}

void rig_forge_frame(struct rig_forge *forge, enum log_frame_kind kind, uint64_t number,
    uint64_t watermark, uint32_t group, uint64_t first, uint64_t last, uint32_t group_before,
    uint64_t entry_before)
{
	static uint8_t frame[64 * 1024];
	memset(frame, 0, sizeof(frame));
	uint8_t *at = frame + LOG_FRAME_HEADER_BYTES;
	struct log_frame_header header = {.kind = kind,
	    .store = forge->store,
	    .segment = forge->segment,
	    .offset = forge->offset,
	    .frame = number,
	    .life = forge->life,
	    .life_frame = forge->life_frame,
	    .watermark = watermark,
	    .chain = forge->chain};
	if (entry_before != 0) {
		struct log_extent extent = {
		    .group = group_before, .first_index = entry_before, .last_index = entry_before};
		log_extent_write(at, &extent);
		at += LOG_DIRECTORY_ENTRY_BYTES;
		header.directory_count = 1;
	}
	for (uint64_t i = first; first != 0 && i <= last; i++) {
		uint32_t bytes = rig_payload(group, i, 1, at + LOG_RECORD_HEADER_BYTES);
		log_record_write(at, group, LOG_ENTRY, 1, i, bytes);
		at += LOG_RECORD_HEADER_BYTES + bytes;
		header.record_count++;
	}
	header.used_bytes = (uint32_t)(at - frame);
	header.frame_bytes = log_align(header.used_bytes);
	log_frame_seal(frame, &header);
	forge->chain = header.hash[0];
	struct fs_file *file;
	const char *path = rig_path(forge->segment);
	ck_assert_int_eq(fs_open(forge->rig->fs, path, FS_WRITE, &file), 0);
	ck_assert_int_eq(fs_write(file, forge->offset, frame, header.frame_bytes), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
	forge->offset += header.frame_bytes;
}

void rig_forge_skip(struct rig_forge *forge)
{
	forge->offset += LOG_ALIGNMENT;
	forge->chain = 0;
}

/* ---- All of it ---- */

struct dir {
	struct rig *rig;
	const char *path;
	uint64_t hash;
	size_t count;
};

static int hash_file(void *arg, const char *name, bool is_dir)
{
	struct dir *dir = arg;
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	dir->count++;
	dir->hash = hash_bytes(slice_from_text(name), dir->hash);
	if (is_dir)
		return 0;
	struct fs_file *file;
	uint64_t bytes = 0;
	size_t count = 0;
	ck_assert_int_eq(fs_open(dir->rig->fs, path, FS_READ, &file), 0);
	ck_assert_int_eq(fs_size(file, &bytes), 0);
	uint8_t *data = malloc(bytes + 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(fs_read(file, 0, data, bytes, &count), 0);
	dir->hash = hash_bytes(slice_of(data, count), dir->hash);
	free(data);
	fs_close(file);
	return 0;
}

uint64_t rig_hash_dir(struct rig *rig, const char *path)
{
	struct dir dir = {.rig = rig, .path = path};
	ck_assert_int_eq(fs_list(rig->fs, path, hash_file, &dir), 0);
	return dir.hash;
}

size_t rig_count_files(struct rig *rig, const char *path)
{
	struct dir dir = {.rig = rig, .path = path};
	ck_assert_int_eq(fs_list(rig->fs, path, hash_file, &dir), 0);
	return dir.count;
}
