/* With what core 0 asks other nodes while it starts: introductions (replication/peer/peer.h).
 * Private to server/core_*.c. Core 0's thread.
 */
#ifndef KX_SERVER_CORE_JOIN_H
#define KX_SERVER_CORE_JOIN_H

#include "base/error.h"

struct core;
struct peers;

/* That only introduce. Freed by the caller: peers_stop, then peers_free. Errors of peers_new. */
NODISCARD int core_asker_new(struct core *core, struct peers **ret_peers);

#endif
