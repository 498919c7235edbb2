/* A replicated group: one ordered row of entries that a majority of its replicas makes durable, and
 * one replica at a time that may add to it. What stands above (server/shard/, server/meta/) sees
 * this header only; whether a group has one member or five is not visible in it.
 *
 *   group_reserve -> (handlers run) -> group_propose -> log: durable -> committed -> applied
 *
 * A group_store is one store's engine (storage/engine.h) with the groups that live on it: it owns
 * the engine and its callbacks, opens and closes it. All groups of a store advance together, in one
 * walk over a durable frame's extents.
 *
 * An entry's payload: kind u8 (GROUP_NOOP, GROUP_BATCH) | leader's time i64 little-endian, ms since
 * 1970 UTC | batch (storage/batch.h; empty in a NOOP). The time is never less than that of the
 * entry before it. After a restart it continues from the highest time that replay or group_set_time
 * told.
 *
 * The rules that everything above relies on:
 *   1. `leading(term)` comes when an entry of this very term, proposed by this replica, is applied:
 *      before that, nothing may be executed here.
 *   2. Entries are applied in order of index, each once, each committed and durable here, before
 *      `applied` is called for it. `applied` comes for every entry, own or not.
 *   3. `lost` comes once after `leading`; from then on proposals are refused. What was proposed and
 *      not applied may still be applied later, with its term, or another entry stands at its index:
 *      `applied` shows which (compare the term).
 *   4. A round of group_confirm that is `confirmed` proves that this replica led when the round
 *      began, and that no other leader has committed anything before. Rounds are confirmed in
 *      order. A confirmed round of a term that is lost in the meantime counts all the same; rounds
 *      that are not confirmed when leadership is lost never are.
 *   5. Every callback comes from io_run or group_store_turn, never inside a call of this header's
 *      functions.
 *
 * Thread: the core's that runs the store.
 */
#ifndef KX_REPLICATION_GROUP_H
#define KX_REPLICATION_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "replication/raft/membership.h"
#include "storage/engine.h"

struct group;
struct group_store;
struct snapshots;
struct raft_message;
struct raft_progress;

/* Of one group, voters and learners, while its membership changes. */
static inline uint32_t group_replicas_max(uint32_t shard)
{
	return shard == 0 ? DIRECTORY_REPLICAS_MAX : GROUP_REPLICAS_MAX;
}

enum group_entry_kind { GROUP_NOOP = 1, GROUP_BATCH = 2, GROUP_MEMBERSHIP = 3 };
#define GROUP_ENTRY_HEADER_BYTES 9

struct group_position {
	uint64_t term;
	uint64_t index;
};

struct group_entry {
	struct group_position at;
	enum group_entry_kind kind;
	int64_t time_ms;
	struct slice batch; /* valid during the call */
};

enum { GROUP_SOON_STEPS = 4 };
struct group_events {
	void (*leading)(void *arg, uint64_t term);
	void (*lost)(void *arg);
	void (*applied)(void *arg, const struct group_entry *entry);
	/* May be NULL. The group's next entry will be applied soon: what that takes can be fetched
	 * from memory meanwhile. It comes GROUP_SOON_STEPS times, in steps over several groups, so
	 * that a step reads what the one before has asked for. */
	void (*soon)(void *arg, unsigned step);
	void (*confirmed)(void *arg, uint64_t round);
	/* May be NULL. group_answered has risen. */
	void (*answered)(void *arg);
	/* Room again after group_reserve said ERR_FULL, ERR_BUSY or ERR_NO_SPACE. */
	void (*room)(void *arg);
	/* May be NULL. The whole state is another one, that of the entry `at`: what is kept of the
	 * old one goes. `applied` goes on behind it. */
	void (*installed)(void *arg, struct group_position at);
	/* The group's shard was found damaged: everything of it answers ERR_DATA_LOSS. */
	void (*closed)(void *arg);
};

