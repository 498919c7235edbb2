/* An ordered map of bytes to bytes, as simple as can be: what tests of storage compare with. Memory
 * is plain malloc, so that failures of mem.h do not strike it. */
#ifndef KX_TESTS_UNIT_STORAGE_MODEL_H
#define KX_TESTS_UNIT_STORAGE_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct model_pair {
	struct slice key;
	struct slice value;
};

/* Zeroed is empty. */
struct model {
	struct model_pair *pairs; /* sorted */
	size_t count;
	size_t capacity;
};

void model_done(struct model *model);
void model_copy(struct model *to, const struct model *from); /* `to` is empty or was used before */
/* The first pair at or behind the key. */
size_t model_seek(const struct model *model, struct slice key);
bool model_get(const struct model *model, struct slice key, struct slice *ret_value);
void model_put(struct model *model, struct slice key, struct slice value);
void model_append(struct model *model, struct slice key, struct slice value);
void model_delete(struct model *model, struct slice key);
/* Every pair whose key begins with `prefix`. */
void model_delete_range(struct model *model, struct slice prefix);
bool model_equal(const struct model *a, const struct model *b);

#endif
