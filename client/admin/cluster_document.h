/* The document of ADMIN CLUSTER STATUS (docs/admin-protocol.md), for the commands that look at it.
 * Private to client/admin.
 */
#ifndef KX_CLIENT_ADMIN_CLUSTER_DOCUMENT_H
#define KX_CLIENT_ADMIN_CLUSTER_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"
#include "client/admin/args.h"
#include "client/admin/online.h"

/* Asks again, over a connection that there is; the server's code. */
int cluster_ask(struct online *online);
enum { CLUSTER_NODE_NUMBER_MAX = 65535 };
/* The reply of a change: as it is, or, for people, "done: " and what is done. */
enum exit_code cluster_changed(const struct online *online, const char *done);
/* Connects and asks, as online_read. EXIT_DONE: *ret_document is a view into the reply. Else the
 * error was said. */
enum exit_code cluster_document(
    const struct args *args, struct online *ret_online, struct slice *ret_document);
/* Its nodes as rows. `known_by`: the node that knows them so, where the directory was not asked; 0:
 * it was. Errors of print_end. */
NODISCARD int cluster_print_nodes(
    struct slice document, enum output_format format, uint64_t known_by);

/* quorumless.c. A node of it: it was removed; nothing is heard of it, and it was not. */
bool cluster_node_is_removed(struct slice node);
bool cluster_node_is_missed(struct slice node);
/* Where clients find it: "10.0.0.1:7470", or that it has no port yet. */
enum { CLUSTER_ADDRESS_BYTES = 288 };
void cluster_node_address(struct slice node, char address[CLUSTER_ADDRESS_BYTES]);
/* "shard 3", or "4 shards (3 and others)"; of the directory it is said that it is that. */
void cluster_print_shards(FILE *to, uint64_t first, uint64_t count);
/* Lines for its shards that have no quorum, if any: because of whom, and what to do. */
void cluster_say_quorumless(FILE *to, struct slice document);
/* The node that answered, where it has no link with any other one though there are some that were
 * not removed; else 0. */
uint64_t cluster_lone_node(struct slice document);
/* For commands that change the cluster, which nobody can whose directory has no quorum: true: that
 * is so for some time already, and was said on standard error, with what to do. */
bool cluster_is_stuck(struct slice document);
/* What ended with EXIT_UNREACHABLE, and was said, may have done so for that: then it is said, too.
 */
void cluster_explain(const struct args *args, enum exit_code code);

/* standing.c: led shards of which nothing is committed, and whose nodes do not acknowledge. */
void cluster_say_standing(struct slice document);

/* damage_said.c: which replicas are damaged, for people; nothing where none is. */
void cluster_say_damaged(struct slice document);
/* The shard has no quorum, and nodes that come back are not enough: too much is damaged. */
bool cluster_damage_decides(struct slice shard);
/* The node's replica of the directory is damaged: it does not serve before it has another one. */
bool cluster_waits_for_directory(struct slice document, uint64_t node);

#endif
