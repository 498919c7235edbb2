/* The inside of replication/group.h. Private to replication/.
 *
 * One walk serves all groups of a store: `durable` goes through a frame's extents and applies what
 * is committed, straight from the log's memory, which stays until that call returns. A group that
 * is alone copies nothing between the proposal and the table; others keep what is not committed by
 * then, and what a slow replica may lack.
 */
#ifndef KX_REPLICATION_GROUP_PARTS_H
#define KX_REPLICATION_GROUP_PARTS_H

#include <stddef.h>

#include "base/io/io.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/number_map.h"
#include "replication/group.h"
#include "replication/raft/raft.h"

/* An entry that is in the log. */
struct group_flight {
	uint64_t term;
	/* The log's own bytes until its durable callback has returned, then those of `copy`. */
	const uint8_t *payload;
	uint8_t *copy;
	uint32_t bytes;
};

/* What the machine (raft/raft.h) does not know:
 *
 *   WAITS --group_start--> STARTING --membership known--> RUNS --own first entry applied--> LEADS
 *                                                          ^                                 |
 *                                                          +------ another role, or term ----+
 *
 * and from any of them to CLOSED, where the shard is damaged: that replica neither votes nor
 * acknowledges; and from all to REMOVED, which only waits for its data to go. */
enum group_state {
	GROUP_WAITS,
	GROUP_STARTING,
	GROUP_RUNS,
	GROUP_LEADS,
	GROUP_CLOSED,
	GROUP_REMOVED
};

/* Terms of entries that are not in memory. */
enum { GROUP_TERMS_MAX = 8 };

/* What the leader said to a question (group_ask): all that was committed anywhere at asked_ms is at
 * or below the index. Where this replica leads, that it led then was confirmed. */
struct group_answer {
	uint64_t question, index, asked_ms;
};

/*   WAITS --nothing is installed--> RUNS --done--> OVER --told--> gone, or kept where it failed
 *     ^                              |
 *     +---- a pause <---- hindered --+ */
enum group_removal { REMOVAL_WAITS, REMOVAL_RUNS, REMOVAL_PAUSES, REMOVAL_OVER };

struct group {
	/* What each entry asks for stands together. */
	struct group_store *store;
	uint32_t shard;
	enum group_state state;
	const struct group_events *events;
	void *arg;
	struct raft *raft; /* NULL before it runs */

	/* floor <= base <= applied <= last. Entries above the base are in memory: at index modulo
	 * the capacity, a power of two. There is a place for every entry that room is held for, so
	 * that proposing cannot fail. */
	struct group_position base, applied, last;
	struct group_flight *flights;
	uint32_t flight_capacity;
	uint32_t reserved_entries;

	/* Entries behind the floor and up to the base are not in memory: the log may have them
	 * (group_read.c). Their terms are known: the floor's, and then those of `terms`, each from
	 * its index on. */
	struct group_position floor;
	uint32_t terms_count, windows_count;

	uint64_t commit;
	int64_t time_ms;
	uint64_t term; /* of the role */
	/* Leadership was to be handed over last, in that term. */
	uint64_t transfer_term, transfer_at_ms;
	enum raft_role role;
	bool alone;       /* no other member: nothing is sent, and nothing is kept for others */
	bool joint;       /* its membership is */
	bool sole;        /* during replay: nobody else votes */
	bool floor_moved; /* the machine does not know it yet */
	/* Room for the first entry of a term is held while it does not lead: who cannot write that
	 * does not campaign. */
	bool holds_first;
	bool wants_room; /* told ERR_FULL or ERR_NO_SPACE since `room` was called last */
	/* Room for memberships: of a change, and of its end where it is joint. */
	uint32_t held_memberships;
	/* Room for the entries of a message that is being looked at. */
	uint32_t held_entries;
	uint64_t held_bytes;

