/* How core 0 asks other nodes while it starts: over introductions (replication/peer/peer.h), by
 * addresses as --join has them. Private to server/core_*.c. Core 0's thread.
 */
#ifndef KX_SERVER_CORE_JOIN_H
#define KX_SERVER_CORE_JOIN_H

#include "base/error.h"
#include "base/slice.h"

struct core;
struct peer_identity;
struct peers;

/* That only introduce. Freed by the caller: peers_stop, then peers_free. Errors of peers_new. */
NODISCARD int core_asker_new(struct core *core, struct peers **ret_peers);
/* One address, HOST:PORT, the name looked up now (blocks). `done` as peers_introduce has it, and
 * its errors; ERR_INVALID: no such address; ERR_NOT_FOUND and others of names. */
NODISCARD int core_ask(struct peers *peers, struct slice address, struct slice question,
    void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them),
    void *arg);

#endif
