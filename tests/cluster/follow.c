/* A client of libkalix that goes on while a leader is gone.
 *
 *   follow NODES ADDRESS COUNT   calls `add` of the entity so often, each with a token and until
 *                                it is acknowledged; prints "acknowledged N, the last says V", and
 *                                how many tries had another answer
 *
 * A try is over within a second, so that one whose server stands still is one that fails.
 */
#include <stdio.h>

#include "client/kalix.h"

enum { TRIES_MAX = 30 };

static int tries_lost;

/* Whether it was acknowledged within so many tries. */
static int add(kalix *k, const char *address, int number, char *ret_value, size_t bytes)
{
	char token[48];
	snprintf(token, sizeof(token), "follow-%d", number);
	kalix_options options = {.timeout_ms = 1000, .token = token};
	for (int i = 0; i < TRIES_MAX; i++) {
		kalix_reply *reply;
		int code = kalix_call(k, address, "add", NULL, &options, &reply);
		if (code == KALIX_OK)
			snprintf(ret_value, bytes, "%s", kalix_reply_json(reply));
		kalix_reply_free(reply);
		if (code == KALIX_OK)
			return 1;
		tries_lost++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	kalix *k;
	char value[64] = "nothing";
	if (argc != 4 || kalix_open(argv[1], &k) != KALIX_OK) {
		(void)fprintf(stderr, "usage: follow NODES ADDRESS COUNT\n");
		return 2;
	}
	int count = 0, acknowledged = 0;
	for (const char *digit = argv[3]; *digit >= '0' && *digit <= '9' && count < 100000; digit++)
		count = 10 * count + (*digit - '0');
	while (acknowledged < count && add(k, argv[2], acknowledged, value, sizeof(value)))
		acknowledged++;
	kalix_close(k);
	printf(
	    "acknowledged %d, the last says %s\n%d tries lost\n", acknowledged, value, tries_lost);
	return acknowledged == count ? 0 : 1;
}
