#include "tests/raft/bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

__attribute__((format(printf, 2, 3))) static void say(struct bench *bench, const char *format, ...)
{
	if (bench->quiet)
		return;
	va_list arguments;
	va_start(arguments, format);
	fputs("  ", bench->out);
	vfprintf(bench->out, format, arguments);
	fputc('\n', bench->out);
	va_end(arguments);
}

static const char *const role_names[] = {
    [RAFT_FOLLOWER] = "follower",
    [RAFT_PRE_CANDIDATE] = "pre-candidate",
    [RAFT_CANDIDATE] = "candidate",
    [RAFT_LEADER] = "leader",
};

static uint64_t term_of(void *arg, uint64_t index)
{
	const struct node *node = arg;
	return node->now.log[index].term;
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	const struct node *node = arg;
	uint64_t count = bytes_max / ENTRY_BYTES;
	if (count > count_max)
		count = count_max;
	if (node->cold_first <= first && first <= node->cold_last)
		count = 0;
	else if (first < node->cold_first && count > node->cold_first - first)
		count = node->cold_first - first;
	*ret_bytes = ENTRY_BYTES * count;
	return (uint32_t)count;
}

void bench_start(struct bench *bench, uint64_t id)
{
	struct node *node = &bench->nodes[id];
	memcpy(&node->now, &node->disk, sizeof(node->now));
	struct raft_options options = {
	    .self = id,
	    .replicas_max = NODES_MAX,
	    .seed = id,
	    .log = {.term = term_of, .fit = fit, .arg = node},
	    .election_ms = ELECTION_MS,
	    .heartbeat_ms = HEARTBEAT_MS,
	    .sleep_ms = bench->sleeps ? SLEEP_MS : 0,
	    .messages_in_flight_max = 4,
	    .bytes_in_flight_max = 10 * ENTRY_BYTES,
	    .message_bytes_max = (uint64_t)bench->message_entries * ENTRY_BYTES,
	    .uncommitted_bytes_max = 50 * ENTRY_BYTES,
	    .leases = bench->leases,
	    .gather_bytes = (uint64_t)bench->gather_entries * ENTRY_BYTES,
	    .gather_ms = bench->gather_entries ? GATHER_MS : 0,
	};
	struct raft_start start = {
	    .term = node->now.term,
	    .vote = node->now.vote,
	    .commit = node->now.base.index,
	    .base = node->now.base,
	    .last = node->now.last,
	    .membership = &node->now.base_membership,
	    .now_ms = node->now_ms,
	};
	node->raft = raft_init(malloc(raft_bytes(2 * NODES_MAX)), 2 * NODES_MAX, &options, &start);
	node->applied = node->commit = node->now.base.index;
	node->applied_membership = node->now.base_membership;
	node->epoch = 0;
	for (uint64_t i = node->now.base.index + 1; i <= node->now.last.index; i++)
		if (node->now.log[i].kind == RAFT_MEMBERSHIP)
			raft_restore(node->raft, i, &node->now.log[i].membership);
}

void bench_add(struct bench *bench, uint64_t id, const struct raft_membership *membership)
{
	struct node *node = &bench->nodes[id];
	free(node->raft);
	memset(node, 0, sizeof(*node));
	node->now_ms = 1000000; /* long after any contact */
	node->disk.base_membership = *membership;
	bench_start(bench, id);
}

static void write_disk(struct disk *disk, const struct write *write)
{
	if (write->hard) {
		disk->term = write->term;
		disk->vote = write->vote;
		return;
	}
	disk->log[write->index] = write->entry;
	disk->last = (struct raft_position){.term = write->entry.term, .index = write->index};
}

static void add_write(struct node *node, const struct write *write)
{
	ASSERT(node->writes_count < WRITES_MAX && write->index < LOG_MAX);
	node->writes[node->writes_count++] = *write;
	write_disk(&node->now, write);
}

void bench_stop(struct bench *bench, uint64_t id, uint32_t writes_kept)
{
	struct node *node = &bench->nodes[id];
	for (uint32_t i = 0; i < node->writes_count && i < writes_kept; i++)
		write_disk(&node->disk, &node->writes[i]);
	node->writes_count = 0;
	node->asleep = false;
	node->install = (struct raft_position){.index = 0};
	free(node->raft);
	node->raft = NULL;
}

