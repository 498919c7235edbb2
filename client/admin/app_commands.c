/* app deploy, list, activate, rollback, remove: what changes a running server. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/wire/json.h"
#include "client/admin/bundle_dir.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"

#define HASH_TEXT_BYTES 64

/* A text or number member of the last reply, "" where it is absent. */
static void member(const struct online *online, const char *name, char *ret_text, size_t bytes)
{
	struct json_reader in;
	enum json_token token;
	struct slice text = slice_from_text(online_json(online));
	ret_text[0] = 0;
	json_reader_init(&in, text, NULL, JSON_DEPTH_MAX);
	if (json_next(&in, &token) || token != JSON_OBJECT_BEGIN)
		return;
	while (json_next(&in, &token) == 0 && token == JSON_KEY) {
		bool wanted = slice_equal(in.text, slice_from_text(name));
		if (json_next(&in, &token))
			return;
		size_t begin = json_token_offset(&in);
		struct slice value = in.text;
		if (json_skip(&in))
			return;
		if (!wanted)
			continue;
		if (token != JSON_STRING)
			value = slice_of(text.data + begin, json_offset(&in) - begin);
		snprintf(ret_text, bytes, "%.*s", (int)value.bytes, (const char *)value.data);
		return;
	}
}

/* Lines of an array of texts in the last reply. */
static void print_texts(const struct online *online, const char *name)
{
	struct json_reader in;
	struct buffer scratch;
	enum json_token token;
	bool inside = false;
	buffer_init(&scratch, (size_t)1 << 20);
	json_reader_init(&in, slice_from_text(online_json(online)), &scratch, JSON_DEPTH_MAX);
	while (json_next(&in, &token) == 0 && token != JSON_END) {
		if (token == JSON_KEY)
			inside = slice_equal(in.text, slice_from_text(name));
		else if (token == JSON_ARRAY_END)
			inside = false;
		else if (inside && token == JSON_STRING)
			printf("  %.*s\n", (int)in.text.bytes, (const char *)in.text.data);
	}
	buffer_done(&scratch);
}

struct change {
	const char *verb;    /* DEPLOY, ... */
	struct slice bundle; /* DEPLOY */
	const char *app, *hash;
};

static enum exit_code send_change(
    struct online *online, const struct change *change, bool dry_run, const char *expected)
{
	const struct args *args = online->args;
	online_word(online, "ADMIN");
	online_word(online, "APP");
	online_word(online, change->verb);
	if (change->bundle.bytes)
		online_bytes(online, change->bundle);
	if (change->app)
		online_word(online, change->app);
	if (change->hash)
		online_word(online, change->hash);
	if (dry_run)
		online_word(online, "DRYRUN");
	online_option(online, "EXPECT", expected);
	if (args->drop_count) {
		online_word(online, "DROP");
		for (unsigned i = 0; i < args->drop_count; i++)
			online_word(online, args->drop[i]);
	}
	return dry_run ? online_read(online) : online_change(online);
}

/* How it can be undone. Going back again would go further back: there the way is to name what is
 * active now. */
static void print_undo(const struct online *online, const struct change *change)
{
	char app[128], active[HASH_TEXT_BYTES], rollback[16], unchanged[16];
	member(online, "app", app, sizeof(app));
	member(online, "active", active, sizeof(active));
	member(online, "rollback", rollback, sizeof(rollback));
	member(online, "unchanged", unchanged, sizeof(unchanged));
	if (strcmp(unchanged, "true") == 0 || strcmp(rollback, "true") != 0)
		return;
	if (strcmp(change->verb, "ROLLBACK") == 0)
		printf("  undo: kalix-admin app activate %s %s\n", app, active);
	else
		printf("  undo: kalix-admin app rollback %s\n", app);
}

