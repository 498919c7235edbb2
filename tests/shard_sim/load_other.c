/* What another leader changes, where the groups are the double, whose handlers are in C. */
#include <inttypes.h>

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

bool load_write_other(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out)
{
	struct load *load = arg;
	unsigned entity;
	char address[32];
	struct key key;
	struct slice record;
	struct entity_name name;
	unsigned version;
	struct head head = {.kind = HOST_VALUE_ENTITY};
	if (load->settling || !load_percent(load, OTHER_PERCENT) ||
	    !find_entity(load, shard, &entity) ||
	    !find_version(load, engine, shard, &version, &name.incarnation))
		return false;
	model_address(entity, address, sizeof(address));
	name.address = slice_from_text(address);
	key_of_entity(&key, SHARD_KEY_HEAD, name);
	enum table_found found = engine_get(engine, shard, key_view(&key), &record);
	if (found != TABLE_VALUE && found != TABLE_ABSENT)
		return false;
	if (found == TABLE_VALUE && head_read(record, &head))
		return false;
	uint8_t state[1024];
	uint64_t id = model_new_ids(load->model, entity, 1);
	size_t bytes = add_id(state, sizeof(state), &head, id);
	head.exists = true;
	head.has_state = true;
	head.state = slice_of(state, bytes);
	head.state_version = 1;
	head.revision++;
	head.at_ms = time_ms;
	uint8_t encoded[1200];
	struct writer value = writer_of(encoded, sizeof(encoded));
	head_write(&value, &head);
	ASSERT(!value.failed);
	batch_begin(out);
	batch_put(out, key_view(&key), writer_view(&value));
	load->figures.double_others_changes++;
	model_other(load->model, entity, version, id, head.revision);
	return true;
}
