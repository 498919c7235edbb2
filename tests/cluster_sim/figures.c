#include "tests/cluster_sim/figures.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/figure_table.h"

enum { NAME_WIDTH = 24 };

/* Not promised: disks that lie, and damage, of which the storage engine's own simulator knows how
 * much may be lost; stores that nobody has used yet at a power cut. */
static const char *const others[] = {"machine writes_lost", "machine writes_misdirected",
    "machine read_errors", "machine bits_rotted", "store corrupt_reads", "store failed_reads",
    "store stores_lost", "store no_space", "store slow_calls", "machine no_space"};

static bool is_promised(const char *section, const char *name)
{
	char text[64];
	snprintf(text, sizeof(text), "%s %s", section, name);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(text, others[i]) == 0)
			return false;
	return true;
}

void figures_add(struct figures *to, const struct figures *from)
{
#define X(name) to->world.name += from->world.name;
	WORLD_FIGURE_LIST(X)
#undef X
#define X(name) to->machine.name += from->machine.name;
	SIM_FIGURE_LIST(X)
	SIM_NET_FIGURE_LIST(X)
#undef X
#define X(name) to->store.name += from->store.name;
	STORE_SIM_FIGURE_LIST(X)
#undef X
	to->virtual_ms += from->virtual_ms;
}

/* What this program does not do is only worth a place where it happened all the same. */
static void print_figure(
    struct figure_table *table, const char *section, const char *name, uint64_t value)
{
	if (value > 0 || is_promised(section, name))
		figure_table_add(table, name, value);
}

void figures_print(const struct figures *figures)
{
	struct figure_table table = {.name_width = NAME_WIDTH};
	figure_table_title(&table, "the cluster:");
#define X(name) print_figure(&table, "world", #name, figures->world.name);
	WORLD_FIGURE_LIST(X)
#undef X
	figure_table_title(&table, "machines and network:");
#define X(name) print_figure(&table, "machine", #name, figures->machine.name);
	SIM_FIGURE_LIST(X)
	SIM_NET_FIGURE_LIST(X)
#undef X
	figure_table_title(&table, "stores:");
#define X(name) print_figure(&table, "store", #name, figures->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	figure_table_end(&table);
}

static unsigned print_zero(const char *section, const char *name, uint64_t value)
{
	return is_promised(section, name) ? figure_never(section, name, value) : 0;
}

unsigned figures_print_zeros(const struct figures *figures)
{
	unsigned zeros = 0;
#define X(name) zeros += print_zero("world", #name, figures->world.name);
	WORLD_FIGURE_LIST(X)
#undef X
#define X(name) zeros += print_zero("machine", #name, figures->machine.name);
	SIM_FIGURE_LIST(X)
	SIM_NET_FIGURE_LIST(X)
#undef X
#define X(name) zeros += print_zero("store", #name, figures->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	return zeros;
}
