/* One call of a handler, or one fold, from begin to end.
 *
 *   call.c   what host.h shows: begin, run in slices, outcome, end
 *   steps.c  what happens inside the coroutine: state, handler, fold, reply
 *   folds.c  events over a state, emitted and stored ones
 *   ctx.c    what the handler may do meanwhile
 *
 * Inside of scripting/ only.
 */
#ifndef KX_SCRIPTING_CALL_H
#define KX_SCRIPTING_CALL_H

#include "scripting/inside.h"
#include "scripting/sandbox.h"
#include "scripting/value.h"

#define CALL_MESSAGE_BYTES_MAX   1024
#define CALL_TRACEBACK_BYTES_MAX 4096
#define CALL_DETAILS_BYTES_MAX   2048
/* Events that one run of a fold takes in; each of its runs has so many calls' budgets. */
#define FOLD_CHUNK 128
/* A fold repeats what a command did once; time is not measured as exactly as instructions. */
#define FOLD_TIME_FACTOR 10
/* Ended calls whose memory is kept, and how much of each buffer. */
#define SPARE_CALLS_MAX        64
#define SPARE_BUFFER_BYTES_MAX (64 * 1024)
/* Of an emitted event beside its name and data. */
#define EVENT_OVERHEAD_BYTES 32

/* Positions on the coroutine's stack, below what the stages push. */
enum { AT_CTX = 1, AT_STATE, AT_INPUT, AT_FOLDED };

enum call_stage {
	STAGE_START,
	STAGE_STEP,       /* a state of another version is on top */
	STAGE_STEP_DONE,  /* what the step returned above it */
	STAGE_INIT_DONE,  /* what init(id) returned */
	STAGE_STATE_DONE, /* the state is on top; goes on with after_state */
	STAGE_HANDLER,
	STAGE_HANDLER_DONE,
	STAGE_REFOLD, /* emitted events over the state as it was */
	STAGE_REFOLD_DONE,
	STAGE_REPLY,
	STAGE_REPLY_STATE,
	STAGE_REPLY_DONE,
	STAGE_FOLD, /* stored events */
	STAGE_UPCAST,
	STAGE_UPCAST_DONE,
	STAGE_FOLD_DONE,
	STAGE_ENDED
};

/* An emitted event; of a fold in dev mode, one kept for the repetition. */
struct call_event {
	struct event_type *type;
	uint32_t version;
	int64_t at_ms;
	uint64_t revision;
	size_t offset, bytes; /* in event_data */
};

struct host_call {
	struct script_owner owner;
	struct list_node spare;
	struct host_component *component;
	struct host_handler *handler; /* NULL: a fold */
	struct host_request request;
	struct host_entity entity; /* as it was before, or as a fold's last chunk left it */
	struct host_fold fold;
	struct sandbox_run run;
	bool is_running;
	bool holds;         /* some of enum call_held */
	int held_reference; /* the userdata whose user values those are, kept over calls */
	uint64_t ctx;       /* what the handler's ctx is: see ctx_push */

	enum call_stage stage, after_state;
	uint32_t step;      /* version of the state or event on top, on its way */
	bool initial;       /* the initial state is wanted, whatever is stored */
	bool base_was_made; /* by init(id) or steps: the repetition of dev mode looks at it, too */
	size_t at;          /* next event of a refold; events of this chunk of a fold */
	struct event_type *event; /* of a fold: whose data is on top */
	struct host_event stored; /* the same as it is stored */
	bool fold_ended;

	/* The state that the call began with, as bytes of the component's version. */
	bool has_base;
	struct slice base;
	struct buffer base_bytes; /* where it had to be made */

	/* Effects. */
	bool applying; /* an event's handler runs, or was left by an error */
	bool closed;   /* the handler has ended: ctx does nothing any more */
	bool updated, deleted;
	struct buffer state;
	bool has_state;
	struct call_event *emitted;
	size_t emitted_count, emitted_capacity;
	uint64_t emitted_bytes;
	struct buffer event_data;
	struct host_event *events; /* the same for the outcome */
	bool saw_time;
	bool has_reply, has_reply_function;
	bool job_taken; /* by host_call_take_job */
	struct buffer reply;
	struct buffer scratch;
	struct host_job *job; /* that the run waits for, or waited for last */

