/* Histories: the JSON of SHARD_HISTORY (docs/admin-protocol.md) to the model. */
#ifndef KX_TESTS_SHARD_SIM_HISTORY_H
#define KX_TESTS_SHARD_SIM_HISTORY_H

#include <stdbool.h>

#include "base/slice.h"
#include "tests/shard_sim/model.h"

enum { HISTORY_CURSOR_BYTES_MAX = 64 };

/* One answer to the call. True: there is more, from `cursor` on. */
bool history_read(struct model *model, const struct model_call *of, struct slice reply,
    char cursor[HISTORY_CURSOR_BYTES_MAX]);

#endif