void bench_preset(
    struct bench *bench, uint64_t id, uint64_t term, const uint64_t *terms, size_t count)
{
	ASSERT(count < LOG_MAX);
	bench_stop(bench, id, 0);
	struct disk *disk = &bench->nodes[id].disk;
	for (size_t i = 0; i < count; i++) {
		disk->last = (struct raft_position){.index = i + 1, .term = terms[i]};
		disk->log[i + 1] = (struct entry){.term = terms[i], .kind = RAFT_DATA};
	}
	disk->term = term;
	bench_start(bench, id);
}

void bench_recover(struct bench *bench, uint64_t id)
{
	bench_stop(bench, id, 0);
	struct disk *disk = &bench->nodes[id].disk;
	disk->term++;
	disk->vote = 0;
	disk->last = (struct raft_position){.term = disk->term, .index = disk->last.index + 1};
	disk->log[disk->last.index] = (struct entry){.term = disk->term,
	    .kind = RAFT_MEMBERSHIP,
	    .membership = {.count = 1, .members = {{.replica = id, .roles = RAFT_VOTER}}}};
	bench_start(bench, id);
}

void bench_done(struct bench *bench)
{
	for (uint64_t id = 1; id <= NODES_MAX; id++)
		free(bench->nodes[id].raft);
	while (bench->row_count > 0)
		free(bench->row[--bench->row_count]);
	while (bench->held_count > 0)
		free(bench->held[--bench->held_count]);
}

/* ---- What is done ---- */

static void append(struct bench *bench, uint64_t id, const struct raft_output *output)
{
	struct node *node = &bench->nodes[id];
	node->epoch = output->epoch;
	static const char *const kinds[] = {
	    [RAFT_NOOP] = "no-op", [RAFT_DATA] = "data", [RAFT_MEMBERSHIP] = "membership"};
	for (uint32_t i = 0; i < output->count; i++) {
		const struct raft_entry *entry = &output->entries[i];
		struct write write = {.index = output->at.index + i,
		    .epoch = output->epoch,
		    .entry = {.term = entry->term, .kind = entry->kind}};
		if (entry->kind == RAFT_MEMBERSHIP)
			ASSERT(raft_membership_read(entry->data, &write.entry.membership) == 0);
		say(bench, "%" PRIu64 " appends %s %" PRIu64 "@%" PRIu64, id, kinds[entry->kind],
		    write.index, entry->term);
		add_write(node, &write);
	}
}

static void apply(struct node *node)
{
	struct raft_status status = raft_status(node->raft);
	node->commit = status.commit;
	while (node->applied < status.commit && node->applied < status.durable) {
		const struct entry *entry = &node->now.log[++node->applied];
		if (entry->kind == RAFT_MEMBERSHIP)
			node->applied_membership = entry->membership;
		if (entry->kind != RAFT_DATA || status.role != RAFT_LEADER)
			continue;
		struct raft_event event = {.kind = RAFT_APPLIED,
		    .now_ms = node->now_ms,
		    .index = node->applied,
		    .bytes = ENTRY_BYTES};
		raft_step(node->raft, &event);
	}
}

static void act(struct bench *bench, uint64_t id)
{
	struct node *node = &bench->nodes[id];
	struct raft_output output;
	while (raft_next(node->raft, &output)) {
		switch (output.kind) {
		case RAFT_HARD:
			say(bench, "%" PRIu64 " writes term %" PRIu64 " vote %" PRIu64, id,
			    output.term, output.vote);
			add_write(
			    node, &(struct write){
			              .hard = true, .term = output.term, .vote = output.vote});
			break;
		case RAFT_APPEND:
			append(bench, id, &output);
			break;
		case RAFT_COMMIT:
			say(bench, "%" PRIu64 " commits %" PRIu64, id, output.at.index);
			break;
		case RAFT_ROLE:
			say(bench, "%" PRIu64 " is %s in term %" PRIu64 ", leader %" PRIu64, id,
			    role_names[output.role], output.term, output.replica);
			break;
		case RAFT_CONFIRMED:
			say(bench, "%" PRIu64 " confirms round %" PRIu64, id, output.index);
			break;
		case RAFT_READABLE:
			say(bench, "%" PRIu64 " may read up to %" PRIu64 ", question %" PRIu64, id,
			    output.at.index, output.index - node->question_base);
			break;
		case RAFT_SEND_SNAPSHOT:
			say(bench, "%" PRIu64 " owes a snapshot to %" PRIu64, id, output.replica);
			break;
		}
	}
	apply(node);
}

