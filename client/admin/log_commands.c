#include "client/admin/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "client/admin/offline.h"
#include "client/admin/print.h"
#include "client/admin/tell.h"

#define WHY_BYTES 512

static enum exit_code log_failed(const struct offline_store *store, int error)
{
	char why[WHY_BYTES];
	snprintf(why, sizeof(why), "%s: %s: %s", store->log_path, error_text(error),
	    error_advice(error));
	return command_failed(error, why);
}

/* ---- verify ---- */

struct verify {
	const struct offline_store *store;
	uint64_t suspects;
};

static void verify_damage(void *arg, const struct log_gap *gap, enum log_verdict verdict)
{
	const struct verify *verify = arg;
	fprintf(stderr, "%s: segment %" PRIu64 ", offset %" PRIu64 ": %s; frames %" PRIu64 " to ",
	    verify->store->log_path, gap->segment, gap->offset, log_verdict_text(verdict),
	    gap->first_frame);
	if (gap->last_frame == UINT64_MAX)
		fprintf(stderr, "the end are missing");
	else
		fprintf(stderr, "%" PRIu64 " are missing", gap->last_frame);
	fprintf(
	    stderr, "%s\n", gap->matters ? "" : " (does not matter: nothing in them is needed)");
}

static void verify_suspect(void *arg, uint32_t group, uint64_t last_good, const struct log_gap *gap)
{
	struct verify *verify = arg;
	verify->suspects++;
	fprintf(stderr,
	    "%s: shard %" PRIu32 " is closed: what was durable after entry %" PRIu64
	    " may be missing (segment %" PRIu64 ", offset %" PRIu64 ")\n",
	    verify->store->log_path, group, last_good, gap ? gap->segment : 0,
	    gap ? gap->offset : 0);
}

static const char *const verify_columns[] = {"store", "state", "segments", "frames", "records",
    "bytes", "first_frame", "last_frame", "life", "given_up", "damaged", "closed_shards"};

static enum exit_code verify_store(const struct args *args, struct offline_store *store, void *arg)
{
	(void)args;
	struct print *print = arg;
	struct verify verify = {.store = store};
	struct log_report report;
	int error = log_tool_scan(&store->log,
	    &(struct log_tool_visitor){
	        .damage = verify_damage, .suspect = verify_suspect, .arg = &verify},
	    &report);
	if (error)
		return log_failed(store, error);
	bool damaged = false;
	for (uint64_t i = 0; i < report.gaps && i < LOG_GAPS_MAX; i++)
		damaged = damaged || report.gap[i].matters;
	damaged = damaged || report.gaps > LOG_GAPS_MAX || verify.suspects > 0;
	print_number(print, store->number);
	print_text(print, damaged ? "damaged" : report.cut ? "cut" : "good");
	print_number(print, report.segments);
	print_number(print, report.frames);
	print_number(print, report.records);
	print_number(print, report.bytes);
	print_number(print, report.first_frame);
	print_number(print, report.last_frame);
	print_number(print, report.life);
	print_number(print, report.cut_frames_seen);
	print_number(print, report.gaps);
	print_number(print, verify.suspects);
	return damaged ? EXIT_UNHEALTHY : EXIT_DONE;
}

enum exit_code command_log_verify(const struct args *args)
{
	return offline_print_stores(
	    args, verify_columns, sizeof(verify_columns) / sizeof(verify_columns[0]), verify_store);
}

/* ---- dump ---- */

struct dump {
	const struct offline_store *store;
	struct print *print;
	bool records;
};

static const char *frame_kind_text(enum log_frame_kind kind)
{
	switch (kind) {
	case LOG_FRAME_RECORDS:
		return "records";
	case LOG_FRAME_REWRITE:
		return "rewrite";
	case LOG_FRAME_WATERMARK:
		return "watermark";
	case LOG_FRAME_LIFE:
		return "life";
	case LOG_FRAME_REPAIR:
		return "repair";
	}
	return "unknown";
}

static const char *record_kind_text(enum log_record_kind kind)
{
	switch (kind) {
	case LOG_ENTRY:
		return "entry";
	case LOG_HARD_STATE:
		return "hard_state";
	case LOG_RESET:
		return "reset";
	case LOG_TRUNCATE:
		return "truncate";
	case LOG_ACCEPT_LOSS:
		return "accept_loss";
	}
	return "unknown";
}

static const char *place_text(enum log_tool_place place)
{
	switch (place) {
	case LOG_TOOL_LIVE:
		return "live";
	case LOG_TOOL_RELEASED:
		return "released";
	case LOG_TOOL_STALE:
		return "stale";
	}
	return "unknown";
}

static const char *const frame_columns[] = {"store", "segment", "offset", "frame", "life", "kind",
    "place", "bytes", "used", "records", "watermark"};
static const char *const record_columns[] = {
    "store", "frame", "place", "kind", "shard", "term", "index", "bytes"};

static void dump_records(const struct dump *dump, const struct log_frame_header *header,
    const uint8_t *frame, enum log_tool_place place)
{
	struct log_frame_cursor cursor;
	struct log_record record;
	log_records_begin(frame, header, &cursor);
	while (log_record_next(&cursor, &record)) {
		print_number(dump->print, dump->store->number);
		print_number(dump->print, header->frame);
		print_text(dump->print, place_text(place));
		print_text(dump->print, record_kind_text(record.kind));
		print_number(dump->print, record.group);
		print_number(dump->print, record.term);
		print_number(dump->print, record.index);
		print_number(dump->print, record.payload.bytes);
	}
}

