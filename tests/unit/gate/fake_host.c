/* A host without Lua, behind the real host.h, for servers in tests that run no handlers: it takes
 * no bundle. The linker chooses it instead of libkx_scripting.a. */
#include "base/assert.h"
#include "base/mem.h"
#include "scripting/host.h"

struct host {
	int nothing;
};

int host_new(const struct host_options *options, struct host **ret_host)
{
	(void)options;
	struct host *host = mem_zalloc(1, sizeof(*host));
	if (!host)
		return ERR_NOMEM;
	*ret_host = host;
	return 0;
}

void host_free(struct host *host)
{
	mem_free(host);
}

void host_diagnostics_free(struct host_diagnostics *diagnostics)
{
	diagnostics->count = 0;
}

void host_bundle_hash(struct slice bundle, char ret_hash[HOST_HASH_CHARACTERS + 1])
{
	(void)bundle;
	for (int i = 0; i < HOST_HASH_CHARACTERS; i++)
		ret_hash[i] = '0';
	ret_hash[HOST_HASH_CHARACTERS] = 0;
}

int host_load(struct host *host, struct slice bundle, struct host_diagnostics *diagnostics,
    struct host_bundle **ret_bundle)
{
	(void)host;
	(void)bundle;
	(void)diagnostics;
	(void)ret_bundle;
	return ERR_INVALID;
}

/* What stands below is never reached, because there is no bundle. */
void host_bundle_release(struct host_bundle *bundle)
{
	ASSERT(!bundle);
}

void host_bundle_keep(struct host_bundle *bundle)
{
	ASSERT(!bundle);
}

struct slice host_bundle_app(const struct host_bundle *bundle)
{
	(void)bundle;
	UNREACHABLE();
}

const char *host_bundle_hash_text(const struct host_bundle *bundle)
{
	(void)bundle;
	UNREACHABLE();
}

size_t host_component_count(const struct host_bundle *bundle)
{
	(void)bundle;
	UNREACHABLE();
}

struct host_component *host_component_at(struct host_bundle *bundle, size_t position)
{
	(void)bundle;
	(void)position;
	UNREACHABLE();
}

struct host_component *host_component(struct host_bundle *bundle, struct slice name)
{
	(void)bundle;
	(void)name;
	UNREACHABLE();
}

struct slice host_component_name(const struct host_component *component)
{
	(void)component;
	UNREACHABLE();
}

int host_compatible(const struct host_bundle *bundle, struct slice stored,
    struct host_diagnostics *diagnostics, struct buffer *changes, bool *ret_rollback)
{
	(void)bundle;
	(void)stored;
	(void)diagnostics;
	(void)changes;
	(void)ret_rollback;
	UNREACHABLE();
}

int host_catalogue_add(const struct host_bundle *bundle, struct slice stored, struct buffer *out)
{
	(void)bundle;
	(void)stored;
	(void)out;
	UNREACHABLE();
}

int host_catalogue_drop(struct slice stored, struct slice component, struct buffer *out)
{
	(void)stored;
	(void)component;
	(void)out;
	UNREACHABLE();
}
