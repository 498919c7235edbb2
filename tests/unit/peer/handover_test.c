/* A node of two cores with one address: connections that come to the wrong core. The cores have an
 * io each, of one thread here, so that what is in flight between them can be held; cores_test.c has
 * threads. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

#include <string.h>

#include "base/mem.h"
#include "replication/peer/hello.h"
#include "tests/unit/io/platform.h"

enum { CORES = 2, FLIGHT_MAX = 8 };

struct core {
	struct peers *peers;
	struct peer *other;
	unsigned ups, downs, got;
};

/* What is between the cores; it goes on at once, or when the test says so. */
static struct peer_handover *flight[FLIGHT_MAX];
static unsigned flight_count, handed;
static uint16_t asked_core;
static bool holds;

static struct core cores[CORES];
static struct core dialer;
static struct peer *dialed[CORES];

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct core *core = arg;
	(void)peer;
	(void)them;
	core->ups++;
}

static void down(void *arg, struct peer *peer, int error)
{
	struct core *core = arg;
	(void)peer;
	(void)error;
	core->downs++;
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct core *core = arg;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	core->got++;
	if (core != &dialer)
		ck_assert_int_eq(peer_send(peer, class, kind, &iov, 1), 0);
}

static void elsewhere(void *arg, uint16_t core, struct peer_handover *handover)
{
	ck_assert_ptr_eq(arg, &cores[0]);
	ck_assert_uint_lt(flight_count, FLIGHT_MAX);
	asked_core = core;
	flight[flight_count++] = handover;
	handed++;
}

static struct peers *make(struct io *io, struct core *core, uint64_t node, uint16_t number)
{
	struct peers *peers = NULL;
	struct peers_options options = {.self = {.cluster = "one cluster",
	                                    .node = node,
	                                    .incarnation = 77,
	                                    .core = number,
	                                    .cores = node == 2 ? 3 : 1,
	                                    .stores = 1},
	    .secret = slice_from_text("a secret of the cluster"),
	    .callbacks =
	        {.up = up, .down = down, .message = message, .elsewhere = elsewhere, .arg = core},
	    .entropy = peers_entropy_system,
	    .redial_ms_min = 5,
	    .redial_ms_max = 50};
	ck_assert_int_eq(peers_new(io, &options, &peers), 0);
	return peers;
}

static struct peer_identity identity(uint64_t node, uint16_t core)
{
	return (struct peer_identity){
	    .cluster = "one cluster", .node = node, .incarnation = 77, .core = core};
}

static void setup(void)
{
	struct sockaddr_in address = rig_address(0);
	const struct peer_identity one = identity(1, 0);
	rig_setup();
	memset(cores, 0, sizeof(cores));
	dialer = (struct core){0};
	dialed[0] = dialed[1] = NULL;
	flight_count = handed = 0;
	holds = false;
	cores[0].peers = make(platform_io(), &cores[0], 2, 0);
	cores[1].peers = make(platform_second_io(), &cores[1], 2, 1);
	dialer.peers = make(platform_io(), &dialer, 1, 0);
	ck_assert_int_eq(
	    peers_listen(cores[0].peers, (struct sockaddr *)&address, sizeof(address)), 0);
	for (int i = 0; i < CORES; i++)
		ck_assert_int_eq(peer_add(cores[i].peers, &one, NULL, 0, NULL, &cores[i].other), 0);
}

static void bring(void)
{
	for (unsigned i = 0; i < flight_count; i++)
		peers_take(cores[1].peers, flight[i]);
	flight_count = 0;
}

struct waiting {
	bool (*until)(void *arg);
	void *arg;
};

static bool turned(void *arg)
{
	const struct waiting *waiting = arg;
	if (!holds)
		bring();
	for (int i = 0; i < CORES; i++)
		if (cores[i].peers != NULL)
			peers_turn(cores[i].peers);
	peers_turn(dialer.peers);
	return waiting->until(waiting->arg);
}

static void run(bool (*until)(void *arg), void *arg)
{
	struct waiting waiting = {until, arg};
	platform_run(turned, &waiting);
}

static bool reached(void *arg)
{
	const unsigned *const *pair = arg;
	return *pair[0] >= *pair[1];
}

static void until(const unsigned *counter, unsigned value)
{
	const unsigned *pair[] = {counter, &value};
	run(reached, pair);
}

static bool all_stopped(void *arg)
{
	(void)arg;
	return peers_stopped(cores[0].peers) && peers_stopped(cores[1].peers) &&
	       peers_stopped(dialer.peers);
}

static void teardown(void)
{
	peers_stop(cores[0].peers);
	peers_stop(cores[1].peers);
	peers_stop(dialer.peers);
	run(all_stopped, NULL);
	bring();
	run(all_stopped, NULL);
	peers_free(cores[0].peers);
	peers_free(cores[1].peers);
	peers_free(dialer.peers);
	ck_assert_uint_eq(dialer.ups, dialer.downs);
	rig_teardown();
}

static void dial(uint16_t core)
{
	struct sockaddr_in address = rig_address(peers_port(cores[0].peers));
	const struct peer_identity them = identity(2, core);
	struct peer **peer = &dialed[core % CORES];
	ck_assert_int_eq(
	    peer_add(dialer.peers, &them, (struct sockaddr *)&address, sizeof(address), NULL, peer),
	    0);
}

