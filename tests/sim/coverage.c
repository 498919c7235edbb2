#include "tests/sim/coverage.h"

#include "tests/sim/figure_table.h"

enum { NAME_WIDTH = 36 };

void coverage_add(struct coverage *to, const struct coverage *from)
{
#define X(name) to->name += from->name;
	COVERAGE_DRIVER_LIST(X)
	COVERAGE_ENDS_LIST(X)
	COVERAGE_RECOVERY_LIST(X)
	COVERAGE_ENGINE_LIST(X)
#undef X
#define X(name) to->sim.name += from->sim.name;
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) to->store.name += from->store.name;
	STORE_SIM_FIGURE_LIST(X)
#undef X
}

void coverage_print(const struct coverage *coverage)
{
	struct figure_table table = {.name_width = NAME_WIDTH};
#define X(name) figure_table_add(&table, #name, coverage->name);
	figure_table_title(&table, "the driver:");
	COVERAGE_DRIVER_LIST(X)
	figure_table_title(&table, "processes:");
	COVERAGE_ENDS_LIST(X)
	figure_table_title(&table, "recovery:");
	COVERAGE_RECOVERY_LIST(X)
	figure_table_title(&table, "the engine:");
	COVERAGE_ENGINE_LIST(X)
#undef X
#define X(name) figure_table_add(&table, #name, coverage->sim.name);
	figure_table_title(&table, "the machine:");
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) figure_table_add(&table, #name, coverage->store.name);
	figure_table_title(&table, "the store:");
	STORE_SIM_FIGURE_LIST(X)
#undef X
	figure_table_end(&table);
}

size_t coverage_print_zeros(const struct coverage *coverage)
{
	size_t zeros = 0;
#define X(name) zeros += figure_never("", #name, coverage->name);
	COVERAGE_DRIVER_LIST(X)
	COVERAGE_ENDS_LIST(X)
	COVERAGE_RECOVERY_LIST(X)
	COVERAGE_ENGINE_LIST(X)
#undef X
#define X(name) zeros += figure_never("", #name, coverage->sim.name);
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) zeros += figure_never("", #name, coverage->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	return zeros;
}
