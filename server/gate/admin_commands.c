#include "base/mem.h"
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
    {"cluster", admin_cluster},
    {"node", admin_node},
    {"shard", admin_shard},
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

static void request_write(struct reply *reply, struct resp_writer *writer)
{
	struct admin_request *work = CONTAINER_OF(reply, struct admin_request, reply);
	struct meta_request *request = &work->directory.request;
	if (request->status == STATUS_OK)
		reply_write_bulk_take(reply->session, writer, &request->reply);
	else
		resp_write_error(writer, status_name(request->status), buffer_view(&request->reply),
		    buffer_view(&request->details));
}

static void request_free(struct reply *reply)
{
	struct admin_request *work = CONTAINER_OF(reply, struct admin_request, reply);
	buffer_done(&work->directory.request.reply);
	buffer_done(&work->directory.request.details);
	mem_free(work);
}

static void request_done(struct gate_directory *directory)
{
	struct admin_request *work = CONTAINER_OF(directory, struct admin_request, directory);
	const struct meta_request *request = &directory->request;
	work->reply.session->gate->works--;
	reply_ready(
	    &work->reply, sizeof(*work) + request->reply.capacity + request->details.capacity);
}

void admin_request_send(struct session *session, struct admin_request *request, size_t bytes)
{
	struct gate *gate = session->gate;
	request->directory.request.user = slice_from_text("default");
	request->directory.done = request_done;
	request->reply =
	    (struct reply){.bytes = bytes, .write = request_write, .free = request_free};
	reply_wait(session, &request->reply);
	gate->works++;
	gate->services.directory(gate->services.arg, &request->directory);
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
	admin_usage(session,
	    "ADMIN APP|CLUSTER|CONFIG|ENTITY|ERROR|LOGS|NODE|SHARD|SLOWLOG|STATUS|CHECKPOINT ...");
}
