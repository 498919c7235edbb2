/* The visible workload of the demonstration, on examples/shop: orders, each of four calls.
 *
 *   shop load NODES SECONDS   orders as fast as 32 buyers can make them, a line every half second;
 *                             at the end what must be true, one line of key=value
 *   shop check NODES FACTS    reads every wallet, stock and cart, and compares
 *
 * NODES: host:port with commas between, as kalix_open takes them. An order: put a product into a
 * cart of its own, reserve it, pay, check out. The library repeats a call whose connection broke
 * with its token, at another node where that is needed, so each takes effect once, whatever is
 * killed: the totals have to be exact. Of orders that were under way at the end, the calls that
 * were acknowledged count.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/kalix.h"

#define BUYERS   32
#define PRODUCTS 8
#define PRICE    7
#define DEPOSIT  1000000000LL
#define STOCK    1000000000LL

enum order_step { ADD, RESERVE, PAY, CHECKOUT, STEPS };

struct buyer {
	unsigned long order; /* the present one, from 1 */
	uint64_t asked_ms;   /* its present call */
	unsigned number;
	enum order_step step;
};

static kalix *k;
static struct buyer buyers[BUYERS];
static unsigned long acknowledged[STEPS], finished[BUYERS], failures, calls;
static bool running;
/* Between two acknowledged orders, whosever they are; and of one call. */
static uint64_t longest_gap_ms, last_order_ms, longest_call_ms;

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

static void next_call(struct buyer *buyer);

static void done(void *arg, int code, kalix_reply *reply)
{
	struct buyer *buyer = arg;
	uint64_t now = now_ms();
	if (now - buyer->asked_ms > longest_call_ms)
		longest_call_ms = now - buyer->asked_ms;
	calls++;
	if (code) {
		failures++;
		fprintf(
		    stderr, "shop: %s: %s\n", kalix_error_name(code), kalix_reply_message(reply));
	} else {
		acknowledged[buyer->step]++;
	}
	kalix_reply_free(reply);
	if (code)
		return;
	buyer->step = (enum order_step)(buyer->step + 1);
	if (buyer->step == STEPS) {
		if (now - last_order_ms > longest_gap_ms)
			longest_gap_ms = now - last_order_ms;
		last_order_ms = now;
		finished[buyer->number] = buyer->order++;
		buyer->step = ADD;
		if (!running)
			return;
	}
	next_call(buyer);
}

static void next_call(struct buyer *buyer)
{
	char address[64], json[128];
	unsigned product = (unsigned)(buyer->order + buyer->number) % PRODUCTS;
	const char *command = NULL;
	kalix_options options = {.timeout_ms = 60000};
	switch (buyer->step) {
	case ADD:
		snprintf(address, sizeof(address), "cart/b%u-%lu", buyer->number, buyer->order);
		snprintf(json, sizeof(json),
		    "{\"product_id\":\"p%u\",\"name\":\"Product %u\",\"quantity\":1}", product,
		    product);
		command = "add_item";
		break;
	case RESERVE:
		snprintf(address, sizeof(address), "stock/p%u", product);
		snprintf(json, sizeof(json), "{\"quantity\":1}");
		command = "reserve";
		break;
	case PAY:
		snprintf(address, sizeof(address), "wallet/b%u", buyer->number);
		snprintf(json, sizeof(json), "{\"amount\":%d}", PRICE);
		command = "withdraw";
		break;
	case CHECKOUT:
		snprintf(address, sizeof(address), "cart/b%u-%lu", buyer->number, buyer->order);
		json[0] = 0;
		command = "checkout";
		break;
	case STEPS:
		return;
	}
	buyer->asked_ms = now_ms();
	if (kalix_call_async(k, address, command, json[0] ? json : NULL, &options, done, buyer))
		failures++;
}

static int call(const char *address, const char *command, const char *json)
{
	kalix_reply *reply;
	kalix_options options = {.timeout_ms = 30000};
	int code = kalix_call(k, address, command, json, &options, &reply);
	if (code)
		fprintf(stderr, "shop: %s %s: %s: %s\n", address, command, kalix_error_name(code),
		    kalix_reply_message(reply));
	kalix_reply_free(reply);
	return code;
}

static int prepare(void)
{
	char address[64], json[64];
	for (unsigned i = 0; i < BUYERS; i++) {
		snprintf(address, sizeof(address), "wallet/b%u", i);
		snprintf(json, sizeof(json), "{\"amount\":%lld}", DEPOSIT);
		if (call(address, "deposit", json))
			return 1;
	}
	for (unsigned i = 0; i < PRODUCTS; i++) {
		snprintf(address, sizeof(address), "stock/p%u", i);
		snprintf(json, sizeof(json), "{\"quantity\":%lld}", STOCK);
		if (call(address, "add", json))
			return 1;
	}
	return 0;
}

static void step(void)
{
	uint64_t wake;
	kalix_step(k, now_ms(), &wake);
	struct pollfd fd = {.fd = kalix_fd(k), .events = POLLIN};
	(void)poll(&fd, 1, 20);
}

