/* raft_script [--rewrite] FILE...: runs scripts of the folder (README.md) and compares what
 * they print with what stands in them. Ends with "N passed, N failed". */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutation.h"
#include "tests/raft/bench.h"

enum { WORDS_MAX = 24 };

struct line {
	char *word[WORDS_MAX];
	size_t words;
};

__attribute__((noreturn)) static void bad(const char *what)
{
	fprintf(stderr, "raft_script: %s\n", what);
	exit(2);
}

static uint64_t number(const struct line *line, size_t at)
{
	if (at >= line->words)
		bad("a number is missing");
	char *end;
	uint64_t value = strtoull(line->word[at], &end, 10);
	if (*end != '\0')
		bad("not a number");
	return value;
}

static uint64_t replica(const struct bench *bench, const struct line *line, size_t at)
{
	uint64_t id = number(line, at);
	if (id == 0 || id > NODES_MAX || !bench->nodes[id].raft)
		bad("no such replica");
	return id;
}

static bool is(const struct line *line, size_t at, const char *word)
{
	return at < line->words && strcmp(line->word[at], word) == 0;
}

/* "1->2", "1->*", "*->2", "*"; and of a kind, where one is named behind that. */
static bool matches(const struct line *line, const struct raft_message *message)
{
	if (line->words > 2 && !is(line, 2, bench_kind_name(message->kind)))
		return false;
	if (line->words < 2 || is(line, 1, "*"))
		return true;
	const char *arrow = strstr(line->word[1], "->");
	if (!arrow)
		bad("FROM->TO is expected");
	const char *from = line->word[1], *to = arrow + 2;
	bool good = *from == '*' || strtoull(from, NULL, 10) == message->from;
	return good && (*to == '*' || strtoull(to, NULL, 10) == message->to);
}

/* Those that lie there now; what they cause lies there afterwards. */
static void deliver(struct bench *bench, const struct line *line, bool drop)
{
	uint32_t left = bench->row_count;
	for (uint32_t at = 0; left > 0; left--) {
		if (!matches(line, &bench->row[at]->message))
			at++;
		else if (drop)
			bench_drop(bench, at);
		else
			bench_deliver(bench, at);
	}
}

/* Held back, so that stabilize passes them by; and let go, behind all others. */
static void hold(struct bench *bench, const struct line *line)
{
	uint32_t kept = 0;
	for (uint32_t at = 0; at < bench->row_count; at++) {
		struct item *item = bench->row[at];
		if (matches(line, &item->message) && bench->held_count < ROW_MAX)
			bench->held[bench->held_count++] = item;
		else
			bench->row[kept++] = item;
	}
	bench->row_count = kept;
}

static void let_go(struct bench *bench)
{
	for (uint32_t i = 0; i < bench->held_count && bench->row_count < ROW_MAX; i++)
		bench->row[bench->row_count++] = bench->held[i];
	bench->held_count = 0;
}

static void stabilize(struct bench *bench)
{
	for (unsigned round = 0;; round++) {
		if (round > 200)
			bad("does not come to rest");
		bool any = bench->row_count > 0;
		for (uint32_t left = bench->row_count; left > 0; left--)
			bench_deliver(bench, 0);
		for (uint64_t id = 1; id <= NODES_MAX; id++)
			any |= !bench->stalls[id] && bench_store(bench, id, WRITES_MAX);
		if (!any)
			return;
	}
}

static void group(struct bench *bench, const struct line *line)
{
	struct raft_membership membership = {.count = 0};
	for (size_t i = 1; i < line->words; i++)
		membership.members[membership.count++] =
		    (struct raft_member){.replica = strtoull(line->word[i], NULL, 10),
		        .roles = strchr(line->word[i], 'l') ? RAFT_LEARNER : RAFT_VOTER};
	for (uint32_t i = 0; i < membership.count; i++)
		bench_add(bench, membership.members[i].replica, &membership);
}

/* preset ID TERM T1 T2 ...: it starts anew, with a log of these terms. */
static void preset(struct bench *bench, const struct line *line)
{
	uint64_t id = replica(bench, line, 1);
	uint64_t terms[WORDS_MAX];
	size_t count = 0;
	for (size_t i = 3; i < line->words; i++)
		terms[count++] = number(line, i);
	bench_preset(bench, id, number(line, 2), terms, count);
}

