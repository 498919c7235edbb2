/* Figures: of the core, and of each handler. */
#include "server/shard/shard_parts.h"

#include <string.h>

#include "base/mem.h"

static bool has_name(const char *name, struct slice wanted)
{
	return slice_equal(slice_from_text(name), wanted);
}

static struct handler_figure *find(
    const struct shards *shards, struct slice component, struct slice handler)
{
	LIST_FOR_EACH(node, &shards->handler_figures)
	{
		struct handler_figure *figure = CONTAINER_OF(node, struct handler_figure, link);
		if (has_name(figure->component, component) && has_name(figure->handler, handler))
			return figure;
	}
	return NULL;
}

static void set(char to[NAME_BYTES_MAX + 1], struct slice from)
{
	size_t bytes = from.bytes < NAME_BYTES_MAX ? from.bytes : NAME_BYTES_MAX;
	memcpy(to, from.data, bytes);
	to[bytes] = '\0';
}

/* NULL: no memory; then this one is not counted. */
struct handler_figure *shards_figure(struct shards *shards, const struct host_component *component,
    const struct host_handler *handler)
{
	uint64_t key = (uint64_t)(uintptr_t)handler;
	struct handler_figure *figure = map_get_pointer(&shards->handlers, key);
	if (figure)
		return figure;
	struct slice component_name = host_component_name(component);
	struct slice handler_name = host_handler_name(handler);
	figure = find(shards, component_name, handler_name);
	if (!figure) {
		figure = mem_zalloc(1, sizeof(*figure));
		if (!figure)
			return NULL;
		set(figure->component, component_name);
		set(figure->handler, handler_name);
		list_node_init(&figure->link);
		list_push_back(&shards->handler_figures, &figure->link);
	}
	/* Without memory it is found by its name the next time, too. */
	if (map_put_pointer(&shards->handlers, key, figure))
		return figure;
	return figure;
}

void shards_figures_done(struct shards *shards)
{
	struct list_node *node;
	while ((node = list_pop_front(&shards->handler_figures)))
		mem_free(CONTAINER_OF(node, struct handler_figure, link));
	map_done(&shards->handlers);
}

struct shards_figures shards_figures(const struct shards *shards)
{
	struct shards_figures figures = shards->figures;
	figures.queue_bytes = shards->queue_bytes;
	figures.fold_cache_bytes = shards->cache_bytes;
	for (uint32_t i = 0; i < shards->own_count; i++) {
		const struct shard *shard = shards->own[i];
		figures.shards += shard_is_here(shard);
		figures.leading += shard->state == SHARD_SERVES;
		figures.closed += shard->state == SHARD_CLOSED;
		if (shard->state != SHARD_SERVES)
			continue;
		figures.tokens += shard->meta.tokens;
		figures.token_bytes += shard->meta.token_bytes;
	}
	struct histogram_view *slices = mem_zalloc(1, sizeof(*slices));
	if (slices) {
		histogram_merge(slices, &shards->slice_ns);
		figures.slices = slices->count;
		figures.slice_p99_ns = histogram_quantile(slices, 990000);
		figures.slice_max_ns = slices->max;
	}
	mem_free(slices);
	return figures;
}

uint64_t shards_work(const struct shards *shards, uint32_t number)
{
	const struct shard *shard = shards->by_number[number];
	/* Groups of other cores are theirs, and so are their shards. */
	if (!shard || !shard->group)
		return 0;
	return shard->calls + group_applied_bytes(shard->group) / SHARD_WORK_BYTES;
}

void shards_each_handler(struct shards *shards,
    void (*each)(void *arg, const struct shards_handler_figures *figures), void *arg)
{
	LIST_FOR_EACH(node, &shards->handler_figures)
	{
		const struct handler_figure *figure =
		    CONTAINER_OF(node, struct handler_figure, link);
		static const struct histogram_view none;
		struct histogram_view *view = mem_zalloc(1, sizeof(*view));
		if (view)
			histogram_merge(view, &figure->latency_ns);
		const struct histogram_view *read = view ? view : &none;
		struct shards_handler_figures figures = {
		    .component = slice_from_text(figure->component),
		    .handler = slice_from_text(figure->handler),
		    .calls = figure->calls,
		    .errors = figure->errors,
		    .latency_sum_ns = read->sum,
		    .latency_p50_ns = histogram_quantile(read, 500000),
		    .latency_p99_ns = histogram_quantile(read, 990000),
		    .latency_max_ns = read->max,
		};
		each(arg, &figures);
		mem_free(view);
	}
}
