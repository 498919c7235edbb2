/* The inside of server/cluster.h. Private to server/cluster*.c. */
#ifndef KX_SERVER_CLUSTER_PARTS_H
#define KX_SERVER_CLUSTER_PARTS_H

#include <sys/socket.h>

#include "base/buffer.h"
#include "base/io/io.h"
#include "replication/carrier.h"
#include "replication/group.h"
#include "replication/snapshot.h"
#include "server/cluster.h"
#include "server/cluster_dial.h"
#include "server/cluster_reach.h"
#include "server/cluster_wire.h"
#include "server/cluster_wishes.h"
#include "server/forward.h"
#include "server/meta/load.h"
#include "server/meta/meta.h"
#include "server/shard/shard.h"

struct cluster_control;
struct iovec;
struct peer_handover;

#define CLUSTER_REPORT_BYTES_MAX (64 * KIB)
/* How far a replica may be behind and still get its vote. */
enum { CLUSTER_LAG_MAX = 1024 };
/* What is proposed, and not committed for longer: voters do not make it durable, though they are
 * heard. Disks that are only slow, and elections, take less. */
enum { CLUSTER_STANDS_MS_MAX = 5000 };
/* And still be handed the lead by a wish. What it misses then the shard's callers wait for; so much
 * is under way to each follower of a busy shard anyway. */
enum { CLUSTER_LEAD_LAG_MAX = 64 };

/* A core of another node. */
struct cluster_link {
	struct list_node node_link;
	struct cluster_core *core;
	struct peer *peer;     /* NULL: removed, and only a name is still being looked up */
	uint16_t node, number; /* whose, and which of its cores */
	uint64_t incarnation;
	uint16_t cores, stores; /* the node's */
	bool up;
	bool removed;  /* the node was: it is told so, and not listened to */
	bool untold;   /* that found no memory */
	bool wanted;   /* while links are gone through */
	bool expected; /* it went down as it should, to come up again at once */
	uint64_t down_since_ns;
	uint64_t unfit_until_ns;  /* it should lead nothing, as far as was said, until then */
	uint64_t silent_until_ns; /* too: its disk does not answer */

	struct cluster_dial dial;
};

enum { CLUSTER_MOVING_MAX = 64 };

/* How many bytes had been sent in snapshots, and when: the newest ones, in a ring. */
enum { CLUSTER_PACE_SAMPLES = 8 };
struct cluster_pace {
	struct cluster_pace_sample {
		uint64_t at_ns, bytes;
	} samples[CLUSTER_PACE_SAMPLES];
	uint32_t count; /* so many were ever taken */
};

/* What a core says to its core 0 of shards, until it is sent. All of it is said again, and so what
 * finds no memory is left out. */
struct cluster_rows {
	enum cluster_kind kind;
	struct buffer bytes;
};

struct cluster_core {
	struct io *io;
	uint32_t number;
	uint32_t resolving; /* names that are being asked for */
	struct cluster_services services;
	struct group_store *const *stores;
	const struct cluster_options *options; /* NULL: not begun */
	struct group_carrier group_carrier;
	struct carrier *carrier;
	struct snapshots *snapshots;
	struct forward *forward;
	struct peers *peers;
	struct list links;
	struct io_timer removed_timer;   /* links to nodes that were removed end */
	struct io_timer links_timer;     /* a link was not made: it is tried again */
	struct cluster_map *map;         /* NULL: none yet */
	struct shards *shards;           /* NULL: nothing is served yet */
	struct meta *meta;               /* core 0's */
	struct cluster_control *control; /* core 0's */
	bool closing, cut;

	/* cluster_shards.c */
	struct io_timer tick_timer, move_timer;
	/* Shards that are led here, and are not as they are wanted yet. */
	uint32_t moving[CLUSTER_MOVING_MAX], moving_count;
	uint32_t next_shard;
	uint32_t sweep; /* how often all of them were gone through */
	struct cluster_wishes wishes;
	bool wishes_due; /* one was handed over: the next one is looked for */
	struct cluster_rows report, stranded;

	/* cluster_load.c */
	struct load_meter *meters; /* [shard_count + 1]; NULL: nothing was measured yet */
	struct cluster_rows loads;

	/* cluster_unfit.c */
	uint64_t no_room_until_ns, no_bundle_until_ns, unfit_said_ns;
	enum cluster_unfit unfit; /* this core: others lead where they can */

	/* cluster_disk.c */
	uint64_t silent_until_ns, silent_said_ns;
	bool disk_waits; /* the disk does not answer */

	/* cluster_moves.c */
	uint32_t moves_ticks;
	struct cluster_pace pace;
};

