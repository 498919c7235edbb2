// sources: server/configuration.c server/config_text.c server/config_values.c base/wire/address.c
// sources: base/wire/utf8.c
// libraries: -lconfuse
/* A file as kalix.conf. What is refused is refused with a text that begins with the file, and with
 * a line that the file has; comments of three lines ahead of it change nothing but that line. What
 * is good is so for kalixd too, and its values, written as the server tells them, are a file that
 * means the same. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "server/configuration.h"

enum { FILE_BYTES_MAX = 64 * 1024, PATH_BYTES = 64 };
enum { AHEAD_LINES = 3 };
/* With everything that begins or ends something else. */
static const char ahead[] = "# it's \"{ /* \n/* # \" // \n ' */ // /* \"\n";

/* libconfuse's scanner, which stays between quotes when what is there is refused: a process reads
 * one file, this one many. */
int cfg_yylex_destroy(void);

struct outcome {
	int error, line; /* of the refusal; 0: it names none */
	size_t keys;
	struct config config;
	char why[CONFIG_WHY_BYTES];
};

/* The file is in memory; it has one name for all inputs. */
static const char *put(const void *before, size_t before_bytes, const void *data, size_t bytes)
{
	static int fd = -1;
	static char path[PATH_BYTES];
	if (fd < 0) {
		fd = memfd_create("kalix.conf", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, before, before_bytes, 0) < 0 ||
	    pwrite(fd, data, bytes, (off_t)before_bytes) != (ssize_t)bytes)
		abort();
	return path;
}

static const char *check(const char *path, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	cfg_yylex_destroy();
	ret->error = config_check_file(path, &ret->config, &ret->keys, ret->why, sizeof(ret->why));
	if (!ret->error)
		return ret->keys <= CONFIG_KEY_COUNT ? NULL : "a file sets keys that there are";
	size_t path_bytes = strlen(path);
	if (ret->error != ERR_INVALID)
		return "a file is good, or invalid";
	if (strncmp(ret->why, path, path_bytes) != 0 || ret->why[path_bytes] != ':' ||
	    strlen(ret->why) < path_bytes + 10)
		return "a refusal says where and why";
	ret->line = (int)strtol(ret->why + path_bytes + 1, NULL, 10);
	return NULL;
}

static int lines_of(const uint8_t *data, size_t bytes)
{
	int lines = 1;
	for (size_t i = 0; i < bytes; i++)
		lines += data[i] == '\n';
	return lines;
}

static bool same_values(const struct config *one, const struct config *other)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		char text[2][CONFIG_TEXT_BYTES];
		config_value_text(one, i, text[0]);
		config_value_text(other, i, text[1]);
		if (strcmp(text[0], text[1]) != 0)
			return false;
	}
	return true;
}

/* In two files, `lines` apart. */
static const char *compare(const struct outcome *one, const struct outcome *other, int lines)
{
	const char *text = strchr(one->why, ' '), *other_text = strchr(other->why, ' ');
	if (one->error != other->error || one->keys != other->keys)
		return "where it stands makes no file good";
	if (one->error && (!text || !other_text || strcmp(text, other_text) != 0))
		return "where it stands changes no reason";
	if (one->line > 0 ? one->line + lines != other->line : other->line > 0)
		return "a line is counted from the first one";
	if (!same_values(&one->config, &other->config))
		return "where it stands changes no value";
	return NULL;
}

/* As kalixd reads it, with the one flag that it may need. */
static const char *wrong_start(const char *path, const struct outcome *checked)
{
	static struct config config;
	static struct config_origins origins;
	char program[] = "kalixd", data[] = "--data=.", flag[] = "--config", name[PATH_BYTES];
	char why[CONFIG_WHY_BYTES] = "";
	char *argv[] = {program, flag, name, data, NULL};
	enum config_wish wish;
	size_t keys = 0;
	snprintf(name, sizeof(name), "%s", path);
	cfg_yylex_destroy();
	int error = config_read(4, argv, &config, &origins, &wish, why, sizeof(why));
	if (error != checked->error)
		return "what is checked is what starts";
	if (error)
		return why[0] ? NULL : "a start that is refused says why";
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		keys += origins.of[i].from == CONFIG_FROM_FILE || i == CONFIG_KEY_data;
	if (keys != checked->keys && keys != checked->keys + 1)
		return "what a file sets comes from the file";
	memcpy(config.data, checked->config.data, sizeof(config.data));
	return same_values(&config, &checked->config) ? NULL : "what is checked is what is used";
}

/* A value between quotes: what ends them is escaped; a newline is one. */
static size_t quote(char *out, const char *text)
{
	size_t bytes = 0;
	out[bytes++] = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text == '$')
			out[bytes++] = '\\';
		out[bytes++] = *text;
	}
	out[bytes++] = '"';
	return bytes;
}

static const char *wrong_again(const struct outcome *checked)
{
	static char file[CONFIG_KEY_COUNT * (2 * CONFIG_TEXT_BYTES + PATH_BYTES)];
	static struct outcome again;
	size_t bytes = 0;
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		char text[CONFIG_TEXT_BYTES];
		config_value_text(&checked->config, i, text);
		bytes += (size_t)snprintf(file + bytes, PATH_BYTES, "%s = ", config_key_name(i));
		bytes += quote(file + bytes, text);
		file[bytes++] = '\n';
	}
	const char *wrong = check(put("", 0, file, bytes), &again);
	if (wrong)
		return wrong;
	if (again.error || again.keys != CONFIG_KEY_COUNT)
		return "values are a file";
	return same_values(&again.config, &checked->config) ? NULL
	                                                    : "a value that was told is the value";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct outcome checked, moved;
	if (bytes > FILE_BYTES_MAX)
		return 0;
	const char *path = put("", 0, data, bytes);
	const char *wrong = check(path, &checked);
	if (!wrong && checked.line > lines_of(data, bytes))
		wrong = "a refusal names a line that there is";
	if (!wrong)
		wrong = wrong_start(path, &checked);
	if (!wrong)
		wrong = check(put(ahead, sizeof(ahead) - 1, data, bytes), &moved);
	if (!wrong)
		wrong = compare(&checked, &moved, AHEAD_LINES);
	if (!wrong && !checked.error)
		wrong = wrong_again(&checked);
	if (wrong)
		fprintf(stderr, "%s\n%s\n", checked.why, moved.why);
	fuzz_must_hold(wrong);
	return 0;
}
