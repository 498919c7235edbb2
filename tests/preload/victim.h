/* What programs that are cut off tell the driver: lines on standard output, written at once. */
#ifndef KX_TESTS_PRELOAD_VICTIM_H
#define KX_TESTS_PRELOAD_VICTIM_H

#include <stdint.h>

/* Exit status where it could not begin, for a reason that it says. */
enum { VICTIM_REFUSED = 3 };

enum { VICTIM_NUMBERS = 8 };

struct victim {
	const char *dir; /* tracked; the data directory is made below it */
	uint64_t seed;   /* of what is written */
	uint64_t steps;  /* how much is to be done; 0: only look */
	uint64_t run;    /* which process of this seed it is; the first is 1 */
	/* What an earlier process said last; zeros: nothing. */
	uint64_t said[VICTIM_NUMBERS];
};

/* DIR SEED STEPS RUN SAID... */
struct victim victim_of(int argc, char **argv);

/* All that is durable from now on, in numbers that only this kind of victim knows. */
void victim_says_durable(const uint64_t said[VICTIM_NUMBERS]);

__attribute__((format(printf, 1, 2))) void victim_says(const char *format, ...);

/* An operating error: nothing is wrong, but there is no going on. */
__attribute__((noreturn, format(printf, 1, 2))) void victim_refuses(const char *format, ...);
/* An error of a call: where the disk is full or fails there is no going on, else it is wrong. */
__attribute__((noreturn)) void victim_fails(const char *what, int error, const char *why);
/* What was found is not what may be found: says so and exits with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void victim_wrong(const char *format, ...);

#endif
