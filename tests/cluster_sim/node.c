#include "tests/cluster_sim/node.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "replication/group.h"
#include "server/cluster_parts.h"
#include "server/forward.h"
#include "server/shard/shard_parts.h"
#include "storage/data_dir.h"
#include "storage/sim/store_sim.h"
#include "tests/cluster_sim/oracle.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	PEER_PORT = 7471,
	LATE_ONE_IN = 5,
	REBOOT_MS_MAX = 1500,
	BLINK_MS_MAX = 20,
	REPLACED_MS_MAX = 5000,
	LOOKED_ONE_IN = 16,
	COMPACTION_PPM = 30 * 1000, /* of the times that free space is looked at */
	/* Of two nodes that differ most one is faster by less than a tenth: what leases allow. */
	CLOCK_MILLIONTHS_MAX = 45 * 1000,
	STARTS_MAX = 4,        /* so often an operator tries it where the disk is suspect */
	STARTS_FAULTY_MAX = 16 /* its other faults are over then */
};

static const char secret[] = "what the nodes of a world share";

/* ---- In place of server/opening.c ---- */

int server_resolve_bind(
    const struct config *config, struct listen_address *ret_address, char *why, size_t why_bytes)
{
	struct listen_address address = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address.address;
	(void)why;
	(void)why_bytes;
	v4->sin_family = AF_INET;
	int good = inet_pton(AF_INET, config->bind, &v4->sin_addr);
	ASSERT(good == 1);
	address.bytes = sizeof(*v4);
	*ret_address = address;
	return 0;
}

void listen_address_set_port(struct listen_address *address, uint16_t port)
{
	((struct sockaddr_in *)&address->address)->sin_port = htons(port);
}

int server_free_port(const struct server *server, uint16_t *ret_port)
{
	(void)server;
	(void)ret_port;
	return ERR_UNSUPPORTED;
}

int server_check_ports(struct server *server, char *why, size_t why_bytes)
{
	(void)server;
	(void)why;
	(void)why_bytes;
	return 0;
}

void server_open_ports(struct core *core)
{
	core->server->ready = true;
}

/* The linker puts this in the place of the server's own, which ends the program: see module.am. */
void __wrap_core_removed(void *arg, uint16_t by);

void __wrap_core_removed(void *arg, uint16_t by)
{
	const struct core *core = arg;
	struct node *node = CONTAINER_OF(core->server, struct node, server);
	(void)by;
	node->was_removed = true;
	node->world->figures.told_removed++;
	sim_node_crash(node->machine, SIM_KILL);
}

/* ---- Beginning ---- */

static void address_of(const struct node *node, char *text, size_t bytes)
{
	uint32_t address = sim_node_address(node->machine);
	snprintf(text, bytes, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
	    address & 255);
}

static void configure(struct node *node)
{
	struct world *world = node->world;
	struct config *config = &node->config;
	char *flags[] = {"kalixd", "--data", "/", NULL}, why[CONFIG_WHY_BYTES];
	enum config_wish wish;
	int error = config_read(3, flags, config, &node->origins, &wish, why, sizeof(why));
	ASSERT(!error);
	address_of(node, config->bind, sizeof(config->bind));
	snprintf(config->reads, sizeof(config->reads), "%s", world->leases ? "lease" : "quorum");
	snprintf(config->zone, sizeof(config->zone), "z%u", node->number);
	config->peer_port = PEER_PORT;
	config->cache = UINT64_C(64) * 1024 << world_below(world, 6);
	config->block_cache = 64 * 1024;
	config->fold_cache = UINT64_C(2048) << world_below(world, 8);
	config->shards = MODEL_SHARDS;
	for (unsigned i = 0; node->joins && i < world->node_count; i++) {
		char host[32];
		size_t used = strlen(config->join);
		if (i == node->number)
			continue;
		address_of(&world->nodes[i], host, sizeof(host));
		snprintf(config->join + used, sizeof(config->join) - used, "%s%s:%u",
		    used ? "," : "", host, PEER_PORT);
	}
}

static int draw(void *arg, uint8_t *to, size_t bytes)
{
	random_bytes(arg, to, bytes);
	return 0;
}

