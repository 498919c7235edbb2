/* Who is no node at all: at a node's address, and at its port. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

#include <string.h>

#include "base/mem.h"
#include "replication/peer/hello.h"
#include "tests/unit/io/platform.h"

START_TEST(what_is_no_greeting_is_known_by_its_begin)
{
	static const struct {
		const char *text, *name;
	} cases[] = {{"HTTP/1.1 400 Bad Request\r\n", "HTTP"}, {"GET / HTTP/1.1\r\n", "HTTP"},
	    {"POST /", "HTTP"}, {"*1\r\n$4\r\nPING\r\n", "Redis"}, {"-ERR unknown", "Redis"},
	    {"+OK\r\n", "Redis"}, {"SSH-2.0-OpenSSH_9.2", "SSH"}, {"\x16\x03\x01", "TLS"},
	    {"\x15\x03\x03", "TLS"}, {"PING\r\n", "unknown"}, {"KXQ", "unknown"}, {"x", "unknown"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = slice_from_text(cases[i].text);
		ck_assert_msg(peer_is_foreign(text), "%s", cases[i].text);
		ck_assert_str_eq(peer_foreign_name(text), cases[i].name);
	}
	static const char *const ours[] = {"", "K", "KX", "KXP", "KXP\x01", "KXPx"};
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		ck_assert(!peer_is_foreign(slice_from_text(ours[i])));
}
END_TEST

/* ---- At a node's address ---- */

/* A server of something else: whoever says something is answered with the text, and cut off. */
enum { VISITS_MAX = 256 };

static struct visit {
	struct io_socket *socket;
	struct io_op op;
	struct iovec iov;
	bool answered;
} visits[VISITS_MAX];
static unsigned visit_count, visits_open;
static const char *visit_text;

static void answered(struct io_op *op)
{
	struct visit *visit = CONTAINER_OF(op, struct visit, op);
	if (visit->socket != NULL)
		io_socket_close(visit->socket);
}

static void visit_heard(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	struct visit *visit = owner;
	(void)data;
	(void)bytes;
	if (visit->answered)
		return;
	visit->answered = true;
	visit->op.done = answered;
	visit->iov = (struct iovec){
	    .iov_base = (void *)(uintptr_t)visit_text, .iov_len = strlen(visit_text)};
	io_send(socket, &visit->op, &visit->iov, 1);
}

static void visit_closed(struct io_socket *socket, void *owner, int result)
{
	struct visit *visit = owner;
	(void)socket;
	(void)result;
	visit->socket = NULL;
	visits_open--;
}

static const struct io_socket_events visit_events = {
    .received = visit_heard, .closed = visit_closed};

static void visited(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	(void)listener;
	(void)owner;
	ck_assert_uint_lt(visit_count, VISITS_MAX);
	struct visit *visit = &visits[visit_count++];
	*visit = (struct visit){.socket = socket};
	visits_open++;
	io_socket_start(socket, &visit_events, visit);
}

static struct io_listener *serve(const char *text)
{
	struct sockaddr_in address = rig_address(0);
	struct io_listener *listener = NULL;
	visit_text = text;
	visit_count = visits_open = 0;
	ck_assert_int_eq(io_listen(platform_io(), (struct sockaddr *)&address, sizeof(address),
	                     visited, NULL, &listener),
	    0);
	return listener;
}

static bool none_is_open(void *arg)
{
	(void)arg;
	return visits_open == 0;
}

static void close_server(struct io_listener *listener)
{
	io_listener_close(listener);
	peer_remove(nodes[0].other);
	nodes[0].other = NULL;
	rig_run(none_is_open, NULL);
}

static bool is_refused(void *arg)
{
	struct peer_refused refused;
	(void)arg;
	return peer_refused(nodes[0].other, &refused);
}

static void expect_why(unsigned reason)
{
	struct peer_refused refused = {.reason = 0};
	rig_run(is_refused, NULL);
	ck_assert(peer_refused(nodes[0].other, &refused));
	ck_assert_uint_eq(refused.reason, reason);
	ck_assert(!refused.named);
	ck_assert_uint_gt(peers_figures(nodes[0].peers).refused[reason], 0);
}

