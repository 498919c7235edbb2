#include "tests/shard_sim/figures.h"

#include <stdio.h>
#include <string.h>

#include "tests/shard_sim/app.h"
#include "tests/shard_sim/group_double.h"
#include "tests/sim/figure_table.h"

enum { NAME_WIDTH = 24 };

/* Not promised: disks that lie, and damage. What was answered may be lost with them, so they are
 * for the simulator of the storage engine, whose model knows how much; as is a store that is not
 * there after a power cut, which happens to one that nobody has used. Of a full disk the machine
 * tells whoever makes a segment, which is rare: single_refused_full counts what callers are told.
 */
static const char *const others[] = {"machine writes_lost", "machine writes_misdirected",
    "machine read_errors", "machine bits_rotted", "store corrupt_reads", "store failed_reads",
    "store stores_lost", "machine no_space"};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Whether this program does what the figure counts. */
static bool is_promised(const char *section, const char *name)
{
	char text[64];
	snprintf(text, sizeof(text), "%s %s", section, name);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(text, others[i]) == 0)
			return false;
	if (begins(name, "double_"))
		return double_is_linked();
	if (begins(name, "single_"))
		return !double_is_linked();
	return !begins(name, "lua_") || app_is_lua();
}

void figures_add(struct figures *to, const struct figures *from)
{
#define X(name) to->load.name += from->load.name;
	LOAD_FIGURE_LIST(X)
#undef X
#define X(name) to->machine.name += from->machine.name;
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) to->store.name += from->store.name;
	STORE_SIM_FIGURE_LIST(X)
#undef X
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
	figure_table_title(&table, "calls and processes:");
#define X(name) print_figure(&table, "load", #name, figures->load.name);
	LOAD_FIGURE_LIST(X)
#undef X
	figure_table_title(&table, "the machine:");
#define X(name) print_figure(&table, "machine", #name, figures->machine.name);
	SIM_FIGURE_LIST(X)
#undef X
	figure_table_title(&table, "the store:");
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
#define X(name) zeros += print_zero("load", #name, figures->load.name);
	LOAD_FIGURE_LIST(X)
#undef X
#define X(name) zeros += print_zero("machine", #name, figures->machine.name);
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) zeros += print_zero("store", #name, figures->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	return zeros;
}
