/* The parts of the directory behind meta.h.
 *
 * One piece of work at a time, requests in the order submitted; at the start, one piece for each
 * app that is active. Its stages:
 *
 *   READ (the bundle, from shard 0) -> CHECK -> LOAD (on every core) -> PROPOSE -> APPLY
 *        -> ACTIVATE (every shard) -> ANSWER
 *
 * A deployment brings its bundle and begins with CHECK; a dry run goes from there to COUNT (of the
 * entities that it would touch, on every core) and ANSWER. A restart skips CHECK and what is
 * proposed. Every core has the bundle before shard 0 names it, so a core that can't take it refuses
 * the deployment instead of breaking an active app.
 *
 * Changes of nodes and replicas (meta_change.c) are no work: they are small, nobody but shard 0 has
 * to do with them, and they go on beside it.
 *
 * At a follower the only work is that of apps: what its replica applies is restored here, as at a
 * start. What a deployment waits for at the leader once its own shards have it, is that other nodes
 * tell of theirs (meta_tell.c), in ACTIVATE.
 *
 * Work that is abandoned while the cores have it (LOAD, ACTIVATE, COUNT) ends, and answers, when
 * they give it back: they read the bundle, and are asked for one thing at a time.
 */
#ifndef KX_SERVER_META_META_PARTS_H
#define KX_SERVER_META_META_PARTS_H

#include <stdatomic.h>

#include "base/io/io.h"
#include "replication/group.h"
#include "server/meta/meta.h"
#include "server/meta/meta_apps.h"
#include "server/meta/meta_layout.h"
#include "storage/cursor.h"

struct json_writer;

/*  WAITING <-> READING -> CREATING -> SERVING
 *               |   ^                ^    |
 *               |   |                |    v
 *               |   +----(lost)      FOLLOWING
 *               v
 *            STARVING, then READING again; from all of them DAMAGED
 */

enum meta_state {
	META_WAITING, /* knows nothing: does not lead, and has no records of a cluster of several */
	META_STARVING,  /* its records found no memory, and are read again later */
	META_READING,   /* its records are being read in the pool */
	META_CREATING,  /* leads; the first records are proposed */
	META_FOLLOWING, /* knows everything, and takes in what is applied */
	META_SERVING,   /* knows everything, and leads */
	META_DAMAGED    /* shard 0 is closed, or its records can't be read: `error` */
};

/* Bundles stand between them, and are not read. */
enum { META_RANGES = 2 };

enum meta_stage {
	META_STAGE_READ,
	META_STAGE_CHECK,
	META_STAGE_COUNT,
	META_STAGE_LOAD,
	META_STAGE_PROPOSE,
	META_STAGE_APPLY,
	META_STAGE_ACTIVATE,
	META_STAGE_ANSWER
};

/* A type that a plan has a line for, and that may have entities. */
struct meta_touched {
	char type[NAME_BYTES_MAX + 1];
	bool destroyed;
	size_t at; /* in `changes`: where the number belongs */
	uint64_t count;
	bool all; /* there are no more than these */
};

struct meta_work {
	struct meta_request
	    *request; /* NULL: an app is restored at the start, or asked for again */
	enum meta_stage stage;
	bool waits;      /* for a callback that moves the stage on */
	bool with_cores; /* they were asked, and have not answered */
	bool abandoned;  /* ends when they do */
	char hash[HOST_HASH_CHARACTERS + 1];
	char active[HOST_HASH_CHARACTERS + 1]; /* when it was checked; "": none */
	struct buffer read;                    /* the bundle, where it comes from shard 0 */
	struct slice bundle;                   /* the request's, or `read` */
	struct meta_app *app; /* what the app's record becomes; once applied, the one in `apps` */
	bool app_is_ours;
	bool unchanged;               /* active already: nothing is proposed */
	bool rollback;                /* stays possible afterwards */
	bool destroys;                /* data of types that are dropped */
	struct buffer changes;        /* lines */
	struct meta_touched *touched; /* in the order of the lines */
	size_t touched_count;
	size_t counted; /* so many of them, by a dry run */
	uint64_t count_until_ns;
	struct host_diagnostics diagnostics;
	struct group_position at;
	uint32_t pending;
	uint64_t until_ns;    /* of ACTIVATE, from its begin on */
	bool waits_for_nodes; /* the cores have answered; others are to tell */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): there is one, in order of use */
