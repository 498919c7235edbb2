/* kalix.conf and flags. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "server/configuration.h"
#include "tests/unit/gate/suites.h"

static char why[CONFIG_WHY_BYTES];
static struct config_origins origins;

static int read_flags(struct config *config, const char *a, const char *b, const char *c)
{
	char *argv[] = {(char *)"kalixd", (char *)"--data", (char *)"d", (char *)(uintptr_t)a,
	    (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
	int argc = 3;
	enum config_wish wish;
	while (argc < 6 && argv[argc])
		argc++;
	why[0] = 0;
	return config_read(argc, argv, config, &origins, &wish, why, sizeof(why));
}

/* As read_flags, behind a file with this text. */
static int read_file(struct config *config, const char *text, const char *flag)
{
	char path[] = "/tmp/config_test.XXXXXX", argument[64];
	int fd = mkstemp(path);
	ck_assert(fd >= 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	snprintf(argument, sizeof(argument), "--config=%s", path);
	int error = read_flags(config, argument, flag, NULL);
	unlink(path);
	return error;
}

START_TEST(defaults_are_those_of_the_documentation)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, NULL, NULL, NULL), 0);
	ck_assert_str_eq(config.data, "d");
	ck_assert_str_eq(config.bind, "127.0.0.1");
	ck_assert_uint_eq(config.port, 7470);
	ck_assert_uint_eq(config.peer_port, 7471);
	ck_assert_uint_eq(config.cluster_port, 7472);
	ck_assert_uint_eq(config.http_port, 7480);
	ck_assert_uint_eq(config.shards, 128);
	ck_assert_uint_eq(config.idle_timeout, 3600000);
	ck_assert_uint_eq(config.output_limit, 64 * MIB);
	ck_assert(!config.insecure);
}
END_TEST

START_TEST(a_node_may_have_one_store)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, NULL, NULL, NULL), 0);
	ck_assert_uint_eq(config.stores, 0);
	ck_assert_int_eq(read_flags(&config, "--stores", "1", NULL), 0);
	ck_assert_uint_eq(config.stores, 1);
}
END_TEST

START_TEST(flags_win_over_the_file)
{
	struct config config;
	ck_assert_int_eq(read_file(&config,
	                     "# a comment\nport = 1000\ncluster_port = 1001\ncores = 3\n"
	                     "output_limit = \"2MiB\"\nidle_timeout = 30s\nmode = \"production\"\n",
	                     "--port=2000"),
	    0);
	ck_assert_uint_eq(config.port, 2000);
	ck_assert_uint_eq(config.cluster_port, 1001);
	ck_assert_uint_eq(config.cores, 3);
	ck_assert_uint_eq(config.output_limit, 2 * MIB);
	ck_assert_uint_eq(config.idle_timeout, 30000);
	ck_assert_str_eq(config.mode, "production");
}
END_TEST

START_TEST(unknown_keys_are_refused_with_a_suggestion)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--cluster-prot", "1", NULL), ERR_INVALID);
	ck_assert_str_eq(why, "unknown flag '--cluster-prot', did you mean '--cluster-port'?");
	ck_assert_int_eq(read_file(&config, "\nprot = 1\n", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, ":2: no such option 'prot', did you mean 'port'?"));
	ck_assert_int_eq(read_file(&config, "port = \n", NULL), ERR_INVALID);
	ck_assert_int_eq(read_file(&config, "port = many\n", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, ":1: port: expected a port, 0 to 65535, got 'many'"));
	ck_assert_int_eq(read_flags(&config, "--config", "/nonexistent/file", NULL), ERR_INVALID);
	ck_assert_str_eq(why, "/nonexistent/file: cannot be read");
	ck_assert_int_eq(read_flags(&config, "stray", NULL, NULL), ERR_INVALID);
	ck_assert_int_eq(read_flags(&config, "--port", NULL, NULL), ERR_INVALID);
	ck_assert_str_eq(why, "'--port' has no value");
}
END_TEST

START_TEST(wider_than_loopback_needs_authentication_or_a_word)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--bind", "0.0.0.0", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "authentication is off"));
	ck_assert_int_eq(read_flags(&config, "--bind", "0.0.0.0", "--insecure"), 0);
	ck_assert_int_eq(read_flags(&config, "--bind=::", "--password-file", "p"), 0);
	ck_assert_int_eq(read_flags(&config, "--bind", "::1", NULL), 0);
	ck_assert_int_eq(read_flags(&config, "--bind", "127.1.2.3", NULL), 0);
	ck_assert(config_is_loopback("localhost"));
	ck_assert(!config_is_loopback("10.0.0.1"));
	ck_assert(!config_is_loopback("example.org"));
}
END_TEST