static void change(struct bench *bench, const struct line *line)
{
	uint64_t id = replica(bench, line, 1);
	struct raft_change changes[WORDS_MAX];
	size_t count = 0;
	enum raft_transition transition = RAFT_AUTOMATIC;
	for (size_t i = 2; i < line->words; i++) {
		const char *word = line->word[i];
		if (!strcmp(word, "joint"))
			transition = RAFT_JOINT;
		else if (!strcmp(word, "explicit"))
			transition = RAFT_JOINT_EXPLICIT;
		else if (!strcmp(word, "leave"))
			transition = RAFT_LEAVE;
		else
			changes[count++] =
			    (struct raft_change){.kind = *word == '+'   ? RAFT_ADD_VOTER
			                                 : *word == '-' ? RAFT_REMOVE
			                                                : RAFT_ADD_LEARNER,
			        .replica = strtoull(word + 1, NULL, 10)};
	}
	const char *why;
	int error = raft_change(
	    bench->nodes[id].raft, bench->nodes[id].now_ms, changes, count, transition, &why);
	if (error)
		fprintf(bench->out, "  %s: %s\n", error_name(error), why);
	bench_go_on(bench, id);
}

static void propose(struct bench *bench, const struct line *line)
{
	uint64_t id = replica(bench, line, 1);
	uint32_t count = line->words > 2 ? (uint32_t)number(line, 2) : 1;
	struct raft_position first;
	int error = raft_propose(bench->nodes[id].raft, bench->nodes[id].now_ms, count,
	    (uint64_t)count * ENTRY_BYTES, &first);
	if (error)
		fprintf(bench->out, "  %s\n", error_name(error));
	else
		bench_proposed(bench, id, first, count);
}

/* Its timer fires, now. */
static void time_out(struct bench *bench, uint64_t id)
{
	uint64_t deadline = raft_deadline(bench->nodes[id].raft);
	if (deadline == RAFT_NEVER) {
		fprintf(bench->out, "  no timer\n");
		return;
	}
	if (bench->nodes[id].now_ms < deadline)
		bench->nodes[id].now_ms = deadline;
	bench_step(bench, id, (struct raft_event){.kind = RAFT_TICK});
}

static void pass(struct bench *bench, const struct line *line)
{
	uint64_t first = is(line, 1, "*") ? 1 : replica(bench, line, 1);
	uint64_t last = is(line, 1, "*") ? NODES_MAX : first;
	uint64_t ms = number(line, 2);
	for (uint64_t id = first; id <= last; id++) {
		if (!bench->nodes[id].raft)
			continue;
		bench->nodes[id].now_ms += ms;
		if (raft_deadline(bench->nodes[id].raft) <= bench->nodes[id].now_ms)
			bench_step(bench, id, (struct raft_event){.kind = RAFT_TICK});
	}
}

static void ask(struct bench *bench, const struct line *line)
{
	uint64_t id = replica(bench, line, 1);
	struct node *node = &bench->nodes[id];
	if (is(line, 0, "confirm")) {
		uint64_t round, calls = line->words > 2 ? number(line, 2) : 1;
		for (; calls > 0; calls--) {
			int error = raft_confirm(node->raft, node->now_ms, &round);
			if (error)
				fprintf(bench->out, "  %s\n", error_name(error));
			else
				fprintf(bench->out, "  round %" PRIu64 "\n", round);
		}
	} else if (is(line, 0, "ask")) {
		uint64_t question, calls = line->words > 2 ? number(line, 2) : 1;
		for (; calls > 0; calls--) {
			int error = raft_ask(node->raft, node->now_ms, &question);
			if (!error && node->question_base == 0)
				node->question_base = question - 1;
			if (error)
				fprintf(bench->out, "  %s\n", error_name(error));
			else
				fprintf(bench->out, "  question %" PRIu64 "\n",
				    question - node->question_base);
		}
	} else if (is(line, 0, "lease")) {
		fprintf(bench->out, raft_lease(node->raft, node->now_ms) ? "  yes\n" : "  no\n");
		return;
	} else if (is(line, 0, "led")) {
		uint64_t led_ms = raft_led_ms(node->raft);
		if (led_ms == 0)
			fprintf(bench->out, "  not known\n");
		else
			fprintf(bench->out, "  %" PRIu64 " ms ago\n", node->now_ms - led_ms);
		return;
	} else {
		int error = raft_transfer(node->raft, node->now_ms, number(line, 2));
		if (error)
			fprintf(bench->out, "  %s\n", error_name(error));
	}
	bench_go_on(bench, id);
}

