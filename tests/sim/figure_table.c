#include "tests/sim/figure_table.h"

#include <inttypes.h>
#include <stdio.h>

enum { COLUMNS = 3 };

void figure_table_end(struct figure_table *table)
{
	if (table->column > 0)
		printf("\n");
	table->column = 0;
}

void figure_table_title(struct figure_table *table, const char *title)
{
	figure_table_end(table);
	printf("%s\n", title);
}

void figure_table_add(struct figure_table *table, const char *name, uint64_t value)
{
	printf("  %-*s %10" PRIu64, table->name_width, name, value);
	if (++table->column == COLUMNS)
		figure_table_end(table);
}

unsigned figure_never(const char *section, const char *name, uint64_t value)
{
	if (value > 0)
		return 0;
	printf("never happened: %s%s%s\n", section, section[0] ? " " : "", name);
	return 1;
}
