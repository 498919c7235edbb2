/* Apps: which bundle serves in which shard. ACTIVE is a record of the shard, changed by entries
 * like everything else: calls that begin after an activation run on the new bundle, and what they
 * answer waits for its entry.
 *
 * A shard serves an app when the bundle that ACTIVE names is provided; until then calls that may
 * mean it wait. */
#include "server/shard/replica.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "storage/batch.h"

enum { APPS_MAX = 1024, NAMES_MAX = 256 };

/* ---- Bundles ---- */

static struct host_bundle *find_bundle(const struct shards *shards, const char *hash)
{
	LIST_FOR_EACH(node, &shards->provided)
	{
		struct host_bundle *bundle = CONTAINER_OF(node, struct provided, link)->bundle;
		if (strcmp(host_bundle_hash_text(bundle), hash) == 0)
			return bundle;
	}
	return NULL;
}

static void link_bundles(struct shard *shard)
{
	struct shards *shards = shard->shards;
	bool lacks = false;
	for (uint32_t i = 0; i < shard->active_count; i++) {
		struct active *active = &shard->actives[i];
		if (!active->bundle && active->hash[0] != '\0')
			active->bundle = find_bundle(shards, active->hash);
		lacks |= !active->bundle && active->hash[0] != '\0';
	}
	if (!lacks) {
		list_remove(&shard->lacking_link);
	} else if (!list_linked(&shard->lacking_link)) {
		shard->lacking_since_ns = io_now_ns(shards->io);
		list_push_back(&shards->lacking, &shard->lacking_link);
	}
}

bool shards_lack_bundle(const struct shards *shards, uint64_t for_ns)
{
	uint64_t now_ns = io_now_ns(shards->io);
	LIST_FOR_EACH(node, &shards->lacking)
	{
		const struct shard *shard = CONTAINER_OF(node, struct shard, lacking_link);
		if (shard->state == SHARD_SERVES && now_ns - shard->lacking_since_ns >= for_ns)
			return true;
	}
	return false;
}

void shards_provide(struct shards *shards, struct host_bundle *bundle)
{
	if (find_bundle(shards, host_bundle_hash_text(bundle))) {
		host_bundle_release(bundle);
		return;
	}
	struct provided *provided = mem_zalloc(1, sizeof(*provided));
	if (!provided)
		PANIC("out of memory for a bundle");
	list_node_init(&provided->link);
	provided->bundle = bundle;
	list_push_back(&shards->provided, &provided->link);
	for (uint32_t i = 0; i < shards->own_count; i++) {
		link_bundles(shards->own[i]);
		shard_wake(shards->own[i]);
	}
	io_wake(shards->io, NULL);
}

struct slice address_type(struct slice address)
{
	const uint8_t *slash = memchr(address.data, '/', address.bytes);
	return slice_of(address.data, slash ? (size_t)(slash - address.data) : address.bytes);
}

bool shards_reads(const struct shards *shards, const struct shard_call *call)
{
	struct slice type = address_type(call->address);
	bool reads = false;
	if (call->kind != SHARD_CALL)
		return true;
	LIST_FOR_EACH(node, &shards->provided)
	{
		struct host_bundle *bundle = CONTAINER_OF(node, struct provided, link)->bundle;
		struct host_component *component = host_component(bundle, type);
		const struct host_handler *handler =
		    component ? host_handler(component, call->name) : NULL;
		if (handler && !host_handler_is_query(handler))
			return false;
		if (!handler)
			continue;
		reads = true;
	}
	return reads;
}

static struct active *find_active(const struct shard *shard, struct slice app)
{
	for (uint32_t i = 0; i < shard->active_count; i++)
		if (slice_equal(slice_from_text(shard->actives[i].app), app))
			return &shard->actives[i];
	return NULL;
}

/* What the shard has of the app, or, where it follows, what it will have when it leads: what is
 * applied there. False: it would have to be read. */
static bool get_named(const struct shard *shard, struct slice app, struct active_record *ret_active)
{
	struct key key;
	struct slice record;
	struct reader in;
	uint32_t count, dropped_count;
	*ret_active = (struct active_record){.directory_index = 0};
	if (shard->state != SHARD_FOLLOWS) {
		const struct active *active = find_active(shard, app);
		if (active)
			*ret_active = (struct active_record){.hash = slice_from_text(active->hash),
			    .directory_index = active->directory_index};
		return true;
	}
	key_of_shard(&key, SHARD_KEY_ACTIVE);
	enum table_found found = engine_get(shard->engine, shard->number, key_view(&key), &record);
	if (found != TABLE_VALUE)
		return found == TABLE_ABSENT;
	int error = active_open(record, &in, &count, &dropped_count);
	while (!error && count-- > 0 && active_read(&in, ret_active))
		if (slice_equal(ret_active->app, app))
			return true;
	*ret_active = (struct active_record){.directory_index = 0};
	return true;
}