static void recover(struct bench *bench, const struct line *line)
{
	uint64_t id = replica(bench, line, 1);
	struct node *node = &bench->nodes[id];
	int error = raft_recover(node->raft, node->now_ms, number(line, 2));
	if (error)
		fprintf(bench->out, "  %s\n", error_name(error));
	bench_go_on(bench, id);
}

static void cut(struct bench *bench, const struct line *line)
{
	memset(bench->cut, 0, sizeof(bench->cut));
	if (is(line, 0, "heal"))
		return;
	/* cut 1 2 : 3 4 5 */
	bool side[NODES_MAX + 1] = {false};
	size_t at = 1;
	for (; at < line->words && !is(line, at, ":"); at++)
		side[number(line, at)] = true;
	for (uint64_t from = 1; from <= NODES_MAX; from++)
		for (uint64_t to = 1; to <= NODES_MAX; to++)
			bench->cut[from][to] = side[from] != side[to];
}

static void show(struct bench *bench, const struct line *line)
{
	for (uint64_t id = 1; id <= NODES_MAX; id++) {
		bool there = bench->nodes[id].raft || bench->nodes[id].now_ms > 0;
		if (!there || (line->words > 1 && !is(line, 1, "*") && number(line, 1) != id))
			continue;
		if (is(line, 0, "status"))
			bench_print_status(bench, id);
		else if (is(line, 0, "log"))
			bench_print_log(bench, id);
		else if (bench->nodes[id].raft)
			bench_print_progress(bench, id);
	}
}

static void set(struct bench *bench, const struct line *line)
{
	if (is(line, 1, "entries"))
		bench->message_entries = (uint32_t)number(line, 2);
	else if (is(line, 1, "gather"))
		bench->gather_entries = (uint32_t)number(line, 2);
	else if (is(line, 1, "leases"))
		bench->leases = true;
	else if (is(line, 1, "sleep"))
		bench->sleeps = true;
	else
		bad("set entries N | gather N | leases | sleep");
}

static void run(struct bench *bench, const struct line *line)
{
	static const struct raft_membership nobody;
	const char *verb = line->word[0];
	if (!strcmp(verb, "set"))
		set(bench, line);
	else if (!strcmp(verb, "quiet") || !strcmp(verb, "loud"))
		bench->quiet = *verb == 'q';
	else if (!strcmp(verb, "group"))
		group(bench, line);
	else if (!strcmp(verb, "new"))
		bench_add(bench, number(line, 1), &nobody);
	else if (!strcmp(verb, "timeout"))
		time_out(bench, replica(bench, line, 1));
	else if (!strcmp(verb, "pass"))
		pass(bench, line);
	else if (!strcmp(verb, "store"))
		bench_store(bench, replica(bench, line, 1),
		    line->words > 2 ? (uint32_t)number(line, 2) : WRITES_MAX);
	else if (!strcmp(verb, "stall") || !strcmp(verb, "unstall"))
		bench->stalls[replica(bench, line, 1)] = *verb == 's';
	else if (!strcmp(verb, "preset"))
		preset(bench, line);
	else if (!strcmp(verb, "deliver") || !strcmp(verb, "drop"))
		deliver(bench, line, verb[1] == 'r');
	else if (!strcmp(verb, "hold"))
		hold(bench, line);
	else if (!strcmp(verb, "release"))
		let_go(bench);
	else if (!strcmp(verb, "stabilize"))
		stabilize(bench);
	else if (!strcmp(verb, "propose"))
		propose(bench, line);
	else if (!strcmp(verb, "change"))
		change(bench, line);
	else if (!strcmp(verb, "confirm") || !strcmp(verb, "lease") || !strcmp(verb, "transfer") ||
	         !strcmp(verb, "ask") || !strcmp(verb, "led"))
		ask(bench, line);
	else if (!strcmp(verb, "crash"))
		bench_stop(bench, replica(bench, line, 1),
		    line->words > 2 ? (uint32_t)number(line, 2) : 0);
	else if (!strcmp(verb, "start"))
		bench_start(bench, number(line, 1));
	else if (!strcmp(verb, "recover") && line->words > 2)
		recover(bench, line);
	else if (!strcmp(verb, "recover"))
		bench_recover(bench, replica(bench, line, 1));
	else if (!strcmp(verb, "cut") || !strcmp(verb, "heal"))
		cut(bench, line);
	else if (!strcmp(verb, "compact"))
		bench_compact(bench, replica(bench, line, 1), number(line, 2));
	else if (!strcmp(verb, "cold"))
		bench_cold(bench, replica(bench, line, 1), number(line, 2), number(line, 3));
	else if (!strcmp(verb, "warm"))
		bench_cold(bench, replica(bench, line, 1), 0, 0);
	else if (!strcmp(verb, "snapshot"))
		bench_snapshot(
		    bench, replica(bench, line, 1), replica(bench, line, 2), is(line, 3, "lost"));
	else if (!strcmp(verb, "offer"))
		bench_offer(bench, replica(bench, line, 1), replica(bench, line, 2));
	else if (!strcmp(verb, "installed"))
		bench_installed(bench, replica(bench, line, 1), is(line, 2, "failed"));
	else if (!strcmp(verb, "unreachable") || !strcmp(verb, "down"))
		bench_step(bench, replica(bench, line, 1),
		    (struct raft_event){.kind = *verb == 'u' ? RAFT_UNREACHABLE : RAFT_PEER_DOWN,
		        .replica = number(line, 2)});
	else if (!strcmp(verb, "status") || !strcmp(verb, "log") || !strcmp(verb, "progress"))
		show(bench, line);
	else
		bad("unknown command");
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file)
		bad("a script cannot be read");
	static char text[1 << 20];
	size_t bytes = fread(text, 1, sizeof(text) - 1, file);
	text[bytes] = '\0';
	fclose(file);
	return text;
}

