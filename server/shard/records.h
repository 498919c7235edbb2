/* What a shard keeps, byte by byte: keys (without the shard, storage/keys.h) and records. Private
 * to server/shard.
 *
 *   kind u8 | rest                          record
 *
 *   META                                    shard_meta: clock, tokens
 *   ACTIVE                                  the apps and bundles that serve here, and the types
 *                                           whose data was destroyed
 *   HEAD | type 0 id                        head: what there is of an entity, and a value entity's
 *                                           state
 *   SNAPSHOT | type 0 id                    snapshot: a folded state of an event-sourced entity
 *   EVENTS | type 0 id 0                    a stream (storage/batch.h) of events; sequences are
 *                                           revisions
 *   STATES | type 0 id 0 | revision u64     state_record: what a value entity was, where its
 *                                           component keeps that
 *   TOKEN | hash, 16 bytes                  token_record
 *   EXPIRY | time u64 | hash, 16 bytes      bytes that the token counts, varint
 *
 * A type and an id hold no byte 0, so no key begins with another one's stream. Heads of one type
 * stand beside one another, apart from what is large: they can be listed.
 *
 * Where a type was dropped, `type 0` is `type 1 incarnation u64` in all four keys of an entity: a
 * number that is higher after each drop. So what a type had before is in no key that anybody asks
 * for again, from the entry on that says so in ACTIVE; and all of it, of one kind, is one range,
 * which purge.c empties in its own time.
 *
 * A tombstone is a head that does not exist; it keeps the revision, so that no revision of an
 * address is ever given twice.
 *
 * Records begin with their format number; readers refuse a higher one (ERR_FORMAT) and what is
 * malformed (ERR_CORRUPT). Their slices are views into what was read. Pure; any thread.
 */
#ifndef KX_SERVER_SHARD_RECORDS_H
#define KX_SERVER_SHARD_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/slice.h"
#include "scripting/host.h"
#include "storage/keys.h"

enum shard_key_kind {
	SHARD_KEY_META = KEY_KIND_FIRST_FREE,
	SHARD_KEY_ACTIVE,
	SHARD_KEY_HEAD,
	SHARD_KEY_SNAPSHOT,
	SHARD_KEY_EVENTS,
	SHARD_KEY_TOKEN,
	SHARD_KEY_EXPIRY,
	SHARD_KEY_STATES
};

/* A kind, an address whose '/' is a 0 or an incarnation, a 0, a sequence. */
#define ENTITY_KEY_BYTES_MAX (1 + ADDRESS_BYTES_MAX + 8 + 1 + 8)
#define TOKEN_KEY_BYTES      17
#define EXPIRY_KEY_BYTES     25

struct key {
	size_t bytes;
	uint8_t data[ENTITY_KEY_BYTES_MAX];
};
static inline struct slice key_view(const struct key *key)
{
	return slice_of(key->data, key->bytes);
}
/* Whose keys these are: a well-formed address, and the incarnation of its type. */
struct entity_name {
	struct slice address;
	uint64_t incarnation; /* 0: the type was never dropped */
};
/* HEAD or SNAPSHOT; EVENTS: the stream. */
void key_of_entity(struct key *key, enum shard_key_kind kind, struct entity_name name);
/* Where a cursor over a stream begins so that it meets the value appended first at `sequence`, and
 * where it ends. */
void key_of_events(struct key *key, struct entity_name name, uint64_t sequence);
void key_of_events_end(struct key *key, struct entity_name name);
/* The state kept of a revision, and where they end. */
void key_of_state(struct key *key, struct entity_name name, uint64_t revision);
void key_of_states_end(struct key *key, struct entity_name name);
/* The revision in the key of a kept state. ERR_CORRUPT. */
NODISCARD int key_state_revision(struct slice key, uint64_t *ret_revision);
/* Heads of a type from the id `from` (may be empty) on; and behind the last. */
void key_of_heads(struct key *key, struct slice type, uint64_t incarnation, struct slice from);
void key_of_heads_end(struct key *key, struct slice type, uint64_t incarnation);
/* The id in a head's key. ERR_CORRUPT. */
NODISCARD int key_head_id(struct slice key, struct slice *ret_id);
/* What a type has of this kind from incarnations below `incarnation`, and where that ends. */
void key_of_dropped(struct key *key, enum shard_key_kind kind, struct slice type);
void key_of_dropped_end(
    struct key *key, enum shard_key_kind kind, struct slice type, uint64_t incarnation);
/* The stream of the entity that a head's key names. */
void key_of_head_events(struct key *key, struct slice head);
void key_of_token(struct key *key, struct hash128 token);
void key_of_expiry(struct key *key, uint64_t time_ms, struct hash128 token);
/* ERR_CORRUPT. */
NODISCARD int key_expiry_get(struct slice key, uint64_t *ret_time_ms, struct hash128 *ret_token);
void key_of_shard(struct key *key, enum shard_key_kind kind); /* META, ACTIVE */

