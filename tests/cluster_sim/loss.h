/* What was acknowledged is lost, and only an operator's word lets the cluster go on
 * (docs/cluster.md, "When a majority is gone" and "A damaged disk"). The last course of a world,
 * when all else has been seen and compared: by the seed itself, so that the course before it, and
 * all other worlds, stay as they are.
 *
 * Under load nodes are cut off, one of three, or two of five, one after the other, so that one of
 * them has more than the other. The others go on, and acknowledge what these do not have. Then they
 * are gone for ever; or, in other worlds of three, their logs are damaged (lie.h). `cluster recover
 * --unsafe` is said, with `--lost` or `--damaged`, at any node, until every shard that needs it has
 * gone on. In half of the worlds one of those that are left dies at a write of its own meanwhile.
 * Then clients repeat tokens of before; empty machines join; and those that are gone are switched
 * on again with their old disks, one after the other, or two at once, who were a majority of three
 * (ghost.h).
 *
 * What may be lost is known exactly. A replica goes on alone: that is seen, whatever is answered.
 * The oracle has what was applied at each index, by which change of which entity: kept is the
 * longest beginning of that which this log has, too, and nothing behind it. So
 *
 *   - of those that are left it is the one whose log none is ahead of (`recovered`);
 *   - what is answered, and stands in the directory, is the end of its log, and an entry up to
 *     which nothing that was applied is missing, no less than what those left knew to be committed;
 *   - of each entity the revisions up to the last one that is kept are there as they were told, and
 *     a change above that is there no more (`lost`), or is done anew if its caller repeats it;
 *   - a repeat of a token that is kept gets its first answer (`first reply`, `exactly once`);
 *   - behind the end of that log stands nothing of a term before the recovery's (`resurrected`);
 *   - a shard that those left can elect for goes on with all that was acknowledged;
 *   - those that were gone neither vote nor lead in their old life (`removed`).
 *
 * Between the two that are named what was acknowledged may be kept or not: where the node led when
 * it was cut off, its log has entries that the others never saw, at the indices of those that they
 * acknowledged. These entries go on (`tails_gone_on`). Nobody who is left can know it.
 */
#ifndef KX_TESTS_CLUSTER_SIM_LOSS_H
#define KX_TESTS_CLUSTER_SIM_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "replication/group.h"
#include "server/meta/meta.h"
#include "tests/shard_sim/model.h"

struct node;
struct world;

enum loss_step {
	LOSS_NONE,
	LOSS_BUSY, /* clients call, and all is well */
	LOSS_CUT,  /* one is cut off after the other, the rest acknowledge */
	LOSS_DEAD, /* these are gone; what was sent to those that are left ends */
	LOSS_WORD, /* until every shard that needs it has gone on */
	LOSS_BACK, /* clients call; others join; those that were gone come back */
	LOSS_OVER,
};

enum { LOSS_LEFT_MAX = 2, LOSS_GONE_MAX = 3, LOSS_REVISIONS_MAX = 1 << 15 };

/* An entry made this revision of the entity. */
struct loss_revision {
	uint64_t index, revision;
	unsigned entity;
};

/* What is seen of a shard, and what is said. */
struct loss_shard {
	uint64_t term_before; /* of a recovery that the directory had before */
	bool needs_word;
	uint16_t node; /* that went on alone; 0: none has */
	uint64_t index, term;
	uint64_t kept;                /* all that was applied up to there is in its log */
	uint64_t committed;           /* that those that are left knew then */
	struct cluster_recovery said; /* the last answer; index 0: there was none */
};

struct loss {
	enum loss_step step;
	bool is_damage; /* they are not gone: their disks lie */
	bool is_at_once;
	struct node *left[LOSS_LEFT_MAX], *gone[LOSS_GONE_MAX];
	unsigned left_count, gone_count, cut_count;
	struct meta_wanted
	    wanted[LOSS_GONE_MAX]; /* those that are gone, as the operator names them */
	struct node *crashes;      /* one that is left; NULL: none does */
	uint64_t crashes_life;
	uint64_t next_ns;
	struct loss_shard shards[MODEL_SHARDS + 1];
	uint64_t revisions_before[MODEL_ENTITIES];
	struct loss_revision revisions[LOSS_REVISIONS_MAX]; /* since then */
	size_t count;
};

/* Outside, when all is at rest and was looked at. False: it is no world for it. */
bool loss_begin(struct world *world);
bool loss_is_over(const struct world *world);
/* Clients call, though the world is calm. */
bool loss_loads(const struct world *world);
/* Words are said, and answered here. */
bool loss_waits(const struct world *world);
/* Outside, often: the next step. */
void loss_look(struct world *world);
/* Inside: an entry was applied for the first time. */
void loss_applied(struct world *world, uint32_t shard, uint64_t index, struct slice batch);
/* Inside: an entry is about to stand behind one of that term. The process may end in this turn, and
 * apply it at the next start: whose term is so much higher goes on alone. */
void loss_appends(struct world *world, const struct node *node, uint32_t shard,
    struct group_position at, uint64_t before_term);
/* Inside, after a turn of the node: whether replicas of it have gone on alone. */
void loss_saw(struct world *world, const struct node *node);
/* Inside: what the word was answered. */
void loss_answered(struct world *world, const char *text);
/* At the end: what was said is what was seen, and stands in the directory. */
void loss_compare(struct world *world);

#endif
