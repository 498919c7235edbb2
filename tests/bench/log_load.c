#include "tests/bench/log_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io/fs.h"
#include "base/limits.h"
#include "base/random.h"

enum {
	GROUPS = 42,
	RECORD_BYTES_MIN = 64,
	CHECKPOINT_BYTES = 64 << 20, /* of the log, then it is released */
};

static const char DIR_NAME[] = "bench-log";

static uint64_t next_index[GROUPS];
static uint8_t content[LOAD_RECORD_BYTES_MAX];
static struct random numbers;

static void must(const char *what, int error)
{
	if (error < 0) {
		fprintf(stderr, "%s: %s\n", what, error_text(error));
		exit(1);
	}
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct load *load = arg;
	for (size_t i = 0; i < count; i++)
		load->durable += extents[i].last_index + 1 - extents[i].first_index;
}

void load_open(struct load *load, const char *directory, struct io *io, uint32_t in_flight)
{
	*load = (struct load){.directory = directory};
	random_init(&numbers, 1);
	random_bytes(&numbers, content, sizeof(content));
	for (uint32_t group = 0; group < GROUPS; group++)
		next_index[group] = 1;
	must(directory, fs_open_root(directory, false, &load->fs));
	must(DIR_NAME, fs_make_dir(load->fs, DIR_NAME));
	struct log_options options = {.fs = load->fs,
	    .io = io,
	    .dir = DIR_NAME,
	    .store = 1,
	    .segment_bytes = SEGMENT_BYTES_DEFAULT,
	    .first_segment_bytes = SEGMENT_BYTES_DEFAULT,
	    .frames_in_flight_max = in_flight,
	    .frame_bytes_max = FRAME_BYTES_MAX,
	    .watermark_delay_ms = 1000,
	    .durable = durable,
	    .arg = load};
	struct log_report report;
	must("opening the log", log_open(&options, &load->log, &report));
}

static int remove_file(void *arg, const char *name, bool is_dir)
{
	struct load *load = arg;
	char path[FS_PATH_BYTES_MAX];
	snprintf(path, sizeof(path), "%s/%s", DIR_NAME, name);
	return is_dir ? 0 : fs_unlink(load->fs, path);
}

void load_close(struct load *load)
{
	log_free(load->log);
	must("removing the log", fs_list(load->fs, DIR_NAME, remove_file, load));
	fs_close_root(load->fs);
	char path[FS_PATH_BYTES_MAX];
	snprintf(path, sizeof(path), "%s/%s", load->directory, DIR_NAME);
	if (rmdir(path) != 0)
		perror(path);
}

/* Functions of their own, so that callgrind can count them alone. */
__attribute__((noinline)) static bool bench_append(
    struct log *log, uint32_t group, uint64_t index, uint32_t bytes)
{
	if (!log_reserve(log, bytes, 1))
		return false;
	log_unreserve(log, bytes, 1);
	uint8_t *payload;
	log_append(log, group, 1, index, bytes, &payload);
	memcpy(payload, content, bytes);
	return true;
}

__attribute__((noinline)) static void bench_flush(struct log *log)
{
	log_flush(log);
}

void load_turn(struct load *load)
{
	for (uint32_t group = 0; group < GROUPS; group++) {
		uint32_t bytes =
		    RECORD_BYTES_MIN +
		    (uint32_t)random_below(&numbers, LOAD_RECORD_BYTES_MAX - RECORD_BYTES_MIN + 1);
		/* Full: what is under way has to end first. */
		if (!bench_append(load->log, group, next_index[group], bytes))
			break;
		next_index[group]++;
		load->appended++;
	}
	bench_flush(load->log);
}

void load_release(struct load *load)
{
	if (log_figures(load->log).needed_bytes < CHECKPOINT_BYTES)
		return;
	struct log_anchor anchor;
	for (uint32_t group = 0; group < GROUPS; group++)
		(void)log_plan(load->log, group, log_group(load->log, group).durable_index);
	log_plan_anchor(load->log, &anchor);
	log_release(load->log, &anchor);
}