struct meta {
	struct meta_options options;
	struct group *group;
	enum meta_state state;
	int error; /* of STARVING and DAMAGED */
	bool leads;
	bool opened, ready, closing;
	bool ready_told; /* once, whatever becomes of leadership */
	struct meta_apps apps;
	struct meta_layout layout;
	uint64_t map_index; /* of the entry that made `layout` what it is, or above */
	struct cluster_map *map;
	struct group_position last_before; /* of the directory's log, at the start */
	bool caught_up;                    /* see cluster_map.h */

	/* Reading: owned by the pool between start and done. */
	struct io_op read_op;
	bool read_under_way;
	bool read_again; /* something was applied meanwhile */
	struct cursor *cursors[META_RANGES];
	uint64_t read_index;
	struct meta_apps read_apps;
	struct meta_layout read_layout;
	struct io_timer again_timer;

	/* What `layout` becomes: of a new cluster, or of a change. */
	struct meta_layout next;
	struct group_position created_at; /* index 0: not proposed yet */
	bool create_waits;                /* for room */
	struct list changes;              /* requests, waiting */
	struct list tried;                /* those in `next` */
	struct group_position change_at;  /* index 0: nothing is proposed */
	bool change_waits;                /* for room */

	struct engine_load load; /* of a bundle */
	bool load_under_way;
	size_t restored; /* apps restored so far */
	/* Asking shards again that are behind. */
	struct io_timer retry_timer;
	uint64_t retry_ms;        /* how long the last pause was; 0: none is behind */
	_Atomic uint32_t pending; /* of all apps */
	struct list queue;
	bool working;
	struct meta_work work;

	/* Other nodes. */
	struct io_timer tell_timer;
	uint16_t asked_by; /* who led the directory when it asked last */
	/* Shards that began to lead here, since the process began; a bit each. */
	uint8_t led[META_SHARD_BITS_BYTES];
	uint8_t have[SHARDS_MAX + 1]; /* what cores fill: struct meta_activation */
};

/* meta_open.c: reads the records of shard 0, and makes the first where there are none. */
void meta_open_start(struct meta *meta);
void meta_open_begin(struct meta *meta);
/* It leads now. */
void meta_open_lead(struct meta *meta);
void meta_open_applied(struct meta *meta, const struct group_entry *entry);
void meta_open_create(struct meta *meta);
/* Its records could not be read, made, or taken in. */
void meta_open_failed(struct meta *meta, int error);
/* A turn comes in a while, when there may be memory. */
void meta_open_again(struct meta *meta);
/* Timers it has. */
void meta_open_stop(struct meta *meta);

/* meta_follow.c */
void meta_follow_applied(struct meta *meta, const struct group_entry *entry);
/* The layout is what the entry of this index made it. */
void meta_map_note(struct meta *meta, uint64_t index);
/* Hands out a map where there is a newer one, and tells that the directory is open. False: there is
 * no memory for the first. */
bool meta_map_publish(struct meta *meta);

/* meta_change.c */
void meta_change_turn(struct meta *meta);
bool meta_change_is_due(const struct meta *meta); /* the next turn has something to do */
void meta_change_applied(struct meta *meta, const struct group_entry *entry);
/* As meta_work_abandon, of what is tried. */
void meta_change_abandon(struct meta *meta, enum status status, const char *why);

/* meta_verbs.c: the layout becomes what the request asks, and its answer is made. False: it was
 * refused, and nothing changed. */