static bool is_used(const struct shards *shards, struct slice app, const struct host_bundle *bundle)
{
	for (uint32_t i = 0; i < shards->own_count; i++) {
		struct active_record active;
		if (!shard_is_here(shards->own[i]) || !get_named(shards->own[i], app, &active))
			continue;
		if (slice_equal(active.hash, slice_from_text(host_bundle_hash_text(bundle))))
			return true;
	}
	return false;
}

/* One that begins to lead names nothing yet, what is proposed may be lost, and while those that
 * follow do not name the same as all others they may be behind what is committed. */
static bool is_settled(const struct shards *shards, struct slice app)
{
	bool follows = false, differs = false, has_first = false;
	uint64_t first = 0;
	for (uint32_t i = 0; i < shards->own_count; i++) {
		const struct shard *shard = shards->own[i];
		struct active_record active;
		if (shard->state == SHARD_ABSENT || shard->state == SHARD_CLOSED)
			continue;
		bool is_open =
		    shard->state == SHARD_OPENS || shard->active_changed > shard->applied_number;
		if (is_open || !get_named(shard, app, &active))
			return false;
		follows |= shard->state == SHARD_FOLLOWS;
		differs |= has_first && active.directory_index != first;
		first = active.directory_index;
		has_first = true;
	}
	return !follows || !differs;
}

/* What a replica read of ACTIVE may be older than what is applied there. */
static void forget_bundle(struct shards *shards, const struct host_bundle *bundle)
{
	for (uint32_t i = 0; i < shards->own_count; i++) {
		struct shard *shard = shards->own[i];
		bool names = false;
		for (uint32_t k = 0; k < shard->active_count; k++)
			names |= shard->actives[k].bundle == bundle;
		if (!names)
			continue;
		ASSERT(shard->state == SHARD_FOLLOWS);
		active_forget(shard);
	}
}

/* What no shard names any more, of an app, but for what it is being activated in. */
static void release_unused(struct shards *shards, const struct shards_activation *activation)
{
	struct slice app = activation->app;
	if (!is_settled(shards, app))
		return;
	LIST_FOR_EACH_REMOVABLE(node, &shards->provided)
	{
		struct provided *provided = CONTAINER_OF(node, struct provided, link);
		const char *hash = host_bundle_hash_text(provided->bundle);
		if (!slice_equal(host_bundle_app(provided->bundle), app) ||
		    strcmp(hash, activation->hash) == 0 || is_used(shards, app, provided->bundle))
			continue;
		list_remove(node);
		forget_bundle(shards, provided->bundle);
		map_done(&shards->handlers);
		map_init(&shards->handlers);
		host_bundle_release(provided->bundle);
		mem_free(provided);
	}
}

/* ---- A shard's list ---- */

struct host_component *active_component(const struct shard *shard, struct slice type,
    struct host_bundle **ret_bundle, bool *ret_pending)
{
	*ret_pending = false;
	for (uint32_t i = 0; i < shard->active_count; i++) {
		const struct active *active = &shard->actives[i];
		if (!active->bundle) {
			*ret_pending |= active->hash[0] != '\0';
			continue;
		}
		struct host_component *component = host_component(active->bundle, type);
		if (!component)
			continue;
		*ret_bundle = active->bundle;
		return component;
	}
	return NULL;
}

int active_explain(const struct shard *shard, struct slice type, struct buffer *out)
{
	struct slice names[NAMES_MAX] = {{0}};
	int count = 0;
	for (uint32_t i = 0; i < shard->active_count; i++) {
		const struct host_bundle *bundle = shard->actives[i].bundle;
		for (size_t k = 0; bundle && k < host_component_count(bundle); k++)
			if (count < NAMES_MAX)
				names[count++] = host_component_name(
				    host_component_at((struct host_bundle *)bundle, k));
	}
	int near = name_nearest(type, names, count);
	if (count == 0)
		return buffer_append_format(out,
		    "no app is deployed that has '%.*s'; kalix-admin app deploy DIR",
		    (int)type.bytes, (const char *)type.data);
	if (near < 0)
		return buffer_append_format(out, "no deployed app has a component '%.*s'",
		    (int)type.bytes, (const char *)type.data);
	return buffer_append_format(out,
	    "no deployed app has a component '%.*s'; did you mean %.*s?", (int)type.bytes,
	    (const char *)type.data, (int)names[near].bytes, (const char *)names[near].data);
}

void active_forget(struct shard *shard)
{
	mem_free(shard->actives);
	shard->actives = NULL;
	shard->active_count = 0;
	list_remove(&shard->lacking_link);
	replica_forget_active(shard);
	dropped_forget(shard);
}

static void set(char *to, struct slice from)
{
	memcpy(to, from.data, from.bytes);
	to[from.bytes] = '\0';
}

