#include "storage/log_tool.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "storage/log_recover.h"
#include "storage/log_scan.h"

#define COPY_BYTES (1 * MIB)

/* Scan and index of a log that is not running. */
struct tool {
	struct log_scan scan;
	struct log_index index;
};

static int tool_begin(struct tool *tool, const struct log_tool_options *options, bool writable,
    struct log_report *ret_report)
{
	int error = log_scan_begin(
	    &tool->scan, options->fs, options->dir, options->store, &options->anchor, writable);
	if (error)
		return error;
	log_index_init(&tool->index, options->base, options->base_arg);
	/* Marks are of use to a running log only. */
	error = log_scan_index(&tool->scan, &tool->index, UINT64_MAX);
	if (error) {
		log_index_done(&tool->index);
		log_scan_done(&tool->scan);
		return error;
	}
	log_scan_report(&tool->scan, &tool->index, ret_report);
	return 0;
}

static void tool_done(struct tool *tool)
{
	log_index_done(&tool->index);
	log_scan_done(&tool->scan);
}

/* ---- Looking ---- */

static int visit_frames(struct tool *tool, const struct log_tool_visitor *visitor)
{
	struct log_scan_cursor cursor = {0};
	struct log_frame_header header;
	const uint8_t *frame;
	int result;
	while ((result = log_scan_next(&tool->scan, &cursor, true, &header, &frame)) == 1) {
		enum log_tool_place place = LOG_TOOL_STALE;
		if (tool->scan.stretches[cursor.stretch].fate == LOG_FATE_KEPT)
			place = header.frame < tool->scan.anchor.needed_frame ? LOG_TOOL_RELEASED
			                                                      : LOG_TOOL_LIVE;
		visitor->frame(visitor->arg, &header, frame, place);
	}
	return result;
}

int log_tool_scan(const struct log_tool_options *options, const struct log_tool_visitor *visitor,
    struct log_report *ret_report)
{
	struct tool tool;
	struct log_report report;
	int error = tool_begin(&tool, options, false, &report);
	if (error)
		return error;
	if (visitor->frame)
		error = visit_frames(&tool, visitor);
	const struct log_judgement *judgement = &tool.scan.judgement;
	for (size_t i = 0; !error && visitor->damage && i < judgement->gap_count; i++)
		visitor->damage(visitor->arg, &report.gap[i], judgement->gap[i].verdict);
	for (size_t i = 0; !error && visitor->suspect && i < tool.index.group_count; i++) {
		const struct log_group_state *group = tool.index.sorted[i];
		if (log_group_suspect(group))
			visitor->suspect(visitor->arg, group->number, group->last_index,
			    log_index_suspect_by(&tool.index, group));
	}
	tool_done(&tool);
	if (!error)
		*ret_report = report;
	return error;
}

/* ---- Mending ---- */

static bool has_damage(const struct tool *tool)
{
	if (log_index_gaps_that_matter(&tool->index) != 0)
		return true;
	for (size_t i = 0; i < tool->index.group_count; i++)
		if (log_group_suspect(tool->index.sorted[i]))
			return true;
	return false;
}

static int tell_lost(const struct tool *tool,
    int (*lost)(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen),
    void *arg)
{
	for (size_t i = 0; i < tool->index.group_count; i++) {
		const struct log_group_state *group = tool->index.sorted[i];
		if (!log_group_suspect(group))
			continue;
		uint64_t seen =
		    group->seen_index > group->last_index ? group->seen_index : group->last_index;
		int result = lost(arg, group->number, group->last_index + 1, seen);
		if (result < 0)
			return result;
	}
	return 0;
}

static int copy_bytes(struct fs_file *from, struct fs_file *to, uint64_t bytes, uint8_t *buffer)
{
	for (uint64_t at = 0; at < bytes;) {
		size_t step = bytes - at < COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
		size_t count = 0;
		int error = fs_read(from, at, buffer, step, &count);
		if (error == ERR_IO && step > LOG_ALIGNMENT) {
			/* Down to what is really unreadable; that is zeros in the copy. */
			step = LOG_ALIGNMENT;
			error = fs_read(from, at, buffer, step, &count);
		}
		if (error && error != ERR_IO)
			return error;
		if (error)
			count = 0;
		memset(buffer + count, 0, step - count);
		error = fs_write(to, at, buffer, step);
		if (error)
			return error;
		at += step;
	}
	return fs_sync(to);
}

static int copy_segment(
    const struct tool *tool, const struct log_scan_segment *segment, const char *dir)
{
	char path[FS_PATH_BYTES_MAX];
	log_path(path, dir, segment->number, LOG_FILE_SEGMENT);
	uint8_t *buffer = mem_alloc(COPY_BYTES);
	if (!buffer)
		return ERR_NOMEM;
	struct fs_file *to;
	int error = fs_open(tool->scan.fs, path, FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &to);
	if (!error) {
		error = copy_bytes(segment->file, to, segment->bytes, buffer);
		fs_close(to);
	}
	mem_free(buffer);
	return error;
}