	uint64_t self; /* its replica's number */
	uint64_t leader;
	uint64_t epoch;            /* of the newest append */
	uint64_t round, confirmed; /* the newest begun; the newest confirmed */
	/* The newest whose index is applied; and those that wait for that, in order. */
	struct group_answer answered, answers[2];
	uint32_t answers_count;
	uint64_t copied_bytes;
	uint64_t unapplied_bytes; /* of the entries behind what is applied: group_room.c */
	uint64_t moved_ms;        /* since then nothing was applied of what waits for that */
	uint64_t unlogged_bytes;  /* committed and applied since the commit was written down */

	struct io_timer timer;
	uint64_t timer_ms; /* RAFT_NEVER: not set */
	/* Where snapshots that others need are not sent, that is said after a pause: RAFT_NEVER:
	 * nobody needs one. */
	uint64_t snapshots_fail_ms;
	struct list_node active_link; /* it may have something to send */
	struct list_node tell_link;   /* leadership that was lost, confirmed rounds, answers */
	bool tells_lost, tells_confirmed, tells_answered;
	bool closed_told;
	bool loading;          /* `load` */
	struct list_node link; /* of the store's groups */

	/* The membership at the base, as the store has it. */
	const struct raft_membership *initial; /* where the store has none: the owner's */
	struct engine_load load;

	/* group_read.c */
	struct group_position terms[GROUP_TERMS_MAX];
	struct list windows;
	struct group_estimate *estimate; /* is being made */
	uint64_t state_bytes, state_ms;  /* the last one, and when; 0: never */
	uint64_t applied_entries, applied_bytes;

	/* snapshot.h */
	struct list snapshots_out;
	struct snapshot_in *snapshot_in;
	bool wants_snapshots; /* the machine does */
	bool installing;      /* one takes the place of the state: nothing is appended or applied */

	/* Of a REMOVED one. */
	bool removal_ends; /* it is not tried again */
	enum group_removal removal;
	int removal_result;
	struct list_node removal_link;
	uint64_t removal_pause_ns; /* the last one */
	void (*removed)(void *arg, int error);
	void *removed_arg;
};
#define GROUP_HOT_BYTES offsetof(struct group, self)

struct group_store {
	struct engine *engine;
	struct number_map groups; /* by shard */
	struct list list;
	int64_t now_ms; /* of this turn, 0: not asked yet */
	bool closing;
	bool starts;                         /* a group is STARTING, and it is worth trying */
	bool tells_room;                     /* at the end of this turn */
	uint32_t wanting;                    /* groups that want room */
	struct list active;                  /* groups that may have something to send */
	const struct group_carrier *carrier; /* NULL: there are no other nodes */
	struct snapshots *snapshots;         /* NULL: others get none */
	bool leases;
	uint16_t node;
	uint64_t seed;
	uint64_t message_bytes_max;
	bool tells_closed;
	struct list telling;  /* groups that tell of leadership, rounds or answers */
	struct list removals; /* groups that are REMOVED, and not over */
	struct io *io;
	struct io_timer starving; /* runs while somebody found no memory */

	/* group_read.c */
	struct list windows_wait;
	uint32_t windows_asked; /* of the log, which reads for some of them at a time */
	uint64_t read_bytes, read_bytes_max; /* in windows; 0: nothing is read back */
	uint64_t kept_bytes_max;             /* of a group, in memory */
	uint64_t read_entries, read_total;   /* ever */
	bool keeps;                          /* the log was told to */

	/* group_room.c */
	uint64_t unapplied_bytes; /* of all groups that are not over */
	uint64_t group_unapplied_max, unapplied_max;
	uint64_t refused; /* reservations, ever */
};

/* ---- group_store.c ---- */

struct group *group_find(const struct group_store *store, uint32_t shard);
/* ERR_NOMEM. */
NODISCARD int group_new(struct group_store *store, uint32_t shard, struct group **ret_group);
void group_free(struct group *group);
/* There was no memory: who wants room is told to try again after a while, and groups that would
 * lead do. */