	/* Why nothing is done; and a text that may be shown, where an error was raised with it. */
	enum status status;
	bool is_fault;
	char message[CALL_MESSAGE_BYTES_MAX + 1];
	char safe[CALL_MESSAGE_BYTES_MAX + 1];
	char traceback[CALL_TRACEBACK_BYTES_MAX];
	struct buffer details;
	struct host_outcome outcome;
	uint64_t instructions, run_ns;
};

/* The main function of a call's coroutine. */
int call_main(struct lua_State *lua);

/* Ends the call with a status: for what is no error of a handler. */
__attribute__((format(printf, 3, 4))) void call_refuse(
    struct host_call *call, enum status status, const char *format, ...);
/* Raises an error of the handler, whose text may be shown. */
__attribute__((noreturn, format(printf, 3, 4))) void call_raise(
    struct host_call *call, struct lua_State *lua, const char *format, ...);
/* The same for an error of a function that encodes or decodes: `what` names the value. A bound that
 * was passed, and memory that is lacking, end the run. */
__attribute__((noreturn)) void call_raise_problem(struct host_call *call, struct lua_State *lua,
    int error, const char *what, const struct value_problem *problem);

/* Pushes the state that these bytes are. Raises. */
void call_push_state(struct host_call *call, struct lua_State *lua, struct slice bytes);

/* STAGE_REFOLD: pushes the next emitted event's handler and arguments, and sets the stage; how many
 * arguments, or 0 where all are folded. */
int fold_push_emitted(struct host_call *call, struct lua_State *lua);
/* STAGE_FOLD: pushes the next stored event's data, as the version it was stored in or as it is now,
 * for STAGE_UPCAST. False at the end of the events, or of this chunk. */
bool fold_push_stored(struct host_call *call, struct lua_State *lua);
/* The event on top is in its own version: it goes between its handler and what else that takes;
 * how many arguments. */
int fold_push_stored_call(struct host_call *call, struct lua_State *lua);
void fold_end_chunk(struct host_call *call, struct lua_State *lua);

/* Encodes the value at `position` as the reply. */
void call_set_reply(struct host_call *call, struct lua_State *lua, int position);

/* Pushes the event's handler, the state at `state`, the event and what else it takes; returns how
 * many arguments there are. */
int call_push_event(struct host_call *call, struct lua_State *lua, int state,
    const struct event_type *type, const struct host_event *event);
/* After an event's handler: its result on top replaces the state at `state`, or is nil. Pops it. */
void call_take_state(
    struct host_call *call, struct lua_State *lua, const struct event_type *type, int state);

/* Room for one more in `emitted`, not counted yet. Raises. */
struct call_event *call_add_event(struct host_call *call, struct lua_State *lua);
/* Where the last event's data ends. */
size_t call_events_end(const struct host_call *call);
struct host_event call_emitted(const struct host_call *call, size_t number);
/* Keeps the event that a fold takes in, for its repetition. */
void call_record_stored(struct host_call *call, struct lua_State *lua);

/* After a run that ended well, in dev mode: what was folded is folded again in the other
 * interpreter, and another result is a fault. */
void call_repeat(struct host_call *call);
/* Fills the outcome from all that the call holds. */
void call_make_outcome(struct host_call *call);
/* Frees the memory that ended calls left. */
void call_spares_free(struct host *host);

/* Numbers the call's ctx, and pushes it. A ctx is a light userdata whose address is nobody's: it
 * says which call it belongs to, of all that the host ever begins. So one that was kept is never
 * that of another call, and nothing has to be made for it. */
void ctx_push(struct host_call *call, struct lua_State *lua);

/* What a call holds in Lua beside its stack: the raw state that a view or `state` itself stands
 * for, and the function given to ctx:reply. */
enum call_held { HELD_STATE = 1, HELD_REPLY };
/* Takes the value on top. */
void call_hold(struct host_call *call, struct lua_State *lua, enum call_held what);
void call_push_held(const struct host_call *call, struct lua_State *lua, enum call_held what);

#endif
