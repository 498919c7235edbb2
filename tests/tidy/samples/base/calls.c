#include "base/innocent.h"

void calls(char *a, const char *b)
{
	strcpy(a, b);
	if (a)
		free (a);
}
