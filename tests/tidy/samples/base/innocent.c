/* strcpy(a, b) in a comment, and "free(x)" too.
 * #include "storage/store.h"
 */
#include "base/innocent.h"

int innocent_free(struct operations *operations)
{
	operations->free("strcpy(a, \"b\")", '"');
	return my_free(operations) + '(' + operations->own.strcpy(2); // free(operations)
}
