/* Figures of a running process: counters, gauges, histograms.
 *
 * Each core has its own, so that counting is an addition to memory that no other core writes: no
 * lock, no shared cache line. The owner embeds a counter in its own struct and adds it to its
 * core's struct metrics at start; whoever asks (another thread too) gets the sum over all cores.
 *
 * Writing: the core's thread alone. Reading: any thread, at any time; each figure read is one that
 * was true, but figures read together need not be of the same moment.
 *
 * Histograms are log-linear (as HdrHistogram's): 32 buckets for each power of two, so a value is
 * known within 1 part in 32 over all of 64 bits, small values exactly. 15 KiB each. / */
#ifndef KX_BASE_METRICS_H
#define KX_BASE_METRICS_H

#include "base/error.h"
#include "base/list.h"

#include <stdatomic.h>
#include <stdint.h>

struct counter {
	_Atomic uint64_t value;
};

/* A relaxed load and store, not an atomic addition: there is one writer. */
static inline void counter_add(struct counter *counter, uint64_t count)
{
	uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
	atomic_store_explicit(&counter->value, value + count, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *counter)
{
	return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* A level that goes up and down; cores' levels are added up. */
struct gauge {
	_Atomic int64_t value;
};

static inline void gauge_set(struct gauge *gauge, int64_t value)
{
	atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

static inline int64_t gauge_get(const struct gauge *gauge)
{
	return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

static inline void gauge_add(struct gauge *gauge, int64_t difference)
{
	gauge_set(gauge, gauge_get(gauge) + difference);
}

#define HISTOGRAM_STEP_BITS    5
#define HISTOGRAM_BUCKET_COUNT ((64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
	struct counter bucket[HISTOGRAM_BUCKET_COUNT];
	struct counter sum; /* of all values, modulo 2^64 */
	_Atomic uint64_t max;
};

/* The bucket of a value; the values of bucket b are histogram_lowest(b) to
 * histogram_lowest(b + 1) - 1. */
static inline unsigned histogram_bucket(uint64_t value)
{
	if (value < 1U << HISTOGRAM_STEP_BITS)
		return (unsigned)value;
	unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
	return (shift << HISTOGRAM_STEP_BITS) + (unsigned)(value >> shift);
}

uint64_t histogram_lowest(unsigned bucket);

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	counter_add(&histogram->bucket[histogram_bucket(value)], 1);
	counter_add(&histogram->sum, value);
	if (value > atomic_load_explicit(&histogram->max, memory_order_relaxed))
		atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
}

/* What was read from one or more histograms. */
struct histogram_view {
	uint64_t bucket[HISTOGRAM_BUCKET_COUNT];
	uint64_t count;
	uint64_t sum;
	uint64_t max;
};

/* Adds a histogram to a view, which begins as zeros. */
void histogram_merge(struct histogram_view *view, const struct histogram *histogram);

/* A value that at least `per_million` millionths of the values do not exceed: the highest of its
 * bucket, but no more than the maximum, so at most 1/32 too high and never too low. 0 where there
 * is no value. 500000 is the median. */
uint64_t histogram_quantile(const struct histogram_view *view, uint32_t per_million);

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* One figure's place in a core's list; embedded beside the figure, or anywhere that lives as long.
 */
struct metric {
	/* What counts as the same figure on several cores: both equal. Texts live as long as the
	 * metric. */
	const char *name;   /* "kalix_log_frames_total", with the unit as its last word */
	const char *labels; /* "store=\"000\"", or "" */
	const char *help;   /* a sentence */
	enum metric_kind kind;
	union {
		const struct counter *counter;
		const struct gauge *gauge;
		const struct histogram *histogram;
	} of;
	struct list_node node; /* list_node_init before metrics_add */
};

/* One core's figures. */
struct metrics {
	struct list list;
};

void metrics_init(struct metrics *metrics);

/* At start or end of the core, while nobody reads. The owner calls metrics_remove before it goes.
 */
void metrics_add(struct metrics *metrics, struct metric *metric);
void metrics_remove(struct metric *metric);

/* What a reader gets: the figure summed over all cores that have it. */
struct metric_view {
	const struct metric *metric; /* name, labels, help, kind */
	uint64_t counter;
	int64_t gauge;
	const struct histogram_view *histogram; /* valid during the call */
};

/* Calls `each` once for every figure, in the order in which the first core that has it added it.
 * Stops at a result that is not 0 and returns it. ERR_NOMEM. O(figures squared over cores): for
 * people and scrapers, every few seconds. */
typedef int metrics_each(void *arg, const struct metric_view *view);
NODISCARD int metrics_read(
    struct metrics *const *cores, size_t count, metrics_each *each, void *arg);

#endif
