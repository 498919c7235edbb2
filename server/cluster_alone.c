#include "server/cluster_alone.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mutation.h"
#include "server/cluster_control.h"
#include "server/meta/recovery.h"

/* An only voter leads when its first entry is durable. */
enum { LEADS_MS_MAX = 10000 };

/* ---- The answer ---- */

static void answer(struct cluster_alone *alone)
{
	struct meta_request *request = alone->asked;
	if (!request)
		return;
	alone->asked = NULL;
	request->status = STATUS_OK;
	request->reply = alone->reply;
	alone->reply = (struct buffer){.data = NULL};
	request->done(request);
}

static void refuse(struct cluster_alone *alone, const char *why, int error)
{
	struct meta_request *request = alone->asked;
	if (!request)
		return;
	alone->asked = NULL;
	buffer_done(&alone->reply);
	cluster_refuse(request, STATUS_UNAVAILABLE, "the directory %s%s%s%s: repeat", why,
	    error ? " (" : "", error ? error_text(error) : "", error ? ")" : "");
	request->done(request);
}

/* ---- The file ---- */

static struct data_recovered file_of(const struct meta_recovery *own)
{
	const struct cluster_recovery *recovery = &own->recovery;
	struct data_recovered file = {.replica = recovery->replica,
	    .term = recovery->term,
	    .committed = recovery->committed,
	    .index = recovery->index,
	    .at_ms = recovery->at_ms};
	for (uint32_t i = 0; i < own->given_up_count; i++)
		file.given_up[file.given_up_count++] = own->given_up[i];
	return file;
}

static struct meta_recovery own_of(const struct data_recovered *file)
{
	struct meta_recovery own = {.shard = 0,
	    .recovery = {.replica = file->replica,
	        .term = file->term,
	        .committed = file->committed,
	        .index = file->index,
	        .at_ms = file->at_ms,
	        .gives_up = file->given_up_count > 0}};
	for (uint32_t i = 0; i < file->given_up_count; i++)
		own.given_up[own.given_up_count++] = file->given_up[i];
	return own;
}

static void write_out(struct io_op *op)
{
	struct cluster_alone *alone = CONTAINER_OF(op, struct cluster_alone, op);
	struct cluster_control *control = CONTAINER_OF(alone, struct cluster_control, alone);
	const struct cluster_services *services = &control->core->services;
	op->result = services->keep_recovered(services->arg, alone->ends ? NULL : &alone->file);
}

static void go_on(struct cluster_control *control)
{
	struct cluster_alone *alone = &control->alone;
	struct group *group = group_store_group(control->core->stores[0], 0);
	struct group_position at;
	uint64_t term = alone->own.recovery.term;
	int error = group ? group_recover(group, term, &at) : ERR_AGAIN;
	if (error) {
		alone->step = ALONE_NOT;
		refuse(alone, "could not be recovered now", error);
		return;
	}
	alone->step = ALONE_GOES_ON;
	alone->until_ns = io_now_ns(control->core->io) + LEADS_MS_MAX * NS_PER_MS;
	cluster_recover_log(&alone->own, alone->asked ? alone->asked->user : slice_from_text(""));
}

static void written(struct io_op *op)
{
	struct cluster_alone *alone = CONTAINER_OF(op, struct cluster_alone, op);
	struct cluster_control *control = CONTAINER_OF(alone, struct cluster_control, alone);
	alone->busy = false;
	/* One that could not be taken away is so at a later tick, or at the next start. */
	if (alone->ends) {
		alone->is_kept = op->result != 0;
		return;
	}
	if (op->result == 0 && !control->ended) {
		go_on(control);
		return;
	}
	alone->step = ALONE_NOT;
	refuse(alone, "could not be recovered now", (int)op->result);
}

static void use_file(struct cluster_control *control, bool ends)
{
	struct cluster_alone *alone = &control->alone;
	ASSERT(!alone->busy);
	alone->busy = true;
	alone->ends = ends;
	alone->op = (struct io_op){.done = written};
	io_offload(control->core->io, &alone->op, write_out);
}

/* ---- Its record ---- */

