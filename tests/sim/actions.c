/* What the driver does to the groups: it proposes, votes, replaces, commits and applies. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tests/sim/driver.h"
#include "tests/sim/verdict.h"

enum {
	ENTRIES_MAX = 16, /* of one proposal */
	HELD_TURNS_MAX = 12,
	PAYLOADS_CHECKED_PERMILLE = 150,
	BATCH_BYTES_MAX = 64 * 1024,
};

static uint8_t scratch[BATCH_BYTES_MAX];

/* ---- Room ---- */

static bool reserve(
    struct driver *driver, size_t shard, uint64_t bytes, uint32_t records, bool spare)
{
	uint32_t number = driver_shard(driver, shard)->number;
	if (driver_is_installing(driver, shard))
		return false;
	int error = spare ? engine_reserve_spare(driver->engine, number, bytes, records)
	                  : engine_reserve(driver->engine, number, bytes, records);
	if (error == 0)
		return true;
	if (error == ERR_FULL) {
		driver->coverage->refused_full++;
		driver->wants_room = true;
		return false;
	}
	if (error == ERR_NO_SPACE) {
		driver->coverage->refused_no_space++;
		driver->wants_room = true;
		driver->refused_for_space = true;
		EXPECT(driver->may_lack_space, "space", "refused, and the disk is not full");
		bool log_is_full = engine_figures(driver->engine).log.no_space;
		EXPECT((number != 0 && !spare) || log_is_full, "space",
		    "shard %" PRIu32 ": refused what a full disk must still take", number);
		return false;
	}
	EXPECT(
	    error == ERR_DATA_LOSS, "reserve", "shard %" PRIu32 ": %s", number, error_name(error));
	EXPECT(engine_shard_closed(driver->engine, number), "closed",
	    "shard %" PRIu32 " says ERR_DATA_LOSS, and is not closed", number);
	return false;
}

/* ---- Appending ---- */

static void appended(struct driver *driver)
{
	model_appended(driver->model, engine_figures(driver->engine).log.last_frame + 1);
	driver->operations++;
}

static void append_hard_state(
    struct driver *driver, size_t shard, const struct log_hard_state *hard)
{
	/* The engine may end the process inside the call, with the record appended or not. */
	model_append_hard_state(driver->model, shard, hard);
	engine_append_hard_state(driver->engine, driver_shard(driver, shard)->number, hard);
	appended(driver);
	driver->coverage->hard_states++;
}

static struct content_entry name_entry(const struct driver *driver, size_t shard, uint64_t term,
    uint64_t index, enum content_kind kind)
{
	return (struct content_entry){.kind = kind,
	    .shard = driver_shard(driver, shard)->number,
	    .boot = driver->model->boot,
	    .term = term,
	    .index = index};
}

/* Room was reserved: what it takes of that is given back just before. */
static void append_entry(struct driver *driver, size_t shard, const struct content_entry *entry)
{
	const struct content *content = driver->model->content;
	uint32_t bytes = content_batch_bytes(content, entry);
	uint8_t *payload = NULL;
	engine_unreserve(driver->engine, bytes, 1);
	model_append_entry(driver->model, shard, entry->term, entry->index, entry->kind);
	engine_append(driver->engine, entry->shard, entry->term, entry->index, bytes, &payload);
	content_batch(content, entry, payload, bytes);
	appended(driver);
	driver->payloads[shard][entry->index % DRIVER_PAYLOADS_MAX] = (struct driver_payload){
	    .index = entry->index, .term = entry->term, .data = payload, .bytes = bytes};
	driver->coverage->entries++;
}

/* What is to be appended together, once there is room for it. */
struct proposal {
	struct content_entry entries[ENTRIES_MAX];
	unsigned count;
	uint64_t bytes;
	bool spare;
};

static void proposal_make(struct driver *driver, size_t shard, uint64_t term, uint64_t index,
    unsigned count, uint64_t bytes_max, struct proposal *proposal)
{
	proposal->count = 0;
	proposal->bytes = 0;
	proposal->spare = driver_chance(driver, 60);
	for (unsigned i = 0; i < count; i++) {
		enum content_kind kind = proposal->spare             ? CONTENT_DELETES
		                         : driver_chance(driver, 30) ? CONTENT_EMPTY
		                                                     : CONTENT_MIXED;
		struct content_entry entry = name_entry(driver, shard, term, index + i, kind);
		uint64_t bytes = content_batch_bytes(driver->model->content, &entry);
		if (proposal->bytes + bytes > bytes_max)
			break;
		proposal->entries[proposal->count++] = entry;
		proposal->bytes += bytes;
	}
}

