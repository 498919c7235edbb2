/* After a recovery: what the engine replayed, and what it says it has, against the model. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/sim.h"
#include "tests/sim/driver.h"
#include "tests/sim/verdict.h"

enum { PAYLOAD_BYTES_MAX = 64 * 1024, REPLAY_DEFERRED_PERMILLE = 150 };

static void check_replayed(
    struct driver *driver, const struct log_record *record, uint32_t operation)
{
	static uint8_t wanted[PAYLOAD_BYTES_MAX];
	struct content_entry entry = model_entry_of(driver->model, operation);
	size_t bytes = content_batch_bytes(driver->model->content, &entry);
	content_batch(driver->model->content, &entry, wanted, bytes);
	EXPECT(slice_equal(record->payload, slice_of(wanted, bytes)), "replay",
	    "shard %" PRIu32 ", entry %" PRIu64 " of term %" PRIu64
	    ": %zu bytes that are not the %zu appended",
	    record->group, record->index, record->term, record->payload.bytes, bytes);
}

int driver_replay(void *arg, struct engine *engine, const struct log_record *record)
{
	struct driver *driver = arg;
	struct model *model = driver->model;
	size_t position = model_find_shard(model, record->group);
	EXPECT(record->kind == LOG_ENTRY, "replay", "a record of kind %d", (int)record->kind);
	EXPECT(position != MODEL_NO_SHARD, "replay", "shard %" PRIu32 " never was", record->group);
	uint32_t operation = model_find_entry(model, position, record->index, record->term);
	EXPECT(operation != MODEL_NO_OPERATION, "replay",
	    "shard %" PRIu32 ", entry %" PRIu64 " of term %" PRIu64 " was never appended",
	    record->group, record->index, record->term);
	check_replayed(driver, record, operation);

	struct driver_replay *replay = &driver->replays[position];
	uint64_t applied = engine_applied(engine, record->group).index;
	uint64_t next = replay->entries > 0 ? replay->last + 1 : applied + 1;
	EXPECT(record->index == next, "replay",
	    "shard %" PRIu32 ": entry %" PRIu64 " where %" PRIu64 " comes next", record->group,
	    record->index, next);
	if (replay->entries++ == 0)
		replay->first = record->index;
	replay->last = record->index;
	driver->replayed_terms[position][record->index % DRIVER_REPLAYED_MAX] = record->term;

	const struct model_shard *shard = driver_shard(driver, position);
	bool committed = !shard->lags || record->index <= shard->commit;
	/* Which entries are left is not known before all were seen. */
	if (shard->lags && (driver->lied || driver->may_be_repaired))
		return 0;
	if (!committed || record->index != applied + 1 ||
	    driver_chance(driver, driver->defers_replay ? REPLAY_DEFERRED_PERMILLE : 0))
		return 0;
	model_applied(model, position, record->index, operation);
	int error =
	    engine_apply(engine, record->group, record->index, record->term, record->payload);
	EXPECT(error == 0 || (error == ERR_NOMEM && driver->may_lack_memory), "replay",
	    "shard %" PRIu32 ", entry %" PRIu64 " is not applied: %s", record->group, record->index,
	    error_name(error));
	return error;
}

static void count_report(struct driver *driver)
{
	const struct log_report *log = &driver->report.log;
	struct coverage *coverage = driver->coverage;
	coverage->logs_cut += log->cut;
	coverage->frames_given_up += log->cut_frames_seen;
	coverage->tail_frames_rewritten += log->rewritten_frames;
	coverage->segments_renumbered += log->renumbered_segments;
	coverage->entries_replayed += driver->report.replayed_entries;
	for (uint64_t i = 0; i < log->gaps && i < LOG_GAPS_MAX; i++) {
		const struct log_gap *gap = &log->gap[i];
		coverage->ends_missing += gap->last_frame == UINT64_MAX;
		coverage->gaps_harmless += !gap->matters;
		if (!gap->matters)
			continue;
		coverage->gaps_of_known_groups += gap->groups_known;
		coverage->gaps_of_unknown_groups += !gap->groups_known;
	}
}

/* Whether a read failed since the process began. */
static bool reads_failed(const struct driver *driver)
{
	return sim_figures(driver->sim).read_errors > driver->reads_failed;
}

/* Suspicion is right only where a disk lied or does not give what it has, and is forgotten only
 * where it gives that again. */
