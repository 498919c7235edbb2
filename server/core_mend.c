/* A node whose replica of the directory is damaged starts all the same: it gives that one up, and
 * gets another one from the other nodes. On core 0, before anything is served. Damage of the log is
 * found before that. Damage of the store is found by who reads it, at the start or later: then the
 * process writes down that the replica is given up, and begins anew.
 *
 *   that it is given up is written down, in the file `mending`
 *   -> asks (core_join.c) until the directory wants another replica here, and the group has let go
 *   of the damaged one
 *   -> the new one's number is written to the file `member`
 *   -> what is left of the old one goes, and then the file `mending`
 *   -> the directory begins as that of a node that joins: a leader sends it a snapshot
 *
 * Why it is safe. The damaged replica says nothing from the moment on that it is found damaged,
 * here and in every later process: a group that is closed does not start, whatever its number is,
 * and where its log can be read again, or was repaired, the file says that others may have given it
 * up by then. (It would vote and lead for a group that knows nothing of it.)
 * So it is one that is not there, as its group sees it, and that record of the directory by which
 * it is given up is committed by a majority without it. Its number goes before its data: after a
 * crash between the two the file names another number than `member`, and the data still goes before
 * the new one says anything. The other way round the old number would come back without its votes.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/io.h"
#include "base/log_line.h"
#include "replication/group.h"
#include "server/server.h"
#include "storage/data_mending.h"
#include "storage/engine.h"

/* For so long others are seen to be a majority without this one, before a node that serves all that
 * it has of other shards begins anew for the directory's sake. */
static const uint64_t ELSEWHERE_NS = 3 * NS_PER_S;

static bool is_damaged(const struct core *core)
{
	return engine_shard_closed(group_store_engine(core->stores[0]), 0);
}

bool core_needs_mending(const struct core *core)
{
	const struct server *server = core->server;
	if (server->mend.damaged != 0)
		return true;
	/* One that was to join, and was not let in yet, has no replica to give up. */
	return is_damaged(core) && server->member.node != 0 && core_has_peers(server);
}

/* Nothing has gone yet: the others decide when the next process asks them. What is unreadable in
 * the store goes when that drops the replica. Where it cannot be written down, that is said. */
static void give_up_and_begin_again(struct core *core)
{
	struct server *server = core->server;
	uint64_t replica = server->member.directory_replica;
	int error = data_mending_write(server->fs, replica);
	LOG_LINE(LEVEL_ERROR, "directory_unreadable_here", FIELD_U64("group", 0),
	    FIELD_U64("replica", replica), FIELD_ERROR("error", error));
	if (!error)
		server_begin_again(server);
}

void core_mend_later(struct core *core)
{
	const struct server *server = core->server;
	if (core_needs_mending(core) && server->mend.damaged == 0)
		give_up_and_begin_again(core);
}

/* While the node serves, others in its store that cannot be read are given up, and that, too, ends
 * in a new beginning: all go together then. A start would have to leave them out in part
 * (storage/install_shed.c), while nobody has said yet that they may go. */
static bool other_is_damaged(const struct core *core)
{
	return engine_figures(group_store_engine(core->stores[0])).shards_closed > 1;
}

void core_mend_serving(struct core *core)
{
	struct server *server = core->server;
	struct mend *mend = &server->mend;
	if (!is_damaged(core) || server->member.node == 0 || other_is_damaged(core))
		return;
	uint64_t now_ns = io_now_ns(core->io);
	if (!cluster_core_directory_elsewhere(core->cluster)) {
		mend->elsewhere_ns = 0;
	} else if (mend->elsewhere_ns == 0) {
		mend->elsewhere_ns = now_ns;
	} else if (now_ns - mend->elsewhere_ns >= ELSEWHERE_NS) {
		/* Where that fails (a full disk), later. */
		mend->elsewhere_ns = 0;
		give_up_and_begin_again(core);
	}
}

static enum core_step say_error(struct server *server, int error)
{
	server_fail(server, "%s: the file 'mending': %s; %s", server->config->data,
	    error_text(error), error_advice(error));
	return CORE_FAILED;
}

static enum core_step clear(struct core *core);

static enum core_step begin(struct core *core)
{
	struct server *server = core->server;
	server->mend.may_have = server->mend.damaged != 0;
	/* A process before this one got the new number, and was ended before the old data went. */
	if (server->mend.may_have && server->mend.damaged != server->member.directory_replica)
		return clear(core);
	server->mend.stage = MEND_ASKS;
	server->mend.damaged = server->member.directory_replica;
	int error = data_mending_write(server->fs, server->mend.damaged);
	if (error)
		return say_error(server, error);
	LOG_LINE(LEVEL_ERROR, "directory_damaged", FIELD_U64("group", 0),
	    FIELD_U64("replica", server->mend.damaged),
	    FIELD_TEXT("advice", "another one is asked for; see kalix-admin log verify"));
	return CORE_DONE;
}

int core_mend_refused(struct server *server)
{
	if (server->mend.may_have)
		return 0;
	return data_mending_end(server->fs);
}

/* The others have let go of it. */
static enum core_step clear(struct core *core)
{
	struct server *server = core->server;
	ASSERT(server->member.directory_replica != server->mend.damaged);
	server->founds = false;
	LOG_LINE(LEVEL_WARNING, "replica_given_up", FIELD_U64("group", 0),
	    FIELD_U64("replica", server->mend.damaged));
	LOG_LINE(LEVEL_INFO, "replica_comes", FIELD_U64("group", 0),
	    FIELD_U64("replica", server->member.directory_replica));
	server->mend.stage = MEND_CLEARS;
	int error = group_store_clear(core->stores[0], 0);
	/* It was gone already, and the file was not. */
	if (!error || (error == ERR_NOT_FOUND && !is_damaged(core)))
		return CORE_WORKS;
	server_fail(server, "%s: the damaged directory cannot be removed: %s; %s",
	    server->config->data, error_text(error), error_advice(error));
	return CORE_FAILED;
}

/* Where a part of the store cannot be read the process begins anew once, and drops it so. What is
 * in the way of that, too, is said again and again. */
static enum core_step wait_until_clear(struct core *core)
{
	struct server *server = core->server;
	bool more = false;
	if (server_is_told_to_end(server)) {
		server_fail(server, "stopped before the damaged directory was removed");
		return CORE_FAILED;
	}
	for (uint32_t i = 0; i < server->map.store_count; i++)
		if (core->stores[i])
			more |= group_store_turn(core->stores[i]);
	if (core->wants_reopening) {
		server_begin_again(server);
		server_fail(server, "the damaged directory goes at the next start");
		return CORE_FAILED;
	}
	if (group_store_holds(core->stores[0], 0))
		return more ? CORE_WORKS : CORE_WAITS;
	ASSERT(!is_damaged(core));
	int error = data_mending_end(server->fs);
	if (error)
		return say_error(server, error);
	server->mend.stage = MEND_NOT;
	server->mend.damaged = 0;
	return CORE_DONE;
}

enum core_step core_mend(struct core *core)
{
	struct server *server = core->server;
	if (server->mend.stage == MEND_NOT) {
		enum core_step step = begin(core);
		if (step != CORE_DONE)
			return step;
	}
	if (server->mend.stage == MEND_CLEARS)
		return wait_until_clear(core);
	enum core_step step = core_join(core);
	return step == CORE_DONE ? clear(core) : step;
}
