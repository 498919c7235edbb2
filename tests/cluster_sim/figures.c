#include "tests/cluster_sim/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 3 };

/* Not promised: disks that lie, and damage, of which the storage engine's own simulator knows how
 * much may be lost; stores that nobody has used yet at a power cut. */
static const char *const others[] = {"machine writes_lost", "machine writes_misdirected",
    "machine read_errors", "machine bits_rotted", "store corrupt_reads", "store failed_reads",
    "store stores_lost", "store no_space", "store slow_calls", "machine net_windows_closed",
    "machine no_space", "world told_removed"};

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

static void print_title(unsigned *column, const char *title)
{
	printf("%s%s\n", *column % COLUMNS == 0 ? "" : "\n", title);
	*column = 0;
}

static void print_figure(unsigned *column, const char *section, const char *name, uint64_t value)
{
	if (!is_promised(section, name) && value == 0)
		return;
	printf("  %-24s %10" PRIu64 "%s", name, value, ++*column % COLUMNS == 0 ? "\n" : "   ");
}

void figures_print(const struct figures *figures)
{
	unsigned column = 0;
	print_title(&column, "the cluster:");
#define X(name) print_figure(&column, "world", #name, figures->world.name);
	WORLD_FIGURE_LIST(X)
#undef X
	print_title(&column, "machines and network:");
#define X(name) print_figure(&column, "machine", #name, figures->machine.name);
	SIM_FIGURE_LIST(X)
	SIM_NET_FIGURE_LIST(X)
#undef X
	print_title(&column, "stores:");
#define X(name) print_figure(&column, "store", #name, figures->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	if (column % COLUMNS != 0)
		printf("\n");
}

static unsigned print_zero(const char *section, const char *name, uint64_t value)
{
	if (value > 0 || !is_promised(section, name))
		return 0;
	printf("never happened: %s %s\n", section, name);
	return 1;
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
