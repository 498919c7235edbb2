#include "tests/unit/peer/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
#define X(suite) suite,
	    PEER_SUITES(X)
#undef X
	        flood_suite,
	    world_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
