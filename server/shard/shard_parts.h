/* The inside of server/shard.
 *
 *   shards   one core: all its shards, calls that are ready to run, answers on their way out
 *   shard    one group's state machine: what it serves, its entities, its entries
 *   entity   an address in memory: the calls that wait for it, and its newest state
 *   work     one call on the core that owns its shard
 *   entry    what one turn changed in one shard, from the first change until it is applied
 *
 * Numbers. Entries of a shard are numbered as they are opened (shard->entry_number), whatever index
 * they get; `applied_number` is that of the last one known to be applied. What a work saw of the
 * proposed layer is such a number (`seen`): 0 or one not above applied_number is committed.
 * `epoch` rises whenever leadership is gained or lost: what was begun in another one is begun anew.
 *
 * Layers. An entity's newest state is in struct entity (changed: the entry that made it); what is
 * committed is the engine's. When leadership is lost, entities whose `changed` is not applied
 * forget their state, and all others have theirs compared with the engine's before it is used
 * again. So only the proposed layer is dropped, and nothing of it is ever taken for committed.
 *
 * Elsewhere. A work whose fate is decided by others stands aside: not in its entity's queue but in
 * `aside`, in the order in which they came (aside.c). So stand those that are away, those that were
 * proposed when leadership was lost, and those that have to wait for one that is away.
 *
 * Memory. What can fail is done before anything is changed (entry_add). From group_propose on
 * nothing allocates.
 */
#ifndef KX_SERVER_SHARD_SHARD_PARTS_H
#define KX_SERVER_SHARD_SHARD_PARTS_H

#include "base/small_blocks.h"
#include "base/buffer.h"
#include "base/hash_table.h"
#include "base/heap.h"
#include "base/io/io.h"
#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/mutation.h"
#include "replication/group.h"
#include "server/shard/records.h"
#include "server/shard/shard.h"
#include "storage/batch.h"
#include "storage/engine.h"

struct cursor;
struct entry;
struct expiry;
struct fold;
struct job;
struct purge;
struct shard;
struct walk;
struct work;

/* ---- One core ---- */

struct handler_figure {
	struct list_node link;
	char component[NAME_BYTES_MAX + 1];
	char handler[NAME_BYTES_MAX + 1];
	uint64_t calls, errors;
	uint64_t run_ns; /* of a call, lately: see handler_is_long */
	bool sees_time;  /* has looked at its time: see replica.c */
	struct histogram latency_ns;
};

/* A bundle that this core has; holds one reference. */
struct provided {
	struct list_node link;
	struct host_bundle *bundle;
};

struct peer {
	struct shards *shards;
	struct mailbox *to, *from;
	struct list outbox; /* calls that the mailbox had no room for */
};

enum { ENTRY_BATCHES_KEPT = 128, ENTRY_BATCH_BYTES_KEPT = 8 * KIB };

struct shards {
	struct shards_options options;
	struct io *io;
	struct shard **by_number; /* map.shard_count + 1 of them; NULL: another core's */
	struct shard **own;       /* those of this core, absent ones too */
	uint32_t own_count;
	struct peer *peers; /* map.core_count; without mailboxes before shards_connect */

	struct list arrived; /* calls that have no work yet */
	struct list ready;   /* works to be advanced, in order */
	struct list paused;  /* those that take long: a slice of them in a turn, behind `ready` */
	struct list jobs;    /* works whose handlers wait for a job, but for the one under way */
	bool job_under_way;
	struct list works;    /* all of them */
	struct list finished; /* calls that are answered */
	struct list open;     /* shards with an open entry */
	struct list expiring; /* shards that have tokens, or look for those that expired */
	uint64_t sequence;

	/* Most calls have the same time, and so stand in the order of their deadlines as they come:
	 * those are in the list, all others in the heap. */
	struct list due;
	struct heap deadlines;
	struct io_timer deadline_timer;
	uint64_t deadline_armed_ns;

	struct list cache; /* entities that have had calls; the hand of the clock is at its begin */
	uint64_t cache_bytes;
	uint64_t queue_bytes;

