/* Raft (Ongaro and Ousterhout 2014; Ongaro's thesis, 2014): one replica of one group, as a machine
 * without clock, thread, file, network or memory of its own.
 *
 *   facts    -> raft_step      a message came, an entry is durable, time has passed ...
 *   requests -> raft_propose, raft_change, raft_confirm, raft_ask, raft_transfer: may be refused
 *   raft_next                  what its owner has to do now, in order, after each of them
 *   raft_send                  what is to be sent, once a turn
 *
 * Nothing is queued: what is to be sent follows from the state when it is asked for. So messages of
 * one turn are one message, and memory is bounded without anything being refused. Any message may
 * be lost, doubled, late or out of order.
 *
 * The log is the owner's. This machine knows its bounds and asks for terms (struct raft_log); the
 * owner appends what RAFT_APPEND says before the next call of anything here, and says later what is
 * durable. A write may be under way for as long as it takes; meanwhile everything goes on.
 *
 * The rules, in the words of their sources, stand in the file that keeps them:
 *   election.c   pre-vote, votes, stickiness, stepping down
 *   accept.c     a follower's log matches its leader's
 *   replicate.c  what a leader sends, and what it may call committed
 *   flow.c       how much is under way to each replica
 *   pace.c       what may wait, so that messages are fewer
 *   confirm.c    a leader proves that it is one (ReadIndex, leases)
 *   ask.c        others ask it what they may read
 *   change.c     one change of the membership at a time
 *   transfer.c   leadership is handed over
 *   install.c    a snapshot replaces the log
 *   sleep.c      an idle group costs nothing
 *
 * Durability. No message leaves before term and vote are durable (RAFT_HARD, RAFT_HARD_STORED). An
 * acknowledgement names the highest entry that is durable, and a leader counts itself like anyone
 * else.
 *
 * Times are milliseconds of a monotonic clock and drive timers only: with clocks that lie, the
 * group may stand still but never answers wrong, except for leases (struct raft_options).
 *
 * A replica has a number that is never used again: one that lost its disk comes back as another
 * (its incarnation). 0 is none.
 *
 * Unsafe recovery, where a majority is lost for good, is done to ONE replica, the one with the
 * newest log (raft_position, by term), in a term above all that any replica that is left has seen:
 * raft_recover. While it is stopped the same can be done to its log: a hard state of that term,
 * then a RAFT_MEMBERSHIP of it behind the last entry, of that replica alone. Started again it
 * elects itself and commits all it has. Two that were treated so in one term would have different
 * logs of it.
 *
 * One thread.
 */
#ifndef KX_REPLICATION_RAFT_RAFT_H
#define KX_REPLICATION_RAFT_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "replication/raft/membership.h"

struct raft;

#define RAFT_NEVER UINT64_MAX
/* Nobody listens to messages or snapshots of later terms, and nobody campaigns behind it. Elsewhere
 * a term stands beside a node's number, in 64 bits. */
#define RAFT_TERM_MAX  ((UINT64_C(1) << 48) - 1)
#define RAFT_INDEX_MAX (UINT64_MAX / 2) /* no snapshot is behind it */

struct raft_position {
	uint64_t term;
	uint64_t index;
};

/* What the owner's log answers. Both are asked inside calls of this header's functions. */
struct raft_log {
	/* The term of an entry that the log has: base < index <= last. Never fails. */
	uint64_t (*term)(void *arg, uint64_t index);
	/* How many entries from `first` on, at least one and at most `count_max`, make up to
	 * `bytes_max` bytes; and how many bytes those are. 0: they are not in memory. They are to
	 * be sent as soon as raft_send is called when they are; where the owner cannot get them
	 * any more it says so with RAFT_COMPACTED. */
	uint32_t (*fit)(
	    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes);
	void *arg;
};

struct raft_options {
	uint64_t self;
	uint32_t
	    replicas_max; /* voters and learners, 1 .. RAFT_REPLICAS_MAX; the same everywhere */
	uint64_t seed;    /* of its timers and questions; another one at each replica, each start */
	struct raft_log log;

	uint32_t election_ms; /* a leader is missed after one to two of these; > 2 x heartbeat_ms */
	uint32_t heartbeat_ms; /* > 0 */
	uint32_t sleep_ms;     /* an idle group sleeps after this; 0: never */

