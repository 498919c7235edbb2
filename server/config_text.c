/* The text of kalix.conf ahead of libconfuse, which would read some of it otherwise than it looks:
 * a comment counts as two lines more than it has; what is not closed takes all that follows along,
 * and "*" and "+" vanish, without a word. So comments become spaces here, and the rest is refused.
 */
#include <string.h>

#include "server/config_parts.h"

/* Each returns the last character of what begins at `at`, or NULL and what is wrong with it. */

/* libconfuse would look for the end in other lines, and not count them. */
static char *skip_variable(char *at, const char **ret_wrong)
{
	at += strcspn(at, "}\n");
	*ret_wrong = "'${' has no '}' in its line; a '$' alone is '\\$', between double quotes";
	return *at == '}' ? at : NULL;
}

static char *skip_quote(char *at, const char **ret_wrong)
{
	char quote = *at++;
	for (; *at && *at != quote; at++) {
		if (at[0] == '\\' && at[1])
			at++;
		else if (quote == '"' && at[0] == '$' && at[1] == '{')
			at = skip_variable(at, ret_wrong);
		if (!at)
			return NULL;
	}
	*ret_wrong = "a quote begins here and does not end";
	return *at ? at : NULL;
}

static char *blank_line(char *at)
{
	for (; at[1] && at[1] != '\n'; at++)
		*at = ' ';
	*at = ' ';
	return at;
}

static char *blank_comment(char *at, const char **ret_wrong)
{
	char *end = strstr(at + 2, "*/");
	*ret_wrong = "a comment begins here and does not end";
	if (!end)
		return NULL;
	for (end++; at < end; at++)
		*at = *at == '\n' ? '\n' : ' ';
	*end = ' ';
	return end;
}

static char *skip(char *at, bool begins, const char **ret_wrong)
{
	if (*at == '"' || *at == '\'')
		return skip_quote(at, ret_wrong);
	if (at[0] == '$' && at[1] == '{')
		return skip_variable(at, ret_wrong);
	if (*at == '#' || (begins && at[0] == '/' && at[1] == '/'))
		return blank_line(at);
	if (begins && at[0] == '/' && at[1] == '*')
		return blank_comment(at, ret_wrong);
	*ret_wrong = "'*' and '+' have to stand between quotes";
	return *at == '*' || *at == '+' ? NULL : at;
}

const char *config_text_prepare(char *text, int *ret_line)
{
	const char *wrong = NULL;
	char *end;
	for (char *at = text; *at; at = end + 1) {
		/* Within a word "//" is of it, as in bind = a//b. */
		bool begins = at == text || strchr(" \t\r\n={}(),;\"'", at[-1]);
		end = skip(at, begins, &wrong);
		if (!end) {
			*ret_line = 1;
			for (const char *before = text; before < at; before++)
				*ret_line += *before == '\n';
			return wrong;
		}
	}
	return NULL;
}
