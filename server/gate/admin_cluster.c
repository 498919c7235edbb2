/* ADMIN CLUSTER, NODE and SHARD: from words to a request of the directory. */
#include <string.h>

#include "base/mem.h"
#include "server/gate/admin.h"
#include "server/meta/meta.h"

/* A plan has fewer; one that is longer is none that was ever told. */
enum { EXPECTED_BYTES_MAX = 64 };

struct cluster_work {
	struct admin_request base;
	struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
	char expected[EXPECTED_BYTES_MAX];
};

static const char cluster_usage[] = "ADMIN CLUSTER STATUS | RECOVER UNSAFE [node ...] [DAMAGED] "
                                    "[UNPROVED] [EXPECT plan] [DRYRUN]: nodes that are gone for "
                                    "ever, replicas that are damaged";
static const char node_usage[] =
    "ADMIN NODE LIST | DRAIN node | UNDRAIN node | REMOVE node [FORCE [UNPROVED]], then [DRYRUN]";
static const char shard_usage[] = "ADMIN SHARD SET shard generation node ... [LEARNERS node ...] | "
                                  "LEAD shard node, then [DRYRUN]";

static bool read_node(struct slice word, uint16_t *ret_node)
{
	int64_t number = 0;
	bool good = word_integer(word, 1, CLUSTER_NODE_MAX, &number);
	*ret_node = (uint16_t)number;
	return good;
}

/* The last word of what changes something: it is only tried. */
static void take_dry_run(
    struct meta_request *request, const struct slice *args, uint32_t *count, uint32_t least)
{
	request->dry_run = *count > least && word_is(args[*count - 1], "dryrun");
	*count -= request->dry_run;
}

/* In front of it, where the word stands there. */
static bool take_expected(
    struct cluster_work *work, const struct slice *args, uint32_t *count, uint32_t least)
{
	if (*count < least + 2 || !word_is(args[*count - 2], "expect"))
		return true;
	struct slice plan = args[*count - 1];
	*count -= 2;
	if (plan.bytes == 0 || plan.bytes > sizeof(work->expected))
		return false;
	memcpy(work->expected, plan.data, plan.bytes);
	work->base.directory.request.expected = slice_of(work->expected, plan.bytes);
	return true;
}

static bool parse_cluster(struct cluster_work *work, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	request->verb = META_CLUSTER_STATUS;
	if (count == 3 && word_is(args[2], "status"))
		return true;
	request->verb = META_CLUSTER_RECOVER;
	if (count < 5 || !word_is(args[2], "recover") || !word_is(args[3], "unsafe"))
		return false;
	take_dry_run(request, args, &count, 5);
	if (!take_expected(work, args, &count, 5))
		return false;
	request->unproved = count > 5 && word_is(args[count - 1], "unproved");
	count -= request->unproved;
	request->damaged = word_is(args[count - 1], "damaged");
	count -= request->damaged;
	request->wanted = work->wanted;
	for (uint32_t i = 4; i < count; i++) {
		if (request->wanted_count == CLUSTER_REPLICAS_MAX ||
		    !read_node(args[i], &work->wanted[request->wanted_count++].node))
			return false;
	}
	return true;
}

static bool parse_node(struct cluster_work *work, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	request->verb = META_NODE_LIST;
	if (count == 3)
		return word_is(args[2], "list");
	take_dry_run(request, args, &count, 4);
	if (count < 4 || !read_node(args[3], &request->node.node))
		return false;
	if (word_is(args[2], "remove")) {
		request->verb = META_NODE_REMOVE;
		request->force = count >= 5 && word_is(args[4], "force");
		request->unproved = request->force && count > 5 && word_is(args[5], "unproved");
		count -= request->unproved;
		return count == 4 + (uint32_t)request->force;
	}
	request->verb = word_is(args[2], "drain") ? META_NODE_DRAIN : META_NODE_UNDRAIN;
	return count == 4 && (request->verb == META_NODE_DRAIN || word_is(args[2], "undrain"));
}

/* Voters, then, behind a word, learners. */
static bool parse_wanted(struct cluster_work *work, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	bool voter = true;
	request->wanted = work->wanted;
	for (uint32_t i = 0; i < count; i++) {
		if (voter && i > 0 && i + 1 < count && word_is(args[i], "learners")) {
			voter = false;
			continue;
		}
		if (request->wanted_count == CLUSTER_REPLICAS_MAX)
			return false;
		struct meta_wanted *wanted = &work->wanted[request->wanted_count++];
		wanted->voter = voter;
		if (!read_node(args[i], &wanted->node))
			return false;
	}
	return true;
}

static bool parse_shard(struct cluster_work *work, const struct slice *args, uint32_t count)
{
	struct meta_request *request = &work->base.directory.request;
	int64_t shard, generation = 0;
	if (count < 5 || !word_integer(args[3], 0, UINT32_MAX, &shard))
		return false;
	request->shard = (uint32_t)shard;
	take_dry_run(request, args, &count, 5);
	if (word_is(args[2], "lead")) {
		request->verb = META_SHARD_LEAD;
		return count == 5 && read_node(args[4], &request->node.node);
	}
	request->verb = META_SHARD_SET;
	if (!word_is(args[2], "set") || count < 6 ||
	    !word_integer(args[4], 0, INT64_MAX, &generation))
		return false;
	request->expected_generation = (uint64_t)generation;
	return parse_wanted(work, args + 5, count - 5);
}

static void run(struct session *session, const struct slice *args, uint32_t count,
    bool (*parse)(struct cluster_work *work, const struct slice *args, uint32_t count),
    const char *usage)
{
	struct cluster_work *work = mem_zalloc(1, sizeof(*work));
	if (!work) {
		admin_no_memory(session);
		return;
	}
	if (!parse(work, args, count)) {
		mem_free(work);
		admin_usage(session, usage);
		return;
	}
	admin_request_send(session, &work->base, sizeof(*work));
}

void admin_cluster(struct session *session, const struct slice *args, uint32_t count)
{
	run(session, args, count, parse_cluster, cluster_usage);
}

void admin_node(struct session *session, const struct slice *args, uint32_t count)
{
	run(session, args, count, parse_node, node_usage);
}

void admin_shard(struct session *session, const struct slice *args, uint32_t count)
{
	run(session, args, count, parse_shard, shard_usage);
}
