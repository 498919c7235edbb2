/* Three nodes in a simulated network that cuts, resets, stalls, silences and damages, whose
 * processes die and come back: what may be heard is checked against what was said, for many
 * seeds. */
#include "tests/unit/peer/suites.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/log_line.h"
#include "replication/peer/peer.h"

enum {
	NODES = 3,
	PORT = 7471,
	SEEDS = 12,
	ROUNDS = 40,
	BYTES_MAX = 200 * 1000,
	HEAD_BYTES = 8 + 8 + 8 + 1,
	STEPS_MAX = 20000000,
};

/* One node's view of another: what it says, and what it hears, in the link that is up. */
struct view {
	struct peer *peer;
	bool up;
	uint64_t session;             /* of what is said */
	uint64_t said[PEER_CLASSES];  /* in it */
	uint64_t heard_session;       /* 0: nothing was heard in this link yet */
	uint64_t heard[PEER_CLASSES]; /* in it */
	uint64_t last_session;        /* heard before; none comes again */
	bool full[PEER_CLASSES];
};

struct member {
	struct sim_node *node;
	struct io *io;
	struct peers *peers;
	struct io_timer talk;
	struct view views[NODES];
	struct peers_figures figures;
};

static struct sim *sim;
static struct member members[NODES];
static uint64_t sessions;
static uint8_t text[BYTES_MAX];
static uint64_t messages_heard, downs[5], fulls, rooms;
static struct peers_figures sum;
static const char *secret = "the secret of this world";

static struct peer_identity identity_of(int number)
{
	return (struct peer_identity){.cluster = "a world",
	    .node = (uint64_t)number + 1,
	    .incarnation = 5,
	    .cores = 1,
	    .stores = 2};
}

static struct view *view_of(struct member *member, const struct peer *peer)
{
	struct view *view = peer_arg(peer);
	ck_assert_ptr_eq(view->peer, peer);
	ck_assert(view >= member->views && view < member->views + NODES);
	return view;
}

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct member *member = arg;
	struct view *view = view_of(member, peer);
	ck_assert(!view->up);
	ck_assert_uint_eq(them->node, (uint64_t)(view - member->views) + 1);
	view->up = true;
	view->session = ++sessions;
	memset(view->said, 0, sizeof(view->said));
	memset(view->heard, 0, sizeof(view->heard));
	memset(view->full, 0, sizeof(view->full));
	view->heard_session = 0;
}

static void down(void *arg, struct peer *peer, int error)
{
	struct view *view = view_of(arg, peer);
	ck_assert(view->up);
	view->up = false;
	downs[0] += error == ERR_CLOSED;
	downs[1] += error == ERR_TIMEOUT;
	downs[2] += error == ERR_CORRUPT;
	downs[3] += error == ERR_EXISTS;
	downs[4]++;
}

/* From a link's first message on: of one session of the other side, from its first, without a gap,
 * and never of one that was heard before. */
static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct view *view = view_of(arg, peer);
	struct reader reader = reader_of(bytes);
	uint64_t session = reader_u64le(&reader);
	uint64_t number = reader_u64le(&reader);
	uint64_t hash = reader_u64le(&reader);
	uint8_t said_class = reader_u8(&reader);
	ck_assert(view->up);
	ck_assert(!reader.failed);
	ck_assert_uint_eq(said_class, class);
	ck_assert_uint_eq(kind, (uint8_t)(number % 200));
	ck_assert_uint_eq(hash_bytes(reader_rest(&reader), number), hash);
	if (view->heard_session == 0) {
		ck_assert_uint_gt(session, view->last_session);
		view->heard_session = view->last_session = session;
	}
	ck_assert_uint_eq(session, view->heard_session);
	ck_assert_uint_eq(number, view->heard[class]);
	view->heard[class]++;
	messages_heard++;
}

static void room(void *arg, struct peer *peer, enum peer_class class)
{
	struct view *view = view_of(arg, peer);
	ck_assert(view->up && view->full[class]);
	view->full[class] = false;
	rooms++;
}

static int entropy(void *arg, uint8_t *to, size_t bytes)
{
	(void)arg;
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)sim_random(sim);
	return 0;
}

