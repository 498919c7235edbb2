/* The handler call of a server without the server: the app in tests/bench/cart, from a stored state
 * and a payload to the next state and a reply, over and over in one process.
 *
 *	handler_count DIRECTORY_OF_THE_APP [CALLS [ENTITIES]]   default: 20000 of 1000
 *
 * Says how long a call took. Under
 *
 *	valgrind --tool=callgrind --toggle-collect='bench_*' --dump-instr=no
 *
 * the instructions collected are those of host_call_begin to host_call_end, and of the garbage
 * collection between; divided by the calls, the cost of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "scripting/host.h"

struct entity {
	char address[32];
	struct host_entity known;
	struct buffer state;
};

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "handler_count: %s\n", what);
	exit(1);
}

static struct slice read_file(const char *directory, const char *name, struct buffer *content)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "r");
	check(file != NULL, path);
	uint8_t *room;
	buffer_init(content, MIB);
	check(!buffer_reserve(content, 64 * KIB, &room), "memory");
	buffer_commit(content, fread(room, 1, 64 * KIB, file));
	fclose(file);
	return buffer_view(content);
}

static struct host_bundle *load(struct host *host, const char *directory)
{
	struct buffer app, cart, kv, bytes;
	struct host_file files[] = {
	    {slice_from_text("app.lua"), read_file(directory, "app.lua", &app)},
	    {slice_from_text("cart.lua"), read_file(directory, "cart.lua", &cart)},
	    {slice_from_text("kv.lua"), read_file(directory, "kv.lua", &kv)}};
	struct host_diagnostics diagnostics = {0};
	struct host_bundle *bundle;
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	check(!host_bundle_pack(files, sizeof(files) / sizeof(files[0]), &bytes), "packing");
	int error = host_load(host, buffer_view(&bytes), &diagnostics, &bundle);
	check(!error, diagnostics.count ? diagnostics.items[0].text : "loading");
	host_diagnostics_free(&diagnostics);
	buffer_done(&bytes);
	buffer_done(&app);
	buffer_done(&cart);
	buffer_done(&kv);
	return bundle;
}

static void keep(struct entity *entity, const struct host_outcome *outcome)
{
	check(outcome->status == STATUS_OK && outcome->change == HOST_UPDATED, "no update");
	buffer_clear(&entity->state);
	check(!buffer_append_slice(&entity->state, outcome->state), "memory");
	entity->known = (struct host_entity){.exists = true,
	    .has_state = true,
	    .state_version = outcome->state_version,
	    .revision = outcome->revision,
	    .state = buffer_view(&entity->state)};
}

__attribute__((noinline)) static void bench_calls(struct host *host, struct host_component *cart,
    struct entity *entities, uint64_t entity_count, uint64_t calls)
{
	struct host_handler *handler = host_handler(cart, slice_from_text("add_item"));
	struct random dice;
	random_init(&dice, 1);
	for (uint64_t i = 0; i < calls; i++) {
		struct entity *entity = &entities[random_below(&dice, entity_count)];
		char payload[64];
		static const char digits[] = "0123456789ab";
		memcpy(payload, "{\"qty\":1,\"sku\":\"sku-0000000", 28);
		payload[27] = digits[random_below(&dice, 10)];
		memcpy(payload + 28, "\"}", 2);
		struct host_request request = {.component = cart,
		    .handler = handler,
		    .address = slice_from_text(entity->address),
		    .entity = entity->known,
		    .has_payload = true,
		    .payload = slice_of(payload, 30),
		    .now_ms = 1000,
		    .caller = {
		        .kind = slice_from_text("client"), .name = slice_from_text("default")}};
		struct host_call *call;
		check(!host_call_begin(host, &request, &call), "begin");
		while (host_call_run(call, 0) == HOST_PAUSED)
			;
		keep(entity, host_call_outcome(call));
		host_call_end(call);
		if (i % 64 == 0)
			(void)host_idle(host);
	}
}

int main(int argc, char **argv)
{
	uint64_t calls = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
	uint64_t entity_count = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000;
	check(argc > 1 && calls > 0 && entity_count > 0,
	    "usage: handler_count DIRECTORY_OF_THE_APP [CALLS [ENTITIES]]");
	struct host *host;
	check(!host_new(&(struct host_options){.mode = HOST_PRODUCTION, .seed = 7}, &host), "Lua");
	struct host_bundle *bundle = load(host, argv[1]);
	struct host_component *cart = host_component(bundle, slice_from_text("cart"));
	struct entity *entities = calloc(entity_count, sizeof(*entities));
	check(cart && entities, "no cart");
	for (uint64_t i = 0; i < entity_count; i++) {
		snprintf(entities[i].address, sizeof(entities[i].address), "cart/%" PRIu64, i);
		buffer_init(&entities[i].state, STATE_BYTES_MAX);
	}
	uint64_t began_ns = clock_monotonic_ns();
	bench_calls(host, cart, entities, entity_count, calls);
	uint64_t took_ns = clock_monotonic_ns() - began_ns;
	printf("%" PRIu64 " calls, %" PRIu64 " ns a call\n", calls, took_ns / calls);
	for (uint64_t i = 0; i < entity_count; i++)
		buffer_done(&entities[i].state);
	free(entities);
	host_bundle_release(bundle);
	host_free(host);
	return 0;
}
