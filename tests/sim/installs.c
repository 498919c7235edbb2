/* Snapshots: a shard gets the state that its own log makes, in place of applying what is not
 * applied yet. So the model is the same whether it came or not, and what is found of it after a
 * crash has to be the one or the other. (Of other histories, and of shards that are taken away,
 * tests/unit/storage has worlds of its own.) */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/sim/driver.h"
#include "tests/sim/verdict.h"

enum { VALUE_BYTES_MAX = 64 * 1024, KEY_BYTES_MAX = 1100, SEQUENCE_BYTES = 8 };

bool driver_is_installing(const struct driver *driver, size_t shard)
{
	return driver->install.busy && driver->install.shard == shard;
}

static uint32_t number_of(const struct driver *driver)
{
	return driver_shard(driver, driver->install.shard)->number;
}

static bool has_lied(const struct driver *driver)
{
	return driver->may_be_suspect || driver_lies(driver->sim) > driver->lies_before;
}

static void ended(void *arg, int result)
{
	struct driver *driver = arg;
	struct driver_install *install = &driver->install;
	const struct model_shard *shard = driver_shard(driver, install->shard);
	uint64_t applied = engine_applied(driver->engine, shard->number).index;
	ASSERT(install->busy && install->finishing);
	install->busy = false;
	if (driver->trace != NULL)
		fprintf(driver->trace, "# installed: shard %" PRIu32 ": %s\n", shard->number,
		    error_name(result));
	if (result == 0) {
		driver->coverage->installs_done++;
		driver->installed[install->shard]++;
		EXPECT(applied == install->index, "install",
		    "shard %" PRIu32 ": at %" PRIu64 ", not %" PRIu64, shard->number, applied,
		    install->index);
		EXPECT(!engine_shard_closed(driver->engine, shard->number), "install",
		    "shard %" PRIu32 " is closed", shard->number);
		(void)driver_compare(driver, install->shard, "after an install");
		return;
	}
	driver->coverage->installs_failed++;
	EXPECT(applied < install->index, "install", "shard %" PRIu32 ": at %" PRIu64 " after %s",
	    shard->number, applied, error_name(result));
	bool may = (result == ERR_CANCELED && driver->closing) ||
	           (result == ERR_NO_SPACE && driver->may_lack_space) ||
	           (result == ERR_NOMEM && driver->may_lack_memory) ||
	           (result == ERR_CORRUPT && (driver->may_be_damaged || has_lied(driver))) ||
	           result == ERR_IO;
	EXPECT(may, "install", "shard %" PRIu32 ": %s", shard->number, error_name(result));
}

static void room(void *arg)
{
	struct driver *driver = arg;
	driver->install.waits = false;
}

/* Changes of streams begin behind the last clear. */
static size_t first_change(const struct state_history *history)
{
	size_t first = history->count;
	while (first > 0 && history->changes[first - 1].op.kind != BATCH_CLEAR)
		first--;
	return first;
}

/* The next pair, if there is one; the place moves on when it was taken. */
static bool next_pair(struct driver *driver, uint8_t key[KEY_BYTES_MAX], struct slice *ret_key,
    uint8_t value[VALUE_BYTES_MAX], struct slice *ret_value)
{
	struct driver_install *install = &driver->install;
	const struct model *model = driver->model;
	const struct content *content = model->content;
	const struct state *state = &driver_shard(driver, install->shard)->state;
	for (; install->position < CONTENT_TARGETS; install->position++, install->change = 0) {
		unsigned target = content->order[install->position];
		const struct state_history *history = &state->history[target];
		size_t first = content_is_stream(target) ? first_change(history)
		               : history->count > 0      ? history->count - 1
		                                         : 0;
		if (first + install->change >= history->count)
			continue;
		const struct content_op *op = &history->changes[first + install->change].op;
		if (op->kind == BATCH_DELETE)
			continue;
		struct slice name = content->keys[target];
		ASSERT(name.bytes + SEQUENCE_BYTES <= KEY_BYTES_MAX);
		ASSERT(op->value_bytes <= VALUE_BYTES_MAX);
		memcpy(key, name.data, name.bytes);
		*ret_key = slice_of(key, name.bytes);
		if (content_is_stream(target)) {
			store_u64be(key + name.bytes, op->sequence);
			ret_key->bytes += SEQUENCE_BYTES;
		}
		content_value(content, op, value);
		*ret_value = slice_of(value, op->value_bytes);
		return true;
	}
	return false;
}

void driver_install_turn(struct driver *driver)
{
	static uint8_t value_data[VALUE_BYTES_MAX];
	struct driver_install *install = &driver->install;
	uint8_t key_data[KEY_BYTES_MAX];
	struct slice key;
	struct slice value;
	if (!install->busy || install->finishing || install->waits)
		return;
	while (next_pair(driver, key_data, &key, value_data, &value)) {
		int error = engine_install_put(install->install, key, value);
		if (error == ERR_AGAIN) {
			install->waits = true;
			return;
		}
		if (error) {
			bool may = (error == ERR_NO_SPACE && driver->may_lack_space) ||
			           (error == ERR_NOMEM && driver->may_lack_memory) ||
			           error == ERR_IO;
			EXPECT(may, "install", "shard %" PRIu32 ": a pair is refused: %s",
			    number_of(driver), error_name(error));
			engine_install_cancel(install->install);
			install->busy = false;
			driver->coverage->installs_failed++;
			return;
		}
		driver->coverage->install_pairs++;
		install->change++;
	}
	install->finishing = true;
	engine_install_finish(install->install, install->index, install->term, ended, driver);
}

/* What is in the log becomes committed, and the state that it makes is installed. */
void driver_begin_install(struct driver *driver)
{
	struct driver_install *install = &driver->install;
	size_t position = driver_pick(driver);
	struct model *model = driver->model;
	struct model_shard *shard = driver_shard(driver, position);
	uint64_t last = model_last_index(model, position);
	if (install->busy || engine_shard_closed(driver->engine, shard->number) ||
	    model_durable_index(model, position) != last ||
	    engine_applied(driver->engine, shard->number).index >= last)
		return;
	struct engine_install_options options = {.room = room, .arg = driver};
	*install = (struct driver_install){
	    .shard = position, .index = last, .term = model_last_term(model, position)};
	int error =
	    engine_install_begin(driver->engine, shard->number, &options, &install->install);
	/* One that is being canceled, or that a restart found. */
	if (error == ERR_EXISTS || (error == ERR_NOMEM && driver->may_lack_memory))
		return;
	EXPECT(error == 0, "install", "shard %" PRIu32 ": %s", shard->number, error_name(error));
	install->busy = true;
	shard->installed = install->index;
	if (driver->trace != NULL)
		fprintf(driver->trace, "# install: shard %" PRIu32 " at %" PRIu64 "/%" PRIu64 "\n",
		    shard->number, install->index, install->term);
	for (uint64_t index = shard->applied.count + 1; index <= last; index++)
		model_applied(model, position, index, shard->log.operations[index - 1]);
	driver->coverage->installs++;
	driver->operations++;
}
