/* How much shards do: measured where they are led, kept where shards are placed.
 *
 *   leader: work that it counts -> load_meter -> a level, every LOAD_PERIOD_NS
 *     -> (CLUSTER_KIND_LOADS) -> load_book of who leads the directory: smoothed, then shown
 *     -> placement.h: which leaderships, and rarely replicas, change places
 *
 * Work is a call that a handler ran for, or SHARD_WORK_BYTES of entries that were applied; a load
 * is work a second. That is what a shard costs whoever leads it, and it is deterministic: no clock
 * of a processor is in it.
 *
 * A level is a load in a byte: 0 stands for less than LOAD_FLOOR, which is not worth a word; above
 * that eight levels for each doubling, so that it is right within an eighth.
 *
 *   level = 8 * (e - 3) + m + 1, for a load between (8 + m) * 2^(e-3) and the next one
 *
 * Smoothed: each period the kept load goes a twelfth of the way to what was said, so that it
 * follows with a time constant of about a minute (the first twelve are a plain mean: who has just
 * begun to keep them has no past to believe in). Of who says nothing for LOAD_SAID_NS the load goes
 * to 0; meanwhile it stays, so that a change of leaders is none of loads. Shown: what placement and
 * operators see is a level again, another one only when the smoothed load has gone away from it by
 * more than a quarter: loads that stay about the same are exactly the same.
 *
 * When shards may move for that. Placement itself sees to it that a move that was made is not worth
 * being taken back (placement.h); this is against loads that change. Nothing moves before
 * LOAD_BEGIN_STEPS periods were seen. Then a few leaderships at a time, and none for LOAD_REST_NS
 * after those; of one shard none for LOAD_SHARD_REST_NS after its leader has changed for whatever
 * reason; and replicas are exchanged once in LOAD_REPLICAS_REST_NS. So what comes and goes faster
 * than a minute moves nothing, and what does so more slowly moves a shard once in two minutes at
 * most. For comparison: CockroachDB's store rebalancer looks once a minute, wants 30 s of figures
 * before it moves a lease, takes a store for overfull from a tenth above the mean on, and from 100
 * queries a second (kv.allocator.qps_rebalance_threshold and what stands beside it), and moves
 * leases before replicas; TiKV's placement driver asks for a region to be hot in several reports in
 * a row, and moves leaders before peers, too.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_LOAD_H
#define KX_SERVER_META_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"

struct placement_input;
struct placement_plan;
struct placement_shard;

#define LOAD_PERIOD_NS        (5 * NS_PER_S)
#define LOAD_SAID_NS          (3 * LOAD_PERIOD_NS)
#define LOAD_REST_NS          (2 * LOAD_PERIOD_NS)
#define LOAD_SHARD_REST_NS    (120 * NS_PER_S)
#define LOAD_REPLICAS_REST_NS (120 * NS_PER_S)
enum {
	LOAD_FLOOR = 8,
	LOAD_STEPS = 12,      /* of a minute */
	LOAD_BEGIN_STEPS = 6, /* half of that */
	LOAD_MOVES_MAX = 2,   /* exchanges of leaderships at a time */
};

/* ---- Levels ---- */

/* Of what is more than a byte can say: the highest. */
uint8_t load_level(uint64_t load);
/* The least load of that level. */
uint64_t load_of_level(uint8_t level);

/* ---- Where a shard is led ---- */

/* Zeroed: nothing is measured. */
struct load_meter {
	uint64_t at_ns, work; /* at the last look that counted; 0: none did */
};
/* `work` as it is counted since any time. True: a period is over, and this was its level, above 0.
 * Begins anew where there is less work than before. */
bool load_meter_look(struct load_meter *meter, uint64_t now_ns, uint64_t work, uint8_t *ret_level);

/* ---- Where shards are placed ---- */

struct load_kept {
	uint64_t said_ns; /* 0: never */
	uint64_t led_ns;  /* another node leads it since; 0: not known */
	uint64_t smooth;  /* in 1/LOAD_STEPS^2 of work a second, so that a step is not lost */
	uint8_t said, shown;
};

struct load_book {
	struct load_kept *loads; /* by shard */
	uint32_t count;
	uint32_t steps;
	uint64_t stepped_ns;            /* 0: not yet */
	uint64_t moved_ns, replicas_ns; /* when that was planned last; 0: never */
};
/* ERR_NOMEM. */
NODISCARD int load_book_init(struct load_book *book, uint32_t count);
void load_book_done(struct load_book *book); /* idempotent; a zeroed one too */
/* The shard's leader says so. */
void load_book_say(struct load_book *book, uint32_t shard, uint8_t level, uint64_t now_ns);
/* Another node leads it than before. */
void load_book_led(struct load_book *book, uint32_t shard, uint64_t now_ns);
/* From time to time, more often than once a period. */
void load_book_look(struct load_book *book, uint64_t now_ns);
/* What is shown: the load of one; 0: too little to be said. */
uint64_t load_book_of(const struct load_book *book, uint32_t shard);
/* For a plan: `load` and `load_rests` of [count] shards, `load_moves_max` and `load_replicas`. */
void load_book_ask(const struct load_book *book, uint64_t now_ns, struct placement_shard *shards,
    struct placement_input *input);
/* The plan is carried out. */
void load_book_note(struct load_book *book, uint64_t now_ns, const struct placement_plan *plan);

#endif
