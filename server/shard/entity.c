/* Addresses in memory: the calls that wait for each, and its newest state. */
#include "server/shard/shard_parts.h"

#include <string.h>

#include "base/assert.h"
#include "base/fetch.h"
#include "base/mem.h"
#include "base/poison.h"

static uint64_t entity_bytes(const struct entity *entity)
{
	return sizeof(*entity) + entity->address_bytes + entity->state_capacity;
}

static bool has_address(const struct hash_entry *entry, const void *key)
{
	const struct entity *entity = CONTAINER_OF(entry, struct entity, entry);
	return slice_equal(entity_address(entity), *(const struct slice *)key);
}

static struct entity *find(const struct shard *shard, struct slice address, uint64_t hash)
{
	struct hash_entry *found = hash_table_find(&shard->entities, hash, has_address, &address);
	return found ? CONTAINER_OF(found, struct entity, entry) : NULL;
}

uint64_t entity_hash(const struct shard *shard, struct slice address)
{
	return hash_bytes(address, shard->shards->reference_seed);
}

struct entity *entity_find(const struct shard *shard, struct slice address)
{
	return find(shard, address, entity_hash(shard, address));
}

void entity_fetch(const struct shard *shard, uint64_t hash)
{
	const struct hash_entry *likely = hash_table_likely(&shard->entities, hash);
	if (likely)
		memory_fetch(CONTAINER_OF(likely, struct entity, entry), sizeof(struct entity) + 1);
}

struct entity *entity_need(struct shard *shard, struct slice address, uint64_t hash)
{
	struct shards *shards = shard->shards;
	struct entity *known = find(shard, address, hash);
	if (known) {
		known->used = true;
		return known;
	}
	struct entity *entity = mem_alloc(sizeof(*entity) + address.bytes);
	if (!entity)
		return NULL;
	memset(entity, 0, sizeof(*entity));
	entity->shard = shard;
	list_init(&entity->queue);
	list_init(&entity->aside);
	list_node_init(&entity->cache_link);
	entity->address_bytes = (uint32_t)address.bytes;
	memcpy(entity->address, address.data, address.bytes);
	if (hash_table_insert(&shard->entities, hash, &entity->entry)) {
		mem_free(entity);
		return NULL;
	}
	shards->cache_bytes += entity_bytes(entity);
	return entity;
}

void entity_free(struct entity *entity)
{
	ASSERT(list_empty(&entity->queue) && list_empty(&entity->aside));
	struct shards *shards = entity->shard->shards;
	shards->cache_bytes -= entity_bytes(entity);
	list_remove(&entity->cache_link);
	hash_table_remove(&entity->shard->entities, &entity->entry);
	mem_free(entity->state);
	mem_free(entity);
}

void entity_rest(struct entity *entity)
{
	ASSERT(list_empty(&entity->queue));
	if (!list_empty(&entity->aside))
		return;
	if (!entity->known && !entity->has_fold) {
		entity_free(entity);
		return;
	}
	/* It keeps its place: its neighbours are far away in memory. */
	if (!list_linked(&entity->cache_link))
		list_push_back(&entity->shard->shards->cache, &entity->cache_link);
}

void entity_take_state(struct entity *entity, uint8_t *state, size_t bytes, size_t capacity)
{
	struct shards *shards = entity->shard->shards;
	shards->cache_bytes -= entity->state_capacity;
	if (entity->state != state)
		mem_free(entity->state);
	entity->state = state;
	entity->state_bytes = (uint32_t)bytes;
	entity->state_capacity = (uint32_t)capacity;
	shards->cache_bytes += entity->state_capacity;
}

bool entity_state_fits(const struct entity *entity, size_t bytes)
{
	return FREED_IS_KEPT && entity->state && bytes <= entity->state_capacity &&
	       entity->state_capacity <= 2 * bytes + 256;
}

void entity_put_state(struct entity *entity, struct slice state)
{
	ASSERT(state.bytes <= entity->state_capacity);
	if (state.bytes > 0)
		memmove(entity->state, state.data, state.bytes);
	entity->state_bytes = (uint32_t)state.bytes;
}

static void drop_state(struct entity *entity)
{
	entity_take_state(entity, NULL, 0, 0);
	entity->has_fold = false;
	entity->has_state = false;
}

void entity_set_incarnation(struct entity *entity, uint64_t incarnation)
{
	if (entity->incarnation == incarnation)
		return;
	entity->incarnation = incarnation;
	/* Breaks: nothing of what was dropped is seen. */
	if (MUTATION(shard_drop_keeps_state))
		return;
	drop_state(entity);
	entity->head = (struct head){.revision = 0};
	entity->known = false;
}

int entity_take_head(struct entity *entity, bool found, struct slice record)
{
	struct head head = {.revision = 0};
	int error = found ? head_read(record, &head) : 0;
	if (error)
		return error;
	/* A state of this very revision is the state: revisions are never given twice. */
	bool same = entity->has_fold && entity->state_revision == head.revision;
	if (head.kind == HOST_VALUE_ENTITY && head.has_state && !same) {
		uint8_t *state = mem_alloc(head.state.bytes + 1);
		if (!state)
			return ERR_NOMEM;
		memcpy(state, head.state.data, head.state.bytes);
		entity_take_state(entity, state, head.state.bytes, head.state.bytes);
		entity->has_fold = true;
		entity->has_state = true;
		entity->state_revision = head.revision;
		entity->state_version = head.state_version;
	} else if (!same) {
		drop_state(entity);
	}
	head.state = slice_of(NULL, 0);
	entity->head = head;
	entity->known = true;
	return 0;
}

void entity_forget_proposed(struct entity *entity)
{
	bool is_proposed = entity->changed > entity->shard->applied_number;
	entity->known = false;
	entity->changed = 0;
	/* Breaks: a state that was proposed and never committed is not taken for one that was. */
	if (is_proposed && MUTATION(shard_keeps_proposed_on_loss)) {
		entity->known = true;
		return;
	}
	if (is_proposed)
		drop_state(entity);
	/* Breaks: nothing but what is proposed is lost. */
	if (!is_proposed && entity->head.exists && MUTATION(shard_loses_committed_on_loss)) {
		drop_state(entity);
		entity->head = (struct head){.revision = 0};
		entity->known = true;
	}
}

void entity_forget(struct entity *entity)
{
	entity->known = false;
	entity->changed = 0;
	drop_state(entity);
}

/* Those that nobody has asked for since the hand came by last go. What has calls stays, and what is
 * not applied: it is nowhere else. So many are passed over in a turn; then those that were asked
 * for go, too, so that the bound holds however many come in a turn. */
void entities_trim(struct shards *shards)
{
	enum { PASSED_OVER_MAX = 128, STAYING_MAX = 2 * PASSED_OVER_MAX };
	unsigned passed_over = 0;
	while (shards->cache_bytes > shards->options.fold_cache_bytes_max) {
		struct list_node *node = list_first(&shards->cache);
		if (!node)
			return;
		struct entity *entity = CONTAINER_OF(node, struct entity, cache_link);
		bool stays = !list_empty(&entity->queue) || !list_empty(&entity->aside) ||
		             entity->changed > entity->shard->applied_number;
		if (!stays && (!entity->used || passed_over >= PASSED_OVER_MAX)) {
			entity_free(entity);
			continue;
		}
		if (++passed_over > STAYING_MAX)
			return;
		entity->used = false;
		list_remove(node);
		list_push_back(&shards->cache, node);
	}
}
