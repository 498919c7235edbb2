/* What the load generators have in common: values, latencies, what the load itself took of the
 * processor, and the one line of key=value that all of them print.
 *
 * One thread. Nothing is counted before load_report_begin: what comes earlier is a warm-up.
 */
#ifndef KX_TESTS_BENCH_LOAD_REPORT_H
#define KX_TESTS_BENCH_LOAD_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"

struct random;

/* So many letters, up to LOAD_LETTERS_MAX, that hardly compress, others for each call. Static. */
#define LOAD_LETTERS_MAX 4096
const char *load_letters(struct random *dice, size_t bytes);

struct load_report {
	struct histogram latencies; /* in nanoseconds */
	uint64_t begin_ns, begin_cpu_ns;
	uint64_t calls;
	uint64_t errors;  /* answers that were not the one wanted; warm-up included */
	uint64_t refused; /* calls that could not even be sent */
	bool begun;
	char first_error[256];
};

/* Zeros. */
void load_report_init(struct load_report *report);
/* From now on it counts. */
void load_report_begin(struct load_report *report, uint64_t now_ns);
/* A call was answered that counts from `due_ns`. */
void load_report_answered(struct load_report *report, uint64_t due_ns, uint64_t now_ns);
/* An answer that was not the one wanted. The first one's text is kept. */
__attribute__((format(printf, 2, 3))) void load_report_error(
    struct load_report *report, const char *format, ...);
/* calls, seconds, rate, p50_us, p99_us, p999_us, max_us, errors, refused, and load_cpu: the share
 * of one processor that this process took. The first error goes to the standard error, behind
 * `name`. */
void load_report_print(const struct load_report *report, uint64_t now_ns, const char *name);

#endif
