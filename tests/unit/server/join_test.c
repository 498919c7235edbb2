/* What a node that starts asks of others (server/core_join.c, core_stay.c), and answers that come
 * when nobody waits for them any more. The network is a list of questions, answered by the test in
 * the order that it likes. */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replication/peer/peer.h"
#include "server/cluster_wire.h"
#include "server/core_join.h"
#include "server/meta/meta.h"
#include "server/server.h"
#include "tests/unit/run.h"

enum { QUESTIONS_MAX = 64, NODE = 7 };

static struct server server;
static struct core core;
static struct config config;
static struct meta_cluster directory;

/* ---- What stands below ---- */

struct peers {
	bool stopping;
};
static struct peers the_peers;
static struct io_timer *armed;
static struct question {
	void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them);
	void *arg;
	uint16_t port;
} questions[QUESTIONS_MAX];
static unsigned asked;
static struct io_op *lookups[QUESTIONS_MAX];
static unsigned lookup_count;
static char why[SERVER_WHY_BYTES];
static struct data_member written;

uint64_t io_now_ns(const struct io *io)
{
	(void)io;
	return NS_PER_S;
}

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	(void)io;
	(void)at_ns;
	armed = timer;
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	(void)io;
	if (armed == timer)
		armed = NULL;
}

void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	(void)io;
	(void)run;
	ck_assert_uint_lt(lookup_count, QUESTIONS_MAX);
	lookups[lookup_count++] = op;
}

int peers_new(struct io *io, const struct peers_options *options, struct peers **ret_peers)
{
	(void)io;
	ck_assert_uint_eq(options->self.node, 0);
	the_peers = (struct peers){.stopping = false};
	*ret_peers = &the_peers;
	return 0;
}

int peers_introduce(struct peers *peers, const struct sockaddr *address, size_t address_bytes,
    struct slice question,
    void (*done)(void *arg, int error, struct slice answer, const struct peer_identity *them),
    void *arg)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)address;
	(void)address_bytes;
	(void)question;
	if (peers->stopping)
		return ERR_CANCELED;
	ck_assert_uint_lt(asked, QUESTIONS_MAX);
	questions[asked++] = (struct question){.done = done, .arg = arg, .port = to->sin_port};
	return 0;
}

static void answer(unsigned number, int error, struct slice bytes, const uint8_t *cluster)
{
	struct question question = questions[number];
	struct peer_identity them = {.node = 1};
	ck_assert_ptr_nonnull(question.done);
	questions[number].done = NULL;
	if (cluster)
		memcpy(them.cluster, cluster, sizeof(them.cluster));
	question.done(question.arg, error, bytes, error ? NULL : &them);
}

void peers_stop(struct peers *peers)
{
	peers->stopping = true;
}

void peers_turn(struct peers *peers)
{
	for (unsigned i = 0; peers->stopping && i < asked; i++)
		if (questions[i].done)
			answer(i, ERR_CANCELED, slice_of(NULL, 0), NULL);
}

bool peers_stopped(const struct peers *peers)
{
	return peers->stopping;
}

void peers_free(struct peers *peers)
{
	ck_assert(peers->stopping);
	for (unsigned i = 0; i < asked; i++)
		ck_assert_ptr_null(questions[i].done);
}

/* ---- What stands beside ---- */

bool config_peer_split(struct slice text, char *host, size_t host_bytes, uint16_t *ret_port)
{
	unsigned port = 0;
	char copy[64] = "", name[64] = "";
	memcpy(copy, text.data, text.bytes);
	if (sscanf(copy, "%63[^:]:%u", name, &port) != 2)
		return false;
	snprintf(host, host_bytes, "%s", name);
	*ret_port = (uint16_t)port;
	return true;
}

int cluster_resolve(const char *host, uint16_t port, struct cluster_address *ret_address)
{
	struct sockaddr_in *to = (struct sockaddr_in *)&ret_address->address;
	(void)host;
	memset(ret_address, 0, sizeof(*ret_address));
	to->sin_family = AF_INET;
	to->sin_port = port;
	ret_address->bytes = sizeof(*to);
	return 0;
}

int cluster_literal(const char *host, uint16_t port, struct cluster_address *ret_address)
{
	return cluster_resolve(host, port, ret_address);
}

