#include "scripting/password.h"

#include "base/assert.h"
#include "base/mem.h"
#include "scripting/host.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* ---- Base64 without padding ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *write_base64(const uint8_t *data, size_t bytes, char *to)
{
	uint32_t bits = 0;
	unsigned count = 0;
	for (size_t i = 0; i < bytes; i++) {
		bits = bits << 8 | data[i];
		for (count += 8; count >= 6; count -= 6)
			*to++ = digits[bits >> (count - 6) & 63];
	}
	if (count > 0)
		*to++ = digits[bits << (6 - count) & 63];
	return to;
}

/* Only what write_base64 makes. */
static bool read_base64(struct slice text, uint8_t *to, size_t bytes_max, size_t *ret_bytes)
{
	uint32_t bits = 0;
	unsigned count = 0;
	size_t bytes = 0;
	for (size_t i = 0; i < text.bytes; i++) {
		const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - digits);
		count += 6;
		if (count < 8)
			continue;
		if (bytes == bytes_max)
			return false;
		count -= 8;
		to[bytes++] = (uint8_t)(bits >> count);
	}
	*ret_bytes = bytes;
	return count < 6 && (bits & ((1U << count) - 1)) == 0;
}

/* ---- The text ---- */

/* What stands before the next `end`, or before the text's end where that is 0; *at moves behind. */
static bool take_part(struct slice *at, char end, struct slice *ret_part)
{
	const uint8_t *stop = end ? memchr(at->data, end, at->bytes) : at->data + at->bytes;
	if (!stop)
		return false;
	*ret_part = slice_of(at->data, (size_t)(stop - at->data));
	size_t taken = ret_part->bytes + (end ? 1 : 0);
	*at = slice_of(at->data + taken, at->bytes - taken);
	return true;
}

/* "ln=14", without leading zeros. */
static bool take_number(struct slice *at, const char *name, char end, unsigned *ret_number)
{
	struct slice part;
	size_t skip = strlen(name);
	if (!take_part(at, end, &part) || part.bytes <= skip || part.bytes > skip + 4 ||
	    memcmp(part.data, name, skip) != 0 || part.data[skip] == '0')
		return false;
	unsigned number = 0;
	for (size_t i = skip; i < part.bytes; i++) {
		if (part.data[i] < '0' || part.data[i] > '9')
			return false;
		number = number * 10 + (unsigned)(part.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

int password_read(struct slice text, struct password *ret_password)
{
	struct slice none, name, salt, key;
	struct password password = {0};
	if (text.bytes >= PASSWORD_TEXT_MAX || !take_part(&text, '$', &none) || none.bytes > 0 ||
	    !take_part(&text, '$', &name) || !slice_equal(name, slice_from_text("scrypt")) ||
	    !take_number(&text, "ln=", ',', &password.ln) ||
	    !take_number(&text, "r=", ',', &password.r) ||
	    !take_number(&text, "p=", '$', &password.p) || !take_part(&text, '$', &salt) ||
	    !take_part(&text, 0, &key) ||
	    !read_base64(salt, password.salt, PASSWORD_SALT_MAX, &password.salt_bytes) ||
	    !read_base64(key, password.key, PASSWORD_KEY_MAX, &password.key_bytes) ||
	    password.salt_bytes < 8 || password.key_bytes < 16)
		return ERR_INVALID;
	if (password.ln > PASSWORD_LN_MAX || password.r > PASSWORD_R_MAX ||
	    password.p > PASSWORD_P_MAX)
		return ERR_TOO_LARGE;
	*ret_password = password;
	return 0;
}

size_t password_write(const struct password *password, char text[PASSWORD_TEXT_MAX])
{
	int head = snprintf(text, PASSWORD_TEXT_MAX, "$scrypt$ln=%u,r=%u,p=%u$", password->ln,
	    password->r, password->p);
	char *at = write_base64(password->salt, password->salt_bytes, text + head);
	*at++ = '$';
	at = write_base64(password->key, password->key_bytes, at);
	*at = 0;
	ASSERT(at < text + PASSWORD_TEXT_MAX);
	return (size_t)(at - text);
}

unsigned password_cost(const struct password *password)
{
	unsigned blocks = (1U << password->ln) * password->r * password->p;
	unsigned usual = (1U << PASSWORD_LN) * 8;
	return (blocks + usual - 1) / usual;
}

/* ---- The work ---- */

void host_job_run(struct host_job *job)
{
	struct password *password = &job->password;
	uint8_t key[PASSWORD_KEY_MAX];
	ASSERT(!job->done);
	ASSERT(password->key_bytes <= sizeof(key));
	/* Its blocks take 128 * r * (N + p) bytes and a little. */
	uint64_t bytes_max =
	    UINT64_C(128) * password->r * ((UINT64_C(1) << password->ln) + password->p + 2) + 65536;
	int made = EVP_PBE_scrypt((const char *)job->text, job->bytes, password->salt,
	    password->salt_bytes, UINT64_C(1) << password->ln, password->r, password->p, bytes_max,
	    key, password->key_bytes);
	job->error = made == 1 ? 0 : ERR_NOMEM;
	if (made == 1 && job->compares)
		job->same = CRYPTO_memcmp(key, password->key, password->key_bytes) == 0;
	else if (made == 1)
		memcpy(password->key, key, password->key_bytes);
	OPENSSL_cleanse(key, sizeof(key));
	job->done = true;
}

void host_job_free(struct host_job *job)
{
	if (!job)
		return;
	OPENSSL_cleanse(job, sizeof(*job));
	mem_free(job);
}
