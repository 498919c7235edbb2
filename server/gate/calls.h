/* What commands that end in a shard's call share. Private to server/gate. */
#ifndef KX_SERVER_GATE_CALLS_H
#define KX_SERVER_GATE_CALLS_H

#include "server/gate/gate_parts.h"

/* Views of static memory. */
struct host_caller caller_of(const struct session *session);

/* The shard's answer as a reply; the shard's buffers may be empty afterwards. */
void shard_call_write(struct session *session, struct resp_writer *writer, struct shard_call *shard,
    enum session_encoding encoding);

#endif