	/* To one replica, until it acknowledges. */
	uint32_t messages_in_flight_max; /* 1 .. RAFT_IN_FLIGHT_MAX */
	uint64_t bytes_in_flight_max;
	uint64_t message_bytes_max;
	/* What does not have to leave at once waits (pace.c) for the answer to a message before:
	 * entries until they are gather_bytes, and not much longer than gather_ms, 1 .. 1000.
	 * gather_bytes 0: nothing waits. */
	uint64_t gather_bytes;
	uint32_t gather_ms;
	/* A leader's own entries that are not committed; one entry always may. */
	uint64_t uncommitted_bytes_max;

	/* Reads without a round for nine tenths of election_ms after one. Needs clocks of all
	 * voters that run equally fast within a tenth, and this and election_ms to be the same
	 * everywhere; then also nobody votes within election_ms of its start. */
	bool leases;
};

enum { RAFT_IN_FLIGHT_MAX = 16 };

/* What the owner's log and store know at the start. A group that may have lost what was durable has
 * no machine: it neither votes nor acknowledges, and comes back as another replica. */
struct raft_start {
	uint64_t term, vote;       /* the newest durable hard state */
	uint64_t commit;           /* at least the base's; what the store holds is committed */
	struct raft_position base; /* the entry before the log's first */
	struct raft_position last; /* the log's last, or the base; all of it is durable */
	const struct raft_membership *membership; /* in effect at the base; empty: a new replica */
	uint64_t now_ms;
};

/* ---- Messages ---- */

/* Numbers are part of the wire's format. */
enum raft_message_kind {
	RAFT_PREVOTE = 1,
	RAFT_PREVOTE_REPLY = 2,
	RAFT_VOTE = 3,
	RAFT_VOTE_REPLY = 4,
	RAFT_APPEND_ENTRIES = 5,
	RAFT_APPEND_REPLY = 6,
	RAFT_HEARTBEAT = 7,
	RAFT_HEARTBEAT_REPLY = 8,
	RAFT_TIMEOUT_NOW = 9,
	RAFT_WAKE = 10, /* to a leader that sleeps, or whoever may be it, by one who is awake */
	RAFT_READ_INDEX = 11, /* to a leader: what may be read? (ask.c) */
	RAFT_READ_INDEX_REPLY = 12,
};

enum raft_entry_kind {
	RAFT_NOOP = 1,
	RAFT_DATA = 2,
	RAFT_MEMBERSHIP = 3,
};

struct raft_entry {
	uint64_t term;
	enum raft_entry_kind kind;
	struct slice data; /* RAFT_MEMBERSHIP: raft_membership_write's bytes; else the owner's */
};

struct raft_message {
	enum raft_message_kind kind; /* one of these: who reads it off a wire has to look */
	uint64_t from, to;           /* replicas */
	uint64_t term; /* the sender's; of a pre-vote and its grant, the one asked for */
	/* Votes: the candidate's last entry. APPEND_ENTRIES: the entry before the first one sent.
	 * APPEND_REPLY: the durable entry that matches, or the one refused (no term in either). */
	struct raft_position at;
	/* APPEND_REPLY: up to which it matches, durable or not; refused: where it may match. */
	struct raft_position hint;
	uint64_t commit; /* APPEND_ENTRIES, HEARTBEAT; READ_INDEX_REPLY: what may be read */
	/* APPEND_ENTRIES, HEARTBEAT, and echoed by their replies (confirm.c). READ_INDEX and its
	 * reply: the question. */
	uint64_t round;
	bool refused; /* replies */
	bool forced;  /* votes: the leader wishes it (transfer.c) */
	bool asleep;  /* HEARTBEAT and its reply (sleep.c) */
	/* APPEND_ENTRIES: they stand behind `at`. In one that is to be sent `entries` is NULL, and
	 * the owner takes them from its log. */
	uint32_t count;
	const struct raft_entry *entries;
};

/* ---- Facts ---- */

enum raft_event_kind {
	RAFT_TICK, /* only time; due at raft_deadline */
	/* `message`: its entries stay valid until raft_next says that there is nothing more. */
	RAFT_RECEIVED,
	/* Everything up to `index` is durable, as it stood when `epoch` (of RAFT_APPEND) was new.
	 * Told in the order of the writes. */
	RAFT_STORED,
	RAFT_HARD_STORED, /* `term`, `vote` of the newest RAFT_HARD that is durable */
	/* The log begins behind `at` now, which is applied and in the durable checkpoint. */
	RAFT_COMPACTED,
	/* The entries up to `index` are applied: `bytes` of RAFT_DATA that raft_propose was told
	 * since this replica leads. */
	RAFT_APPLIED,
	RAFT_SNAPSHOT_SENT,  /* `replica` has the snapshot at `index`; 0: it failed */
	RAFT_INSTALLED,      /* the snapshot at `at` with `membership` is the state, and durable */
	RAFT_INSTALL_FAILED, /* nothing was changed */
	RAFT_UNREACHABLE,    /* messages to `replica` may have been lost */
	/* The node of `replica` is not heard of, or says that it has no such replica: wakes who
	 * relies on it. Said again, at least once in election_ms, as long as it is so: a heartbeat
	 * that comes late may have put this replica to sleep after it was said. */
	RAFT_PEER_DOWN,
};

