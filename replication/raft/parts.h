/* What the files of this folder share. Not for anyone else.
 *
 * Roles, and what leads from one to the next:
 *
 *              time out            a majority would vote       a majority voted
 *   FOLLOWER ------------> PRE_CANDIDATE ------------> CANDIDATE ------------> LEADER
 *      ^                    |  |  time out: again       |  | time out: PRE_CANDIDATE
 *      +--------------------+--+------------------------+--+-----------------------+
 *        a higher term, a leader of this term, no majority heard of, own writes stall, removed
 *
 * What holds after every call (asserted in raft.c):
 *   base <= commit <= last; base <= durable <= last; accepted <= last
 *   a leader's own progress is `durable`; next > match for everyone
 */
#ifndef KX_REPLICATION_RAFT_PARTS_H
#define KX_REPLICATION_RAFT_PARTS_H

#include "base/assert.h"
#include "base/mutation.h"
#include "base/random.h"
#include "replication/raft/raft.h"

/* What a replica asked, or was asked, in an election. */
enum vote { VOTE_NONE, VOTE_GRANTED, VOTE_REFUSED };

struct in_flight {
	uint64_t last; /* entry of the message */
	uint64_t bytes;
};

struct peer {
	uint64_t replica;
	uint8_t roles, roles_before; /* now, and before the membership that is not committed */

	/* An election. */
	uint8_t vote;      /* enum vote */
	bool request_sent; /* in this round of it */

	/* A leader's view. */
	uint8_t flow; /* enum raft_flow */
	bool probed;  /* RAFT_PROBE: one message is under way */
	bool nudge;   /* it may lack something: a message goes even with nothing new in it */
	bool heartbeat_due;
	bool timeout_now_due;
	bool snapshot_due;    /* to be told to the owner */
	bool asleep;          /* said that it sleeps */
	uint64_t match;       /* durable there */
	uint64_t next;        /* to be sent */
	uint64_t nudge_match; /* where it was when it was last heard of without progress */
	uint64_t heard_ms;
	uint64_t down_ms; /* when its node was last said not to be heard of; 0: never */
	uint64_t round;   /* the newest that it answered */
	/* What it asked, 0: nothing; answered with this when the round is confirmed. */
	uint64_t question, question_commit, question_round;
	/* When what it lacks is sent (pace.c). */
	uint64_t offered_bytes;        /* raft->offered_bytes when it was sent the last entry */
	uint64_t timed_last, timed_ms; /* whose answer is timed, 0: none; when that left */
	uint32_t answer_mean;          /* how long one takes */
	uint32_t in_flight_first, in_flight_count;
	uint64_t in_flight_bytes;
	struct in_flight in_flight[RAFT_IN_FLIGHT_MAX];
};

/* An answer that waits until it may leave, or for the turn's end. One of a kind to a replica. */
struct reply {
	uint8_t kind; /* enum raft_message_kind; 0: none */
	bool refused;
	bool forced;
	uint64_t to, term;
	struct raft_position at, hint;
};
enum { REPLIES_MAX = 8 };

/* Rounds whose beginning is remembered, for leases: not all, so that these cover an election's time
 * however many rounds begin in it. */
struct round_begun {
	uint64_t round, ms; /* round 0: none */
};
enum { ROUNDS_BEGUN = 8 };

/*   NONE --raft_ask--> OPEN --it leaves--> SENT --answered--> NONE, or OPEN where it is
 *     ^                                     |                  asked again
 *     +------- another term or leader ------+ */
enum question_state { QUESTION_NONE, QUESTION_OPEN, QUESTION_SENT };

struct raft {
	struct raft_options options;
	struct random random;
	uint64_t now_ms;

	enum raft_role role;
	uint64_t term, vote;
	uint64_t hard_term, hard_vote; /* durable */
	uint64_t leader;               /* of `term`; 0: not known */

	/* The log. */
	struct raft_position base, last;
	uint64_t commit;
	uint64_t durable;
	uint64_t epoch;    /* how often a suffix was replaced */
	uint64_t replaced; /* the lowest index that was, since all writes are of this epoch */
	uint64_t accepted; /* a follower's log is its leader's up to here */

	/* The membership in effect is `peers[].roles`. */
	uint64_t membership_index; /* of its entry; 0: of the start */
	bool leaves_joint, leaves_joint_before;
	uint32_t places; /* of peers */
	uint32_t peers_count;
	bool alone; /* see raft_is_alone */

