/* What is left of a type that was dropped: in lists of addresses, and in the store. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/wire/json_reader.h"
#include "server/shard/records.h"
#include "storage/cursor.h"
#include "tests/shard_sim/load.h"
#include "tests/sim/verdict.h"

/* ---- {"addresses":["counter/e2",...]} ---- */

struct listed {
	struct load *load;
	struct load_call *of;
	bool found[MODEL_ENTITIES];
};

static void take_address(struct listed *listed, struct slice address)
{
	char expected[32] = "";
	unsigned number = 0;
	while (number < MODEL_ENTITIES) {
		model_address(number, expected, sizeof(expected));
		if (slice_equal(address, slice_from_text(expected)))
			break;
		number++;
	}
	EXPECT(number < MODEL_ENTITIES && !listed->found[number], "list", "of %s: %.*s",
	    listed->of->address, (int)address.bytes, (const char *)address.data);
	listed->found[number] = true;
	model_saw_address(listed->load->model, &listed->of->model, number);
}

static void expect_all(const struct listed *listed)
{
	const struct model *model = listed->load->model;
	unsigned of = listed->of->model.entity;
	for (unsigned number = 0; number < MODEL_ENTITIES; number++) {
		if (model_type(number) != model_type(of) || model_shard(number) != model_shard(of))
			continue;
		EXPECT(listed->found[number] == model_exists(model, number), "list",
		    "entity %u: in the last list: %d, there: %d", number, listed->found[number],
		    model_exists(model, number));
	}
}

void load_list_answered(struct load *load, struct load_call *of)
{
	struct listed listed = {.load = load, .of = of};
	struct json_reader in;
	enum json_token token = JSON_NULL;
	int error = 0;
	json_reader_init(&in, buffer_view(&of->call.reply), NULL, JSON_DEPTH_MAX);
	while (!error && token != JSON_END) {
		error = json_next(&in, &token);
		if (!error && token == JSON_STRING)
			take_address(&listed, in.text);
	}
	EXPECT(!error, "answer", "a list is no JSON");
	if (of->is_last)
		expect_all(&listed);
}

/* ---- The store ---- */

static bool is_of(struct slice key, const char *type, uint64_t below)
{
	size_t bytes = strlen(type);
	if (below == 0)
		return false;
	if (key.data[0] != SHARD_KEY_HEAD && key.data[0] != SHARD_KEY_SNAPSHOT &&
	    key.data[0] != SHARD_KEY_EVENTS && key.data[0] != SHARD_KEY_STATES)
		return false;
	if (key.bytes < bytes + 2 || memcmp(key.data + 1, type, bytes) != 0)
		return false;
	return key.data[1 + bytes] == 0 ||
	       (key.data[1 + bytes] == 1 && load_u64be(key.data + 2 + bytes) < below);
}

static void expect_purged(struct load *load, uint32_t shard)
{
	static const uint8_t first[] = {KEY_KIND_FIRST_FREE};
	const struct load_core *core = &load->cores[(size_t)shard % load->core_count];
	struct cursor *cursor;
	struct slice key, value;
	int error = cursor_open(
	    group_store_engine(core->store), shard, slice_of(first, 1), slice_of(NULL, 0), &cursor);
	ASSERT(!error);
	while (!(error = cursor_next(cursor, &key, &value)))
		for (unsigned type = 0; type < MODEL_TYPES; type++)
			EXPECT(
			    !is_of(key, model_type_name(type), model_dropped_by(load->model, type)),
			    "drop",
			    "shard %u: something of %s is left in the store, of before version %u",
			    shard, model_type_name(type), model_dropped_by(load->model, type));
	ASSERT(error == ERR_NOT_FOUND);
	cursor_close(cursor);
}

void load_expect_purged(void *arg)
{
	struct load *load = arg;
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++)
		expect_purged(load, shard);
}
