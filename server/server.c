#include "server/server.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/small_file.h"
#include "storage/data_dir.h"
#include "storage/engine.h"

enum {
	/* Lua's parser and matcher use the C stack; 8 MiB is what they are bounded for. */
	STACK_BYTES = 16 * 1024 * 1024,
	ERRORS_KEPT = 256,
	/* Descriptors that are not clients: files, rings, listeners. */
	FILES_OF_OURS = 1024,
	START_BYTES_PER_STORE = 512 * 1024,
};

/* ---- Where cores meet ---- */

void server_fail(struct server *server, const char *format, ...)
{
	va_list values;
	pthread_mutex_lock(&server->lock);
	if (!server->failed) {
		server->failed = true;
		va_start(values, format);
		vsnprintf(server->why, sizeof(server->why), format, values);
		va_end(values);
	}
	pthread_mutex_unlock(&server->lock);
}

bool server_meet(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	uint64_t meeting = server->meeting;
	if (++server->waiting == server->map.core_count) {
		server->waiting = 0;
		server->meeting++;
		/* The same verdict for all: those who wake late must not see a failure of the
		 * next stretch already, and leave the others waiting for them there. */
		server->met_good = !server->failed;
		pthread_cond_broadcast(&server->met);
	}
	while (server->meeting == meeting)
		pthread_cond_wait(&server->met, &server->lock);
	bool good = server->met_good;
	pthread_mutex_unlock(&server->lock);
	return good;
}

/* ---- The end, in stages ---- */

void server_wake_all(struct server *server, struct core *from)
{
	for (uint32_t i = 0; i < server->map.core_count; i++) {
		struct core *core = &server->cores[i];
		if (core != from && atomic_load(&core->serving))
			io_wake(core->io, from ? from->io : NULL);
	}
}

void server_stop(struct server *server)
{
	int serving = STAGE_SERVING;
	/* Cores meet under this lock before they free what is woken here. */
	pthread_mutex_lock(&server->lock);
	if (atomic_compare_exchange_strong(&server->stage, &serving, STAGE_DRAINING))
		server_wake_all(server, NULL);
	pthread_mutex_unlock(&server->lock);
}

void server_begin_again(struct server *server)
{
	if (!atomic_exchange(&server->again, true))
		LOG_LINE(LEVEL_WARNING, "beginning_again",
		    FIELD_TEXT("why", "a damaged store is to be opened anew"));
	server_stop(server);
}

void server_stage_done(struct core *core)
{
	struct server *server = core->server;
	if (atomic_fetch_add(&server->stage_count, 1) + 1 < server->map.core_count)
		return;
	atomic_store(&server->stage_count, 0);
	atomic_store(&server->stage, (int)core->stage + 1);
	server_wake_all(server, NULL);
}

/* ---- What is known before cores start ---- */

static uint32_t cpu_count(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	int count = CPU_COUNT(&set);
	return count < 1 ? 1 : (uint32_t)count;
}

/* Where nothing is said and everything is listened on: the first address that others can reach. */
static void first_address(char *host, size_t host_bytes)
{
	struct ifaddrs *list = NULL;
	snprintf(host, host_bytes, "127.0.0.1");
	if (getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *one = list; one; one = one->ifa_next) {
		if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
		    (one->ifa_flags & IFF_LOOPBACK))
			continue;
		const struct sockaddr_in *address = (const struct sockaddr_in *)one->ifa_addr;
		if (inet_ntop(AF_INET, &address->sin_addr, host, (socklen_t)host_bytes))
			break;
	}
	freeifaddrs(list);
	LOG_LINE(LEVEL_WARNING, "advertise_guessed", FIELD_TEXT("address", host));
}

static int fill_host(struct server *server)
{
	const struct config *config = server->config;
	char *host = server->gate_config.host;
	const char *text = config->advertise[0] ? config->advertise : config->bind;
	size_t bytes = strlen(text);
	if (bytes >= GATE_HOST_BYTES) {
		server_fail(server, "advertise: at most %d characters", GATE_HOST_BYTES - 1);
		return ERR_INVALID;
	}
	if (strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0)
		first_address(host, GATE_HOST_BYTES);
	else if (strcmp(text, "localhost") == 0)
		snprintf(host, GATE_HOST_BYTES, "127.0.0.1");
	else
		memcpy(host, text, bytes + 1);
	return 0;
}