static int load_dropped(struct shard *shard, struct reader *in, uint32_t count)
{
	struct dropped_record record;
	if (count > DROPPED_TYPES_MAX)
		return ERR_CORRUPT;
	struct dropped *dropped = count > 0 ? mem_zalloc(count, sizeof(*dropped)) : NULL;
	if (count > 0 && !dropped)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < count && dropped_read(in, &record); i++) {
		set(dropped[i].type, record.type);
		dropped[i].incarnation = record.incarnation;
		dropped[i].is_empty = record.is_empty;
		if (i > 0 && strcmp(dropped[i - 1].type, dropped[i].type) >= 0) {
			mem_free(dropped);
			return ERR_CORRUPT;
		}
	}
	dropped_take(shard, dropped, count);
	return 0;
}

int active_load(struct shard *shard, bool found, struct slice record)
{
	active_forget(shard);
	if (!found)
		return 0;
	struct reader in;
	struct active_record active;
	uint32_t count, dropped_count;
	int error = active_open(record, &in, &count, &dropped_count);
	if (error || count == 0 || count > APPS_MAX)
		return error ? error : ERR_CORRUPT;
	shard->actives = mem_zalloc(count, sizeof(*shard->actives));
	if (!shard->actives)
		return ERR_NOMEM;
	while (shard->active_count < count && active_read(&in, &active)) {
		struct active *to = &shard->actives[shard->active_count++];
		set(to->app, active.app);
		set(to->hash, active.hash);
		to->directory_index = active.directory_index;
	}
	error = load_dropped(shard, &in, dropped_count);
	if (error) {
		active_forget(shard);
		return error;
	}
	link_bundles(shard);
	return 0;
}

/* ---- Activating ---- */

/* The list with the app in it. NULL: no memory. */
static struct active *with_app(
    const struct shard *shard, const struct shards_activation *activation, uint32_t *ret_count)
{
	const struct active *old = find_active(shard, activation->app);
	uint32_t count = shard->active_count + (old ? 0 : 1);
	struct active *actives = mem_zalloc(count, sizeof(*actives));
	if (!actives)
		return NULL;
	if (shard->active_count > 0)
		memcpy(actives, shard->actives, shard->active_count * sizeof(*actives));
	struct active *active =
	    &actives[old ? (size_t)(old - shard->actives) : shard->active_count];
	*active = (struct active){.directory_index = activation->directory_index};
	set(active->app, activation->app);
	if (!activation->remove)
		memcpy(active->hash, activation->hash, sizeof(active->hash));
	*ret_count = count;
	return actives;
}

static void write_actives(struct writer *out, const struct active *actives, uint32_t count,
    const struct dropped *dropped, uint32_t dropped_count)
{
	/* Breaks: a drop outlives the process. */
	if (dropped_count > 0 && MUTATION(shard_drop_not_written))
		dropped_count = 0;
	active_begin(out, count, dropped_count > 0);
	for (uint32_t i = 0; i < count; i++) {
		struct active_record record = {.app = slice_from_text(actives[i].app),
		    .hash = slice_from_text(actives[i].hash),
		    .directory_index = actives[i].directory_index};
		active_write(out, &record);
	}
	for (uint32_t i = 0; i < dropped_count; i++) {
		struct dropped_record record = {.type = slice_from_text(dropped[i].type),
		    .incarnation = dropped[i].incarnation,
		    .is_empty = dropped[i].is_empty};
		dropped_write(out, &record);
	}
}

bool active_put(struct shard *shard, const struct active *actives, uint32_t count,
    const struct dropped *dropped, uint32_t dropped_count)
{
	struct key key;
	struct writer out;
	uint64_t record_bytes = ACTIVE_BEGIN_BYTES_MAX + count * (uint64_t)ACTIVE_RECORD_BYTES_MAX +
	                        dropped_count * (uint64_t)DROPPED_RECORD_BYTES_MAX;
	uint64_t bytes = record_bytes + 1 + BATCH_OP_BYTES_MAX;
	uint8_t *span = mem_alloc((size_t)record_bytes);
	/* May use what a full disk keeps back: it carries out what the directory has committed, it
	 * is small, and without it shards would go on with different versions of one app. What is
	 * large, a bundle, was refused before. */
	if (!span || entry_reserve(shard, bytes, true)) {
		mem_free(span);
		return false;
	}
	if (entry_room(shard, bytes, &out)) {
		entry_unreserve(shard, bytes);
		mem_free(span);
		return false;
	}
	struct writer record = writer_of(span, (size_t)record_bytes);
	write_actives(&record, actives, count, dropped, dropped_count);
	ASSERT(!record.failed);
	key_of_shard(&key, SHARD_KEY_ACTIVE);
	batch_put(&out, key_view(&key), writer_view(&record));
	mem_free(span);
	uint64_t used = writer_used(&out);
	entry_written(shard, &out);
	entry_take_room(shard, bytes, used);
	return true;
}