	/* Timers: RAFT_NEVER where they do not run. */
	uint64_t election_at;  /* not a leader: campaigns */
	uint64_t heartbeat_at; /* a leader */
	uint64_t contact_ms;   /* when the leader was last heard of */
	uint64_t waiting_ms;   /* since when something of its own is not durable; RAFT_NEVER */
	uint64_t busy_ms;      /* when there was last anything to do */
	bool asleep;

	/* A candidate. */
	bool forced; /* by a leader's wish */

	/* A leader. */
	uint64_t first_index; /* its first entry of this term */
	uint64_t uncommitted_bytes;
	uint64_t offered_bytes; /* proposed here, ever */
	uint64_t transfer_to, transfer_until;
	bool lease_lost; /* a successor was told to campaign: never again in this term */

	/* Rounds: numbered over all terms. A follower echoes its leader's newest that it saw. */
	uint64_t round, confirmed, leader_round;
	bool round_open;   /* no message has taken it along */
	bool round_waits;  /* for the one before */
	uint64_t round_ms; /* when a message last took one along that none had */
	/* One of those that are not confirmed, and when it began, 0: none; and the beginning of the
	 * newest such one that is, 0: none in this term. */
	uint64_t watched, watched_ms, led_ms;
	/* Leases: when rounds began, the newest at begun_at; and when the newest of those that are
	 * confirmed did, RAFT_NEVER: none in this term. */
	struct round_begun begun[ROUNDS_BEGUN];
	uint32_t begun_at;
	uint64_t lease_ms;

	/* Questions of its own to its leader (ask.c). */
	enum question_state question_state;
	bool question_again; /* while one is SENT: the next is wanted */
	bool readable_due;
	uint64_t question;    /* the newest */
	uint64_t question_ms; /* before it left */
	struct raft_output readable;
	uint64_t asked_by; /* for the count in it */

	/* A snapshot is being installed. */
	bool installing;

	/* For raft_next, in this order. */
	bool hard_due;
	uint32_t append_count; /* 0: none */
	struct raft_position append_at;
	const struct raft_entry *append_entries;
	uint64_t commit_told, confirmed_told, leader_told, term_told;
	enum raft_role role_told;
	bool snapshot_due; /* of some peer in RAFT_SNAPSHOT */

	/* For raft_send. */
	bool accept_reply_due, heartbeat_reply_due, wake_due;
	bool replies_due; /* there may be some in `replies` */
	uint32_t send_at; /* the peer to begin with */
	struct reply replies[REPLIES_MAX];

	/* An entry of its own, until raft_next has given it. */
	struct raft_entry own;

	struct peer peers[]; /* [places]; behind them the bytes of an own membership */
};

/* ---- raft.c ---- */

uint64_t raft_term_at(const struct raft *raft, uint64_t index); /* base <= index <= last */
/* The last entry of a log that ends so may be no newer: election restriction, section 5.4.1. */
bool raft_log_is_older(const struct raft *raft, struct raft_position last);
void raft_set_term(struct raft *raft, uint64_t term, uint64_t vote);
bool raft_hard_is_durable(const struct raft *raft); /* of term and vote as they are now */
void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader);
void raft_arm_election(struct raft *raft);
/* An own entry behind the last one. */
void raft_append_own_noop(struct raft *raft);
void raft_append_own_membership(struct raft *raft, const struct raft_membership *membership);
void raft_raise_commit(struct raft *raft, uint64_t index);
struct reply *raft_reply_slot(struct raft *raft, enum raft_message_kind kind, uint64_t to);
void raft_note_busy(struct raft *raft);

/* ---- peers.c ---- */

struct peer *raft_peer(struct raft *raft, uint64_t replica); /* NULL: no member */
/* This replica, in the membership in effect or in the one before, where that is the committed
 * one. */
bool raft_still_votes(const struct raft *raft);
bool raft_is_voter(const struct raft *raft, uint64_t replica);
/* There is no other member, now or before the newest change: nobody to wait for, or to be missed
 * by. */
static inline bool raft_is_alone(const struct raft *raft)
{
	return raft->alone;
}
/* Of all voters, the highest value that a quorum has. */
uint64_t raft_quorum_of(
    const struct raft *raft, uint64_t (*value)(const struct raft *raft, const struct peer *peer));
void raft_set_membership(
    struct raft *raft, uint64_t index, const struct raft_membership *membership);
void raft_roll_back_membership(struct raft *raft); /* its entry is not in the log any more */

/* ---- election.c ---- */

