/* One entity as a server has it, against what a version of its app makes of the same data.
 *
 * Event-sourced: the whole history, page by page, is folded by the version given here, and the
 * state compared with the one that the server answers with (its snapshots, and the active version).
 * Value entities: the stored state is read as the version given here reads it: migrated, and
 * checked against its schema. Only reads; nothing is bounded but memory: a page, and three states.
 */
#ifndef KX_CLIENT_ADMIN_REPLAY_H
#define KX_CLIENT_ADMIN_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "client/admin/online.h"
#include "scripting/host.h"

enum replay_result {
	REPLAY_SAME,
	REPLAY_ABSENT,     /* the entity does not exist (any more) */
	REPLAY_UNCOMPARED, /* folds, but its state is of a version without steps to this one */
	REPLAY_CHANGING,   /* deleted and made anew meanwhile, again and again */
	REPLAY_DIFFERS,    /* at `path`, in the state of `revision` */
	/* `why`; `revision` is that of the event that was folded then, or behind which a state that
	 * does not fit was found. */
	REPLAY_FAILS,
	REPLAY_STOPPED /* said already: `code` */
};

/* Zeroed first; host, component and online are the caller's. replay_done after any. */
struct replay {
	struct online *online;
	struct host *host;
	struct host_component *component;
	uint64_t events; /* folded so far, over all entities */

	/* Of the last entity. */
	uint64_t revision;
	char path[512];
	char why[1100];
	enum exit_code code;

	/* Private. */
	struct buffer stored, folded, other, data;
	struct buffer page;   /* entries of a history, as JSON */
	struct slice entries; /* in it */
	size_t entries_offset;
	char name[NAME_BYTES_MAX + 1]; /* of the event under way */
	uint64_t target, born;
	bool gap;  /* revisions do not follow on one another */
	int error; /* of what a page holds */
};

void replay_init(struct replay *replay, struct online *online, struct host *host);
void replay_done(struct replay *replay);
enum replay_result replay_entity(struct replay *replay, const char *address);

#endif
