/* The document of ADMIN CLUSTER STATUS (docs/admin-protocol.md), for the commands that look at it.
 * Private to client/admin.
 */
#ifndef KX_CLIENT_ADMIN_CLUSTER_DOCUMENT_H
#define KX_CLIENT_ADMIN_CLUSTER_DOCUMENT_H

#include "base/slice.h"
#include "client/admin/args.h"
#include "client/admin/online.h"

/* Asks again, over a connection that there is; the server's code. */
int cluster_ask(struct online *online);
enum { CLUSTER_NODE_NUMBER_MAX = 65535 };
/* Sends the words that were given, and says what is done: the reply, or, for people, "done: ". */
enum exit_code cluster_change(struct online *online, const char *done);
/* Connects and asks. EXIT_DONE: *ret_document is a view into the reply. Else the error was said. */
enum exit_code cluster_document(
    const struct args *args, struct online *ret_online, struct slice *ret_document);
/* Its nodes as rows. Errors of print_end. */
NODISCARD int cluster_print_nodes(struct slice document, enum output_format format);

#endif
