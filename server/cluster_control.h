/* What core 0 does for its whole node in the cluster. Private to server/cluster*.c. */
#ifndef KX_SERVER_CLUSTER_CONTROL_H
#define KX_SERVER_CLUSTER_CONTROL_H

#include "base/clock.h"
#include "base/number_map.h"
#include "server/cluster_alone.h"
#include "server/cluster_parts.h"
#include "storage/data_peers.h"

struct cluster_recovering;
struct placement_node;
struct placement_plan;
struct recovery_said;

/* What the leader of a shard said last. */
struct cluster_seen {
	uint64_t at_ns; /* 0: nothing */
	uint64_t term, generation, last_index, pending, stands_ms;
	uint16_t node;
	bool settled;
	uint32_t count;
	struct cluster_member_row *members; /* in control->seen_members */
};

/* What a node said last of its snapshots. */
struct cluster_moves_seen {
	uint16_t node; /* 0: nothing */
	uint64_t at_ns;
	struct cluster_moves moves;
};

/* What cores of a node have said lately, each of itself: until when it counts. */
struct cluster_word {
	uint16_t node;                                 /* 0: nothing */
	uint64_t no_room_until_ns, no_bundle_until_ns; /* cluster_unfit.c */
	/* cluster_disk.c: its disk does not answer, or did not a moment ago; the longest wait that
	 * was said, by which core, when, and until when that counts. */
	uint64_t silent_until_ns;
	uint16_t core;
	uint64_t waiting_ms, said_ns, waiting_until_ns;
};

enum {
	CLUSTER_WORD_AGAIN_MS = 1000,
	/* A word counts for so long: one may be lost. */
	CLUSTER_WORD_MS = 2500,
	/* What is over counts when it has lasted, so that nothing goes to and fro. */
	CLUSTER_WORD_LASTS_MS = 5000,
};

/* A node has said that it is not where the directory has it. */
struct cluster_moved {
	struct cluster_node as; /* .node 0: nothing; else where it says that it is */
	uint64_t at_ns;
};

/* What a replica said last that reaches no leader, or is damaged. */
struct cluster_stranded {
	struct list_node node;
	struct recovery_said said;
	uint64_t at_ns;
	uint64_t since_ns; /* the same replica says so, or that it is damaged, since then;
	                    * recovery_goes_on */
	bool kept;         /* damaged, and it was said why it is not given up */
};

enum {
	/* What a leader said counts for so long. */
	CLUSTER_SEEN_MS = 5000,
	/* Changes of the map that are under way at a time. */
	CLUSTER_CHANGES_MAX = 8,
	/* A node that is started again, or moved to another machine with its disk, is back by then;
	 * what had come to it until it died is waited for so long. */
	CLUSTER_COME_MS = 30000,
	/* A drain of each node, and the rebalance. */
	CLUSTER_JOBS_MAX = CLUSTER_REPLICAS_MAX + 1,
};

struct cluster_change {
	struct meta_request request;
	struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
	struct cluster_control *control;
	bool busy;
};

/* A damaged replica of this node, of which the directory is told. */
struct cluster_damage {
	struct meta_request request;
	bool busy;
};
enum { CLUSTER_DAMAGES_MAX = 8 };

struct cluster_control {
	struct cluster_core *core;
	/* [shard_count + 1], while this node leads the directory, or nobody does; else NULL. */
	struct cluster_seen *seen;
	struct cluster_member_row *seen_members; /* of all, as cluster_replicas_begin has it */
	struct load_book loads;                  /* begun and ended with `seen` */
	uint64_t led_since_ns;
	struct io_timer timer;
	/* The map of the last plan that had nothing to move, while all are led; 0: none. */
	uint64_t even_version;
	/* Since it leads the directory there was a plan, and by the last one so much is left to
	 * move, and so much cannot be told. */
	bool planned;
	uint32_t left, unled;
	/* What the records of jobs are to become. */
	struct meta_request jobs;
	struct meta_job jobs_wanted[CLUSTER_JOBS_MAX];
	bool jobs_busy;
	uint32_t waiting; /* in the last plan: shards that wait for who cannot go on */
	uint32_t resting; /* and those that only lack a voter that is not reached */
	bool leads;       /* the directory, as far as others were told */
	bool ended;
	bool soon; /* the timer is set for what has just happened */
	struct cluster_change changes[CLUSTER_CHANGES_MAX];

	/* This node's own record, and one that is set for another node. */
	struct meta_request own, relayed;
	bool own_busy, relayed_busy;
	uint64_t own_said_ns;    /* 0: it is set, or it was not said yet that it is not */
	uint64_t own_refused_ns; /* since then it is; 0: it is not */

	struct cluster_moved moved[CLUSTER_REPLICAS_MAX]; /* cluster_address.c */
	struct cluster_damage damages[CLUSTER_DAMAGES_MAX];

	/* cluster_keep.c: where the others are, on disk and on its way there. */
	struct data_peers kept, keeping;
	struct io_op keep_op;
	bool keeps;
	uint64_t keep_again_ns; /* one that failed is tried again then */

	/* cluster_moves.c */
	struct cluster_moves *own_moves; /* [cores] of this node */
	struct cluster_moves_seen moves[CLUSTER_REPLICAS_MAX];

	struct cluster_word words[CLUSTER_REPLICAS_MAX];

	/* Others are there, and none is linked: since when, and whether that was told. */
	uint64_t refused_since_ns; /* 0: it is not so */
	bool refused_told;

