/* Where a link connects to (server/cluster_dial.h). Time, the pool and the names are the test's: a
 * lookup lasts for as long as it likes. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replication/peer/peer.h"
#include "server/cluster_parts.h"
#include "tests/unit/run.h"

enum { NODE = 7, TIMERS_MAX = 2 };

static struct cluster_core core;
static struct cluster_dial dial;
static struct peer *const the_peer = (struct peer *)&core;
static unsigned ended;

/* ---- What stands below ---- */

static uint64_t now_ns;
static struct timer {
	struct io_timer *timer;
	uint64_t at_ns;
} timers[TIMERS_MAX];
static struct io_op *lookup;
static void (*run_lookup)(struct io_op *op);
static char asked[CLUSTER_HOST_BYTES]; /* by the pool, last */
static const char *means;              /* an IP address; NULL: the name means nothing */
static char connects[CLUSTER_HOST_BYTES + 8];
static unsigned connected;

uint64_t io_now_ns(const struct io *io)
{
	(void)io;
	return now_ns;
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	(void)io;
	for (unsigned i = 0; i < TIMERS_MAX; i++)
		if (timers[i].timer == timer)
			timers[i].timer = NULL;
}

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	io_timer_cancel(io, timer);
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (timers[i].timer)
			continue;
		timers[i] = (struct timer){.timer = timer, .at_ns = at_ns};
		return;
	}
	ck_abort_msg("there are two timers");
}

void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	(void)io;
	ck_assert_ptr_null(lookup);
	lookup = op;
	run_lookup = run;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
    struct addrinfo **ret_found)
{
	static struct sockaddr_in address;
	static struct addrinfo found;
	unsigned port = 0;
	(void)hints;
	snprintf(asked, sizeof(asked), "%s", name);
	ck_assert_int_eq(sscanf(service, "%u", &port), 1);
	if (!means)
		return EAI_NONAME;
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	ck_assert_int_eq(inet_pton(AF_INET, means, &address.sin_addr), 1);
	found = (struct addrinfo){
	    .ai_addr = (struct sockaddr *)&address, .ai_addrlen = sizeof(address)};
	*ret_found = &found;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	(void)found;
}

int peer_set_address(struct peer *peer, const struct sockaddr *address, size_t address_bytes)
{
	struct cluster_address to = {.bytes = (socklen_t)address_bytes};
	char host[CLUSTER_HOST_BYTES];
	ck_assert_ptr_eq(peer, the_peer);
	memcpy(&to.address, address, address_bytes);
	ck_assert(cluster_address_text(&to, host));
	snprintf(connects, sizeof(connects), "%s:%u", host,
	    ntohs(((const struct sockaddr_in *)address)->sin_port));
	connected++;
	return 0;
}

/* ---- Helpers ---- */

static void has_ended(struct cluster_dial *of)
{
	ck_assert_ptr_eq(of, &dial);
	ended++;
}

static void set_up(void)
{
	memset(&core, 0, sizeof(core));
	memset(timers, 0, sizeof(timers));
	now_ns = NS_PER_S;
	lookup = NULL;
	asked[0] = connects[0] = '\0';
	means = NULL;
	connected = ended = 0;
	cluster_dial_init(&dial, &core, NODE, has_ended);
	dial.peer = the_peer;
}

static struct cluster_place place_of(const char *host, uint16_t port)
{
	struct cluster_place place = {.port = port};
	snprintf(place.host, sizeof(place.host), "%s", host);
	return place;
}

static void set_one(const char *host, uint16_t port)
{
	struct cluster_place place = place_of(host, port);
	cluster_dial_set(&dial, &place, 1);
}

static void set_two(const char *first, const char *second)
{
	struct cluster_place places[] = {place_of(first, 1), place_of(second, 2)};
	cluster_dial_set(&dial, places, 2);
}

