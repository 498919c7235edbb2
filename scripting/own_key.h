/* Keys of what our own code keeps in Lua's tables and in the registry, as light userdata, which no
 * script can make: so it can neither name nor overwrite what stands there.
 *
 * Numbers, where Lua's manual takes addresses of variables: an address is another one in each
 * build, and where a key stands in a table, and so when the table grows and how much memory there
 * is to collect, would be that, too. What a simulator replays has to be the same in every build.
 */
#ifndef KX_SCRIPTING_OWN_KEY_H
#define KX_SCRIPTING_OWN_KEY_H

#include <stdint.h>

enum own_key {
	/* In tables that scripts see. */
	OWN_KEY_LINK = 1,  /* of a lazy table: its doc */
	OWN_KEY_TARGET,    /* of a view: what it shows */
	OWN_KEY_SHARED,    /* and what all of one root share: {[target] = view, [true] = name} */
	OWN_KEY_ORIGINAL,  /* in a copy of a metatable: what the script gave to setmetatable */
	OWN_KEY_PROTECTED, /* of a read-only table's metatable */

	/* In the registry. */
	OWN_KEY_GLOBALS,
	OWN_KEY_FENCE,     /* sandbox_collect.c */
	OWN_KEY_OUTERMOST, /* what scripts get in place of the run's own thread */
	OWN_KEY_HOLDER,    /* of schemas: the metatable */
	OWN_KEY_STATE,     /* struct value_state */
	OWN_KEY_LIST,      /* metatables of lists, views */
	OWN_KEY_VIEW,
	OWN_KEY_LAZY,  /* and lazy tables, where there may be no value_state */
	OWN_KEY_NAMES, /* of fields */
	OWN_KEY_PLANS, /* {[number] = plan} */
};

/* For lua_rawgetp and lua_rawsetp. It points nowhere. */
static inline void *own_key(enum own_key key)
{
	return (void *)(uintptr_t)key;
}

#endif
