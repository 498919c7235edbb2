#include "server/configuration.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/slice.h"
#include "server/config_parts.h"

/* Of a file: what a person writes is far below. */
#define FILE_BYTES_MAX (256 * KIB)

enum {
	ZONE_CHARACTERS_MAX = 31,
	REPLACE_AFTER_MS_MIN = 10000,
};

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
			config_suggest(slice_of(name, (size_t)(end - name)), "", suggestion);
	}
	config_refuse(complaint.why, complaint.why_bytes, "%s:%d: %s%s", complaint.path, cfg->line,
	    text, suggestion);
}

/* The file that is being read: libconfuse hands over no argument of ours here either. */
static struct {
	struct config *config;
	struct config_origins *origins;
} reading;

/* Each value is looked at where it stands, so that the error names its line. */
static int validate(cfg_t *cfg, cfg_opt_t *option)
{
	const struct config_key *key = config_find(slice_from_text(option->name));
	const char *text = cfg_opt_getnstr(option, 0);
	if (!key || !text)
		return 0;
	const char *expected = config_set(reading.config, key, text);
	if (expected) {
		cfg_error(cfg, "%s: expected %s, got '%.64s'", key->name, expected, text);
		return -1;
	}
	reading.origins->of[key - config_keys] =
	    (struct config_origin){.from = CONFIG_FROM_FILE, .line = cfg->line};
	return 0;
}

static int load_file(const char *path, char text[FILE_BYTES_MAX + 1], char *why, size_t why_bytes)
{
	struct stat status;
	/* Reading one would only say that nothing came. */
	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return config_refuse(why, why_bytes, "%s: cannot be read: it is a directory", path);
	FILE *file = fopen(path, "re");
	if (!file)
		return config_refuse(why, why_bytes, "%s: cannot be read", path);
	size_t bytes = fread(text, 1, FILE_BYTES_MAX + 1, file);
	bool failed = ferror(file);
	fclose(file);
	if (failed)
		return config_refuse(why, why_bytes, "%s: cannot be read", path);
	if (bytes > FILE_BYTES_MAX || memchr(text, 0, bytes))
		return config_refuse(why, why_bytes, "%s: is no text of at most %d KiB", path,
		    (int)(FILE_BYTES_MAX / KIB));
	text[bytes] = 0;
	return 0;
}

static int read_file(const char *path, struct config *config, struct config_origins *origins,
    char *why, size_t why_bytes)
{
	static char text[FILE_BYTES_MAX + 1];
	cfg_opt_t options[CONFIG_KEY_COUNT + 1];
	int error = load_file(path, text, why, why_bytes);
	if (error)
		return error;
	int line;
	const char *wrong = config_text_prepare(text, &line);
	if (wrong)
		return config_refuse(why, why_bytes, "%s:%d: %s", path, line, wrong);
	/* All values are texts to libconfuse, so that file and flags are understood alike. */
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		options[i] = (cfg_opt_t)CFG_STR(config_keys[i].name, NULL, CFGF_NODEFAULT);
	options[CONFIG_KEY_COUNT] = (cfg_opt_t)CFG_END();
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	if (!cfg)
		return config_refuse(why, why_bytes, "%s: out of memory", path);
	complaint.path = path;
	complaint.why = why;
	complaint.why_bytes = why_bytes;
	reading.config = config;
	reading.origins = origins;
	why[0] = 0;
	snprintf(origins->file, sizeof(origins->file), "%s", path);
	cfg_set_error_function(cfg, complain);
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		cfg_set_validate_func(cfg, config_keys[i].name, validate);
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS)
		error = why[0] ? ERR_INVALID
		               : config_refuse(why, why_bytes, "%s: not understood", path);
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
		return config_refuse(
		    why, why_bytes, "unexpected word '%.100s'; see kalixd --help", word);
	const char *equals = strchr(word, '=');
	size_t bytes = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
	if (bytes >= 64)
		return config_refuse(
		    why, why_bytes, "unknown flag '%.100s'; see kalixd --help", word);
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
	bool given =
	    flags->at < flags->argc && config_parse_boolean(flags->argv[flags->at], &value);
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
		const struct config_key *key = is_file ? NULL : config_find(slice_from_text(name));
		if (!is_file && !key) {
			config_suggest(slice_from_text(name), "--", suggestion);
			return config_refuse(why, why_bytes, "unknown flag '%.64s'%s",
			    argv[flags.at - 1], suggestion);
		}
		bool boolean = key && key->kind == KIND_BOOLEAN;
		if (!value)
			value = boolean ? take_boolean(&flags) : take_value(&flags);
		if (!value)
			return config_refuse(
			    why, why_bytes, "'%.64s' has no value", argv[flags.at - 1]);
		if (is_file)
			*ret_file = value;
		const char *expected = key && config ? config_set(config, key, value) : NULL;
		if (expected)
			return config_refuse(why, why_bytes, "%s: expected %s, got '%.64s'",
			    key->name, expected, value);
		if (key && config)
			origins->of[key - config_keys] =
			    (struct config_origin){.from = CONFIG_FROM_FLAG};
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

