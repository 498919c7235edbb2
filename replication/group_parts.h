/* The inside of the one-member implementation of replication/group.h. Private to replication/.
 *
 * One walk serves all groups of a store: group_store_durable goes through a frame's extents and
 * applies what each group proposed, straight from the log's memory, which stays until that call
 * returns. Nothing is copied between the proposal and the table.
 */
#ifndef KX_REPLICATION_GROUP_PARTS_H
#define KX_REPLICATION_GROUP_PARTS_H

#include "base/io/io.h"
#include "base/list.h"
#include "base/number_map.h"
#include "replication/group.h"

/* An entry that is proposed and not applied. */
struct group_flight {
	const uint8_t *payload; /* the log's, until its durable callback has returned */
	uint32_t bytes;
};

/*   FOLLOWS --group_start--> STARTING --room for its first entry--> CAMPAIGNS --applied--> LEADS
 *
 * and from any of them to CLOSED, where the shard is damaged. A group of one member loses its
 * leadership by nothing else. */
enum group_state { GROUP_FOLLOWS, GROUP_STARTING, GROUP_CAMPAIGNS, GROUP_LEADS, GROUP_CLOSED };

struct group {
	struct group_store *store;
	uint32_t shard;
	enum group_state state;
	const struct group_events *events;
	void *arg;
	uint64_t term;
	struct group_position last;
	struct group_position applied;
	int64_t time_ms;
	uint64_t rounds;

	/* Those above applied.index, at index modulo the capacity, a power of two. It has a place
	 * for every entry that room is held for, so that proposing cannot fail. */
	struct group_flight *flights;
	uint32_t flight_capacity;
	uint32_t reserved_entries;

	bool wants_room; /* told ERR_FULL or ERR_NO_SPACE since `room` was called last */
	bool closed_told;
	struct list_node link; /* of the store's groups */
};

struct group_store {
	struct engine *engine;
	struct number_map groups; /* by shard */
	struct list list;
	int64_t now_ms; /* of this turn, 0: not asked yet */
	bool closing;
	bool starts;      /* a group is STARTING, and it is worth trying */
	bool tells_room;  /* at the end of this turn */
	uint32_t wanting; /* groups that want room */
	bool tells_closed;
	struct io *io;
	struct io_timer starving; /* runs while somebody found no memory */
};

struct group *group_find(const struct group_store *store, uint32_t shard);
/* ERR_NOMEM. */
NODISCARD int group_new(struct group_store *store, uint32_t shard, struct group **ret_group);
void group_free(struct group *group);

/* The entry at applied.index + 1 is durable. */
void group_advance(struct group *group, uint64_t durable_index);
/* The next entry to be applied, of which there may be none: its place, to be fetched from memory;
 * then the entry as it was proposed, or ERR_NOT_FOUND. */
void group_fetch_next(const struct group *group);
NODISCARD int group_next_entry(const struct group *group, struct group_entry *ret_entry);
/* Tries to propose the first entry of the group's next term. */
void group_campaign(struct group *group);
void group_tell_closed(struct group *group);
/* There was no memory: who wants room is told to try again after a while, and groups that would
 * lead do. */
void group_store_starves(struct group_store *store);

/* ---- group_entry.c: an entry's bytes ---- */

void group_entry_header(
    uint8_t header[GROUP_ENTRY_HEADER_BYTES], enum group_entry_kind kind, int64_t time_ms);
/* ERR_CORRUPT, ERR_FORMAT (a kind that is none). */
NODISCARD int group_entry_decode(struct slice payload, struct group_entry *ret_entry);

#endif