static void proposal_append(struct driver *driver, size_t shard, const struct proposal *proposal)
{
	for (unsigned i = 0; i < proposal->count; i++)
		append_entry(driver, shard, &proposal->entries[i]);
}

static uint64_t next_index(const struct driver *driver, size_t shard)
{
	return model_last_index(driver->model, shard) + 1;
}

/* The first thing of a boot: a term of its own, and an entry in it. */
static bool begin_term(struct driver *driver, size_t shard_position)
{
	const struct model_shard *shard = driver_shard(driver, shard_position);
	if (driver->has_term[shard_position])
		return true;
	/* A snapshot may be of a later term than the last vote that is left. */
	uint64_t last_term = model_last_term(driver->model, shard_position);
	uint64_t term = shard->hard.term > last_term ? shard->hard.term : last_term;
	struct log_hard_state hard = {.term = term + 1,
	    .vote = 1,
	    .commit = shard->commit > shard->hard.commit ? shard->commit : shard->hard.commit};
	struct content_entry entry = name_entry(
	    driver, shard_position, hard.term, next_index(driver, shard_position), CONTENT_EMPTY);
	uint32_t bytes = content_batch_bytes(driver->model->content, &entry);
	if (!reserve(driver, shard_position, bytes, 1, false))
		return false;
	append_hard_state(driver, shard_position, &hard);
	append_entry(driver, shard_position, &entry);
	driver->has_term[shard_position] = true;
	return true;
}

/* A shard that lags gets entries from leaders of older terms, too. */
static uint64_t term_for_entry(struct driver *driver, size_t shard)
{
	uint64_t term = driver_shard(driver, shard)->hard.term;
	uint64_t last_term = model_last_term(driver->model, shard);
	ASSERT(last_term <= term);
	if (last_term > 0 && driver_shard(driver, shard)->lags && driver_chance(driver, 200))
		return last_term;
	return term;
}

static bool has_too_much_unapplied(const struct driver *driver, size_t shard_position)
{
	const struct model_shard *shard = driver_shard(driver, shard_position);
	uint64_t last = model_last_index(driver->model, shard_position);
	return shard->lags && last - shard->commit > driver->load.unapplied_max;
}

static void propose_to(struct driver *driver, size_t shard)
{
	if (has_too_much_unapplied(driver, shard) || !begin_term(driver, shard))
		return;
	struct proposal proposal;
	unsigned count = 1;
	while (count < driver->load.entries_max && driver_chance(driver, 400))
		count++;
	proposal_make(driver, shard, term_for_entry(driver, shard), next_index(driver, shard),
	    count, UINT64_MAX, &proposal);
	if (!reserve(driver, shard, proposal.bytes, proposal.count, proposal.spare))
		return;
	if (proposal.spare)
		driver->coverage->spare_reservations++;
	if (driver_chance(driver, 20)) {
		engine_unreserve(driver->engine, proposal.bytes, proposal.count);
		driver->coverage->reservations_given_back++;
		return;
	}
	proposal_append(driver, shard, &proposal);
}

static void propose(struct driver *driver)
{
	propose_to(driver, driver_pick(driver));
}

/* Room that is kept over several turns, as a command keeps it that runs for long. */
static void hold(struct driver *driver)
{
	size_t shard = driver_pick(driver);
	for (size_t i = 0; i < DRIVER_HELD_MAX; i++) {
		struct driver_held *held = &driver->held[i];
		if (held->bytes > 0)
			continue;
		uint64_t bytes = 500 + random_below(&driver->random, 8000);
		uint32_t records = 1 + (uint32_t)random_below(&driver->random, 4);
		if (!reserve(driver, shard, bytes, records, false))
			return;
		*held = (struct driver_held){.shard = shard,
		    .bytes = bytes,
		    .records = records,
		    .turns_left = 1 + (unsigned)random_below(&driver->random, HELD_TURNS_MAX)};
		driver->coverage->reservations_held++;
		return;
	}
}

