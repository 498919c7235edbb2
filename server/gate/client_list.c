/* CLIENT INFO, LIST and KILL. The last two go around the cores: each writes, or ends, its own. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/gate/gate_parts.h"

enum {
	LIST_BYTES_MAX = 16 * 1024 * 1024,
	LIST_IDS_MAX = 64,
};

static const char *flags_of(const struct session *session)
{
	if (session->state == SESSION_LEAVING)
		return "c";
	return session->readonly ? "r" : "N";
}

static uint64_t seconds(uint64_t ns)
{
	return ns / NS_PER_S;
}

static int describe(const struct session *session, struct buffer *out)
{
	const struct gate *gate = session->gate;
	uint64_t now_ns = io_now_ns(gate->io);
	const struct command *last = session->last_command;
	return buffer_append_format(out,
	    "id=%" PRIu64 " addr=%s laddr=%s:%u fd=0 name=%.*s age=%" PRIu64 " idle=%" PRIu64
	    " flags=%s db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=%zu qbuf-free=%zu argv-mem=0 "
	    "multi-mem=0 rbs=0 rbp=0 obl=0 oll=%" PRIu32 " omem=%" PRIu64 " tot-mem=%" PRIu64
	    " events=%s cmd=%s user=%s redir=-1 resp=%d lib-name=%.*s lib-ver=%.*s "
	    "calls=%" PRIu32 " core=%" PRIu32,
	    session->id, session->peer, gate->config->host,
	    session->port == GATE_CLUSTER ? gate->config->cluster_port : gate->config->port,
	    (int)session->name.bytes, (const char *)session->name.data,
	    seconds(now_ns - session->created_ns), seconds(now_ns - session->active_ns),
	    flags_of(session), buffer_bytes(&session->query),
	    session->query.capacity - session->query.end, session->chunk_count,
	    session->output_bytes + session->reply_bytes, session->memory,
	    session->paused ? "w" : "r", last ? last->name : "NULL",
	    session->authenticated ? "default" : "(none)", session->protocol,
	    (int)session->library.bytes, (const char *)session->library.data,
	    (int)session->library_version.bytes, (const char *)session->library_version.data,
	    session->replies_waiting, gate->core);
}

/* Text for people: verbatim in RESP3, as Redis has it. */
static void write_text(struct resp_writer *writer, struct slice text)
{
	resp_write_verbatim(writer, "txt", text);
}

void run_client_info(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct buffer text;
	buffer_init(&text, LIST_BYTES_MAX);
	int error = describe(session, &text);
	if (!error)
		error = buffer_append_u8(&text, '\n');
	if (error) {
		reply_status(session, status_from_error(error), slice_from_text(error_text(error)),
		    slice_of(NULL, 0));
	} else {
		struct resp_writer writer;
		write_text(reply_begin(session, &writer), buffer_view(&text));
		reply_end(session, &writer);
	}
	buffer_done(&text);
}

/* ---- Around the cores ---- */

struct client_tour {
	struct reply reply;
	struct gate_tour tour;
	bool kill;
	bool old_form; /* CLIENT KILL host:port: one, or an error */

	/* Whom it is about; what is not asked for fits all. */
	bool nobody; /* TYPE of clients that there are none of */
	uint64_t ids[LIST_IDS_MAX];
	uint32_t id_count;
	char address[SESSION_PEER_BYTES];
	bool has_user, user_known;
	uint64_t skip_id; /* 0: none */
	uint64_t age_s_min;

	uint64_t killed;
	struct buffer text;
	int error;
};

static bool fits(const struct client_tour *tour, const struct session *session)
{
	if (session->state != SESSION_OPEN && session->state != SESSION_LEAVING)
		return false;
	if (tour->nobody || session->id == tour->skip_id)
		return false;
	if (tour->has_user && !(tour->user_known && session->authenticated))
		return false;
	if (tour->address[0] && strcmp(tour->address, session->peer) != 0)
		return false;
	if ((io_now_ns(session->gate->io) - session->created_ns) / NS_PER_S < tour->age_s_min)
		return false;
	bool named = tour->id_count == 0;
	for (uint32_t i = 0; i < tour->id_count; i++)
		named = named || tour->ids[i] == session->id;
	return named;
}

static void kill_one(struct client_tour *tour, struct session *session)
{
	tour->killed++;
	/* Its own answer is still sent to it. */
	if (session == tour->reply.session)
		session_leave(session);
	else
		session_close(session);
}

static void client_visit(struct gate_tour *carried, struct gate *gate)
{
	struct client_tour *tour = CONTAINER_OF(carried, struct client_tour, tour);
	LIST_FOR_EACH_REMOVABLE(node, &gate->sessions)
	{
		struct session *session = CONTAINER_OF(node, struct session, by_activity);
		if (tour->error || !fits(tour, session))
			continue;
		if (tour->kill) {
			kill_one(tour, session);
			continue;
		}
		tour->error = describe(session, &tour->text);
		if (!tour->error)
			tour->error = buffer_append_u8(&tour->text, '\n');
	}
}

