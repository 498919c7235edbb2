/* Rows that grow: memory for `capacity` elements of which the first ones are in use.
 *
 * The capacity doubles, so that adding n elements one after the other moves less than 2 n of them.
 * What bounds the row stands where it is kept, and is looked at before.
 *
 * The row is the caller's, memory of base/mem.h: freed with mem_free. Any thread.
 */
#ifndef KX_BASE_ARRAY_H
#define KX_BASE_ARRAY_H

#include <stddef.h>

#include "base/error.h"

enum { ARRAY_FIRST_COUNT = 8 };

/* Gives the row room for `wanted` elements where it has less: twice what it has, or as many as are
 * wanted where those are more, ARRAY_FIRST_COUNT at least. `row` is the address of the pointer to
 * its first element, NULL where it has no room at all; the pointer and `capacity`, in elements, are
 * changed together, and the elements move as they are. ERR_NOMEM, also where that many bytes cannot
 * be counted: both stay, with all that is in the row. */
NODISCARD int array_grow(void *row, size_t *capacity, size_t wanted, size_t element_bytes);

/* The same, for each time that something is added: mostly there is room. */
NODISCARD static inline int array_reserve(
    void *row, size_t *capacity, size_t wanted, size_t element_bytes)
{
	return wanted <= *capacity ? 0 : array_grow(row, capacity, wanted, element_bytes);
}

#endif
