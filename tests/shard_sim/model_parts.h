/* The inside of the model. */
#ifndef KX_TESTS_SHARD_SIM_MODEL_PARTS_H
#define KX_TESTS_SHARD_SIM_MODEL_PARTS_H

#include "tests/shard_sim/model.h"
#include "tests/shard_sim/view.h"

enum { REVISIONS_MAX = 1 << 15, IDS_MAX = 1 << 18, RECENT_MAX = 64, ERAS_MAX = MODEL_VERSIONS_MAX };

/* In place of an id: the entity was deleted. */
#define DELETED UINT64_MAX

/* What became of a change in an era. */
struct done {
	struct done *next; /* a call with a token was made in several eras */
	unsigned era;
	uint64_t revision; /* 0: not seen */
	uint64_t first_reply;
};

struct change {
	uint8_t entity;
	bool failed;  /* every answer so far says so */
	bool unknown; /* nobody was told */
	bool told;    /* somebody was told that it is done */
	bool seen, has_token;
	bool told_unknown; /* by an answer */
	bool lost;         /* model_lose */
	uint8_t connection;
	uint64_t life, order; /* of the call that was the first to ask for it */
	uint32_t running;
	unsigned era_first, era_last; /* in which its calls may have run; while none runs */
	struct done done;
};

struct recent {
	uint64_t order, revision;
	unsigned era;
	bool is_change;
};

/* What is known of the state at a revision, but its id. */
struct state_known {
	bool has_sum;
	uint64_t made, sum;
	int64_t at_ms; /* 0: not seen */
};

/* An entity in one era. */
struct entity {
	uint64_t at[REVISIONS_MAX]; /* id by revision; 0: not seen */
	uint64_t
	    answered_ns[REVISIONS_MAX]; /* when it, or a later one, was answered; 0: it was not */
	struct state_known states[REVISIONS_MAX];
	uint64_t answered;   /* the highest revision of an answer */
	bool may_be_deleted; /* somebody asked for it */
};

/* What is kept of it over all eras. */
struct calls {
	uint64_t order[MODEL_CONNECTIONS];
	struct recent recent[MODEL_CONNECTIONS][RECENT_MAX];
	unsigned recent_count[MODEL_CONNECTIONS];
	unsigned changes, deletions; /* under way */
	unsigned era_last;           /* in which a change of it may have run */
	bool was_changed;
};

struct version {
	unsigned types;
	unsigned eras[MODEL_TYPES];
	unsigned dropped_by[MODEL_TYPES];
};

struct model {
	const struct sim *sim;
	struct entity *entities[MODEL_ENTITIES][ERAS_MAX]; /* NULL: nothing is known */
	struct calls calls[MODEL_ENTITIES];
	struct change changes[IDS_MAX];
	struct version versions[MODEL_VERSIONS_MAX + 1];
	unsigned version;
	uint64_t next_id, migrated, drops, stale_seen;
	int64_t shown_ms[MODEL_SHARDS + 1]; /* the latest time that an answer of the shard showed */
	uint32_t shown_app[MODEL_SHARDS + 1]; /* and the highest version of the app */
};

struct entity *model_entity(struct model *model, unsigned entity, unsigned era);
unsigned model_era(const struct model *model, unsigned entity, unsigned version);
unsigned model_newest_era(const struct model *model, unsigned entity);
struct done *model_done(struct change *change, unsigned era);
void model_show_app(struct model *model, const struct model_call *call, unsigned version);

void model_see(struct model *model, unsigned entity, unsigned era, uint64_t revision, uint64_t id);

/* model_state.c */
void model_saw_at(struct entity *entity, unsigned number, uint64_t revision, int64_t at_ms);
void model_saw_time(struct model *model, const struct model_call *call, const struct view *view);
void model_saw_state(struct entity *entity, unsigned number, const struct view *view);
void model_saw_path(struct model *model, const struct model_call *call, const struct view *view);

#endif