/* Part of the open entry. Where there is no room now, in a later turn. */
static void activate(struct shard *shard, const struct shards_activation *activation)
{
	uint32_t count, dropped_count;
	struct dropped *dropped;
	if (shard->active_count >= APPS_MAX)
		return;
	struct active *actives = with_app(shard, activation, &count);
	if (!actives || dropped_with(shard, activation, &dropped, &dropped_count)) {
		mem_free(actives);
		return;
	}
	if (!active_put(shard, actives, count, dropped, dropped_count)) {
		mem_free(actives);
		mem_free(dropped);
		return;
	}
	active_forget(shard);
	shard->actives = actives;
	shard->active_count = count;
	shard->active_changed = shard->open->number;
	dropped_take(shard, dropped, dropped_count);
	link_bundles(shard);
}

static bool is_done(const struct shard *shard, const struct shards_activation *activation)
{
	const struct active *active = find_active(shard, activation->app);
	return active && active->directory_index >= activation->directory_index;
}

static void end(struct shards_activation *activation, enum status status, uint32_t pending)
{
	list_remove(&activation->link);
	activation->status = status;
	activation->pending = pending;
	/* Shards that are behind come to name it yet. */
	if (status != STATUS_UNAVAILABLE)
		release_unused(activation->shards, activation);
	activation->done(activation);
}

static void advance(struct shards *shards, struct shards_activation *activation, bool may_end)
{
	uint32_t pending = 0;
	uint32_t closed = 0;
	for (uint32_t i = 0; i < shards->own_count; i++) {
		struct shard *shard = shards->own[i];
		bool is_led = shard->state == SHARD_SERVES || shard->state == SHARD_OPENS;
		if (!shard_is_here(shard) || (activation->led_only && !is_led))
			continue;
		if (shard->state == SHARD_CLOSED) {
			closed++;
			continue;
		}
		if (shard_serves(shard) && !shards->closing && !is_done(shard, activation))
			activate(shard, activation);
		/* A list that is proposed is not there yet. */
		if (shard->state != SHARD_SERVES || !is_done(shard, activation) ||
		    shard->active_changed > shard->applied_number)
			pending++;
		else if (activation->have)
			activation->have[shard->number] = 1;
	}
	if (!may_end)
		return;
	if (pending == 0)
		end(activation, closed > 0 ? STATUS_DATA_LOSS : STATUS_OK, closed);
	else if (shards->closing || io_now_ns(shards->io) >= activation->deadline_ns)
		end(activation, STATUS_UNAVAILABLE, pending + closed);
}

static void fired(struct io_timer *timer)
{
	struct shards *shards = CONTAINER_OF(timer, struct shards, activation_timer);
	activations_advance(shards);
}

void activations_advance(struct shards *shards)
{
	LIST_FOR_EACH_REMOVABLE(node, &shards->activations)
	advance(shards, CONTAINER_OF(node, struct shards_activation, link), true);
	/* Room may come, and the deadline. */
	if (!list_empty(&shards->activations)) {
		shards->activation_timer.fired = fired;
		io_timer_set(
		    shards->io, &shards->activation_timer, io_now_ns(shards->io) + 10 * NS_PER_MS);
	}
}

void shards_activate(struct shards *shards, struct shards_activation *activation)
{
	ASSERT(activation->app.bytes > 0 && activation->app.bytes <= NAME_BYTES_MAX);
	ASSERT(activation->remove || strlen(activation->hash) == HOST_HASH_CHARACTERS);
	ASSERT(activation->drop_count <= DROPPED_TYPES_MAX);
	list_node_init(&activation->link);
	activation->shards = shards;
	if (activation->deadline_ns == 0)
		activation->deadline_ns = io_now_ns(shards->io) + CALL_TIMEOUT_MS * NS_PER_MS;
	list_push_back(&shards->activations, &activation->link);
	/* Those that follow had not applied the one before when that was done. */
	if (activation->led_only)
		release_unused(shards, activation);
	advance(shards, activation, false);
	/* Never inside this call. */
	shards->activation_timer.fired = fired;
	io_timer_set(shards->io, &shards->activation_timer, io_now_ns(shards->io));
	io_wake(shards->io, NULL);
}

uint32_t shards_active_count(const struct shards *shards, struct slice app, const char *hash)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shards->own_count; i++) {
		const struct shard *shard = shards->own[i];
		if (shard->state == SHARD_FOLLOWS)
			continue;
		const struct active *active = find_active(shard, app);
		if (active && strcmp(active->hash, hash) == 0 &&
		    shard->active_changed <= shard->applied_number)
			count++;
	}
	return count;
}