static void describe(struct node *node)
{
	struct server *server = &node->server;
	struct gate_config *gate = &server->gate_config;
	memset(server, 0, sizeof(*server));
	server->config = &node->config;
	server->origins = &node->origins;
	server->version = "simulated";
	server->dev = node->world->dev;
	server->fs = sim_node_fs(node->machine);
	world_size(node->world, server);
	server->entropy = draw;
	server->entropy_arg = &node->secrets;
	server->seed = random_u64(&node->secrets);
	server->cluster_id[0] = random_u64(&node->secrets);
	server->cluster_id[1] = random_u64(&node->secrets);
	server->map.core_count = node->core_count;
	memcpy(server->secret, secret, sizeof(secret));
	server->secret_bytes = sizeof(secret);
	pthread_mutex_init(&server->lock, NULL);
	pthread_mutex_init(&server->config_lock, NULL);
	gate->version = server->version;
	gate->cores = node->core_count;
	gate->port = 7470;
	gate->cluster_port = 7472;
	gate->peer_port = PEER_PORT;
	gate->errors_kept = 16;
	gate->started_ms = clock_real_ms();
	address_of(node, gate->host, sizeof(gate->host));
	server_gate_limits(server, &gate->limits);
}

/* As exit(1) of a process whose start failed; does not return. */
__attribute__((noreturn)) static void give_up(struct node *node, const char *why)
{
	bool is_faulty = node->disk_fails || node->disk_is_full;
	EXPECT(is_faulty || node->was_removed || node->disk_lies || node->world->lacks_memory,
	    "open", "node %u does not start: %s", node->number, why);
	node->world->figures.boots_failed++;
	bool counts = node->disk_lies && node_id(node) != 0 && !node->is_lost;
	if (counts && ++node->starts_failed >= (is_faulty ? STARTS_FAULTY_MAX : STARTS_MAX))
		lie_gives_up(node);
	sim_node_crash(node->machine, SIM_KILL);
	__builtin_unreachable();
}

static void open_data(struct node *node)
{
	struct server *server = &node->server;
	char why[DATA_DIR_WHY_BYTES] = "";
	uint64_t id[2] = {random_u64(&node->secrets), random_u64(&node->secrets)};
	int error =
	    data_dir_open(server->fs, node->store_count, id, why, sizeof(why), &server->dir);
	if (error)
		give_up(node, why);
	server->map.store_count = data_dir_identity(server->dir).stores;
	if (server_read_member(server))
		give_up(node, server->why);
}

static void open_cores(struct node *node)
{
	struct server *server = &node->server;
	char why[512] = "";
	int error = server_make_cores(server);
	ASSERT(!error);
	for (uint32_t i = 0; i < node->core_count; i++) {
		struct core *core = &server->cores[i];
		core->io = i == 0 ? node->io : NULL;
		if (i > 0 && io_new(NULL, why, sizeof(why), &core->io))
			give_up(node, why);
	}
	for (uint32_t i = 0; i < node->core_count; i++)
		if (!core_open(&server->cores[i]))
			give_up(node, server->why);
}

static void open_inside(void *arg)
{
	struct node *node = arg;
	oracle_inside(node->world->oracle, node);
	describe(node);
	open_data(node);
	open_cores(node);
	node->stage = NODE_DIRECTORY;
	node_wake(node);
}

static void begin_to_serve(struct node *node)
{
	struct server *server = &node->server;
	for (uint32_t i = 0; i < node->core_count; i++)
		if (!core_make_shards(&server->cores[i]))
			give_up(node, server->why);
	for (uint32_t i = 0; i < node->core_count; i++)
		if (!core_connect(&server->cores[i]))
			give_up(node, server->why);
	for (uint32_t i = 0; i < node->core_count; i++) {
		core_begin_to_serve(&server->cores[i]);
		server->cores[i].serving = true;
	}
	node->stage = NODE_SERVES;
	node->starts_failed = 0;
	node_wake(node);
}

static void directory_turn(struct node *node)
{
	struct server *server = &node->server;
	bool joined = server->member.node != 0;
	for (uint32_t i = 0; i < node->core_count; i++)
		io_run(server->cores[i].io);
	enum core_step step = core_directory_step(&server->cores[0]);
	node->world->figures.joins += !joined && server->member.node != 0;
	switch (step) {
	case CORE_WORKS:
		io_wake(server->cores[0].io, NULL);
		return;
	case CORE_WAITS:
		return;
	case CORE_DONE:
		if (server->failed)
			give_up(node, server->why);
		begin_to_serve(node);
		return;
	case CORE_FAILED:
		give_up(node, server->why);
	}
}

