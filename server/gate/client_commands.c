/* CLIENT, as far as it is about this connection. */
#include <string.h>

#include "base/mem.h"
#include "server/gate/gate_parts.h"

/* One word without spaces, as CLIENT LIST prints it. Answers where it is not, or memory lacks. */
bool session_set_text(
    struct session *session, struct slice *text, struct slice value, const char *what)
{
	for (size_t i = 0; i < value.bytes; i++)
		if (value.data[i] < '!' || value.data[i] > '~') {
			reply_error(session, "ERR",
			    "Client %s cannot contain spaces, newlines or special characters.",
			    what);
			return false;
		}
	if (value.bytes > SESSION_NAME_BYTES_MAX) {
		reply_error(
		    session, "ERR", "Client %s are at most %d bytes", what, SESSION_NAME_BYTES_MAX);
		return false;
	}
	uint8_t *copy = NULL;
	if (value.bytes > 0) {
		copy = mem_alloc(value.bytes);
		if (!copy) {
			reply_status(session, STATUS_RESOURCE_EXHAUSTED,
			    slice_from_text("out of memory"), slice_of(NULL, 0));
			return false;
		}
		memcpy(copy, value.data, value.bytes);
	}
	mem_free((void *)(uintptr_t)text->data);
	*text = slice_of(copy, value.bytes);
	return true;
}

/* ON or OFF; answered where it is neither. */
static bool parse_switch(struct session *session, struct slice word, bool *ret_on)
{
	bool on = word_is(word, "on");
	if (!on && !word_is(word, "off")) {
		reply_error(session, "ERR", "syntax error");
		return false;
	}
	*ret_on = on;
	return true;
}

void run_client_id(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct resp_writer writer;
	resp_write_integer(reply_begin(session, &writer), (int64_t)session->id);
	reply_end(session, &writer);
}

void run_client_getname(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct resp_writer writer;
	reply_begin(session, &writer);
	if (session->name.bytes)
		resp_write_bulk(&writer, session->name);
	else
		resp_write_null(&writer);
	reply_end(session, &writer);
}

void run_client_setname(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	if (session_set_text(session, &session->name, args[2], "names"))
		reply_ok(session);
}

void run_client_setinfo(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	bool done;
	if (word_is(args[2], "lib-name")) {
		done = session_set_text(session, &session->library, args[3], "lib-name values");
	} else if (word_is(args[2], "lib-ver")) {
		done =
		    session_set_text(session, &session->library_version, args[3], "lib-ver values");
	} else {
		reply_error(session, "ERR", "Unrecognized option");
		return;
	}
	if (done)
		reply_ok(session);
}

void run_client_no_evict(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	if (parse_switch(session, args[2], &session->no_evict))
		reply_ok(session);
}

void run_client_no_touch(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	if (parse_switch(session, args[2], &session->no_touch))
		reply_ok(session);
}

void run_client_maint(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	bool on;
	if (parse_switch(session, args[2], &on))
		reply_ok(session);
}

void run_client_proxy(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	if (parse_switch(session, args[2], &session->proxy))
		reply_ok(session);
}

void run_client_encoding(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	if (word_is(args[2], "json")) {
		session->encoding = ENCODING_JSON;
	} else if (word_is(args[2], "msgpack")) {
		session->encoding = ENCODING_MSGPACK;
	} else if (word_is(args[2], "resp")) {
		session->encoding = ENCODING_RESP;
	} else {
		reply_error(session, "ERR", "CLIENT ENCODING is json, msgpack or resp");
		return;
	}
	reply_ok(session);
}