/* ---- cluster_links.c ---- */

/* peers_options' callbacks. */
void cluster_links_callbacks(struct cluster_core *core, struct peer_callbacks *ret_callbacks);
/* Links as the map has them. */
void cluster_links_follow(struct cluster_core *core);
/* Says which are down for longer than they should, and to the other cores why there is none; from
 * time to time. */
void cluster_links_look(struct cluster_core *core);
/* What goes over them. ERR_NOMEM. */
NODISCARD int cluster_links_snapshots(struct cluster_core *core, uint64_t seed);
NODISCARD int cluster_links_carry(struct cluster_core *core);
void cluster_links_done(struct cluster_core *core);
struct cluster_link *cluster_link_find(
    const struct cluster_core *core, uint16_t node, uint16_t number);
/* As peer_refused, of all links to the node's cores; one where who is there has said that it is
 * that node goes before others. */
bool cluster_link_refused(
    const struct cluster_core *core, uint16_t node, struct peer_refused *ret_refused);
/* A node that is not linked is not gone: somebody there says that it is it, though no link comes
 * about. Nothing of it is proved: whoever was connected to has been told all that is to be said. */
bool cluster_link_is_there(const struct cluster_core *core, uint16_t node);
/* The same; and why it is not given up, in `bytes` (CLUSTER_WHY_BYTES). */
bool cluster_link_keeps(const struct cluster_core *core, uint16_t node, char *why, size_t bytes);
/* The link over which this core reaches the shard's replica on a node, or NULL. */
struct cluster_link *cluster_link_for(
    const struct cluster_core *core, uint16_t node, uint32_t shard);
/* To that core of the node. Errors of peer_send. */
int cluster_send(struct cluster_core *core, uint16_t node, uint16_t number, enum peer_class class,
    uint8_t kind, const struct iovec *iov, size_t count);
/* To all that are linked; lost where it cannot go. */
void cluster_tell_linked(const struct cluster_core *core, uint8_t kind, struct slice bytes);
/* To the core of the node that has the shard; lost where it cannot go. */
void cluster_send_for(
    struct cluster_core *core, uint16_t node, uint32_t shard, uint8_t kind, struct slice bytes);

/* ---- cluster_shards.c ---- */

/* While there are other nodes: from time to time. */
void cluster_shards_begin(struct cluster_core *core);
void cluster_shards_end(struct cluster_core *core);
void cluster_shards_wish(struct cluster_core *core, uint32_t shard, uint16_t node);
/* This node does not lead it any more. */
void cluster_shards_forget_wish(struct cluster_core *core, uint32_t shard);
NODISCARD int cluster_shards_asked_to_lead(struct cluster_core *core, struct slice bytes);

/* Another map: what it changes is looked at now. `before`: the last one, or NULL. */
void cluster_shards_follow(struct cluster_core *core, const struct cluster_map *before);
/* One more row; those before it are sent where there is no room. Without memory there is none. */
void cluster_rows_add(
    struct cluster_core *core, struct cluster_rows *rows, const struct writer *row);
void cluster_rows_send(struct cluster_core *core, struct cluster_rows *rows);

/* Of this core. The group: NULL where no replica runs. */
struct group_store *cluster_shard_store(const struct cluster_core *core, uint32_t shard);
struct group *cluster_shard_group(const struct cluster_core *core, uint32_t shard);
/* The map is not one of before the start. */
bool cluster_follows_map(const struct cluster_core *core);

/* ---- cluster_leave.c ---- */

/* Whoever leads the shard knows whether it has left. Replica 0: any of this node. */
void cluster_ask_to_leave(struct cluster_core *core, uint32_t shard, uint64_t replica);
NODISCARD int cluster_shards_leave(
    struct cluster_core *core, const struct cluster_link *link, struct slice bytes);

/* ---- cluster_stranded.c ---- */

/* A replica that does not lead; `says`: it is time to say what it has. */
void cluster_stranded_look(
    struct cluster_core *core, uint32_t shard, struct group *group, bool says);
/* One that is damaged says so. */
void cluster_stranded_damaged(struct cluster_core *core, uint32_t shard, const struct group *group);
/* Where no replica of that shard is here, that is said. ERR_PROTOCOL. */
NODISCARD int cluster_stranded_asked(struct cluster_core *core, struct slice bytes);
/* The same on the node that asks: its core that would have it is asked. */
void cluster_stranded_ask_own(struct cluster_core *core, uint32_t shard);

/* ---- cluster_unfit.c ---- */