static void lay_down(struct bench *bench, const struct node *node, const struct raft_message *sent)
{
	struct item *item = calloc(1, sizeof(*item));
	ASSERT(item && bench->row_count < ROW_MAX);
	item->message = *sent;
	item->message.entries = item->entries;
	for (uint32_t i = 0; i < sent->count; i++) {
		const struct entry *entry = &node->now.log[sent->at.index + 1 + i];
		struct writer writer = writer_of(item->bytes[i], sizeof(item->bytes[i]));
		if (entry->kind == RAFT_MEMBERSHIP)
			raft_membership_write(&writer, &entry->membership);
		ASSERT(!writer.failed);
		item->entries[i] = (struct raft_entry){
		    .term = entry->term, .kind = entry->kind, .data = writer_view(&writer)};
	}
	bench->row[bench->row_count++] = item;
}

void bench_go_on(struct bench *bench, uint64_t id)
{
	struct node *node = &bench->nodes[id];
	act(bench, id);
	struct raft_message message;
	while (raft_send(node->raft, node->now_ms, &message)) {
		if (!bench->quiet) {
			fputs("  ", bench->out);
			bench_print_message(bench->out, &message);
			fputs(bench->cut[id][message.to] ? " (lost)\n" : "\n", bench->out);
		}
		if (!bench->cut[id][message.to])
			lay_down(bench, node, &message);
	}
	act(bench, id);
	bool sleeps = raft_status(node->raft).asleep;
	if (sleeps != node->asleep)
		say(bench, "%" PRIu64 " %s", id, sleeps ? "falls asleep" : "wakes");
	node->asleep = sleeps;
}

void bench_step(struct bench *bench, uint64_t id, struct raft_event event)
{
	struct node *node = &bench->nodes[id];
	event.now_ms = node->now_ms;
	raft_step(node->raft, &event);
	bench_go_on(bench, id);
}

void bench_proposed(struct bench *bench, uint64_t id, struct raft_position first, uint32_t count)
{
	struct node *node = &bench->nodes[id];
	say(bench, "%" PRIu64 " proposes %" PRIu64 "@%" PRIu64 " .. %" PRIu64, id, first.index,
	    first.term, first.index + count - 1);
	for (uint32_t i = 0; i < count; i++)
		add_write(node, &(struct write){.index = first.index + i,
		                    .epoch = node->epoch,
		                    .entry = {.term = first.term, .kind = RAFT_DATA}});
	bench_go_on(bench, id);
}

bool bench_store(struct bench *bench, uint64_t id, uint32_t count)
{
	struct node *node = &bench->nodes[id];
	if (count > node->writes_count)
		count = node->writes_count;
	if (count == 0 || !node->raft)
		return false;
	static struct write writes[WRITES_MAX];
	memcpy(writes, node->writes, count * sizeof(writes[0]));
	node->writes_count -= count;
	memmove(node->writes, &node->writes[count], node->writes_count * sizeof(writes[0]));
	for (uint32_t i = 0; i < count; i++)
		write_disk(&node->disk, &writes[i]);
	for (uint32_t i = 0; i < count; i++) {
		const struct write *write = &writes[i];
		bool last = i + 1 == count || writes[i + 1].hard != write->hard ||
		            writes[i + 1].epoch != write->epoch;
		if (!last)
			continue;
		struct raft_event event = {.kind = write->hard ? RAFT_HARD_STORED : RAFT_STORED,
		    .term = write->term,
		    .vote = write->vote,
		    .index = write->index,
		    .epoch = write->epoch};
		bench_step(bench, id, event);
	}
	return true;
}

bool bench_deliver(struct bench *bench, uint32_t at)
{
	struct item *item = bench->row[at];
	memmove(&bench->row[at], &bench->row[at + 1],
	    (--bench->row_count - at) * sizeof(bench->row[0]));
	uint64_t to = item->message.to;
	bool there = bench->nodes[to].raft != NULL;
	if (there)
		bench_step(bench, to,
		    (struct raft_event){.kind = RAFT_RECEIVED, .message = &item->message});
	free(item);
	return there;
}

