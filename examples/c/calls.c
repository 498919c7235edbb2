/* libkalix in one page: a blocking call, then a hundred pipelined ones on a loop of our own.
 *
 *   cc calls.c $(pkg-config --cflags --libs kalix) -o calls
 *   ./calls 127.0.0.1:7470          (with examples/shop deployed)
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include <kalix.h>

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void deposited(void *arg, int code, kalix_reply *reply)
{
	int *failed = arg;
	if (code) {
		fprintf(stderr, "%s: %s\n", kalix_error_name(code), kalix_reply_message(reply));
		++*failed;
	}
	kalix_reply_free(reply);
}

/* Any loop will do: wait for kalix_fd to be readable, or for the wake time, and step. */
static int pipelined(kalix *k)
{
	int failed = 0;
	for (int i = 0; i < 100; i++) {
		int code = kalix_call_async(
		    k, "wallet/w1", "deposit", "{\"amount\":1}", NULL, deposited, &failed);
		if (code)
			return code;
	}
	while (kalix_pending(k)) {
		uint64_t wake, now = now_ms();
		kalix_step(k, now, &wake);
		if (!kalix_pending(k))
			break;
		struct pollfd fd = {.fd = kalix_fd(k), .events = POLLIN};
		poll(&fd, 1, wake > now + 1000 ? 1000 : wake > now ? (int)(wake - now) : 0);
	}
	return failed ? KALIX_INTERNAL : KALIX_OK;
}

int main(int argc, char **argv)
{
	kalix *k;
	kalix_reply *reply;
	int code = kalix_open(argc > 1 ? argv[1] : "127.0.0.1:7470", &k);
	if (code) {
		fprintf(stderr, "usage: calls HOST:PORT\n");
		return 2;
	}
	code = pipelined(k);
	if (!code) {
		code = kalix_query(k, "wallet/w1", "balance", NULL, NULL, &reply);
		if (code)
			fprintf(stderr, "%s\n", kalix_reply_message(reply));
		else
			printf("balance: %s\n", kalix_reply_json(reply));
		kalix_reply_free(reply);
	}
	kalix_close(k);
	return code ? 1 : 0;
}
