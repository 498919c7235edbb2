/* Views of other tables (scripting/value.h), as the library sees them. */
#include "scripting/sandbox_internal.h"
#include "scripting/value.h"

bool sandbox_view_target(lua_State *lua, int position)
{
	return lua_istable(lua, position) && value_view_target(lua, position);
}

void sandbox_settle(lua_State *lua, int position)
{
	value_settle(lua, position);
}

void sandbox_check_writable(lua_State *lua, int position)
{
	if (sandbox_is_plain(lua, position))
		return;
	if (sandbox_is_protected(lua, position))
		luaL_error(lua, "this table is read-only");
	if (sandbox_view_target(lua, position))
		value_view_refuse(lua, position);
}