static void dump_frame(void *arg, const struct log_frame_header *header, const uint8_t *frame,
    enum log_tool_place place)
{
	const struct dump *dump = arg;
	if (dump->records) {
		dump_records(dump, header, frame, place);
		return;
	}
	print_number(dump->print, dump->store->number);
	print_number(dump->print, header->segment);
	print_number(dump->print, header->offset);
	print_number(dump->print, header->frame);
	print_number(dump->print, header->life);
	print_text(dump->print, frame_kind_text(header->kind));
	print_text(dump->print, place_text(place));
	print_number(dump->print, header->frame_bytes);
	print_number(dump->print, header->used_bytes);
	print_number(dump->print, header->record_count);
	print_number(dump->print, header->watermark);
}

static enum exit_code dump_store(const struct args *args, struct offline_store *store, void *arg)
{
	struct dump dump = {.store = store, .print = arg, .records = args->records};
	struct log_report report;
	int error = log_tool_scan(
	    &store->log, &(struct log_tool_visitor){.frame = dump_frame, .arg = &dump}, &report);
	return error ? log_failed(store, error) : EXIT_DONE;
}

enum exit_code command_log_dump(const struct args *args)
{
	if (args->records)
		return offline_print_stores(args, record_columns,
		    sizeof(record_columns) / sizeof(record_columns[0]), dump_store);
	return offline_print_stores(
	    args, frame_columns, sizeof(frame_columns) / sizeof(frame_columns[0]), dump_store);
}

/* ---- repair ---- */

struct repair {
	const struct args *args;
	const struct offline_store *store;
	struct tell *tell;
	uint64_t groups;
};

static struct tell_of of_store(const struct repair *repair, const char *what)
{
	return (struct tell_of){.store = repair->store->number,
	    .first_shard = TELL_NO_SHARD,
	    .last_shard = TELL_NO_SHARD,
	    .what = what};
}

static struct tell_of of_shard(const struct repair *repair, uint32_t shard, const char *what)
{
	return (struct tell_of){.store = repair->store->number,
	    .first_shard = shard,
	    .last_shard = shard,
	    .what = what};
}

/* First pass, over the scan: the plan. */
static void repair_plan(void *arg, uint32_t group, uint64_t last_good, const struct log_gap *gap)
{
	struct repair *repair = arg;
	struct tell_of of = of_shard(repair, group, "keeps");
	repair->groups++;
	if (gap)
		tell_line(repair->tell, &of,
		    "keeps entries up to %" PRIu64 ", gives up all after it (damage in segment "
		    "%" PRIu64 " at offset %" PRIu64 ")",
		    last_good, gap->segment, gap->offset);
	else
		tell_line(repair->tell, &of,
		    "keeps entries up to %" PRIu64 ", gives up all after it", last_good);
}

static int repair_lost(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen)
{
	const struct repair *repair = arg;
	struct tell_of of = of_shard(repair, group, "gives_up");
	if (first_index <= last_index_seen)
		tell_line(repair->tell, &of,
		    "gives up entries %" PRIu64 " to %" PRIu64
		    ", which are readable, and what was lost before them",
		    first_index, last_index_seen);
	return 0;
}

static enum exit_code repair_store(const struct args *args, struct offline_store *store, void *arg)
{
	struct repair repair = {.args = args, .store = store, .tell = arg};
	struct log_report report;
	int error = log_tool_scan(&store->log,
	    &(struct log_tool_visitor){.suspect = repair_plan, .arg = &repair}, &report);
	if (error)
		return log_failed(store, error);
	bool matters = report.gaps > LOG_GAPS_MAX;
	for (uint64_t i = 0; i < report.gaps && i < LOG_GAPS_MAX; i++)
		matters = matters || report.gap[i].matters;
	struct tell_of nothing = of_store(&repair, "nothing_to_repair");
	if (!matters && repair.groups == 0) {
		tell_line(repair.tell, &nothing, "nothing to repair");
		return EXIT_DONE;
	}
	char copy[64];
	snprintf(copy, sizeof(copy), "%s/log.before-life-%" PRIu64, store->path, report.life);
	struct tell_of to_copy = of_store(&repair, "copy");
	tell_line(repair.tell, &to_copy, "a copy of the log goes to %s first", copy);
	repair.tell->plans = true;
	if (args->dry_run)
		return EXIT_DONE;
	if (!args->accept_loss) {
		fputs(
		    "Nothing was changed. To give this up for good, add --accept-loss.\n", stderr);
		return EXIT_REFUSED;
	}
	if (!args_confirm(args, "This cannot be undone except from that copy."))
		return command_not_wanted();
	error = log_tool_repair(&store->log, copy, repair_lost, &repair, &report);
	if (error)
		return log_failed(store, error);
	struct tell_of repaired = of_store(&repair, "repaired");
	tell_line(repair.tell, &repaired, "repaired; the copy is in %s", copy);
	return EXIT_DONE;
}

enum exit_code command_log_repair(const struct args *args)
{
	static const char instead[] =
	    "Start the node instead: it gives up what is damaged, and gets it from the others. "
	    "Where they are no majority without it: kalix-admin cluster recover --unsafe "
	    "--damaged, at one of them";
	struct tell tell;
	bool later;
	enum exit_code code = offline_may_lose(args, instead, &later);
	if (code)
		return code;
	tell_begin(&tell, args->format);
	code = offline_each_store(args, repair_store, &tell);
	int error = tell_end(&tell);
	if (later && tell.plans)
		offline_say_later(args, instead);
	return error ? command_failed(error, "") : code;
}