	/* cluster_heard.c, cluster_recover.c */
	bool lost;                  /* nobody for a while: this node answers for what it knows */
	uint64_t directory_ns;      /* when somebody that leads the directory was reached last */
	struct number_map stranded; /* by shard and node: what those say that reach no leader */
	struct list stranded_list;
	struct cluster_recovering *recovering; /* NULL: none is under way */
	struct cluster_alone alone;            /* and of the directory itself */
};

/* Who has just begun to lead knows nothing of others yet, and would take them for dead. */
#define CLUSTER_BEGIN_NS (3 * NS_PER_S)

/* There is another node, that is not removed. */
bool cluster_has_others(const struct cluster_core *core);

/* The node that leads the directory, where it is reached; 0: nobody that is known. */
uint16_t cluster_directory_leader(const struct cluster_core *core);
/* To core 0 of that node; where there is none, of all that are linked. */
void cluster_tell_directory(struct cluster_core *core, uint8_t kind, struct slice bytes);

/* ---- cluster_answers.c ---- */

enum { CLUSTER_WHY_BYTES = 320 };
/* As meta_refuse, for a request whose answer was not begun. */
__attribute__((format(printf, 3, 4))) void cluster_refuse(
    struct meta_request *request, enum status status, const char *format, ...);

/* Nothing but the directory counts on the node, and that does without it. */
bool cluster_is_removable(const struct cluster_control *control, uint16_t node);

/* ---- cluster_unfit.c ---- */

/* What any core of the node, or of this one, has said lately to any core of this node; the disk, of
 * both reasons. */
enum cluster_unfit cluster_node_unfit(const struct cluster_control *control, uint16_t node);

/* The node's place among words, or the one that counts shortest: there are no more nodes than
 * places. */
struct cluster_word *cluster_word_place(struct cluster_control *control, uint16_t node);
/* What is kept of the node; NULL: nothing was said, or not lately. */
const struct cluster_word *cluster_word_of(const struct cluster_control *control, uint16_t node);

/* ---- cluster_disk.c ---- */

/* Any core of the node, or of this one, has said so lately to any core of this node. */
bool cluster_disk_is_silent(const struct cluster_control *control, uint16_t node);
/* For how long the disk has not answered; 0: it does, and may not yet for long enough to count. */
uint64_t cluster_disk_waiting_ms(const struct cluster_control *control, uint16_t node);

/* ---- cluster_jobs.c: where this node leads the directory ---- */

/* After each plan, before it is carried out: what is moved stands in the record of its job. */
void cluster_jobs_look(struct cluster_control *control, const struct placement_plan *plan);
/* Some have not come to their end. */
bool cluster_jobs_run(const struct cluster_control *control);
/* How much is left to move until all is even, and, [map->node_count], of each node that is drained.
 */
uint64_t cluster_look_at_rebalance(const struct cluster_control *control);
void cluster_look_at_drains(const struct cluster_control *control, uint64_t *left);

/* ---- cluster_keep.c ---- */

/* Where the others are is kept on disk, where that has changed. */
void cluster_keep_look(struct cluster_control *control);

/* ---- cluster_moves.c ---- */

/* [map->node_count], zeroed: what nodes have said lately. */
void cluster_look_at_moves(const struct cluster_control *control, struct cluster_moves *moves);

/* ---- cluster_heard.c, cluster_recover.c ---- */

void cluster_recover_tick(struct cluster_control *control);
/* What was recovered, at whose word. */
void cluster_recover_log(const struct meta_recovery *one, struct slice by);
void cluster_recover_done(struct cluster_control *control);
/* What the replica with the longest log says of a shard that it reaches no leader of; NULL: none
 * lately. Valid until the next of its messages, and the next tick. */
const struct recovery_said *cluster_recover_said(
    const struct cluster_control *control, uint32_t shard);
/* META_CLUSTER_RECOVER. True: `done` comes later. */
bool cluster_recover_answer(struct cluster_control *control, struct meta_request *request);
/* What that node's replica has said lately; NULL: nothing. */
struct cluster_stranded *cluster_stranded_of(
    const struct cluster_control *control, uint32_t shard, uint16_t node);

/* ---- cluster_damage.c ---- */

/* Has said lately that it is damaged; NULL: has not. */
struct cluster_stranded *cluster_damaged_on(
    const struct cluster_control *control, uint32_t shard, uint16_t node);
/* When the last of the shard's damaged replicas said so for the first time; 0: none is. */
uint64_t cluster_damaged_since(const struct cluster_control *control, uint32_t shard);
/* What is known of damaged replicas, [map->shard_count + 1], where `members` are filled and there
 * is room for as many damaged ones. */
void cluster_look_at_damage(const struct cluster_control *control, struct cluster_said *said);

/* ---- cluster_plan.c: where this node leads the directory ---- */

/* The next changes that the map needs. */
void cluster_plan(struct cluster_control *control);
/* [map->node_count]: who lives. */
void cluster_look_at_nodes(struct cluster_control *control, struct placement_node *nodes);
/* What its leader said last; NULL: nothing lately. */
const struct cluster_seen *cluster_seen_lately(
    const struct cluster_control *control, uint32_t shard);
/* Its members are those that the map wants now, and none is behind. */
bool cluster_seen_settled(
    const struct cluster_control *control, uint32_t shard, const struct cluster_seen *seen);
/* Node `leader`, which leads the shard, is asked to let `to` lead it. */
void cluster_lead(struct cluster_core *core, uint32_t shard, uint16_t leader, uint16_t to);

#endif