/* ---- The store and its groups ---- */

/* What takes messages to other replicas. */
struct group_carrier {
	/* A message of the shard's group, for the node of message->to. It and its entries are valid
	 * during the call; where it cannot go it is lost. From group_store_turn only. */
	void (*send)(void *arg, uint32_t shard, const struct raft_message *message);
	void *arg;
};

struct group_store_options {
	/* As for engine_open; replay, durable, room and arg are the group store's own. */
	struct engine_options engine;
	const struct group_carrier *carrier; /* NULL: groups have this replica alone */
	/* Reads need no round within nine tenths of GROUP_ELECTION_MS after one. That relies on the
	 * clocks of all voters: they run equally fast within a tenth. The same on all nodes. */
	bool leases;
	/* snapshot.h. NULL: who lacks what the log does not have any more goes without. */
	struct snapshots *snapshots;
	/* What may be in memory of entries that are read back from the log, for replicas that lack
	 * more than is kept there; 0: none are, and those replicas get snapshots. */
	uint64_t read_bytes_max;
	/* Kept of each group in memory; 0: GROUP_KEPT_BYTES_MAX. */
	uint64_t kept_bytes_max;
	/* Entries of one message, together; one entry always may. 0: GROUP_MESSAGE_BYTES_MAX, which
	 * is the most. */
	uint64_t message_bytes_max;
	/* Entries that are not applied, in memory: a group's, where it has others; those of all of
	 * them. From there on group_reserve says ERR_BUSY. 0: GROUP_UNAPPLIED_BYTES_MAX,
	 * STORE_UNAPPLIED_BYTES_MAX. */
	uint64_t group_unapplied_bytes_max, unapplied_bytes_max;
	/* This node's number, the low 16 bits of its replicas'. Where it is the only voter of a
	 * group what is durable is committed, and is replayed as that; 0: not known, then only what
	 * the log says of the commit is. */
	uint16_t node;
};
/* Opens the engine and replays: groups found there exist afterwards, followers all, and keep in
 * memory what is not known to be committed. Blocks. Errors
 * and `why` as engine_open. */
NODISCARD int group_store_open(const struct group_store_options *options, char *why,
    size_t why_bytes, struct group_store **ret_store, struct engine_report *ret_report);
void group_store_free(struct group_store *store); /* as engine_free; groups go with it */
/* Clean end: refuses proposals, finishes what was proposed, checkpoints, then `closed`. */
void group_store_close(struct group_store *store, void (*closed)(void *arg), void *arg);
/* The end of every turn. True while work is left: the loop does not wait. */
bool group_store_turn(struct group_store *store);
struct engine *group_store_engine(struct group_store *store);
/* Entries that were read back from the log since it was opened, and their bytes. */
void group_store_read_back(
    const struct group_store *store, uint64_t *ret_entries, uint64_t *ret_bytes);
/* Bytes of entries that are not applied, of all groups; how often ERR_BUSY was said. */
void group_store_unapplied(
    const struct group_store *store, uint64_t *ret_bytes, uint64_t *ret_refused);
/* A message for a group came (raft/wire.h), from io_run. False: the replica that it is for is not
 * here. */
bool group_store_receive(
    struct group_store *store, uint32_t shard, const struct raft_message *message);
/* The core of a node that has some shards: store = shard mod stores, core = store mod cores. The
 * lower 16 bits of a replica's number are its node. */
struct group_place {
	uint16_t node, stores, cores, core;
};
/* What was sent there may be lost. `down`: it is not reached; told again, at least once in
 * GROUP_ELECTION_MS, as long as it is so. Returns how many replicas there that concerns. */
uint32_t group_store_missed(struct group_store *store, const struct group_place *place, bool down);
/* Whoever should have this replica says that it does not. */
void group_store_not_there(struct group_store *store, uint32_t shard, uint64_t replica);
/* The replica of the shard whose data is here, of this node, `node`: as the members say that stand
 * in the log and in the store. 0: none. Blocks; before group_start. */