bool raft_may_campaign(const struct raft *raft);
void raft_campaign(struct raft *raft, bool forced);
void raft_count_votes(struct raft *raft); /* a vote has come, or its own is durable */
void raft_on_prevote(struct raft *raft, const struct raft_message *message);
void raft_on_vote(struct raft *raft, const struct raft_message *message);
void raft_on_vote_reply(struct raft *raft, const struct raft_message *message);

/* ---- replicate.c ---- */

void raft_lead(struct raft *raft);
void raft_on_append_reply(struct raft *raft, const struct raft_message *message);
void raft_on_heartbeat_reply(struct raft *raft, const struct raft_message *message);
void raft_count_matches(struct raft *raft); /* commits what a majority has */
bool raft_make_append(struct raft *raft, struct peer *peer, struct raft_message *ret_message);
void raft_heartbeats(struct raft *raft); /* are due, to all */
void raft_make_heartbeat(struct raft *raft, struct peer *peer, struct raft_message *ret_message);
void raft_lead_tick(struct raft *raft);
void raft_lost_messages(struct raft *raft, uint64_t replica);

/* ---- flow.c ---- */

void raft_flow_reset(struct raft *raft, struct peer *peer); /* a leader begins */
bool raft_flow_may_send(const struct raft *raft, const struct peer *peer);
void raft_flow_sent(struct peer *peer, uint64_t last, uint64_t bytes);
/* True where `match` rose. */
bool raft_flow_acknowledged(struct peer *peer, uint64_t match, uint64_t accepted);
void raft_flow_probe(struct peer *peer); /* back to what is known */

/* ---- pace.c ---- */

void raft_pace_reset(const struct raft *raft, struct peer *peer); /* a leader begins */
/* Entries wait for the answer to those before them. */
bool raft_pace_gathers(const struct raft *raft, const struct peer *peer);
void raft_pace_sent(const struct raft *raft, struct peer *peer, uint64_t last);
void raft_pace_answered(const struct raft *raft, struct peer *peer); /* `match` rose */
/* The newest round waits for the one before. */
bool raft_pace_round_waits(const struct raft *raft);

/* ---- accept.c ---- */

void raft_on_append(struct raft *raft, const struct raft_message *message);
void raft_on_heartbeat(struct raft *raft, const struct raft_message *message);
void raft_make_append_reply(struct raft *raft, struct raft_message *ret_message);
/* The highest entry up to `index` whose term is `term` or older. */
uint64_t raft_match_hint(const struct raft *raft, uint64_t index, uint64_t term);

/* ---- confirm.c ---- */

uint64_t raft_open_round(struct raft *raft); /* the one that later messages take along */
/* The newest round begins now: that is remembered until it is confirmed. */
void raft_watch_round(struct raft *raft);
uint64_t raft_take_round(struct raft *raft); /* for a message */
void raft_count_rounds(struct raft *raft);
bool raft_knows_commit(const struct raft *raft); /* it leads, and knows what is committed */

/* ---- ask.c ---- */

void raft_number_questions(struct raft *raft); /* from anywhere on */
void raft_forget_question(struct raft *raft);  /* whom it asked is not its leader any more */
void raft_make_question(struct raft *raft, struct raft_message *ret_message);
void raft_on_read_index(struct raft *raft, const struct raft_message *message);
void raft_on_read_index_reply(struct raft *raft, const struct raft_message *message);
/* False: there is none for it now. */
bool raft_make_answer(struct raft *raft, struct peer *peer, struct raft_message *ret_message);

/* ---- transfer.c, change.c, install.c, sleep.c ---- */

void raft_transfer_go_on(struct raft *raft); /* the target has more, or time has passed */
void raft_transfer_to_best(struct raft *raft);
void raft_transfer_abort(struct raft *raft);
void raft_on_timeout_now(struct raft *raft, const struct raft_message *message);
void raft_change_go_on(struct raft *raft); /* commit has risen */
void raft_installed(
    struct raft *raft, struct raft_position at, const struct raft_membership *membership);
void raft_wake(struct raft *raft);
void raft_ask_to_wake(struct raft *raft);
void raft_on_wake(struct raft *raft, const struct raft_message *message);
/* A leader's heartbeat says that all is done. */
void raft_follower_sleep(struct raft *raft, const struct raft_message *message);
void raft_peer_down(struct raft *raft, uint64_t replica);
bool raft_may_sleep(const struct raft *raft); /* a leader, and all that it knows is done */
void raft_lead_sleep(struct raft *raft);      /* falls asleep where all others do */

#endif
