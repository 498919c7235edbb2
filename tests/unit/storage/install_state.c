#include "tests/unit/storage/install_state.h"

#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/engine_parts.h"
#include "tests/unit/run.h"

#include <stdio.h>
#include <string.h>

/* ---- What states are made of ---- */

struct slice install_point_key(uint64_t point, uint8_t data[INSTALL_KEY_MAX])
{
	int bytes = snprintf((char *)data, INSTALL_KEY_MAX, "k%02u", (unsigned)point);
	return slice_of(data, (size_t)bytes);
}

static struct slice filler_key(uint64_t number, uint8_t data[INSTALL_KEY_MAX])
{
	int bytes = snprintf((char *)data, INSTALL_KEY_MAX, "z%05u", (unsigned)number);
	return slice_of(data, (size_t)bytes);
}

static struct slice value_of(uint64_t a, uint64_t b, uint64_t seed, uint8_t data[INSTALL_VALUE_MAX])
{
	int bytes = snprintf((char *)data, 64, "%llu/%llu/%llu", (unsigned long long)a,
	    (unsigned long long)b, (unsigned long long)seed);
	/* What comes with snapshots is larger, so that its blocks have to wait. */
	size_t more = seed % 1000 * (b == 0 ? 3 : 1);
	memset(data + bytes, (int)(seed & 0xff), more);
	return slice_of(data, (size_t)bytes + more);
}

static bool is_delete(const struct install_entry *entry)
{
	return entry->seed % 5 == 0;
}

uint64_t install_entry_of_point(
    const struct install_history *history, uint64_t index, uint64_t point)
{
	while (index > 0 && index % INSTALL_POINTS != point)
		index--;
	return index == 0 || is_delete(&history->entries[index - 1]) ? 0 : index;
}

bool install_pair_of(const struct install_history *history, uint64_t index, unsigned number,
    uint8_t key[INSTALL_KEY_MAX], struct slice *ret_key, uint8_t value[INSTALL_VALUE_MAX],
    struct slice *ret_value)
{
	for (uint64_t point = 0; point < INSTALL_POINTS; point++) {
		uint64_t found = install_entry_of_point(history, index, point);
		if (found == 0 || number-- > 0)
			continue;
		*ret_key = install_point_key(point, key);
		*ret_value = value_of(found, history->entries[found - 1].term,
		    history->entries[found - 1].seed, value);
		return true;
	}
	if (number >= history->filler)
		return false;
	*ret_key = filler_key(number, key);
	*ret_value = value_of(number, 0, history->filler_seed + number, value);
	return true;
}

struct slice install_batch_of(const struct install_entry *entry, uint64_t index, uint8_t *span)
{
	uint8_t key[INSTALL_KEY_MAX];
	uint8_t value[INSTALL_VALUE_MAX];
	struct writer out = writer_of(span, INSTALL_VALUE_MAX + 64);
	batch_begin(&out);
	if (is_delete(entry))
		batch_delete(&out, install_point_key(index % INSTALL_POINTS, key));
	else
		batch_put(&out, install_point_key(index % INSTALL_POINTS, key),
		    value_of(index, entry->term, entry->seed, value));
	return writer_view(&out);
}

uint64_t install_last_term(const struct install_history *history)
{
	return history->last > 0 ? history->entries[history->last - 1].term : 0;
}

/* ---- Checking ---- */

bool install_has_state(
    const struct install_shard *shard, const struct install_history *history, uint64_t index)
{
	struct cursor *cursor;
	struct slice all = slice_of(NULL, 0);
	int error = cursor_open(shard->world->engine, shard->number, all, all, &cursor);
	EXPECT(error == 0);
	bool same = true;
	struct slice key;
	struct slice value;
	for (unsigned number = 0; same; number++) {
		uint8_t key_data[INSTALL_KEY_MAX];
		uint8_t value_data[INSTALL_VALUE_MAX];
		struct slice wanted_key = slice_of(NULL, 0);
		struct slice wanted = slice_of(NULL, 0);
		bool more = install_pair_of(
		    history, index, number, key_data, &wanted_key, value_data, &wanted);
		error = cursor_next(cursor, &key, &value);
		EXPECT(error == 0 || error == ERR_NOT_FOUND);
		if (!more || error) {
			same = !more && error == ERR_NOT_FOUND;
			break;
		}
		same = slice_equal(key, wanted_key) && slice_equal(value, wanted);
	}
	cursor_close(cursor);
	return same;
}

void install_check_point(struct install_shard *shard, uint64_t point)
{
	uint8_t key[INSTALL_KEY_MAX];
	uint8_t data[INSTALL_VALUE_MAX];
	struct slice value = slice_of(NULL, 0);
	enum table_found found =
	    engine_get(shard->world->engine, shard->number, install_point_key(point, key), &value);
	uint64_t index = install_entry_of_point(shard->now, shard->applied, point);
	if (found == TABLE_COLD || found == TABLE_LOADING)
		return;
	EXPECT((found == TABLE_VALUE) == (index != 0));
	if (index == 0)
		return;
	const struct install_entry *entry = &shard->now->entries[index - 1];
	EXPECT(slice_equal(value, value_of(index, entry->term, entry->seed, data)));
	shard->world->checked++;
}

void install_world_check(struct install_shard *shard)
{
	if (shard->pending != PENDING_NONE || shard->closed || shard->unread)
		return;
	EXPECT(!engine_shard_closed(shard->world->engine, shard->number));
	for (uint64_t point = 0; point < INSTALL_POINTS; point++)
		install_check_point(shard, point);
	EXPECT(install_has_state(shard, shard->now, shard->applied));
	for (uint64_t point = 0; point < INSTALL_POINTS; point++)
		install_check_point(shard, point);
}

bool install_is_new(const struct install_shard *shard)
{
	struct log_group_view view = engine_group(shard->world->engine, shard->number);
	struct table_shard applied = engine_applied(shard->world->engine, shard->number);
	const struct install_history *next = shard->next;
	return view.last_index == next->last && view.last_term == install_last_term(next) &&
	       view.first_index == next->last + 1 && view.durable_index == next->last &&
	       applied.index == next->last && applied.term == install_last_term(next) &&
	       install_has_state(shard, next, next->last);
}

struct listing {
	uint32_t number;
	bool listed;
};

static void list(void *arg, uint32_t number)
{
	struct listing *listing = arg;
	listing->listed = listing->listed || listing->number == number;
}

bool install_is_known(const struct install_shard *shard)
{
	struct listing listing = {.number = shard->number};
	engine_each_group(shard->world->engine, list, &listing);
	return listing.listed;
}

/* ---- A stray key ---- */

struct stray_source {
	struct store_source source;
	bool given;
};

struct slice install_world_stray_key(void)
{
	static uint8_t key[KEY_SHARD_BYTES + 1];
	key_shard_put(key, 1000000);
	key[KEY_SHARD_BYTES] = 'k';
	return slice_of(key, sizeof(key));
}

static bool stray_next(struct store_source *base, struct store_change *ret_change)
{
	struct stray_source *source = (struct stray_source *)(void *)base;
	bool more = !source->given;
	source->given = true;
	*ret_change = (struct store_change){.key = install_world_stray_key()};
	return more;
}

void install_world_put_stray(struct install_world *world)
{
	struct stray_source source = {.source = {.next = stray_next}};
	EXPECT(store_write(world->engine->store, &source.source) == 0);
}
