#include "tests/unit/store/source.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"

static bool array_next(struct store_source *source, struct store_change *ret_change)
{
	struct array_source *array = (struct array_source *)(void *)source;
	if (array->next == array->count)
		return false;
	*ret_change = array->changes[array->next++];
	return true;
}

struct array_source array_source(const struct store_change *changes, size_t count)
{
	return (struct array_source){
	    .source = {.next = array_next}, .changes = changes, .count = count};
}

struct slice model_key(uint32_t number, uint8_t *key)
{
	/* The first four bytes are a shard's, as in all keys. */
	memset(key, 0, 16);
	key[3] = (uint8_t)(number / 100);
	key[4] = 16;
	int bytes = snprintf((char *)key + 5, 11, "key%05u", (unsigned)number % 100000);
	return slice_of(key, 5 + (size_t)bytes);
}

struct slice model_value(uint32_t number, uint32_t version, uint8_t *value)
{
	uint32_t seed[2] = {number, version};
	uint64_t hash = hash_bytes(slice_of(seed, sizeof(seed)), 0);
	size_t bytes = hash % (MODEL_VALUE_BYTES_MAX + 1);
	for (size_t i = 0; i < bytes; i++) {
		hash = hash * 6364136223846793005u + 1442695040888963407u;
		value[i] = (uint8_t)(hash >> 56);
	}
	return slice_of(value, bytes);
}

static bool model_next(struct store_source *source, struct store_change *ret_change)
{
	struct model_source *model = (struct model_source *)(void *)source;
	while (model->number < MODEL_KEYS) {
		uint32_t number = model->number++;
		uint32_t after = model->after->version[number];
		if (after == model->before->version[number])
			continue;
		*ret_change = (struct store_change){
		    .key = model_key(number, model->key), .is_delete = after == 0};
		if (after != 0)
			ret_change->value = model_value(number, after, model->value);
		return true;
	}
	return false;
}

struct model_source model_source(const struct model *before, const struct model *after)
{
	return (struct model_source){
	    .source = {.next = model_next}, .before = before, .after = after};
}

void model_change(struct model *model, uint64_t *random, uint32_t version)
{
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		*random = *random * 6364136223846793005u + 1442695040888963407u;
		uint32_t draw = (uint32_t)(*random >> 33) % 100;
		if (draw < 10)
			model->version[number] = 0;
		else if (draw < 40)
			model->version[number] = version;
	}
}

static bool matches_cursor(const struct model *model, struct store_cursor *cursor)
{
	uint8_t key_bytes[16];
	uint8_t value_bytes[MODEL_VALUE_BYTES_MAX];
	struct slice key;
	struct slice value;
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		if (model->version[number] == 0)
			continue;
		if (store_cursor_next(cursor, &key, &value) != 0 ||
		    !slice_equal(key, model_key(number, key_bytes)) ||
		    !slice_equal(value, model_value(number, model->version[number], value_bytes)))
			return false;
	}
	return store_cursor_next(cursor, &key, &value) == ERR_NOT_FOUND;
}

static bool matches(const struct model *model, struct store *store, struct store_snapshot *snapshot,
    struct slice end)
{
	struct store_cursor *cursor;
	if (store_cursor_open(store, snapshot, slice_of(NULL, 0), end, &cursor) != 0)
		return false;
	bool matches = matches_cursor(model, cursor);
	store_cursor_close(cursor);
	return matches;
}

bool model_matches(const struct model *model, struct store *store, struct store_snapshot *snapshot)
{
	return matches(model, store, snapshot, slice_of(NULL, 0));
}

bool model_matches_before(const struct model *model, struct store *store, struct slice end)
{
	return matches(model, store, NULL, end);
}

bool model_matches_gets(const struct model *model, struct store *store)
{
	uint8_t key_bytes[16];
	uint8_t value_bytes[MODEL_VALUE_BYTES_MAX];
	struct buffer value;
	bool matches = true;
	buffer_init(&value, 64 << 10);
	for (uint32_t number = 0; number < MODEL_KEYS && matches; number++) {
		uint32_t version = model->version[number];
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key_bytes), &value);
		if (version == 0)
			matches = error == ERR_NOT_FOUND;
		else
			matches = error == 0 && slice_equal(buffer_view(&value),
			                            model_value(number, version, value_bytes));
	}
	buffer_done(&value);
	return matches;
}
