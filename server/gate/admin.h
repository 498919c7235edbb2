/* The nouns of ADMIN (docs/admin-protocol.md). Private to server/gate. args[0] is ADMIN,
 * args[1] the noun. */
#ifndef KX_SERVER_GATE_ADMIN_H
#define KX_SERVER_GATE_ADMIN_H

#include "server/gate/gate_parts.h"

void admin_app(struct session *session, const struct slice *args, uint32_t count);
void admin_entity(struct session *session, const struct slice *args, uint32_t count);
void admin_config(struct session *session, const struct slice *args, uint32_t count);
void admin_error(struct session *session, const struct slice *args, uint32_t count);
void admin_logs(struct session *session, const struct slice *args, uint32_t count);
void admin_slowlog(struct session *session, const struct slice *args, uint32_t count);
void admin_status(struct session *session, const struct slice *args, uint32_t count);
void admin_cluster(struct session *session, const struct slice *args, uint32_t count);
void admin_node(struct session *session, const struct slice *args, uint32_t count);
void admin_shard(struct session *session, const struct slice *args, uint32_t count);
void admin_checkpoint(struct session *session, const struct slice *args, uint32_t count);

/* INVALID_ARGUMENT with the form that was expected. */
void admin_usage(struct session *session, const char *usage);
void admin_no_memory(struct session *session);

/* A request of the directory. The first member of what holds its words, which goes with it
 * (mem_free). */
struct admin_request {
	struct reply reply;
	struct gate_directory directory;
};
/* `bytes`: of all that goes with it. */
void admin_request_send(struct session *session, struct admin_request *request, size_t bytes);

/* The answer of a finished json_writer's buffer, or of the error that it had. */
void admin_write_json(
    struct session *session, struct resp_writer *writer, struct buffer *json, int error);
void json_member_text(struct json_writer *writer, const char *key, struct slice text);
void json_member_u64(struct json_writer *writer, const char *key, uint64_t value);

#endif
