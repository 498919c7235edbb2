/* Passwords as servers keep them: scrypt (RFC 7914), with its parameters and salt in the text.
 *
 *   $scrypt$ln=14,r=8,p=1$SALT$KEY      SALT, KEY: base64 without padding (the PHC string format)
 *
 * A job is what one hash or one comparison takes: 16 MiB and some 40 ms of a processor. It knows no
 * Lua and nothing of its call, so that any thread can do it.
 *
 * Inside of scripting/ only; host.h shows jobs to the server.
 */
#ifndef KX_SCRIPTING_PASSWORD_H
#define KX_SCRIPTING_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PASSWORD_BYTES_MAX 1024
#define PASSWORD_SALT      16 /* bytes of a new hash */
#define PASSWORD_KEY       32
#define PASSWORD_SALT_MAX  64 /* of a hash that is read */
#define PASSWORD_KEY_MAX   64
#define PASSWORD_TEXT_MAX  256
/* log2 of scrypt's N: of new hashes, and the most that is read, which takes four times as long. */
#define PASSWORD_LN     14
#define PASSWORD_LN_MAX 16
#define PASSWORD_R_MAX  8
#define PASSWORD_P_MAX  4

struct password {
	unsigned ln, r, p;
	size_t salt_bytes, key_bytes;
	uint8_t salt[PASSWORD_SALT_MAX];
	uint8_t key[PASSWORD_KEY_MAX];
};

/* ERR_INVALID: it is no such text. ERR_TOO_LARGE: it asks for more than is done here. */
NODISCARD int password_read(struct slice text, struct password *ret_password);
/* The text, with a 0 behind it; its length. */
size_t password_write(const struct password *password, char text[PASSWORD_TEXT_MAX]);
/* What deriving its key takes, in units of what a new hash takes, at least 1. */
unsigned password_cost(const struct password *password);

struct host_job {
	struct password password;
	bool compares; /* `key` is given, and `same` is wanted */
	bool done, same;
	int error; /* ERR_NOMEM */
	size_t bytes;
	uint8_t text[PASSWORD_BYTES_MAX];
};

#endif
