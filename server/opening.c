/* Ports: looked at before anything else starts, opened when calls can be served. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/server.h"
#include "server/small_file.h"

/* The kernel lets go of a killed process's sockets some time after the process is gone (what its
 * ring held is freed by a worker of the kernel), and whoever restarts a server does so at once. */
static const uint64_t PORT_WAIT_NS = 5 * NS_PER_S;
static const struct timespec PORT_WAIT_STEP = {.tv_nsec = 20 * NS_PER_MS};

/* One piece of work that goes from core to core: each listens. */
struct opening {
	struct gate_tour tour;
	struct server *server;
	struct listen_address bind;
	int error;
	const char *port_key;
};

int server_resolve_bind(
    const struct config *config, struct listen_address *ret_address, char *why, size_t why_bytes)
{
	const char *text = strcmp(config->bind, "localhost") == 0 ? "127.0.0.1" : config->bind;
	struct listen_address address = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.address;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		address.bytes = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		address.bytes = sizeof(*v6);
	} else {
		snprintf(
		    why, why_bytes, "bind: expected an IP address or localhost, got '%.64s'", text);
		return ERR_INVALID;
	}
	*ret_address = address;
	return 0;
}

void listen_address_set_port(struct listen_address *address, uint16_t port)
{
	/* At the same place in both families. */
	((struct sockaddr_in *)&address->address)->sin_port = htons(port);
}

/* The sockets that serve share their port (one for each core), so a second kalixd of the same user
 * would silently get half of the first one's connections: a socket that shares nothing tells. */
static int try_port(const struct listen_address *address)
{
	int on = 1;
	int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_from_errno(errno);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->address.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	int error = 0;
	if (bind(fd, (const struct sockaddr *)&address->address, address->bytes) < 0 ||
	    listen(fd, 1) < 0)
		error = error_from_errno(errno);
	close(fd);
	return error;
}

/* Port 0, which takes a free one, is tried for the address. */
static int wait_for_port(
    struct listen_address address, const char *key, uint16_t port, char *why, size_t why_bytes)
{
	listen_address_set_port(&address, port);
	uint64_t began_ns = clock_monotonic_ns();
	int error = try_port(&address);
	if (error == ERR_ADDRESS_IN_USE)
		LOG_LINE(LEVEL_INFO, "port_in_use", FIELD_U64("port", port),
		    FIELD_U64("waiting_ms", PORT_WAIT_NS / NS_PER_MS));
	while (error == ERR_ADDRESS_IN_USE && clock_monotonic_ns() - began_ns < PORT_WAIT_NS) {
		nanosleep(&PORT_WAIT_STEP, NULL);
		error = try_port(&address);
	}
	if (error == ERR_ADDRESS_IN_USE)
		snprintf(why, why_bytes,
		    "port %u is in use: stop who has it, or choose another with --%s", port, key);
	else if (error == ERR_NOT_FOUND)
		snprintf(why, why_bytes, "this machine does not have the address: see --bind");
	else if (error)
		snprintf(why, why_bytes, "port %u cannot be had: %s; see --%s and --bind", port,
		    error_text(error), key);
	return error;
}

int server_free_port(const struct server *server, uint16_t *ret_port)
{
	struct listen_address address;
	char why[SERVER_WHY_BYTES];
	int error = server_resolve_bind(server->config, &address, why, sizeof(why));
	if (error)
		return error;
	int fd = socket(address.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_from_errno(errno);
	/* Of both families the port stands at the same place. */
	if (bind(fd, (const struct sockaddr *)&address.address, address.bytes) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address.address, &address.bytes) < 0)
		error = error_from_errno(errno);
	else
		*ret_port = ntohs(((const struct sockaddr_in *)&address.address)->sin_port);
	close(fd);
	return error;
}

int server_check_ports(struct server *server, char *why, size_t why_bytes)
{
	const struct config *config = server->config;
	struct listen_address address;
	int error = server_resolve_bind(config, &address, why, why_bytes);
	if (!error && config->port != 0 && config->port == config->cluster_port) {
		snprintf(why, why_bytes, "port and cluster_port are the same: %u", config->port);
		error = ERR_INVALID;
	}
	if (!error)
		error = wait_for_port(address, "port", config->port, why, why_bytes);
	if (!error)
		error =
		    wait_for_port(address, "cluster-port", config->cluster_port, why, why_bytes);
	return error;
}

