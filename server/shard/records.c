#include "server/shard/records.h"

#include <string.h>

#include "base/assert.h"

enum { FORMAT = 1, FORMAT_DROPPED = 2 /* of ACTIVE */ };
enum { HEAD_EXISTS = 1, HEAD_HAS_STATE = 2, HEAD_EVENT_SOURCED = 4, HEAD_KEEPS = 8 };
enum { TOKEN_HAS_REPLY = 1 };

/* ---- Keys ---- */

static void key_begin(struct key *key, enum shard_key_kind kind)
{
	key->data[0] = (uint8_t)kind;
	key->bytes = 1;
}

static void key_add(struct key *key, const void *from, size_t bytes)
{
	ASSERT(bytes <= sizeof(key->data) - key->bytes);
	if (bytes > 0)
		memcpy(key->data + key->bytes, from, bytes);
	key->bytes += bytes;
}

static void key_add_u64(struct key *key, uint64_t number)
{
	uint8_t data[8];
	store_u64be(data, number);
	key_add(key, data, sizeof(data));
}

/* What separates a type from the id: no byte of either is below it. */
static void key_add_incarnation(struct key *key, uint64_t incarnation)
{
	if (incarnation == 0) {
		key_add(key, "", 1);
		return;
	}
	key_add(key, "\1", 1);
	key_add_u64(key, incarnation);
}

void key_of_entity(struct key *key, enum shard_key_kind kind, struct entity_name name)
{
	struct slice address = name.address;
	const uint8_t *slash = memchr(address.data, '/', address.bytes);
	ASSERT(slash != NULL);
	size_t type_bytes = (size_t)(slash - address.data);
	key_begin(key, kind);
	if (name.incarnation == 0) {
		key_add(key, address.data, address.bytes);
		key->data[1 + type_bytes] = 0;
	} else {
		key_add(key, address.data, type_bytes);
		key_add_incarnation(key, name.incarnation);
		key_add(key, slash + 1, address.bytes - type_bytes - 1);
	}
	if (kind == SHARD_KEY_EVENTS)
		key_add(key, "", 1);
}

void key_of_events(struct key *key, struct entity_name name, uint64_t sequence)
{
	key_of_entity(key, SHARD_KEY_EVENTS, name);
	key_add_u64(key, sequence);
}

void key_of_events_end(struct key *key, struct entity_name name)
{
	key_of_entity(key, SHARD_KEY_EVENTS, name);
	key->data[key->bytes - 1] = 1;
}

static void key_of_states(struct key *key, struct entity_name name)
{
	key_of_entity(key, SHARD_KEY_STATES, name);
	key_add(key, "", 1);
}

void key_of_state(struct key *key, struct entity_name name, uint64_t revision)
{
	key_of_states(key, name);
	key_add_u64(key, revision);
}

void key_of_states_end(struct key *key, struct entity_name name)
{
	key_of_states(key, name);
	key->data[key->bytes - 1] = 1;
}

int key_state_revision(struct slice key, uint64_t *ret_revision)
{
	if (key.bytes < 1 + 8 || key.data[0] != SHARD_KEY_STATES)
		return ERR_CORRUPT;
	*ret_revision = load_u64be(key.data + key.bytes - 8);
	return 0;
}

static void key_of_type(
    struct key *key, enum shard_key_kind kind, struct slice type, uint64_t incarnation)
{
	key_begin(key, kind);
	key_add(key, type.data, type.bytes);
	key_add_incarnation(key, incarnation);
}

void key_of_heads(struct key *key, struct slice type, uint64_t incarnation, struct slice from)
{
	key_of_type(key, SHARD_KEY_HEAD, type, incarnation);
	key_add(key, from.data, from.bytes);
}

void key_of_heads_end(struct key *key, struct slice type, uint64_t incarnation)
{
	key_of_type(key, SHARD_KEY_HEAD, type, incarnation == 0 ? 0 : incarnation + 1);
	/* Behind the first one stand all others. */
	if (incarnation == 0)
		key->data[key->bytes - 1] = 1;
}

void key_of_dropped(struct key *key, enum shard_key_kind kind, struct slice type)
{
	key_of_type(key, kind, type, 0);
}

