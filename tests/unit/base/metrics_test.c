#include "tests/unit/base/suites.h"

#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(buckets_cover_all_values_without_gap)
{
	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT; bucket++) {
		uint64_t lowest = histogram_lowest(bucket);
		EXPECT(histogram_bucket(lowest) == bucket);
		if (bucket > 0)
			EXPECT(histogram_bucket(lowest - 1) == bucket - 1);
	}
	ck_assert_uint_eq(histogram_bucket(0), 0);
	ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKET_COUNT - 1);
}
END_TEST

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

START_TEST(quantiles_are_at_most_one_part_in_32_too_high)
{
	enum { VALUES = 5003 };
	static uint64_t values[VALUES];
	static struct histogram histogram;
	struct random random;
	random_init(&random, 51);
	uint64_t sum = 0;
	for (int i = 0; i < VALUES; i++) {
		/* All sizes alike: from one bit to sixty. */
		values[i] = random_u64(&random) >> random_between(&random, 4, 63);
		histogram_record(&histogram, values[i]);
		sum += values[i];
	}
	qsort(values, VALUES, sizeof(values[0]), compare);
	struct histogram_view *view = calloc(1, sizeof(*view));
	ck_assert_ptr_nonnull(view);
	histogram_merge(view, &histogram);
	ck_assert_uint_eq(view->count, VALUES);
	ck_assert_uint_eq(view->sum, sum);
	ck_assert_uint_eq(view->max, values[VALUES - 1]);
	for (uint32_t per_mille = 1; per_mille <= 1000; per_mille++) {
		/* A share that is no whole number of values needs one more. */
		uint64_t exact = values[((size_t)per_mille * VALUES + 999) / 1000 - 1];
		uint64_t told = histogram_quantile(view, per_mille * 1000);
		EXPECT(told >= exact);
		EXPECT(told - exact <= exact / 32);
	}
	ck_assert_uint_eq(histogram_quantile(view, 1000000), values[VALUES - 1]);
	ck_assert_uint_ge(histogram_quantile(view, 0), values[0]);
	free(view);
}
END_TEST

START_TEST(empty_histogram_has_quantile_0)
{
	static struct histogram_view view;
	ck_assert_uint_eq(histogram_quantile(&view, 500000), 0);
}
END_TEST

START_TEST(single_value_is_every_quantile)
{
	static struct histogram histogram;
	static struct histogram_view view;
	histogram_record(&histogram, 1000003);
	histogram_merge(&view, &histogram);
	for (uint32_t per_million = 0; per_million <= 1000000; per_million += 250000)
		ck_assert_uint_eq(histogram_quantile(&view, per_million), 1000003);
}
END_TEST

struct core {
	struct metrics metrics;
	struct counter calls;
	struct gauge connections;
	struct histogram latency;
	struct counter frames;
	struct metric metric[4];
};

static void core_init(struct core *core, const char *store)
{
	memset(core, 0, sizeof(*core));
	metrics_init(&core->metrics);
	core->metric[0] = (struct metric){.name = "calls_total",
	    .labels = "",
	    .help = "Calls.",
	    .kind = METRIC_COUNTER,
	    .of.counter = &core->calls};
	core->metric[1] = (struct metric){.name = "connections",
	    .labels = "",
	    .help = "Connections.",
	    .kind = METRIC_GAUGE,
	    .of.gauge = &core->connections};
	core->metric[2] = (struct metric){.name = "latency_ns",
	    .labels = "",
	    .help = "Latency.",
	    .kind = METRIC_HISTOGRAM,
	    .of.histogram = &core->latency};
	core->metric[3] = (struct metric){.name = "frames_total",
	    .labels = store,
	    .help = "Frames.",
	    .kind = METRIC_COUNTER,
	    .of.counter = &core->frames};
	for (int i = 0; i < 4; i++) {
		list_node_init(&core->metric[i].node);
		metrics_add(&core->metrics, &core->metric[i]);
	}
}

struct seen {
	size_t count;
	char names[16][40];
	uint64_t counters[16];
	int64_t gauges[16];
	uint64_t values[16];
	int stop_at;
};

static int see(void *arg, const struct metric_view *view)
{
	struct seen *seen = (struct seen *)arg;
	size_t i = seen->count++;
	snprintf(seen->names[i], sizeof(seen->names[i]), "%s{%s}", view->metric->name,
	    view->metric->labels);
	seen->counters[i] = view->counter;
	seen->gauges[i] = view->gauge;
	seen->values[i] = view->metric->kind == METRIC_HISTOGRAM ? view->histogram->count : 0;
	return seen->stop_at && seen->count == (size_t)seen->stop_at ? 77 : 0;
}

