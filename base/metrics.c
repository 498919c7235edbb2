#include "base/metrics.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

uint64_t histogram_lowest(unsigned bucket)
{
	ASSERT(bucket < HISTOGRAM_BUCKET_COUNT);
	unsigned row = bucket >> HISTOGRAM_STEP_BITS;
	if (row == 0)
		return bucket;
	uint64_t step = bucket & ((1U << HISTOGRAM_STEP_BITS) - 1);
	return (step + (1U << HISTOGRAM_STEP_BITS)) << (row - 1);
}

static uint64_t highest(unsigned bucket)
{
	return bucket + 1 < HISTOGRAM_BUCKET_COUNT ? histogram_lowest(bucket + 1) - 1 : UINT64_MAX;
}

void histogram_merge(struct histogram_view *view, const struct histogram *histogram)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		uint64_t count = counter_get(&histogram->bucket[i]);
		view->bucket[i] += count;
		view->count += count;
	}
	view->sum += counter_get(&histogram->sum);
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
	if (max > view->max)
		view->max = max;
}

uint64_t histogram_quantile(const struct histogram_view *view, uint32_t per_million)
{
	ASSERT(per_million <= 1000000);
	if (view->count == 0)
		return 0;
	/* The rank of the value asked for, from 1, rounded up; in two parts against overflow. */
	uint64_t rank = view->count / 1000000 * per_million +
	                (view->count % 1000000 * per_million + 999999) / 1000000;
	if (rank == 0)
		rank = 1;
	uint64_t seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		seen += view->bucket[i];
		if (seen >= rank)
			return highest(i) < view->max ? highest(i) : view->max;
	}
	UNREACHABLE();
}

void metrics_init(struct metrics *metrics)
{
	list_init(&metrics->list);
}

void metrics_add(struct metrics *metrics, struct metric *metric)
{
	ASSERT(metric->name && metric->labels && metric->help);
	list_push_back(&metrics->list, &metric->node);
}

void metrics_remove(struct metric *metric)
{
	list_remove(&metric->node);
}

static bool is_same(const struct metric *a, const struct metric *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->labels, b->labels) == 0;
}

static const struct metric *find(const struct metrics *core, const struct metric *wanted)
{
	LIST_FOR_EACH(node, &core->list)
	{
		const struct metric *metric = CONTAINER_OF(node, struct metric, node);
		if (is_same(metric, wanted))
			return metric;
	}
	return NULL;
}

static void add_to(
    struct metric_view *view, struct histogram_view *histogram, const struct metric *metric)
{
	switch (metric->kind) {
	case METRIC_COUNTER:
		view->counter += counter_get(metric->of.counter);
		break;
	case METRIC_GAUGE:
		view->gauge += gauge_get(metric->of.gauge);
		break;
	case METRIC_HISTOGRAM:
		histogram_merge(histogram, metric->of.histogram);
		break;
	}
}

/* Every figure of core `first` that no earlier core has. */
static int read_core(struct metrics *const *cores, size_t count, size_t first,
    struct histogram_view *histogram, metrics_each *each, void *arg)
{
	LIST_FOR_EACH(node, &cores[first]->list)
	{
		const struct metric *metric = CONTAINER_OF(node, struct metric, node);
		bool earlier = find(cores[first], metric) != metric;
		for (size_t i = 0; i < first && !earlier; i++)
			earlier = find(cores[i], metric) != NULL;
		if (earlier)
			continue;
		struct metric_view view = {.metric = metric, .histogram = histogram};
		if (metric->kind == METRIC_HISTOGRAM)
			memset(histogram, 0, sizeof(*histogram));
		for (size_t i = first; i < count; i++) {
			LIST_FOR_EACH(other, &cores[i]->list)
			{
				const struct metric *same =
				    CONTAINER_OF(other, struct metric, node);
				if (is_same(same, metric))
					add_to(&view, histogram, same);
			}
		}
		int result = each(arg, &view);
		if (result != 0)
			return result;
	}
	return 0;
}

int metrics_read(struct metrics *const *cores, size_t count, metrics_each *each, void *arg)
{
	/* Too large for the stack of a pool's thread. */
	struct histogram_view *histogram = mem_alloc(sizeof(*histogram));
	if (!histogram)
		return ERR_NOMEM;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++)
		result = read_core(cores, count, i, histogram, each, arg);
	mem_free(histogram);
	return result;
}
