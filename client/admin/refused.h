/* What nodes say that are there, and refuse links with one another: for people.
 */
#ifndef KX_CLIENT_ADMIN_REFUSED_H
#define KX_CLIENT_ADMIN_REFUSED_H

#include "base/slice.h"

/* Behind "node 3 is reached, but": of a reason as the server's documents have it (`refused`,
 * `reason`). Never NULL. */
const char *refused_text(struct slice reason);

#endif