void key_of_dropped_end(
    struct key *key, enum shard_key_kind kind, struct slice type, uint64_t incarnation)
{
	ASSERT(incarnation > 0);
	key_of_type(key, kind, type, incarnation);
}

void key_of_head_events(struct key *key, struct slice head)
{
	key_begin(key, SHARD_KEY_EVENTS);
	key_add(key, head.data + 1, head.bytes - 1);
	key_add(key, "", 1);
}

int key_head_id(struct slice key, struct slice *ret_id)
{
	size_t at = 1;
	if (key.bytes == 0 || key.data[0] != SHARD_KEY_HEAD)
		return ERR_CORRUPT;
	while (at < key.bytes && key.data[at] > 1)
		at++;
	if (at == key.bytes)
		return ERR_CORRUPT;
	size_t before = at + 1 + (key.data[at] == 1 ? 8 : 0);
	if (before >= key.bytes)
		return ERR_CORRUPT;
	*ret_id = slice_of(key.data + before, key.bytes - before);
	return 0;
}

static void key_add_hash(struct key *key, struct hash128 hash)
{
	key_add_u64(key, hash.high);
	key_add_u64(key, hash.low);
}

void key_of_token(struct key *key, struct hash128 token)
{
	key_begin(key, SHARD_KEY_TOKEN);
	key_add_hash(key, token);
}

void key_of_expiry(struct key *key, uint64_t time_ms, struct hash128 token)
{
	key_begin(key, SHARD_KEY_EXPIRY);
	key_add_u64(key, time_ms);
	key_add_hash(key, token);
}

int key_expiry_get(struct slice key, uint64_t *ret_time_ms, struct hash128 *ret_token)
{
	if (key.bytes != EXPIRY_KEY_BYTES || key.data[0] != SHARD_KEY_EXPIRY)
		return ERR_CORRUPT;
	*ret_time_ms = load_u64be(key.data + 1);
	ret_token->high = load_u64be(key.data + 9);
	ret_token->low = load_u64be(key.data + 17);
	return 0;
}

void key_of_shard(struct key *key, enum shard_key_kind kind)
{
	key_begin(key, kind);
}

/* ---- Records ---- */

static int read_begin(struct slice record, struct reader *ret_in)
{
	*ret_in = reader_of(record);
	uint8_t format = reader_u8(ret_in);
	if (ret_in->failed || format == 0)
		return ERR_CORRUPT;
	return format > FORMAT ? ERR_FORMAT : 0;
}

static uint32_t read_version(struct reader *in)
{
	uint64_t version = reader_varint(in);
	if (version > UINT32_MAX)
		reader_fail(in);
	return (uint32_t)version;
}

void head_write(struct writer *out, const struct head *head)
{
	bool events = head->kind == HOST_EVENT_SOURCED_ENTITY;
	writer_u8(out, FORMAT);
	writer_u8(out,
	    (uint8_t)((head->exists ? HEAD_EXISTS : 0) | (head->has_state ? HEAD_HAS_STATE : 0) |
	              (events ? HEAD_EVENT_SOURCED : 0) | (head->kept_from > 0 ? HEAD_KEEPS : 0)));
	writer_varint(out, head->revision);
	writer_varint(out, head->state_version);
	writer_zigzag(out, head->at_ms);
	if (head->kept_from > 0)
		writer_varint(out, head->kept_from);
	if (events) {
		writer_varint(out, head->born);
		writer_varint(out, head->snapshot_revision);
		writer_varint(out, head->since_bytes);
		writer_varint(out, head->window_first);
		writer_varint(out, head->window_before);
		writer_varint(out, head->window_bytes);
	}
	if (head->has_state)
		writer_slice(out, head->state);
}