static void check_suspicion(struct driver *driver, size_t position, const struct model_view *view)
{
	const struct model_shard *shard = driver_shard(driver, position);
	EXPECT(!view->group.suspect || driver->may_be_suspect || reads_failed(driver),
	    "false alarm", "shard %" PRIu32 " is suspect, and no disk lied", shard->number);
	EXPECT(view->group.suspect || !shard->suspect || shard->unread || driver->may_be_repaired,
	    "suspicion", "shard %" PRIu32 " was suspect, and is not any more", shard->number);
	EXPECT(!view->group.suspect || !shard->suspect || !driver->was_repaired ||
	           driver->lied_since_repair || reads_failed(driver),
	    "suspicion", "shard %" PRIu32 " is suspect after a repair", shard->number);
	EXPECT(view->closed || !view->group.suspect, "closed",
	    "shard %" PRIu32 " is suspect, and not closed", shard->number);
	/* One whose snapshot the disk spoiled, or does not give, stays closed until another comes,
	 * or until it can be read. */
	EXPECT(!view->closed || view->group.suspect || driver->may_be_damaged ||
	           driver->may_be_suspect || reads_failed(driver),
	    "closed", "shard %" PRIu32 " is closed, and nothing is damaged", shard->number);
	if (!view->group.suspect)
		return;
	driver->coverage->shards_suspect++;
	driver->coverage->shards_suspect_again += shard->suspect;
	EXPECT(view->group.gap != NULL, "suspicion", "shard %" PRIu32 " is suspect by no gap",
	    shard->number);
}

/* Everything between the checkpoint and the log's end was replayed, and nothing else. */
static void check_replay(struct driver *driver, size_t position)
{
	const struct model *model = driver->model;
	const struct model_shard *shard = driver_shard(driver, position);
	const struct driver_replay *replay = &driver->replays[position];
	struct table_shard applied = engine_applied(driver->engine, shard->number);
	uint64_t last = replay->entries > 0 ? replay->last : applied.index;
	EXPECT(last == shard->log.count, "replay",
	    "shard %" PRIu32 ": replayed up to %" PRIu64 ", the log ends at %" PRIu64,
	    shard->number, last, shard->log.count);
	uint64_t first = replay->first;
	if (replay->entries > DRIVER_REPLAYED_MAX)
		first = replay->last + 1 - DRIVER_REPLAYED_MAX;
	for (uint64_t index = first; replay->entries > 0 && index <= last; index++)
		EXPECT(driver->replayed_terms[position][index % DRIVER_REPLAYED_MAX] ==
		           model_entry_at(model, position, index).term,
		    "replay", "shard %" PRIu32 ": entry %" PRIu64 " had been replaced",
		    shard->number, index);
	if (applied.index == 0)
		return;
	EXPECT(applied.index <= shard->applied.count, "replay",
	    "shard %" PRIu32 ": applied up to %" PRIu64 ", never was above %" PRIu64, shard->number,
	    applied.index, shard->applied.count);
	uint64_t term = model_entry_at(model, position, applied.index).term;
	EXPECT(applied.term == term, "replay",
	    "shard %" PRIu32 ": applied index %" PRIu64 " of term %" PRIu64 ", not %" PRIu64,
	    shard->number, applied.index, applied.term, term);
}

/* Where it is known what a gap held, what that had replaced stays replaced. */
static bool may_replaced_return(const struct log_report *log)
{
	for (uint64_t i = 0; i < log->gaps; i++)
		if (i >= LOG_GAPS_MAX || !log->gap[i].groups_known)
			return true;
	return false;
}

/* Which operations appended what the engine has of the shard, whatever the row says. */
static void take_as_it_is(
    struct driver *driver, size_t position, const struct log_group_view *group)
{
	const struct model_shard *shard = driver_shard(driver, position);
	const struct driver_replay *replay = &driver->replays[position];
	uint32_t *left = calloc(group->last_index + 1, sizeof(*left));
	ASSERT(left != NULL);
	for (uint64_t index = 1; index <= group->last_index; index++) {
		bool replayed = replay->entries > 0 && index >= replay->first &&
		                index <= replay->last && index + DRIVER_REPLAYED_MAX > replay->last;
		left[index - 1] =
		    replayed ? model_find_entry(driver->model, position, index,
		                   driver->replayed_terms[position][index % DRIVER_REPLAYED_MAX])
		    : index <= shard->applied.count ? shard->applied.operations[index - 1]
		                                    : MODEL_NO_OPERATION;
	}
	model_accept_loss(driver->model, position, group, left);
	free(left);
}