void group_store_starves(struct group_store *store);

/* ---- group_remove.c ---- */

/* Neither votes nor acknowledges any more, nor is it told of anything. */
static inline bool group_is_over(const struct group *group)
{
	return group->state >= GROUP_CLOSED;
}
/* True: something was done, and what is above may have work. */
bool group_removals_turn(struct group_store *store);

/* ---- group_replay.c ---- */

int group_replay(void *arg, struct engine *engine, const struct log_record *record);

/* ---- group_start.c ---- */

/* Tries to go on from STARTING, or to get the room without which it does not campaign. */
void group_go_on(struct group *group);
void group_close(struct group *group);
void group_tell_closed(struct group *group);
void group_tell_lost(struct group *group);

/* ---- group_raft.c: the machine's owner ---- */

struct raft_log group_log(struct group *group);
/* One fact, and what follows from it. */
void group_step(struct group *group, struct raft_event event);
/* What the machine wants done, after a request. */
void group_act(struct group *group);
/* There may be something to send, and a timer to be set. */
void group_attend(struct group *group);
void group_append(
    struct group *group, struct raft_position at, enum group_entry_kind kind, struct slice batch);
/* Room for what it writes by itself where it becomes the leader: its first entry, and the end of a
 * joint membership. False: there is none now. */
bool group_hold_first(struct group *group);
/* Places for so many more members in the machine's memory. ERR_NOMEM. */
NODISCARD int group_make_places(struct group *group, uint32_t more);
NODISCARD int group_make_places_for(struct group *group, const struct raft_membership *membership);
/* Room for the entries of a change. 0 or an error of engine_reserve. */
NODISCARD int group_hold_memberships(struct group *group);
void group_let_go_of_memberships(struct group *group);
/* The membership has changed, or was rolled back. */
void group_look_at_members(struct group *group);
uint64_t group_now_ms(const struct group *group);
/* All that there is to send; the group is not active afterwards, unless there will be more. */
void group_send(struct group *group);
void group_receive(struct group *group, const struct raft_message *message);
void group_timer_fired(struct io_timer *timer);

/* In the next turn it tells what its tells_... say. */
void group_tell(struct group *group);

/* ---- group_ask.c ---- */

/* A majority has confirmed that this replica leads, or did a while ago. */
void group_take_confirmation(struct group *group);
void group_take_answer(struct group *group, const struct raft_output *output);
void group_reach_answers(struct group *group); /* `applied` has risen */

/* ---- group_apply.c ---- */

/* One frame's part of the group is durable. */
void group_durable(struct group *group, const struct log_extent *extent);
/* Applies what is committed and durable here: up to index `durable`. */
void group_advance(struct group *group, uint64_t durable);
/* The next entry to be applied, of which there may be none: its place, to be fetched from memory;
 * then the entry as it was proposed, or ERR_NOT_FOUND. */
void group_fetch_next(const struct group *group);
NODISCARD int group_next_entry(const struct group *group, struct group_entry *ret_entry);

/* ---- group_room.c: what is in memory until it is applied ---- */

/* An entry behind what is applied was added; such entries were applied, or went. */
void group_unapplied_more(struct group *group, uint64_t bytes);
void group_unapplied_less(struct group *group, uint64_t bytes);
/* What this group has of them counts no more: it is over, or has none. */
void group_unapplied_forget(struct group *group);
/* No room for what is not applied: for a leader's calls; for how many of the message's entries,
 * from the first, there is some. */
bool group_unapplied_full(const struct group *group, bool only_deletes);
uint32_t group_unapplied_fits(const struct group *group, const struct raft_message *message);

/* ---- group_flights.c ---- */

static inline struct group_flight *group_flight(const struct group *group, uint64_t index)
{
	return &group->flights[index & (group->flight_capacity - 1)];
}