	struct list purges; /* shards that have something to purge */
	struct purge *purge;
	struct io_timer purge_timer;

	struct io_timer opening_timer; /* runs while a shard found no memory to open */

	struct list provided, lacking; /* bundles; shards that name one that is not */
	struct list activations;
	struct io_timer activation_timer;
	struct list handler_figures;
	struct map handlers; /* host_handler to handler_figure */
	struct shards_figures figures;
	struct histogram slice_ns; /* see shards_figures */
	uint64_t reference_seed, references;

	/* Kept for the next: works and entries, and the memory of entries that are proposed. */
	struct small_blocks blocks;
	struct buffer batches[ENTRY_BATCHES_KEPT];
	uint32_t batch_count;

	uint64_t submitted; /* own calls that are not done */
	uint64_t works_count;
	bool started, closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* A call is answered: `done` comes with the next shards_deliver. */
void shards_finish(struct shards *shards, struct shard_call *call);
/* Calls `done` of what is answered, and sends what belongs to other cores. Only where nobody above
 * is in the middle of something. */
void shards_deliver(struct shards *shards);
/* Calls from other cores, and their answers. */
void shards_receive(struct shards *shards);
void shards_deadline_add(struct shards *shards, struct work *work, uint64_t at_ns);
void shards_deadline_remove(struct shards *shards, struct work *work);
struct handler_figure *shards_figure(struct shards *shards, const struct host_component *component,
    const struct host_handler *handler);
void shards_figures_done(struct shards *shards);

/* ---- One shard ---- */

/*   ABSENT --shards_add--> FOLLOWS --leading--> OPENS --META and ACTIVE read--> SERVES
 *   from OPENS and SERVES --lost--> FOLLOWS, from each but ABSENT to CLOSED, for ever, and by
 *   shards_remove to ABSENT
 *
 * An absent shard has no group: there is no replica of it here, only calls that wait. But the one
 * that it had may still be leaving. */
enum shard_state { SHARD_ABSENT, SHARD_FOLLOWS, SHARD_OPENS, SHARD_SERVES, SHARD_CLOSED };

struct active {
	char app[NAME_BYTES_MAX + 1];
	char hash[HOST_HASH_CHARACTERS + 1]; /* "": removed */
	uint64_t directory_index;
	struct host_bundle *bundle; /* NULL: not provided yet, or removed */
};

/* A type of which there was something in lower incarnations. */
struct dropped {
	char type[NAME_BYTES_MAX + 1];
	uint64_t incarnation;
	bool is_empty; /* there is nothing any more */
};

/* What a replica that follows has read of ACTIVE last, as bytes: its `actives` are of that. */
struct read_active {
	bool is_known, found;
	uint8_t *record;
	size_t bytes;
	uint64_t number; /* rises with each */
};

struct shard {
	struct shards *shards;
	uint32_t number;
	enum shard_state state;
	struct group *group;   /* NULL: absent */
	struct group *leaving; /* the one it had, until that is gone */
	uint64_t replica;      /* its number */
	struct engine *engine;
	uint64_t epoch;
	struct list_node open_link;

	struct hash_table entities;
	struct list stalled;  /* works that wait for a leader, a bundle, or an applied entry */
	struct list roomless; /* works that wait for room */
	struct list asking;   /* works that wait for what the leader says (replica.c) */

	struct list entries; /* proposed and not settled, oldest first; the open one is last */
	struct entry *open;
	uint64_t entry_number, applied_number, calls; /* the last: that a handler began for */
	struct list confirming; /* reads whose entries are applied, by round */

	struct shard_meta meta; /* the newest, proposed ones included */
	bool meta_changed;
	uint64_t clock_number;      /* the entry that moved the ceiling of time last */
	int64_t clock_committed_ms; /* while that is not applied: the ceiling that is */
	struct hash_table tokens;   /* proposed and not applied */

