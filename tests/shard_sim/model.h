/* What the shards may answer, and what they must have done.
 *
 * Every change has an id that is used once, and every state lists the ids that made it
 * (tests/shard_sim/view.h), so each answer tells which change is at which revision. The model
 * keeps, for each entity, which id was seen at each revision, and for each id what its callers were
 * told. From that follow the oracles:
 *
 *   one history     a revision never shows two ids, an id never stands at two revisions (exactly
 *                   once, over tokens, crashes, losses of leadership)
 *   real time       who began after another call of the entity was answered sees at least its
 *                   revision; a command makes a higher one (linearizability, since all answers
 *                   name a revision of one history; and nothing answered is lost)
 *   surely not done an id whose every call was answered with an error other than UNKNOWN_OUTCOME
 *                   is never seen
 *   order           calls of one connection to one entity have revisions in the order sent; a
 *                   change of which its caller was told that nobody knows, too, if it was made
 *   first reply     a repeat of a token gets the first answer, byte for byte
 *   time            who began after an answer of the shard that shows a time sees none before it;
 *                   changes of an entity have times in the order of their revisions
 *   state           what a state says of all changes that made it is what they make
 *   app             who began after an answer of the shard meets no older version of the app, and
 *                   a state that was migrated to it step by step, each once
 *   drop            each version of the app without a type that the one before had ends an era of
 *                   that type. A change is of the era in which its call ran and is in no other; who
 *                   begins after an answer of the shard that shows an era, or after its deployment
 *                   was answered, sees nothing of those before
 *
 *   lost            what a majority took with it (model_lose) is not there again
 *
 * A read that may be stale sees what had been answered so long before it began, at least; it may
 * come before others of its connection.
 *
 * All of these but `app` and `time` hold within an era: each begins with nothing, and revisions and
 * tokens anew. Every answer that shows a state says which version of the app gave it, so its era is
 * known.
 */
#ifndef KX_TESTS_SHARD_SIM_MODEL_H
#define KX_TESTS_SHARD_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { MODEL_ENTITIES = 16, MODEL_CONNECTIONS = 6, MODEL_SHARDS = 5, MODEL_VERSIONS_MAX = 64 };

enum model_type { MODEL_ACCOUNT, MODEL_COUNTER, MODEL_TYPES };
enum {
	MODEL_HAS_ACCOUNT = 1 << MODEL_ACCOUNT,
	MODEL_HAS_COUNTER = 1 << MODEL_COUNTER,
	MODEL_HAS_BOTH = MODEL_HAS_ACCOUNT | MODEL_HAS_COUNTER
};

struct model;
struct sim;

/* The time is the world's, which outlives the model. */
struct model *model_new(const struct sim *sim);
void model_free(struct model *model);

/* "counter/..." or "account/..."; of its number. */
void model_address(unsigned entity, char *text, size_t text_bytes);
bool model_is_account(unsigned entity);
enum model_type model_type(unsigned entity);
const char *model_type_name(enum model_type type);
unsigned model_shard(unsigned entity); /* from 1 */

/* ---- Versions of the app, from 1 on, and eras of a type ---- */

/* The next version is about to be deployed. */
void model_deploy(struct model *model, unsigned types);
unsigned model_version(const struct model *model);
unsigned model_types(const struct model *model, unsigned version);
/* Of the newest version that dropped the type; 0: none did. */
unsigned model_dropped_by(const struct model *model, enum model_type type);
uint64_t model_drops(const struct model *model);
/* The shard was said to have this version. */
void model_deployed(struct model *model, unsigned shard, unsigned version);
/* No shard has an older one. */
unsigned model_oldest_version(const struct model *model);

/* ---- Calls ---- */

/* Ids of a change; `count` of them in a row belong to one call. */
uint64_t model_new_ids(struct model *model, unsigned entity, unsigned count);

enum model_kind { MODEL_CHANGE, MODEL_DELETE, MODEL_READ };

/* One attempt of a call. */
struct model_call {
	enum model_kind kind;
	unsigned entity, connection, id_count;
	uint64_t life; /* of the connection: another one has its number afterwards */
	uint64_t id;   /* 0 with MODEL_READ */
	bool has_token, is_repeat;
	uint64_t answered; /* before it began */
	uint64_t
	    stale_ns; /* so much older than all that was answered a read may be; 0: not at all */
	/* When it was begun: what the shard's answers had shown, and which revision of the
	 * entity in that version's era; its place among those of its connection to the entity. */
	uint32_t least_app;
	unsigned era;
	uint64_t least, order;
	int64_t least_ms;
};
void model_begin(struct model *model, struct model_call *call);
/* The answer: `text` is the reply, or the message of a failure. A status that says that nothing
 * was done (everything but OK and UNKNOWN_OUTCOME); `reads`: the text is a state. */
void model_answered(struct model *model, const struct model_call *call, enum status status,
    bool reads, struct slice text);
/* It was refused because the app has no such type. */
void model_refused(struct model *model, const struct model_call *call);
/* The process died: nobody knows. */
void model_cut_off(struct model *model, const struct model_call *call);
/* Another leader, with this version of the app, did it, and told somebody. */
void model_other(
    struct model *model, unsigned entity, unsigned version, uint64_t id, uint64_t revision);

/* What a history or a list of addresses shows, which do not say of which version they are. False:
 * it may be of several eras. */
bool model_has_one_era(const struct model *model, const struct model_call *call);
struct view;
void model_saw_event(struct model *model, const struct model_call *call, uint64_t revision,
    uint64_t id, int64_t at_ms);
void model_saw_deletion(
    struct model *model, const struct model_call *call, uint64_t revision, int64_t at_ms);
void model_saw_kept(struct model *model, const struct model_call *call, const struct view *view);
/* By a list of its type in its shard. */
void model_saw_address(struct model *model, const struct model_call *call, unsigned entity);
/* After all was answered: whether it is there. */
bool model_exists(const struct model *model, unsigned entity);

/* ---- What is lost with a majority of its shard; while no call of the shard is under way ---- */

/* The highest revision that an answer showed. */
uint64_t model_revision(const struct model *model, unsigned entity);
/* Of the entity all is as it was up to this revision, and nothing above it is there any more, nor
 * comes again (`lost`), unless a caller repeats it. Returns of how many changes somebody had been
 * told that they are done. */
uint64_t model_lose(struct model *model, unsigned entity, uint64_t kept);
/* Behind that, for all of the shard's entities: times go on from those of what is kept. */
void model_lose_time(struct model *model, unsigned shard);
/* Changes with a token that were lost, and were made once more. */
uint64_t model_lost_done_again(const struct model *model);

/* When all was answered and seen: a change of which its caller was told that nobody knows, and that
 * was made all the same, stands before every later one of its connection to the entity, and behind
 * the earlier ones. One with a token may be somebody else's repeat. Returns how many later ones
 * there were. */
uint64_t model_compare_unknowns(const struct model *model);
/* Changes of unknown fate that were seen later, and all that were unknown. */
void model_unknowns(const struct model *model, uint64_t *ret_seen, uint64_t *ret_all);
/* Answers that showed less than had been answered before them, where that may be. */
uint64_t model_stale(const struct model *model);
/* Answers that showed a state of an older version. */
uint64_t model_migrated(const struct model *model);

#endif
