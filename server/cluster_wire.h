/* What cores of different nodes tell each other about shards, as bytes. Varints, but for the flags.
 *
 *   REPORT   rows, one behind the other:
 *            shard | term | generation | last index | pending: so many of its last entries are
 *            not applied | for so many ms none was | flags u8 (1 settled) | count
 *            | for each member: replica | roles u8 | match | flags u8 (1 heard)
 *   STRANDED rows, one behind the other:
 *            shard | replica | flags u8 (1 damaged) | term | last term | last index
 *            | committed (at most the last index) | count
 *            | for each member: replica | roles u8
 *            (of a node that has none: recovery_none_of it, no log, no members)
 *   ASKED    shard: whoever has no replica of it is to say that
 *   LEAVE    shard | replica (0: any of the node) | flags u8 (1: the answer, it has left)
 *   LEAD     shard | node
 *   REMOVED  node | incarnation: who is meant
 *   FULL     flags u8 (1: no room)
 *   DISK     for so many ms it has not answered a write (0: it does again, since a moment ago)
 *   MOVES    bytes | bytes a second | snapshots: of a node, see struct cluster_moves
 *   LOADS    rows, one behind the other: shard (not the directory) | level u8 (not 0): what it does
 *            where it is led, see server/meta/load.h; of those that do little there is none
 *
 * And a node that joins and one that is asked to let it in (peers_introduce):
 *
 *   HELLO    format u8 = 1 | incarnation | cores | stores | port | peer port | cluster port
 *            | host | zone   (texts: length, bytes)
 *            | the replica of shard 0 that is damaged there, by a node that asks for another one
 *            no bytes at all: who is there is asked, which the link proves; the answer is LATER
 *   WELCOME  format u8 = 1 | kind u8, and for a MEMBER: id (16 bytes) | node | replica of shard 0
 *            | shards; for one that is REFUSED or NEEDED: why (text)
 *
 * What is read is whole and within bounds.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_CLUSTER_WIRE_H
#define KX_SERVER_CLUSTER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "server/meta/cluster_map.h"
#include "server/meta/cluster_status.h"
#include "server/meta/recovery.h"

struct cluster_member_row {
	uint64_t replica;
	unsigned roles; /* enum raft_role_bits */
	uint64_t match; /* durable there; 0: not known */
	bool heard;     /* has answered lately */
};

/* What the leader of a shard says of it. */
struct cluster_row {
	uint32_t shard;
	uint64_t term;
	uint64_t generation; /* of the map's record that it follows */
	uint64_t last_index;
	uint64_t pending;   /* the last of its entries, which are not applied; at most last_index */
	uint64_t stands_ms; /* group_stands_ms */
	bool settled;       /* the members are the wanted ones, and none is behind */
	uint32_t count;
	struct cluster_member_row members[CLUSTER_REPLICAS_MAX];
};
#define CLUSTER_ROW_BYTES_MAX (8 * 10 + 2 + CLUSTER_REPLICAS_MAX * 22)

/* Why a core should lead nothing that another one can lead. */
enum cluster_unfit {
	CLUSTER_FIT = 0,
	CLUSTER_NO_ROOM = 1,   /* its disk is full */
	CLUSTER_NO_BUNDLE = 2, /* it has not loaded what a shard has active */
};

/* What a shard does, as its leader says. */
struct cluster_load {
	uint32_t shard;
	uint8_t level;
};
enum { CLUSTER_LOAD_BYTES_MAX = 3 + 1 };

#define CLUSTER_STRANDED_BYTES_MAX (7 * 10 + 1 + CLUSTER_REPLICAS_MAX * 11)

struct cluster_leave {
	uint32_t shard;
	uint64_t replica;
	bool has_left;
};

struct cluster_lead {
	uint32_t shard;
	uint16_t node;
};

struct cluster_removed {
	uint16_t node;
	uint64_t incarnation;
};

#define CLUSTER_MOVES_BYTES_MAX (3 * 10)