bool meta_verb_run(struct meta_layout *layout, struct meta_request *request);
const char *meta_verb_name(enum meta_verb verb);
/* Whoever is not drained any more, or anew, has no job of that. */
void meta_node_becomes(struct cluster_node *node, enum cluster_node_state state);
/* meta_recover.c: its part for META_RECOVER. */
bool meta_run_recover(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer);
/* The directory has as many voters as it may, where there are learners that can be some. */
void meta_settle_directory(struct meta_layout *layout);

/* meta_tell.c */
/* The cores have answered for the work's app. True: it waits for other nodes now. */
bool meta_tell_activated(struct meta *meta);
/* A shard that has begun to lead here is not known to have the app. */
bool meta_tell_is_unreached(const struct meta *meta, const struct meta_app *app);
void meta_tell_stop(struct meta *meta);

/* meta_work.c */
void meta_work_begin(struct meta *meta, struct meta_request *request);
void meta_work_restore(struct meta *meta, struct meta_app *app);
/* Else it was read from shard 0, and stays there. */
bool meta_brings_bundle(const struct meta_work *work);
/* Goes on as far as it can without waiting. */
void meta_work_run(struct meta *meta);
void meta_work_applied(struct meta *meta, const struct group_entry *entry);
/* The app goes out of the list while the work has to do with it, and is the work's from now on.
 * False: it has not. */
bool meta_work_keeps(struct meta *meta, struct meta_app *app);
/* The cores have answered. False: the work was abandoned, and is over now. */
bool meta_work_returned(struct meta *meta);
/* Ends the work as soon as the cores let go of it, and answers: what was proposed is then
 * UNKNOWN_OUTCOME, the rest `status`. */
void meta_work_abandon(struct meta *meta, enum status status, const char *why);

/* meta_retry.c: the shards of the work's app have answered, or its bundle could not be loaded. */
void meta_retry_note(struct meta *meta, enum status status, uint32_t pending);
/* Some have been asked again, and again. */
bool meta_retry_lasts(const struct meta *meta);
/* How many are pending, after somebody told of some. */
void meta_retry_count(struct meta *meta, struct meta_app *app);
/* Between works: sees to it that who is behind is asked again. */
void meta_retry_plan(struct meta *meta);
/* An app that is to be asked for now, or NULL. */
struct meta_app *meta_retry_next(struct meta *meta);
bool meta_retry_is_due(const struct meta *meta); /* there may be one */
void meta_retry_stop(struct meta *meta);

/* meta_check.c: fills work->app, changes and diagnostics. False: answered with a refusal. */
bool meta_check(struct meta *meta);

/* meta_plan.c: `type` gets its number where the lines end now. ERR_NOMEM. */
NODISCARD int meta_plan_note(struct meta_work *work, const char *type, bool destroyed);
/* Each type that has a line, and had entities before, at the end of that line. ERR_NOMEM. */
NODISCARD int meta_plan_note_lines(
    struct meta_work *work, const struct meta_app *before, struct host_bundle *bundle);
/* The cores count the next one. False: there is none. */
bool meta_plan_count(struct meta *meta);
/* The lines with their numbers, so far as there are any. ERR_NOMEM, ERR_TOO_LARGE. */
NODISCARD int meta_plan_write(const struct meta_work *work, struct buffer *out);
void meta_plan_entities_json(const struct meta_work *work, struct json_writer *writer);

/* meta_answer.c */
__attribute__((format(printf, 3, 4))) void meta_refuse(
    struct meta_request *request, enum status status, const char *format, ...);
/* With the errors of the diagnostics as details, and the first of them in the message. */
void meta_refuse_diagnosed(
    struct meta_request *request, const char *what, const struct host_diagnostics *diagnostics);
/* Shard 0 may use what a full disk keeps back, and so may each shard's activation: both are small.
 * A bundle is not, so it is refused while other changes are. */
void meta_refuse_full(struct meta *meta);
void meta_answer_list(struct meta *meta, struct meta_request *request);
void meta_answer_work(struct meta_request *request, const struct meta_work *work, uint32_t shards);
/* What was asked for has been so since that version of the directory: the answer says that. */
void meta_answer_settled(struct meta_request *request, uint64_t version);

#endif