/* The first line of a file; that of an earlier life of this process, where it is `kept`. */
static int fill_secret(struct server *server, const char *key, const char *path, int bytes_min,
    struct begun_anew_secret *kept, uint8_t *secret, size_t *ret_bytes)
{
	uint8_t text[SERVER_SECRET_BYTES_MAX + 2];
	size_t bytes;
	if (!path[0])
		return 0;
	if (kept->bytes > 0) {
		memcpy(secret, kept->data, kept->bytes);
		*ret_bytes = kept->bytes;
		return 0;
	}
	int error = small_file_read(path, text, sizeof(text), &bytes);
	if (error) {
		server_fail(
		    server, "%s: %s: %s; %s", key, path, error_text(error), error_advice(error));
		return error;
	}
	const uint8_t *end = memchr(text, '\n', bytes);
	if (end)
		bytes = (size_t)(end - text);
	if (bytes < (size_t)bytes_min || bytes > SERVER_SECRET_BYTES_MAX) {
		server_fail(server, "%s: %s: expected a first line of %d to %d bytes", key, path,
		    bytes_min, SERVER_SECRET_BYTES_MAX);
		return ERR_INVALID;
	}
	memcpy(secret, text, bytes);
	*ret_bytes = bytes;
	return 0;
}

static int fill_secrets(struct server *server, struct begun_anew *anew)
{
	const struct config *config = server->config;
	struct gate_config *gate = &server->gate_config;
	int error = fill_secret(server, "password_file", config->password_file, 1, &anew->password,
	    gate->password, &gate->password_bytes);
	if (!error)
		error = fill_secret(server, "cluster_secret_file", config->cluster_secret_file,
		    PEER_SECRET_BYTES_MIN, &anew->secret, server->secret, &server->secret_bytes);
	if (!error)
		error = fill_secret(server, "cluster_secret_previous_file",
		    config->cluster_secret_previous_file, PEER_SECRET_BYTES_MIN,
		    &anew->secret_previous, server->secret_previous,
		    &server->secret_previous_bytes);
	if (!error && server->secret_previous_bytes > 0 && server->secret_bytes == 0) {
		server_fail(server, "cluster_secret_previous_file: there is none before the first: "
		                    "cluster_secret_file is needed with it");
		error = ERR_INVALID;
	}
	return error;
}

static int fill_gate(struct server *server, struct begun_anew *anew)
{
	const struct config *config = server->config;
	struct gate_config *gate = &server->gate_config;
	struct data_identity identity = data_dir_identity(server->dir);
	gate->version = server->version;
	gate->cores = server->map.core_count;
	gate->port = config->port;
	gate->peer_port = config->peer_port;
	gate->cluster_port = config->cluster_port;
	gate->errors_kept = ERRORS_KEPT;
	gate->started_ms = clock_real_ms();
	server_gate_limits(server, &gate->limits);
	/* 40 digits, as clients of Redis expect a node's id to be. */
	uint64_t more = hash_bytes(slice_of(identity.id, sizeof(identity.id)), 0) & UINT32_MAX;
	snprintf(gate->node, sizeof(gate->node), "%016" PRIx64 "%016" PRIx64 "%08" PRIx64,
	    identity.id[0], identity.id[1], more);
	int error = fill_secrets(server, anew);
	begun_anew_forget(anew);
	if (!error)
		error = fill_host(server);
	server->dev = config->mode[0]
	                  ? strcmp(config->mode, "dev") == 0
	                  : config_is_loopback(config->bind) && gate->password_bytes == 0;
	gate->dev = server->dev;
	return error;
}

static int open_data(struct server *server)
{
	const struct config *config = server->config;
	char why[DATA_DIR_WHY_BYTES] = "";
	uint64_t id[2];
	/* Everybody may see the cluster's id: it must tell nothing of the server's seed. */
	uint64_t *const drawn[] = {
	    &server->seed, &id[0], &id[1], &server->cluster_id[0], &server->cluster_id[1]};
	int error = 0;
	for (size_t i = 0; i < sizeof(drawn) / sizeof(drawn[0]) && !error; i++)
		error = random_seed_from_system(drawn[i]);
	if (error) {
		server_fail(server, "no random numbers from the system: %s", error_text(error));
		return error;
	}
	uint32_t stores = config->stores;
	if (stores == 0)
		stores = server->map.core_count > STORES_DEFAULT_MIN ? server->map.core_count
		                                                     : STORES_DEFAULT_MIN;
	error = fs_open_root(config->data, true, &server->fs);
	if (!error)
		error = data_dir_open(server->fs, stores, id, why, sizeof(why), &server->dir);
	else
		/* Itself it would have been made. */
		snprintf(why, sizeof(why), "%s; %s", error_text(error),
		    error == ERR_NOT_FOUND ? "make the directory that it is to stand in first"
		                           : error_advice(error));
	if (error)
		server_fail(server, "%s: %s", config->data, why);
	else
		server->map.store_count = data_dir_identity(server->dir).stores;
	return error;
}

