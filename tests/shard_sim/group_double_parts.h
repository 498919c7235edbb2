/* The inside of the double (group_double.h): the one member that is real. */
#ifndef KX_TESTS_SHARD_SIM_GROUP_DOUBLE_PARTS_H
#define KX_TESTS_SHARD_SIM_GROUP_DOUBLE_PARTS_H

#include "base/list.h"
#include "replication/group.h"

enum double_state { FOLLOWS, CAMPAIGNS, LEADS };
enum { DOUBLE_REPLICA = 1 }; /* the real one's number */

/* An entry above what is applied. */
struct local {
	struct list_node link;
	struct group_position at;
	uint32_t bytes;
	uint8_t data[];
};

struct group {
	struct list_node link;
	struct group_store *store;
	uint32_t shard;
	const struct group_events *events;
	void *arg;
	bool started, resolved, cut_off, wants_room;
	enum double_state state;
	uint64_t term;
	struct group_position last, applied;
	struct list locals;
	int64_t time_ms;
	uint64_t rounds, confirmed;
	/* Its questions (group_ask): open, on its way, answered, and what answers it. */
	uint64_t question, answered, answer, answer_index;
	uint64_t asked_ns, answer_ns, known_ns;
	bool question_open, question_sent, question_again;
};

struct group_store {
	struct engine *engine;
	struct list groups;
	int64_t now_ms;
	bool closing, tells_room;
};

/* Appends to the engine's log and to `locals`; what stood at that index or behind it is gone. */
void double_append(struct group *group, struct group_position at, struct slice payload);
bool double_percent(unsigned chance);
uint64_t double_committed(const struct group *group); /* anywhere: the index */
void double_answer(struct group *group);              /* to its questions; per turn */
/* The bytes of an entry; returns how many. */
size_t double_payload(uint8_t *to, enum group_entry_kind kind, int64_t time_ms, struct slice batch);

#endif
