#include "server/configuration.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/slice.h"
#include "base/wire/address.h"

/* Of a file: what a person writes is far below. */
#define FILE_BYTES_MAX (256 * KIB)

enum kind { KIND_TEXT, KIND_BOOLEAN, KIND_PORT, KIND_NUMBER, KIND_SIZE, KIND_DURATION };

struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *initial, *value, *what;
};

static const struct key keys[] = {
#define X(name, kind, initial, value, what)                                                        \
	{#name, KIND_##kind, offsetof(struct config, name), initial, value, what},
    CONFIG_LIST(X)
#undef X
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };
_Static_assert((int)KEY_COUNT == (int)CONFIG_KEY_COUNT, "an origin for each key");

/* ---- Values ---- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value) || value > max)
			return false;
	if (at == text)
		return false;
	*ret_value = value;
	*ret_end = at;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static bool parse_with_unit(
    const char *text, const struct unit *units, size_t count, uint64_t *ret_value)
{
	const char *unit;
	uint64_t value;
	if (!parse_number(text, UINT64_MAX, &value, &unit))
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(unit, units[i].name) == 0)
			return !__builtin_mul_overflow(value, units[i].factor, ret_value);
	return false;
}

static bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
	    {"", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"k", KIB}, {"m", MIB}, {"g", GIB}};
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_bytes) &&
	       *ret_bytes <= 1024 * GIB;
}

static bool parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
	    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_ms) &&
	       *ret_ms <= UINT64_C(86400000) * 365;
}

static bool parse_boolean(const char *text, bool *ret_value)
{
	static const char *const words[2][4] = {
	    {"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};
	for (int value = 0; value < 2; value++)
		for (int i = 0; i < 4; i++)
			if (strcmp(text, words[value][i]) == 0) {
				*ret_value = value == 1;
				return true;
			}
	return false;
}

/* NULL, or what was expected; then nothing has changed. */
static const char *set(struct config *config, const struct key *key, const char *text)
{
	void *field = (char *)config + key->offset;
	const char *end;
	uint64_t number;
	switch (key->kind) {
	case KIND_TEXT:
		if (strlen(text) >= CONFIG_TEXT_BYTES)
			return "a shorter text";
		memcpy(field, text, strlen(text) + 1);
		return NULL;
	case KIND_BOOLEAN:
		return parse_boolean(text, field) ? NULL : "true or false";
	case KIND_PORT:
		if (!parse_number(text, UINT16_MAX, &number, &end) || *end)
			return "a port, 0 to 65535";
		*(uint16_t *)field = (uint16_t)number;
		return NULL;
	case KIND_NUMBER:
		if (!parse_number(text, UINT32_MAX, &number, &end) || *end)
			return "a number";
		*(uint32_t *)field = (uint32_t)number;
		return NULL;
	case KIND_SIZE:
		return parse_size(text, field) ? NULL : "a size, for example 64MiB";
	case KIND_DURATION:
		return parse_duration(text, field) ? NULL : "a time, for example 30s";
	}
	return "a known key";
}

/* ---- Names ---- */

__attribute__((format(printf, 3, 4))) static int refuse(
    char *why, size_t why_bytes, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	vsnprintf(why, why_bytes, format, values);
	va_end(values);
	return ERR_INVALID;
}

static const struct key *find(struct slice name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (slice_equal(name, slice_from_text(keys[i].name)))
			return &keys[i];
	return NULL;
}

/* ", did you mean 'port'?", or "". As a flag where `before` is "--". */
static void suggest(struct slice name, const char *before, char text[64])
{
	struct slice names[KEY_COUNT];
	for (size_t i = 0; i < KEY_COUNT; i++)
		names[i] = slice_from_text(keys[i].name);
	int nearest = name_nearest(name, names, KEY_COUNT);
	text[0] = 0;
	if (nearest < 0)
		return;
	snprintf(text, 64, ", did you mean '%s%s'?", before, keys[nearest].name);
	for (char *at = text + 2; before[0] && *at; at++)
		if (*at == '_')
			*at = '-';
}

/* ---- The file ---- */

/* libconfuse tells errors through a function without an argument of ours. */
static struct {
	const char *path;
	char *why;
	size_t why_bytes;
} complaint;

static void complain(cfg_t *cfg, const char *format, va_list values)
{
	char text[256], suggestion[64] = "";
	/* The format is libconfuse's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(text, sizeof(text), format, values);
#pragma GCC diagnostic pop
	static const char unknown[] = "no such option '";
	if (strncmp(text, unknown, sizeof(unknown) - 1) == 0) {
		const char *name = text + sizeof(unknown) - 1;
		const char *end = strchr(name, '\'');
		if (end)
			suggest(slice_of(name, (size_t)(end - name)), "", suggestion);
	}
	refuse(complaint.why, complaint.why_bytes, "%s:%d: %s%s", complaint.path, cfg->line, text,
	    suggestion);
}

/* The file that is being read: libconfuse hands over no argument of ours here either. */
static struct {
	struct config *config;
	struct config_origins *origins;
} reading;

/* Each value is looked at where it stands, so that the error names its line. */
static int validate(cfg_t *cfg, cfg_opt_t *option)
{
	const struct key *key = find(slice_from_text(option->name));
	const char *text = cfg_opt_getnstr(option, 0);
	if (!key || !text)
		return 0;
	const char *expected = set(reading.config, key, text);
	if (expected) {
		cfg_error(cfg, "%s: expected %s, got '%.64s'", key->name, expected, text);
		return -1;
	}
	reading.origins->of[key - keys] =
	    (struct config_origin){.from = CONFIG_FROM_FILE, .line = cfg->line};
	return 0;
}

/* libconfuse counts each comment as two lines more than it has: they become spaces before it sees
 * them, so that the lines that it names are those of the file. */
static void blank_comments(char *text)
{
	char quote = 0;
	for (char *at = text; *at; at++) {
		bool begins = at == text || strchr(" \t\r\n={}(),;", at[-1]);
		if (quote) {
			if (*at == '\\' && at[1])
				at++;
			else if (*at == quote)
				quote = 0;
		} else if (*at == '"' || *at == '\'') {
			quote = *at;
		} else if (*at == '#' || (begins && at[0] == '/' && at[1] == '/')) {
			for (; at[0] && at[1] && at[1] != '\n'; at++)
				*at = ' ';
			*at = ' ';
		} else if (begins && at[0] == '/' && at[1] == '*') {
			char *end = strstr(at + 2, "*/");
			for (; end && at < end + 2; at++)
				*at = *at == '\n' ? '\n' : ' ';
			at -= end != NULL;
		}
	}
}

static int load_file(const char *path, char text[FILE_BYTES_MAX + 1], char *why, size_t why_bytes)
{
	struct stat status;
	/* Reading one would only say that nothing came. */
	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return refuse(why, why_bytes, "%s: cannot be read: it is a directory", path);
	FILE *file = fopen(path, "re");
	if (!file)
		return refuse(why, why_bytes, "%s: cannot be read", path);
	size_t bytes = fread(text, 1, FILE_BYTES_MAX + 1, file);
	bool failed = ferror(file);
	fclose(file);
	if (failed)
		return refuse(why, why_bytes, "%s: cannot be read", path);
	if (bytes > FILE_BYTES_MAX || memchr(text, 0, bytes))
		return refuse(why, why_bytes, "%s: is no text of at most %d KiB", path,
		    (int)(FILE_BYTES_MAX / KIB));
	text[bytes] = 0;
	return 0;
}

static int read_file(const char *path, struct config *config, struct config_origins *origins,
    char *why, size_t why_bytes)
{
	static char text[FILE_BYTES_MAX + 1];
	cfg_opt_t options[KEY_COUNT + 1];
	int error = load_file(path, text, why, why_bytes);
	if (error)
		return error;
	blank_comments(text);
	/* All values are texts to libconfuse, so that file and flags are understood alike. */
	for (size_t i = 0; i < KEY_COUNT; i++)
		options[i] = (cfg_opt_t)CFG_STR(keys[i].name, NULL, CFGF_NODEFAULT);
	options[KEY_COUNT] = (cfg_opt_t)CFG_END();
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	if (!cfg)
		return refuse(why, why_bytes, "%s: out of memory", path);
	complaint.path = path;
	complaint.why = why;
	complaint.why_bytes = why_bytes;
	reading.config = config;
	reading.origins = origins;
	why[0] = 0;
	snprintf(origins->file, sizeof(origins->file), "%s", path);
	cfg_set_error_function(cfg, complain);
	for (size_t i = 0; i < KEY_COUNT; i++)
		cfg_set_validate_func(cfg, keys[i].name, validate);
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS)
		error = why[0] ? ERR_INVALID : refuse(why, why_bytes, "%s: not understood", path);
	cfg_free(cfg);
	return error;
}

/* ---- Flags ---- */

struct flags {
	int argc;
	char **argv;
	int at;
};

/* "--peer-port=1" or "--peer-port 1" as key and value (NULL: there is none). */
static int next_flag(
    struct flags *flags, char name[64], const char **ret_value, char *why, size_t why_bytes)
{
	const char *word = flags->argv[flags->at++];
	if (strncmp(word, "--", 2) != 0 || strlen(word) < 3)
		return refuse(why, why_bytes, "unexpected word '%.100s'; see kalixd --help", word);
	const char *equals = strchr(word, '=');
	size_t bytes = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
	if (bytes >= 64)
		return refuse(why, why_bytes, "unknown flag '%.100s'; see kalixd --help", word);
	for (size_t i = 0; i < bytes; i++)
		name[i] = (char)(word[2 + i] == '-' ? '_' : word[2 + i]);
	name[bytes] = 0;
	*ret_value = equals ? equals + 1 : NULL;
	return 0;
}

static const char *take_value(struct flags *flags)
{
	return flags->at < flags->argc ? flags->argv[flags->at++] : NULL;
}

/* "--insecure" alone is true; a word of its kind behind it is its value. */
static const char *take_boolean(struct flags *flags)
{
	bool value;
	bool given = flags->at < flags->argc && parse_boolean(flags->argv[flags->at], &value);
	return given ? take_value(flags) : "true";
}

/* With `config` NULL only --config, --help and --version count: the file is read before flags. */
static int read_flags(int argc, char **argv, struct config *config, struct config_origins *origins,
    const char **ret_file, enum config_wish *ret_wish, char *why, size_t why_bytes)
{
	struct flags flags = {.argc = argc, .argv = argv, .at = 1};
	while (flags.at < argc) {
		char name[64] = "", suggestion[64];
		const char *value = NULL;
		int error = next_flag(&flags, name, &value, why, why_bytes);
		if (error)
			return error;
		if (strcmp(name, "help") == 0 || strcmp(name, "version") == 0) {
			*ret_wish = name[0] == 'h' ? CONFIG_HELP : CONFIG_VERSION;
			continue;
		}
		bool is_file = strcmp(name, "config") == 0;
		const struct key *key = is_file ? NULL : find(slice_from_text(name));
		if (!is_file && !key) {
			suggest(slice_from_text(name), "--", suggestion);
			return refuse(why, why_bytes, "unknown flag '%.64s'%s", argv[flags.at - 1],
			    suggestion);
		}
		bool boolean = key && key->kind == KIND_BOOLEAN;
		if (!value)
			value = boolean ? take_boolean(&flags) : take_value(&flags);
		if (!value)
			return refuse(why, why_bytes, "'%.64s' has no value", argv[flags.at - 1]);
		if (is_file)
			*ret_file = value;
		const char *expected = key && config ? set(config, key, value) : NULL;
		if (expected)
			return refuse(why, why_bytes, "%s: expected %s, got '%.64s'", key->name,
			    expected, value);
		if (key && config)
			origins->of[key - keys] = (struct config_origin){.from = CONFIG_FROM_FLAG};
	}
	return 0;
}

/* ---- What fits together ---- */

bool config_is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (strcmp(address, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, address, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return false;
}

static bool is_address(const char *text)
{
	struct in6_addr any;
	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

/* What clients are told must be a place that they can go to. */
static bool is_host(const char *text)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                                 "0123456789.-_";
	return is_address(text) || text[strspn(text, characters)] == 0;
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static int check(const struct config *config, char *why, size_t why_bytes)
{
	static const char *const modes[] = {"", "dev", "production", NULL};
	static const char *const reads[] = {"quorum", "lease", NULL};
	static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
	if (!config->data[0])
		return refuse(why, why_bytes,
		    "data: which directory? For example: kalixd --data ./kalix-data");
	if (!is_one_of(config->mode, modes))
		return refuse(why, why_bytes, "mode: expected dev or production");
	if (!is_one_of(config->reads, reads))
		return refuse(why, why_bytes, "reads: expected quorum or lease");
	if (!is_one_of(config->log_level, levels))
		return refuse(why, why_bytes, "log_level: expected debug, info, warning or error");
	if (config->shards < 1 || config->shards > SHARDS_MAX)
		return refuse(why, why_bytes, "shards: expected 1 to %d", SHARDS_MAX);
	if (config->cores > CONFIG_CORES_MAX)
		return refuse(why, why_bytes, "cores: expected 0 to %d", CONFIG_CORES_MAX);
	if (config->stores > STORES_MAX || config->stores == 1)
		return refuse(why, why_bytes, "stores: expected 0, or 2 to %d", STORES_MAX);
	if (config->max_connections < 1 || config->max_pipeline < 1)
		return refuse(
		    why, why_bytes, "max_connections and max_pipeline: expected 1 or more");
	if (config->output_limit < MIB || config->client_memory < MIB)
		return refuse(
		    why, why_bytes, "output_limit and client_memory: expected 1MiB or more");
	if (config->replay_limit < REPLAY_BYTES_MIN)
		return refuse(why, why_bytes,
		    "replay_limit: expected %dMiB or more: checkpoints more often than that cost "
		    "more than a restart saves",
		    (int)(REPLAY_BYTES_MIN / MIB));
	if (config->stall_timeout < 1000)
		return refuse(why, why_bytes, "stall_timeout: expected 1s or more");
	if (config->join[0])
		return refuse(
		    why, why_bytes, "join: clusters of several nodes are not part of this version");
	if (!is_address(config->bind) && strcmp(config->bind, "localhost") != 0)
		return refuse(why, why_bytes,
		    "bind: expected an IP address or localhost, got '%.64s'", config->bind);
	if (!is_host(config->advertise))
		return refuse(why, why_bytes,
		    "advertise: expected an IP address or the name of a host, without a port, got "
		    "'%.64s'",
		    config->advertise);
	if (!config_is_loopback(config->bind) && !config->password_file[0] && !config->insecure)
		return refuse(why, why_bytes,
		    "bind: %s is wider than loopback, and authentication is off: set "
		    "password_file, "
		    "or insecure if everybody who reaches this address may do everything",
		    config->bind);
	return 0;
}

static int set_defaults(struct config *config, char *why, size_t why_bytes)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (set(config, &keys[i], keys[i].initial))
			return refuse(why, why_bytes, "%s: bad default", keys[i].name);
	return 0;
}

int config_read(int argc, char **argv, struct config *ret_config,
    struct config_origins *ret_origins, enum config_wish *ret_wish, char *why, size_t why_bytes)
{
	struct config config = {0};
	struct config_origins origins = {0};
	const char *file = NULL;
	*ret_wish = CONFIG_RUN;
	int error = set_defaults(&config, why, why_bytes);
	if (!error)
		error = read_flags(argc, argv, NULL, NULL, &file, ret_wish, why, why_bytes);
	if (error || *ret_wish != CONFIG_RUN)
		return error;
	if (file)
		error = read_file(file, &config, &origins, why, why_bytes);
	if (!error)
		error = read_flags(argc, argv, &config, &origins, &file, ret_wish, why, why_bytes);
	if (!error)
		error = check(&config, why, why_bytes);
	if (error)
		return error;
	*ret_config = config;
	*ret_origins = origins;
	return 0;
}

/* The line that a text of check() is about: it begins with the name of a key. 0: none. */
static int line_of(const struct config_origins *origins, const char *text)
{
	const char *end = strchr(text, ':');
	const struct key *key = end ? find(slice_of(text, (size_t)(end - text))) : NULL;
	return key ? origins->of[key - keys].line : 0;
}

int config_check_file(
    const char *path, struct config *ret_config, size_t *ret_keys, char *why, size_t why_bytes)
{
	struct config config = {0};
	struct config_origins origins = {0};
	char text[CONFIG_WHY_BYTES] = "";
	int error = set_defaults(&config, why, why_bytes);
	if (!error)
		error = read_file(path, &config, &origins, why, why_bytes);
	if (error)
		return error;
	struct config whole = config;
	/* The one key without a default, which may come as a flag. */
	if (!whole.data[0])
		memcpy(whole.data, ".", 2);
	error = check(&whole, text, sizeof(text));
	int line = line_of(&origins, text);
	if (error && line > 0)
		return refuse(why, why_bytes, "%s:%d: %s", path, line, text);
	if (error)
		return refuse(why, why_bytes, "%s: %s", path, text);
	*ret_keys = 0;
	for (size_t i = 0; i < KEY_COUNT; i++)
		*ret_keys += origins.of[i].from == CONFIG_FROM_FILE;
	*ret_config = config;
	return 0;
}

void config_print_help(FILE *to)
{
	fputs(
	    "usage: kalixd --data DIR [--config FILE] [--KEY VALUE ...]\n\n"
	    "Serves the data directory DIR; an empty or absent one becomes a cluster of one node.\n"
	    "Every key of kalix.conf is a flag, with a hyphen for each underscore; flags win.\n\n",
	    to);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		char flag[64];
		snprintf(flag, sizeof(flag), "--%s %s", keys[i].name, keys[i].value);
		for (char *at = flag + 2; *at && *at != ' '; at++)
			if (*at == '_')
				*at = '-';
		fprintf(to, "  %-28s %s%s%s%s\n", flag, keys[i].what,
		    keys[i].initial[0] ? " (" : "", keys[i].initial, keys[i].initial[0] ? ")" : "");
	}
	fputs("  --help, --version\n\nSee kalixd(8) and kalix.conf(5).\n", to);
}
