/* What must be true at any time of terms, logs and what is applied, of all replicas of all groups.
 *
 *   election safety      one leader in a term of a group
 *   log matching         entries of one index and term are the same everywhere, and behind the same
 *   leader completeness  who begins to lead has every entry that anybody has applied
 *   state machine        what is applied at an index is the same everywhere, for ever
 *   closed               no shard is closed where no disk lies
 *   removed              a node that was removed leads no shard; one that was given up in a
 *                        recovery does not vote either
 *   resurrected          and behind the end of its log nothing older is applied
 *   one at a time        a core hands no shard over by a wish while it does another one
 *   durable              when the first one applies, most of the voters have it on their disks
 *
 * It listens at three functions of storage/engine.h, which the linker puts in place (module.am),
 * and looks at each node after its turns.
 */
#ifndef KX_TESTS_CLUSTER_SIM_ORACLE_H
#define KX_TESTS_CLUSTER_SIM_ORACLE_H

#include <stdint.h>

struct node;
struct oracle;
struct world;

struct oracle *oracle_new(struct world *world);
void oracle_free(struct oracle *oracle);
/* Whose process runs from now on; NULL: nobody's. What it had begun to append and did not end is
 * forgotten. */
void oracle_inside(struct oracle *oracle, struct node *node);
/* The last entry that anybody has applied. */
uint64_t oracle_applied(const struct oracle *oracle, uint32_t shard);
/* Inside: a recovery goes on in this term with what this node has up to `last`. What was applied at
 * an index at which it has another entry, and all behind that, is applied no more; nor is anything
 * behind `last` that is of an older term. Returns the last index up to which all that was applied
 * is kept. */
uint64_t oracle_lose(
    struct oracle *oracle, const struct node *left, uint32_t shard, uint64_t last, uint64_t term);
/* Its disk is another, empty one. */
void oracle_forget(struct oracle *oracle, const struct node *node);
/* Inside, after a turn. */
void oracle_look(struct oracle *oracle, struct node *node);

#endif