static void let_go(struct driver *driver, struct driver_held *held, bool may_append)
{
	const struct model_shard *shard = driver_shard(driver, held->shard);
	struct proposal proposal = {.count = 0};
	bool closed = engine_shard_closed(driver->engine, shard->number);
	if (may_append && !closed && !driver_is_installing(driver, held->shard) &&
	    driver->has_term[held->shard] && !has_too_much_unapplied(driver, held->shard))
		proposal_make(driver, held->shard, term_for_entry(driver, held->shard),
		    next_index(driver, held->shard), held->records, held->bytes, &proposal);
	if (proposal.count == 0)
		driver->coverage->reservations_given_back++;
	engine_unreserve(
	    driver->engine, held->bytes - proposal.bytes, held->records - proposal.count);
	proposal_append(driver, held->shard, &proposal);
	held->bytes = 0;
}

void driver_let_go(struct driver *driver, bool all)
{
	for (size_t i = 0; i < DRIVER_HELD_MAX; i++) {
		struct driver_held *held = &driver->held[i];
		if (held->bytes == 0)
			continue;
		if (all || --held->turns_left == 0)
			let_go(driver, held, !all);
	}
}

void driver_ask_room(struct driver *driver)
{
	const uint64_t bytes = 1000;
	for (size_t i = 0; i < DRIVER_ROLES && driver->wants_room; i++) {
		uint32_t number = driver_shard(driver, driver->roles[i])->number;
		if (engine_shard_closed(driver->engine, number))
			continue;
		if (engine_reserve(driver->engine, number, bytes, 1) != 0)
			return;
		engine_unreserve(driver->engine, bytes, 1);
	}
	driver->wants_room = false;
	if (driver->refused_for_space)
		driver->coverage->full_disks_overcome++;
	driver->refused_for_space = false;
}

static void change_hard_state(struct driver *driver)
{
	size_t position = driver_pick(driver);
	const struct model_shard *shard = driver_shard(driver, position);
	if (engine_shard_closed(driver->engine, shard->number))
		return;
	struct log_hard_state hard = shard->hard;
	uint64_t what = random_below(&driver->random, 4);
	if (what == 0) {
		hard.term++;
		hard.vote = random_below(&driver->random, 3);
		/* Its leader is not us any more. */
		driver->has_term[position] = driver->has_term[position] && hard.vote == 1;
	} else if (what == 1 && hard.vote == 0) {
		hard.vote = 1 + random_below(&driver->random, 3);
	}
	if (what >= 1 && shard->commit > hard.commit)
		hard.commit = shard->commit;
	append_hard_state(driver, position, &hard);
}

/* A new leader's view: entries that were never committed give way. */
static void replace_suffix(struct driver *driver)
{
	size_t position = driver_pick(driver);
	const struct model_shard *shard = driver_shard(driver, position);
	uint64_t last = model_last_index(driver->model, position);
	if (!shard->lags || last <= shard->commit ||
	    engine_shard_closed(driver->engine, shard->number))
		return;
	struct proposal proposal;
	uint64_t index = shard->commit + 1 + random_below(&driver->random, last - shard->commit);
	struct log_hard_state hard = shard->hard;
	hard.term += 1 + random_below(&driver->random, 2);
	hard.vote = random_below(&driver->random, 2);
	unsigned count = 1 + (unsigned)random_below(&driver->random, driver->load.entries_max);
	proposal_make(driver, position, hard.term, index, count, UINT64_MAX, &proposal);
	if (!reserve(driver, position, proposal.bytes, proposal.count, proposal.spare))
		return;
	append_hard_state(driver, position, &hard);
	proposal_append(driver, position, &proposal);
	driver->has_term[position] = true;
	driver->coverage->suffixes_replaced++;
}

/* ---- Committing and applying ---- */

static void move_commit(struct driver *driver)
{
	size_t position = driver_pick(driver);
	struct model_shard *shard = driver_shard(driver, position);
	uint64_t durable = model_durable_index(driver->model, position);
	if (!shard->lags || driver->load.commits_stall || durable <= shard->commit ||
	    engine_shard_closed(driver->engine, shard->number))
		return;
	shard->commit += 1 + random_below(&driver->random, durable - shard->commit);
	driver->coverage->commits_moved++;
}