void server_raise_files(const struct config *config)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)config->max_connections + FILES_OF_OURS;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted)
		LOG_LINE(LEVEL_WARNING, "few_descriptors", FIELD_U64("limit", limit.rlim_cur),
		    FIELD_U64("wanted", wanted));
}

/* ---- Cores ---- */

static int make_core(struct server *server, uint32_t number)
{
	const struct shard_map *map = &server->map;
	struct core *core = &server->cores[number];
	core->server = server;
	core->number = number;
	core->stores = mem_zalloc(map->store_count, sizeof(struct group_store *));
	core->peers = mem_zalloc(map->core_count, sizeof(*core->peers));
	core->shards_to = mem_zalloc(map->core_count, sizeof(struct mailbox *));
	core->shards_from = mem_zalloc(map->core_count, sizeof(struct mailbox *));
	if (!core->stores || !core->peers || !core->shards_to || !core->shards_from)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < map->core_count; i++)
		list_init(&core->peers[i].waiting);
	return 0;
}

int server_make_cores(struct server *server)
{
	server->cores = mem_zalloc(server->map.core_count, sizeof(*server->cores));
	int error = server->cores ? 0 : ERR_NOMEM;
	for (uint32_t i = 0; i < server->map.core_count && !error; i++)
		error = make_core(server, i);
	return error;
}

void server_free_cores(struct server *server)
{
	for (uint32_t i = 0; server->cores && i < server->map.core_count; i++) {
		struct core *core = &server->cores[i];
		mem_free(core->stores);
		mem_free(core->peers);
		mem_free(core->shards_to);
		mem_free(core->shards_from);
	}
	mem_free(server->cores);
	mem_free(server->leaders);
	mem_free(server->cluster_options.reach);
}

static void start_cores(struct server *server)
{
	pthread_attr_t attributes;
	int result = pthread_attr_init(&attributes);
	if (result == 0)
		result = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (uint32_t i = 0; i < server->map.core_count && result == 0; i++) {
		struct core *core = &server->cores[i];
		result = pthread_create(&core->thread, &attributes, core_main, core);
	}
	/* Those that run wait for the others for ever. */
	if (result != 0)
		PANIC("a thread could not be started: %s", error_text(error_from_errno(result)));
	pthread_attr_destroy(&attributes);
}

/* Signals come here, in the one thread that serves nothing: the first asks for a clean end, the
 * second ends at once. */
static void wait_for_end(struct server *server)
{
	sigset_t set;
	int number, asked = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	while (atomic_load(&server->ended) < server->map.core_count) {
		if (sigwait(&set, &number) != 0 || number == SIGUSR1)
			continue;
		if (asked++) {
			LOG_LINE(LEVEL_WARNING, "stopping_at_once", FIELD_I64("signal", number));
			_exit(128 + number);
		}
		LOG_LINE(LEVEL_INFO, "stopping", FIELD_I64("signal", number));
		server->told_to_stop = true;
		server_stop(server);
	}
	for (uint32_t i = 0; i < server->map.core_count; i++)
		pthread_join(server->cores[i].thread, NULL);
}

static void make_room(const struct server *server)
{
	char path[DATA_DIR_PATH_BYTES];
	for (uint32_t store = 0; store < server->map.store_count; store++) {
		data_dir_store_path(server->dir, store, path, sizeof(path));
		engine_make_room(server->fs, server->config->data, path);
	}
}

/* Opening a store writes a little. RocksDB as Debian builds it aborts where not even that fits, and
 * nobody would know why. */
static int check_space(struct server *server)
{
	uint64_t needed = (uint64_t)server->map.store_count * START_BYTES_PER_STORE;
	uint64_t free_bytes, total_bytes;
	int error = fs_space(server->fs, &free_bytes, &total_bytes);
	if (!error && free_bytes < needed) {
		make_room(server);
		error = fs_space(server->fs, &free_bytes, &total_bytes);
	}
	if (error) {
		server_fail(server, "%s: %s", server->config->data, error_text(error));
		return error;
	}
	if (free_bytes >= needed)
		return 0;
	server_fail(server,
	    "%s: the disk is full: %" PRIu64 " KiB are free, a start needs %" PRIu64
	    " KiB; nothing is lost: free space, and start again",
	    server->config->data, free_bytes / KIB, needed / KIB);
	return ERR_NO_SPACE;
}