START_TEST(same_figures_of_all_cores_are_added_up)
{
	static struct core a;
	static struct core b;
	core_init(&a, "store=0");
	core_init(&b, "store=1");
	counter_add(&a.calls, 5);
	counter_add(&b.calls, 7);
	gauge_set(&a.connections, 10);
	gauge_add(&b.connections, -3);
	histogram_record(&a.latency, 1);
	histogram_record(&b.latency, 2);
	histogram_record(&b.latency, 3);
	counter_add(&a.frames, 100);
	counter_add(&b.frames, 200);
	struct metrics *cores[] = {&a.metrics, &b.metrics};
	struct seen seen = {0};
	ck_assert_int_eq(metrics_read(cores, 2, see, &seen), 0);
	ck_assert_uint_eq(seen.count, 5);
	ck_assert_str_eq(seen.names[0], "calls_total{}");
	ck_assert_uint_eq(seen.counters[0], 12);
	ck_assert_str_eq(seen.names[1], "connections{}");
	ck_assert_int_eq(seen.gauges[1], 7);
	ck_assert_str_eq(seen.names[2], "latency_ns{}");
	ck_assert_uint_eq(seen.values[2], 3);
	/* Other labels are another figure. */
	ck_assert_str_eq(seen.names[3], "frames_total{store=0}");
	ck_assert_uint_eq(seen.counters[3], 100);
	ck_assert_str_eq(seen.names[4], "frames_total{store=1}");
	ck_assert_uint_eq(seen.counters[4], 200);

	metrics_remove(&b.metric[0]);
	memset(&seen, 0, sizeof(seen));
	ck_assert_int_eq(metrics_read(cores, 2, see, &seen), 0);
	ck_assert_uint_eq(seen.counters[0], 5);
}
END_TEST

START_TEST(reader_may_stop_and_hears_of_no_memory)
{
	static struct core core;
	core_init(&core, "");
	struct metrics *cores[] = {&core.metrics};
	struct seen seen = {.stop_at = 2};
	ck_assert_int_eq(metrics_read(cores, 1, see, &seen), 77);
	ck_assert_uint_eq(seen.count, 2);
	mem_fail_at(1);
	ck_assert_int_eq(metrics_read(cores, 1, see, &seen), ERR_NOMEM);
	mem_fail_at(0);
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

enum { THREAD_RECORDS = 200000 };

static void *record_many(void *arg)
{
	struct core *core = (struct core *)arg;
	for (uint64_t i = 0; i < THREAD_RECORDS; i++) {
		counter_add(&core->calls, 1);
		histogram_record(&core->latency, i);
	}
	return NULL;
}

START_TEST(another_thread_reads_while_cores_count)
{
	static struct core a;
	static struct core b;
	core_init(&a, "");
	core_init(&b, "");
	pthread_t threads[2];
	ck_assert_int_eq(pthread_create(&threads[0], NULL, record_many, &a), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, record_many, &b), 0);
	struct metrics *cores[] = {&a.metrics, &b.metrics};
	uint64_t before = 0;
	for (int i = 0; i < 100; i++) {
		struct seen seen = {0};
		EXPECT(metrics_read(cores, 2, see, &seen) == 0);
		EXPECT(seen.counters[0] >= before);
		before = seen.counters[0];
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	struct seen seen = {0};
	ck_assert_int_eq(metrics_read(cores, 2, see, &seen), 0);
	ck_assert_uint_eq(seen.counters[0], 2 * THREAD_RECORDS);
	ck_assert_uint_eq(seen.values[2], 2 * THREAD_RECORDS);
}
END_TEST

Suite *metrics_suite(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tcase = tcase_create("metrics");
	tcase_add_test(tcase, buckets_cover_all_values_without_gap);
	tcase_add_test(tcase, quantiles_are_at_most_one_part_in_32_too_high);
	tcase_add_test(tcase, empty_histogram_has_quantile_0);
	tcase_add_test(tcase, single_value_is_every_quantile);
	tcase_add_test(tcase, same_figures_of_all_cores_are_added_up);
	tcase_add_test(tcase, reader_may_stop_and_hears_of_no_memory);
	tcase_add_test(tcase, another_thread_reads_while_cores_count);
	suite_add_tcase(suite, tcase);
	return suite;
}