START_TEST(values_out_of_bounds_are_refused)
{
	static const char *const bad[][2] = {
	    {"--port", "65536"},
	    {"--port", "-1"},
	    {"--cores", "257"},
	    {"--shards", "0"},
	    {"--shards", "16385"},
	    {"--stores", "1001"},
	    {"--mode", "test"},
	    {"--reads", "dirty"},
	    {"--log-level", "loud"},
	    {"--cache", "64XB"},
	    {"--idle-timeout", "5 s"},
	    {"--insecure=maybe", NULL},
	    {"--max-connections", "0"},
	    {"--replay-limit", "0"},
	    {"--replay-limit", "7MiB"},
	    {"--join", "127.0.0.1"},
	    {"--join", "127.0.0.1:0"},
	    {"--join", "127.0.0.1:7471,"},
	    {"--join", "::1:7471"},
	    {"--join", "[db]:7471"},
	    {"--join", "a b:7471"},
	    {"--zone", "a b"},
	    {"--replace-after", "1s"},
	};
	struct config config;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(read_flags(&config, bad[i][0], bad[i][1], NULL) == ERR_INVALID,
		    "%s %s", bad[i][0], bad[i][1]);
		ck_assert(why[0] != 0);
	}
}
END_TEST

START_TEST(every_value_has_an_origin)
{
	struct config config;
	ck_assert_int_eq(read_file(&config, "\nport = 1\n\ncores = 2\n", "--port=3"), 0);
	ck_assert_int_eq(origins.of[CONFIG_KEY_data].from, CONFIG_FROM_FLAG);
	ck_assert_int_eq(origins.of[CONFIG_KEY_port].from, CONFIG_FROM_FLAG);
	ck_assert_int_eq(origins.of[CONFIG_KEY_cores].from, CONFIG_FROM_FILE);
	ck_assert_int_eq(origins.of[CONFIG_KEY_cores].line, 4);
	ck_assert_int_eq(origins.of[CONFIG_KEY_bind].from, CONFIG_FROM_DEFAULT);
	ck_assert_int_eq(strncmp(origins.file, "/tmp/config_test.", 17), 0);
}
END_TEST

START_TEST(values_are_told_as_a_file_has_them)
{
	static const char *const values[][3] = {{"port", "17", "17"}, {"insecure", "yes", "true"},
	    {"output_limit", "2048k", "2MiB"}, {"client_memory", "1048577", "1048577"},
	    {"idle-timeout", "90000", "90s"}, {"idle_timeout", "0", "0ms"},
	    {"idle_timeout", "48h", "2d"}, {"mode", "dev", "dev"}, {"max_pipeline", "5", "5"}};
	struct config config;
	char text[CONFIG_TEXT_BYTES];
	ck_assert_int_eq(read_flags(&config, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t key;
		ck_assert_int_eq(
		    config_key_find(slice_from_text(values[i][0]), &key, why, sizeof(why)), 0);
		ck_assert_int_eq(config_change(&config, key, values[i][1], why, sizeof(why)), 0);
		config_value_text(&config, key, text);
		ck_assert_str_eq(text, values[i][2]);
	}
	size_t key = CONFIG_KEY_output_limit;
	ck_assert_int_eq(config_change(&config, key, "1KiB", why, sizeof(why)), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "expected 1MiB or more"));
	ck_assert_int_eq(config_change(&config, key, "much", why, sizeof(why)), ERR_INVALID);
	ck_assert_str_eq(why, "output_limit: expected a size, for example 64MiB, got 'much'");
	ck_assert_uint_eq(config.output_limit, 2 * MIB);
	ck_assert_int_eq(
	    config_key_find(slice_from_text("prot"), &key, why, sizeof(why)), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "did you mean 'port'?"));
	ck_assert(config_key_changeable(CONFIG_KEY_log_level));
	ck_assert(!config_key_changeable(CONFIG_KEY_port));
}
END_TEST

