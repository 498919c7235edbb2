/* group_double.h where the groups are production's: there are no other members. */
#include "tests/shard_sim/group_double.h"

void double_begin(uint64_t seed)
{
	(void)seed;
}

void double_end(void)
{
}

void double_set_options(const struct double_options *options)
{
	(void)options;
}

struct double_figures double_figures(void)
{
	return (struct double_figures){0};
}

bool double_is_linked(void)
{
	return false;
}

uint64_t double_led_elsewhere(const struct group_store *store, uint32_t shard)
{
	(void)store;
	(void)shard;
	return 0;
}

bool double_is_current(const struct group_store *store, uint32_t shard)
{
	(void)store;
	(void)shard;
	return false;
}

bool double_change(struct group_store *store, uint32_t shard,
    bool (*write)(
        void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out),
    void *arg)
{
	(void)store;
	(void)shard;
	(void)write;
	(void)arg;
	return false;
}
