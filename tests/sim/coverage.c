#include "tests/sim/coverage.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 3, NAME_WIDTH = 36 };

struct printer {
	unsigned column;
};

static void print_title(struct printer *printer, const char *title)
{
	if (printer->column > 0)
		printf("\n");
	printer->column = 0;
	printf("%s\n", title);
}

static void print_figure(struct printer *printer, const char *name, uint64_t value)
{
	printf("  %-*s %10" PRIu64, NAME_WIDTH, name, value);
	if (++printer->column == COLUMNS) {
		printf("\n");
		printer->column = 0;
	}
}

static size_t print_zero(const char *name, uint64_t value)
{
	if (value == 0)
		printf("never happened: %s\n", name);
	return value == 0;
}

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
	struct printer printer = {0};
#define X(name) print_figure(&printer, #name, coverage->name);
	print_title(&printer, "the driver:");
	COVERAGE_DRIVER_LIST(X)
	print_title(&printer, "processes:");
	COVERAGE_ENDS_LIST(X)
	print_title(&printer, "recovery:");
	COVERAGE_RECOVERY_LIST(X)
	print_title(&printer, "the engine:");
	COVERAGE_ENGINE_LIST(X)
#undef X
#define X(name) print_figure(&printer, #name, coverage->sim.name);
	print_title(&printer, "the machine:");
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) print_figure(&printer, #name, coverage->store.name);
	print_title(&printer, "the store:");
	STORE_SIM_FIGURE_LIST(X)
#undef X
	print_title(&printer, "");
}

size_t coverage_print_zeros(const struct coverage *coverage)
{
	size_t zeros = 0;
#define X(name) zeros += print_zero(#name, coverage->name);
	COVERAGE_DRIVER_LIST(X)
	COVERAGE_ENDS_LIST(X)
	COVERAGE_RECOVERY_LIST(X)
	COVERAGE_ENGINE_LIST(X)
#undef X
#define X(name) zeros += print_zero(#name, coverage->sim.name);
	SIM_FIGURE_LIST(X)
#undef X
#define X(name) zeros += print_zero(#name, coverage->store.name);
	STORE_SIM_FIGURE_LIST(X)
#undef X
	return zeros;
}
