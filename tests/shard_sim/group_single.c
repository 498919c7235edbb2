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