static int copy_log(const struct tool *tool, const char *dir)
{
	struct fs *fs = tool->scan.fs;
	bool exists = false;
	int error = fs_exists(fs, dir, &exists);
	if (error)
		return error;
	if (exists)
		return ERR_EXISTS;
	error = fs_make_dir(fs, dir);
	for (size_t i = 0; !error && i < tool->scan.segment_count; i++)
		error = copy_segment(tool, &tool->scan.segments[i], dir);
	if (!error)
		error = fs_sync_dir(fs, dir);
	/* The name of the copy itself. */
	char parent[FS_PATH_BYTES_MAX];
	int bytes = snprintf(parent, sizeof(parent), "%s", dir);
	ASSERT(bytes > 0 && bytes < FS_PATH_BYTES_MAX);
	char *slash = strrchr(parent, '/');
	if (slash)
		*slash = 0;
	if (!error)
		error = fs_sync_dir(fs, slash ? parent : ".");
	return error;
}

/* Behind which of the gaps that are accepted nothing of the group was kept. */
static uint64_t detached_behind(const struct log_group_state *group, uint64_t accepted)
{
	uint64_t detached = 0, number = 0;
	for (; accepted != 0; accepted &= accepted - 1, number++) {
		uint64_t gap = (uint64_t)__builtin_ctzll(accepted);
		detached |= ((group->detached | group->unproven) >> gap & 1) << number;
	}
	return detached;
}

/* One frame says all of it: so it is accepted as a whole or not at all. */
static int accept(
    struct tool *tool, struct log_recovery *recovery, const struct log_recover_options *how)
{
	size_t count_max = tool->index.group_count + LOG_GAPS_MAX;
	uint8_t *records = mem_zalloc(count_max, LOG_RECORD_HEADER_BYTES + sizeof(uint64_t));
	if (!records)
		return ERR_NOMEM;
	uint64_t matter = log_index_gaps_that_matter(&tool->index);
	uint32_t bytes = 0, count = 0;
	for (size_t i = 0; i < tool->index.group_count; i++) {
		const struct log_group_state *group = tool->index.sorted[i];
		uint64_t detached = detached_behind(group, matter);
		if (!log_group_suspect(group) && detached == 0)
			continue;
		log_record_write(records + bytes, group->number, LOG_TRUNCATE, group->last_term,
		    group->last_index, sizeof(uint64_t));
		bytes += LOG_RECORD_HEADER_BYTES;
		store_u64le(records + bytes, detached);
		bytes += (uint32_t)sizeof(uint64_t);
		count++;
	}
	for (uint64_t i = 0; i < tool->index.gap_count; i++) {
		if (!(matter >> i & 1))
			continue;
		const struct log_indexed_gap *gap = &tool->index.gaps[i];
		log_record_write(records + bytes, 0, LOG_ACCEPT_LOSS, gap->first, gap->last, 0);
		bytes += LOG_RECORD_HEADER_BYTES;
		count++;
	}
	int error = log_recover_repair(recovery, how, records, bytes, count);
	mem_free(records);
	return error;
}

/* Sizes as the log has them, since there is no configuration here. */
static struct log_recover_options sizes_of(const struct tool *tool)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < tool->scan.segment_count; i++)
		if (tool->scan.segments[i].bytes > bytes)
			bytes = tool->scan.segments[i].bytes;
	if (bytes == 0)
		bytes = SEGMENT_BYTES_DEFAULT;
	return (struct log_recover_options){.segment_bytes = bytes,
	    .first_segment_bytes = bytes,
	    .frame_bytes_max = bytes < FRAME_BYTES_MAX ? (uint32_t)bytes : FRAME_BYTES_MAX};
}

int log_tool_repair(const struct log_tool_options *options, const char *copy_dir,
    int (*lost)(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen),
    void *arg, struct log_report *ret_report)
{
	struct tool tool;
	struct log_report report;
	int error = tool_begin(&tool, options, true, &report);
	if (error)
		return error;
	if (!has_damage(&tool))
		error = ERR_NOT_FOUND;
	if (!error)
		error = tell_lost(&tool, lost, arg);
	if (!error)
		error = copy_log(&tool, copy_dir);
	if (!error) {
		struct log_recover_options how = sizes_of(&tool);
		struct log_recovery recovery;
		error = log_recover(&tool.scan, &how, &recovery);
		if (!error) {
			report.rewritten_frames = recovery.rewritten_frames;
			report.renumbered_segments = recovery.renumbered_segments;
			error = accept(&tool, &recovery, &how);
		}
	}
	tool_done(&tool);
	if (!error)
		*ret_report = report;
	return error;
}