/* Whatever was looked up. */
bool cluster_address_text(const struct cluster_address *address, char host[CLUSTER_HOST_BYTES])
{
	(void)address;
	snprintf(host, CLUSTER_HOST_BYTES, "10.0.0.9");
	return true;
}

void cluster_core_look_again(struct cluster_core *of)
{
	(void)of;
}

/* Who answers, as the directory knows it; nobody where it has no address. */
static struct cluster_map the_map;
static struct cluster_node known;

struct cluster_map *meta_map(const struct meta *meta)
{
	(void)meta;
	return &the_map;
}

const struct cluster_node *cluster_map_node(const struct cluster_map *map, uint16_t node)
{
	ck_assert_ptr_eq(map, &the_map);
	return known.host[0] && node == known.node ? &known : NULL;
}

int data_member_write(struct fs *fs, const struct data_member *member)
{
	(void)fs;
	written = *member;
	return 0;
}

void server_fail(struct server *of, const char *format, ...)
{
	va_list arguments;
	(void)of;
	/* The first failure is the one that is told. */
	if (why[0])
		return;
	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
}

int server_free_port(const struct server *of, uint16_t *ret_port)
{
	(void)of;
	*ret_port = 1;
	return 0;
}

void server_node(const struct server *of, struct cluster_node *ret_node)
{
	(void)of;
	*ret_node = (struct cluster_node){.cores = 1, .stores = 1, .incarnation = 5, .host = "me"};
}

void server_cluster_text(
    const uint8_t id[DATA_MEMBER_CLUSTER_BYTES], char text[SERVER_CLUSTER_TEXT_BYTES])
{
	snprintf(text, SERVER_CLUSTER_TEXT_BYTES, "cluster %u", id[0]);
}

int core_mend_refused(struct server *of)
{
	(void)of;
	return 0;
}

const struct meta_cluster *meta_cluster(const struct meta *meta)
{
	(void)meta;
	return &directory;
}

/* ---- Helpers ---- */

static void set_up(const char *join)
{
	memset(&server, 0, sizeof(server));
	memset(&core, 0, sizeof(core));
	memset(&config, 0, sizeof(config));
	memset(questions, 0, sizeof(questions));
	asked = lookup_count = 0;
	armed = NULL;
	why[0] = '\0';
	written = (struct data_member){.node = 0};
	known = (struct cluster_node){.node = 1};
	snprintf(config.join, sizeof(config.join), "%s", join);
	snprintf(directory.id, sizeof(directory.id), "cluster 1");
	server.config = &config;
	/* One that is chosen is another function's. */
	server.gate_config.peer_port = 1;
	core.server = &server;
}

static void ring(void)
{
	struct io_timer *timer = armed;
	ck_assert_ptr_nonnull(timer);
	armed = NULL;
	timer->fired(timer);
}

static void answer_welcome(unsigned number, enum cluster_welcome_kind kind, uint16_t node)
{
	struct cluster_welcome welcome = {.kind = kind,
	    .node = node,
	    .directory_replica = cluster_replica_number(node, 3),
	    .shard_count = 8,
	    .id = {1}};
	uint8_t bytes[CLUSTER_WELCOME_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	snprintf(welcome.why, sizeof(welcome.why), "said by %u", number);
	cluster_welcome_write(&out, &welcome);
	answer(number, 0, writer_view(&out), welcome.id);
}

/* Until it has nothing to do at once. */
static enum core_step run(enum core_step (*step)(struct core *core))
{
	enum core_step last = CORE_WORKS;
	for (int i = 0; i < 100 && last == CORE_WORKS; i++)
		last = step(&core);
	return last;
}

/* ---- core_join ---- */

/* The first of them was asked, and is not waited for any more. */
static void set_up_late(const char *join)
{
	set_up(join);
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ring();
	ck_assert_int_eq(run(core_join), CORE_WAITS);
}

START_TEST(a_node_is_let_in_by_the_first_that_answers_so)
{
	set_up("a:1,b:2");
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 1);
	answer(0, ERR_REFUSED, slice_of(NULL, 0), NULL);
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 2);
	ck_assert_uint_eq(questions[1].port, 2);
	answer_welcome(1, CLUSTER_WELCOME_MEMBER, NODE);
	ck_assert_int_eq(run(core_join), CORE_DONE);
	ck_assert_uint_eq(written.node, NODE);
	ck_assert(server.join_is_over && !server.join);
}
END_TEST