void driver_apply(struct driver *driver, size_t position)
{
	struct model *model = driver->model;
	struct model_shard *shard = driver_shard(driver, position);
	if (engine_shard_closed(driver->engine, shard->number) ||
	    driver_is_installing(driver, position))
		return;
	uint64_t durable = model_durable_index(model, position);
	/* One voter: what is durable is committed. Once it is quiet, so it is with the others. */
	if ((!shard->lags || driver->settling) && durable > shard->commit)
		shard->commit = durable;
	uint64_t limit = shard->commit < durable ? shard->commit : durable;
	uint64_t index = engine_applied(driver->engine, shard->number).index;
	while (index++ < limit) {
		struct content_entry entry = model_entry_at(model, position, index);
		size_t bytes = content_batch_bytes(model->content, &entry);
		content_batch(model->content, &entry, scratch, bytes);
		model_applied(model, position, index, shard->log.operations[index - 1]);
		int error = engine_apply(
		    driver->engine, shard->number, index, entry.term, slice_of(scratch, bytes));
		if (error == ERR_NOMEM && driver->may_lack_memory) {
			driver->coverage->applies_without_memory++;
			return;
		}
		EXPECT(error == 0, "apply", "shard %" PRIu32 ", entry %" PRIu64 ": %s",
		    shard->number, index, error_name(error));
		driver->coverage->entries_applied++;
	}
}

static void check_payload(
    struct driver *driver, size_t shard, uint64_t index, const struct driver_payload *payload)
{
	struct content_entry entry = model_entry_at(driver->model, shard, index);
	if (payload->index != index || payload->term != entry.term)
		return;
	content_batch(driver->model->content, &entry, scratch, payload->bytes);
	EXPECT(
	    slice_equal(slice_of(scratch, payload->bytes), slice_of(payload->data, payload->bytes)),
	    "payload", "shard %" PRIu32 ", entry %" PRIu64 ": changed before it was acknowledged",
	    entry.shard, index);
	driver->coverage->payloads_checked++;
}

void driver_durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct driver *driver = arg;
	struct model *model = driver->model;
	uint64_t frame = engine_figures(driver->engine).log.durable_frame;
	model_acknowledge(model, frame, extents, count);
	driver->coverage->acknowledgements++;
	for (size_t i = 0; i < count; i++) {
		const struct log_extent *extent = &extents[i];
		size_t shard = model_find_shard(model, extent->group);
		uint64_t last = model_last_index(model, shard);
		for (uint64_t index = extent->first_index;
		     index <= extent->last_index && index <= last; index++)
			if (driver_chance(driver, PAYLOADS_CHECKED_PERMILLE))
				check_payload(driver, shard, index,
				    &driver->payloads[shard][index % DRIVER_PAYLOADS_MAX]);
		uint64_t durable = engine_group(driver->engine, extent->group).durable_index;
		EXPECT(durable == model_durable_index(model, shard), "acknowledgement",
		    "shard %" PRIu32 ": durable up to %" PRIu64 ", not %" PRIu64, extent->group,
		    durable, model_durable_index(model, shard));
		if (driver->load.applies_at_once)
			driver_apply(driver, shard);
	}
}

/* ---- What to do ---- */

typedef void action(struct driver *driver);

static void ask_checkpoint(struct driver *driver)
{
	engine_checkpoint(driver->engine);
	driver->coverage->checkpoints_asked++;
	driver->operations++;
}

void driver_act(struct driver *driver)
{
	const struct driver_load *load = &driver->load;
	const struct {
		unsigned weight;
		action *act;
	} actions[] = {
	    {load->propose, propose},
	    {load->hold, hold},
	    {load->hard_state, change_hard_state},
	    {load->replace, replace_suffix},
	    {load->commit, move_commit},
	    {load->read, driver_read},
	    {load->walk, driver_walk},
	    {load->checkpoint, ask_checkpoint},
	    {load->install, driver_begin_install},
	};
	const size_t kinds = sizeof(actions) / sizeof(actions[0]);
	uint64_t all = 0;
	for (size_t i = 0; i < kinds; i++)
		all += actions[i].weight;
	uint64_t count = random_below(&driver->random, load->actions_max + 1);
	for (size_t i = 0; i < DRIVER_ROLES && load->begins_at_once && !driver->has_begun; i++)
		propose_to(driver, driver->roles[i]);
	driver->has_begun = true;
	if (driver->may_lack_memory && driver_chance(driver, load->no_memory_permille))
		mem_fail_at(1 + random_below(&driver->random, 30));
	while (count-- > 0) {
		uint64_t drawn = random_below(&driver->random, all);
		size_t kind = 0;
		while (drawn >= actions[kind].weight)
			drawn -= actions[kind++].weight;
		actions[kind].act(driver);
	}
}
