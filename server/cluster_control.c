/* Core 0's part: it says who leads the directory, keeps this node's record right, and gathers what
 * the leaders of shards report, for who plans. */
#include "server/cluster_control.h"

#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"

enum {
	TICK_MS = 500,
	/* When a shard has arrived where it is wanted another one may begin. */
	SOON_MS = 20,
	/* Right after a start, and while nodes join, some are refused that are not a moment later.
	 */
	REFUSED_MS = 3000,
	OWN_SAID_MS = 10000,
	/* A node that dies is reached until its links are silent, and its address is free some time
	 * later: what is refused for longer than that stays so. */
	OWN_REFUSED_MS = 15000,
};

static void tick(struct io_timer *timer);
static void own_done(struct meta_request *request);
static void forget_seen(struct cluster_control *control);

int cluster_control_new(struct cluster_core *core, struct cluster_control **ret_control)
{
	struct cluster_control *control = mem_zalloc(1, sizeof(*control));
	if (!control)
		return ERR_NOMEM;
	control->own_moves = mem_zalloc(core->options->self.cores, sizeof(*control->own_moves));
	if (!control->own_moves) {
		mem_free(control);
		return ERR_NOMEM;
	}
	control->core = core;
	if (core->options->peers)
		control->kept = *core->options->peers;
	control->timer.fired = tick;
	number_map_init(&control->stranded);
	list_init(&control->stranded_list);
	for (size_t i = 0; i < CLUSTER_CHANGES_MAX; i++)
		control->changes[i].control = control;
	cluster_alone_begin(control);
	*ret_control = control;
	return 0;
}

void cluster_control_free(struct cluster_control *control)
{
	if (!control)
		return;
	io_timer_cancel(control->core->io, &control->timer);
	cluster_recover_done(control);
	forget_seen(control);
	mem_free(control->own_moves);
	mem_free(control);
}

void cluster_control_end(struct cluster_control *control)
{
	control->ended = true;
	io_timer_cancel(control->core->io, &control->timer);
	cluster_alone_end(control);
}

void cluster_control_look(struct cluster_control *control)
{
	if (!control->ended && !control->timer.armed)
		io_timer_set(control->core->io, &control->timer,
		    io_now_ns(control->core->io) + TICK_MS * NS_PER_MS);
}

/* Not at once: others may arrive meanwhile. */
static void look_soon(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	if (control->ended || control->soon)
		return;
	control->soon = true;
	io_timer_set(core->io, &control->timer, io_now_ns(core->io) + SOON_MS * NS_PER_MS);
}

/* ---- Who leads the directory ---- */

static void forget_seen(struct cluster_control *control)
{
	mem_free(control->seen);
	mem_free(control->seen_members);
	load_book_done(&control->loads);
	control->seen = NULL;
	control->seen_members = NULL;
}

static void begin_seeing(struct cluster_control *control)
{
	uint32_t shards = control->core->options->shard_count;
	forget_seen(control);
	control->seen = mem_zalloc(shards + (size_t)1, sizeof(*control->seen));
	control->seen_members =
	    mem_zalloc(cluster_replicas_begin(shards + 1), sizeof(*control->seen_members));
	int error = load_book_init(&control->loads, shards + 1);
	if (!control->seen || !control->seen_members || error) {
		forget_seen(control);
		return;
	}
	for (uint32_t shard = 0; shard <= shards; shard++)
		control->seen[shard].members =
		    &control->seen_members[cluster_replicas_begin(shard)];
}

static void take_lead(struct cluster_control *control)
{
	/* Without it nothing is planned; the next tick tries again. */
	begin_seeing(control);
	control->even_version = 0;
	control->waiting = 0;
	control->resting = 0;
	control->left = 0;
	control->unled = 0;
	control->planned = false;
	control->led_since_ns = io_now_ns(control->core->io);
}

/* Where nobody leads, each node looks at what it hears. */
static void look_without_lead(struct cluster_control *control)
{
	if (control->leads)
		return;
	if (control->lost && !control->seen) {
		begin_seeing(control);
		control->led_since_ns = 0;
	} else if (!control->lost) {
		forget_seen(control);
	}
}

uint16_t cluster_directory_leader(const struct cluster_core *core)
{
	const struct group *group = group_store_group(core->stores[0], 0);
	uint16_t node = group ? cluster_replica_node(group_leader(group)) : 0;
	const struct cluster_link *link = cluster_link_find(core, node, 0);
	if (core->meta && meta_leads(core->meta))
		return core->options->self.node;
	return link && link->up ? node : 0;
}

