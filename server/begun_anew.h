/* What a process takes along when it begins anew (SERVER_AGAIN): the ports that it has, and the
 * secrets that it was given, since what they came from may be read only once (/dev/fd/N, a pipe).
 *
 * They go by memory that has no name (memfd_create), sealed, so that what is read is what was
 * written. Its descriptor is the one that exec keeps, and only from just before that; who begins
 * reads it and closes it before anything else is opened. The arguments have its number, and
 * nothing else has anything of it: neither they, nor the environment, nor the log has a secret.
 *
 * Thread: the one that there is.
 */
#ifndef KX_SERVER_BEGUN_ANEW_H
#define KX_SERVER_BEGUN_ANEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "server/gate/gate.h"

/* The first line of a file. */
#define SERVER_SECRET_BYTES_MAX GATE_PASSWORD_BYTES_MAX

struct begun_anew {
	/* 0: none. */
	uint16_t port, cluster_port, peer_port;
	struct begun_anew_secret {
		size_t bytes; /* 0: it was not given */
		uint8_t data[SERVER_SECRET_BYTES_MAX];
	} password, secret, secret_previous;
};

/* The flag behind which the number stands: the last two arguments. */
#define BEGUN_ANEW_FLAG "--begun-anew"

/* *ret_fd: for the process that exec makes of this one. Errors of the system. */
NODISCARD int begun_anew_keep(const struct begun_anew *anew, int *ret_fd);
/* Closes it. ERR_INVALID: it is none that begun_anew_keep has made, and stays open. */
NODISCARD int begun_anew_take(int fd, struct begun_anew *ret_anew);
/* No secret stays in memory that is not needed. */
void begun_anew_forget(struct begun_anew *anew);

#endif
