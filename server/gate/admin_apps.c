/* ADMIN APP: from words to a request of the directory. */
#include <string.h>

#include "base/mem.h"
#include "server/gate/admin.h"
#include "server/meta/meta.h"

enum {
	DROP_MAX = 64,
};

struct app_work {
	struct admin_request base;
	struct slice drop[DROP_MAX];
	uint8_t data[];
};

static const char usage[] =
    "ADMIN APP DEPLOY bundle | LIST | ACTIVATE app hash | ROLLBACK app | REMOVE app, then "
    "[DRYRUN] [EXPECT hash] [DROP type ...]";

static const struct {
	const char *word;
	enum meta_verb verb;
	uint32_t words; /* behind the verb */
} verbs[] = {
    {"deploy", META_APP_DEPLOY, 1},
    {"list", META_APP_LIST, 0},
    {"activate", META_APP_ACTIVATE, 2},
    {"rollback", META_APP_ROLLBACK, 1},
    {"remove", META_APP_REMOVE, 1},
};

static struct slice keep(uint8_t **at, struct slice from)
{
	uint8_t *to = *at;
	if (from.bytes)
		memcpy(to, from.data, from.bytes);
	*at += from.bytes;
	return slice_of(to, from.bytes);
}

/* The options behind the verb's words. */
static bool parse_options(
    struct app_work *work, uint8_t **at, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	for (uint32_t i = 0; i < count; i++) {
		if (word_is(args[i], "dryrun")) {
			request->dry_run = true;
		} else if (word_is(args[i], "expect") && i + 1 < count) {
			request->expected = keep(at, args[++i]);
		} else if (word_is(args[i], "drop") && i + 1 < count) {
			if (count - i - 1 > DROP_MAX)
				return false;
			for (i++; i < count; i++)
				work->drop[request->drop_count++] = keep(at, args[i]);
		} else {
			return false;
		}
	}
	request->drop = work->drop;
	return true;
}

static bool parse(struct app_work *work, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	uint8_t *at = work->data;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!word_is(args[2], verbs[i].word))
			continue;
		if (count < 3 + verbs[i].words || (verbs[i].verb == META_APP_LIST && count != 3))
			return false;
		request->verb = verbs[i].verb;
		if (verbs[i].verb == META_APP_DEPLOY)
			request->bundle = keep(&at, args[3]);
		else if (verbs[i].words > 0)
			request->app = keep(&at, args[3]);
		if (verbs[i].verb == META_APP_ACTIVATE)
			request->hash = keep(&at, args[4]);
		uint32_t taken = 3 + verbs[i].words;
		return parse_options(work, &at, args + taken, count - taken);
	}
	return false;
}

void admin_app(struct session *session, const struct slice *args, uint32_t count)
{
	size_t bytes = sizeof(struct app_work);
	for (uint32_t i = 3; i < count; i++)
		bytes += args[i].bytes;
	struct app_work *work = count >= 3 ? mem_alloc(bytes) : NULL;
	if (count >= 3 && !work) {
		admin_no_memory(session);
		return;
	}
	if (work)
		memset(work, 0, sizeof(*work));
	if (!work || !parse(work, args, count)) {
		mem_free(work);
		admin_usage(session, usage);
		return;
	}
	admin_request_send(session, &work->base, bytes);
}
