#include "base/log_line.h"
#include "tests/unit/meta/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
#define X(suite) suite,
	    NODES_SUITES(X)
#undef X
	};
	log_line_set_level(LEVEL_ERROR);
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