/* A shard whose loss was accepted. */
static void accept_loss(struct driver *driver, size_t position, const struct log_group_view *group,
    const struct model_disk *disk)
{
	uint64_t highest = model_highest_end(driver->model, disk, position);
	const struct model_shard *shard = driver_shard(driver, position);
	EXPECT(group->last_index <= highest || may_replaced_return(&driver->report.log), "repair",
	    "shard %" PRIu32 ": ends at %" PRIu64 " after a repair, had %" PRIu64, shard->number,
	    group->last_index, highest);
	take_as_it_is(driver, position, group);
	driver->coverage->shards_repaired++;
}

/* Where it was said to be lost, too: a repair of the log does not look into install/. */
static void take_snapshots(
    struct driver *driver, const struct model_view views[], const struct model_disk *disk)
{
	for (size_t i = 0; i < driver->model->shard_count; i++) {
		struct model_shard *shard = &driver->model->shards[i];
		if (!model_is_installed(driver->model, disk, i, &views[i]))
			continue;
		EXPECT(driver->replays[i].entries == 0, "replay",
		    "shard %" PRIu32 ": entries behind a snapshot that has none", shard->number);
		take_as_it_is(driver, i, &views[i].group);
		shard->given_up = false;
		driver->coverage->snapshots_found++;
	}
}

static bool may_hide(const struct log_report *log, uint64_t frame)
{
	for (uint64_t i = 0; i < log->gaps && i < LOG_GAPS_MAX; i++) {
		const struct log_gap *gap = &log->gap[i];
		if (!gap->groups_known && gap->first_frame <= frame && frame <= gap->last_frame)
			return true;
	}
	return false;
}

/* Whether all that there was of a shard stood in frames that were accepted as lost, so that nothing
 * is left to tell that it is one. */
static bool is_forgotten(struct driver *driver, size_t position, const struct log_group_view *group,
    const struct model_disk *disk)
{
	const struct model *model = driver->model;
	bool any = false;
	if (!driver->may_be_repaired || group->last_index > 0 || group->hard.term > 0)
		return false;
	for (size_t i = 0; i < model->acknowledged; i++) {
		const struct model_operation *operation = &model->operations[i];
		if (operation->shard != position || operation->frame > disk->proven)
			continue;
		if (!may_hide(&driver->report.log, operation->frame))
			return false;
		any = true;
	}
	return any;
}

/* What the operator was told, or of which nothing was in the log. */
static void accept_losses(
    struct driver *driver, const struct model_view views[], const struct model_disk *disk)
{
	struct model *model = driver->model;
	unsigned still_suspect = 0;
	unsigned repaired = 0;
	for (size_t i = 0; i < model->shard_count; i++) {
		struct model_shard *shard = &model->shards[i];
		bool told = shard->given_up || is_forgotten(driver, i, &views[i].group, disk);
		if (!told && (!shard->suspect || shard->unread))
			continue;
		still_suspect += views[i].group.suspect;
		repaired += !views[i].group.suspect;
		if (views[i].group.suspect)
			continue;
		/* Of one that is closed for damage in the store, too, nothing is replayed. */
		shard->given_up = views[i].closed;
		if (views[i].closed)
			continue;
		EXPECT(told || driver->replays[i].entries == 0, "repair",
		    "shard %" PRIu32 ": an unknown part of it is given up", shard->number);
		accept_loss(driver, i, &views[i].group, disk);
	}
	bool all_or_none = still_suspect == 0 || repaired == 0;
	EXPECT(all_or_none || driver->lied_since_repair || reads_failed(driver), "repair",
	    "%u shards are accepted as they are, and %u are not", repaired, still_suspect);
}

/* Before model_recover, which forgets who was suspect. */
static void note_unread(struct driver *driver, const struct model_view views[])
{
	for (size_t i = 0; i < driver->model->shard_count; i++) {
		struct model_shard *shard = &driver->model->shards[i];
		bool was_really = shard->suspect && !shard->unread && !driver->may_be_repaired;
		shard->unread = views[i].group.suspect && reads_failed(driver) && !was_really;
	}
}