static void client_toured(struct gate_tour *carried)
{
	struct client_tour *tour = CONTAINER_OF(carried, struct client_tour, tour);
	reply_toured(&tour->reply, sizeof(*tour) + tour->text.capacity);
}

static void client_write(struct reply *reply, struct resp_writer *writer)
{
	struct client_tour *tour = CONTAINER_OF(reply, struct client_tour, reply);
	if (tour->error)
		resp_write_error(writer, status_name(status_from_error(tour->error)),
		    slice_from_text(error_text(tour->error)), slice_of(NULL, 0));
	else if (!tour->kill)
		write_text(writer, buffer_view(&tour->text));
	else if (!tour->old_form)
		resp_write_integer(writer, (int64_t)tour->killed);
	else if (tour->killed)
		resp_write_simple(writer, "OK");
	else
		resp_write_error(
		    writer, "ERR", slice_from_text("No such client"), slice_of(NULL, 0));
}

static void client_free(struct reply *reply)
{
	struct client_tour *tour = CONTAINER_OF(reply, struct client_tour, reply);
	buffer_done(&tour->text);
	mem_free(tour);
}

static void start(struct session *session, const struct client_tour *wanted)
{
	struct client_tour *tour = mem_alloc(sizeof(*tour));
	if (!tour) {
		reply_status(session, STATUS_RESOURCE_EXHAUSTED, slice_from_text("out of memory"),
		    slice_of(NULL, 0));
		return;
	}
	*tour = *wanted;
	buffer_init(&tour->text, LIST_BYTES_MAX);
	tour->reply =
	    (struct reply){.bytes = sizeof(*tour), .write = client_write, .free = client_free};
	tour->tour = (struct gate_tour){.visit = client_visit, .done = client_toured};
	reply_tour(session, &tour->reply, &tour->tour);
}

static bool copy_address(struct client_tour *tour, struct slice text)
{
	if (text.bytes == 0 || text.bytes >= sizeof(tour->address))
		return false;
	memcpy(tour->address, text.data, text.bytes);
	tour->address[text.bytes] = 0;
	return true;
}

static bool add_id(struct client_tour *tour, struct slice word)
{
	int64_t id;
	if (tour->id_count == LIST_IDS_MAX || !word_integer(word, 1, INT64_MAX, &id))
		return false;
	tour->ids[tour->id_count++] = (uint64_t)id;
	return true;
}

/* The types that Redis knows; there are only normal ones here. */
static bool set_type(struct client_tour *tour, struct slice word)
{
	static const char *const others[] = {"master", "replica", "slave", "pubsub"};
	if (word_is(word, "normal"))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (word_is(word, others[i])) {
			tour->nobody = true;
			return true;
		}
	return false;
}

void run_client_list(struct session *session, const struct slice *args, uint32_t count)
{
	struct client_tour tour = {0};
	bool good = true;
	if (count == 4 && word_is(args[2], "type")) {
		good = set_type(&tour, args[3]);
	} else if (count >= 4 && word_is(args[2], "id")) {
		for (uint32_t i = 3; i < count; i++)
			good = good && add_id(&tour, args[i]);
	} else {
		good = count == 2;
	}
	if (good)
		start(session, &tour);
	else
		reply_error(session, "ERR", "syntax error");
}

/* One filter and its value. */
static bool add_filter(
    struct session *session, struct client_tour *tour, struct slice word, struct slice value)
{
	int64_t seconds;
	if (word_is(word, "id"))
		return add_id(tour, value);
	if (word_is(word, "addr"))
		return copy_address(tour, value);
	if (word_is(word, "type"))
		return set_type(tour, value);
	if (word_is(word, "user")) {
		tour->has_user = true;
		tour->user_known = slice_equal(value, slice_from_text("default"));
		return true;
	}
	if (word_is(word, "maxage")) {
		if (!word_integer(value, 1, INT64_MAX / 1000, &seconds))
			return false;
		tour->age_s_min = (uint64_t)seconds;
		return true;
	}
	if (!word_is(word, "skipme"))
		return false;
	tour->skip_id = word_is(value, "no") ? 0 : session->id;
	return word_is(value, "yes") || word_is(value, "no");
}

void run_client_kill(struct session *session, const struct slice *args, uint32_t count)
{
	struct client_tour tour = {.kill = true};
	bool good;
	if (count == 3) {
		tour.old_form = true;
		good = copy_address(&tour, args[2]);
	} else {
		tour.skip_id = session->id;
		good = count % 2 == 0;
		for (uint32_t i = 2; good && i + 1 < count; i += 2)
			good = add_filter(session, &tour, args[i], args[i + 1]);
	}
	if (good)
		start(session, &tour);
	else
		reply_error(session, "ERR", "syntax error");
}
