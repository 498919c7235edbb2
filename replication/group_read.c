/* Entries that are not in memory any more, read back from the log for replicas that lack them.
 *
 *   fit() wants one --> WAITS --turn--> ASKED (storage/log_read.h) --done--> HERE --> gone
 *                         ^               |
 *                         +-- no room ----+
 *
 * A group has some WINDOWS of entries beside its flights, each of some hundred KiB at most. One
 * is made where the machine wants to send what is not in memory, and stays until those that it was
 * made for have acknowledged it: so what was lost on the way is sent again without being read
 * again, and what is under way of such entries is as bounded as what is in memory of them. All
 * windows of a store hold GROUP_READ_BYTES_MAX of entries together and one entry, in up to twice as
 * much memory; who finds that taken waits.
 *
 * The floor is the entry before the first that may be asked for. The machine has its base there: it
 * asks whether logs match down to it, and terms are known here without the log. It rises, and who
 * lacks more gets a snapshot, where
 *   - the log does not have the entries any more, or cannot read them;
 *   - they are more than the state is: the mean size of entries tells how many bytes they are, the
 *     store how many the shard is. Below GROUP_READ_CHEAP_BYTES they are read anyway;
 *   - terms changed more than GROUP_TERMS_MAX times.
 *
 * Rules. What is read is below the base, so applied: nothing replaces it. Each entry's term is
 * compared with what is known here, as the log's bytes are the only thing that says what they are.
 * Windows are the leader's: they go with leadership, and where nobody that is alive wants them. A
 * window that is here for GROUP_READ_PATIENCE_MS goes too, so that a replica which takes nothing
 * does not keep others waiting.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "replication/group_parts.h"
#include "storage/log_format.h"
#include "storage/log_read.h"

struct group_window {
	struct log_read read;
	struct group *group;
	struct list_node link;      /* of the group's */
	struct list_node wait_link; /* of the store's that are not asked for */
	bool asked, here;
	uint64_t here_ms;
};

struct group_estimate {
	struct engine_estimate engine;
	struct group *group; /* NULL: it is gone */
};

static uint64_t last_of(const struct group_window *window)
{
	return window->read.first + window->read.count - 1;
}

static uint64_t bytes_of(const struct group_window *window)
{
	return window->here ? window->read.ends[window->read.count - 1] : 0;
}

/* ---- Terms ---- */

uint64_t group_past_term(const struct group *group, uint64_t index)
{
	ASSERT(index >= group->floor.index && index <= group->base.index);
	uint64_t term = group->floor.term;
	for (uint32_t i = 0; i < group->terms_count && group->terms[i].index <= index; i++)
		term = group->terms[i].term;
	return term;
}

static void raise_floor(struct group *group, uint64_t index)
{
	uint32_t gone = 0;
	if (index <= group->floor.index)
		return;
	group->floor =
	    (struct group_position){.term = group_past_term(group, index), .index = index};
	while (gone < group->terms_count && group->terms[gone].index <= index)
		gone++;
	for (uint32_t i = gone; i < group->terms_count; i++)
		group->terms[i - gone] = group->terms[i];
	group->terms_count -= gone;
	group->floor_moved = true;
}

void group_base_rises(struct group *group, struct group_position to)
{
	uint64_t term =
	    group->terms_count > 0 ? group->terms[group->terms_count - 1].term : group->floor.term;
	if (term != to.term) {
		if (group->terms_count == GROUP_TERMS_MAX)
			raise_floor(group, group->terms[0].index);
		group->terms[group->terms_count++] = to;
	}
	group->base = to;
	if (group->store->read_bytes_max == 0)
		raise_floor(group, to.index);
}

/* ---- Windows ---- */

/* Windows overlap where two replicas lack nearly the same. Of one that is not here only the first
 * entry is known to be in it, and another that is here may have that. */
static struct group_window *find(const struct group *group, uint64_t index)
{
	struct group_window *found = NULL;
	LIST_FOR_EACH(node, &group->windows)
	{
		struct group_window *window = CONTAINER_OF(node, struct group_window, link);
		uint64_t last = window->here ? last_of(window) : window->read.first;
		if (window->read.first > index || index > last)
			continue;
		if (window->here)
			return window;
		found = window;
	}
	return found;
}