/* Now, and not when somebody has waited for it in vain. */
static int check_ready_file(struct server *server)
{
	const char *path = server->config->ready_file;
	struct stat status;
	if (!path[0])
		return 0;
	if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
		server_fail(server, "ready_file: %s is there, and is no ordinary file", path);
		return ERR_EXISTS;
	}
	int error = small_file_prepare(path);
	if (error)
		server_fail(server, "ready_file: %s cannot be written: %s; %s", path,
		    error_text(error), error_advice(error));
	return error;
}

static int prepare(struct server *server, struct begun_anew *anew)
{
	char why[SERVER_WHY_BYTES] = "";
	int error = open_data(server);
	if (!error)
		error = server_read_member(server);
	if (!error)
		error = check_space(server);
	if (!error)
		error = fill_gate(server, anew);
	if (!error && (error = server_check_ports(server, why, sizeof(why))))
		server_fail(server, "%s", why[0] ? why : error_text(error));
	if (!error)
		error = check_ready_file(server);
	if (error)
		return error;
	error = server_make_cores(server);
	if (error)
		server_fail(server, "%s", error_text(error));
	return error;
}

static void say_starting(const struct server *server)
{
	LOG_LINE(LEVEL_INFO, "starting", FIELD_TEXT("version", server->version),
	    FIELD_TEXT("mode", server->dev ? "dev" : "production"),
	    FIELD_TEXT("data", server->config->data), FIELD_TEXT("bind", server->config->bind),
	    FIELD_BOOL("authentication", server->gate_config.password_bytes > 0),
	    FIELD_U64("cores", server->map.core_count),
	    FIELD_U64("stores", server->map.store_count), FIELD_BOOL("pinned", server->pin));
}

/* As flags: that one of them was had before is no reason to do without it now. */
static void take_port(struct server *server, uint16_t port, uint16_t *config_port, size_t key)
{
	if (port == 0)
		return;
	*config_port = port;
	server->origins->of[key].from = CONFIG_FROM_FLAG;
}

static void take_ports(struct server *server, const struct begun_anew *anew)
{
	struct config *config = server->config;
	take_port(server, anew->port, &config->port, CONFIG_KEY_port);
	take_port(server, anew->cluster_port, &config->cluster_port, CONFIG_KEY_cluster_port);
	take_port(server, anew->peer_port, &config->peer_port, CONFIG_KEY_peer_port);
}

static void keep_secret(const uint8_t *secret, size_t bytes, struct begun_anew_secret *ret_kept)
{
	memcpy(ret_kept->data, secret, bytes);
	ret_kept->bytes = bytes;
}

/* Ports that were free ones are known to others now. */
static void take_along(const struct server *server, struct begun_anew *ret_anew)
{
	const struct gate_config *gate = &server->gate_config;
	*ret_anew = (struct begun_anew){
	    .port = gate->port, .cluster_port = gate->cluster_port, .peer_port = gate->peer_port};
	keep_secret(gate->password, gate->password_bytes, &ret_anew->password);
	keep_secret(server->secret, server->secret_bytes, &ret_anew->secret);
	keep_secret(
	    server->secret_previous, server->secret_previous_bytes, &ret_anew->secret_previous);
}

int server_run(struct config *config, struct config_origins *origins, const char *version,
    struct begun_anew *anew)
{
	static struct server server;
	uint32_t cpus = cpu_count();
	server.config = config;
	server.origins = origins;
	server.version = version;
	server.main = pthread_self();
	server.entropy = peers_entropy_system;
	server.gate_config.started_ns = clock_monotonic_ns();
	server.map.core_count = config->cores ? config->cores : cpus;
	server.pin = server.map.core_count == cpus;
	pthread_mutex_init(&server.lock, NULL);
	pthread_mutex_init(&server.config_lock, NULL);
	pthread_cond_init(&server.met, NULL);
	server_raise_files(config);
	take_ports(&server, anew);
	if (prepare(&server, anew) == 0) {
		say_starting(&server);
		start_cores(&server);
		wait_for_end(&server);
	}
	bool failed = server.failed;
	bool again = atomic_load(&server.again) && !server.told_to_stop;
	if (server.why[0] && !again)
		fprintf(stderr, "kalixd: %s\n", server.why);
	server_free_cores(&server);
	data_dir_close(server.dir);
	fs_close_root(server.fs);
	if (again) {
		take_along(&server, anew);
		return SERVER_AGAIN;
	}
	if (!failed)
		LOG_LINE(LEVEL_INFO, "stopped",
		    FIELD_U64("up_ms",
		        (clock_monotonic_ns() - server.gate_config.started_ns) / NS_PER_MS));
	return failed ? 1 : 0;
}
