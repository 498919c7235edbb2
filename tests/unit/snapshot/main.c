#include "tests/unit/snapshot/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {snapshot_wire_suite, snapshot_stream_suite,
	    snapshot_places_suite, snapshot_random_suite, snapshot_rate_suite,
	    snapshot_remove_suite, snapshot_back_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
