#include "base/status.h"

const char *status_name(enum status status)
{
	switch (status) {
	case STATUS_OK:
		return "OK";
#define X(name, number, http, by_handlers)                                                         \
	case STATUS_##name:                                                                        \
		return #name;
		STATUS_LIST(X)
#undef X
	}
	return "INTERNAL";
}

int status_http(enum status status)
{
	switch (status) {
	case STATUS_OK:
		return 200;
#define X(name, number, http, by_handlers)                                                         \
	case STATUS_##name:                                                                        \
		return http;
		STATUS_LIST(X)
#undef X
	}
	return 500;
}

bool status_by_handlers(enum status status)
{
	switch (status) {
	case STATUS_OK:
		return false;
#define X(name, number, http, by_handlers)                                                         \
	case STATUS_##name:                                                                        \
		return by_handlers;
		STATUS_LIST(X)
#undef X
	}
	return false;
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