static void drop(struct group_window *window)
{
	struct group *group = window->group;
	struct group_store *store = group->store;
	store->read_bytes -= bytes_of(window);
	if (window->asked) {
		store->windows_asked--;
		engine_log_read_cancel(store->engine, &window->read);
	}
	log_read_free(&window->read);
	list_remove(&window->link);
	list_remove(&window->wait_link);
	group->windows_count--;
	mem_free(window);
}

void group_windows_drop(struct group *group)
{
	struct list_node *node;
	while ((node = list_first(&group->windows)))
		drop(CONTAINER_OF(node, struct group_window, link));
}

void group_past_done(struct group *group)
{
	group_windows_drop(group);
	if (group->estimate)
		group->estimate->group = NULL;
	group->estimate = NULL;
}

struct slice group_past_entry(const struct group *group, uint64_t index, uint64_t *ret_term)
{
	const struct group_window *window = find(group, index);
	ASSERT(window && window->here);
	uint64_t at = index - window->read.first;
	/* Breaks: an entry is sent under its own index. */
	if (MUTATION(group_reads_one_off) && at > 0)
		at--;
	uint32_t from = at > 0 ? window->read.ends[at - 1] : 0;
	*ret_term = window->read.term;
	return slice_of(window->read.data + from, window->read.ends[at] - from);
}

/* The entries are not to be had: who lacks them gets a snapshot. */
static void give_up(struct group *group, uint64_t first)
{
	uint64_t has = engine_log_first(group->store->engine, group->shard);
	bool lower = has > first && has <= group->base.index;
	raise_floor(group, lower ? has - 1 : group->base.index);
	group_attend(group);
}

/* What was read is what is known to stand there. */
static bool is_good(const struct group *group, const struct group_window *window)
{
	uint64_t first = window->read.first, last = last_of(window);
	if (group_past_term(group, first) != window->read.term ||
	    group_past_term(group, last) != window->read.term)
		return false;
	for (uint64_t i = first; i <= last; i++) {
		struct group_entry entry;
		uint64_t term;
		if (group_entry_decode(group_past_entry(group, i, &term), &entry))
			return false;
	}
	return true;
}

static void read_done(struct log_read *read, int result)
{
	struct group_window *window = CONTAINER_OF(read, struct group_window, read);
	struct group *group = window->group;
	struct group_store *store = group->store;
	window->asked = false;
	store->windows_asked--;
	if (result == ERR_FULL) {
		list_push_back(&store->windows_wait, &window->wait_link);
		return;
	}
	/* It was given up meanwhile. */
	if (read->first <= group->floor.index) {
		drop(window);
		group_attend(group);
		return;
	}
	/* What is behind the base is in memory, and may be replaced. */
	if (result == 0 && last_of(window) > group->base.index)
		read->count = (uint32_t)(group->base.index + 1 - read->first);
	window->here = result == 0;
	window->here_ms = group_now_ms(group);
	store->read_bytes += bytes_of(window);
	if (window->here && is_good(group, window)) {
		store->read_entries += window->read.count;
		store->read_total += bytes_of(window);
		group_attend(group);
		return;
	}
	uint64_t first = read->first;
	if (result == 0)
		LOG_LINE(LEVEL_WARNING, "log_read_wrong", FIELD_U64("group", group->shard),
		    FIELD_U64("index", first), FIELD_U64("term", group->term));
	drop(window);
	if (result != ERR_NOMEM)
		give_up(group, first);
}

/* ---- What the machine wants ---- */

uint32_t group_past_fit(struct group *group, uint64_t first, uint32_t count_max, uint64_t bytes_max,
    uint64_t *ret_bytes)
{
	const struct group_window *found = find(group, first);
	*ret_bytes = 0;
	if (found && found->here) {
		uint32_t count = 0;
		for (uint64_t i = first; i <= last_of(found) && count < count_max; i++, count++) {
			uint64_t term;
			size_t bytes = group_past_entry(group, i, &term).bytes;
			if (count > 0 && *ret_bytes + bytes > bytes_max)
				break;
			*ret_bytes += bytes;
		}
		return count;
	}
	/* Nobody would drop what one that was closed in this turn still asks for. */
	if (found || group->windows_count == GROUP_WINDOWS_MAX || group->store->closing ||
	    group_is_over(group))
		return 0;
	struct group_window *window = mem_zalloc(1, sizeof(*window));
	if (!window)
		return 0;
	window->group = group;
	window->read = (struct log_read){.group = group->shard,
	    .first = first,
	    .bytes_max = GROUP_WINDOW_BYTES_MAX,
	    .done = read_done};
	list_node_init(&window->link);
	list_node_init(&window->wait_link);
	list_node_init(&window->read.link);
	list_push_back(&group->windows, &window->link);
	list_push_back(&group->store->windows_wait, &window->wait_link);
	group->windows_count++;
	return 0;
}

