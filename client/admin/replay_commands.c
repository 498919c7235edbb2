/* app replay: the entities of a running server, read with the version of an app in a directory. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "base/wire/json.h"
#include "client/admin/bundle_dir.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/replay.h"

#define LIST_BYTES_MAX    (4 * MIB)
#define CURSOR_TEXT_BYTES 2100

struct sums {
	uint64_t entities, differences, uncompared, changing;
};

/* ---- Telling ---- */

static void print_found(const struct replay *replay, const char *address, bool fails)
{
	char clean[6 * (ADDRESS_BYTES_MAX + 1)];
	char what[6 * sizeof(replay->why)];
	print_clean(clean, sizeof(clean), slice_from_text(address), "");
	print_clean(what, sizeof(what), slice_from_text(fails ? replay->why : replay->path), "");
	if (fails)
		printf("%s revision %" PRIu64 ": %s\n", clean, replay->revision, what);
	else
		printf("%s revision %" PRIu64 ": the state differs%s%s\n", clean, replay->revision,
		    what[0] ? " at " : "", what);
}

/* One that differs or fails. */
static enum exit_code tell(const struct args *args, const struct replay *replay,
    const char *address, bool fails, const struct sums *sums)
{
	struct print_object object;
	if (args->format == OUTPUT_TABLE) {
		print_found(replay, address, fails);
		return EXIT_DONE;
	}
	bool is_json = args->format == OUTPUT_JSON;
	print_object_begin(&object);
	print_object_text(&object, "address", slice_from_text(address));
	print_object_text(
	    &object, fails ? "error" : "path", slice_from_text(fails ? replay->why : replay->path));
	print_object_number(&object, "revision", replay->revision);
	int error = print_object_end(
	    &object, is_json && sums->differences > 0 ? "," : "", is_json ? "" : "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

static enum exit_code tell_sums(
    const struct args *args, const struct replay *replay, const struct sums *sums)
{
	struct print_object object;
	if (args->format == OUTPUT_TABLE) {
		printf("%" PRIu64 " %s, %" PRIu64 " %s replayed: %" PRIu64 " %s\n", sums->entities,
		    print_plural(sums->entities, "entity", "entities"), replay->events,
		    print_plural(replay->events, "event", "events"), sums->differences,
		    print_plural(sums->differences, "differs or fails", "differ or fail"));
		if (sums->uncompared)
			printf("%" PRIu64 " of them %s stored in a version that has no steps to "
			       "this one\n",
			    sums->uncompared,
			    print_plural(sums->uncompared, "was not compared: its state is",
			        "were not compared: their states are"));
		if (sums->changing)
			printf("%" PRIu64 " of them %s made anew meanwhile, and left out\n",
			    sums->changing, print_plural(sums->changing, "was", "were"));
		return EXIT_DONE;
	}
	bool is_json = args->format == OUTPUT_JSON;
	print_object_begin(&object);
	print_object_number(&object, "changing", sums->changing);
	print_object_number(&object, "different", sums->differences);
	print_object_number(&object, "entities", sums->entities);
	print_object_number(&object, "events", replay->events);
	print_object_number(&object, "uncompared", sums->uncompared);
	int error = print_object_end(&object, is_json ? "],\"sums\":" : "", is_json ? "}\n" : "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

/* ---- Going through them ---- */

static enum exit_code replay_one(
    const struct args *args, struct replay *replay, const char *address, struct sums *sums)
{
	enum exit_code code = EXIT_DONE;
	enum replay_result result = replay_entity(replay, address);
	if (result == REPLAY_STOPPED)
		return replay->code;
	if (result == REPLAY_ABSENT)
		return EXIT_DONE;
	sums->entities++;
	if (result == REPLAY_UNCOMPARED)
		sums->uncompared++;
	if (result == REPLAY_CHANGING)
		sums->changing++;
	if (result == REPLAY_DIFFERS || result == REPLAY_FAILS) {
		code = tell(args, replay, address, result == REPLAY_FAILS, sums);
		sums->differences++;
	}
	return code;
}

static enum exit_code replay_page(
    const struct args *args, struct replay *replay, struct slice page, struct sums *sums)
{
	struct slice addresses, element;
	char address[ADDRESS_BYTES_MAX + 1];
	size_t at = 0;
	enum exit_code code = EXIT_DONE;
	if (!pick_member(page, "addresses", &addresses))
		return command_failed(ERR_PROTOCOL, "");
	while (!code && pick_element(addresses, &at, &element)) {
		char text[6 * (ADDRESS_BYTES_MAX + 1)];
		if (element.bytes < 2 || element.bytes > sizeof(text))
			return command_failed(ERR_PROTOCOL, "");
		size_t bytes =
		    json_unescape(slice_of(element.data + 1, element.bytes - 2), (uint8_t *)text);
		snprintf(address, sizeof(address), "%.*s", (int)bytes, text);
		code = replay_one(args, replay, address, sums);
	}
	return code;
}

static enum exit_code replay_type(const struct args *args, struct replay *replay, struct sums *sums)
{
	char type[NAME_BYTES_MAX + 1], cursor[CURSOR_TEXT_BYTES] = "";
	struct slice name = host_component_name(replay->component);
	struct buffer page;
	enum exit_code code = EXIT_DONE;
	snprintf(type, sizeof(type), "%.*s", (int)name.bytes, (const char *)name.data);
	buffer_init(&page, LIST_BYTES_MAX);
	do {
		struct online *online = replay->online;
		online_word(online, "ADMIN");
		online_word(online, "ENTITY");
		online_word(online, "LIST");
		online_word(online, type);
		online_option(online, "CURSOR", cursor[0] ? cursor : NULL);
		online_option(online, "COUNT", "1000");
		/* A type that the server does not have yet has nothing to be replayed. */
		if (online_try(online) == KALIX_UNIMPLEMENTED)
			break;
		code = online_said(online);
		if (code)
			break;
		struct slice reply = slice_from_text(online_json(online));
		struct slice next = pick_text(reply, "cursor");
		size_t bytes = next.bytes < sizeof(cursor) ? next.bytes : 0;
		bytes = json_unescape(slice_of(next.data, bytes), (uint8_t *)cursor);
		cursor[bytes] = '\0';
		buffer_clear(&page);
		int error = buffer_append_slice(&page, reply);
		code = error ? command_failed(error, "")
		             : replay_page(args, replay, buffer_view(&page), sums);
	} while (!code && cursor[0]);
	buffer_done(&page);
	return code;
}

static enum exit_code replay_all(
    const struct args *args, struct replay *replay, struct host_bundle *bundle)
{
	const char *which = args->words > 3 ? args->word[3] : NULL;
	const char *slash = which ? strchr(which, '/') : NULL;
	struct slice type = which ? slice_of(which, slash ? (size_t)(slash - which) : strlen(which))
	                          : slice_of(NULL, 0);
	struct sums sums = {.entities = 0};
	enum exit_code code = EXIT_DONE;
	if (which && !host_component(bundle, type)) {
		fprintf(stderr, "kalix-admin: the app has no type '%.*s'\n", (int)type.bytes,
		    (const char *)type.data);
		return EXIT_REFUSED;
	}
	if (args->format == OUTPUT_JSON)
		fputs("{\"differences\":[", stdout);
	for (size_t i = 0; i < host_component_count(bundle) && !code; i++) {
		replay->component = host_component_at(bundle, i);
		if (which && !slice_equal(host_component_name(replay->component), type))
			continue;
		code = slash ? replay_one(args, replay, which, &sums)
		             : replay_type(args, replay, &sums);
	}
	enum exit_code told = tell_sums(args, replay, &sums);
	if (code || told)
		return code ? code : told;
	if (slash && sums.entities == 0) {
		fprintf(stderr, "kalix-admin: there is no such entity\n");
		return EXIT_REFUSED;
	}
	return sums.differences ? EXIT_DIFFERENCES : EXIT_DONE;
}

static enum exit_code replay_bundle(
    const struct args *args, struct host *host, struct host_bundle *bundle)
{
	struct online online;
	struct replay replay;
	enum exit_code code = online_open(args, &online);
	replay_init(&replay, &online, host);
	if (!code)
		code = replay_all(args, &replay, bundle);
	replay_done(&replay);
	online_done(&online);
	return code;
}

/* Folds are done twice, as in mode dev: what is not pure is found, too. */
static enum exit_code load_and_replay(const struct args *args, struct slice bytes)
{
	struct host_options options = {.mode = HOST_DEV, .seed = 1};
	struct host_diagnostics diagnostics = {.items = NULL};
	struct host_bundle *bundle = NULL;
	struct host *host;
	enum exit_code code = EXIT_REFUSED;
	int error = host_new(&options, &host);
	if (error)
		return command_failed(error, "");
	error = host_load(host, bytes, &diagnostics, &bundle);
	if (error == ERR_INVALID)
		print_diagnostics(&diagnostics);
	else if (error)
		code = command_failed(error, "");
	else
		code = replay_bundle(args, host, bundle);
	host_bundle_release(bundle);
	host_diagnostics_free(&diagnostics);
	host_free(host);
	return code;
}

enum exit_code command_app_replay(const struct args *args)
{
	struct buffer bundle;
	buffer_init(&bundle, BUNDLE_BYTES_MAX + 65536);
	const char *dir = args->words > 2 ? args->word[2] : ".";
	enum exit_code code = bundle_dir_open(dir, &bundle);
	if (!code)
		code = load_and_replay(args, buffer_view(&bundle));
	buffer_done(&bundle);
	return code;
}
