/* One core's shards: entities and the calls on them.
 *
 *   submit -> slot -> shard -> (another core's? through its mailbox) -> queue of the entity
 *     -> room reserved -> state found (memory, else read in the pool) -> handler runs, in slices
 *     -> effects into the turn's entry, or a read held -> committed, confirmed -> done
 *
 * State of an entity has layers, newest first: proposed (term, index) -> committed (the engine's
 * dirty, frozen, clean) -> store. Calls run on the newest. When leadership is lost the proposed
 * layer is dropped, and nothing else. Folded states of event-sourced entities are a cache over
 * their events, bounded in bytes.
 *
 * What a reply waits for (the hold rule): a command with effects, for its own entry to be applied.
 * Everything else is a read: for every proposed index that it saw, and for a confirmation of
 * leadership that began after it arrived.
 *
 * What happens when trouble comes (the outcome table):
 *   not proposed: waits within its deadline; at its end DEADLINE_EXCEEDED, or UNAVAILABLE where no
 *     leader is known; queue or disk full: RESOURCE_EXHAUSTED at once; the shard is closed, and
 *     nobody else could come to lead it (options.others): DATA_LOSS at once
 *   a read: run again within its deadline, else UNAVAILABLE
 *   proposed, leadership lost: its (term, index) decides when something is applied there: the held
 *     reply, or run again / UNAVAILABLE; deadline first: UNKNOWN_OUTCOME
 *   proposed, deadline: UNKNOWN_OUTCOME, never DEADLINE_EXCEEDED
 *
 * Order: calls with one `order` number to one entity take effect in the order submitted. Those of
 * a kind that touches none (shard_call_is_ordered) have no place in it.
 *
 * Queries of calls that allow it (`anywhere`) are answered by a replica here that follows, where it
 * knows enough, or learns it from its leader in time; else they are as any other (replica.c). Where
 * a call allows that it misses what is not older than `stale_ns`, a leader's answer waits until
 * what it saw is committed, and for no round if what was confirmed last is new enough for that.
 *
 * Elsewhere. Where the shard is absent, follows or is closed, calls that are not proposed are
 * handed to the server (options.elsewhere), which takes them to the node that leads. For calls of
 * one order to one address this holds:
 *   - they leave in their order, and all that are away at a time go one way (`route`);
 *   - while one is away none behind it runs here, also where this node leads again;
 *   - one that comes back, or that was proposed here and is surely not done, goes on in its old
 *     place when none of them is away any more; but where one behind it was answered from elsewhere
 *     in the meantime, it is UNAVAILABLE: it would take effect after it.
 * A call that another node sent here (`forwarded`) is never handed on: where this one does not
 * lead, or leads in another term than that in which the call was sent to it, or stops, it is
 * UNAVAILABLE at once, with not_leader. So no leadership runs what was meant for an earlier one:
 * where the link broke nobody remembers there what is under way here, and what its sender has sent
 * to another leader since would be overtaken.
 *
 * Thread: everything on the core's thread; a call that crosses to another core belongs to that one
 * until `done`, which comes on the core that submitted it.
 */
#ifndef KX_SERVER_SHARD_SHARD_H
#define KX_SERVER_SHARD_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "scripting/host.h"

struct group_store;
struct io;
struct mailbox;
struct raft_membership;
struct shards;

/* ---- The map of slots, fixed when a cluster is made ---- */

/* Shard 0 is the directory's; slots belong to shards 1 to shard_count, in contiguous ranges. */
struct shard_map {
	uint32_t shard_count;
	uint32_t store_count;
	uint32_t core_count;
};
uint32_t shard_of_slot(const struct shard_map *map, uint16_t slot);
void shard_slots(
    const struct shard_map *map, uint32_t shard, uint16_t *ret_first, uint16_t *ret_last);
uint32_t shard_store(const struct shard_map *map, uint32_t shard); /* shard mod store_count */
uint32_t shard_core(const struct shard_map *map, uint32_t shard);  /* its store mod core_count */

/* ---- Calls ---- */