/* ---- Turns ---- */

static uint64_t since(uint64_t now, uint64_t *seen)
{
	uint64_t before = *seen;
	return (*seen = now) - before;
}

static void note(struct node *node)
{
	struct world_figures *figures = &node->world->figures;
	uint64_t sent = 0, served = 0, installs = 0, pauses = 0, reads = 0, stale = 0, late = 0;
	for (uint32_t i = 0; i < node->core_count; i++) {
		const struct core *core = &node->server.cores[i];
		struct forward_figures forward = forward_figures(core->cluster->forward);
		sent += forward.sent;
		served += forward.received;
		pauses += host_figures(core->host).pauses;
		reads += core->shards->figures.replica_reads;
		stale += core->shards->figures.stale_reads;
		late += core->shards->figures.late_refused;
	}
	figures->calls_forwarded += since(sent, &node->sent_seen);
	figures->calls_served += since(served, &node->served_seen);
	figures->replica_reads += since(reads, &node->reads_seen);
	figures->stale_reads += since(stale, &node->stale_seen);
	figures->late_refused += since(late, &node->late_seen);
	uint64_t entries, bytes, read_back = 0;
	for (uint32_t i = 0; i < node->store_count; i++) {
		installs += engine_figures(group_store_engine(node_store(node, i))).installs;
		group_store_read_back(node_store(node, i), &entries, &bytes);
		read_back += entries;
	}
	figures->entries_read_back += since(read_back, &node->read_back_seen);
	figures->installs += since(installs, &node->installs_seen);
	figures->lua_pauses += since(pauses, &node->pauses_seen);
}

static bool have_ended(const struct node *node)
{
	for (uint32_t i = 0; i < node->core_count; i++)
		if (node->server.cores[i].stage != STAGE_ENDED)
			return false;
	return true;
}

/* What core_main and server_run do at the end. */
static void end(struct node *node)
{
	struct server *server = &node->server;
	for (uint32_t i = 0; i < node->core_count; i++) {
		EXPECT(server->cores[i].drained, "close", "node %u: a gate did not drain",
		    node->number);
		core_end(&server->cores[i]);
	}
	for (uint32_t i = 0; i < node->core_count; i++)
		io_free(server->cores[i].io);
	for (uint32_t i = 0; i < node->core_count; i++)
		for (uint32_t k = 0; k < node->core_count; k++) {
			mailbox_free(server->cores[i].peers[k].from);
			mailbox_free(server->cores[i].shards_from[k]);
		}
	server_free_cores(server);
	cluster_map_release(server->cluster_map);
	data_dir_close(server->dir);
	node->stage = NODE_ENDED;
}

static void wake_inside(void *arg)
{
	node_wake(arg);
}

static void pause_ends(void *arg)
{
	struct node *node = arg;
	if (!node->missed_turn || node->stage == NODE_DOWN)
		return;
	node->missed_turn = false;
	(void)sim_node_run(node->machine, wake_inside, node);
}

static void pause_now(struct node *node, uint64_t ns)
{
	struct sim *sim = node->world->sim;
	node->paused_until_ns = sim_now_ns(sim) + ns;
	sim_call_at(sim, node->paused_until_ns, pause_ends, node);
}

/* A thread stands still anywhere: here behind its look at the clock and at what has come, and
 * before it takes what other cores have for it. Returns whether it does so now. */
static bool stop_in_turn(struct node *node)
{
	if (node->pause_in_turn_ns == 0 || node->stage != NODE_SERVES)
		return false;
	uint64_t ns = node->pause_in_turn_ns;
	for (uint32_t i = 0; i < node->core_count; i++)
		io_run(node->server.cores[i].io);
	node->pause_in_turn_ns = 0;
	node->stopped_in_turn = node->missed_turn = true;
	node->world->figures.pauses_in_turn++;
	pause_now(node, ns);
	return true;
}

/* What came meanwhile is there at once. */
static bool go_on_in_turn(struct node *node)
{
	bool stopped = node->stopped_in_turn;
	node->stopped_in_turn = false;
	if (stopped)
		load_burst(node->world, node);
	return stopped;
}

