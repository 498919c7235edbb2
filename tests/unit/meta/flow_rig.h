/* The directory over a one-member group on a simulated machine, with Lua, for tests of its flows.
 * The cores are the test: it answers for them, at once or late. Losing leadership is told by the
 * test, too, as a group of several members would. One world in a process. */
#ifndef KX_TESTS_UNIT_META_FLOW_RIG_H
#define KX_TESTS_UNIT_META_FLOW_RIG_H

#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "scripting/host.h"
#include "server/meta/meta.h"
#include "tests/unit/run.h"
#include "tests/unit/starve.h"

struct flow_world {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct host *host;
	struct meta *meta;
	const struct group_events *events;
	void *events_arg;
	unsigned ready, loads, activations, counts;
	bool hold; /* the cores do not answer */
	bool asked_load, asked_activate, asked_count, loaded;
	uint64_t entities;  /* that the cores count, for each letter of the type's name */
	bool more_entities; /* than they had time for */
	char counted_type[NAME_BYTES_MAX + 1];
	uint32_t pending; /* shards that the cores say */
	bool closed;      /* and that they are closed */
	bool cannot_load; /* any bundle */
	uint64_t generation;
	uint64_t dropped; /* the incarnation of `box` that the cores were told last */
	char active[HOST_HASH_CHARACTERS + 1];
	struct starve starve; /* of the process, from its start on, but for opening its store */
	int error;            /* the last that the directory said of itself; kept */
	bool stopping, stopped;
};
extern struct flow_world world;

void flow_make(void); /* a machine without anything */
void flow_set_up(void);
void flow_tear_down(void);
void flow_boot(void); /* until ready */
void flow_crash(void);
/* A clean end, which leaves nothing in memory. */
void flow_stop(void);
/* Runs the machine until then; fails the test if that never comes. */
void run_until(bool (*until)(void *arg), void *arg);
bool activation_asked(void *arg);

/* ---- Requests ---- */

struct test_request {
	struct meta_request request;
	struct buffer bundle;
	char hash[HOST_HASH_CHARACTERS + 1];
	bool done;
};
/* An app of one component, whose query answers `version`. */
void deploy_init(struct test_request *test, const char *app, const char *type, int version);
void submit(struct test_request *test);
bool is_done(void *test);
/* The app's hash in the list of apps, "" for none. */
void listed_hash(const char *app, char hash[HOST_HASH_CHARACTERS + 1]);
enum status run(struct test_request *test); /* and frees the answer */
bool slice_has(struct slice text, const char *part);
enum status deploy(const char *app, const char *type, int version, char hash[33]);
void change_init(struct test_request *test, enum meta_verb verb);
/* Of an app whose one component is `box`; `expected` may be NULL. */
enum status change(enum meta_verb verb, const char *app, const char *expected);

#endif