/* The script again, with what it printed instead of what stood there. */
static char *run_script(const char *text, size_t *ret_bytes)
{
	char *result = NULL;
	FILE *out = open_memstream(&result, ret_bytes);
	struct bench *bench = calloc(1, sizeof(*bench));
	if (!out || !bench)
		bad("out of memory");
	bench->out = out;
	bench->message_entries = 5;
	while (*text) {
		const char *end = strchr(text, '\n');
		size_t bytes = end ? (size_t)(end - text) : strlen(text);
		char copy[512];
		if (bytes >= sizeof(copy))
			bad("a line is too long");
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
		text += bytes + (end != NULL);
		if (copy[0] == ' ')
			continue;
		fprintf(out, "%s\n", copy);
		struct line line = {.words = 0};
		char *rest = copy;
		for (char *word; line.words < WORDS_MAX && (word = strsep(&rest, " "));)
			if (*word != '\0')
				line.word[line.words++] = word;
		if (line.words > 0 && copy[0] != '#')
			run(bench, &line);
	}
	bench_done(bench);
	free(bench);
	fclose(out);
	return result;
}

static void show_difference(const char *expected, const char *got)
{
	unsigned line = 1;
	while (*expected && *expected == *got) {
		line += *expected == '\n';
		expected++;
		got++;
	}
	while (line > 1 && expected[-1] != '\n') {
		expected--;
		got--;
	}
	printf("  line %u\n  - %.*s\n  + %.*s\n", line, (int)strcspn(expected, "\n"), expected,
	    (int)strcspn(got, "\n"), got);
}

int main(int argc, char **argv)
{
	bool rewrite = false;
	unsigned passed = 0, failed = 0;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--rewrite")) {
			rewrite = true;
			continue;
		}
		if (!strcmp(argv[i], "--mutation") && i + 1 < argc) {
			enum mutation mutation;
			if (!mutation_built() || mutation_find(argv[++i], &mutation))
				bad("no mutation of that name here");
			mutation_set(mutation);
			continue;
		}
		char *text = read_file(argv[i]);
		size_t bytes;
		char *result = run_script(text, &bytes);
		bool same = strcmp(text, result) == 0;
		if (!same && rewrite) {
			FILE *file = fopen(argv[i], "w");
			if (!file || fwrite(result, 1, bytes, file) != bytes || fclose(file))
				bad("a script cannot be written");
		} else if (!same) {
			printf("%s: not as written\n", argv[i]);
			show_difference(text, result);
		}
		*(same || rewrite ? &passed : &failed) += 1;
		free(result);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