/* ---- Entities ---- */

/* Events are read back from a cursor that begins at a sequence, and a stream's values are joined to
 * physical ones of up to BATCH_JOINED_BYTES_MAX, which begin with the first sequence in them. So
 * the events behind a snapshot may stand in a value that begins before it. Windows make a safe
 * place to begin from: a window ends when more than that many bytes were appended in it, so no
 * physical value that reaches into the present window begins before the one before it did. */
struct head {
	enum host_kind kind;
	bool exists;
	bool has_state; /* of a value entity */
	uint32_t state_version;
	uint64_t revision;
	int64_t at_ms; /* of the last change */
	struct slice state;
	uint64_t kept_from; /* no state before this revision is kept; 0: none at all */

	/* Of an event-sourced entity. */
	uint64_t born;              /* the revision before its first event */
	uint64_t snapshot_revision; /* 0: there is none */
	uint64_t since_bytes;       /* of events since the snapshot, or since it was born */
	uint64_t window_first, window_before; /* sequences */
	uint64_t window_bytes;
};
#define HEAD_BYTES_MAX 96 /* without the state */
void head_write(struct writer *out, const struct head *head);
NODISCARD int head_read(struct slice record, struct head *ret_head);

struct snapshot {
	uint64_t revision;
	uint32_t state_version;
	uint64_t read_from; /* where a cursor for the events behind it begins */
	struct slice state;
};
#define SNAPSHOT_BYTES_MAX 32 /* without the state */
void snapshot_write(struct writer *out, const struct snapshot *snapshot);
NODISCARD int snapshot_read(struct slice record, struct snapshot *ret_snapshot);

struct state_record {
	bool exists; /* else this change deleted the entity */
	bool has_state;
	uint32_t state_version;
	int64_t at_ms;
	struct slice state;
};
#define STATE_RECORD_BYTES_MAX 32 /* without the state */
void state_record_write(struct writer *out, const struct state_record *record);
NODISCARD int state_record_read(struct slice record, struct state_record *ret_record);

#define EVENT_BYTES_MAX (48 + NAME_BYTES_MAX) /* without the data */
void event_record_write(struct writer *out, const struct host_event *event);
uint64_t event_record_bytes(const struct host_event *event); /* that it writes, exactly */
/* The next of those that stand one behind the other. False: the end, or something malformed
 * (reader->failed). */
bool event_record_read(struct reader *in, struct host_event *ret_event);

/* ---- Tokens ---- */

struct token_record {
	struct hash128 request; /* of command, payload, and encodings */
	int64_t at_ms;
	bool has_reply;
	struct slice reply;
};
#define TOKEN_RECORD_BYTES_MAX 32 /* without the reply */
void token_write(struct writer *out, const struct token_record *record);
NODISCARD int token_read(struct slice record, struct token_record *ret_record);

/* ---- The shard's own ---- */

struct shard_meta {
	int64_t clock_ceiling_ms; /* no call has seen a later time */
	uint64_t tokens;
	uint64_t token_bytes;
};
#define SHARD_META_BYTES_MAX 32
void shard_meta_write(struct writer *out, const struct shard_meta *meta);
NODISCARD int shard_meta_read(struct slice record, struct shard_meta *ret_meta);

/* ACTIVE: a format number and then, for each app, an active_record; where types were dropped, the
 * number of apps stands before those, and a dropped_record for each type behind. The two are
 * different formats, so that who does not know of drops cannot take what is dropped for data. */
struct active_record {
	struct slice app;
	struct slice hash; /* HOST_HASH_CHARACTERS, or empty: it was removed */
	uint64_t directory_index;
};
struct dropped_record {
	struct slice type;
	uint64_t incarnation; /* not 0 */
	bool is_empty;        /* nothing is left of those before */
};
#define ACTIVE_BEGIN_BYTES_MAX   8
#define ACTIVE_RECORD_BYTES_MAX  (NAME_BYTES_MAX + HOST_HASH_CHARACTERS + 16)
#define DROPPED_RECORD_BYTES_MAX (NAME_BYTES_MAX + 16)
void active_begin(struct writer *out, uint32_t apps, bool has_dropped);
void active_write(struct writer *out, const struct active_record *active);
void dropped_write(struct writer *out, const struct dropped_record *dropped);
/* Counts both, and places *ret_in where the first app stands. ERR_CORRUPT, ERR_FORMAT. */
NODISCARD int active_open(
    struct slice record, struct reader *ret_in, uint32_t *ret_apps, uint32_t *ret_dropped);
bool active_read(struct reader *in, struct active_record *ret_active);
bool dropped_read(struct reader *in, struct dropped_record *ret_dropped);

#endif