/* Seven weeks: beyond that it is all the same. */
#define CLUSTER_DISK_WAITING_MS_MAX UINT32_MAX
enum { CLUSTER_DISK_BYTES_MAX = 5 };

enum cluster_welcome_kind {
	/* The directory has no leader, or is not that far: ask again. Where it is not for that,
	 * with why. */
	CLUSTER_WELCOME_LATER,
	CLUSTER_WELCOME_MEMBER,  /* it is one */
	CLUSTER_WELCOME_REFUSED, /* for good */
	/* As far as this node knows the others are no majority of the directory without the replica
	 * that is damaged. */
	CLUSTER_WELCOME_NEEDED,
};
enum { CLUSTER_WELCOME_WHY_BYTES = 384 };

struct cluster_welcome {
	enum cluster_welcome_kind kind;
	uint8_t id[16];
	uint16_t node;
	uint64_t directory_replica;
	uint32_t shard_count;
	char why[CLUSTER_WELCOME_WHY_BYTES];
};
#define CLUSTER_HELLO_BYTES_MAX   (1 + 7 * 10 + 2 * 10 + CLUSTER_HOST_BYTES + CLUSTER_ZONE_BYTES)
#define CLUSTER_WELCOME_BYTES_MAX (2 + 16 + 3 * 10 + 10 + CLUSTER_WELCOME_WHY_BYTES)

/* Fail as writers do, where room is short. */
void cluster_row_write(struct writer *writer, const struct cluster_row *row);
void cluster_stranded_write(struct writer *writer, const struct recovery_said *said);
void cluster_load_write(struct writer *writer, const struct cluster_load *load);
void cluster_asked_write(struct writer *writer, uint32_t shard);
void cluster_leave_write(struct writer *writer, const struct cluster_leave *leave);
void cluster_lead_write(struct writer *writer, const struct cluster_lead *lead);
void cluster_removed_write(struct writer *writer, const struct cluster_removed *removed);
void cluster_unfit_write(struct writer *writer, enum cluster_unfit unfit);
/* Longer than it can be is as long as it can be. */
void cluster_disk_write(struct writer *writer, uint64_t waiting_ms);
void cluster_moves_write(struct writer *writer, const struct cluster_moves *moves);

/* Of the node everything but its number and state; `damaged`: 0 where none is. */
void cluster_hello_write(struct writer *writer, const struct cluster_node *node, uint64_t damaged);
void cluster_welcome_write(struct writer *writer, const struct cluster_welcome *welcome);

/* The next one. ERR_CORRUPT. */
NODISCARD int cluster_row_read(struct reader *reader, struct cluster_row *ret_row);
NODISCARD int cluster_stranded_read(struct reader *reader, struct recovery_said *ret_said);
NODISCARD int cluster_load_read(struct reader *reader, struct cluster_load *ret_load);
/* All of it. ERR_CORRUPT. */
NODISCARD int cluster_asked_read(struct slice bytes, uint32_t *ret_shard);
NODISCARD int cluster_leave_read(struct slice bytes, struct cluster_leave *ret_leave);
NODISCARD int cluster_lead_read(struct slice bytes, struct cluster_lead *ret_lead);
NODISCARD int cluster_removed_read(struct slice bytes, struct cluster_removed *ret_removed);
NODISCARD int cluster_unfit_read(struct slice bytes, enum cluster_unfit *ret_unfit);
NODISCARD int cluster_disk_read(struct slice bytes, uint64_t *ret_waiting_ms);
NODISCARD int cluster_moves_read(struct slice bytes, struct cluster_moves *ret_moves);
/* Also ERR_FORMAT: of a version that is not known here. */
NODISCARD int cluster_hello_read(
    struct slice bytes, struct cluster_node *ret_node, uint64_t *ret_damaged);
NODISCARD int cluster_welcome_read(struct slice bytes, struct cluster_welcome *ret_welcome);

#endif
