#include "tests/bench/load_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

int load_options(int argc, char **argv, const struct load_option *options, size_t count)
{
	struct option longs[LOAD_OPTIONS_MAX + 1] = {{NULL, 0, NULL, 0}};
	ASSERT(count <= LOAD_OPTIONS_MAX);
	for (size_t i = 0; i < count; i++)
		longs[i] = (struct option){.name = options[i].name,
		    .has_arg = options[i].flag ? no_argument : required_argument};
	int result, at = 0;
	while ((result = getopt_long(argc, argv, "", longs, &at)) != -1) {
		const struct load_option *option = &options[at];
		if (result != 0)
			exit(2);
		if (option->flag)
			*option->flag = true;
		else if (option->word)
			*option->word = optarg;
		else
			*option->number = load_number(optarg, option->number_max);
	}
	return optind;
}

unsigned long load_number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*end || !*text || value > max) {
		fprintf(stderr, "%s: not a number up to %lu: %s\n", program_invocation_short_name,
		    max, text);
		exit(2);
	}
	return value;
}