	struct active *actives;
	uint32_t active_count;
	uint64_t active_changed; /* the entry that changed them, or what was dropped */
	struct dropped *dropped; /* by type */
	uint32_t dropped_count;
	struct read_active read_active;
	struct list_node purge_link, lacking_link;
	uint64_t lacking_since_ns;
	uint64_t purge_number; /* the entry that deleted something, or said that nothing is left */

	/* Reading META and ACTIVE. */
	struct engine_load load;
	bool loading;
	uint64_t load_epoch;

	/* Expiry of tokens. */
	struct list_node expiring_link; /* not while there are none, for longer than a turn */
	struct expiry *expiry;
	int64_t expiry_next_ms; /* nothing expires before this; 0: unknown */
	uint64_t expiry_number; /* the entry that deleted some last */
};

/* Absent. ERR_NOMEM. */
NODISCARD int shard_new(struct shards *shards, uint32_t number, struct shard **ret_shard);
/* No longer absent. ERR_NOMEM. */
NODISCARD int shard_add_group(
    struct shard *shard, uint64_t replica, const struct raft_membership *initial);
/* It has become absent, and its group goes. */
void shard_leave(struct shard *shard);
/* It is in another state, and what was begun in this one begins anew. */
void shard_serve_no_more(struct shard *shard, enum shard_state next);
/* What was proposed is settled, or is dropped. */
void shard_forget_proposed(struct shard *shard);
void shard_free(struct shard *shard);
/* Everything that waits for a change of the shard's circumstances is looked at again. */
void shard_wake(struct shard *shard);
void shard_wake_roomless(struct shard *shard);
/* Reads on where it stopped. */
void shard_open(struct shard *shard);
void shards_opening_fired(struct io_timer *timer);
/* The shard is damaged: everything is answered so. */
void shard_close_damaged(struct shard *shard);
/* Reads whose entries are applied and whose round is confirmed are answered. */
void shard_release_reads(struct shard *shard);
static inline bool shard_is_here(const struct shard *shard)
{
	return shard->state != SHARD_ABSENT;
}
/* It may come to serve soon, and is waited for: nobody else is known to lead. */
static inline bool shard_is_pending(const struct shard *shard)
{
	if (shard->state != SHARD_FOLLOWS)
		return shard->state == SHARD_OPENS;
	uint64_t leader = group_leader(shard->group);
	return leader == 0 || leader == shard->replica;
}
/* It is damaged, and nobody else can serve it: that is what its calls are told. */
bool shard_is_lost(const struct shard *shard);
/* Not here: absent, following, closed. */
static inline bool shard_is_led_elsewhere(const struct shard *shard)
{
	return shard->state != SHARD_SERVES && shard->state != SHARD_OPENS;
}
static inline bool shard_serves(const struct shard *shard)
{
	return shard->state == SHARD_SERVES && group_leads(shard->group);
}

/* ---- Entities ---- */

struct entity {
	struct hash_entry entry;
	struct shard *shard;
	struct list queue;           /* works; the first is the one that runs */
	struct list aside;           /* works whose fate is decided elsewhere, by sequence */
	struct list_node cache_link; /* once its queue was empty */
	bool used;                   /* since the clock's hand passed */

	/* What is here of the entity is of this incarnation of its type. */
	uint64_t incarnation;
	bool known; /* `head` is what there is, newest */
	struct head head;

	/* The newest state; of an event-sourced entity the folded one, as `state_hash` folds. It
	 * belongs to revision state_revision; used where that is the head's. */
	bool has_fold; /* there is a state here (possibly none: has_state) */
	bool has_state;
	uint64_t state_hash, state_revision;
	uint32_t state_version;
	uint8_t *state;
	uint32_t state_bytes;
	uint32_t state_capacity;