static void say(struct view *view)
{
	enum peer_class class = (enum peer_class)sim_random_below(sim, PEER_CLASSES);
	size_t bytes = sim_random_below(sim, 300);
	uint8_t head[HEAD_BYTES];
	struct writer writer = writer_of(head, sizeof(head));
	if (class != PEER_URGENT && sim_random_below(sim, 30) == 0)
		bytes = sim_random_below(sim, BYTES_MAX);
	uint64_t number = view->said[class];
	/* Some of it can be compressed. */
	const uint8_t *from = text + sim_random_below(sim, BYTES_MAX - bytes);
	writer_u64le(&writer, view->session);
	writer_u64le(&writer, number);
	writer_u64le(&writer, hash_bytes(slice_of(from, bytes), number));
	writer_u8(&writer, (uint8_t) class);
	struct iovec iov[2] = {{.iov_base = head, .iov_len = sizeof(head)},
	    {.iov_base = (void *)(uintptr_t)from, .iov_len = bytes}};
	int error = peer_send(view->peer, class, (uint8_t)(number % 200), iov, 2);
	if (error == ERR_FULL) {
		view->full[class] = true;
		fulls++;
		return;
	}
	ck_assert_int_eq(error, 0);
	view->said[class]++;
}

static void talk(struct io_timer *timer)
{
	struct member *member = CONTAINER_OF(timer, struct member, talk);
	for (int i = 0; i < NODES; i++) {
		struct view *view = &member->views[i];
		ck_assert(view->peer == NULL || peer_is_up(view->peer) == view->up);
		uint64_t count = view->up ? sim_random_below(sim, 5) : 0;
		while (count-- > 0 && view->up)
			say(view);
	}
	io_timer_set(
	    member->io, timer, io_now_ns(member->io) + sim_random_below(sim, 40 * NS_PER_MS));
}

static void turn(void *arg)
{
	struct member *member = arg;
	io_run(member->io);
	peers_turn(member->peers);
	member->figures = peers_figures(member->peers);
}

static void begin(void *arg)
{
	struct member *member = arg;
	int number = (int)(member - members);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct peers_options options = {.self = identity_of(number),
	    .secret = slice_from_text(secret),
	    .callbacks = {.up = up, .down = down, .message = message, .room = room, .arg = member},
	    .entropy = entropy,
	    .ping_ms = 300,
	    .dead_ms = 1500,
	    .handshake_ms = 1000,
	    .redial_ms_min = 20,
	    .redial_ms_max = 1000,
	    .queue_bytes_max = {20000, 300000, 300000}};
	ck_assert_int_eq(peers_new(member->io, &options, &member->peers), 0);
	ck_assert_int_eq(
	    peers_listen(member->peers, (struct sockaddr *)&address, sizeof(address)), 0);
	for (int i = 0; i < NODES; i++) {
		struct peer_identity them = identity_of(i);
		if (i == number)
			continue;
		address.sin_addr.s_addr = htonl(sim_node_address(members[i].node));
		/* Node 3 has no address for node 1, which has one for it. */
		size_t bytes = number == 2 && i == 0 ? 0 : sizeof(address);
		ck_assert_int_eq(peer_add(member->peers, &them, (struct sockaddr *)&address, bytes,
		                     &member->views[i], &member->views[i].peer),
		    0);
	}
	member->talk.fired = talk;
	io_timer_set(member->io, &member->talk, io_now_ns(member->io));
}

static void add_figures(struct member *member)
{
	const uint64_t *from = (const uint64_t *)&member->figures;
	uint64_t *to = (uint64_t *)&sum;
	for (size_t i = 0; i < sizeof(sum) / sizeof(*to); i++)
		to[i] += from[i];
	member->figures = (struct peers_figures){0};
}

static void boot(int number)
{
	struct member *member = &members[number];
	struct sim_node *node = member->node;
	add_figures(member);
	*member = (struct member){.node = node};
	member->io = sim_node_boot(node);
	sim_node_set_turn(node, turn, member);
	ck_assert(sim_node_run(node, begin, member));
}

static void pass(uint64_t ns)
{
	ck_assert(sim_pass(sim, ns, STEPS_MAX));
}

/* Something happens to somebody. */
static void disturb(void)
{
	uint64_t a = sim_random_below(sim, NODES);
	uint64_t b = (a + 1 + sim_random_below(sim, NODES - 1)) % NODES;
	struct sim_node *first = members[a].node;
	struct sim_node *second = members[b].node;
	switch (sim_random_below(sim, 10)) {
	case 0:
		sim_node_crash(first, SIM_KILL);
		break;
	case 1:
		sim_node_crash(first, SIM_POWER_CUT);
		break;
	case 2:
		sim_net_cut(first, second, true);
		break;
	case 3:
		sim_net_cut(first, second, true);
		sim_net_cut(second, first, true);
		break;
	case 4:
		sim_net_reset(first, second);
		break;
	case 5:
		sim_net_silence(first, second);
		break;
	default:
		sim_net_cut(first, second, false);
		sim_net_cut(second, first, false);
		if (!sim_node_is_running(first))
			boot((int)a);
	}
}

