/* config: a file, read by the server's own code; the values of a running server. */
#include <stdio.h>

#include "base/buffer.h"
#include "base/wire/json_writer.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "server/configuration.h"

#define TEXT_BYTES_MAX ((size_t)1 << 16)

static void member_text(struct json_writer *writer, const char *name, const char *text)
{
	json_write_key(writer, slice_from_text(name));
	json_write_string(writer, slice_from_text(text));
}

/* {file, good, keys} or {file, good, text}. */
static int print_checked(const char *file, size_t keys, const char *why)
{
	struct buffer out;
	struct json_writer writer;
	buffer_init(&out, TEXT_BYTES_MAX);
	json_writer_init(&writer, &out);
	json_write_object_begin(&writer);
	member_text(&writer, "file", file);
	json_write_key(&writer, slice_from_text("good"));
	json_write_boolean(&writer, !why);
	if (why) {
		member_text(&writer, "text", why);
	} else {
		json_write_key(&writer, slice_from_text("keys"));
		json_write_integer(&writer, (int64_t)keys);
	}
	json_write_object_end(&writer);
	int error = json_writer_finish(&writer);
	struct slice text = buffer_view(&out);
	if (!error && (fwrite(text.data, 1, text.bytes, stdout) != text.bytes || puts("") < 0 ||
	                  fflush(stdout)))
		error = ERR_IO;
	buffer_done(&out);
	return error;
}

enum exit_code command_config_check(const struct args *args)
{
	static struct config config;
	char why[CONFIG_WHY_BYTES] = "";
	const char *file = args->word[2];
	size_t keys = 0;
	bool good = config_check_file(file, &config, &keys, why, sizeof(why)) == 0;
	if (args->format != OUTPUT_TABLE) {
		int error = print_checked(file, keys, good ? NULL : why);
		if (error)
			return command_failed(error, "");
		return good ? EXIT_DONE : EXIT_REFUSED;
	}
	if (!good)
		return command_failed(ERR_INVALID, why);
	printf("%s: good, sets %zu of %d keys%s\n", file, keys, (int)CONFIG_KEY_COUNT,
	    config.data[0] ? "" : "; the directory has to come as a flag: --data DIR");
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

static const char *const key_columns[] = {"key", "value", "from", "file", "line", "changeable"};

enum exit_code command_config_get(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "CONFIG");
		online_word(&online, "GET");
		for (unsigned i = 2; i < args->words; i++)
			online_word(&online, args->word[i]);
		code = online_run(&online);
	}
	if (!code)
		code = online_print_member(
		    &online, "keys", key_columns, sizeof(key_columns) / sizeof(key_columns[0]));
	online_done(&online);
	return code;
}

static enum exit_code print_set(const struct online *online)
{
	struct slice reply = slice_from_text(online_json(online));
	struct slice key = pick_text(reply, "key"), value = pick_text(reply, "value");
	struct slice was = pick_text(reply, "was");
	if (key.bytes == 0 || value.bytes == 0)
		return command_failed(ERR_CORRUPT, "the server's reply is no key and value");
	printf("%.*s = %.*s (was %.*s), until the server's next start; to keep it, write it into "
	       "kalix.conf\n",
	    (int)key.bytes, (const char *)key.data, (int)value.bytes, (const char *)value.data,
	    (int)was.bytes, was.bytes ? (const char *)was.data : "");
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

enum exit_code command_config_set(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "CONFIG");
		online_word(&online, "SET");
		online_word(&online, args->word[2]);
		online_word(&online, args->word[3]);
		code = online_run(&online);
	}
	if (!code)
		code = args->format == OUTPUT_TABLE ? print_set(&online)
		                                    : online_print(&online, NULL, 0);
	online_done(&online);
	return code;
}