void bench_drop(struct bench *bench, uint32_t at)
{
	free(bench->row[at]);
	memmove(&bench->row[at], &bench->row[at + 1],
	    (--bench->row_count - at) * sizeof(bench->row[0]));
}

void bench_cold(struct bench *bench, uint64_t id, uint64_t first, uint64_t last)
{
	bench->nodes[id].cold_first = first;
	bench->nodes[id].cold_last = last;
	bench_go_on(bench, id);
}

void bench_compact(struct bench *bench, uint64_t id, uint64_t index)
{
	struct node *node = &bench->nodes[id];
	struct raft_position at = {.term = node->now.log[index].term, .index = index};
	for (uint64_t i = node->now.base.index + 1; i <= index; i++)
		if (node->now.log[i].kind == RAFT_MEMBERSHIP)
			node->now.base_membership = node->now.log[i].membership;
	node->now.base = node->disk.base = at;
	node->disk.base_membership = node->now.base_membership;
	bench_step(bench, id, (struct raft_event){.kind = RAFT_COMPACTED, .at = at});
}

static struct raft_position applied_position(const struct node *node)
{
	bool at_base = node->applied == node->now.base.index;
	return (struct raft_position){.index = node->applied,
	    .term = at_base ? node->now.base.term : node->now.log[node->applied].term};
}

static int install(struct bench *bench, uint64_t from, uint64_t to, struct raft_position at)
{
	struct node *source = &bench->nodes[from], *target = &bench->nodes[to];
	int error =
	    raft_install(target->raft, target->now_ms, from, raft_status(source->raft).term, at);
	say(bench, "%" PRIu64 ": snapshot at %" PRIu64 ": %s", to, at.index,
	    error ? error_name(error) : "installs");
	if (!error) {
		target->install = at;
		target->install_membership = source->applied_membership;
	}
	bench_go_on(bench, to);
	return error;
}

void bench_offer(struct bench *bench, uint64_t from, uint64_t to)
{
	(void)install(bench, from, to, applied_position(&bench->nodes[from]));
}

void bench_installed(struct bench *bench, uint64_t id, bool failed)
{
	struct node *node = &bench->nodes[id];
	struct raft_position at = node->install;
	node->install = (struct raft_position){.index = 0};
	ASSERT(at.index > 0);
	if (failed) {
		bench_step(bench, id, (struct raft_event){.kind = RAFT_INSTALL_FAILED});
		return;
	}
	bench_store(bench, id, WRITES_MAX);
	node->now.base = node->now.last = at;
	node->now.base_membership = node->install_membership;
	memcpy(&node->disk, &node->now, sizeof(node->disk));
	node->applied = at.index;
	node->applied_membership = node->install_membership;
	bench_step(bench, id,
	    (struct raft_event){
	        .kind = RAFT_INSTALLED, .at = at, .membership = &node->install_membership});
}

void bench_snapshot(struct bench *bench, uint64_t from, uint64_t to, bool lost)
{
	struct raft_position at = applied_position(&bench->nodes[from]);
	if (!lost && install(bench, from, to, at) == 0)
		bench_installed(bench, to, false);
	bench_step(bench, from,
	    (struct raft_event){
	        .kind = RAFT_SNAPSHOT_SENT, .replica = to, .index = lost ? 0 : at.index});
}

/* ---- Print ---- */

const char *bench_kind_name(enum raft_message_kind kind)
{
	static const char *const names[] = {
	    [RAFT_PREVOTE] = "PREVOTE",
	    [RAFT_PREVOTE_REPLY] = "PREVOTE_REPLY",
	    [RAFT_VOTE] = "VOTE",
	    [RAFT_VOTE_REPLY] = "VOTE_REPLY",
	    [RAFT_APPEND_ENTRIES] = "APPEND",
	    [RAFT_APPEND_REPLY] = "APPEND_REPLY",
	    [RAFT_HEARTBEAT] = "HEARTBEAT",
	    [RAFT_HEARTBEAT_REPLY] = "HEARTBEAT_REPLY",
	    [RAFT_TIMEOUT_NOW] = "TIMEOUT_NOW",
	    [RAFT_WAKE] = "WAKE",
	    [RAFT_READ_INDEX] = "READ_INDEX",
	    [RAFT_READ_INDEX_REPLY] = "READ_INDEX_REPLY",
	};
	return names[kind];
}