static inline struct slice group_flight_get(
    const struct group *group, uint64_t index, uint64_t *ret_term)
{
	ASSERT(index > group->base.index && index <= group->last.index);
	const struct group_flight *found = group_flight(group, index);
	*ret_term = found->term;
	return slice_of(found->payload, found->bytes);
}

/* Places for so many more entries, beside those that are held. ERR_NOMEM. */
NODISCARD int group_flights_reserve(struct group *group, uint64_t more);
/* The entry behind the last one. */
void group_flight_add(struct group *group, struct group_position at, struct slice payload);
void group_flight_fetch(const struct group *group, uint64_t index);
/* The log's memory goes: the entry's bytes are kept here. ERR_NOMEM. */
NODISCARD int group_flight_copy(struct group *group, uint64_t index);
void group_flights_trim(struct group *group, uint64_t to); /* applied; the base rises */
/* The same for what is too much to be kept. */
void group_flights_trim_kept(struct group *group);
void group_flights_cut(struct group *group, uint64_t from); /* not applied: they are replaced */
void group_flights_done(struct group *group);

/* All of them: the log goes on behind `at`. */
void group_flights_replace(struct group *group, struct group_position at);

/* ---- group_read.c: entries below the base ---- */

/* Of floor <= index <= base. */
uint64_t group_past_term(const struct group *group, uint64_t index);
/* The entry behind the base is not in memory any more. */
void group_base_rises(struct group *group, struct group_position to);
/* As raft_log.fit, of an entry that is not in memory. */
uint32_t group_past_fit(struct group *group, uint64_t first, uint32_t count_max, uint64_t bytes_max,
    uint64_t *ret_bytes);
/* Of one of those that it told of. */
struct slice group_past_entry(const struct group *group, uint64_t index, uint64_t *ret_term);
/* Windows that nobody wants go. */
void group_windows_look(struct group *group);
void group_windows_drop(struct group *group);
void group_past_done(struct group *group);
void group_windows_turn(struct group_store *store);
/* Nothing below it is known. */
static inline void group_set_base(struct group *group, struct group_position at)
{
	group->base = group->floor = at;
	group->terms_count = 0;
	group->floor_moved = true;
}

/* ---- snapshot.c ---- */

/* What the machine wants sent is begun, and what nobody wants any more ended. */
void snapshot_look(struct group *group);
/* One is sent, received or wanted: it is to be looked at in the next turn, too. */
bool snapshot_is_busy(const struct group *group);
/* The log behind this is wanted. */
uint64_t snapshot_floor(const struct group *group);
/* All of the group's are ended, but an install that has come to its end: engine_free ends that, and
 * snapshot_forget comes behind it. Cursors go later, while snapshot_reads. */
void snapshot_drop(struct group *group);
bool snapshot_reads(const struct snapshots *snapshots);
void snapshot_forget(struct group *group);

/* ---- group_entry.c: an entry's bytes ---- */

void group_entry_header(
    uint8_t header[GROUP_ENTRY_HEADER_BYTES], enum group_entry_kind kind, int64_t time_ms);
/* A membership's entry: the bytes that raft/membership.h reads. */
static inline struct slice group_entry_members(struct slice payload)
{
	return slice_of(
	    payload.data + GROUP_ENTRY_HEADER_BYTES, payload.bytes - GROUP_ENTRY_HEADER_BYTES);
}
/* What applying a membership does to the store. */
#define GROUP_MEMBERS_BATCH_BYTES_MAX (64 + RAFT_MEMBERSHIP_BYTES_MAX)
struct slice group_members_batch(
    uint8_t span[GROUP_MEMBERS_BATCH_BYTES_MAX], struct slice membership);
/* ERR_CORRUPT, ERR_FORMAT (a kind that is none). A membership's batch is empty. */
NODISCARD int group_entry_decode(struct slice payload, struct group_entry *ret_entry);

#endif
