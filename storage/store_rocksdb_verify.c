/* The C API of RocksDB 7.8 has no VerifyChecksum. But every read from the disk checks the
 * checksum of the block it needs, so a walk over all keys that bypasses the cache reads all
 * blocks that hold anything alive.
 *
 * A damaged block ends an iterator, and nothing says which key the next block begins with. Keys
 * begin with their shard, and a damaged shard is damaged as a whole: so the walk goes on at the
 * next shard; where there is still damage, twice as many shards on, and so forth, since one
 * block can span many.
 *
 * What it finds is named by RocksDB's own words, which hold the file's name and the offset.
 */
#include "storage/store_rocksdb.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "storage/keys.h"

enum {
	WORDS_BYTES = 512,
	FILE_NAME_BYTES = 32,
};

struct verify {
	struct store *store;
	rocksdb_readoptions_t *options;
	void (*bad)(void *arg, const char *what);
	void *arg;
	/* Files already reported. */
	char (*names)[FILE_NAME_BYTES];
	size_t count;
	size_t capacity;
};

/* "000012.sst" out of words like "block checksum mismatch ... in /path/000012.sst offset 0 size
 * 9". */
static void file_in_words(const char *words, char name[FILE_NAME_BYTES])
{
	const char *end = strstr(words, ".sst");
	const char *begin = end;
	while (begin != NULL && begin > words && begin[-1] != '/' && begin[-1] != ' ')
		begin--;
	size_t bytes = end != NULL ? (size_t)(end - begin) + sizeof(".sst") - 1 : 0;
	if (bytes == 0 || bytes >= FILE_NAME_BYTES)
		bytes = 0;
	else
		memcpy(name, begin, bytes);
	name[bytes] = '\0';
}

static bool is_reported(const struct verify *verify, const char *name)
{
	for (size_t i = 0; i < verify->count; i++)
		if (strcmp(verify->names[i], name) == 0)
			return true;
	return false;
}

/* Every file has one line; words without a file's name count as those of one file. */
static int report(struct verify *verify, const char *words)
{
	char name[FILE_NAME_BYTES];
	file_in_words(words, name);
	if (is_reported(verify, name))
		return 0;
	if (verify->count == verify->capacity) {
		size_t capacity = verify->capacity == 0 ? 16 : verify->capacity * 2;
		char(*names)[FILE_NAME_BYTES] =
		    mem_realloc(verify->names, capacity * sizeof(*names));
		if (names == NULL)
			return ERR_NOMEM;
		verify->names = names;
		verify->capacity = capacity;
	}
	memcpy(verify->names[verify->count++], name, sizeof(name));
	char what[WORDS_BYTES];
	snprintf(what, sizeof(what), "%s: %s", name[0] != '\0' ? name : "the store", words);
	verify->bad(verify->arg, what);
	return 0;
}

/* Where to go on after damage behind a key of `shard`; false: there is nothing more. */
static bool skip_shards(uint32_t shard, uint32_t step, uint8_t ret_position[KEY_SHARD_BYTES])
{
	if (shard > UINT32_MAX - step)
		return false;
	store_u32be(ret_position, shard + step);
	return true;
}

static int read_all(struct verify *verify)
{
	rocksdb_iterator_t *iterator = rocksdb_create_iterator(verify->store->db, verify->options);
	uint8_t position[KEY_SHARD_BYTES] = {0};
	uint32_t step = 1;
	int error = 0;
	bool more = true;
	while (more && error == 0) {
		uint32_t shard = load_u32be(position);
		rocksdb_iter_seek(iterator, (const char *)position, sizeof(position));
		for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
			size_t bytes;
			const char *key = rocksdb_iter_key(iterator, &bytes);
			if (bytes >= KEY_SHARD_BYTES)
				shard = load_u32be(key);
			step = 1;
		}
		char *words = NULL;
		rocksdb_iter_get_error(iterator, &words);
		if (words == NULL)
			break;
		error = report(verify, words);
		rocksdb_free(words);
		more = skip_shards(shard, step, position);
		step *= step < 1u << 31 ? 2 : 1;
	}
	rocksdb_iter_destroy(iterator);
	return error;
}

int store_verify(struct store *store, void (*bad)(void *arg, const char *what), void *arg)
{
	store_collect_garbage(store);
	struct verify verify = {.store = store, .bad = bad, .arg = arg};
	verify.options = store_walk_options();
	int error = read_all(&verify);
	rocksdb_readoptions_destroy(verify.options);
	mem_free(verify.names);
	if (error < 0)
		return error;
	return verify.count > 0 ? ERR_CORRUPT : 0;
}