/* To core 0 of that node; 0: of all that are linked. */
static void tell_node(struct cluster_core *core, uint16_t node, uint8_t kind, struct slice bytes)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	LIST_FOR_EACH(list_node, &core->links)
	{
		const struct cluster_link *link =
		    CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->number != 0 || !link->up || link->removed ||
		    (node != 0 && link->node != node))
			continue;
		int missed = peer_send(link->peer, PEER_ENTRIES, kind, &iov, 1);
		/* The next one comes soon. */
		(void)missed;
	}
}

void cluster_tell_directory(struct cluster_core *core, uint8_t kind, struct slice bytes)
{
	tell_node(core, cluster_directory_leader(core), kind, bytes);
}

void cluster_control_turn(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	if (!core->meta || control->ended)
		return;
	bool leads = meta_leads(core->meta);
	if (leads == control->leads)
		return;
	control->leads = leads;
	if (leads) {
		forward_leads(core->forward, 0, group_term(group_store_group(core->stores[0], 0)));
		take_lead(control);
		cluster_alone_look(control);
	} else {
		cluster_shards_forget_wish(core, 0);
		forward_follows(core->forward, 0);
		forget_seen(control);
	}
	cluster_control_look(control);
}

/* ---- This node's own record ---- */

static bool same_node(const struct cluster_node *a, const struct cluster_node *b)
{
	return a->cores == b->cores && a->stores == b->stores && cluster_node_same_address(a, b) &&
	       strcmp(a->zone, b->zone) == 0;
}

