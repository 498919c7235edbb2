#include "client/admin/commands.h"

#include <stdio.h>

#include "client/admin/print.h"

enum exit_code command_failed(int error, const char *why)
{
	if (why[0] != '\0')
		fprintf(stderr, "kalix-admin: %s\n", why);
	else
		fprintf(stderr, "kalix-admin: %s: %s\n", error_text(error), error_advice(error));
	return EXIT_REFUSED;
}

enum exit_code command_not_wanted(void)
{
	fputs("Nothing was changed.\n", stderr);
	return EXIT_REFUSED;
}

enum exit_code command_finish(struct print *print, enum exit_code code)
{
	int error = print_end(print);
	return error ? command_failed(error, "") : code;
}