static void serve_turn(struct node *node)
{
	if (stop_in_turn(node))
		return;
	struct world *world = node->world;
	struct server *server = &node->server;
	uint32_t first = (uint32_t)world_below(world, node->core_count);
	if (node->stage == NODE_SERVES && !node->is_ghost)
		admin_act(world, node);
	/* Where the server ends by itself, its gate takes no more calls. */
	if (node->stage == NODE_SERVES && !server_is_told_to_end(server))
		load_act(world, node);
	bool looked = go_on_in_turn(node);
	for (uint32_t i = 0; i < node->core_count; i++) {
		struct core *core = &server->cores[(first + i) % node->core_count];
		/* Cores have their turns in any order, and one may be late. */
		bool late = i > 0 && world_below(world, LATE_ONE_IN) == 0;
		if (!late && !looked)
			io_run(core->io);
		if (late || core_turn(core))
			io_wake(core->io, NULL);
	}
	narrow_look(world, node);
	if (world_below(world, LOOKED_ONE_IN) == 0)
		note(node);
	if (have_ended(node))
		end(node);
}

static void turn(void *arg)
{
	struct node *node = arg;
	struct world *world = node->world;
	if (sim_now_ns(world->sim) < node->paused_until_ns) {
		node->missed_turn = true;
		return;
	}
	oracle_inside(world->oracle, node);
	switch (node->stage) {
	case NODE_DOWN:
	case NODE_ENDED:
		return;
	case NODE_DIRECTORY:
		directory_turn(node);
		break;
	case NODE_SERVES:
	case NODE_STOPS:
		serve_turn(node);
		break;
	}
	if (node->stage == NODE_DIRECTORY || node->stage == NODE_SERVES)
		oracle_look(world->oracle, node);
	storm_look(world, node);
	oracle_inside(world->oracle, NULL);
}

void node_wake(struct node *node)
{
	for (uint32_t i = 0; i < node->core_count; i++)
		io_wake(node->server.cores[i].io, NULL);
}

/* ---- Ends ---- */

static void boot_again(void *arg)
{
	struct node *node = arg;
	if (node->stage == NODE_DOWN && !node->stays_off)
		node_boot(node);
}

static void boot_later(struct node *node, uint64_t ms_max)
{
	struct world *world = node->world;
	uint64_t after_ms = 1 + world_below(world, ms_max);
	sim_call_at(world->sim, sim_now_ns(world->sim) + after_ms * NS_PER_MS, boot_again, node);
}

static void note_end(struct node *node)
{
	struct world *world = node->world;
	oracle_inside(world->oracle, NULL);
	load_cut_off(world, node);
	admin_cut_off(world, node);
	world->figures.ends++;
	lost_goes(node);
	node->stage = NODE_DOWN;
	node->io = NULL;
	node->paused_until_ns = 0;
}

/* By itself: at a crash point, a failed write, or a start that failed. */
static void ended(void *arg)
{
	struct node *node = arg;
	const char *state = sim_node_state(node->machine);
	bool panicked = strncmp(state, "panic", 5) == 0;
	bool may_panic = node->disk_fails || node->disk_is_full ||
	                 (node->world->lacks_memory && strstr(state, "out of memory"));
	EXPECT(!panicked || may_panic, "panic", "node %u: %s", node->number, state);
	node->world->figures.panics += panicked;
	note_end(node);
	boot_later(node, REBOOT_MS_MAX);
}

void node_crash(struct node *node, enum sim_crash crash)
{
	if (node->stage == NODE_DOWN)
		return;
	sim_node_crash(node->machine, crash);
	note_end(node);
	boot_later(node, REBOOT_MS_MAX);
}

void node_blink(struct node *node)
{
	if (node->stage == NODE_DOWN)
		return;
	sim_node_crash(node->machine, SIM_POWER_CUT);
	note_end(node);
	boot_later(node, BLINK_MS_MAX);
}

static void make_machine(struct node *node)
{
	struct world *world = node->world;
	struct store_sim_faults store = {
	    .cold_percent = world_percent(world, 25) ? 0 : (uint32_t)world_below(world, 101),
	    .compaction_ppm = COMPACTION_PPM};
	node->machine = sim_node_new(world->sim);
	sim_node_set_ended(node->machine, ended, node);
	if (world->uneven_clocks)
		sim_node_set_clock_speed(node->machine,
		    (int32_t)random_below(&world->plan_dice, 2 * CLOCK_MILLIONTHS_MAX + 1) -
		        CLOCK_MILLIONTHS_MAX);
	store_sim_set_faults(sim_node_fs(node->machine), &store);
}

