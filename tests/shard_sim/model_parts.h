/* The inside of the model. */
#ifndef KX_TESTS_SHARD_SIM_MODEL_PARTS_H
#define KX_TESTS_SHARD_SIM_MODEL_PARTS_H

#include "tests/shard_sim/model.h"
#include "tests/shard_sim/view.h"

enum { REVISIONS_MAX = 1 << 15, IDS_MAX = 1 << 18, RECENT_MAX = 64 };

/* In place of an id: the entity was deleted. */
#define DELETED UINT64_MAX

struct change {
	uint8_t entity;
	bool failed;  /* every answer so far says so */
	bool unknown; /* nobody was told */
	uint32_t running;
	uint64_t revision; /* 0: not seen */
	uint64_t first_reply;
};

struct recent {
	uint64_t order, revision;
	bool is_change;
};

/* What is known of the state at a revision, but its id. */
struct state_known {
	bool has_sum;
	uint64_t made, sum;
	int64_t at_ms; /* 0: not seen */
};

struct entity {
	uint64_t at[REVISIONS_MAX]; /* id by revision; 0: not seen */
	struct state_known states[REVISIONS_MAX];
	uint64_t answered; /* the highest revision of an answer */
	uint32_t app;      /* the highest version of the app that answered */
	uint64_t order[MODEL_CONNECTIONS];
	struct recent recent[MODEL_CONNECTIONS][RECENT_MAX];
	unsigned recent_count[MODEL_CONNECTIONS];
};

struct model {
	struct entity entities[MODEL_ENTITIES];
	struct change changes[IDS_MAX];
	uint64_t next_id, migrated;
	int64_t shown_ms[MODEL_SHARDS + 1]; /* the latest time that an answer of the shard showed */
};

void model_see(struct model *model, unsigned entity, uint64_t revision, uint64_t id);

/* model_state.c */
void model_saw_at(struct model *model, unsigned entity, uint64_t revision, int64_t at_ms);
void model_saw_time(struct model *model, const struct model_call *call, const struct view *view);
void model_saw_state(struct model *model, unsigned entity, const struct view *view);
void model_saw_app(struct model *model, const struct model_call *call, const struct view *view);

#endif