static bool wants(const struct group *group, const struct group_window *window, uint64_t now_ms)
{
	struct raft_progress progress;
	uint64_t first = window->read.first;
	uint64_t last = window->here ? last_of(window) : first;
	for (uint32_t i = 0; raft_get_progress(group->raft, i, &progress); i++)
		if (progress.replica != group->self && progress.flow != RAFT_SNAPSHOT &&
		    now_ms - progress.heard_ms < GROUP_ELECTION_MS && progress.match < last &&
		    progress.next >= first)
			return true;
	return false;
}

void group_windows_look(struct group *group)
{
	struct raft_status status = raft_status(group->raft);
	uint64_t now_ms = group_now_ms(group);
	bool none = status.role != RAFT_LEADER || status.asleep || group_is_over(group);
	LIST_FOR_EACH_REMOVABLE(node, &group->windows)
	{
		struct group_window *window = CONTAINER_OF(node, struct group_window, link);
		bool old = window->here && now_ms - window->here_ms >= GROUP_READ_PATIENCE_MS;
		if (none || old || !wants(group, window, now_ms))
			drop(window);
	}
}

/* ---- Which is cheaper ---- */

static void estimated(struct engine_estimate *engine)
{
	struct group_estimate *estimate = CONTAINER_OF(engine, struct group_estimate, engine);
	struct group *group = estimate->group;
	if (group) {
		group->estimate = NULL;
		group->state_bytes = estimate->engine.bytes;
		group->state_ms = group_now_ms(group);
		group_attend(group);
	}
	mem_free(estimate);
}

/* How much the state is, is asked once in a while. False: it is not known yet. */
static bool knows_state(struct group *group)
{
	if (group->state_ms != 0 && group_now_ms(group) - group->state_ms < GROUP_STATE_MS)
		return true;
	if (group->estimate)
		return false;
	struct group_estimate *estimate = mem_zalloc(1, sizeof(*estimate));
	if (!estimate)
		return false;
	estimate->group = group;
	estimate->engine.done = estimated;
	group->estimate = estimate;
	engine_estimate(group->store->engine, group->shard, &estimate->engine);
	return false;
}

/* Whether so many bytes are read rather than the state sent. ERR_AGAIN: it is not known yet. */
static int is_cheaper(struct group *group, uint64_t first, bool *ret_cheaper)
{
	uint64_t mean = group->applied_entries > 0 ? group->applied_bytes / group->applied_entries
	                                           : GROUP_ENTRY_HEADER_BYTES;
	uint64_t lacks = (group->base.index + 1 - first) * (mean + LOG_RECORD_HEADER_BYTES);
	*ret_cheaper = true;
	if (lacks <= GROUP_READ_CHEAP_BYTES)
		return 0;
	if (!knows_state(group))
		return ERR_AGAIN;
	*ret_cheaper = lacks <= group->state_bytes;
	return 0;
}

/* ---- The turn ---- */

static void ask(struct group_window *window)
{
	struct group *group = window->group;
	uint64_t first = window->read.first;
	bool cheaper = true;
	int error =
	    first < engine_log_first(group->store->engine, group->shard) ? ERR_NOT_FOUND : 0;
	if (!error)
		error = is_cheaper(group, first, &cheaper);
	if (error == ERR_AGAIN)
		return;
	if (!error && cheaper)
		error = engine_log_read(group->store->engine, &window->read);
	if (!error && cheaper) {
		window->asked = true;
		group->store->windows_asked++;
		list_remove(&window->wait_link);
		return;
	}
	drop(window);
	if (!error) {
		/* Who lacks so much gets the state; the log stays for those that lack less. */
		raise_floor(group, first);
		group_attend(group);
	} else if (error != ERR_NOMEM) { /* which is short for a moment: a heartbeat tries again */
		give_up(group, first);
	}
}

void group_windows_turn(struct group_store *store)
{
	if (store->closing || store->read_bytes >= store->read_bytes_max)
		return;
	LIST_FOR_EACH_REMOVABLE(node, &store->windows_wait)
	ask(CONTAINER_OF(node, struct group_window, wait_link));
	engine_log_reads_start(store->engine, store->read_bytes_max - store->read_bytes);
}
