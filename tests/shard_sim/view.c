#include "tests/shard_sim/view.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 4096 };

static bool number(const char **at, uint64_t *ret_value)
{
	char *end;
	if (**at < '0' || **at > '9')
		return false;
	*ret_value = strtoull(*at, &end, 10);
	*at = end;
	return true;
}

static bool letter(const char **at, char expected)
{
	if (**at != expected)
		return false;
	(*at)++;
	return true;
}

static bool ids(const char **at, struct view *view)
{
	if (**at == '\0' || **at == '|' || **at == '@')
		return true;
	do
		if (view->count == VIEW_IDS || !number(at, &view->ids[view->count++]))
			return false;
	while (letter(at, ','));
	return true;
}

static bool path(const char **at, struct view *view)
{
	uint64_t value;
	do {
		if (view->path_count == VIEW_PATH_MAX || !number(at, &value))
			return false;
		view->path[view->path_count++] = (uint32_t)value;
	} while (letter(at, '>'));
	return true;
}

static bool more(const char **at, struct view *view)
{
	uint64_t at_ms, app, now_ms, luck;
	if (!number(at, &view->made) || !letter(at, ',') || !number(at, &view->sum) ||
	    !letter(at, ',') || !number(at, &at_ms) || !letter(at, ',') || !path(at, view) ||
	    !letter(at, ',') || !number(at, &app) || !letter(at, ',') || !number(at, &now_ms) ||
	    !letter(at, ',') || !number(at, &luck))
		return false;
	view->has_more = true;
	view->at_ms = (int64_t)at_ms;
	view->app = (uint32_t)app;
	view->now_ms = (int64_t)now_ms;
	return true;
}

bool view_parse(struct slice text, struct view *ret_view)
{
	char copy[TEXT_BYTES_MAX];
	const char *at = copy;
	uint64_t first;
	if (text.bytes > 2 && text.data[0] == '"') {
		text.data++;
		text.bytes -= 2;
	}
	if (text.bytes == 0 || text.bytes >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.bytes);
	copy[text.bytes] = '\0';
	memset(ret_view, 0, sizeof(*ret_view));
	if (!number(&at, &first))
		return false;
	if (*at == '\0') {
		ret_view->now_ms = (int64_t)first;
		return first > 0;
	}
	ret_view->has_state = true;
	ret_view->revision = first;
	if (!letter(&at, ':') || !ids(&at, ret_view))
		return false;
	uint64_t app;
	if (letter(&at, '|'))
		return more(&at, ret_view) && *at == '\0';
	if (!letter(&at, '@') || !number(&at, &app))
		return false;
	ret_view->app = (uint32_t)app;
	return *at == '\0';
}