static void heal(void)
{
	sim_set_faults(sim, &(struct sim_faults){0});
	for (int i = 0; i < NODES; i++)
		for (int other = 0; other < NODES; other++)
			if (other != i)
				sim_net_cut(members[i].node, members[other].node, false);
	for (int i = 0; i < NODES; i++)
		if (!sim_node_is_running(members[i].node))
			boot(i);
}

static void check_progress(void)
{
	uint64_t before[NODES][NODES];
	pass(15 * NS_PER_S);
	for (int i = 0; i < NODES; i++)
		for (int other = 0; other < NODES; other++) {
			const struct view *view = &members[i].views[other];
			before[i][other] = view->heard[PEER_ENTRIES] + view->heard[PEER_BULK];
			ck_assert(i == other || view->up);
		}
	pass(5 * NS_PER_S);
	for (int i = 0; i < NODES; i++)
		for (int other = 0; other < NODES; other++) {
			const struct view *view = &members[i].views[other];
			ck_assert(i == other || view->up);
			ck_assert(i == other || view->heard[PEER_ENTRIES] + view->heard[PEER_BULK] >
			                            before[i][other]);
		}
}

static uint64_t run_world(uint64_t seed)
{
	struct sim_faults faults = {.net_reset_ppm = seed % 3 == 0 ? 1000 : 0,
	    .net_silent_ppm = seed % 3 == 1 ? 500 : 0,
	    .net_stall_ppm = 5000,
	    .net_flip_ppm = seed % 4 == 1 ? 2000 : 0,
	    .net_bytes_per_s = seed % 5 == 2 ? 400 * 1000 : 0,
	    .net_buffer_bytes = seed % 5 == 3 ? 5000 : 0};
	sim = sim_new(seed, &faults);
	memset(members, 0, sizeof(members));
	sessions = 0;
	for (int i = 0; i < NODES; i++)
		members[i].node = sim_node_new(sim);
	for (int i = 0; i < NODES; i++)
		boot(i);
	for (int round = 0; round < ROUNDS; round++) {
		pass(sim_random_below(sim, 1500 * NS_PER_MS));
		disturb();
	}
	heal();
	check_progress();
	for (int i = 0; i < NODES; i++)
		add_figures(&members[i]);
	uint64_t hash = sim_trace_hash(sim);
	sim_free(sim);
	return hash;
}

START_TEST(what_is_heard_is_what_was_said_in_every_world)
{
	const char *one = getenv("PEER_SEED");
	for (size_t i = 0; i < BYTES_MAX; i++)
		text[i] = (uint8_t)(i / 40000 % 2 == 0 ? i / 50 : hash_bytes(slice_of(&i, 8), 0));
	/* Thousands of links come and go. */
	log_line_set_level(LEVEL_ERROR);
	if (one != NULL) {
		run_world(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run_world(seed);
	ck_assert_uint_gt(messages_heard, 10000);
	for (int i = 0; i < 5; i++)
		ck_assert_msg(downs[i] > 0, "no link ended in way %d", i);
	ck_assert_uint_gt(fulls, 0);
	ck_assert_uint_gt(rooms, 0);
	ck_assert_uint_gt(sum.damaged, 0);
	ck_assert_uint_gt(sum.silent, 0);
	ck_assert_uint_gt(sum.replaced, 0);
	ck_assert_uint_gt(sum.duplicates, 0);
	ck_assert_uint_gt(sum.frames_compressed, 0);
	ck_assert_uint_eq(sum.forged, 0);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_links)
{
	log_line_set_level(LEVEL_ERROR);
	for (uint64_t seed = 1; seed <= 3; seed++)
		ck_assert_uint_eq(run_world(seed), run_world(seed));
}
END_TEST

START_TEST(without_a_secret_other_machines_are_refused)
{
	log_line_set_level(LEVEL_ERROR);
	secret = "";
	sim = sim_new(1, NULL);
	for (int i = 0; i < NODES; i++)
		members[i].node = sim_node_new(sim);
	for (int i = 0; i < NODES; i++)
		boot(i);
	pass(5 * NS_PER_S);
	for (int i = 0; i < NODES; i++) {
		ck_assert_uint_eq(members[i].figures.links_up, 0);
		ck_assert_uint_gt(members[i].figures.refused_by_us, 0);
	}
	sim_free(sim);
}
END_TEST

Suite *world_suite(void)
{
	Suite *suite = suite_create("world");
	TCase *tcase = tcase_create("world");
	tcase_add_test(tcase, what_is_heard_is_what_was_said_in_every_world);
	tcase_add_test(tcase, the_same_seed_gives_the_same_links);
	tcase_add_test(tcase, without_a_secret_other_machines_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
