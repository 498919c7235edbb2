/* The options of the load generators' command lines, as a table.
 *
 * One thread. What is wrong is said on the standard error, and ends the program with status 2.
 */
#ifndef KX_TESTS_BENCH_LOAD_OPTIONS_H
#define KX_TESTS_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define LOAD_OPTIONS_MAX 16

/* --NAME, and one of the three places that it sets: a number up to `number_max` or a word is what
 * stands behind it on the command line, the flag becomes true. All belong to the caller; a word
 * points into `argv`. */
struct load_option {
	const char *name;
	unsigned long *number, number_max;
	const char **word;
	bool *flag;
};

/* Takes the options, up to LOAD_OPTIONS_MAX kinds of them, out of the command line. What is left
 * stands at its end, in its order, from the index returned. */
int load_options(int argc, char **argv, const struct load_option *options, size_t count);

/* A number from 0 to that. */
unsigned long load_number(const char *text, unsigned long max);

#endif
