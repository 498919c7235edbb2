/* What the states of a struct install_world's shards are made of, and how they are compared. */
#ifndef KX_TESTS_UNIT_STORAGE_INSTALL_STATE_H
#define KX_TESTS_UNIT_STORAGE_INSTALL_STATE_H

#include "tests/unit/storage/install_world.h"

enum { INSTALL_KEY_MAX = 16, INSTALL_VALUE_MAX = 4096 };

struct slice install_point_key(uint64_t point, uint8_t data[INSTALL_KEY_MAX]);
/* The entry that set the point, as of `index`; 0: none did, or it is deleted. */
uint64_t install_entry_of_point(
    const struct install_history *history, uint64_t index, uint64_t point);
/* The number-th pair of the state at `index`, in order. False: there are fewer. */
bool install_pair_of(const struct install_history *history, uint64_t index, unsigned number,
    uint8_t key[INSTALL_KEY_MAX], struct slice *ret_key, uint8_t value[INSTALL_VALUE_MAX],
    struct slice *ret_value);
/* What the entry does, in `span`: INSTALL_VALUE_MAX and 64 bytes. */
struct slice install_batch_of(const struct install_entry *entry, uint64_t index, uint8_t *span);
uint64_t install_last_term(const struct install_history *history);

/* ---- Inside the process ---- */

/* Whether a cursor shows just that. */
bool install_has_state(
    const struct install_shard *shard, const struct install_history *history, uint64_t index);
/* Whether the shard is what the snapshot that was coming made of it. */
bool install_is_new(const struct install_shard *shard);
/* Whether the engine lists it. */
bool install_is_known(const struct install_shard *shard);
/* Where the engine has it in memory. */
void install_check_point(struct install_shard *shard, uint64_t point);

#endif