int head_read(struct slice record, struct head *ret_head)
{
	struct reader in;
	int error = read_begin(record, &in);
	if (error)
		return error;
	uint8_t flags = reader_u8(&in);
	struct head head = {.exists = flags & HEAD_EXISTS,
	    .has_state = flags & HEAD_HAS_STATE,
	    .kind = flags & HEAD_EVENT_SOURCED ? HOST_EVENT_SOURCED_ENTITY : HOST_VALUE_ENTITY};
	head.revision = reader_varint(&in);
	head.state_version = read_version(&in);
	head.at_ms = reader_zigzag(&in);
	if (flags & HEAD_KEEPS)
		head.kept_from = reader_varint(&in);
	if (head.kind == HOST_EVENT_SOURCED_ENTITY) {
		head.born = reader_varint(&in);
		head.snapshot_revision = reader_varint(&in);
		head.since_bytes = reader_varint(&in);
		head.window_first = reader_varint(&in);
		head.window_before = reader_varint(&in);
		head.window_bytes = reader_varint(&in);
	}
	if (head.has_state && !in.failed)
		head.state = reader_rest(&in);
	if (!reader_finished(&in) || flags > 15)
		return ERR_CORRUPT;
	*ret_head = head;
	return 0;
}

void snapshot_write(struct writer *out, const struct snapshot *snapshot)
{
	writer_u8(out, FORMAT);
	writer_varint(out, snapshot->revision);
	writer_varint(out, snapshot->state_version);
	writer_varint(out, snapshot->read_from);
	writer_slice(out, snapshot->state);
}

int snapshot_read(struct slice record, struct snapshot *ret_snapshot)
{
	struct reader in;
	int error = read_begin(record, &in);
	if (error)
		return error;
	struct snapshot snapshot = {.revision = reader_varint(&in)};
	snapshot.state_version = read_version(&in);
	snapshot.read_from = reader_varint(&in);
	snapshot.state = reader_rest(&in);
	if (in.failed)
		return ERR_CORRUPT;
	*ret_snapshot = snapshot;
	return 0;
}

void state_record_write(struct writer *out, const struct state_record *record)
{
	writer_u8(out, FORMAT);
	writer_u8(out, (uint8_t)((record->exists ? HEAD_EXISTS : 0) |
	                         (record->has_state ? HEAD_HAS_STATE : 0)));
	writer_varint(out, record->state_version);
	writer_zigzag(out, record->at_ms);
	writer_slice(out, record->state);
}

int state_record_read(struct slice record, struct state_record *ret_record)
{
	struct reader in;
	int error = read_begin(record, &in);
	if (error)
		return error;
	uint8_t flags = reader_u8(&in);
	struct state_record state = {
	    .exists = flags & HEAD_EXISTS, .has_state = flags & HEAD_HAS_STATE};
	state.state_version = read_version(&in);
	state.at_ms = reader_zigzag(&in);
	state.state = reader_rest(&in);
	if (in.failed || flags > 3 || (!state.has_state && state.state.bytes > 0))
		return ERR_CORRUPT;
	*ret_record = state;
	return 0;
}

void event_record_write(struct writer *out, const struct host_event *event)
{
	writer_u8(out, FORMAT);
	writer_varint_slice(out, event->name);
	writer_varint(out, event->version);
	writer_zigzag(out, event->at_ms);
	writer_varint(out, event->revision);
	writer_varint_slice(out, event->data);
}

static uint64_t zigzag_bytes(int64_t value)
{
	return varint_bytes((uint64_t)value << 1 ^ -((uint64_t)value >> 63));
}

uint64_t event_record_bytes(const struct host_event *event)
{
	return 1 + varint_bytes(event->name.bytes) + event->name.bytes +
	       varint_bytes(event->version) + zigzag_bytes(event->at_ms) +
	       varint_bytes(event->revision) + varint_bytes(event->data.bytes) + event->data.bytes;
}

bool event_record_read(struct reader *in, struct host_event *ret_event)
{
	if (reader_left(in) == 0 || in->failed)
		return false;
	if (reader_u8(in) != FORMAT)
		reader_fail(in);
	struct host_event event = {.name = reader_varint_slice(in)};
	event.version = read_version(in);
	event.at_ms = reader_zigzag(in);
	event.revision = reader_varint(in);
	event.data = reader_varint_slice(in);
	if (in->failed)
		return false;
	*ret_event = event;
	return true;
}

void token_write(struct writer *out, const struct token_record *record)
{
	writer_u8(out, FORMAT);
	writer_u8(out, record->has_reply ? TOKEN_HAS_REPLY : 0);
	writer_u64le(out, record->request.low);
	writer_u64le(out, record->request.high);
	writer_zigzag(out, record->at_ms);
	writer_slice(out, record->reply);
}

