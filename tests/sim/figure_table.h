/* How often each thing happened, in columns; and what never did, by name. Printed to standard
 * output. One thread. */
#ifndef KX_TESTS_SIM_FIGURE_TABLE_H
#define KX_TESTS_SIM_FIGURE_TABLE_H

#include <stdint.h>

struct figure_table {
	int name_width;
	/* Private. */
	unsigned column;
};

/* Figures come below their titles. The last row is ended by figure_table_end. */
void figure_table_title(struct figure_table *table, const char *title);
void figure_table_add(struct figure_table *table, const char *name, uint64_t value);
void figure_table_end(struct figure_table *table);

/* 1 where the value is 0, which is then said, else 0. */
unsigned figure_never(const char *section, const char *name, uint64_t value);

#endif