/* Two nodes that both came back elsewhere do not find each other; others find both. */
static void tell_linked(struct cluster_core *core, const struct cluster_node *self)
{
	uint8_t bytes[CLUSTER_HELLO_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_hello_write(&out, self, 0);
	tell_node(core, 0, CLUSTER_KIND_NODE, writer_view(&out));
}

static void relayed(struct meta_request *request)
{
	struct cluster_control *control = CONTAINER_OF(request, struct cluster_control, relayed);
	control->relayed_busy = false;
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

int cluster_control_node(
    struct cluster_control *control, const struct cluster_link *link, struct slice bytes)
{
	struct cluster_core *core = control->core;
	struct cluster_node node;
	uint64_t damaged;
	if (cluster_hello_read(bytes, &node, &damaged) || damaged != 0 ||
	    node.incarnation != link->incarnation)
		return ERR_PROTOCOL;
	/* It says so again. */
	if (!core->meta || control->ended || control->relayed_busy)
		return 0;
	node.node = link->node;
	control->relayed =
	    (struct meta_request){.verb = META_NODE_SET, .node = node, .done = relayed};
	control->relayed_busy = true;
	cluster_core_directory(core, &control->relayed);
	return 0;
}

static bool reaches_directory(const struct cluster_core *core)
{
	uint16_t leader = cluster_leader(core->options->leaders, 0);
	const struct cluster_link *link = cluster_link_find(core, leader, 0);
	return meta_leads(core->meta) || (link && link->up);
}

/* A node that was restarted may be reached elsewhere, or have more cores. */
static void mend_own(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	const struct cluster_node *known = cluster_map_node(core->map, core->options->self.node);
	struct cluster_node self;
	core->services.self(core->services.arg, &self);
	if (!known || control->own_busy || same_node(known, &self))
		return;
	if (!reaches_directory(core)) {
		tell_linked(core, &self);
		return;
	}
	control->own = (struct meta_request){.verb = META_NODE_SET, .node = self, .done = own_done};
	control->own_busy = true;
	cluster_core_directory(core, &control->own);
}

/* It is asked for twice a second. */
static void say_own_not_set(struct cluster_control *control, const struct meta_request *request)
{
	uint64_t now_ns = io_now_ns(control->core->io);
	if (control->own_said_ns != 0 && now_ns - control->own_said_ns < OWN_SAID_MS * NS_PER_MS)
		return;
	control->own_said_ns = now_ns;
	LOG_LINE(request->status == STATUS_FAILED_PRECONDITION ? LEVEL_ERROR : LEVEL_WARNING,
	    "own_record_not_set", FIELD_U64("node", control->core->options->self.node),
	    FIELD_TEXT("status", status_name(request->status)),
	    FIELD_SLICE("why", buffer_view(&request->reply)),
	    FIELD_TEXT("advice",
	        "until then others look for this node at the address that it had before, and "
	        "take none of what it says anew (advertise, ports, cores, zone); where that is "
	        "refused, and not only waited for, it ends after 15 seconds"));
}

/* Who is refused is where clients and others do not find it, or find another one. That is said by
 * an end, as of a start that goes wrong: whoever gave it that address has just started it. */
static void note_own(struct cluster_control *control, const struct meta_request *request)
{
	const struct cluster_services *services = &control->core->services;
	uint64_t now_ns = io_now_ns(control->core->io);
	if (request->status != STATUS_FAILED_PRECONDITION) {
		control->own_refused_ns = 0;
		return;
	}
	if (control->own_refused_ns == 0)
		control->own_refused_ns = now_ns;
	else if (now_ns - control->own_refused_ns >= OWN_REFUSED_MS * NS_PER_MS &&
	         services->refused)
		services->refused(services->arg, buffer_view(&request->reply));
}

static void own_done(struct meta_request *request)
{
	struct cluster_control *control = CONTAINER_OF(request, struct cluster_control, own);
	control->own_busy = false;
	note_own(control, request);
	if (request->status != STATUS_OK)
		say_own_not_set(control, request);
	else
		control->own_said_ns = 0;
	buffer_done(&request->reply);
	buffer_done(&request->details);
	cluster_control_look(control);
}

/* ---- Damaged replicas ---- */

static void damage_told(struct meta_request *request)
{
	struct cluster_damage *damage = CONTAINER_OF(request, struct cluster_damage, request);
	damage->busy = false;
	/* Where it stays, its shard_closed stands in the log already. */
	LOG_LINE(request->status == STATUS_OK ? LEVEL_WARNING : LEVEL_DEBUG, "replica_given_up",
	    FIELD_U64("group", request->shard), FIELD_TEXT("status", status_name(request->status)),
	    FIELD_SLICE("answer", buffer_view(&request->reply)));
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

void cluster_control_damaged(struct cluster_control *control, uint32_t shard, uint64_t generation)
{
	struct cluster_core *core = control->core;
	if (!core->meta || control->ended || !reaches_directory(core))
		return;
	for (size_t i = 0; i < CLUSTER_DAMAGES_MAX; i++) {
		struct cluster_damage *damage = &control->damages[i];
		if (damage->busy)
			continue;
		damage->request = (struct meta_request){.verb = META_SHARD_DAMAGED,
		    .shard = shard,
		    .expected_generation = generation,
		    .node = {.node = core->options->self.node},
		    .done = damage_told};
		damage->busy = true;
		cluster_core_directory(core, &damage->request);
		return;
	}
}

/* ---- Whom nobody takes ---- */

/* Others that are there and refuse links with this node, or are refused. */
struct refusing {
	uint32_t members; /* with this one */
	uint32_t count, secret, version;
	unsigned reason; /* the last one's */
};

/* Nobody where one of the others is linked. */
static struct refusing look_who_refuses(const struct cluster_core *core)
{
	struct refusing all = {.count = 0};
	for (uint32_t i = 0; i < core->map->node_count; i++) {
		const struct cluster_node *node = &core->map->nodes[i];
		if (node->state == CLUSTER_NODE_REMOVED)
			continue;
		all.members++;
		if (node->node == core->options->self.node)
			continue;
		if (cluster_core_linked(core, node->node))
			return (struct refusing){.count = 0};
		struct peer_refused refused;
		/* Who is no node has no say in it. */
		if (!cluster_link_refused(core, node->node, &refused) ||
		    refused.reason == PEER_REFUSED_FOREIGN || refused.reason == PEER_REFUSED_SILENT)
			continue;
		all.count++;
		all.secret += refused.reason == PEER_REFUSED_SECRET;
		all.version += refused.reason == PEER_REFUSED_VERSION;
		all.reason = refused.reason;
	}
	return all;
}

/* It is this one that is wrong where a majority says so. Else it may be the others: they may be one
 * that is wrong itself, beside others that are down. */
static const char *advice(const struct refusing *all)
{
	if (2 * all->secret > all->members)
		return "cluster_secret_file has another secret than theirs: give this node theirs, "
		       "and start it again";
	if (all->secret > 0)
		return "this node's cluster_secret_file and theirs differ: give all the one that "
		       "most nodes have";
	if (2 * all->version > all->members)
		return "this node speaks no version of the protocol that they do (peer_refused has "
		       "both): give it the version of Kalix that they have";
	if (all->version > 0)
		return "this node and they have no version of the protocol in common (peer_refused "
		       "has both): upgrade the older ones";
	return "peer_refused has what they say";
}

/* Where all that are there refuse, its log says so in one line, and not only what each of them
 * says. */
static void look_at_refusals(struct cluster_control *control)
{
	uint64_t now_ns = io_now_ns(control->core->io);
	struct refusing all = look_who_refuses(control->core);
	if (all.count == 0) {
		control->refused_since_ns = 0;
		control->refused_told = false;
		return;
	}
	if (control->refused_since_ns == 0)
		control->refused_since_ns = now_ns;
	if (control->refused_told || now_ns - control->refused_since_ns < REFUSED_MS * NS_PER_MS)
		return;
	control->refused_told = true;
	LOG_LINE(LEVEL_ERROR, "no_node_takes_this_one", FIELD_U64("nodes", all.count),
	    FIELD_TEXT("refused", peer_refusal_word(all.reason)),
	    FIELD_TEXT("advice", advice(&all)));
}

/* ---- Reports ---- */

static void see(struct cluster_seen *seen, const struct cluster_row *row)
{
	seen->term = row->term;
	seen->generation = row->generation;
	seen->last_index = row->last_index;
	seen->pending = row->pending;
	seen->stands_ms = row->stands_ms;
	seen->settled = row->settled;
	seen->count = row->count;
	memcpy(seen->members, row->members, row->count * sizeof(row->members[0]));
}

static int take_report(struct cluster_control *control, uint16_t node, struct slice rows)
{
	struct reader in = reader_of(rows);
	struct cluster_row row;
	while (reader_left(&in) > 0) {
		if (cluster_row_read(&in, &row) ||
		    row.shard > control->core->options->shard_count ||
		    row.count > cluster_replicas_room(row.shard))
			return ERR_PROTOCOL;
		struct cluster_seen *seen = control->seen ? &control->seen[row.shard] : NULL;
		if (!seen || (seen->at_ns > 0 && seen->term > row.term))
			continue;
		bool arrived =
		    row.settled && (!seen->settled || seen->generation != row.generation);
		if (arrived && control->leads)
			look_soon(control);
		see(seen, &row);
		if (seen->node != 0 && seen->node != node)
			load_book_led(&control->loads, row.shard, io_now_ns(control->core->io));
		seen->node = node;
		seen->at_ns = io_now_ns(control->core->io);
	}
	return 0;
}

int cluster_control_rows(
    struct cluster_control *control, enum cluster_kind kind, uint16_t node, struct slice rows)
{
	bool own = node == control->core->options->self.node;
	int error = kind == CLUSTER_KIND_REPORT     ? take_report(control, node, rows)
	            : kind == CLUSTER_KIND_STRANDED ? cluster_control_stranded(control, node, rows)
	                                            : cluster_control_loads(control, node, rows);
	if (!error && own && !control->leads)
		cluster_tell_directory(control->core, kind, rows);
	return error;
}

/* ---- From time to time ---- */

bool cluster_has_others(const struct cluster_core *core)
{
	uint32_t count = 0;
	for (uint32_t i = 0; core->map && i < core->map->node_count; i++)
		count += core->map->nodes[i].state != CLUSTER_NODE_REMOVED;
	return count > 1;
}

static void tick(struct io_timer *timer)
{
	struct cluster_control *control = CONTAINER_OF(timer, struct cluster_control, timer);
	struct cluster_core *core = control->core;
	control->soon = false;
	if (!core->meta || !core->map)
		return;
	mend_own(control);
	cluster_keep_look(control);
	cluster_recover_tick(control);
	look_at_refusals(control);
	look_without_lead(control);
	if (control->leads && !control->seen)
		take_lead(control);
	if (control->leads && control->seen)
		cluster_plan(control);
	/* A node alone is looked at when something changes, and until its jobs are over. */
	if (cluster_has_others(core) || control->own_busy || cluster_alone_busy(control) ||
	    control->alone.is_kept || cluster_jobs_run(control))
		cluster_control_look(control);
}
