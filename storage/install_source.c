#include "storage/install_source.h"

#include "base/assert.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/store.h"

#include <string.h>

enum source_part { PART_RANGE, PART_APPLIED, PART_DAMAGED, PART_END };

struct source {
	struct store_source source; /* first: what store_write knows */
	struct install_write *write;
	struct install_reader *reader;
	struct store_cursor *old;
	enum source_part part;

	bool has_old, old_ended, has_new, new_ended;
	struct slice old_key;
	struct slice new_value;
	size_t new_key_bytes;
	uint8_t new_key[KEY_SHARD_BYTES + INSTALL_KEY_BYTES_MAX];
	uint8_t own_key[KEY_LISTED_BYTES];
	uint8_t base[RECORD_APPLIED_BYTES];
};

static int need_old(struct source *source)
{
	struct slice value;
	if (source->has_old || source->old_ended)
		return 0;
	int error = store_cursor_next(source->old, &source->old_key, &value);
	source->has_old = error == 0;
	source->old_ended = error == ERR_NOT_FOUND;
	return source->old_ended ? 0 : error;
}

static int need_new(struct source *source)
{
	struct slice key;
	if (source->has_new || source->new_ended)
		return 0;
	int error = install_reader_next(source->reader, &key, &source->new_value);
	source->new_ended = error == ERR_NOT_FOUND;
	if (source->new_ended)
		return 0;
	if (error) {
		source->write->file_bad = error != ERR_NOMEM;
		return error;
	}
	/* What was put was in order; store_write relies on it. */
	struct slice before =
	    slice_of(source->new_key + KEY_SHARD_BYTES, source->new_key_bytes - KEY_SHARD_BYTES);
	if (before.bytes > 0 && slice_compare(before, key) >= 0) {
		source->write->file_bad = true;
		return ERR_CORRUPT;
	}
	memcpy(source->new_key + KEY_SHARD_BYTES, key.data, key.bytes);
	source->new_key_bytes = KEY_SHARD_BYTES + key.bytes;
	source->has_new = true;
	return 0;
}

/* Each gives 1 and a change, 0 where the part ends, or an error. */

static int next_of_range(struct source *source, struct store_change *ret_change)
{
	int error = need_old(source);
	if (!error)
		error = need_new(source);
	if (error)
		return error;
	if (!source->has_old && !source->has_new)
		return 0;
	struct slice new_key = slice_of(source->new_key, source->new_key_bytes);
	int order = -1;
	if (source->has_new)
		order = source->has_old ? slice_compare(source->old_key, new_key) : 1;
	/* Views of both stay valid until the next call of either. */
	if (order <= 0)
		source->has_old = false;
	if (order < 0) {
		*ret_change = (struct store_change){.key = source->old_key, .is_delete = true};
		source->write->deletes++;
		return 1;
	}
	source->has_new = false;
	*ret_change = (struct store_change){.key = new_key, .value = source->new_value};
	source->write->puts++;
	return 1;
}

static int next_own(struct source *source, struct store_change *ret_change)
{
	const struct install_head *head = &source->write->head;
	bool is_base = source->part == PART_APPLIED;
	key_listed_put(source->own_key, is_base ? KEY_KIND_APPLIED : KEY_KIND_DAMAGED, head->shard);
	*ret_change = (struct store_change){
	    .key = slice_of(source->own_key, KEY_LISTED_BYTES), .is_delete = true};
	if (!is_base || head->kind == INSTALL_REMOVAL)
		return 1;
	struct log_base base = source->write->hard;
	base.index = head->index;
	base.term = head->term;
	record_applied_encode(&base, source->base);
	ret_change->is_delete = false;
	ret_change->value = slice_of(source->base, RECORD_APPLIED_BYTES);
	return 1;
}

static bool source_next(struct store_source *store_source, struct store_change *ret_change)
{
	struct source *source = (struct source *)(void *)store_source;
	int result = 0;
	if (source->part == PART_RANGE) {
		result = next_of_range(source, ret_change);
		if (result == 0)
			source->part = PART_APPLIED;
	}
	if (result == 0 && source->part < PART_END) {
		result = next_own(source, ret_change);
		source->part++;
	}
	if (result < 0)
		source->source.error = result;
	return result > 0;
}

static void write_all(struct install_write *write, struct install_reader *reader)
{
	uint8_t first[KEY_SHARD_BYTES];
	uint8_t end[KEY_SHARD_BYTES];
	struct source source = {.source = {.next = source_next}, .write = write, .reader = reader};
	key_shard_put(first, write->head.shard);
	key_shard_put(end, write->head.shard + 1);
	key_shard_put(source.new_key, write->head.shard);
	source.new_key_bytes = KEY_SHARD_BYTES;
	write->error = store_cursor_open(write->store, NULL, slice_of(first, sizeof(first)),
	    slice_of(end, sizeof(end)), &source.old);
	if (write->error)
		return;
	write->error = store_write(write->store, &source.source);
	store_cursor_close(source.old);
}

void install_write_run(struct install_write *write)
{
	struct install_reader reader;
	write->head = (struct install_head){.index = 0};
	write->file_bad = false;
	write->puts = 0;
	write->deletes = 0;
	write->error = install_reader_open(write->fs, write->path, &reader);
	if (write->error) {
		write->file_bad = write->error != ERR_NOMEM;
		return;
	}
	write->head = reader.head;
	write_all(write, &reader);
	install_reader_close(&reader);
}
