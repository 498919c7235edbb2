/* config check: a file of the configuration, read by the server's own code. */
#include <stdio.h>

#include "base/buffer.h"
#include "base/wire/json_writer.h"
#include "client/admin/commands.h"
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