uint64_t group_store_replica(struct group_store *store, uint32_t shard, uint16_t node);
/* The store has something of the shard, and nobody has added its group since it was opened. */
bool group_store_unowned(const struct group_store *store, uint32_t shard);
/* Something of the shard is here: its group, or what is left of one that is being removed. */
bool group_store_holds(const struct group_store *store, uint32_t shard);
/* Takes away what is unowned, as group_remove does. ERR_NOT_FOUND: it is not. */
NODISCARD int group_store_clear(struct group_store *store, uint32_t shard);
/* NULL: nobody has added it. */
struct group *group_store_group(const struct group_store *store, uint32_t shard);

/* The group of a shard, made where there is none yet; `events` and `arg` are told from group_start
 * on. ERR_NOMEM; ERR_BUSY (it is being removed). */
NODISCARD int group_add(struct group_store *store, uint32_t shard,
    const struct group_events *events, void *arg, struct group **ret_group);
/* Before group_start: this replica's number, and the members of a group that has none yet. Where it
 * is not called the group is alone. `initial` stays. */
void group_set_members(struct group *group, uint64_t self, const struct raft_membership *initial);
/* The number of the replica with which a group begins, alone. */
#define GROUP_FIRST_REPLICA 1
/* The same by its number alone: the first one begins alone, and any other one knows no members
 * until a leader tells it. */
void group_set_self(struct group *group, uint64_t self);
/* The replica is not wanted here any more, its data neither. From now on it takes no messages,
 * sends none, and is told of nothing; what it has proposed and not applied may be committed all the
 * same where others have it. What was reserved was given back. As soon as what is under way allows
 * it the shard goes from the store, all of it; or nothing, where a crash comes first: the old
 * replica is there at the next start, to be removed again. What hinders it (a full disk) is waited
 * for. `removed` with 0: nothing of it is left, and the shard may come again, as another replica;
 * until then group_add says ERR_BUSY. ERR_CANCELED: the store closes, or group_end_removal. One
 * that is closed can be removed too. `group` is not the caller's any more, but for
 * group_end_removal until `removed`. */
void group_remove(struct group *group, void (*removed)(void *arg, int error), void *arg);
/* What is hindered now is not waited for any more: `removed` comes soon. */
void group_end_removal(struct group *group);
/* May lead from now on. A one-member group begins its next term at once: its vote and first entry
 * go to the log in this turn. A group of a closed shard tells `closed`, in a later turn. */
void group_start(struct group *group);

/* ---- What the leader does ---- */

bool group_leads(const struct group *group); /* between leading and lost */
uint64_t group_term(const struct group *group);
/* Milliseconds since 1970 UTC for the entry that the next group_propose makes: never less than any
 * entry's before. Constant during a turn. */
int64_t group_time_ms(struct group *group);
/* Never less than this from now on: what the state itself knows of time. */
void group_set_time(struct group *group, int64_t at_least_ms);

/* Room for entries of `bytes` of batch in all, asked before anything is executed. Held until
 * group_unreserve, which is called right before group_propose in the same chain of calls, or to
 * give it back (also in part: `bytes` less, entries 0). 0; ERR_AGAIN (does not lead), ERR_FULL
 * (wait for `room`), ERR_BUSY (too much is proposed and not applied, here or in other groups of the
 * store: nobody knows when there will be `room`; `only_deletes` may add a little more),
 * ERR_NO_SPACE (disk full; `only_deletes` may use the reserve), ERR_DATA_LOSS. */
NODISCARD int group_reserve(
    struct group *group, uint64_t bytes, uint32_t entries, bool only_deletes);
void group_unreserve(struct group *group, uint64_t bytes, uint32_t entries);
/* Proposes one entry; room was reserved, and this replica leads (programmer's errors otherwise).
 * The batch is copied. */
