/* ADMIN CONFIG: the values of the running server and where they are from; changing some. */
#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"

enum { CONFIG_BYTES_MAX = 256 * 1024, WHY_BYTES = 512 };

static void refuse(struct session *session, int error, const char *why)
{
	enum status status =
	    error == ERR_BUSY ? STATUS_FAILED_PRECONDITION : status_from_error(error);
	reply_status(session, status, slice_from_text(why), slice_of(NULL, 0));
}

static void get(struct session *session, const struct slice *names, uint32_t count)
{
	const struct gate_services *services = &session->gate->services;
	struct buffer out;
	struct json_writer writer;
	char why[WHY_BYTES] = "";
	int error = 0;
	buffer_init(&out, CONFIG_BYTES_MAX);
	json_writer_init(&writer, &out);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("keys"));
	json_write_array_begin(&writer);
	if (count == 0)
		error = services->config_get(
		    services->arg, slice_of(NULL, 0), &writer, why, sizeof(why));
	for (uint32_t i = 0; i < count && !error; i++)
		error = services->config_get(services->arg, names[i], &writer, why, sizeof(why));
	json_write_array_end(&writer);
	json_write_object_end(&writer);
	if (error) {
		refuse(session, error, why);
	} else {
		struct resp_writer reply;
		reply_begin(session, &reply);
		admin_write_json(session, &reply, &out, json_writer_finish(&writer));
		reply_end(session, &reply);
	}
	buffer_done(&out);
}

/* Each gate takes its limits on its own thread; the answer comes when all have. */
struct config_tour {
	struct reply reply;
	struct gate_tour tour;
	struct buffer text;
	int error;
};

static void config_visit(struct gate_tour *carried, struct gate *gate)
{
	(void)carried;
	gate->services.limits(gate->services.arg, &gate->limits);
}

static void config_toured(struct gate_tour *carried)
{
	struct config_tour *tour = CONTAINER_OF(carried, struct config_tour, tour);
	reply_toured(&tour->reply, sizeof(*tour) + tour->text.capacity);
}

static void config_write(struct reply *reply, struct resp_writer *writer)
{
	struct config_tour *tour = CONTAINER_OF(reply, struct config_tour, reply);
	admin_write_json(reply->session, writer, &tour->text, tour->error);
}

static void config_free(struct reply *reply)
{
	struct config_tour *tour = CONTAINER_OF(reply, struct config_tour, reply);
	buffer_done(&tour->text);
	mem_free(tour);
}

static void set(struct session *session, struct slice name, struct slice value)
{
	struct gate *gate = session->gate;
	struct json_writer writer;
	char why[WHY_BYTES] = "";
	struct config_tour *tour = mem_zalloc(1, sizeof(*tour));
	if (!tour) {
		admin_no_memory(session);
		return;
	}
	buffer_init(&tour->text, CONFIG_BYTES_MAX);
	json_writer_init(&writer, &tour->text);
	int error =
	    gate->services.config_set(gate->services.arg, name, value, &writer, why, sizeof(why));
	if (error) {
		refuse(session, error, why);
		buffer_done(&tour->text);
		mem_free(tour);
		return;
	}
	tour->error = json_writer_finish(&writer);
	tour->reply =
	    (struct reply){.bytes = sizeof(*tour), .write = config_write, .free = config_free};
	tour->tour = (struct gate_tour){.visit = config_visit, .done = config_toured};
	reply_tour(session, &tour->reply, &tour->tour);
}

void admin_config(struct session *session, const struct slice *args, uint32_t count)
{
	if (count >= 3 && word_is(args[2], "get"))
		get(session, args + 3, count - 3);
	else if (count == 5 && word_is(args[2], "set"))
		set(session, args[3], args[4]);
	else
		admin_usage(session, "ADMIN CONFIG GET [name...] | SET name value");
}