START_TEST(another_server_at_a_nodes_address_is_said_to_be_one)
{
	struct io_listener *listener = serve("HTTP/1.1 400 Bad Request\r\n\r\n");
	rig_keep_lines();
	ck_assert_int_eq(rig_add(0, io_listener_port(listener)), 0);
	expect_why(PEER_REFUSED_FOREIGN);
	rig_pass(500);
	ck_assert_uint_gt(visit_count, 3);
	/* Once in ten seconds, however often it connects. */
	ck_assert_uint_eq(rig_count_lines("warning not_a_peer_port address=127.0.0.1:"), 1);
	ck_assert_uint_eq(rig_count_lines("node=2 looks_like=HTTP advice="), 1);
	ck_assert_uint_eq(rig_count_lines("peer_not_connected"), 0);
	rig_let_lines_go();
	close_server(listener);
}
END_TEST

static unsigned dones;
static int done_error;

static void done(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	(void)arg;
	(void)answer;
	(void)them;
	done_error = error;
	dones++;
}

START_TEST(who_asks_another_server_is_told)
{
	struct io_listener *listener = serve("-ERR unknown command\r\n");
	struct sockaddr_in address = rig_address(io_listener_port(listener));
	rig_keep_lines();
	dones = 0;
	ck_assert_int_eq(peers_introduce(nodes[0].peers, (struct sockaddr *)&address,
	                     sizeof(address), slice_from_text("?"), done, NULL),
	    0);
	rig_until(&dones, 1);
	ck_assert_int_eq(done_error, ERR_PROTOCOL);
	ck_assert_uint_eq(rig_count_lines("not_a_peer_port"), 1);
	ck_assert_uint_eq(rig_count_lines("looks_like=Redis"), 1);
	rig_let_lines_go();
	io_listener_close(listener);
	rig_run(none_is_open, NULL);
}
END_TEST

static void swallow(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	(void)back;
	(void)data;
	(void)bytes;
	(void)onward;
}

/* Redis, for one, waits for the end of a line; so does a process that stands still, for more. */
START_TEST(who_listens_and_says_nothing_is_not_merely_dead)
{
	rig_keep_lines();
	nodes[0].options.handshake_ms = 100;
	rig_restart(0);
	middle_open();
	middle.change = swallow;
	ck_assert_int_eq(rig_add(0, middle.port), 0);
	expect_why(PEER_REFUSED_SILENT);
	ck_assert_uint_eq(rig_count_lines("warning peer_says_nothing address=127.0.0.1:"), 1);
	rig_let_lines_go();
	peer_remove(nodes[0].other);
	nodes[0].other = NULL;
	middle_close();
}
END_TEST

/* ---- At its port ---- */

START_TEST(a_client_at_the_port_of_nodes_is_cut_off_and_said)
{
	rig_keep_lines();
	for (int i = 0; i < 3; i++) {
		struct stranger stranger;
		const char *text = "*1\r\n$4\r\nPING\r\n";
		stranger_connect(&stranger, peers_port(nodes[1].peers));
		stranger_say(&stranger, text, strlen(text));
		rig_until(&stranger.closed, 1);
		ck_assert_uint_eq(buffer_bytes(&stranger.received), 0);
		stranger_done(&stranger);
	}
	ck_assert_uint_eq(rig_count_lines("warning not_a_node address=127.0.0.1:"), 1);
	ck_assert_uint_eq(rig_count_lines("looks_like=Redis advice="), 1);
	ck_assert_uint_eq(peers_figures(nodes[1].peers).refused[PEER_REFUSED_FOREIGN], 3);
	rig_let_lines_go();
	rig_link();
}
END_TEST

Suite *foreign_suite(void)
{
	Suite *suite = suite_create("foreign");
	TCase *tcase = tcase_create("foreign");
	tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
	tcase_add_test(tcase, what_is_no_greeting_is_known_by_its_begin);
	tcase_add_test(tcase, another_server_at_a_nodes_address_is_said_to_be_one);
	tcase_add_test(tcase, who_asks_another_server_is_told);
	tcase_add_test(tcase, who_listens_and_says_nothing_is_not_merely_dead);
	tcase_add_test(tcase, a_client_at_the_port_of_nodes_is_cut_off_and_said);
	suite_add_tcase(suite, tcase);
	return suite;
}
