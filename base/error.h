/* Error codes of the whole system.
 *
 * A function that can fail returns 0 or one of the negative codes below, and leaves its outputs
 * (ret_ parameters) untouched on failure. Operating errors (a full disk, a torn frame, bad input)
 * are returned; programmer errors stop the process (base/assert.h); a failed sync stops it too.
 *
 * Numbers are stable: they appear in logs and between nodes. Add at the end of a block, never
 * reuse.
 */
#ifndef KX_BASE_ERROR_H
#define KX_BASE_ERROR_H

/* X(NAME, number, what happened, what to do about it) */
#define ERROR_LIST(X)                                                                              \
	/* General. */                                                                             \
	X(ERR_INVALID, -1, "invalid argument", "check the value that the message names")           \
	X(ERR_NOMEM, -2, "out of memory", "give the server more memory, or lower its limits")      \
	X(ERR_FULL, -3, "a bounded queue or buffer is full", "retry later, or send less at once")  \
	X(ERR_NOT_FOUND, -4, "not found", "check the name")                                        \
	X(ERR_EXISTS, -5, "already exists", "choose another name, or remove the old one first")    \
	X(ERR_TOO_LARGE, -6, "larger than the limit", "make it smaller, or raise the limit")       \
	X(ERR_AGAIN, -7, "not now", "retry; something that this needs is still under way")         \
	X(ERR_CANCELED, -8, "canceled", "nothing: the owner asked for it")                         \
	X(ERR_TIMEOUT, -9, "timed out", "retry, or allow more time")                               \
	X(ERR_UNSUPPORTED, -10, "not supported here",                                              \
	    "see the message for the setting or version")                                          \
	/* Bytes from outside. */                                                                  \
	X(ERR_PROTOCOL, -20, "malformed input", "the peer does not speak this protocol correctly") \
	X(ERR_TRUNCATED, -21, "input ends too early", "send the rest")                             \
	X(ERR_DEPTH, -22, "nested too deeply", "use a flatter structure")                          \
	X(ERR_NUMBER, -23, "number out of range", "use a 64-bit integer or a finite double")       \
	X(ERR_UTF8, -24, "text is not valid UTF-8", "send UTF-8")                                  \
	/* Files, devices, sockets. */                                                             \
	X(ERR_IO, -40, "input/output error", "check the device and the kernel's log")              \
	X(ERR_NO_SPACE, -41, "no space left on the device", "free some space")                     \
	X(ERR_PERMISSION, -42, "permission denied", "check owner and mode of the file")            \
	X(ERR_BUSY, -43, "in use by another process", "stop the other process first")              \
	X(ERR_CLOSED, -44, "connection closed by the peer", "connect again")                       \
	X(ERR_REFUSED, -45, "connection refused", "check the address, and that a server listens")  \
	X(ERR_UNREACHABLE, -46, "address unreachable", "check the address and the network")        \
	X(ERR_ADDRESS_IN_USE, -47, "address already in use", "choose another port")                \
	X(ERR_NOT_DIRECTORY, -48, "not a directory", "name a directory")                           \
	X(ERR_IS_DIRECTORY, -49, "a directory in the place of a file", "move it away")             \
	/* Durable data. */                                                                        \
	X(ERR_CORRUPT, -60, "stored data is damaged", "see kalix-admin log verify")                \
	X(ERR_FORMAT, -61, "stored data has an unknown format version",                            \
	    "use the version of Kalix that wrote it, or a newer one")                              \
	X(ERR_FOREIGN, -62, "file belongs to another data directory",                              \
	    "put it back where it came from")                                                      \
	X(ERR_DATA_LOSS, -63, "this shard is closed: durable data is missing",                     \
	    "restore a backup, or accept the loss with kalix-admin log repair --accept-loss")

enum error {
	ERR_OK = 0,
#define X(name, number, what, advice) name = number,
	ERROR_LIST(X)
#undef X
};

/* A caller that ignores one of these results is a bug. */
#define NODISCARD __attribute__((warn_unused_result))

/* Static strings, never NULL; "unknown error" for a number that is not in the list. Any thread. */
const char *error_name(int code);   /* "ERR_NO_SPACE" */
const char *error_text(int code);   /* "no space left on the device" */
const char *error_advice(int code); /* "free some space" */

/* The code for an errno value (positive); ERR_IO for those without one of their own. */
int error_from_errno(int err);

#endif