START_TEST(lines_are_counted_as_they_stand_in_the_file)
{
	static const char *const texts[] = {
	    "# one\n\n# two # two\nport = x\n",
	    "cores = 1 # one\n// two\n\nport = x # three\n",
	    "/* one\n two */\n/* three */\nport = x\n",
	    "join = \"# none // none\"\nadvertise = \"\\\"#\"\nmode = '#'\nport = x\n",
	    "bind = a//b\ncores = 1\n#\nport = x",
	    "mode = \"dev\"/* one\n two */\njoin = '' // three\nport = x\n",
	};
	struct config config;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(read_file(&config, texts[i], NULL), ERR_INVALID);
		ck_assert_msg(strstr(why, ":4: port: expected a port"), "%zu %s", i, why);
	}
	ck_assert_int_eq(read_file(&config, "port = 1\n# cut off", NULL), 0);
	ck_assert_int_eq(read_file(&config, "port = 1\n#", NULL), 0);
}
END_TEST

/* libconfuse alone would take the first ones as the rest of the file, and nothing of the last. */
START_TEST(what_is_not_closed_is_refused_where_it_begins)
{
	static const char *const texts[][2] = {
	    {"port = 1\n/* cut off\nbind = ::1\n", ":2: a comment begins here and does not end"},
	    {"port = 1\nmode = \"dev\ncores = 1\n", ":2: a quote begins here and does not end"},
	    {"port = 1\nmode = 'dev\\'\n", ":2: a quote begins here and does not end"},
	    {"port = 1\ndata = \"a${b\"\n#}\n", ":2: '${' has no '}' in its line"},
	    {"port = 1\ndata = ${b\n}\n", ":2: '${' has no '}' in its line"},
	    {"port = 1\ncores = *2\n", ":2: '*' and '+' have to stand between quotes"},
	    {"port = 1\ncores = 2+\n", ":2: '*' and '+' have to stand between quotes"},
	};
	struct config config;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(read_file(&config, texts[i][0], NULL), ERR_INVALID);
		ck_assert_msg(strstr(why, texts[i][1]) != NULL, "%zu %s", i, why);
	}
	ck_assert_int_eq(read_file(&config, "password_file = \"a*+/*\\${'\"\n", NULL), 0);
	ck_assert_str_eq(config.password_file, "a*+/*${'");
}
END_TEST

static int check_file(const char *text, size_t *keys)
{
	char path[] = "/tmp/config_test.XXXXXX";
	struct config config;
	int fd = mkstemp(path);
	ck_assert(fd >= 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	why[0] = 0;
	int error = config_check_file(path, &config, keys, why, sizeof(why));
	unlink(path);
	return error;
}

START_TEST(a_file_alone_is_checked_without_a_directory)
{
	size_t keys = 0;
	ck_assert_int_eq(check_file("", &keys), 0);
	ck_assert_uint_eq(keys, 0);
	ck_assert_int_eq(check_file("port = 1\ncores = 2\n", &keys), 0);
	ck_assert_uint_eq(keys, 2);
	ck_assert_int_eq(check_file("cores = 2\n\nmode = loud\n", &keys), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, ":3: mode: expected dev or production"));
	ck_assert_int_eq(check_file("cores = 2\nbind = \"0.0.0.0\"\n", &keys), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, ":2: bind: 0.0.0.0 is wider than loopback"));
	ck_assert_int_eq(check_file("cores = 2\nidle_timout = 3s\n", &keys), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, ":2: no such option 'idle_timout', did you mean"));
}
END_TEST

/* Every key of the template is one, with the default that the program has. */
START_TEST(the_template_names_every_key_with_its_default)
{
	const char *top = getenv("srcdir");
	char path[512], line[512];
	snprintf(path, sizeof(path), "%s/conf/kalix.conf", top ? top : "..");
	FILE *file = fopen(path, "r");
	if (!file)
		file = fopen("conf/kalix.conf", "r");
	ck_assert_msg(file != NULL, "conf/kalix.conf is not found from here");
	struct config defaults, config;
	ck_assert_int_eq(read_flags(&defaults, NULL, NULL, NULL), 0);
	char text[8192] = "";
	size_t bytes = 0;
	int keys = 0;
	while (fgets(line, sizeof(line), file)) {
		char *equals = strstr(line, " = ");
		if (strncmp(line, "# ", 2) != 0 || !equals || strchr(line + 2, ' ') != equals)
			continue;
		keys++;
		if (strncmp(line, "# data", 6) != 0)
			bytes +=
			    (size_t)snprintf(text + bytes, sizeof(text) - bytes, "%s", line + 2);
	}
	fclose(file);
	int known = 0;
#define X(...) known++;
	CONFIG_LIST(X)
#undef X
	ck_assert_int_eq(keys, known);
	ck_assert_msg(read_file(&config, text, NULL) == 0, "%s", why);
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): both began as zeroes */
	ck_assert(memcmp(&config, &defaults, sizeof(config)) == 0);
}
END_TEST