void bench_print_message(FILE *out, const struct raft_message *message)
{
	fprintf(out, "%" PRIu64 "->%" PRIu64 " %s term %" PRIu64, message->from, message->to,
	    bench_kind_name(message->kind), message->term);
	if (message->kind == RAFT_PREVOTE || message->kind == RAFT_VOTE)
		fprintf(out, " last %" PRIu64 "@%" PRIu64, message->at.index, message->at.term);
	if (message->kind == RAFT_APPEND_ENTRIES)
		fprintf(out, " behind %" PRIu64 "@%" PRIu64 " entries %u commit %" PRIu64,
		    message->at.index, message->at.term, message->count, message->commit);
	if (message->kind == RAFT_APPEND_REPLY && !message->refused)
		fprintf(out, " durable %" PRIu64 " accepted %" PRIu64, message->at.index,
		    message->hint.index);
	if (message->kind == RAFT_APPEND_REPLY && message->refused)
		fprintf(out, " of %" PRIu64 " hint %" PRIu64 "@%" PRIu64, message->at.index,
		    message->hint.index, message->hint.term);
	if (message->kind == RAFT_HEARTBEAT || message->kind == RAFT_READ_INDEX_REPLY)
		fprintf(out, " commit %" PRIu64, message->commit);
	if (message->kind == RAFT_HEARTBEAT || message->kind == RAFT_HEARTBEAT_REPLY)
		fprintf(out, " round %" PRIu64, message->round);
	fputs(message->refused ? " refused" : "", out);
	fputs(message->forced ? " forced" : "", out);
	fputs(message->asleep ? " asleep" : "", out);
}

static void print_membership(FILE *out, const struct raft_membership *membership)
{
	for (uint32_t i = 0; i < membership->count; i++) {
		const struct raft_member *member = &membership->members[i];
		fprintf(out, " %" PRIu64 "%s%s%s%s", member->replica,
		    member->roles & RAFT_VOTER ? "v" : "", member->roles & RAFT_OUTGOING ? "o" : "",
		    member->roles & RAFT_LEARNER ? "l" : "",
		    member->roles & RAFT_LEARNER_NEXT ? "n" : "");
	}
	fputs(membership->leaves_joint ? " leaves" : "", out);
}

void bench_print_status(struct bench *bench, uint64_t id)
{
	const struct node *node = &bench->nodes[id];
	if (!node->raft) {
		fprintf(bench->out, "  %" PRIu64 " is down\n", id);
		return;
	}
	struct raft_status status = raft_status(node->raft);
	struct raft_membership members;
	raft_get_membership(node->raft, &members);
	fprintf(bench->out,
	    "  %" PRIu64 " %s term %" PRIu64 " vote %" PRIu64 " leader %" PRIu64 " log %" PRIu64
	    "..%" PRIu64 "@%" PRIu64 " commit %" PRIu64 " durable %" PRIu64 "%s%s members",
	    id, role_names[status.role], status.term, status.vote, status.leader,
	    status.base.index + 1, status.last.index, status.last.term, status.commit,
	    status.durable, status.asleep ? " asleep" : "",
	    status.transferring ? " transferring" : "");
	print_membership(bench->out, &members);
	fputc('\n', bench->out);
}

void bench_print_log(struct bench *bench, uint64_t id)
{
	const struct disk *now = &bench->nodes[id].now;
	fprintf(bench->out, "  %" PRIu64 " log:", id);
	for (uint64_t i = now->base.index + 1; i <= now->last.index; i++)
		fprintf(bench->out, " %" PRIu64 "@%" PRIu64, i, now->log[i].term);
	fputc('\n', bench->out);
}

void bench_print_progress(struct bench *bench, uint64_t id)
{
	static const char *const flows[] = {
	    [RAFT_PROBE] = "probe", [RAFT_REPLICATE] = "replicate", [RAFT_SNAPSHOT] = "snapshot"};
	struct raft_progress progress;
	for (uint32_t i = 0; raft_get_progress(bench->nodes[id].raft, i, &progress); i++)
		if (progress.replica != id)
			fprintf(bench->out,
			    "  %" PRIu64 " to %" PRIu64 ": %s match %" PRIu64 " next %" PRIu64
			    " in flight %u\n",
			    id, progress.replica, flows[progress.flow], progress.match,
			    progress.next, progress.messages_in_flight);
}