static int listen_on(
    struct opening *opening, struct gate *gate, enum gate_port kind, uint16_t *port)
{
	struct listen_address address = opening->bind;
	opening->port_key = kind == GATE_PROXY ? "port" : "cluster_port";
	uint16_t taken = 0;
	listen_address_set_port(&address, *port);
	int error = gate_listen(
	    gate, kind, (const struct sockaddr *)&address.address, address.bytes, &taken);
	/* The first core may get a free one, before any other one serves; they then take the same,
	 * and write nothing, since the first one reads it already. */
	if (!error && *port == 0)
		*port = taken;
	return error;
}

static void opening_visit(struct gate_tour *tour, struct gate *gate)
{
	struct opening *opening = CONTAINER_OF(tour, struct opening, tour);
	struct gate_config *config = &opening->server->gate_config;
	if (!opening->error)
		opening->error = listen_on(opening, gate, GATE_PROXY, &config->port);
	if (!opening->error)
		opening->error = listen_on(opening, gate, GATE_CLUSTER, &config->cluster_port);
}

/* False: it was not, and whoever waits for it would wait for ever. */
static bool write_ready_file(struct server *server)
{
	char text[256];
	if (!server->config->ready_file[0])
		return true;
	int bytes = snprintf(text, sizeof(text),
	    "port=%u\ncluster_port=%u\npeer_port=%u\npid=%ld\n", server->gate_config.port,
	    server->gate_config.cluster_port, server->gate_config.peer_port, (long)getpid());
	int error = small_file_write(server->config->ready_file, text, (size_t)bytes);
	if (error)
		server_fail(server, "ready_file: %s cannot be written: %s",
		    server->config->ready_file, error_text(error));
	return error == 0;
}

static void say_ready(const struct server *server)
{
	const struct gate_config *config = &server->gate_config;
	LOG_LINE(LEVEL_INFO, "ready", FIELD_U64("port", config->port),
	    FIELD_U64("cluster_port", config->cluster_port), FIELD_U64("cores", config->cores),
	    FIELD_U64("shards", config->shards), FIELD_TEXT("cluster", config->cluster),
	    FIELD_U64("ms", (clock_monotonic_ns() - config->started_ns) / NS_PER_MS));
	printf("kalixd %s, mode %s: ready on %s, port %u, cluster port %u\n", server->version,
	    server->dev ? "dev" : "production", server->config->bind, config->port,
	    config->cluster_port);
	fflush(stdout);
}

static void opened(struct gate_tour *tour)
{
	struct opening *opening = CONTAINER_OF(tour, struct opening, tour);
	struct server *server = opening->server;
	if (opening->error == ERR_CANCELED) {
		LOG_LINE(
		    LEVEL_INFO, "stopped_before_ready", FIELD_U64("cores", server->map.core_count));
	} else if (opening->error) {
		LOG_LINE(LEVEL_ERROR, "port_not_opened", FIELD_TEXT("key", opening->port_key),
		    FIELD_ERROR("error", opening->error));
		server_fail(server, "%s: %s", opening->port_key, error_text(opening->error));
		server_stop(server);
	} else {
		atomic_store_explicit(&server->ready, true, memory_order_release);
		say_ready(server);
		if (!write_ready_file(server))
			server_stop(server);
	}
	mem_free(opening);
}

void server_open_ports(struct core *core)
{
	struct server *server = core->server;
	char why[SERVER_WHY_BYTES];
	struct opening *opening = mem_zalloc(1, sizeof(*opening));
	if (!opening || server_resolve_bind(server->config, &opening->bind, why, sizeof(why))) {
		mem_free(opening);
		server_fail(server, "ports could not be opened: out of memory");
		server_stop(server);
		return;
	}
	opening->server = server;
	opening->tour = (struct gate_tour){.visit = opening_visit, .done = opened};
	core_services.tour(core, &opening->tour);
}