void group_propose(struct group *group, struct slice batch, struct group_position *ret_at);

/* Who is a member, while this replica leads: see raft_change, and its errors; besides ERR_FULL,
 * ERR_NO_SPACE, ERR_NOMEM, ERR_DATA_LOSS where there is no room for what it writes. `ret_why` is
 * static text. */
NODISCARD int group_change(struct group *group, const struct raft_change *changes, size_t count,
    enum raft_transition transition, const char **ret_why);
/* Whoever leads as far as this replica knows, 0: nobody. */
uint64_t group_leader(const struct group *group);
/* Another replica is to lead: see raft_transfer. */
NODISCARD int group_transfer(struct group *group, uint64_t replica);
/* So long ago that was asked for in this term, whatever it said; UINT64_MAX: it was not. Where this
 * replica leads still, and is not busy, it came to nothing. */
uint64_t group_transfer_ms(const struct group *group);
/* Unsafe: see raft_recover. `at` is where its log ends then, the membership of this replica alone,
 * which is not durable yet; leading follows as ever. Besides its errors: ERR_AGAIN (it does not
 * run yet), ERR_FULL, ERR_NO_SPACE, ERR_NOMEM, ERR_DATA_LOSS. */
NODISCARD int group_recover(struct group *group, uint64_t term, struct group_position *ret_at);
void group_get_members(const struct group *group, struct raft_membership *ret_members);
/* A leader's view of its members, by number from 0; false: no more. */
bool group_progress(const struct group *group, uint32_t number, struct raft_progress *ret_progress);
/* It leads, and for so long nothing was applied of what is proposed: too few others make it
 * durable, or this replica does not. 0: nothing is proposed, or it has just moved. */
uint64_t group_stands_ms(const struct group *group);
/* No change of members is possible now: it does not lead, hands over, has committed nothing in its
 * term, or a change is not committed. */
bool group_busy(const struct group *group);
bool group_asleep(const struct group *group);
/* The shard is damaged here, or was when the group was closed: what an install has mended since is
 * of no use to it. */
bool group_closed(const struct group *group);
uint64_t group_self(const struct group *group); /* this replica's number */
struct group_position group_last(const struct group *group);
/* Up to here its log is known to be committed, and is on its disk. */
uint64_t group_committed(const struct group *group);

/* What reserving and proposing will read is fetched from memory meanwhile, in two steps (0, 1), of
 * which the second relies on the first. Changes nothing. */
void group_fetch(const struct group *group, unsigned step);

/* Begins a round of confirmation (rule 4) for everything that arrived before this call; calls of
 * one turn share one. Returns its number, rising; it may be confirmed already
 * (group_confirmed). With a lease that holds it is one that was confirmed before. */
uint64_t group_confirm(struct group *group);
uint64_t group_confirmed(const struct group *group); /* the highest confirmed round */
struct group_position group_applied(const struct group *group);
/* Of entries that were applied since the group was made, while it had other members. */
uint64_t group_applied_bytes(const struct group *group);

/* ---- What a replica that does not lead may read ---- */

/* Asks the leader. When group_answered has come to the question's number, all that was committed
 * anywhere before this call is applied here; `answered` tells of it. Calls of one turn share a
 * question; while one is under way, all others share the next, which leaves when that is answered.
 * A question may be lost, and is with its leader: who waits asks again after a while. Where leader
 * and this replica are a majority of the voters, neither it nor anybody else is woken. ERR_AGAIN:
 * this replica leads, campaigns, or knows no leader. */
NODISCARD int group_ask(struct group *group, uint64_t *ret_question);
uint64_t group_answered(const struct group *group);
/* All that was committed anywhere before this moment is applied here: when that question was asked,
 * or, where this replica led since, the newest time at which that was confirmed to be so, by the
 * clock of io_now_ns. No other node's clock is in it. 0: nothing is known. */
uint64_t group_known_ns(const struct group *group);

#endif
