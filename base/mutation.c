#include "base/mutation.h"

#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

static const struct mutation_info infos[] = {{"none", "nothing is wrong on purpose", 0},
#define X(name, description, seeds_max) {#name, description, seeds_max},
    MUTATION_LIST(X)
#undef X
};

static enum mutation active;
static uint64_t hits;

const struct mutation_info *mutation_info(enum mutation mutation)
{
	ASSERT(mutation < MUTATION_COUNT);
	return &infos[mutation];
}

void mutation_print_all(FILE *to)
{
	for (unsigned i = MUTATION_NONE + 1; i < MUTATION_COUNT; i++)
		fprintf(to, "%s %" PRIu32 " %s\n", infos[i].name, infos[i].seeds_max,
		    infos[i].description);
}

int mutation_find(const char *name, enum mutation *ret_mutation)
{
	for (unsigned i = 0; i < MUTATION_COUNT; i++) {
		if (strcmp(infos[i].name, name) == 0) {
			*ret_mutation = (enum mutation)i;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

bool mutation_built(void)
{
#ifdef KX_MUTATIONS
	return true;
#else
	return false;
#endif
}

void mutation_set(enum mutation mutation)
{
	ASSERT(mutation < MUTATION_COUNT);
	ASSERT(mutation == MUTATION_NONE || mutation_built());
	active = mutation;
	hits = 0;
}

uint64_t mutation_hits(void)
{
	return hits;
}

#ifdef KX_MUTATIONS
bool mutation_is_on(enum mutation mutation)
{
	if (active != mutation)
		return false;
	hits++;
	return true;
}
#endif