	uint64_t changed; /* number of the entry */
	uint32_t address_bytes;
	uint8_t address[];
};

uint64_t entity_hash(const struct shard *shard, struct slice address);
/* Made where there is none. NULL: no memory. */
struct entity *entity_need(struct shard *shard, struct slice address, uint64_t hash);
/* The memory in which the entity is looked up. */
void entity_fetch(const struct shard *shard, uint64_t hash);
struct entity *entity_find(const struct shard *shard, struct slice address); /* or NULL */
static inline struct slice entity_address(const struct entity *entity)
{
	return slice_of(entity->address, entity->address_bytes);
}
static inline struct entity_name entity_name(const struct entity *entity)
{
	return (struct entity_name){
	    .address = entity_address(entity), .incarnation = entity->incarnation};
}
/* Forgets what it has of another incarnation; that is never needed again, unless leadership is
 * lost, and then it is read. */
void entity_set_incarnation(struct entity *entity, uint64_t incarnation);
/* The queue has become empty: kept in the cache, or freed. */
void entity_rest(struct entity *entity);
void entity_free(struct entity *entity);
/* `state` is taken over; NULL with 0 bytes where there is none. */
void entity_take_state(struct entity *entity, uint8_t *state, size_t bytes, size_t capacity);
/* A state of so many bytes can be put into the memory of the one that is there. */
bool entity_state_fits(const struct entity *entity, size_t bytes);
void entity_put_state(struct entity *entity, struct slice state);
/* What a head's record says, from the engine; found false: there never was one. ERR_NOMEM,
 * ERR_CORRUPT, ERR_FORMAT. */
NODISCARD int entity_take_head(struct entity *entity, bool found, struct slice record);
/* Leadership was lost. */
void entity_forget_proposed(struct entity *entity);
void entity_forget(struct entity *entity); /* all that is known of its state */
void entities_trim(struct shards *shards);

/* ---- Works ---- */

enum work_stage {
	WORK_QUEUED,   /* not proposed: waiting, reading, running */
	WORK_ADDED,    /* in the open entry */
	WORK_PROPOSED, /* in an entry that is proposed */
	WORK_HELD,     /* a read that is answered when the hold rule says so */
	WORK_AWAY,     /* not proposed here: handed elsewhere */
	WORK_ASKING,   /* a read of a replica that does not know enough yet; aside */
	WORK_ZOMBIE    /* answered, and something of it is still under way */
};

enum work_loads { LOADS_NOTHING, LOADS_HEAD, LOADS_TOKEN, LOADS_SNAPSHOT, LOADS_ACTIVE };
/* TOKEN_OTHER: another request's, and whether this one is a command is not known. */
enum work_token { TOKEN_UNKNOWN, TOKEN_ABSENT, TOKEN_OTHER };

struct work {
	struct shard_call *call; /* NULL: answered */
	struct shard *shard;
	struct entity *entity; /* while in its queue, or aside */
	uint64_t sequence;
	enum work_stage stage;
	bool is_aside;     /* in entity->aside, not in its queue */
	bool is_overtaken; /* one behind it was answered from elsewhere: not to be run any more */
	bool was_read;     /* it had the answer of a read, which could not be given */
	struct list_node all_link;
	struct list_node queue_link;
	struct list_node link; /* of the one list it waits in */
	uint64_t due_ns;
	struct list_node due_link; /* in one of these two */
	struct heap_node deadline;
	uint64_t begun_ns;

	/* Looked up again in each epoch, and after an activation. */
	uint64_t epoch;
	uint64_t active_seen;       /* shard->active_changed then */
	struct host_bundle *bundle; /* the component's; one reference */
	struct host_component *component;
	struct host_handler *handler;
	uint64_t incarnation; /* of the type that the address names */
	struct handler_figure *figure;
	enum work_token token_state;
	struct hash128 token, request; /* where the call has a token that counts */

	/* Of one that is read by a replica that follows; `question`: of the replica question_of. */
	bool reads_here, has_read_head, leader_only;
	uint64_t question, question_of;
	uint64_t read_active; /* shard->read_active.number then */

	struct engine_load load;
	enum work_loads loads;
	struct fold *fold;
	struct walk *walk;
	struct host_call *host_call;
	struct job *job; /* while it is under way */