enum shard_call_kind {
	SHARD_CALL, /* a command or query by name */
	SHARD_LIST, /* what the entity understands: JSON; touches no entity */
	/* For administration; answers are compact JSON as docs/admin-protocol.md has it.
	 * `cursor`: of an earlier answer, or empty; `count`: how many at most; an answer
	 * without a cursor is the last. With reply_encoding HOST_MSGPACK states and events are
	 * given as they are stored, in base64, with `version`, that of their schema. */
	SHARD_GET,      /* {exists, id, revision, state, type}, at `at_revision` unless 0 */
	SHARD_HISTORY,  /* {cursor, entries}: events or kept states, newest last */
	SHARD_ENTITIES, /* {addresses, cursor}: of type `address` (no id) in `shard` */
	/* How many of these there are: `counted`. Whether an app has the type is not asked. What is
	 * not counted at `until_ns` is left out. */
	SHARD_COUNT
};

/* Embedded in the caller's request, zeroed first. All views point to memory that stays until `done`
 * and is read by another thread meanwhile. */
struct shard_call {
	enum shard_call_kind kind;
	struct slice address; /* parsed by the caller: it is well formed */
	struct slice name;
	bool has_payload, queries_only, internal_allowed;
	bool forwarded; /* from another node: answered with not_leader rather than handed on */
	/* Of a forwarded one: the term in which its sender was told that this node leads. It takes
	 * effect in that leadership, or not at all. 0: in any. */
	uint64_t term;
	struct slice payload;
	enum host_encoding payload_encoding, reply_encoding;
	struct slice token;    /* IDEMPOTENCY; empty: none */
	struct slice metadata; /* MessagePack map, or empty */
	struct host_caller caller;
	uint64_t deadline_ns; /* of clock_monotonic_ns */
	uint64_t order;       /* of the connection */
	/* A query may be answered by a replica here that does not lead: with everything that was
	 * committed anywhere until `stale_ns` before the call came, at least. */
	bool anywhere;
	uint64_t stale_ns;
	uint64_t at_revision;
	uint32_t shard, count;
	struct slice cursor;
	uint64_t until_ns; /* of clock_monotonic_ns */
	/* Once, never inside shards_submit. The call is the caller's again; `reply` and `details`
	 * are to be freed with buffer_done. */
	void (*done)(struct shard_call *call);

	/* The answer. */
	enum status status;
	bool has_reply;
	struct buffer reply;   /* STATUS_OK: in reply_encoding; else the message (UTF-8) */
	struct buffer details; /* compact JSON, or empty */
	char reference[24];    /* INTERNAL of a handler: what `error REF` takes; else "" */
	uint64_t took_ns;      /* from when the shard had it; 0: of no handler */
	uint64_t counted;
	bool counted_all;
	bool not_leader; /* of a forwarded one, with UNAVAILABLE: surely not done, ask who leads */
	bool not_query;  /* with INVALID_ARGUMENT: a command, where queries_only asked for none */
	/* Where it is given to another node, is refused with not_leader, or comes back: it had the
	 * answer of a read, which could not be given. Late, it is UNAVAILABLE. */
	bool was_read;

	/* While it is elsewhere: which way it went, as options.elsewhere says. */
	uint64_t route;

	/* Private to server/shard. */
	struct list_node link;
	struct shards *origin;
	struct shards *owner;
	uint64_t hash; /* of the address */
	void *work;
};

/* Whether its kind keeps an order. Others wait for none before them, and none behind for them. */
static inline bool shard_call_is_ordered(const struct shard_call *call)
{
	return call->kind == SHARD_CALL || call->kind == SHARD_GET;
}

void shards_submit(struct shards *shards, struct shard_call *call);
/* Whether the call's name is a query of its component, in every bundle here that has it, and in one
 * at least. Another node may have another bundle. */
bool shards_reads(const struct shards *shards, const struct shard_call *call);

/* ---- One core ---- */

struct shard_error { /* what `error REF` shows; views valid during the call */
	const char *reference;
	struct slice address, name, bundle, message, traceback;
	int64_t at_ms;
};