/* It was not waited for any longer, and b is asked: what a says is not b's answer. */
START_TEST(a_late_answer_is_not_that_of_who_is_asked_now)
{
	set_up_late("a:1,b:2");
	ck_assert_uint_eq(asked, 2);
	answer_welcome(0, CLUSTER_WELCOME_REFUSED, 0);
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 2);
	answer(1, ERR_TIMEOUT, slice_of(NULL, 0), NULL);
	/* All were asked, and none that counts has refused: there is another round. */
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_str_eq(why, "");
	ring();
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 3);
	ck_assert_uint_eq(questions[2].port, 1);
	answer_welcome(2, CLUSTER_WELCOME_MEMBER, NODE);
	ck_assert_int_eq(run(core_join), CORE_DONE);
	ck_assert_uint_eq(written.node, NODE);
}
END_TEST

START_TEST(a_late_welcome_lets_nobody_in_while_another_is_asked)
{
	set_up_late("a:1,b:2");
	answer_welcome(0, CLUSTER_WELCOME_MEMBER, NODE + 1);
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(written.node, 0);
	answer_welcome(1, CLUSTER_WELCOME_MEMBER, NODE);
	ck_assert_int_eq(run(core_join), CORE_DONE);
	ck_assert_uint_eq(written.node, NODE);
}
END_TEST

START_TEST(a_late_answer_in_the_pause_is_nobodys)
{
	set_up_late("a:1");
	answer_welcome(0, CLUSTER_WELCOME_REFUSED, 0);
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 1);
	ck_assert_str_eq(why, "");
	ring();
	ck_assert_int_eq(run(core_join), CORE_WAITS);
	ck_assert_uint_eq(asked, 2);
	answer_welcome(1, CLUSTER_WELCOME_REFUSED, 0);
	ck_assert_int_eq(run(core_join), CORE_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "said by 1"));
}
END_TEST

/* Questions that nobody waits for are under way all the same, and only so many may be. */
START_TEST(who_never_answers_is_asked_so_often_and_again_when_one_has_ended)
{
	set_up("a:1");
	for (unsigned i = 0; i < 3 * PEER_INTRODUCTIONS_MAX; i++) {
		ck_assert_int_eq(run(core_join), CORE_WAITS);
		ring();
	}
	ck_assert_uint_eq(asked, PEER_INTRODUCTIONS_MAX);
	answer(0, ERR_TIMEOUT, slice_of(NULL, 0), NULL);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(run(core_join), CORE_WAITS);
		if (asked > PEER_INTRODUCTIONS_MAX)
			break;
		ring();
	}
	ck_assert_uint_eq(asked, PEER_INTRODUCTIONS_MAX + 1);
	answer_welcome(PEER_INTRODUCTIONS_MAX, CLUSTER_WELCOME_MEMBER, NODE);
	ck_assert_int_eq(run(core_join), CORE_DONE);
}
END_TEST

START_TEST(who_is_told_to_end_takes_no_answer_any_more)
{
	set_up_late("a:1,b:2");
	server.stage = STAGE_DRAINING;
	/* Both questions end with the links, behind the end of what asked. */
	ck_assert_int_eq(run(core_join), CORE_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "stopped before"));
	ck_assert_uint_eq(written.node, 0);
	ck_assert_ptr_null(armed);
}
END_TEST

/* ---- core_stay ---- */

static void look_up(unsigned number)
{
	struct io_op *op = lookups[number];
	lookups[number] = NULL;
	ck_assert_ptr_nonnull(op);
	op->result = 0;
	op->done(op);
}

static void begin_stay(const char *join)
{
	set_up(join);
	server.member.node = NODE;
	ck_assert_int_eq(run(core_stay), CORE_WAITS);
}