START_TEST(a_boolean_flag_takes_its_value_or_stands_alone)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--insecure", "--port", "1"), 0);
	ck_assert(config.insecure);
	ck_assert_uint_eq(config.port, 1);
	ck_assert_int_eq(read_flags(&config, "--insecure", "true", NULL), 0);
	ck_assert(config.insecure);
	ck_assert_int_eq(read_file(&config, "insecure = true\n", "--insecure=false"), 0);
	ck_assert(!config.insecure);
	ck_assert_int_eq(read_flags(&config, "--insecure", "false", NULL), 0);
	ck_assert(!config.insecure);
	ck_assert_int_eq(read_flags(&config, "--insecure", "perhaps", NULL), ERR_INVALID);
}
END_TEST

START_TEST(peers_to_join_are_taken_apart)
{
	struct config config;
	char host[64];
	uint16_t port = 0;
	ck_assert_int_eq(
	    read_flags(&config, "--join", "db-1.example:7471,[::1]:1,10.0.0.1:65535", NULL), 0);
	ck_assert(config_peer_split(slice_from_text("[::1]:1"), host, sizeof(host), &port));
	ck_assert_str_eq(host, "::1");
	ck_assert_uint_eq(port, 1);
	ck_assert(config_peer_split(slice_from_text("db-1:7471"), host, sizeof(host), &port));
	ck_assert_str_eq(host, "db-1");
	ck_assert_uint_eq(port, 7471);
	ck_assert(!config_peer_split(slice_from_text("db:65536"), host, sizeof(host), &port));
	ck_assert(!config_peer_split(slice_from_text("a:1"), host, 1, &port));
	ck_assert(!config_peer_split(slice_from_text(""), host, sizeof(host), &port));
}
END_TEST

START_TEST(what_is_no_address_is_told_as_that)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--bind", "nowhere", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "bind: expected an IP address or localhost"));
	ck_assert_int_eq(read_flags(&config, "--advertise", "host:7472", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "without a port"));
	ck_assert_int_eq(read_flags(&config, "--advertise", "two words", NULL), ERR_INVALID);
	ck_assert_int_eq(read_flags(&config, "--advertise", "db-1.example.org", NULL), 0);
	ck_assert_int_eq(read_flags(&config, "--advertise", "fd00::1", NULL), 0);
}
END_TEST

START_TEST(a_flag_is_suggested_as_a_flag)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--peer-prt", "1", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "did you mean '--peer-port'?"));
}
END_TEST

START_TEST(a_directory_is_no_file)
{
	struct config config;
	ck_assert_int_eq(read_flags(&config, "--config", "/tmp", NULL), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "/tmp: cannot be read: it is a directory"));
}
END_TEST

Suite *config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");
	tcase_add_test(tcase, defaults_are_those_of_the_documentation);
	tcase_add_test(tcase, flags_win_over_the_file);
	tcase_add_test(tcase, a_node_may_have_one_store);
	tcase_add_test(tcase, unknown_keys_are_refused_with_a_suggestion);
	tcase_add_test(tcase, wider_than_loopback_needs_authentication_or_a_word);
	tcase_add_test(tcase, values_out_of_bounds_are_refused);
	tcase_add_test(tcase, a_boolean_flag_takes_its_value_or_stands_alone);
	tcase_add_test(tcase, peers_to_join_are_taken_apart);
	tcase_add_test(tcase, what_is_no_address_is_told_as_that);
	tcase_add_test(tcase, a_flag_is_suggested_as_a_flag);
	tcase_add_test(tcase, a_directory_is_no_file);
	tcase_add_test(tcase, every_value_has_an_origin);
	tcase_add_test(tcase, values_are_told_as_a_file_has_them);
	tcase_add_test(tcase, lines_are_counted_as_they_stand_in_the_file);
	tcase_add_test(tcase, what_is_not_closed_is_refused_where_it_begins);
	tcase_add_test(tcase, a_file_alone_is_checked_without_a_directory);
	tcase_add_test(tcase, the_template_names_every_key_with_its_default);
	suite_add_tcase(suite, tcase);
	return suite;
}