struct shards_options {
	struct io *io;
	struct host *host;
	struct shard_map map;
	uint32_t core; /* own number */
	/* stores[s] where shard_core of its shards is this core, else NULL; map.store_count of them
	 */
	struct group_store *const *stores;
	/* Which replica of a shard of this core is here from the begin on, by its number; 0: none.
	 * Its group has the members that are stored; where none are, replica 1 is alone, and others
	 * learn them from their leader. Asked in shards_new. NULL: replica 1 of each. */
	uint64_t (*replica)(void *arg, uint32_t shard);
	uint64_t seed;                 /* secret and random: of hash tables and references */
	uint64_t fold_cache_bytes_max; /* 0: 64 MiB */
	uint64_t queue_bytes_max;      /* of waiting calls on this core; 0: 64 MiB */
	bool dev;                      /* tracebacks go to callers, too */
	void (*error)(void *arg, const struct shard_error *error);
	/* A call cannot be served here, now: on the core that owns its shard, not inside
	 * shards_submit. True: it was taken over, and `route` says which way: what goes one way
	 * arrives in the order in which it left, or not at all. Where `route` is not 0 already, it
	 * may go that way only. It is the server's, its deadline too, until shards_answered or
	 * shards_returned; its bytes count as waiting here. False: it waits for
	 * shards_leader_known, or to lead. Not to be taken again for a leader that has just
	 * refused it. NULL: there is nobody else. */
	bool (*elsewhere)(void *arg, struct shard_call *call, uint32_t shard);
	/* Where the shard is closed here: whether there are other voters, of which one may come to
	 * lead it, so that calls wait for that. NULL: there are not. */
	bool (*others)(void *arg, uint32_t shard);
	/* A shard here begins to serve, as leader in this term; and no longer does. Both may be
	 * NULL, and call nothing of this header. */
	void (*leads)(void *arg, uint32_t shard, uint64_t term);
	void (*follows)(void *arg, uint32_t shard);
	/* May be NULL. Why nobody leads it, for those who have waited for that. */
	void (*unled)(void *arg, uint32_t shard, char *text, size_t text_bytes);
	void *arg;
};
NODISCARD int shards_new(const struct shards_options *options, struct shards **ret_shards);
/* All calls have ended (shards_close), the stores still live. */
void shards_free(struct shards *shards);
/* peers[c] and the mailboxes between: to_peer[c] is this core's to c, from_peer[c] the other way;
 * own number: NULL. Before the first submit. */
void shards_connect(struct shards *shards, struct shards *const *peers,
    struct mailbox *const *to_peer, struct mailbox *const *from_peer);
/* Groups begin to lead. */
void shards_start(struct shards *shards);
/* Of a shard of this core, of which there was none, there is a replica here from now on. It begins
 * at once, where shards_start was called. `initial`: the members of a group that begins with it,
 * which stay where they are; NULL: they are stored, or it learns them from its leader. ERR_NOMEM;
 * ERR_BUSY: the one before is still being removed. */
NODISCARD int shards_add(
    struct shards *shards, uint32_t shard, uint64_t replica, const struct raft_membership *initial);
/* The replica of a shard that is here is not wanted any more: it has left its group. At once the
 * shard is as one that never was here, and its calls are those of an absent one; what was proposed
 * and is not decided is UNKNOWN_OUTCOME. Its data goes in the background (group_remove), and
 * shards_close waits for that, but not for what hinders it: then it is still there at the next
 * start. One that leads is told of as one that follows first. Not inside a callback of this
 * header. */
void shards_remove(struct shards *shards, uint32_t shard);
bool shards_has(const struct shards *shards, uint32_t shard);

/* ---- Calls that are elsewhere; on the core that took them over, not inside `elsewhere` ---- */

/* It is answered: status, reply, details and what else belongs to an answer stand in the call.
 * UNKNOWN_OUTCOME where nobody knows. `done` comes in a later turn. */
void shards_answered(struct shards *shards, struct shard_call *call);
/* It is surely not done there, and never will be: it goes on here as if it had not been away, which
 * may hand it over again. What the call has of an answer is dropped. */
void shards_returned(struct shards *shards, struct shard_call *call);
/* Somebody else is known to lead the shard: what waits here is handed over. */
void shards_leader_known(struct shards *shards, uint32_t shard);
/* The end of a turn, before group_store_turn: proposes the turn's entries, runs what waits. True
 * while work is left. */
bool shards_turn(struct shards *shards);
/* What a core does last in its turn, when all else is under way: one slice for the handlers that
 * take long, and a piece of garbage collection. Whose call ends by that hears of it at once; what
 * else comes of it belongs to the next turn. True while work is left. */