static int load(unsigned long seconds)
{
	if (prepare())
		return 1;
	uint64_t begin = now_ms(), shown = begin;
	unsigned long before = 0;
	running = true;
	last_order_ms = begin;
	for (unsigned i = 0; i < BUYERS; i++) {
		buyers[i] = (struct buyer){.number = i, .order = 1};
		next_call(&buyers[i]);
	}
	while (kalix_pending(k)) {
		step();
		uint64_t now = now_ms();
		if (now - begin >= seconds * 1000)
			running = false;
		if (now - shown >= 500) {
			fprintf(stderr, "  %5.1f s  %8lu orders  %7lu calls a second%s\n",
			    (double)(now - begin) / 1000.0, acknowledged[CHECKOUT],
			    (calls - before) * 1000 / (unsigned long)(now - shown),
			    calls == before ? "   (no answer)" : "");
			shown = now;
			before = calls;
		}
	}
	printf("added=%lu reserved=%lu paid=%lu checked_out=%lu failures=%lu pause_ms=%llu "
	       "call_ms=%llu\n",
	    acknowledged[ADD], acknowledged[RESERVE], acknowledged[PAY], acknowledged[CHECKOUT],
	    failures, (unsigned long long)longest_gap_ms, (unsigned long long)longest_call_ms);
	for (unsigned i = 0; i < BUYERS; i++)
		printf("buyer=%u orders=%lu\n", i, finished[i]);
	return failures ? 1 : 0;
}

/* ---- Afterwards ---- */

static bool read_json(const char *address, const char *query, char text[512])
{
	kalix_reply *reply;
	int code = kalix_query(k, address, query, NULL, NULL, &reply);
	snprintf(text, 512, "%s", code ? kalix_reply_message(reply) : kalix_reply_json(reply));
	if (code)
		fprintf(stderr, "shop: %s: %s\n", address, text);
	kalix_reply_free(reply);
	return code == 0;
}

static bool same(const char *what, long long wanted, long long found)
{
	printf("  %-28s %12lld acknowledged, %12lld there   %s\n", what, wanted, found,
	    wanted == found ? "exact" : "WRONG");
	return wanted == found;
}

static bool check_carts(FILE *facts)
{
	unsigned buyer;
	unsigned long orders, carts = 0, open = 0;
	char address[64], text[512];
	while (fscanf(facts, " buyer=%u orders=%lu", &buyer, &orders) == 2)
		/* All carts of a buyer would take long: the last ones, where the kills were, and
		 * a sample. */
		for (unsigned long i = 1; i <= orders; i += orders > i + 20 ? 1 + orders / 50 : 1) {
			snprintf(address, sizeof(address), "cart/b%u-%lu", buyer, i);
			carts++;
			if (!read_json(address, "get", text) ||
			    !strstr(text, "\"checked_out\":true"))
				open++;
		}
	printf("  %-28s %12lu read,         %12lu not checked out   %s\n",
	    "carts of finished orders", carts, open, open ? "WRONG" : "exact");
	return open == 0 && carts > 0;
}

static int check(const char *path)
{
	unsigned long added, reserved, paid, checked_out, failed;
	unsigned long long pause, longest;
	long long paid_there = 0, reserved_there = 0, available, held;
	char address[64], text[512];
	FILE *facts = fopen(path, "r");
	if (!facts || fscanf(facts,
	                  "added=%lu reserved=%lu paid=%lu checked_out=%lu failures=%lu "
	                  "pause_ms=%llu call_ms=%llu",
	                  &added, &reserved, &paid, &checked_out, &failed, &pause, &longest) != 7) {
		fprintf(stderr, "shop: %s has no facts\n", path);
		return 2;
	}
	for (unsigned i = 0; i < BUYERS; i++) {
		snprintf(address, sizeof(address), "wallet/b%u", i);
		if (!read_json(address, "balance", text))
			return 1;
		paid_there += (DEPOSIT - strtoll(text, NULL, 10)) / PRICE;
	}
	for (unsigned i = 0; i < PRODUCTS; i++) {
		snprintf(address, sizeof(address), "stock/p%u", i);
		if (!read_json(address, "get", text) ||
		    sscanf(text, "{\"available\":%lld,\"reserved\":%lld}", &available, &held) != 2)
			return 1;
		reserved_there += held;
		if (available + held != STOCK)
			return !same("stock of one product", STOCK, available + held);
	}
	bool good = same("payments, from the wallets", (long long)paid, paid_there);
	good &= same("reservations, from the stock", (long long)reserved, reserved_there);
	good &= check_carts(facts);
	printf("  longest pause between two acknowledged orders: %llu ms; longest call: %llu ms; "
	       "calls that failed: %lu\n",
	    pause, longest, failed);
	fclose(facts);
	return good && !failed ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc != 4 || kalix_open(argv[2], &k)) {
		fprintf(stderr, "usage: shop load NODES SECONDS | shop check NODES FACTS\n");
		return 2;
	}
	int status =
	    strcmp(argv[1], "load") == 0 ? load(strtoul(argv[3], NULL, 10)) : check(argv[3]);
	kalix_close(k);
	return status;
}
