/* What one call of a handler costs, from the bytes of a state and a payload to those of the new
 * state and the reply.
 *
 *	host_bench              microseconds of each kind of call
 *	host_bench count KIND N N calls of one kind and nothing else, for
 *	                        valgrind --tool=callgrind --toggle-collect='bench_*'
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "scripting/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES = 200000 };

static const char app_source[] = "return { name = 'shop', require 'wallet', require 'cart' }";

/* A state of about 220 bytes, of which a command changes one number. */
static const char wallet_source[] =
    "local kalix = require 'kalix'\n"
    "local s = kalix.schema\n"
    "return kalix.value_entity 'wallet' {\n"
    "  state = s.record { owner = s.string, currency = s.string, balance = s.integer { min = 0 },\n"
    "    limits = s.record { day = s.integer, month = s.integer },\n"
    "    last = s.list(s.record { at = s.timestamp, amount = s.integer, note = s.string }) },\n"
    "  init = { owner = 'Ada Lovelace, 12 St James Square', currency = 'EUR', balance = 0,\n"
    "    limits = { day = 100000, month = 1000000 }, last = {\n"
    "      { at = 1700000000000, amount = 12500, note = 'salary of november' },\n"
    "      { at = 1700000100000, amount = -250, note = 'tea and a sandwich' },\n"
    "      { at = 1700000200000, amount = -990, note = 'the evening paper' } } },\n"
    "  commands = { deposit = { function(state, input, ctx)\n"
    "      state.balance = state.balance + input.amount\n"
    "      ctx:update(state)\n"
    "      return state.balance end, input = s.record { amount = s.integer { min = 1 } } } },\n"
    "  queries = { balance = function(state) return state.balance end },\n"
    "}\n";

static const char cart_source[] =
    "local kalix = require 'kalix'\n"
    "local s = kalix.schema\n"
    "return kalix.event_sourced_entity 'cart' {\n"
    "  state = s.record { items = s.map(s.string, s.record { name = s.string, quantity = s.integer "
    "}) },\n"
    "  init = { items = { p1 = { name = 'Tea from Assam', quantity = 2 },\n"
    "    p2 = { name = 'Sandwich with cheese', quantity = 1 }, p3 = { name = 'Evening paper',\n"
    "    quantity = 1 }, p4 = { name = 'A pound of coffee', quantity = 3 }, p5 = { name =\n"
    "    'Milk', quantity = 6 } } },\n"
    "  commands = { add_item = { function(state, input, ctx)\n"
    "      ctx:emit('item_added', input) return true end,\n"
    "    input = s.record { product_id = s.string, name = s.string, quantity = s.integer } } },\n"
    "  events = { item_added = { function(state, event)\n"
    "      local item = state.items[event.product_id] or { name = event.name, quantity = 0 }\n"
    "      item.quantity = item.quantity + event.quantity\n"
    "      state.items[event.product_id] = item end,\n"
    "    schema = s.record { product_id = s.string, name = s.string, quantity = s.integer } } },\n"
    "  queries = { get = function(state) return state end },\n"
    "}\n";

struct kind {
	const char *name, *component, *handler, *payload;
	struct host_request request;
	struct buffer state;
};

static struct kind kinds[] = {
    {.name = "deposit", .component = "wallet", .handler = "deposit", .payload = "{\"amount\":7}"},
    {.name = "balance", .component = "wallet", .handler = "balance"},
    {.name = "add_item",
        .component = "cart",
        .handler = "add_item",
        .payload = "{\"name\":\"Tea from Assam\",\"product_id\":\"p1\",\"quantity\":1}"},
    {.name = "get", .component = "cart", .handler = "get"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct host *host;
static struct host_bundle *bundle;

static void must(int error)
{
	if (error) {
		fprintf(stderr, "%s\n", error_name(error));
		exit(1);
	}
}

__attribute__((noinline)) static uint64_t bench_call(const struct kind *kind)
{
	struct host_call *call;
	must(host_call_begin(host, &kind->request, &call));
	while (host_call_run(call, 0) == HOST_PAUSED) {
	}
	const struct host_outcome *outcome = host_call_outcome(call);
	if (outcome->status != STATUS_OK)
		exit(1);
	uint64_t instructions = outcome->instructions;
	host_call_end(call);
	return instructions;
}

static void load(enum host_mode mode)
{
	struct host_options options = {.mode = mode, .seed = 1};
	must(host_new(&options, &host));
	struct host_file files[] = {{slice_from_text("app.lua"), slice_from_text(app_source)},
	    {slice_from_text("wallet.lua"), slice_from_text(wallet_source)},
	    {slice_from_text("cart.lua"), slice_from_text(cart_source)}};
	struct buffer bytes;
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	must(host_bundle_pack(files, 3, &bytes));
	struct host_diagnostics diagnostics = {0};
	must(host_load(host, buffer_view(&bytes), &diagnostics, &bundle));
	host_diagnostics_free(&diagnostics);
	buffer_done(&bytes);
}

/* The initial state is what every call of the kind begins with. */
static void make_state(struct kind *kind)
{
	struct host_component *component = host_component(bundle, slice_from_text(kind->component));
	struct host_fold fold = {.component = component, .address = slice_from_text("x/1")};
	struct host_call *call;
	must(host_fold_begin(host, &fold, &call));
	while (host_call_run(call, 0) == HOST_PAUSED) {
	}
	buffer_init(&kind->state, STATE_BYTES_MAX);
	must(buffer_append_slice(&kind->state, host_call_outcome(call)->state));
	host_call_end(call);
	kind->request = (struct host_request){.component = component,
	    .handler = host_handler(component, slice_from_text(kind->handler)),
	    .address = slice_from_text("cart/customer-1"),
	    .entity = {.exists = true,
	        .has_state = true,
	        .state_version = 1,
	        .revision = 1,
	        .state = buffer_view(&kind->state)},
	    .has_payload = kind->payload != NULL,
	    .payload = slice_from_text(kind->payload ? kind->payload : ""),
	    .now_ms = 1700000000000,
	    .caller = {.kind = slice_from_text("client"), .name = slice_from_text("default")}};
}

static void idle(void)
{
	host_idle(host);
}

static void times(const char *mode)
{
	for (size_t i = 0; i < KINDS; i++) {
		uint64_t begin = clock_monotonic_ns();
		for (int n = 0; n < TIMES; n++) {
			bench_call(&kinds[i]);
			if (n % 16 == 0)
				idle();
		}
		uint64_t ns = clock_monotonic_ns() - begin;
		printf("%-12s %-10s state %4zu bytes %8.2f us each\n", mode, kinds[i].name,
		    buffer_bytes(&kinds[i].state), (double)ns / TIMES / 1000);
	}
}

static void open_mode(enum host_mode mode)
{
	load(mode);
	for (size_t i = 0; i < KINDS; i++)
		make_state(&kinds[i]);
}

static void close_mode(void)
{
	for (size_t i = 0; i < KINDS; i++)
		buffer_done(&kinds[i].state);
	host_bundle_release(bundle);
	host_free(host);
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		open_mode(HOST_PRODUCTION);
		times("production");
		close_mode();
		open_mode(HOST_DEV);
		times("dev");
	} else if (argc == 4 && strcmp(argv[1], "count") == 0) {
		long calls = strtol(argv[3], NULL, 10);
		open_mode(HOST_PRODUCTION);
		for (size_t i = 0; i < KINDS; i++) {
			for (long n = 0; strcmp(kinds[i].name, argv[2]) == 0 && n < calls; n++)
				bench_call(&kinds[i]);
		}
	} else {
		return 2;
	}
	close_mode();
	return 0;
}