/* Whether this core can serve what it leads, said to the others. */
void cluster_unfit_look(struct cluster_core *core);
NODISCARD int cluster_unfit_told(
    struct cluster_core *core, struct cluster_link *link, struct slice bytes);
/* The node's core that has the shard has said that it should lead nothing, or that its disk does
 * not answer; or this core should lead nothing. */
bool cluster_is_unfit(const struct cluster_core *core, uint16_t node, uint32_t shard);

/* ---- cluster_disk.c ---- */

/* Whether the disks of this core answer, said to the others. */
void cluster_disk_look(struct cluster_core *core);
/* As if the oldest write under way were that old. */
void cluster_disk_look_at(struct cluster_core *core, uint64_t waiting_ms);
NODISCARD int cluster_disk_told(
    struct cluster_core *core, struct cluster_link *link, struct slice bytes);

/* ---- cluster_moves.c ---- */

/* What this core sends in snapshots is told, every fifth time. */
enum { CLUSTER_MOVES_TICKS = 5 };
void cluster_moves_tick(struct cluster_core *core);
/* What core 0 of `node` says of all of it. ERR_PROTOCOL. */
NODISCARD int cluster_moves_told(
    struct cluster_control *control, uint16_t node, struct slice bytes);

/* ---- cluster_load.c ---- */

/* A shard that leads here, and one that does not (any more). */
void cluster_load_look(struct cluster_core *core, uint32_t shard);
void cluster_load_forget(struct cluster_core *core, uint32_t shard);

/* ---- cluster_calls.c ---- */

/* ERR_NOMEM. */
NODISCARD int cluster_calls_new(struct cluster_core *core);

/* ---- cluster_control.c: core 0's ---- */

NODISCARD int cluster_control_new(struct cluster_core *core, struct cluster_control **ret_control);
void cluster_control_free(struct cluster_control *control); /* NULL-safe */
void cluster_control_end(struct cluster_control *control);
void cluster_control_turn(struct cluster_control *control);
/* Nothing that it began is under way. */
bool cluster_control_rests(const struct cluster_control *control);
/* Something has changed: it is looked at soon. */
void cluster_control_look(struct cluster_control *control);
/* What a linked node says of itself, which cannot say it to who leads the directory. ERR_PROTOCOL.
 */
NODISCARD int cluster_control_node(
    struct cluster_control *control, const struct cluster_link *link, struct slice bytes);
/* The replica of a shard here is damaged, and was wanted in that generation of its record: others
 * are to do without it. Told again until the map says so. */
void cluster_control_damaged(struct cluster_control *control, uint32_t shard, uint64_t generation);
/* Rows that a core of `node` made, of that kind: CLUSTER_KIND_REPORT, _STRANDED or _LOADS. Those of
 * this node go on to who leads the directory. ERR_PROTOCOL. */
NODISCARD int cluster_control_rows(
    struct cluster_control *control, enum cluster_kind kind, uint16_t node, struct slice rows);
/* What is done with two of those kinds here. */
NODISCARD int cluster_control_stranded(
    struct cluster_control *control, uint16_t node, struct slice rows);
NODISCARD int cluster_control_loads(
    struct cluster_control *control, uint16_t node, struct slice rows);
/* META_CLUSTER_STATUS and _RECOVER are answered by this node although it leads nothing. */
bool cluster_control_answers_alone(
    const struct cluster_control *control, const struct meta_request *request);
/* A node asks for another replica of the directory, because that one is damaged. */
void cluster_control_directory_damaged(struct cluster_control *control, uint64_t replica);
/* Whether a damaged replica may be given up (META_SHARD_DAMAGED): others are known to be whole;
 * else the request has its answer, and is to be done. */
bool cluster_control_may_give_up(struct cluster_control *control, struct meta_request *request);
/* Whether a node that is to be removed is a member of no shard's group any more; else the request
 * has its answer, and is to be done. */
bool cluster_control_may_remove(struct cluster_control *control, struct meta_request *request);
/* A node asks to be let in, or says that it is elsewhere now (META_NODE_JOIN, _SET): when that is
 * carried out, this node says who has to leave its address to it. */
void cluster_control_judge_address(struct cluster_control *control, struct meta_request *request);
/* Answers what meta_verb_is_answered. */
void cluster_control_answer(struct cluster_control *control, struct meta_request *request);

/* ---- cluster_join.c ---- */

/* peers_options' callbacks `introduced` and `elsewhere`. */
void cluster_join_asked(
    void *arg, const struct peer_identity *them, struct slice bytes, uint64_t token);
void cluster_join_elsewhere(void *arg, uint16_t number, struct peer_handover *handover);

#endif