static void recorded(struct meta_request *change)
{
	struct cluster_alone *alone = CONTAINER_OF(change, struct cluster_alone, change);
	ASSERT(alone->step == ALONE_RECORDS);
	if (change->status == STATUS_OK)
		alone->step = ALONE_TOLD;
	else if (change->status == STATUS_ABORTED)
		alone->step = ALONE_NOT; /* there is another one, that is newer */
	else
		alone->step = ALONE_GOES_ON; /* the next tick comes again */
	buffer_done(&change->reply);
	buffer_done(&change->details);
	/* It has led: the log has it, and the file what is missing. */
	answer(alone);
}

static void make_record(struct cluster_control *control)
{
	struct cluster_alone *alone = &control->alone;
	alone->step = ALONE_RECORDS;
	alone->change = (struct meta_request){
	    .verb = META_RECOVER, .recoveries = &alone->own, .recovery_count = 1, .done = recorded};
	meta_submit(control->core->meta, &alone->change);
}

/* The log's last entry says whether it was done: the membership has that term, and is the first
 * that does. Where that was not written, nobody was told that it was. */
static void judge(struct cluster_control *control)
{
	struct cluster_alone *alone = &control->alone;
	const struct group *group = group_store_group(control->core->stores[0], 0);
	const struct cluster_recovery *own = &alone->own.recovery;
	bool was_done =
	    group && group_self(group) == own->replica && group_last(group).term >= own->term;
	alone->was_read = false;
	alone->step = was_done ? ALONE_GOES_ON : ALONE_NOT;
	LOG_LINE(LEVEL_WARNING, was_done ? "unsafe_recovery_found" : "unsafe_recovery_not_done",
	    FIELD_U64("group", 0), FIELD_U64("replica", own->replica),
	    FIELD_U64("term", own->term));
}

void cluster_alone_look(struct cluster_control *control)
{
	struct cluster_alone *alone = &control->alone;
	if (alone->was_read)
		judge(control);
	bool goes_on = alone->step == ALONE_GOES_ON;
	if (goes_on && alone->asked && io_now_ns(control->core->io) >= alone->until_ns)
		refuse(alone, "was recovered here, and does not lead yet", 0);
	if (goes_on && control->leads)
		make_record(control);
	bool is_over = alone->step == ALONE_NOT || alone->step == ALONE_TOLD;
	if (is_over && alone->is_kept && !alone->busy && !control->ended)
		use_file(control, true);
}

/* ---- What others call ---- */

void cluster_alone_begin(struct cluster_control *control)
{
	struct cluster_alone *alone = &control->alone;
	const struct data_recovered *file = control->core->options->recovered;
	if (!file || file->replica == 0 || MUTATION(cluster_forgets_own_recovery))
		return;
	alone->own = own_of(file);
	alone->is_kept = true;
	alone->was_read = true;
}

void cluster_alone_end(struct cluster_control *control)
{
	refuse(&control->alone, "is not heard of any more, since this node ends", 0);
}

bool cluster_alone_rests(const struct cluster_control *control)
{
	return !control->alone.busy;
}

bool cluster_alone_busy(const struct cluster_control *control)
{
	const struct cluster_alone *alone = &control->alone;
	return alone->busy || alone->asked || alone->was_read || alone->step == ALONE_RECORDS;
}

void cluster_alone_start(
    struct cluster_control *control, const struct meta_recovery *one, struct meta_request *request)
{
	struct cluster_alone *alone = &control->alone;
	ASSERT(!cluster_alone_busy(control) && one->shard == 0);
	alone->own = *one;
	alone->file = file_of(one);
	alone->asked = request;
	alone->reply = request->reply;
	request->reply = (struct buffer){.data = NULL};
	if (!control->core->services.keep_recovered) {
		go_on(control);
		return;
	}
	alone->step = ALONE_WRITES;
	alone->is_kept = true;
	use_file(control, false);
}

const struct meta_recovery *cluster_alone_told(const struct cluster_control *control)
{
	const struct cluster_alone *alone = &control->alone;
	const struct cluster_recovery *known = &control->core->map->shards[0].recovery;
	bool is_told = alone->step == ALONE_GOES_ON || alone->step == ALONE_TOLD;
	return is_told && known->term <= alone->own.recovery.term ? &alone->own : NULL;
}

void cluster_alone_over(struct cluster_control *control)
{
	if (control->alone.step == ALONE_GOES_ON || control->alone.step == ALONE_TOLD)
		control->alone.step = ALONE_NOT;
}
