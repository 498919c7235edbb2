#include "replication/peer/key.h"

#include <pthread.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "replication/peer/peer.h"

enum { PROVEN_BYTES_MAX = 1024 + 64, IV_BYTES = 12 };

static int hmac(struct slice key, struct slice bytes, uint8_t ret_proof[PEER_PROOF_BYTES])
{
	unsigned made = 0;
	ASSERT(key.bytes <= INT32_MAX);
	if (HMAC(EVP_sha256(), key.data, (int)key.bytes, bytes.data, bytes.bytes, ret_proof,
	        &made) == NULL)
		return ERR_NOMEM;
	ASSERT(made == PEER_PROOF_BYTES);
	return 0;
}

int peer_key_of_secret(struct slice secret, struct peer_key *ret_key)
{
	_Static_assert((int)PEER_KEY_BYTES == (int)PEER_PROOF_BYTES, "one is the other");
	/* No pointer at all would mean the key of the call before. */
	if (secret.bytes == 0)
		secret = slice_of("", 0);
	return hmac(secret, slice_from_text("kalix peer links 1"), ret_key->bytes);
}

int peer_prove(const struct peer_key *key, const char *label, struct slice a, struct slice b,
    uint8_t ret_proof[PEER_PROOF_BYTES])
{
	uint8_t bytes[PROVEN_BYTES_MAX];
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct slice text = slice_from_text(label);
	ASSERT(text.bytes < PEER_LABEL_BYTES_MAX);
	writer_slice(&writer, text);
	writer_u8(&writer, 0);
	writer_u32le(&writer, (uint32_t)a.bytes);
	writer_slice(&writer, a);
	writer_u32le(&writer, (uint32_t)b.bytes);
	writer_slice(&writer, b);
	ASSERT(!writer.failed);
	return hmac(slice_of(key->bytes, sizeof(key->bytes)), writer_view(&writer), ret_proof);
}

bool peer_same(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	return CRYPTO_memcmp(a, b, bytes) == 0;
}

void peer_key_forget(struct peer_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

/* OpenSSL's state, one a thread, kept for its next seal: making it costs more than a small record's
 * whole seal. It belongs to no link, so that the end of a simulated process loses nothing. */
static _Thread_local EVP_CIPHER_CTX *sealer;

/* And gone with its thread. */
static pthread_key_t sealer_key;
static pthread_once_t sealer_once = PTHREAD_ONCE_INIT;
static int sealer_error;

static void free_sealer(void *made)
{
	EVP_CIPHER_CTX_free(made);
}

static void make_sealer_key(void)
{
	sealer_error = pthread_key_create(&sealer_key, free_sealer);
}

static int make_sealer(void)
{
	if (pthread_once(&sealer_once, make_sealer_key) != 0 || sealer_error != 0)
		return ERR_NOMEM;
	EVP_CIPHER_CTX *made = EVP_CIPHER_CTX_new();
	if (made == NULL || EVP_EncryptInit_ex(made, EVP_aes_256_gcm(), NULL, NULL, NULL) != 1 ||
	    pthread_setspecific(sealer_key, made) != 0) {
		EVP_CIPHER_CTX_free(made);
		return ERR_NOMEM;
	}
	sealer = made;
	return 0;
}

int peer_seal(const struct peer_key *key, uint64_t number, struct slice head, struct slice body,
    uint8_t ret_tag[PEER_TAG_BYTES])
{
	uint8_t iv[IV_BYTES] = {0};
	int bytes = 0;
	ASSERT(head.bytes <= INT32_MAX && body.bytes <= INT32_MAX);
	store_u64le(iv, number);
	int error = sealer == NULL ? make_sealer() : 0;
	if (error != 0)
		return error;
	uint8_t nothing[PEER_TAG_BYTES];
	if (EVP_EncryptInit_ex(sealer, NULL, NULL, key->bytes, iv) != 1 ||
	    EVP_EncryptUpdate(sealer, NULL, &bytes, head.data, (int)head.bytes) != 1 ||
	    EVP_EncryptUpdate(sealer, NULL, &bytes, body.data, (int)body.bytes) != 1 ||
	    EVP_EncryptFinal_ex(sealer, nothing, &bytes) != 1 ||
	    EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_AEAD_GET_TAG, PEER_TAG_BYTES, ret_tag) != 1)
		return ERR_NOMEM;
	return 0;
}

int peers_entropy_system(void *arg, uint8_t *to, size_t bytes)
{
	(void)arg;
	ASSERT(bytes <= INT32_MAX);
	return RAND_bytes(to, (int)bytes) == 1 ? 0 : ERR_UNSUPPORTED;
}
