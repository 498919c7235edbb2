#include "tests/unit/storage/model.h"

#include <stdlib.h>
#include <string.h>

static struct slice copy(struct slice from)
{
	uint8_t *data = malloc(from.bytes + 1);
	if (!data)
		abort();
	if (from.bytes > 0)
		memcpy(data, from.data, from.bytes);
	return slice_of(data, from.bytes);
}

static void drop(struct slice bytes)
{
	free((void *)(uintptr_t)bytes.data);
}

void model_done(struct model *model)
{
	for (size_t i = 0; i < model->count; i++) {
		drop(model->pairs[i].key);
		drop(model->pairs[i].value);
	}
	free(model->pairs);
	*model = (struct model){.pairs = NULL};
}

void model_copy(struct model *to, const struct model *from)
{
	model_done(to);
	for (size_t i = 0; i < from->count; i++)
		model_put(to, from->pairs[i].key, from->pairs[i].value);
}

size_t model_seek(const struct model *model, struct slice key)
{
	size_t low = 0;
	size_t high = model->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(model->pairs[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct model *model, size_t at, struct slice key)
{
	return at < model->count && slice_equal(model->pairs[at].key, key);
}

bool model_get(const struct model *model, struct slice key, struct slice *ret_value)
{
	size_t at = model_seek(model, key);
	if (!is_at(model, at, key))
		return false;
	*ret_value = model->pairs[at].value;
	return true;
}

void model_put(struct model *model, struct slice key, struct slice value)
{
	size_t at = model_seek(model, key);
	if (is_at(model, at, key)) {
		struct slice old = model->pairs[at].value;
		model->pairs[at].value = copy(value);
		drop(old);
		return;
	}
	if (model->count == model->capacity) {
		model->capacity = model->capacity ? 2 * model->capacity : 16;
		model->pairs = realloc(model->pairs, model->capacity * sizeof(*model->pairs));
		if (!model->pairs)
			abort();
	}
	memmove(
	    model->pairs + at + 1, model->pairs + at, (model->count - at) * sizeof(*model->pairs));
	model->pairs[at] = (struct model_pair){.key = copy(key), .value = copy(value)};
	model->count++;
}

void model_append(struct model *model, struct slice key, struct slice value)
{
	struct slice old = slice_of(NULL, 0);
	model_get(model, key, &old);
	uint8_t *joined = malloc(old.bytes + value.bytes + 1);
	if (!joined)
		abort();
	if (old.bytes > 0)
		memcpy(joined, old.data, old.bytes);
	if (value.bytes > 0)
		memcpy(joined + old.bytes, value.data, value.bytes);
	model_put(model, key, slice_of(joined, old.bytes + value.bytes));
	free(joined);
}

static void delete_at(struct model *model, size_t at)
{
	drop(model->pairs[at].key);
	drop(model->pairs[at].value);
	model->count--;
	memmove(
	    model->pairs + at, model->pairs + at + 1, (model->count - at) * sizeof(*model->pairs));
}

void model_delete(struct model *model, struct slice key)
{
	size_t at = model_seek(model, key);
	if (is_at(model, at, key))
		delete_at(model, at);
}

void model_delete_range(struct model *model, struct slice prefix)
{
	size_t at = model_seek(model, prefix);
	while (at < model->count && model->pairs[at].key.bytes >= prefix.bytes &&
	       memcmp(model->pairs[at].key.data, prefix.data, prefix.bytes) == 0)
		delete_at(model, at);
}

bool model_equal(const struct model *a, const struct model *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!slice_equal(a->pairs[i].key, b->pairs[i].key) ||
		    !slice_equal(a->pairs[i].value, b->pairs[i].value))
			return false;
	}
	return true;
}