void node_take_machine(struct node *node)
{
	sim_node_set_ended(node->machine, ended, node);
	sim_crash_at(node->machine, 0, SIM_KILL);
	sim_disk_set_slowness(node->machine, 1);
	sim_disk_set_capacity(node->machine, 0);
	sim_disk_clear_faults(node->machine);
}

void node_init(struct world *world, unsigned number)
{
	struct node *node = &world->nodes[number];
	node->world = world;
	node->number = number;
	random_fork(&world->random, &node->secrets);
	node->joins = number > 0;
	make_machine(node);
}

static void comes(void *arg)
{
	struct node *node = arg;
	node->is_out = node->stays_off = false;
	make_machine(node);
	ghost_keep_alone(node->world);
	node_boot(node);
}

static void goes(void *arg)
{
	struct node *node = arg;
	struct world *world = node->world;
	if (node->stage != NODE_DOWN) {
		sim_node_crash(node->machine, SIM_POWER_CUT);
		note_end(node);
	}
	memset(&node->server.member, 0, sizeof(node->server.member));
	node->joins = true;
	ghost_take(world, node);
	oracle_forget(world->oracle, node);
	node->disk_fails = node->disk_is_full = node->was_removed = false;
	node->disk_lies = node->is_lost = false;
	node->starts_failed = 0;
	sim_call_at(world->sim,
	    sim_now_ns(world->sim) + (1 + world_below(world, REPLACED_MS_MAX)) * NS_PER_MS, comes,
	    node);
}

/* Not here: a process runs. */
void node_replace(struct node *node)
{
	struct sim *sim = node->world->sim;
	node->is_out = node->stays_off = true;
	sim_call_at(sim, sim_now_ns(sim), goes, node);
}

void node_boot(struct node *node)
{
	struct world *world = node->world;
	ASSERT(node->stage == NODE_DOWN);
	node->life = ++world->figures.boots;
	node->sent_seen = node->served_seen = node->installs_seen = node->pauses_seen = 0;
	node->read_back_seen = node->reads_seen = node->stale_seen = node->late_seen = 0;
	node->missed_turn = node->stopped_in_turn = false;
	node->pause_in_turn_ns = 0;
	configure(node);
	lost_comes(node);
	node->io = sim_node_boot(node->machine);
	sim_node_set_turn(node->machine, turn, node);
	sim_node_set_clock_cost(node->machine, node->clock_cost_ns);
	bool runs = sim_node_run(node->machine, open_inside, node);
	(void)runs; /* where it does not, `ended` was called */
	oracle_inside(world->oracle, NULL);
}

void node_pause(struct node *node, uint64_t ns)
{
	struct world *world = node->world;
	if (node->stage == NODE_DOWN || sim_now_ns(world->sim) < node->paused_until_ns)
		return;
	if (node_serves(node) && world->leases && random_chance(&world->plan_dice, 1, 2))
		node_pause_in_turn(node, ns);
	else
		pause_now(node, ns);
}

void node_go_on(struct node *node)
{
	if (node->paused_until_ns > sim_now_ns(node->world->sim)) {
		node->paused_until_ns = 0;
		pause_ends(node);
	}
}

static void close_inside(void *arg)
{
	struct node *node = arg;
	server_stop(&node->server);
	node_wake(node);
}

void node_close(struct node *node)
{
	if (node->stage != NODE_SERVES)
		return;
	node->stage = NODE_STOPS;
	(void)sim_node_run(node->machine, close_inside, node);
}

bool node_has_ended(const struct node *node)
{
	return node->stage == NODE_ENDED;
}

void node_reap(struct node *node)
{
	size_t left = sim_node_stop(node->machine);
	EXPECT(left == 0, "leak", "node %u: %zu pieces of memory left after a clean end",
	    node->number, left);
	node->world->figures.clean_ends++;
	note_end(node);
}

uint16_t node_id(const struct node *node)
{
	return node->server.member.node;
}

struct group_store *node_store(const struct node *node, uint32_t shard)
{
	const struct shard_map *map = &node->server.map;
	uint32_t store = shard_store(map, shard);
	return node->server.cores[store % map->core_count].stores[store];
}