bool shards_run_long(struct shards *shards);
/* Whether that will take long. */
bool shards_has_long(const struct shards *shards);
/* Refuses new calls (UNAVAILABLE), ends those that wait; `closed` when none is left. Those that are
 * elsewhere are waited for. */
void shards_close(struct shards *shards, void (*closed)(void *arg), void *arg);
/* All shards that are here lead, follow somebody, or are closed. */
bool shards_ready(const struct shards *shards);

/* ---- Apps ---- */

/* Makes a bundle known to this core (host_load was done by the caller on this core's host; one
 * reference is taken over). Shards whose state names its hash serve it from now on. */
void shards_provide(struct shards *shards, struct host_bundle *bundle);
/* A type whose data was destroyed: each drop gives it a higher incarnation. */
struct shards_drop {
	char type[NAME_BYTES_MAX + 1];
	uint64_t incarnation;
};
/* Writes ACTIVATE(app, hash, directory_index) into the log of every shard that is here; `done` when
 * all have applied it (status OK), or at the deadline with what is pending (UNAVAILABLE). Closed
 * shards stay pending, and nobody waits for them (DATA_LOSS). `remove`: the app goes. An index not
 * above the present one of the app changes nothing and is done at once. Zeroed first; `app` and
 * `drops` stay until `done`, which never comes inside this call.
 *
 * `led_only`: shards that do not lead here, or are closed here, are somebody else's and no part of
 * it. `have`: where it is not NULL, each shard that is known to have it when `done` comes has 1
 * there, at its number; others are left as they are.
 *
 * `drops`: every type of the app that was ever dropped, with its newest incarnation. From the entry
 * on that activates, a shard knows nothing any more of what a type had in lower incarnations than
 * that: neither entities, events, snapshots and kept states, nor tokens; their space is given back
 * in the background, by entries of their own (purge.c). */
struct shards_activation {
	struct slice app;
	char hash[HOST_HASH_CHARACTERS + 1];
	uint64_t directory_index;
	uint64_t deadline_ns; /* of clock_monotonic_ns; 0: CALL_TIMEOUT_MS from now */
	bool remove, led_only;
	uint8_t *have; /* [shard_count + 1], or NULL */
	const struct shards_drop *drops;
	uint32_t drop_count; /* DROPPED_TYPES_MAX at most */
	void (*done)(struct shards_activation *activation);
	enum status status;
	uint32_t pending; /* shards that have not activated */

	/* Private to server/shard. */
	struct list_node link;
	struct shards *shards;
};
void shards_activate(struct shards *shards, struct shards_activation *activation);
/* How many shards here have the app active at this hash. */
uint32_t shards_active_count(const struct shards *shards, struct slice app, const char *hash);
/* Whether a shard that serves here has named a bundle that is not provided for so long: its calls
 * wait for that, where another replica may have it. */
bool shards_lack_bundle(const struct shards *shards, uint64_t for_ns);
/* Shards here that still give back the space of what was dropped. */
uint32_t shards_purging(const struct shards *shards);

/* ---- Figures ---- */

struct shards_figures {
	uint64_t calls, commands, queries, errors, entries, proposed_bytes, cold_reads, folds;
	uint64_t replica_reads; /* queries answered by replicas that follow */
	uint64_t stale_reads; /* queries answered, here or where it leads, without asking anybody */
	uint64_t late_refused; /* forwarded calls, of a leadership that is over; led here again */
	uint64_t queue_bytes, held, fold_cache_bytes, token_bytes, tokens;
	/* How long handlers that take long have kept the thread at a time: its own time. */
	uint64_t slices, slice_p99_ns, slice_max_ns;
	uint32_t shards, leading, closed;
};
struct shards_figures shards_figures(const struct shards *shards);
/* What the shard has done here since shards_new: a call that a handler began for, or so many bytes
 * of entries that were applied, are one each. 0 where it is not here. */
enum { SHARD_WORK_BYTES = 4096 };
uint64_t shards_work(const struct shards *shards, uint32_t shard);

/* Of each handler called since the start: calls, errors, latency (ns). */
struct shards_handler_figures {
	struct slice component, handler;
	uint64_t calls, errors, latency_sum_ns, latency_p50_ns, latency_p99_ns, latency_max_ns;
};
void shards_each_handler(struct shards *shards,
    void (*each)(void *arg, const struct shards_handler_figures *figures), void *arg);

#endif
