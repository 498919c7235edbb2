#include "base/array.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

int array_grow(void *row, size_t *capacity, size_t wanted, size_t element_bytes)
{
	ASSERT(element_bytes > 0);
	size_t count, bytes;
	void *elements;
	/* Whatever it points to, a pointer has these bytes. */
	memcpy(&elements, row, sizeof(elements));
	if (wanted <= *capacity)
		return 0;
	if (__builtin_mul_overflow(*capacity, 2, &count) || count < wanted)
		count = wanted;
	if (count < ARRAY_FIRST_COUNT)
		count = ARRAY_FIRST_COUNT;
	if (__builtin_mul_overflow(count, element_bytes, &bytes))
		return ERR_NOMEM;
	elements = mem_realloc(elements, bytes);
	if (!elements)
		return ERR_NOMEM;
	memcpy(row, &elements, sizeof(elements));
	*capacity = count;
	return 0;
}
