/* Changes for store_write out of an array, and a model of what a store holds: numbered keys and
 * values, some of them absent. */
#ifndef KX_TESTS_UNIT_STORE_SOURCE_H
#define KX_TESTS_UNIT_STORE_SOURCE_H

#include <stdint.h>

#include "storage/store.h"

struct array_source {
	struct store_source source;
	const struct store_change *changes;
	size_t count;
	size_t next;
};

/* The changes stay the caller's until store_write returned. */
struct array_source array_source(const struct store_change *changes, size_t count);

enum {
	MODEL_KEYS = 500,
	MODEL_VALUE_BYTES_MAX = 400,
};

/* The version of each key's value; 0: absent. */
struct model {
	uint32_t version[MODEL_KEYS];
};

/* Key number `number` of the model, in key order; `key` has at least 16 bytes. */
struct slice model_key(uint32_t number, uint8_t *key);
/* What that version of the key holds: 0 to MODEL_VALUE_BYTES_MAX bytes. */
struct slice model_value(uint32_t number, uint32_t version, uint8_t *value);

/* A write that takes the model from one state to another. */
struct model_source {
	struct store_source source;
	const struct model *before;
	const struct model *after;
	uint32_t number;
	uint8_t key[16];
	uint8_t value[MODEL_VALUE_BYTES_MAX];
};
struct model_source model_source(const struct model *before, const struct model *after);

/* Changes some of the keys, drawn from *random (any state). */
void model_change(struct model *model, uint64_t *random, uint32_t version);

/* Whether a cursor over the snapshot (NULL: now) shows exactly the model. Errors are no match. */
bool model_matches(const struct model *model, struct store *store, struct store_snapshot *snapshot);
/* The same for the keys before `end`. */
bool model_matches_before(const struct model *model, struct store *store, struct slice end);
/* The same by store_get of each key. */
bool model_matches_gets(const struct model *model, struct store *store);

#endif
