/* The log as it is on a disk while no process runs: bits that rot, and what is proven by what is
 * left. */
#ifndef KX_TESTS_SIM_DAMAGE_H
#define KX_TESTS_SIM_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct random;
struct sim_node;

struct damage {
	struct sim_node *node;
	struct random *random;
	const char *log_dir;
	uint64_t store_id;
};

/* Both return how many bits were flipped. */

/* One, anywhere in a segment. */
uint64_t damage_any(const struct damage *damage);
/* One in each of the newest frames of the segment, behind which nothing stands that could say that
 * they had been durable (but for the store). */
uint64_t damage_end(const struct damage *damage, uint64_t segment);

/* Up to this number frames had been durable: a frame of that life, which is there, says so. (In a
 * later one, of a recovery that did not get to its end, numbers may name other frames.) 0: none.
 * `durable`: one that no power cut can take away. */
uint64_t damage_proven(const struct damage *damage, uint64_t life, bool durable);

/* The frame with which a life above this one began, which ended in its recovery: from there on
 * frames of this one were given up. UINT64_MAX: none. */
uint64_t damage_later_life(const struct damage *damage, uint64_t life);

#endif
