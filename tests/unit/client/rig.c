#include "tests/unit/client/rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/run.h"

struct fake_server server, second;
kalix *k;
uint64_t now_ms;
struct result results[RESULTS_MAX];
size_t result_count;

static void copy(char to[128], const char *from)
{
	snprintf(to, 128, "%s", from);
}

void done(void *arg, int code, kalix_reply *reply)
{
	struct result *result = &results[result_count++];
	(void)arg;
	result->code = code;
	copy(result->json, kalix_reply_json(reply));
	copy(result->message, kalix_reply_message(reply));
	copy(result->details, kalix_reply_details(reply));
	kalix_reply_free(reply);
}

void open_on(const char *nodes)
{
	ck_assert_int_eq(kalix_open(nodes, &k), KALIX_OK);
}

/* Its queue of those that nobody accepts is full, and who comes then hears nothing. */
void deaf_start(struct deaf *deaf)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);
	deaf->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(deaf->listen_fd, 0);
	ck_assert_int_eq(bind(deaf->listen_fd, (const struct sockaddr *)&address, bytes), 0);
	ck_assert_int_eq(listen(deaf->listen_fd, 0), 0);
	ck_assert_int_eq(getsockname(deaf->listen_fd, (struct sockaddr *)&address, &bytes), 0);
	snprintf(deaf->address, sizeof(deaf->address), "127.0.0.1:%u",
	    (unsigned)ntohs(address.sin_port));
	for (int i = 0; i < 2; i++) {
		deaf->waiting_fd[i] =
		    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(deaf->waiting_fd[i], 0);
		(void)connect(deaf->waiting_fd[i], (const struct sockaddr *)&address, bytes);
	}
}

void deaf_stop(struct deaf *deaf)
{
	close(deaf->listen_fd);
	for (int i = 0; i < 2; i++)
		close(deaf->waiting_fd[i]);
}

void rig_start(void)
{
	fake_server_start(&server);
	fake_server_start(&second);
	now_ms = 1000;
	result_count = 0;
	open_on(server.address);
}

void rig_stop(void)
{
	kalix_close(k);
	fake_server_stop(&server);
	fake_server_stop(&second);
}

void step_until(const size_t *count, size_t wanted)
{
	uint64_t wake;
	for (int i = 0; i < 5000 && *count < wanted; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		ck_assert_int_eq(kalix_step(k, now_ms, &wake), KALIX_OK);
		fake_server_step(&server);
		fake_server_step(&second);
		if (*count < wanted)
			nanosleep(&pause, NULL);
	}
	ck_assert_uint_ge(*count, wanted);
}

void move_clock_until(const size_t *count, size_t wanted)
{
	for (int i = 0; i < 2000 && *count < wanted; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		now_ms += 1;
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		fake_server_step(&second);
		nanosleep(&pause, NULL);
	}
	ck_assert_uint_ge(*count, wanted);
}

void call(const char *command, const char *token)
{
	kalix_options options = {.token = token, .timeout_ms = 2000};
	ck_assert_int_eq(
	    kalix_call_async(k, "cart/c1", command, "{}", &options, done, NULL), KALIX_OK);
}
