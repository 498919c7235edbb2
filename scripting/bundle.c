#include "scripting/bundle.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/msgpack.h"
#include "base/wire/utf8.h"

#include <stdlib.h>

static const char magic[] = "kalix-bundle";
enum { FORMAT = 1 };

static bool is_path_character(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.';
}

bool bundle_path_valid(struct slice path)
{
	static const char ending[] = ".lua";
	size_t ending_bytes = sizeof(ending) - 1;
	if (path.bytes <= ending_bytes || path.bytes > BUNDLE_PATH_BYTES_MAX ||
	    memcmp(path.data + path.bytes - ending_bytes, ending, ending_bytes) != 0)
		return false;
	bool at_part = true;
	for (size_t i = 0; i < path.bytes; i++) {
		uint8_t byte = path.data[i];
		if (byte == '/') {
			if (at_part)
				return false;
			at_part = true;
			continue;
		}
		if (!is_path_character(byte) || (at_part && byte == '.'))
			return false;
		at_part = false;
	}
	return true;
}

static int compare_files(const void *a, const void *b)
{
	return slice_compare((*(const struct host_file *const *)a)->path,
	    (*(const struct host_file *const *)b)->path);
}

static int check_files(const struct host_file *const *sorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!bundle_path_valid(sorted[i]->path) || !utf8_valid(sorted[i]->source))
			return ERR_INVALID;
		if (i > 0 && slice_equal(sorted[i - 1]->path, sorted[i]->path))
			return ERR_INVALID;
	}
	return 0;
}

static int pack_sorted(
    const struct host_file *const *sorted, size_t count, struct buffer *ret_bundle)
{
	size_t before = buffer_bytes(ret_bundle);
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, ret_bundle);
	msgpack_write_array(&writer, 3);
	msgpack_write_string(&writer, slice_from_text(magic));
	msgpack_write_integer(&writer, FORMAT);
	msgpack_write_map(&writer, count);
	for (size_t i = 0; i < count; i++) {
		msgpack_write_string(&writer, sorted[i]->path);
		msgpack_write_string(&writer, sorted[i]->source);
	}
	int error = msgpack_writer_finish(&writer);
	if (!error && buffer_bytes(ret_bundle) - before > BUNDLE_BYTES_MAX) {
		buffer_truncate(ret_bundle, before);
		error = ERR_TOO_LARGE;
	}
	return error;
}

int host_bundle_pack(const struct host_file *files, size_t count, struct buffer *ret_bundle)
{
	if (count == 0 || count > BUNDLE_FILES_MAX)
		return count ? ERR_TOO_LARGE : ERR_INVALID;
	const struct host_file **sorted = mem_zalloc(count, sizeof(*sorted));
	if (!sorted)
		return ERR_NOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = &files[i];
	qsort(sorted, count, sizeof(*sorted), compare_files);
	int error = check_files(sorted, count);
	if (!error)
		error = pack_sorted(sorted, count, ret_bundle);
	mem_free(sorted);
	return error;
}

void host_bundle_hash(struct slice bundle, char ret_hash[HOST_HASH_CHARACTERS + 1])
{
	static const char digits[] = "0123456789abcdef";
	struct hash128 hash = hash128_bytes(bundle, 0);
	uint64_t halves[2] = {hash.high, hash.low};
	for (unsigned i = 0; i < HOST_HASH_CHARACTERS; i++)
		ret_hash[i] = digits[halves[i / 16] >> (60 - i % 16 * 4) & 15];
	ret_hash[HOST_HASH_CHARACTERS] = 0;
}

/* The head of the container: the number of files comes next. */
static const char *read_head(struct msgpack_reader *reader, uint32_t *ret_count)
{
	struct msgpack_value value;
	if (msgpack_next(reader, &value) || value.type != MSGPACK_ARRAY || value.count != 3)
		return "this is not a bundle";
	if (msgpack_next(reader, &value) || value.type != MSGPACK_STRING ||
	    !slice_equal(value.bytes, slice_from_text(magic)))
		return "this is not a bundle";
	if (msgpack_next(reader, &value) || value.type != MSGPACK_INTEGER ||
	    value.integer != FORMAT)
		return "the bundle has a format that this version does not know";
	if (msgpack_next(reader, &value) || value.type != MSGPACK_MAP)
		return "this is not a bundle";
	if (value.count == 0 || value.count > BUNDLE_FILES_MAX)
		return "a bundle has 1 to 1000 files";
	*ret_count = value.count;
	return NULL;
}

static const char *read_files(struct msgpack_reader *reader, struct bundle_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		struct msgpack_value path, source;
		if (msgpack_next(reader, &path) || path.type != MSGPACK_STRING ||
		    msgpack_next(reader, &source) || source.type != MSGPACK_STRING)
			return "the bundle is damaged, or holds what is not UTF-8";
		if (!bundle_path_valid(path.bytes))
			return "a path in the bundle is not one of a Lua file";
		if (i > 0 && slice_compare(files->items[i - 1].path, path.bytes) >= 0)
			return "the bundle's paths are not in ascending order";
		files->items[i] = (struct host_file){.path = path.bytes, .source = source.bytes};
	}
	if (!msgpack_finished(reader))
		return "something stands behind the bundle";
	if (!bundle_find(files, slice_from_text("app.lua")))
		return "the bundle has no app.lua";
	return NULL;
}

int bundle_open(struct slice bytes, struct bundle_files *ret_files, const char **ret_why)
{
	if (bytes.bytes > BUNDLE_BYTES_MAX) {
		*ret_why = "the bundle is larger than 8 MiB";
		return ERR_INVALID;
	}
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, bytes, true, 3);
	uint32_t count = 0;
	const char *why = read_head(&reader, &count);
	if (why) {
		*ret_why = why;
		return ERR_INVALID;
	}
	struct bundle_files files = {mem_zalloc(count, sizeof(*files.items)), count};
	if (!files.items)
		return ERR_NOMEM;
	why = read_files(&reader, &files);
	if (why) {
		bundle_close(&files);
		*ret_why = why;
		return ERR_INVALID;
	}
	*ret_files = files;
	return 0;
}

void bundle_close(struct bundle_files *files)
{
	mem_free(files->items);
	*files = (struct bundle_files){0};
}

const struct host_file *bundle_find(const struct bundle_files *files, struct slice path)
{
	size_t begin = 0, end = files->count;
	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;
		int order = slice_compare(files->items[middle].path, path);
		if (order == 0)
			return &files->items[middle];
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	return NULL;
}
