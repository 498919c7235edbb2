#include "base/status.h"

static const struct {
	const char *name;
	int http;
	bool by_handlers;
} statuses[] = {[STATUS_OK] = {"OK", 200, false},
#define X(text, number, http_status, handlers) [number] = {#text, http_status, handlers},
    STATUS_LIST(X)
#undef X
};

/* A number that is none of these, from a newer node or a damaged message, is INTERNAL. */
static enum status known(enum status status)
{
	size_t count = sizeof(statuses) / sizeof(statuses[0]);
	return (size_t)status < count && statuses[status].name ? status : STATUS_INTERNAL;
}

const char *status_name(enum status status)
{
	return statuses[known(status)].name;
}

int status_http(enum status status)
{
	return statuses[known(status)].http;
}

bool status_by_handlers(enum status status)
{
	return statuses[known(status)].by_handlers;
}

int status_find(struct slice name, enum status *ret_status)
{
#define X(text, number, http, by_handlers)                                                         \
	if (slice_equal(name, slice_of(#text, sizeof(#text) - 1))) {                               \
		*ret_status = STATUS_##text;                                                       \
		return 0;                                                                          \
	}
	STATUS_LIST(X)
#undef X
	return ERR_NOT_FOUND;
}

enum status status_from_error(int error)
{
	switch (error) {
	case 0:
		return STATUS_OK;
	case ERR_FULL:
	case ERR_NO_SPACE:
	case ERR_NOMEM:
	case ERR_TOO_LARGE:
		return STATUS_RESOURCE_EXHAUSTED;
	case ERR_DATA_LOSS:
	case ERR_CORRUPT:
	case ERR_IO:
		return STATUS_DATA_LOSS;
	case ERR_INVALID:
	case ERR_PROTOCOL:
	case ERR_TRUNCATED:
	case ERR_DEPTH:
	case ERR_NUMBER:
	case ERR_UTF8:
		return STATUS_INVALID_ARGUMENT;
	case ERR_NOT_FOUND:
		return STATUS_NOT_FOUND;
	case ERR_EXISTS:
		return STATUS_ALREADY_EXISTS;
	case ERR_PERMISSION:
		return STATUS_PERMISSION_DENIED;
	case ERR_UNSUPPORTED:
		return STATUS_UNIMPLEMENTED;
	case ERR_TIMEOUT:
		return STATUS_DEADLINE_EXCEEDED;
	case ERR_AGAIN:
	case ERR_CLOSED:
	case ERR_REFUSED:
	case ERR_UNREACHABLE:
		return STATUS_UNAVAILABLE;
	}
	return STATUS_INTERNAL;
}