/* All that is due until then, in the order of time. */
static void pass_ms(uint64_t ms)
{
	uint64_t end_ns = now_ns + ms * NS_PER_MS;
	for (unsigned fired = 0; fired < 100; fired++) {
		struct timer *next = NULL;
		for (unsigned i = 0; i < TIMERS_MAX; i++)
			if (timers[i].timer && timers[i].at_ns <= end_ns &&
			    (!next || timers[i].at_ns < next->at_ns))
				next = &timers[i];
		if (!next)
			break;
		struct io_timer *timer = next->timer;
		now_ns = next->at_ns;
		next->timer = NULL;
		timer->fired(timer);
	}
	now_ns = end_ns;
}

static void in_pool(void)
{
	ck_assert_ptr_nonnull(lookup);
	run_lookup(lookup);
}

static void out_of_pool(void)
{
	struct io_op *op = lookup;
	ck_assert_ptr_nonnull(op);
	lookup = NULL;
	op->done(op);
}

/* ---- Several places ---- */

START_TEST(an_address_is_connected_to_at_once)
{
	set_up();
	set_one("10.0.0.1", 5);
	ck_assert_str_eq(connects, "10.0.0.1:5");
	set_one("10.0.0.1", 5);
	ck_assert_uint_eq(connected, 1);
	pass_ms(60000);
	ck_assert_uint_eq(connected, 1);
	set_one("10.0.0.1", 6);
	ck_assert_str_eq(connects, "10.0.0.1:6");
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(an_address_that_is_added_is_tried_first_and_takes_nothing_from_the_directorys)
{
	set_up();
	set_one("10.0.0.1", 1);
	set_two("10.0.0.1", "10.0.0.2");
	ck_assert_str_eq(connects, "10.0.0.2:2");
	pass_ms(CLUSTER_PLACE_MS);
	ck_assert_str_eq(connects, "10.0.0.1:1");
	pass_ms(CLUSTER_PLACE_MS);
	ck_assert_str_eq(connects, "10.0.0.2:2");
	ck_assert(cluster_dial_end(&dial));
	ck_assert(!timers[0].timer && !timers[1].timer);
}
END_TEST

START_TEST(what_has_led_to_a_link_is_tried_first_when_that_ends)
{
	set_up();
	set_two("10.0.0.1", "10.0.0.2");
	pass_ms(CLUSTER_PLACE_MS);
	ck_assert_str_eq(connects, "10.0.0.1:1");
	cluster_dial_up(&dial);
	pass_ms(60000);
	ck_assert_uint_eq(connected, 2);
	cluster_dial_down(&dial);
	pass_ms(CLUSTER_PLACE_MS - 1);
	ck_assert_str_eq(connects, "10.0.0.1:1");
	pass_ms(1);
	ck_assert_str_eq(connects, "10.0.0.2:2");
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(a_node_that_says_another_address_is_looked_for_there_alone)
{
	set_up();
	set_two("10.0.0.1", "10.0.0.2");
	set_one("10.0.0.3", 3);
	ck_assert_str_eq(connects, "10.0.0.3:3");
	pass_ms(60000);
	ck_assert_str_eq(connects, "10.0.0.3:3");
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(a_link_that_is_there_is_left_where_it_is_when_nothing_is_new)
{
	set_up();
	set_two("10.0.0.1", "10.0.0.2");
	cluster_dial_up(&dial);
	set_one("10.0.0.2", 2);
	ck_assert_uint_eq(connected, 1);
	set_one("10.0.0.1", 1);
	ck_assert_str_eq(connects, "10.0.0.1:1");
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

/* ---- Names ---- */

START_TEST(a_name_is_looked_up_and_again_where_that_gave_no_link)
{
	set_up();
	means = "10.0.0.1";
	set_one("a.example", 1);
	ck_assert_uint_eq(connected, 0);
	in_pool();
	out_of_pool();
	ck_assert_str_eq(connects, "10.0.0.1:1");
	pass_ms(CLUSTER_LOOKUP_MS);
	means = "10.0.0.2";
	in_pool();
	out_of_pool();
	ck_assert_str_eq(connects, "10.0.0.2:1");
	cluster_dial_up(&dial);
	pass_ms(10 * CLUSTER_LOOKUP_MS);
	ck_assert_ptr_null(lookup);
	cluster_dial_down(&dial);
	pass_ms(CLUSTER_LOOKUP_MS);
	ck_assert_ptr_nonnull(lookup);
	out_of_pool();
	ck_assert(cluster_dial_end(&dial));
	ck_assert_uint_eq(core.resolving, 0);
}
END_TEST

/* The pool may read it before the change, during it or behind it: it is another string. */
START_TEST(a_lookup_that_is_under_way_has_a_name_of_its_own)
{
	set_up();
	means = "10.0.0.1";
	set_one("a.example", 1);
	set_one("b.example", 2);
	in_pool();
	ck_assert_str_eq(asked, "a.example");
	out_of_pool();
	/* What a means is not where b is. */
	ck_assert_uint_eq(connected, 0);
	in_pool();
	ck_assert_str_eq(asked, "b.example");
	out_of_pool();
	ck_assert_str_eq(connects, "10.0.0.1:2");
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(an_address_that_comes_while_a_name_is_looked_up_stays)
{
	set_up();
	means = "10.0.0.1";
	set_one("a.example", 1);
	set_one("10.0.0.2", 2);
	in_pool();
	out_of_pool();
	ck_assert_str_eq(connects, "10.0.0.2:2");
	ck_assert_uint_eq(connected, 1);
	ck_assert_ptr_null(lookup);
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(a_name_that_means_nothing_keeps_no_other_place_from_its_turn)
{
	set_up();
	set_two("a.example", "10.0.0.2");
	pass_ms(CLUSTER_PLACE_MS);
	in_pool();
	out_of_pool();
	ck_assert_str_eq(connects, "10.0.0.2:2");
	pass_ms(CLUSTER_PLACE_MS);
	ck_assert_uint_eq(connected, 2);
	/* Nor one that hangs. */
	pass_ms(CLUSTER_PLACE_MS);
	pass_ms(CLUSTER_PLACE_MS);
	ck_assert_uint_eq(connected, 3);
	out_of_pool();
	ck_assert(cluster_dial_end(&dial));
}
END_TEST

START_TEST(who_goes_while_a_name_is_looked_up_stays_until_that_is_over)
{
	set_up();
	means = "10.0.0.1";
	set_one("a.example", 1);
	ck_assert(!cluster_dial_end(&dial));
	ck_assert_uint_eq(core.resolving, 1);
	in_pool();
	ck_assert_uint_eq(ended, 0);
	out_of_pool();
	ck_assert_uint_eq(ended, 1);
	ck_assert_uint_eq(connected, 0);
	ck_assert_uint_eq(core.resolving, 0);
}
END_TEST

static Suite *dial_suite(void)
{
	Suite *suite = suite_create("dial");
	TCase *places = tcase_create("places");
	tcase_add_test(places, an_address_is_connected_to_at_once);
	tcase_add_test(
	    places, an_address_that_is_added_is_tried_first_and_takes_nothing_from_the_directorys);
	tcase_add_test(places, what_has_led_to_a_link_is_tried_first_when_that_ends);
	tcase_add_test(places, a_node_that_says_another_address_is_looked_for_there_alone);
	tcase_add_test(places, a_link_that_is_there_is_left_where_it_is_when_nothing_is_new);
	suite_add_tcase(suite, places);
	TCase *names = tcase_create("names");
	tcase_add_test(names, a_name_is_looked_up_and_again_where_that_gave_no_link);
	tcase_add_test(names, a_lookup_that_is_under_way_has_a_name_of_its_own);
	tcase_add_test(names, an_address_that_comes_while_a_name_is_looked_up_stays);
	tcase_add_test(names, a_name_that_means_nothing_keeps_no_other_place_from_its_turn);
	tcase_add_test(names, who_goes_while_a_name_is_looked_up_stays_until_that_is_over);
	suite_add_tcase(suite, names);
	return suite;
}

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {dial_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
