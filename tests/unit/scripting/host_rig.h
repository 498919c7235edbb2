/* A host with one app, and entities that live in memory as a shard would keep them: for tests that
 * speak in calls and replies.
 */
#ifndef KX_TESTS_UNIT_SCRIPTING_HOST_RIG_H
#define KX_TESTS_UNIT_SCRIPTING_HOST_RIG_H

#include "base/buffer.h"
#include "scripting/host.h"
#include "tests/unit/run.h"

#define RIG_ENTITIES 8
#define RIG_EVENTS   4096

struct rig_event {
	char name[65];
	uint32_t version;
	int64_t at_ms;
	uint64_t revision;
	struct buffer data;
};

struct rig_entity {
	char address[64];
	bool exists, has_state;
	uint32_t state_version;
	uint64_t revision;
	struct buffer state;
	struct rig_event *events;
	size_t event_count;
};

struct rig {
	enum host_mode mode;
	struct host *host;
	struct host_bundle *bundle;
	struct host_diagnostics diagnostics;
	struct rig_entity entities[RIG_ENTITIES];
	size_t entity_count;
	int64_t now_ms;
	const char *caller_kind;
	const char *role; /* NULL: none */
	uint32_t slice_us;
	/* Of the last call. */
	enum status status;
	enum host_change change;
	bool has_reply, is_fault, saw_time;
	uint64_t revision;
	size_t event_count;
	unsigned pauses;
	char reply[65536], message[2048], details[4096], traceback[8192];
	struct buffer log;
};

void rig_open(struct rig *rig, enum host_mode mode);
void rig_close(struct rig *rig);

/* Packs pairs of path and source, ending with NULL, and loads them. The bundle that was there is
 * released. 0, ERR_INVALID (see rig_told). */
int rig_load(struct rig *rig, ...);
/* app.lua with name shop that lists one component, whose file is main.lua. */
int rig_load_one(struct rig *rig, const char *main_source);
void rig_pack(struct buffer *bundle, ...);

/* Whether some diagnostic has this severity, file, line (0: any) and text inside. */
bool rig_told(const struct rig *rig, enum host_severity severity, const char *file, uint32_t line,
    const char *text);
void rig_print(const struct rig *rig);

/* Runs it and keeps what it changed. payload may be NULL. The reply's text, NULL where it failed,
 * "nothing" where there is none. */
const char *rig_call(
    struct rig *rig, const char *address, const char *handler, const char *payload);
struct rig_entity *rig_entity(struct rig *rig, const char *address);
/* Folds the entity's events from nothing; its state then as JSON ("nothing"), NULL where it failed.
 */
const char *rig_fold(struct rig *rig, const char *address);
/* The stored state of an entity as JSON. */
const char *rig_state(struct rig *rig, const char *address);

#define EXPECT_REPLY(rig, address, handler, payload, expected)                                     \
	do {                                                                                       \
		const char *got_ = rig_call((rig), (address), (handler), (payload));               \
		ck_assert_msg(got_ &&strcmp(got_, (expected)) == 0, "%s: got %s (%s: %s)\n%s",     \
		    (handler), got_ ? got_ : "no reply", status_name((rig)->status),               \
		    (rig)->message, (rig)->traceback);                                             \
	} while (0)

#define EXPECT_REFUSED(rig, address, handler, payload, code, text)                                 \
	do {                                                                                       \
		const char *got_ = rig_call((rig), (address), (handler), (payload));               \
		ck_assert_msg(!got_ && (rig)->status == (code) && strstr((rig)->message, (text)),  \
		    "%s: got %s (%s: %s)\n%s", (handler), got_ ? got_ : "no reply",                \
		    status_name((rig)->status), (rig)->message, (rig)->traceback);                 \
	} while (0)

#define EXPECT_LOADED(rig, code)                                                                   \
	do {                                                                                       \
		int error_ = (code);                                                               \
		if (error_)                                                                        \
			rig_print(rig);                                                            \
		ck_assert_int_eq(error_, 0);                                                       \
	} while (0)

#endif
