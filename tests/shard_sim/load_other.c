/* What another leader changes, where the groups are the double, whose handlers are in C. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "server/shard/records.h"
#include "storage/batch.h"
#include "tests/shard_sim/load.h"
#include "tests/shard_sim/view.h"

enum { OTHER_PERCENT = 70 };

static bool find_entity(struct load *load, uint32_t shard, unsigned *ret_entity)
{
	unsigned from = (unsigned)random_below(&load->random, MODEL_ENTITIES);
	for (unsigned i = 0; i < MODEL_ENTITIES; i++) {
		unsigned entity = (from + i) % MODEL_ENTITIES;
		if (!model_is_account(entity) && model_shard(entity) == shard) {
			*ret_entity = entity;
			return true;
		}
	}
	return false;
}

/* A counter's state with one more id, as its own handler would make it. */
static size_t add_id(uint8_t *to, size_t bytes_max, const struct head *head, uint64_t id)
{
	struct writer out = writer_of(to, bytes_max);
	size_t old = head->has_state ? (head->state.bytes - 3) / 9 : 0;
	size_t skip = old == VIEW_IDS ? 1 : 0;
	writer_u8(&out, 0xdc);
	writer_u16be(&out, (uint16_t)(old - skip + 1));
	if (old > skip)
		writer_bytes(&out, head->state.data + 3 + 9 * skip, 9 * (old - skip));
	writer_u8(&out, 0xd3);
	writer_u64be(&out, id);
	ASSERT(!out.failed);
	return writer_used(&out);
}

/* What its shard is told by its record: the version of the app, and the incarnation of counters.
 * False: it is not there, or has no counters. */
static bool find_version(struct load *load, struct engine *engine, uint32_t shard,
    unsigned *ret_version, uint64_t *ret_incarnation)
{
	struct key key;
	struct slice record;
	struct reader in;
	struct active_record active;
	struct dropped_record dropped;
	uint32_t apps, drops;
	key_of_shard(&key, SHARD_KEY_ACTIVE);
	if (engine_get(engine, shard, key_view(&key), &record) != TABLE_VALUE ||
	    active_open(record, &in, &apps, &drops) || apps != 1 || !active_read(&in, &active))
		return false;
	*ret_version = (unsigned)active.directory_index;
	*ret_incarnation = 0;
	for (uint32_t i = 0; i < drops && dropped_read(&in, &dropped); i++)
		if (slice_equal(dropped.type, slice_from_text("counter")))
			*ret_incarnation = dropped.incarnation;
	return model_types(load->model, *ret_version) & MODEL_HAS_COUNTER;
}

bool load_change_counter(struct load_change *change, struct engine *engine, uint32_t shard,
    int64_t time_ms, struct writer *out)
{
	char address[32];
	struct key key;
	struct slice record;
	struct entity_name name;
	struct head head = {.kind = HOST_VALUE_ENTITY};
	if (!find_version(change->load, engine, shard, &change->version, &name.incarnation))
		return false;
	model_address(change->entity, address, sizeof(address));
	name.address = slice_from_text(address);
	key_of_entity(&key, SHARD_KEY_HEAD, name);
	enum table_found found = engine_get(engine, shard, key_view(&key), &record);
	if (found != TABLE_VALUE && found != TABLE_ABSENT)
		return false;
	if (found == TABLE_VALUE && head_read(record, &head))
		return false;
	change->revision = head.revision;
	if (change->id == 0) {
		change->state_bytes = head.has_state ? head.state.bytes : 0;
		ASSERT(change->state_bytes <= sizeof(change->state));
		if (change->state_bytes > 0)
			memcpy(change->state, head.state.data, change->state_bytes);
		return true;
	}
	change->state_bytes = add_id(change->state, sizeof(change->state), &head, change->id);
	change->revision++;
	head.exists = true;
	head.has_state = true;
	head.state = slice_of(change->state, change->state_bytes);
	head.state_version = 1;
	head.revision++;
	head.at_ms = time_ms;
	uint8_t encoded[1200];
	struct writer value = writer_of(encoded, sizeof(encoded));
	head_write(&value, &head);
	ASSERT(!value.failed);
	batch_begin(out);
	batch_put(out, key_view(&key), writer_view(&value));
	return true;
}

bool load_write_other(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out)
{
	struct load *load = arg;
	struct load_change change = {.load = load};
	if (load->settling || !load_percent(load, OTHER_PERCENT) ||
	    !find_entity(load, shard, &change.entity))
		return false;
	/* An id that is not used shows up nowhere. */
	change.id = model_new_ids(load->model, change.entity, 1);
	if (!load_change_counter(&change, engine, shard, time_ms, out))
		return false;
	load->figures.double_others_changes++;
	model_other(load->model, change.entity, change.version, change.id, change.revision);
	return true;
}
