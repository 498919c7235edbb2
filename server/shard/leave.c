/* A shard leaves this core: there is to be no replica of it here any more.
 *
 * What its calls wait for changes at once, what the group has of it goes in the background: a shard
 * is absent while its group is still leaving. */
#include "server/shard/replica.h"

#include "base/assert.h"

/* Room that is held for works cannot be given back when the group is gone. They begin anew in any
 * case: this epoch is over. */
static void give_room_back(struct shard *shard)
{
	LIST_FOR_EACH(node, &shard->shards->works)
	{
		struct work *work = CONTAINER_OF(node, struct work, all_link);
		if (work->shard != shard || work->reserved_bytes == 0)
			continue;
		entry_unreserve(shard, work->reserved_bytes);
		work->reserved_bytes = 0;
	}
}

/* Those that have calls stay, and know nothing. */
static void forget_entities(struct shard *shard)
{
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	while ((entry = hash_table_next(&shard->entities, &cursor))) {
		struct entity *entity = CONTAINER_OF(entry, struct entity, entry);
		entity_forget(entity);
		entity->head = (struct head){.revision = 0};
		if (list_empty(&entity->queue) && list_empty(&entity->aside))
			entity_free(entity);
	}
}

static void removed(void *arg, int error)
{
	struct shard *shard = arg;
	(void)error; /* where it is still there the server stops */
	shard->leaving = NULL;
}

void shard_leave(struct shard *shard)
{
	struct group *group = shard->group;
	ASSERT(shard_is_here(shard));
	shard_serve_no_more(shard, SHARD_ABSENT);
	entries_closed(shard);
	shard_forget_proposed(shard);
	give_room_back(shard);
	forget_entities(shard);
	tokens_stop(shard);
	shard->meta = (struct shard_meta){0};
	shard->meta_changed = false;
	shard->group = NULL;
	shard->replica = 0;
	shard->leaving = group;
	group_remove(group, removed, shard);
	shard_wake(shard);
	shard_wake_roomless(shard);
	replica_release(shard, true);
}