static void expect_known(void *arg, uint32_t number)
{
	const struct driver *driver = arg;
	EXPECT(model_find_shard(driver->model, number) != MODEL_NO_SHARD, "recovery",
	    "shard %" PRIu32 " never was", number);
}

static void print_recovery(const struct driver *driver, FILE *to)
{
	const struct log_report *log = &driver->report.log;
	const struct model *model = driver->model;
	fprintf(to,
	    "# recovered: life %" PRIu64 ", frames %" PRIu64 " to %" PRIu64 ", cut %d (%" PRIu64
	    " given up), rewritten %" PRIu64 ", renumbered %" PRIu64 ", replayed %" PRIu64
	    "; acknowledged %zu of %zu, lied %d, proven %" PRIu64 "\n",
	    log->life, log->first_frame, log->last_frame, log->cut, log->cut_frames_seen,
	    log->rewritten_frames, log->renumbered_segments, driver->report.replayed_entries,
	    model->acknowledged, model->count, driver->lied, driver->proven);
	for (uint64_t i = 0; i < log->gaps && i < LOG_GAPS_MAX; i++) {
		const struct log_gap *gap = &log->gap[i];
		fprintf(to,
		    "# gap: frames %" PRIu64 " to %" PRIu64 " at %" PRIx64 ":%" PRIu64
		    ", groups %sknown%s\n",
		    gap->first_frame, gap->last_frame, gap->segment, gap->offset,
		    gap->groups_known ? "" : "un", gap->matters ? ", matters" : "");
	}
	for (size_t i = 0; i < model->shard_count; i++) {
		struct log_group_view group = engine_group(driver->engine, model->shards[i].number);
		if (group.suspect || model->shards[i].suspect)
			fprintf(to,
			    "# shard %" PRIu32 " %s: %" PRIu64 " to %" PRIu64 "/%" PRIu64
			    ", hard %" PRIu64 "/%" PRIu64 "/%" PRIu64 ", applied %" PRIu64 "\n",
			    model->shards[i].number, group.suspect ? "suspect" : "was suspect",
			    group.first_index, group.last_index, group.last_term, group.hard.term,
			    group.hard.vote, group.hard.commit,
			    engine_applied(driver->engine, model->shards[i].number).index);
	}
}

void driver_check_recovery(struct driver *driver)
{
	struct model *model = driver->model;
	struct model_view views[MODEL_SHARDS_MAX] = {0};
	const struct log_report *log = &driver->report.log;
	struct model_disk disk = {.lied = driver->lied,
	    .unread = reads_failed(driver),
	    .proven = driver->proven,
	    .last_frame = log->cut_frame - 1};
	/* Recoveries that were cut off may have given up more, and used its numbers. */
	if (driver->given_up_from <= disk.last_frame)
		disk.last_frame = driver->given_up_from - 1;
	count_report(driver);
	if (driver->trace != NULL)
		print_recovery(driver, driver->trace);
	EXPECT(log->gaps == 0 || driver->may_be_suspect || reads_failed(driver), "false alarm",
	    "%" PRIu64 " gaps in the log, and no disk lied", log->gaps);
	for (size_t i = 0; i < model->shard_count; i++) {
		uint32_t number = model->shards[i].number;
		views[i].group = engine_group(driver->engine, number);
		views[i].closed = engine_shard_closed(driver->engine, number);
		check_suspicion(driver, i, &views[i]);
	}
	engine_each_group(driver->engine, expect_known, driver);

	take_snapshots(driver, views, &disk);
	accept_losses(driver, views, &disk);
	size_t known = model->count;
	size_t acknowledged = model->acknowledged;
	note_unread(driver, views);
	model_recover(model, views, &disk);
	if (model->count > acknowledged)
		driver->coverage->operations_survived_unacknowledged += model->count - acknowledged;
	driver->coverage->operations_lost_unacknowledged +=
	    known - (model->count > acknowledged ? model->count : acknowledged);
	for (size_t i = 0; i < model->shard_count; i++) {
		if (views[i].group.suspect) {
			driver_expect_closed(driver, i);
			continue;
		}
		driver->coverage->shards_closed += views[i].closed;
		if (views[i].closed)
			continue;
		check_replay(driver, i);
		(void)driver_compare(driver, i, "after recovery");
	}
}
