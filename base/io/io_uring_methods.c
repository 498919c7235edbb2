#include "base/io/io_uring_methods.h"

#include "base/assert.h"
#include "base/mean.h"

enum {
	/* One write of so many goes the other way. */
	PROBE_EVERY = 64,
	/* Synced costs less processor time, so linked must be clearly quicker, in tenths: to be
	 * chosen, and to stay so. */
	TO_LINKED_TENTHS = 15,
	TO_SYNCED_TENTHS = 12,
};

enum write_method write_methods_next(struct write_methods *methods)
{
	bool probes = ++methods->writes % PROBE_EVERY == 0;
	if (!probes)
		return methods->preferred;
	return methods->preferred == WRITE_SYNCED ? WRITE_LINKED : WRITE_SYNCED;
}

void write_methods_took(struct write_methods *methods, enum write_method method, uint64_t ns)
{
	ASSERT(method < WRITE_METHODS);
	methods->mean_ns[method] = mean_with(methods->mean_ns[method], ns);
	uint64_t synced = methods->mean_ns[WRITE_SYNCED], linked = methods->mean_ns[WRITE_LINKED];
	if (synced == 0 || linked == 0)
		return;
	if (methods->preferred == WRITE_SYNCED && synced > linked / 10 * TO_LINKED_TENTHS)
		methods->preferred = WRITE_LINKED;
	else if (methods->preferred == WRITE_LINKED && synced < linked / 10 * TO_SYNCED_TENTHS)
		methods->preferred = WRITE_SYNCED;
}
