/* The configuration while the server runs: ADMIN CONFIG. Its values are written under a lock, by
 * any core; each gate then takes its limits from here on its own thread. */
#include <string.h>

#include "base/log_line.h"
#include "base/token_bucket.h"
#include "base/wire/json_writer.h"
#include "server/server.h"

void server_log_level(const char *name)
{
	for (int level = LEVEL_DEBUG; level <= LEVEL_ERROR; level++)
		if (strcmp(log_level_name((enum log_level)level), name) == 0)
			log_line_set_level((enum log_level)level);
}

static void gate_limits_of(const struct config *config, struct gate_limits *ret_limits)
{
	*ret_limits = (struct gate_limits){.connections_max = config->max_connections,
	    .calls_max = config->max_pipeline,
	    .output_pause_bytes = config->output_limit / 16,
	    .output_bytes_max = config->output_limit,
	    .memory_bytes_max = config->client_memory,
	    .idle_ms = config->idle_timeout,
	    .stall_ms = config->stall_timeout,
	    .slow_ms = config->slowlog_threshold};
}

void server_gate_limits(struct server *server, struct gate_limits *ret_limits)
{
	pthread_mutex_lock(&server->config_lock);
	gate_limits_of(server->config, ret_limits);
	pthread_mutex_unlock(&server->config_lock);
}

uint64_t server_snapshot_rate(struct server *server)
{
	pthread_mutex_lock(&server->config_lock);
	uint64_t rate = server->config->snapshot_rate;
	pthread_mutex_unlock(&server->config_lock);
	return rate ? rate / server->map.core_count : TOKEN_BUCKET_UNLIMITED;
}

static void member(struct json_writer *writer, const char *name, const char *value)
{
	json_write_key(writer, slice_from_text(name));
	json_write_string(writer, slice_from_text(value));
}

static void write_key(const struct server *server, size_t key, struct json_writer *writer)
{
	static const char *const origins[] = {"default", "file", "flag", "set"};
	char text[CONFIG_TEXT_BYTES];
	const struct config_origin *origin = &server->origins->of[key];
	config_value_text(server->config, key, text);
	json_write_object_begin(writer);
	json_write_key(writer, slice_from_text("changeable"));
	json_write_boolean(writer, config_key_changeable(key));
	if (origin->from == CONFIG_FROM_FILE)
		member(writer, "file", server->origins->file);
	member(writer, "from", origins[origin->from]);
	member(writer, "key", config_key_name(key));
	if (origin->from == CONFIG_FROM_FILE) {
		json_write_key(writer, slice_from_text("line"));
		json_write_integer(writer, origin->line);
	}
	member(writer, "value", text);
	json_write_object_end(writer);
}

int server_config_get(struct server *server, struct slice name, struct json_writer *writer,
    char *why, size_t why_bytes)
{
	size_t begin = 0, end = CONFIG_KEY_COUNT;
	if (name.bytes > 0) {
		int error = config_key_find(name, &begin, why, why_bytes);
		if (error)
			return error;
		end = begin + 1;
	}
	pthread_mutex_lock(&server->config_lock);
	for (size_t key = begin; key < end; key++)
		write_key(server, key, writer);
	pthread_mutex_unlock(&server->config_lock);
	return 0;
}

/* Under the lock. */
static int change(struct server *server, size_t key, const char *value, struct json_writer *writer,
    char *why, size_t why_bytes)
{
	char was[CONFIG_TEXT_BYTES], now[CONFIG_TEXT_BYTES];
	config_value_text(server->config, key, was);
	int error = config_change(server->config, key, value, why, why_bytes);
	if (error)
		return error;
	config_value_text(server->config, key, now);
	server->origins->of[key] = (struct config_origin){.from = CONFIG_FROM_SET};
	server_log_level(server->config->log_level);
	server_raise_files(server->config);
	/* What was, and is, no secret: none of the keys that can be changed is. */
	LOG_LINE(LEVEL_INFO, "config_set", FIELD_TEXT("key", config_key_name(key)),
	    FIELD_TEXT("value", now), FIELD_TEXT("was", was));
	json_write_object_begin(writer);
	member(writer, "key", config_key_name(key));
	member(writer, "value", now);
	member(writer, "was", was);
	json_write_object_end(writer);
	return 0;
}

int server_config_set(struct server *server, struct slice name, struct slice value,
    struct json_writer *writer, char *why, size_t why_bytes)
{
	char text[CONFIG_TEXT_BYTES];
	size_t key;
	int error = config_key_find(name, &key, why, why_bytes);
	if (error)
		return error;
	if (!config_key_changeable(key)) {
		snprintf(why, why_bytes,
		    "%s is read when kalixd starts: change it in kalix.conf, or the flag, and "
		    "start "
		    "it again",
		    config_key_name(key));
		return ERR_BUSY;
	}
	if (value.bytes >= sizeof(text) || memchr(value.data, 0, value.bytes)) {
		snprintf(why, why_bytes, "%s: expected a shorter text", config_key_name(key));
		return ERR_INVALID;
	}
	memcpy(text, value.data, value.bytes);
	text[value.bytes] = 0;
	pthread_mutex_lock(&server->config_lock);
	error = change(server, key, text, writer, why, why_bytes);
	pthread_mutex_unlock(&server->config_lock);
	return error;
}
