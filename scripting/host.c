/* The host: an interpreter with what apps find in it. */
#include "scripting/inside.h"

#include "base/assert.h"
#include "base/mem.h"
#include "scripting/call.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>

/* Above every call's budget times those that are paused at one time; a core that comes near it is
 * better off refusing. */
#define HOST_LUA_BYTES_MAX (UINT64_C(1) << 30)

struct script_owner *script_owner(lua_State *lua)
{
	struct sandbox_run *run = sandbox_current(lua);
	return run ? run->owner : NULL;
}

static int open_all(lua_State *lua)
{
	struct host *host = lua_touserdata(lua, 1);
	value_open(lua);
	ctx_open(lua);
	lua_pushcfunction(lua, load_require);
	sandbox_provide(host->sandbox, "require");
	library_open(host, lua);
	sandbox_protect(lua);
	host->kalix = luaL_ref(lua, LUA_REGISTRYINDEX);
	return 0;
}

static void print_line(void *arg, struct slice text)
{
	struct host *host = arg;
	library_log(host, 1, text);
}

/* NOLINTNEXTLINE(misc-no-recursion): once, for the shadow, which has none of its own */
int host_new(const struct host_options *options, struct host **ret_host)
{
	struct host *host = mem_zalloc(1, sizeof(*host));
	if (!host)
		return ERR_NOMEM;
	host->options = *options;
	host->kalix = LUA_NOREF;
	list_init(&host->bundles);
	list_init(&host->spare_calls);
	struct sandbox_options sandbox = {.seed = options->seed,
	    .bytes_max = HOST_LUA_BYTES_MAX,
	    .print = print_line,
	    .print_arg = host};
	int error = sandbox_new(&sandbox, &host->sandbox);
	if (error)
		goto fail;
	host->lua = sandbox_lua(host->sandbox);
	lua_pushcfunction(host->lua, open_all);
	lua_pushlightuserdata(host->lua, host);
	if (lua_pcall(host->lua, 1, 0, 0) != LUA_OK) {
		lua_pop(host->lua, 1);
		error = ERR_NOMEM;
		goto fail;
	}
	if (options->mode == HOST_DEV) {
		struct host_options other = {.mode = HOST_PRODUCTION, .seed = ~options->seed};
		error = host_new(&other, &host->shadow);
		if (error)
			goto fail;
	}
	*ret_host = host;
	return 0;
fail:
	host_free(host);
	return error;
}

/* NOLINTNEXTLINE(misc-no-recursion): once, for the shadow, which has none of its own */
void host_free(struct host *host)
{
	if (!host)
		return;
	ASSERT(host->begun == 0);
	if (host->sandbox && host->lua)
		call_spares_free(host);
	while (!list_empty(&host->bundles)) {
		struct host_bundle *bundle =
		    CONTAINER_OF(host->bundles.head.next, struct host_bundle, in_host);
		bundle->references = 1;
		host_bundle_release(bundle);
	}
	host_free(host->shadow);
	sandbox_free(host->sandbox);
	mem_free(host);
}

bool host_idle(struct host *host)
{
	bool more = sandbox_collect(host->sandbox);
	if (host->shadow)
		more = sandbox_collect(host->shadow->sandbox) || more;
	return more;
}

struct host_figures host_figures(const struct host *host)
{
	struct host_figures figures = host->figures;
	figures.lua_bytes = sandbox_bytes(host->sandbox);
	return figures;
}
