/* A node that was let in has no directory yet: whoever leads it connects to this one, and sends it.
 * Where nobody does it waits for ever, and says for what. On core 0, before anything is served. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "server/cluster.h"
#include "server/core_join.h"
#include "server/server.h"

enum {
	/* It takes much less where all is well. */
	FIRST_MS = 2000,
	AGAIN_MS = 10000,
};

static void rang(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct core_await, timer)->rung = true;
}

static void say(const struct core *core)
{
	const struct server *server = core->server;
	struct cluster_node self;
	char at[CLUSTER_HOST_BYTES + 16], linked[256];
	server_node(server, &self);
	snprintf(at, sizeof(at), "%s:%u", self.host, self.peer_port);
	cluster_core_linked_text(core->cluster, linked, sizeof(linked));
	LOG_LINE(LEVEL_WARNING, "directory_awaited", FIELD_U64("node", self.node),
	    FIELD_TEXT("at", at), FIELD_TEXT("join", server->config->join),
	    FIELD_TEXT("linked", linked),
	    FIELD_TEXT("advice",
	        "the node that leads the directory (shard 0) has to connect to this one, and send "
	        "it: nodes look for this one at that address (advertise, peer_port); see "
	        "kalix-admin cluster status at one of them"));
}

static void wait(struct core *core, uint64_t ms)
{
	struct core_await *await = &core->server->await;
	await->begun = true;
	await->rung = false;
	await->timer.fired = rang;
	io_timer_set(core->io, &await->timer, io_now_ns(core->io) + ms * NS_PER_MS);
}

void core_await(struct core *core)
{
	const struct core_await *await = &core->server->await;
	if (!await->begun) {
		wait(core, FIRST_MS);
	} else if (await->rung) {
		say(core);
		wait(core, AGAIN_MS);
	}
}

void core_await_end(struct core *core)
{
	io_timer_cancel(core->io, &core->server->await.timer);
}