START_TEST(who_is_a_member_starts_when_all_are_of_its_cluster)
{
	static const uint8_t ours[PEER_CLUSTER_BYTES] = {1};
	begin_stay("a:1,b:2");
	ck_assert_uint_eq(lookup_count, 2);
	look_up(0);
	look_up(1);
	answer(1, 0, slice_of(NULL, 0), ours);
	ck_assert_int_eq(run(core_stay), CORE_WAITS);
	answer(0, 0, slice_of(NULL, 0), ours);
	ck_assert_int_eq(run(core_stay), CORE_DONE);
	ck_assert(server.join_is_over && !server.stay);
}
END_TEST

START_TEST(who_does_not_answer_in_time_keeps_nobody_from_starting)
{
	static const uint8_t ours[PEER_CLUSTER_BYTES] = {1};
	begin_stay("a:1,b:2");
	look_up(0);
	look_up(1);
	answer(0, 0, slice_of(NULL, 0), ours);
	ring();
	ck_assert_int_eq(run(core_stay), CORE_DONE);
	ck_assert_str_eq(why, "");
}
END_TEST

START_TEST(what_was_said_in_time_counts_where_another_is_silent)
{
	static const uint8_t theirs[PEER_CLUSTER_BYTES] = {2};
	begin_stay("a:1,b:2");
	look_up(0);
	look_up(1);
	answer(1, 0, slice_of(NULL, 0), theirs);
	ck_assert_int_eq(run(core_stay), CORE_WAITS);
	ring();
	ck_assert_int_eq(run(core_stay), CORE_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "--join names b:2, which is a node of another one"));
}
END_TEST

/* A lookup is in the pool, and cannot be called back: it ends before what it is of does. */
START_TEST(a_name_that_hangs_is_waited_for_and_asked_nothing)
{
	begin_stay("a:1,b:2");
	look_up(0);
	ring();
	ck_assert_int_eq(run(core_stay), CORE_WAITS);
	ck_assert_ptr_nonnull(server.stay);
	look_up(1);
	ck_assert_uint_eq(asked, 1);
	ck_assert_int_eq(run(core_stay), CORE_DONE);
	ck_assert_ptr_null(server.stay);
}
END_TEST

/* What stands behind a name the next time may be another node. */
START_TEST(the_address_that_has_answered_is_kept_and_not_the_name)
{
	static const uint8_t ours[PEER_CLUSTER_BYTES] = {1};
	begin_stay("a:1,a:2,b:2");
	snprintf(known.host, sizeof(known.host), "a");
	known.peer_port = 1;
	for (unsigned i = 0; i < 3; i++) {
		look_up(i);
		answer(i, 0, slice_of(NULL, 0), ours);
	}
	ck_assert_int_eq(run(core_stay), CORE_DONE);
	/* a:1 is what the directory has, and the others are one address. */
	ck_assert_uint_eq(server.found.count, 1);
	ck_assert_str_eq(server.found.nodes[0].host, "10.0.0.9");
	ck_assert_uint_eq(server.found.nodes[0].port, 2);
	ck_assert_str_eq(server.found.nodes[0].known_host, "a");
	ck_assert_uint_eq(server.found.nodes[0].known_port, 1);
}
END_TEST

static Suite *join_suite(void)
{
	Suite *suite = suite_create("join");
	TCase *join = tcase_create("join");
	tcase_add_test(join, a_node_is_let_in_by_the_first_that_answers_so);
	tcase_add_test(join, a_late_answer_is_not_that_of_who_is_asked_now);
	tcase_add_test(join, a_late_welcome_lets_nobody_in_while_another_is_asked);
	tcase_add_test(join, a_late_answer_in_the_pause_is_nobodys);
	tcase_add_test(join, who_never_answers_is_asked_so_often_and_again_when_one_has_ended);
	tcase_add_test(join, who_is_told_to_end_takes_no_answer_any_more);
	suite_add_tcase(suite, join);
	TCase *stay = tcase_create("stay");
	tcase_add_test(stay, who_is_a_member_starts_when_all_are_of_its_cluster);
	tcase_add_test(stay, who_does_not_answer_in_time_keeps_nobody_from_starting);
	tcase_add_test(stay, what_was_said_in_time_counts_where_another_is_silent);
	tcase_add_test(stay, a_name_that_hangs_is_waited_for_and_asked_nothing);
	tcase_add_test(stay, the_address_that_has_answered_is_kept_and_not_the_name);
	suite_add_tcase(suite, stay);
	return suite;
}

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {join_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
