/* Kept states: a value entity whose component declares `history` has, beside its head, a record for
 * each of its last changes. They are written and deleted with the change, one by one, so an entry
 * stays bounded: where a component keeps fewer than before, or none, each change deletes a few more
 * than it adds until that is reached. A delete is a change like others: it is kept, and so is what
 * was before it. */
#include "server/shard/shard_parts.h"

#include "base/assert.h"
#include "storage/batch.h"

enum { DROPS_MAX = 8 };

static bool is_concerned(uint32_t keep, const struct head *head)
{
	return keep > 0 || head->kept_from > 0;
}

uint64_t kept_bytes_max(const struct host_component *component, const struct head *head)
{
	uint32_t keep = host_component_history(component);
	if (!is_concerned(keep, head))
		return 0;
	uint64_t bytes = (1 + DROPS_MAX) * (uint64_t)(ENTITY_KEY_BYTES_MAX + BATCH_OP_BYTES_MAX);
	if (keep > 0)
		bytes += STATE_RECORD_BYTES_MAX + host_component_change_bytes_max(component);
	return bytes;
}

void kept_plan(uint32_t keep, struct head *head, struct kept *ret_kept)
{
	struct kept kept = {.puts = keep > 0};
	uint64_t first = head->kept_from;
	if (keep > 0 && first == 0)
		first = head->revision;
	if (first > 0) {
		kept.drop_first = first;
		uint64_t end = head->revision >= keep ? head->revision - keep + 1 : 1;
		while (first < end && kept.drops < DROPS_MAX) {
			first++;
			kept.drops++;
		}
	}
	/* Behind the newest: none is left. */
	head->kept_from = first > head->revision ? 0 : first;
	*ret_kept = kept;
}

uint64_t kept_bytes(const struct kept *kept, const struct head *head)
{
	uint64_t bytes =
	    (uint64_t)(kept->puts + kept->drops) * (ENTITY_KEY_BYTES_MAX + BATCH_OP_BYTES_MAX);
	return kept->puts ? bytes + STATE_RECORD_BYTES_MAX + head->state.bytes : bytes;
}

void kept_write(
    const struct kept *kept, const struct head *head, struct entity_name name, struct writer *out)
{
	struct key key;
	if (kept->puts) {
		uint8_t span[STATE_RECORD_BYTES_MAX];
		struct writer record = writer_of(span, sizeof(span));
		state_record_write(&record, &(struct state_record){.exists = head->exists,
		                                .has_state = head->has_state,
		                                .state_version = head->state_version,
		                                .at_ms = head->at_ms});
		ASSERT(!record.failed);
		key_of_state(&key, name, head->revision);
		batch_put_begin(out, key_view(&key), writer_used(&record) + head->state.bytes);
		writer_slice(out, writer_view(&record));
		writer_slice(out, head->state);
	}
	for (uint64_t i = 0; i < kept->drops; i++) {
		key_of_state(&key, name, kept->drop_first + i);
		batch_delete(out, key_view(&key));
	}
}
