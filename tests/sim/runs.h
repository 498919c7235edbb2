/* Runs of a simulator: one seed after another, each in a process of its own, so that one that fails
 * does not take the others with it. Every twentieth is run twice, and must leave the same trace.
 *
 *   PROGRAM [--seeds FIRST COUNT] [--jobs N] [--trace] [--hashes] [--until-failure]
 *           [--mutation NAME]
 *   PROGRAM --mutations
 *
 * Prints what fails with the command that does it again, what happened how often, and ends with
 * "N passed, N failed".
 */
#ifndef KX_TESTS_SIM_RUNS_H
#define KX_TESTS_SIM_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct runs_program {
	/* In a child: returns where nothing was violated; else the process ends (verdict.h). The
	 * result is zeroed, and aligned for any type. */
	void (*seed)(uint64_t number, bool trace, void *ret_result);
	size_t result_bytes;
	uint64_t (*trace_hash)(const void *result);
	/* In the parent: results are added up, printed, and looked through for what should have
	 * happened and never did, which is named; its number is returned. */
	void (*add)(const void *result);
	void (*print)(void);
	unsigned (*print_zeros)(void);
	/* Of a program with Lua, else NULL: see app.h of tests/shard_sim. Seeds run at fixed
	 * addresses then. */
	uint64_t (*accidental_order)(void);
};

/* The exit status. */
int runs_main(int argc, char **argv, const struct runs_program *program);

#endif