static void print_plan(const struct online *online, const struct change *change)
{
	char app[128], hash[HASH_TEXT_BYTES], unchanged[16];
	member(online, "app", app, sizeof(app));
	member(online, "hash", hash, sizeof(hash));
	member(online, "unchanged", unchanged, sizeof(unchanged));
	printf("%s %s\n", app, hash);
	if (strcmp(unchanged, "true") == 0)
		puts("  active already, nothing changes");
	print_texts(online, "plan");
	struct slice warnings;
	if (pick_member(slice_from_text(online_json(online)), "warnings", &warnings))
		online_diagnostics(stdout, warnings, 0, "warning: ");
	print_undo(online, change);
}

/* Which they are, as far as the answer names them. */
static void print_pending(const struct online *online, uint64_t pending)
{
	struct slice answer = slice_from_text(online_json(online)), shards, shard;
	uint64_t named = 0;
	size_t at = 0;
	if (!pick_member(answer, "pending_shards", &shards))
		return;
	while (pick_element(shards, &at, &shard))
		printf("%s%.*s", named++ == 0 ? "shards not activated: " : ", ", (int)shard.bytes,
		    (const char *)shard.data);
	if (named > 0 && named < pending)
		printf(" and %" PRIu64 " more", pending - named);
	if (named > 0)
		puts("; kalix-admin cluster status says what is wrong with them");
}

/* The plan first, from a dry run; then, unless that is all, the change itself, and only if what was
 * planned for is still active. What is destroyed needs --yes; what can be undone goes on where
 * nobody can be asked. */
static enum exit_code make_change(const struct args *args, const struct change *change)
{
	struct online online;
	char destroyed[16], active[HASH_TEXT_BYTES] = "";
	enum exit_code code = online_open(args, &online);
	if (!code)
		code = send_change(&online, change, true, args->expect);
	if (!code) {
		member(&online, "active", active, sizeof(active));
		member(&online, "destroys", destroyed, sizeof(destroyed));
		if (args->format == OUTPUT_TABLE)
			print_plan(&online, change);
		else if (args->dry_run)
			code = online_print(&online, NULL, 0);
		if (args->dry_run)
			goto done;
		bool destroys = strcmp(destroyed, "true") == 0;
		if (!(destroys ? args_confirm(args, "Data is destroyed for good. Go on?")
		               : args_confirm_undoable(args, "Go on?")))
			code = command_not_wanted();
	}
	if (!code)
		code = send_change(&online, change, false, active[0] ? active : "none");
	if (!code && args->format != OUTPUT_TABLE) {
		code = online_print(&online, NULL, 0);
	} else if (!code) {
		uint64_t pending = pick_number(slice_from_text(online_json(&online)), "pending");
		if (pending == 0)
			puts("done: every shard has it active");
		else
			printf("done, but %" PRIu64 " %s\n", pending,
			    pending == 1
			        ? "shard has not activated it yet: it is asked again until it has, "
			          "app list shows when"
			        : "shards have not activated it yet: they are asked again until "
			          "they have, app list shows how many are left");
		print_pending(&online, pending);
	}
done:
	online_done(&online);
	return code;
}

enum exit_code command_app_deploy(const struct args *args)
{
	struct buffer bundle;
	buffer_init(&bundle, BUNDLE_BYTES_MAX + 65536);
	enum exit_code code = bundle_dir_open(args->words > 2 ? args->word[2] : ".", &bundle);
	if (!code)
		code = make_change(
		    args, &(struct change){.verb = "DEPLOY", .bundle = buffer_view(&bundle)});
	buffer_done(&bundle);
	return code;
}

enum exit_code command_app_activate(const struct args *args)
{
	return make_change(args,
	    &(struct change){.verb = "ACTIVATE", .app = args->word[2], .hash = args->word[3]});
}

enum exit_code command_app_rollback(const struct args *args)
{
	return make_change(args, &(struct change){.verb = "ROLLBACK", .app = args->word[2]});
}

enum exit_code command_app_remove(const struct args *args)
{
	return make_change(args, &(struct change){.verb = "REMOVE", .app = args->word[2]});
}

static const char *const list_columns[] = {"app", "generation", "hash", "types", "pending"};

enum exit_code command_app_list(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "APP");
		online_word(&online, "LIST");
		code = online_run(&online);
	}
	if (!code)
		code = online_print(
		    &online, list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
	online_done(&online);
	return code;
}