	bool has_queued_as_long; /* and is not put off again */
	int64_t now_ms;          /* what the call sees as its time */
	uint64_t reserved_bytes; /* and one entry, while > 0 */
	uint64_t seen;
	uint64_t seen_revision; /* of a held read's entity; 0: not looked at */
	/* Of a held read, either confirms leadership: the round, or the commit of an entry that was
	 * proposed after the read had arrived, the first of which has this number. */
	uint64_t round;
	uint64_t confirmed_by;
	size_t queue_bytes;
};

NODISCARD int work_new(struct shards *shards, struct shard *shard, struct shard_call *call);
/* Goes on as far as it can. */
void work_advance(struct work *work);
void work_make_ready(struct work *work);
/* Waits in `list`, whose owner makes it ready. */
void work_wait(struct work *work, struct list *list);
/* Answers with what stands in the call. The work may be gone afterwards. */
void work_finish(struct work *work);
/* Answers with an error at once, not by the hold rule: it says nothing about any state. */
__attribute__((format(printf, 3, 4))) void work_fail(
    struct work *work, enum status status, const char *format, ...);
/* Sets status and message of the call. */
__attribute__((format(printf, 3, 4))) void work_say(
    struct work *work, enum status status, const char *format, ...);
/* What is in the call is the answer of a read: it leaves by the hold rule. */
void work_hold(struct work *work);
bool work_is_confirmed(const struct work *work);
/* Leaves its entity, which goes on with the next one. */
void work_leave_entity(struct work *work);
/* Leaves the queue only. */
void work_leave_queue(struct work *work);
void work_leave_queue_bytes(struct work *work); /* it counts as waiting no more */
void work_enter_queue(struct entity *entity, struct work *work);
/* In its old place. What stood first there, and may have begun, begins anew when it is first again.
 * True: this one is now. */
bool work_come_back(struct entity *entity, struct work *work);
/* Its call has no answer any more. */
void work_forget_answer(struct work *work);
/* Begins anew, in its old place; or is answered where that cannot be. */
void work_shut_down(struct work *work); /* surely not done */
void work_again(struct work *work);
/* Gives up what it has under way, keeping its place. */
void work_drop_progress(struct work *work);
void work_deadline(struct work *work);
/* Not proposed: why it could not be done in time. */
void work_give_up(struct work *work);
/* A read that is run again, and not in time. */
void work_fail_read(struct work *work);
void work_free_if_idle(struct work *work);
/* work_run.c: from reserved room to the outcome. True: something has changed, go on. */
bool work_begin(struct work *work);
void work_run(struct work *work);
/* Calls of this handler last for more than a slice: they queue with the paused ones from the start,
 * so that calls that do not are served first. */
bool handler_is_long(const struct handler_figure *figure);
void work_fault(struct work *work, struct slice message, struct slice traceback);
/* The answer is the outcome's error. */
void work_fail_with(struct work *work, const struct host_outcome *outcome);

/* work_read.c: what was read for it could not be; what was asked for is here. */
void work_unreadable(struct work *work, int error);
void work_loaded(struct engine_load *load, int result);

/* A step of a work: whether to go on to the next one at once. */
enum step { STEP_ON, STEP_STOP };
/* The key's value, of the committed layer; waits for it where it is cold. On STEP_ON *ret_found
 * says whether there is one. */
enum step work_get(struct work *work, const struct key *key, enum work_loads loads, bool *ret_found,
    struct slice *ret_value);

/* The component that the address names; and the entity's head. */
enum step step_component(struct work *work);
enum step step_head(struct work *work);

/* fold.c: the entity's state as of its head, in the entity; or as of `revision` where that is not
 * 0, in the work's fold. */
enum step fold_step(struct work *work, uint64_t revision);
void fold_take_snapshot(struct work *work, bool found, struct slice record);
void fold_free(struct work *work); /* not while something is under way; NULL-safe */
bool fold_under_way(const struct fold *fold);
/* False: there is none. */
bool fold_state(const struct fold *fold, struct slice *ret_state, uint32_t *ret_version);

/* job.c: the handler waits for a job; then the work is made ready. */
void job_wait(struct work *work);

/* ---- aside.c: calls that are elsewhere ---- */

/* The shard is not served here, and may be elsewhere. True: the work is away, waits for one that
 * is, or is answered; false: it is still where it was. */
bool aside_hand_over(struct work *work);
/* Another node has sent it to a leadership that is over: it is to be handed over although this
 * replica leads. */
bool aside_is_late(const struct work *work);
/* What is aside of the work's order keeps it from running here. */
bool aside_blocks(const struct work *work);
/* Whether a read of its order may be done here. `behind`: behind others that ask, and not before
 * they have read. */
bool aside_lets_read(const struct work *work, bool *ret_behind);
/* It took effect, or may have, or was read, in the queue or aside. */
void aside_overtake(const struct work *work);
/* Waits there. */
void aside_wait(struct work *work);
/* Stands aside, and is back in its old place in the queue; with it those that waited for it. */
void aside_enter(struct work *work);
void aside_return(struct work *work);
/* It was proposed, and leadership is lost. */
void aside_take_proposed(struct work *work);
/* One of that order is away no more: where it was the last, all of them that wait go on. */
void aside_left(struct entity *entity, uint64_t order);

/* ---- Entries ---- */

struct entry {
	struct list_node link;
	uint64_t number;
	bool proposed;
	struct group_position at;
	struct buffer batch;
	uint64_t reserved_bytes; /* held for it, with one entry, until it is proposed */
	struct list works;       /* commands that are in it */
	struct list reads;       /* works that saw it */
	struct list tokens;      /* struct token_proposed */
};

struct token_proposed {
	struct hash_entry hash;
	struct list_node link;
	struct hash128 token;
	uint64_t number; /* of the entry */
	uint32_t bytes;
	uint8_t record[];
};

/* kept.c: the states that a value entity keeps of its last changes. */
struct kept {
	bool puts;           /* that of head.revision */
	uint64_t drop_first; /* so many from this revision on go */
	uint64_t drops;
};
uint64_t kept_bytes_max(const struct host_component *component, const struct head *head);
/* What the change to head->revision keeps and lets go; moves head->kept_from. */
void kept_plan(uint32_t keep, struct head *head, struct kept *ret_kept);
uint64_t kept_bytes(const struct kept *kept, const struct head *head); /* at most */
void kept_write(
    const struct kept *kept, const struct head *head, struct entity_name name, struct writer *out);

/* Room for what a call of this many bytes may add. Errors as group_reserve. */
NODISCARD int entry_reserve(struct shard *shard, uint64_t bytes, bool only_deletes);
void entry_unreserve(struct shard *shard, uint64_t bytes);
/* The outcome's effects become part of the open entry. ERR_NOMEM, ERR_TOO_LARGE: nothing is
 * changed. */
NODISCARD int entry_add(struct work *work, const struct host_outcome *outcome);
/* clock.c. The time for a call that begins; for a query, which has no room reserved, with that. */
int64_t clock_for(struct work *work);
/* The call has looked at its time and makes no change: it is answered when a ceiling above that
 * time is applied. ERR_NOMEM. */
NODISCARD int clock_keep(struct work *work);
/* Whether the open entry has to hold META; moves its ceiling on. */
bool clock_needs_record(struct shard *shard);

/* Room in the open entry's batch (one is opened where there is none), which takes `bytes` of what
 * is reserved for it. ERR_NOMEM. */
NODISCARD int entry_room(struct shard *shard, uint64_t bytes, struct writer *ret_out);
void entry_written(struct shard *shard, const struct writer *out);
/* Of the `held_bytes` reserved the open entry keeps what it needs for `used_bytes` written, and the
 * rest is given back. */
void entry_take_room(struct shard *shard, uint64_t held_bytes, uint64_t used_bytes);
/* The open entry is proposed, or given up where that cannot be. */
void entry_propose(struct shard *shard);
/* Something was applied: entries at or below it are settled. */
void entry_settle(struct shard *shard, const struct group_entry *applied);
/* Leadership was lost, or the shard is closed. */
void entries_lost(struct shard *shard);
void entries_closed(struct shard *shard);
void entry_free(struct shard *shard, struct entry *entry);
struct entry *entry_find(struct shard *shard, uint64_t number);

/* ---- Tokens ---- */

#define TOKEN_ADDED_BYTES_MAX                                                                      \
	(TOKEN_KEY_BYTES + TOKEN_RECORD_BYTES_MAX + TOKEN_REPLY_BYTES_MAX + EXPIRY_KEY_BYTES + 64)
void token_prepare(struct work *work);
/* A token's record decides; STEP_ON: there is none. */
enum step token_step(struct work *work);
enum step token_found(struct work *work, struct slice record, uint64_t seen);
/* Bytes that it adds to the batch, or an error: ERR_TOO_LARGE (the reply), ERR_FULL (the shard's
 * space). */
NODISCARD int token_bytes(
    const struct work *work, const struct host_outcome *outcome, uint64_t *ret_bytes);
/* NULL: no memory. */
struct token_proposed *token_make(const struct work *work, const struct host_outcome *outcome);
/* Writes it; cannot fail. */
void token_add(
    struct shard *shard, struct entry *entry, struct token_proposed *token, struct writer *out);
void tokens_forget(struct shard *shard, struct entry *entry);
/* The shard has some, or may have: tokens_expire is called in each turn. */
void tokens_there(struct shard *shard);
/* Once per turn. True: there is more to do. */
bool tokens_expire(struct shard *shard);
void tokens_stop(struct shard *shard);

/* ---- Apps ---- */

struct slice address_type(struct slice address);

/* The component of this name and its bundle, or NULL; *ret_pending: a bundle that may have it is
 * not here yet. */
struct host_component *active_component(const struct shard *shard, struct slice type,
    struct host_bundle **ret_bundle, bool *ret_pending);
NODISCARD int active_load(struct shard *shard, bool found, struct slice record);
void active_forget(struct shard *shard); /* and what was dropped */
/* ACTIVE becomes part of the open entry, with these in place of what the shard has now. False:
 * there is no room. */
bool active_put(struct shard *shard, const struct active *actives, uint32_t count,
    const struct dropped *dropped, uint32_t dropped_count);
/* Names of components near to `type`, for a message. */
NODISCARD int active_explain(const struct shard *shard, struct slice type, struct buffer *out);
/* After something was applied, or the state of a shard has changed. */
void activations_advance(struct shards *shards);

/* dropped.c: what the shard knows of types whose data was destroyed. */
struct dropped *dropped_find(const struct shard *shard, struct slice type); /* or NULL */
static inline uint64_t dropped_incarnation(const struct shard *shard, struct slice type)
{
	const struct dropped *dropped =
	    shard->dropped_count == 0 ? NULL : dropped_find(shard, type);
	return dropped ? dropped->incarnation : 0;
}
/* All of them with what an activation adds. ERR_NOMEM; NULL where there are none. */
NODISCARD int dropped_with(const struct shard *shard, const struct shards_activation *activation,
    struct dropped **ret_dropped, uint32_t *ret_count);
/* They are the shard's from now on. */
void dropped_take(struct shard *shard, struct dropped *dropped, uint32_t count);
void dropped_forget(struct shard *shard);

/* purge.c: the space of what was dropped is given back, one shard of a core at a time. */
void purge_want(struct shard *shard); /* there may be something */
bool purge_turn(struct shards *shards);
void purge_stop(struct shards *shards);

/* ---- Administration ---- */

/* LIST, GET, HISTORY, ENTITIES, COUNT. */
void admin_advance(struct work *work);
void walk_free(struct work *work);
bool walk_under_way(const struct walk *walk);
/* A state as JSON. ERR_NOMEM, ERR_TOO_LARGE, ERR_CORRUPT. */
struct json_writer;
NODISCARD int state_to_json(struct slice state, struct json_writer *out);

#endif