struct raft_event {
	enum raft_event_kind kind;
	uint64_t now_ms; /* in each; never less than before */
	const struct raft_message *message;
	const struct raft_membership *membership;
	struct raft_position at;
	uint64_t index, epoch, bytes;
	uint64_t term, vote;
	uint64_t replica;
};

/* ---- What is to be done ---- */

enum raft_output_kind {
	RAFT_HARD, /* `term`, `vote` go to the log, behind everything before */
	/* `count` entries go to the log from `at.index` on, and replace what stands there and
	 * behind. They are `entries`: the message's, or one of this machine's own (RAFT_NOOP,
	 * RAFT_MEMBERSHIP). `epoch` belongs to RAFT_STORED. */
	RAFT_APPEND,
	RAFT_COMMIT, /* everything up to at.index is committed: to be applied where durable here */
	/* Another role or leader: `role`, `replica` (the leader, 0: none known), `term`. */
	RAFT_ROLE,
	RAFT_CONFIRMED,     /* rounds up to `index` (raft_confirm) */
	RAFT_READABLE,      /* question `index`, asked at `asked_ms`: up to at.index (raft_ask) */
	RAFT_SEND_SNAPSHOT, /* `replica` needs one: RAFT_SNAPSHOT_SENT is to follow */
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

struct raft_output {
	enum raft_output_kind kind;
	uint64_t term, vote;
	struct raft_position at; /* RAFT_APPEND: of the first */
	uint32_t count;
	const struct raft_entry *entries;
	uint64_t epoch, index, replica, asked_ms;
	enum raft_role role;
};

/* ---- Life ---- */

/* Bytes of memory of a machine with so many places, aligned as for malloc. Each member takes one,
 * of the membership in effect and of the one before it. Few groups have as many members as they
 * may, so who owns many gives each what it needs: there have to be enough (raft_strangers) before
 * anything that brings a membership, which is raft_init, raft_restore, RAFT_RECEIVED,
 * RAFT_INSTALLED, raft_change and raft_recover. 2 x replicas_max are always enough. */
size_t raft_bytes(uint32_t places);
/* The machine is the memory: it owns nothing and is ended by forgetting it. Memberships in the log
 * behind the base are told next, in order, with raft_restore. */
struct raft *raft_init(void *memory, uint32_t places, const struct raft_options *options,
    const struct raft_start *start);
/* The machine in other memory, with at least as many places as are taken; the one before may be
 * freed. Not while raft_next has something to say. */
struct raft *raft_move(const struct raft *raft, void *memory, uint32_t places);
/* How many of these have no place: so many have to be free when they become members. Where several
 * memberships come at a time, the sum of all. */
uint32_t raft_strangers(const struct raft *raft, const struct raft_membership *members);
void raft_restore(struct raft *raft, uint64_t index, const struct raft_membership *membership);

void raft_step(struct raft *raft, const struct raft_event *event);
/* RAFT_STORED where there is no other member, this replica leads, and nothing follows but that the
 * entries up to `index` are committed: they are, and raft_next is not asked. False: it is not so,
 * and nothing was done. */
bool raft_stored_alone(struct raft *raft, uint64_t now_ms, uint64_t index);
/* The next thing to be done; false: nothing more. Everything is taken and done after each call of
 * raft_step and of the requests, before the next one. Entries are valid until then. */
bool raft_next(struct raft *raft, struct raft_output *ret_output);
/* The next message; false: no more for now, and raft_next is to be asked once more. Where the owner
 * cannot send it, it is lost. */
bool raft_send(struct raft *raft, uint64_t now_ms, struct raft_message *ret_message);
/* When RAFT_TICK is due; RAFT_NEVER. */
uint64_t raft_deadline(const struct raft *raft);

/* ---- Requests ---- */

/* `count` entries of `bytes` in all are proposed: their first position. The owner appends them to
 * its log at once; raft_next has nothing more to say because of that. ERR_AGAIN: it does not lead,
 * or hands over; ERR_FULL: uncommitted_bytes_max. */
NODISCARD int raft_propose(struct raft *raft, uint64_t now_ms, uint32_t count, uint64_t bytes,
    struct raft_position *ret_first);
/* The same of what was accepted before leadership began to be handed over: it is taken even now,
 * and the other one waits for it if it can still wait. ERR_AGAIN: it does not lead. */
NODISCARD int raft_propose_promised(struct raft *raft, uint64_t now_ms, uint32_t count,
    uint64_t bytes, struct raft_position *ret_first);
/* See raft_membership_change. In effect as soon as it is appended (RAFT_APPEND); done when it is
 * committed, and where it is joint and leaves by itself when a second one is. A leader that is no
 * voter any more then hands over by itself. ERR_AGAIN: also where it does not lead, hands over, has
 * committed nothing in its term, or a change is not committed. */
NODISCARD int raft_change(struct raft *raft, uint64_t now_ms, const struct raft_change *changes,
    size_t count, enum raft_transition transition, const char **ret_why);
/* A round that proves leadership after this call; RAFT_CONFIRMED tells of it. What the caller may
 * then read: everything that was committed when this was called. Calls before the round's first
 * message share it. Rounds of a leadership that has ended (RAFT_ROLE) are to be
 * forgotten. ERR_AGAIN: does not lead, or has committed nothing in its term. */
NODISCARD int raft_confirm(struct raft *raft, uint64_t now_ms, uint64_t *ret_round);
/* Whether it may read what is committed without a round (options.leases). */
bool raft_lease(const struct raft *raft, uint64_t now_ms);
/* That it led then, in this term, a majority has confirmed since, by whatever messages there were:
 * all that was committed anywhere before is committed here. While the leader is awake it is never
 * older than the time between two heartbeats and that of their answers. 0: not known. */
uint64_t raft_led_ms(const struct raft *raft);
/* Of a replica that follows: asks its leader what may be read. RAFT_READABLE of this question, or
 * of a later one, tells: whatever was committed anywhere before this call is at or below its index,
 * and may be read here once that is applied. Questions of a leader that is over are never answered
 * (RAFT_ROLE), and any may be lost; one that was asked half an election_ms ago is taken for that
 * when this is called again. ERR_AGAIN: it does not follow, or whom is not known. */
NODISCARD int raft_ask(struct raft *raft, uint64_t now_ms, uint64_t *ret_question);
/* `target`, a voter, is to lead: as soon as it has the whole log. Proposals are refused until it
 * leads or election_ms have passed. Another call takes the place of the one before. ERR_AGAIN: does
 * not lead; ERR_NOT_FOUND: no voter; ERR_EXISTS: it is this replica. */
NODISCARD int raft_transfer(struct raft *raft, uint64_t now_ms, uint64_t target);
/* Unsafe (recover.c): a majority is lost for good, and this replica becomes the only member, in
 * `term`, with the log that it has. So it comes at most once for a term. The caller answers for
 * what the rules cannot: nobody that is given up takes part again, and no other replica recovers.
 * ERR_EXISTS: it has seen that term already; ERR_INVALID: it has no log; ERR_AGAIN: it leads,
 * installs a snapshot, or its vote is being written. */
NODISCARD int raft_recover(struct raft *raft, uint64_t now_ms, uint64_t term);
/* A snapshot at `at` was offered by a leader of `term`: whether to install it. 0: from now on until
 * RAFT_INSTALLED or RAFT_INSTALL_FAILED the log is not touched. ERR_EXISTS: the log has that
 * already; ERR_AGAIN: of an older leader, or of none that there can be (RAFT_TERM_MAX,
 * RAFT_INDEX_MAX), or another one is being installed. */
NODISCARD int raft_install(
    struct raft *raft, uint64_t now_ms, uint64_t from, uint64_t term, struct raft_position at);

/* What a step, or sending, reads first is fetched from memory meanwhile. Changes nothing. */
void raft_fetch(const struct raft *raft);

/* ---- For status, and for tests ---- */

struct raft_status {
	enum raft_role role;
	uint64_t self, term, vote, leader;
	struct raft_position base, last;
	uint64_t commit, durable, membership_index;
	bool asleep, transferring, installing, committed_in_term;
	uint32_t places, places_taken;
};
struct raft_status raft_status(const struct raft *raft);
void raft_get_membership(const struct raft *raft, struct raft_membership *ret_membership);

enum raft_flow { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };
struct raft_progress {
	uint64_t replica, match, next, heard_ms;
	enum raft_flow flow;
	uint32_t messages_in_flight;
	uint64_t bytes_in_flight;
};
/* A leader's view of its members, by number from 0; false: no more. It has itself what is durable
 * here, and hears itself all the time. */
bool raft_get_progress(
    const struct raft *raft, uint32_t number, struct raft_progress *ret_progress);

#endif