static void talk(void)
{
	for (int i = 0; i < CORES; i++) {
		struct iovec iov = {.iov_base = "a question", .iov_len = 10};
		ck_assert_int_eq(peer_send(dialed[i], PEER_ENTRIES, 1, &iov, 1), 0);
	}
	until(&dialer.got, CORES);
	for (int i = 0; i < CORES; i++)
		ck_assert_uint_eq(cores[i].got, 1);
}

START_TEST(a_connection_gets_to_the_core_that_it_means)
{
	dial(0);
	dial(1);
	until(&dialer.ups, 2);
	ck_assert_uint_eq(asked_core, 1);
	ck_assert_uint_eq(peers_figures(dialer.peers).dials, 2);
	ck_assert_uint_eq(peers_figures(dialer.peers).refused_by_them, 0);
	ck_assert_uint_eq(peers_figures(cores[0].peers).handed_over, 1);
	ck_assert_uint_eq(peers_figures(cores[1].peers).taken_over, 1);
	ck_assert_uint_eq(peers_figures(cores[1].peers).accepted, 0);
	talk();
}
END_TEST

START_TEST(one_that_nobody_takes_is_closed_and_comes_again)
{
	holds = true;
	dial(1);
	until(&handed, 1);
	ck_assert_uint_eq(dialer.ups, 0);
	peer_handover_free(flight[--flight_count]);
	until(&handed, 2);
	holds = false;
	until(&dialer.ups, 1);
	ck_assert_uint_eq(peers_figures(dialer.peers).dials, 2);
	peer_handover_free(NULL);
}
END_TEST

START_TEST(a_core_that_stops_closes_what_it_is_handed)
{
	holds = true;
	dial(1);
	until(&handed, 1);
	peers_stop(cores[1].peers);
	bring();
	ck_assert(peers_stopped(cores[1].peers));
	until(&handed, 2);
	ck_assert_uint_eq(peers_figures(cores[1].peers).taken_over, 0);
}
END_TEST

START_TEST(a_core_that_stops_lets_go_of_what_it_hands_over)
{
	holds = true;
	dial(1);
	until(&handed, 1);
	peers_stop(cores[0].peers);
	bring();
	until(&dialer.ups, 1);
}
END_TEST

static bool refused_by_them(void *arg)
{
	(void)arg;
	return peers_figures(dialer.peers).refused_by_them > 0;
}

START_TEST(a_core_that_no_node_has_is_refused)
{
	dial(3);
	run(refused_by_them, NULL);
	ck_assert_uint_eq(handed, 0);
}
END_TEST

START_TEST(nothing_is_handed_on_twice)
{
	/* It means the third core, which does not take part: all comes to the second. */
	dial(2);
	run(refused_by_them, NULL);
	ck_assert_uint_ge(handed, 1);
	ck_assert_uint_ge(peers_figures(cores[1].peers).refused_by_us, 1);
	ck_assert_uint_eq(peers_figures(cores[1].peers).handed_over, 0);
}
END_TEST

START_TEST(who_says_more_than_a_hello_is_not_handed_on)
{
	uint8_t bytes[PEER_GREETING_BYTES_MAX + 1] = {0};
	struct stranger stranger;
	struct peer_hello hello = {.versions = {PEER_VERSION_MIN, PEER_VERSION_MAX},
	    .role = PEER_CONNECTS,
	    .has_secret = true,
	    .from = identity(1, 0),
	    .to_core = 1};
	hello.from.cores = 1;
	stranger_connect(&stranger, peers_port(cores[0].peers));
	stranger_say(&stranger, bytes, peer_hello_write(&hello, bytes) + 1);
	/* The last byte may come by itself, and then it goes where the rest went. */
	until(&stranger.closed, 1);
	ck_assert_uint_eq(
	    peers_figures(cores[0].peers).malformed + peers_figures(cores[1].peers).malformed, 1);
	stranger_done(&stranger);
}
END_TEST

START_TEST(every_failing_allocation_of_a_handover_is_survived)
{
	for (uint64_t nth = 1; nth <= 24; nth++) {
		unsigned ups = dialer.ups;
		unsigned downs = dialer.downs;
		dial(1);
		mem_fail_at(nth);
		until(&dialer.ups, ups + 1);
		mem_fail_at(0);
		peer_remove(dialed[1]);
		dialer.downs = downs + (dialer.ups - ups);
		until(&cores[1].downs, cores[1].ups);
	}
	ck_assert_uint_ge(handed, 24);
}
END_TEST

Suite *handover_suite(void)
{
	Suite *suite = suite_create("handover");
	TCase *tcase = tcase_create("handover");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_connection_gets_to_the_core_that_it_means);
	tcase_add_test(tcase, one_that_nobody_takes_is_closed_and_comes_again);
	tcase_add_test(tcase, a_core_that_stops_closes_what_it_is_handed);
	tcase_add_test(tcase, a_core_that_stops_lets_go_of_what_it_hands_over);
	tcase_add_test(tcase, a_core_that_no_node_has_is_refused);
	tcase_add_test(tcase, nothing_is_handed_on_twice);
	tcase_add_test(tcase, who_says_more_than_a_hello_is_not_handed_on);
	tcase_add_test(tcase, every_failing_allocation_of_a_handover_is_survived);
	suite_add_tcase(suite, tcase);
	return suite;
}
