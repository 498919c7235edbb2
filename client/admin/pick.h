/* Members and elements of a JSON text of a server, as views into it. One thread.
 */
#ifndef KX_CLIENT_ADMIN_PICK_H
#define KX_CLIENT_ADMIN_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* The raw JSON of an object's member, as it stands there. False: it is no object, or has none of
 * this name. */
bool pick_member(struct slice object, const char *name, struct slice *ret_value);
/* The member as a number; 0 where it is none. */
uint64_t pick_number(struct slice object, const char *name);
bool pick_true(struct slice object, const char *name);
/* The member as a view of its text, still with its escapes; empty where it is none. */
struct slice pick_text(struct slice object, const char *name);
/* Of an array of objects, a member of `object`, the first whose `key` is `number`. */
bool pick_numbered(struct slice object, const char *name, const char *key, uint64_t number,
    struct slice *ret_value);
/* The next element of an array, from *offset, which begins as 0. False: there is no more. */
bool pick_element(struct slice array, size_t *offset, struct slice *ret_value);

#endif
