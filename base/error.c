#include "base/error.h"

#include <errno.h>

const char *error_name(int code)
{
	switch (code) {
	case ERR_OK:
		return "ERR_OK";
#define X(name, number, what, advice)                                                              \
	case name:                                                                                 \
		return #name;
		ERROR_LIST(X)
#undef X
	}
	return "ERR_UNKNOWN";
}

const char *error_text(int code)
{
	switch (code) {
	case ERR_OK:
		return "done";
#define X(name, number, what, advice)                                                              \
	case name:                                                                                 \
		return what;
		ERROR_LIST(X)
#undef X
	}
	return "unknown error";
}

const char *error_advice(int code)
{
	switch (code) {
	case ERR_OK:
		return "nothing to do";
#define X(name, number, what, advice)                                                              \
	case name:                                                                                 \
		return advice;
		ERROR_LIST(X)
#undef X
	}
	return "report this: the code has no entry in base/error.h";
}

int error_from_errno(int err)
{
	switch (err) {
	case 0:
		return ERR_OK;
	case EINVAL:
		return ERR_INVALID;
	case ENOMEM:
		return ERR_NOMEM;
	case ENOENT:
	case EADDRNOTAVAIL: /* no such address on this machine */
		return ERR_NOT_FOUND;
	case EISDIR:
		return ERR_IS_DIRECTORY;
	case EEXIST:
		return ERR_EXISTS;
	case EAGAIN:
	case EINTR:
		return ERR_AGAIN;
	case ECANCELED:
		return ERR_CANCELED;
	case ETIMEDOUT:
	case ETIME:
		return ERR_TIMEOUT;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case EBUSY:
	case ETXTBSY:
		return ERR_BUSY;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
	case ESHUTDOWN:
		return ERR_CLOSED;
	case ECONNREFUSED:
		return ERR_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return ERR_UNREACHABLE;
	case EADDRINUSE:
		return ERR_ADDRESS_IN_USE;
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	}
	return ERR_IO;
}
