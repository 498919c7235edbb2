#include "base/wire/json_writer.h"
#include "base/wire/utf8.h"
#include "server/gate/admin.h"

static const struct {
	const char *noun;
	command_run *run;
} nouns[] = {
    {"app", admin_app},
    {"entity", admin_entity},
    {"config", admin_config},
    {"error", admin_error},
    {"logs", admin_logs},
    {"slowlog", admin_slowlog},
    {"status", admin_status},
    {"checkpoint", admin_checkpoint},
};

void admin_usage(struct session *session, const char *usage)
{
	reply_status(session, STATUS_INVALID_ARGUMENT, slice_from_text(usage), slice_of(NULL, 0));
}

void admin_no_memory(struct session *session)
{
	reply_status(session, STATUS_RESOURCE_EXHAUSTED, slice_from_text("out of memory"),
	    slice_of(NULL, 0));
}

void admin_write_json(
    struct session *session, struct resp_writer *writer, struct buffer *json, int error)
{
	if (error)
		resp_write_error(writer, status_name(status_from_error(error)),
		    slice_from_text(error_text(error)), slice_of(NULL, 0));
	else
		reply_write_bulk_take(session, writer, json);
}

void json_member_text(struct json_writer *writer, const char *key, struct slice text)
{
	json_write_key(writer, slice_from_text(key));
	json_write_string(writer, slice_of(text.data, utf8_valid_prefix(text)));
}

void json_member_u64(struct json_writer *writer, const char *key, uint64_t value)
{
	json_write_key(writer, slice_from_text(key));
	json_write_integer(writer, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void run_admin(struct session *session, const struct slice *args, uint32_t count)
{
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (word_is(args[1], nouns[i].noun)) {
			nouns[i].run(session, args, count);
			return;
		}
	admin_usage(session, "ADMIN APP|CONFIG|ENTITY|ERROR|LOGS|SLOWLOG|STATUS|CHECKPOINT ...");
}
