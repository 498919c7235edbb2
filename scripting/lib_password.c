/* kalix.password: hashes of passwords, which take long on purpose. The run pauses, and whoever
 * resumes it has the job done meanwhile, outside of Lua (host.h: HOST_WAITS).
 *
 * What a job takes is not the handler's own running time, which stands still; it is charged as
 * instructions, so that a call can ask for a few and no more. */
#include "base/assert.h"
#include "base/mem.h"
#include "scripting/call.h"
#include "scripting/password.h"
#include "scripting/sandbox_internal.h"

/* Of a new hash; what is read may cost more. With 10 million in a call: four of them. */
#define UNITS_EACH 2400000

/* The call that may ask; raises else. */
static struct host_call *asking_call(lua_State *lua, const char *what)
{
	sandbox_refuse_pure(lua, what);
	struct script_owner *owner = script_owner(lua);
	if (!owner || owner->kind != OWNER_CALL) {
		luaL_error(lua, "kalix.%s: not while an app is loaded", what);
		__builtin_unreachable();
	}
	struct host_call *call = (struct host_call *)owner;
	if (!sandbox_can_pause(lua))
		call_raise(call, lua,
		    "kalix.%s can't wait here, inside of a function that C code calls: call it "
		    "before, and use what it gave",
		    what);
	return call;
}

static struct slice password_at(lua_State *lua, struct host_call *call, const char *what)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	if (bytes > PASSWORD_BYTES_MAX)
		call_raise(call, lua, "kalix.%s: the text has %zu bytes, at most %d are allowed",
		    what, bytes, PASSWORD_BYTES_MAX);
	return slice_of(text, bytes);
}

/* Pauses, and goes on with `done`, for which the job is the call's. */
static int wait_for(struct host_call *call, lua_State *lua, struct slice text,
    const struct password *password, bool compares, lua_KFunction done)
{
	sandbox_charge(lua, (uint64_t)UNITS_EACH * password_cost(password));
	struct host_job *job = mem_zalloc(1, sizeof(*job));
	if (!job)
		sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED, "ran out of memory");
	job->password = *password;
	job->compares = compares;
	job->bytes = text.bytes;
	if (text.bytes > 0)
		memcpy(job->text, text.data, text.bytes);
	host_job_free(call->job);
	call->job = job;
	return sandbox_pause(lua, (lua_KContext)call, done);
}

static struct host_job *take_job(struct host_call *call, lua_State *lua)
{
	struct host_job *job = call->job;
	ASSERT(job && job->done);
	if (job->error)
		sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED, "ran out of memory");
	return job;
}

static int hash_done(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	char text[PASSWORD_TEXT_MAX];
	const struct host_job *job = take_job((struct host_call *)context, lua);
	lua_pushlstring(lua, text, password_write(&job->password, text));
	return 1;
}

static int verify_done(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	lua_pushboolean(lua, take_job((struct host_call *)context, lua)->same);
	return 1;
}

/* password.hash(text) */
static int password_hash(lua_State *lua)
{
	struct host_call *call = asking_call(lua, "password.hash");
	struct slice text = password_at(lua, call, "password.hash");
	struct password password = {.ln = PASSWORD_LN,
	    .r = 8,
	    .p = 1,
	    .salt_bytes = PASSWORD_SALT,
	    .key_bytes = PASSWORD_KEY};
	uint64_t salt[PASSWORD_SALT / sizeof(uint64_t)];
	for (size_t i = 0; i < sizeof(salt) / sizeof(salt[0]); i++)
		salt[i] = sandbox_random(lua);
	memcpy(password.salt, salt, sizeof(salt));
	return wait_for(call, lua, text, &password, false, hash_done);
}

/* password.verify(text, hash) */
static int password_verify(lua_State *lua)
{
	struct host_call *call = asking_call(lua, "password.verify");
	struct slice text = password_at(lua, call, "password.verify");
	size_t bytes;
	const char *hash = luaL_checklstring(lua, 2, &bytes);
	struct password password;
	int error = password_read(slice_of(hash, bytes), &password);
	if (error == ERR_TOO_LARGE)
		call_raise(call, lua,
		    "kalix.password.verify: the hash asks for more than ln=%d,r=%d,p=%d",
		    PASSWORD_LN_MAX, PASSWORD_R_MAX, PASSWORD_P_MAX);
	if (error)
		call_raise(call, lua,
		    "kalix.password.verify: the second argument is no hash of "
		    "kalix.password.hash: $scrypt$ln=14,r=8,p=1$salt$key");
	return wait_for(call, lua, text, &password, true, verify_done);
}

void password_open(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"hash", password_hash}, {"verify", password_verify}, {NULL, NULL}};
	luaL_newlib(lua, functions);
}