/* "[::1]:7471,db-1:7471": each an address and a port. */
static bool is_peer(const char *text, size_t bytes)
{
	char host[CONFIG_TEXT_BYTES];
	uint16_t port;
	return config_peer_split(slice_of(text, bytes), host, sizeof(host), &port);
}

static bool are_peers(const char *text)
{
	while (text[0]) {
		size_t bytes = strcspn(text, ",");
		if (!is_peer(text, bytes))
			return false;
		text += bytes;
		if (text[0] == ',' && (++text)[0] == 0)
			return false;
	}
	return true;
}

static bool is_zone(const char *text)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                                 "0123456789.-_";
	return strlen(text) <= ZONE_CHARACTERS_MAX && text[strspn(text, characters)] == 0;
}

bool config_peer_split(struct slice text, char *host, size_t host_bytes, uint16_t *ret_port)
{
	const char *begin = (const char *)text.data;
	const char *colon = text.bytes > 0 ? memrchr(begin, ':', text.bytes) : NULL;
	if (!colon)
		return false;
	size_t bytes = (size_t)(colon - begin);
	unsigned long port = 0;
	for (const char *at = colon + 1; at < begin + text.bytes; at++) {
		if (*at < '0' || *at > '9')
			return false;
		port = port * 10 + (unsigned long)(*at - '0');
		if (port > UINT16_MAX)
			return false;
	}
	bool bracketed = bytes > 2 && begin[0] == '[' && begin[bytes - 1] == ']';
	if (bracketed) {
		begin++;
		bytes -= 2;
	}
	if (bytes == 0 || bytes >= host_bytes || port == 0)
		return false;
	memcpy(host, begin, bytes);
	host[bytes] = 0;
	*ret_port = (uint16_t)port;
	/* An address of IPv6 has colons itself. */
	return bracketed ? is_address(host) : !strchr(host, ':') && is_host(host);
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

int config_fits(const struct config *config, char *why, size_t why_bytes)
{
	static const char *const modes[] = {"", "dev", "production", NULL};
	static const char *const reads[] = {"quorum", "lease", NULL};
	static const char *const levels[] = {"debug", "info", "warning", "error", NULL};
	if (!config->data[0])
		return config_refuse(why, why_bytes,
		    "data: which directory? For example: kalixd --data ./kalix-data");
	if (!is_one_of(config->mode, modes))
		return config_refuse(why, why_bytes, "mode: expected dev or production");
	if (!is_one_of(config->reads, reads))
		return config_refuse(why, why_bytes, "reads: expected quorum or lease");
	if (!is_one_of(config->log_level, levels))
		return config_refuse(
		    why, why_bytes, "log_level: expected debug, info, warning or error");
	if (config->shards < 1 || config->shards > SHARDS_MAX)
		return config_refuse(why, why_bytes, "shards: expected 1 to %d", SHARDS_MAX);
	if (config->cores > CONFIG_CORES_MAX)
		return config_refuse(why, why_bytes, "cores: expected 0 to %d", CONFIG_CORES_MAX);
	if (config->stores > STORES_MAX)
		return config_refuse(why, why_bytes, "stores: expected 0 to %d", STORES_MAX);
	if (config->max_connections < 1 || config->max_pipeline < 1)
		return config_refuse(
		    why, why_bytes, "max_connections and max_pipeline: expected 1 or more");
	if (config->output_limit < MIB || config->client_memory < MIB)
		return config_refuse(
		    why, why_bytes, "output_limit and client_memory: expected 1MiB or more");
	if (config->replay_limit < REPLAY_BYTES_MIN)
		return config_refuse(why, why_bytes,
		    "replay_limit: expected %dMiB or more: checkpoints more often than that cost "
		    "more than a restart saves",
		    (int)(REPLAY_BYTES_MIN / MIB));
	if (config->stall_timeout < 1000)
		return config_refuse(why, why_bytes, "stall_timeout: expected 1s or more");
	if (!are_peers(config->join))
		return config_refuse(why, why_bytes,
		    "join: expected HOST:PORT of nodes' peer ports, with commas between, got "
		    "'%.128s'",
		    config->join);
	if (!is_zone(config->zone))
		return config_refuse(why, why_bytes,
		    "zone: expected at most %d letters, digits, '-', '_' and '.', got '%.64s'",
		    ZONE_CHARACTERS_MAX, config->zone);
	if (config->replace_after > 0 && config->replace_after < REPLACE_AFTER_MS_MIN)
		return config_refuse(why, why_bytes,
		    "replace_after: expected %ds or more, or 0: a node that restarts is gone for "
		    "some seconds, too",
		    REPLACE_AFTER_MS_MIN / 1000);
	if (config->snapshot_rate > 0 && config->snapshot_rate < SNAPSHOT_RATE_MIN)
		return config_refuse(why, why_bytes,
		    "snapshot_rate: expected %dKiB or more a second, or 0: no limit",
		    (int)(SNAPSHOT_RATE_MIN / KIB));
	if (!is_address(config->bind) && strcmp(config->bind, "localhost") != 0)
		return config_refuse(why, why_bytes,
		    "bind: expected an IP address or localhost, got '%.64s'", config->bind);
	if (!is_host(config->advertise))
		return config_refuse(why, why_bytes,
		    "advertise: expected an IP address or the name of a host, without a port, got "
		    "'%.64s'",
		    config->advertise);
	const uint32_t ports[] = {config->port, config->cluster_port, config->peer_port};
	for (unsigned i = 0; i < 3; i++)
		if (ports[i] != 0 && ports[i] == ports[(i + 1) % 3])
			return config_refuse(why, why_bytes,
			    "port, cluster_port and peer_port: expected three different ones, %u "
			    "is there twice",
			    ports[i]);
	if (!config_is_loopback(config->bind) && !config->password_file[0] && !config->insecure)
		return config_refuse(why, why_bytes,
		    "bind: %s is wider than loopback, and authentication is off: set "
		    "password_file, "
		    "or insecure if everybody who reaches this address may do everything",
		    config->bind);
	return 0;
}

static int set_defaults(struct config *config, char *why, size_t why_bytes)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		if (config_set(config, &config_keys[i], config_keys[i].initial))
			return config_refuse(
			    why, why_bytes, "%s: bad default", config_keys[i].name);
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
		error = config_fits(&config, why, why_bytes);
	if (error)
		return error;
	*ret_config = config;
	*ret_origins = origins;
	return 0;
}

/* The line that a text of config_fits() is about: it begins with the name of a key. 0: none. */
static int line_of(const struct config_origins *origins, const char *text)
{
	const char *end = strchr(text, ':');
	const struct config_key *key =
	    end ? config_find(slice_of(text, (size_t)(end - text))) : NULL;
	return key ? origins->of[key - config_keys].line : 0;
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
	error = config_fits(&whole, text, sizeof(text));
	int line = line_of(&origins, text);
	if (error && line > 0)
		return config_refuse(why, why_bytes, "%s:%d: %s", path, line, text);
	if (error)
		return config_refuse(why, why_bytes, "%s: %s", path, text);
	*ret_keys = 0;
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
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
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
		char flag[64];
		snprintf(flag, sizeof(flag), "--%s %s", config_keys[i].name, config_keys[i].value);
		for (char *at = flag + 2; *at && *at != ' '; at++)
			if (*at == '_')
				*at = '-';
		fprintf(to, "  %-28s %s%s%s%s\n", flag, config_keys[i].what,
		    config_keys[i].initial[0] ? " (" : "", config_keys[i].initial,
		    config_keys[i].initial[0] ? ")" : "");
	}
	fputs("  --help, --version\n\nSee kalixd(8) and kalix.conf(5).\n", to);
}