int token_read(struct slice bytes, struct token_record *ret_record)
{
	struct reader in;
	int error = read_begin(bytes, &in);
	if (error)
		return error;
	struct token_record record = {.has_reply = reader_u8(&in) & TOKEN_HAS_REPLY};
	record.request.low = reader_u64le(&in);
	record.request.high = reader_u64le(&in);
	record.at_ms = reader_zigzag(&in);
	record.reply = reader_rest(&in);
	if (in.failed)
		return ERR_CORRUPT;
	*ret_record = record;
	return 0;
}

void shard_meta_write(struct writer *out, const struct shard_meta *meta)
{
	writer_u8(out, FORMAT);
	writer_zigzag(out, meta->clock_ceiling_ms);
	writer_varint(out, meta->tokens);
	writer_varint(out, meta->token_bytes);
}

int shard_meta_read(struct slice record, struct shard_meta *ret_meta)
{
	struct reader in;
	int error = read_begin(record, &in);
	if (error)
		return error;
	struct shard_meta meta = {.clock_ceiling_ms = reader_zigzag(&in)};
	meta.tokens = reader_varint(&in);
	meta.token_bytes = reader_varint(&in);
	if (!reader_finished(&in))
		return ERR_CORRUPT;
	*ret_meta = meta;
	return 0;
}

void active_begin(struct writer *out, uint32_t apps, bool has_dropped)
{
	writer_u8(out, has_dropped ? FORMAT_DROPPED : FORMAT);
	if (has_dropped)
		writer_varint(out, apps);
}

void active_write(struct writer *out, const struct active_record *active)
{
	writer_varint_slice(out, active->app);
	writer_varint_slice(out, active->hash);
	writer_varint(out, active->directory_index);
}

void dropped_write(struct writer *out, const struct dropped_record *dropped)
{
	writer_varint_slice(out, dropped->type);
	writer_varint(out, dropped->incarnation);
	writer_u8(out, dropped->is_empty);
}

bool active_read(struct reader *in, struct active_record *ret_active)
{
	if (reader_left(in) == 0 || in->failed)
		return false;
	struct active_record active = {.app = reader_varint_slice(in)};
	active.hash = reader_varint_slice(in);
	active.directory_index = reader_varint(in);
	if (active.app.bytes == 0 || active.app.bytes > NAME_BYTES_MAX ||
	    (active.hash.bytes != 0 && active.hash.bytes != HOST_HASH_CHARACTERS))
		reader_fail(in);
	if (in->failed)
		return false;
	*ret_active = active;
	return true;
}

bool dropped_read(struct reader *in, struct dropped_record *ret_dropped)
{
	if (reader_left(in) == 0 || in->failed)
		return false;
	struct dropped_record dropped = {.type = reader_varint_slice(in)};
	dropped.incarnation = reader_varint(in);
	uint8_t is_empty = reader_u8(in);
	dropped.is_empty = is_empty == 1;
	if (dropped.type.bytes == 0 || dropped.type.bytes > NAME_BYTES_MAX ||
	    dropped.incarnation == 0 || is_empty > 1)
		reader_fail(in);
	if (in->failed)
		return false;
	*ret_dropped = dropped;
	return true;
}

int active_open(
    struct slice record, struct reader *ret_in, uint32_t *ret_apps, uint32_t *ret_dropped)
{
	struct reader in = reader_of(record);
	struct active_record active;
	struct dropped_record dropped;
	uint64_t apps_max = UINT64_MAX;
	uint32_t apps = 0, types = 0;
	uint8_t format = reader_u8(&in);
	if (in.failed || format == 0)
		return ERR_CORRUPT;
	if (format > FORMAT_DROPPED)
		return ERR_FORMAT;
	if (format == FORMAT_DROPPED)
		apps_max = reader_varint(&in);
	struct reader first = in;
	while (apps < apps_max && active_read(&in, &active))
		apps++;
	while (format == FORMAT_DROPPED && apps == apps_max && dropped_read(&in, &dropped))
		types++;
	if (!reader_finished(&in) || (format == FORMAT_DROPPED && apps != apps_max))
		return ERR_CORRUPT;
	*ret_in = first;
	*ret_apps = apps;
	*ret_dropped = types;
	return 0;
}
