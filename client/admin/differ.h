/* Where two values in MessagePack differ first, in the order in which they are written. One thread.
 */
#ifndef KX_CLIENT_ADMIN_DIFFER_H
#define KX_CLIENT_ADMIN_DIFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* False: they are the same value. Else *ret_path names the place as errors of schemas do
 * ("items.p1.quantity", "lines[2]"), cut to fit; "" where it is the whole. What is no MessagePack
 * differs from everything. */
bool values_differ(struct slice a, struct slice b, char *ret_path, size_t path_bytes);

#endif
