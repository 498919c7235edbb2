/* Reading all of a store: the C API of RocksDB 7.8 has no VerifyChecksum. But every read from the
 * disk checks the checksum of the block it needs, so a walk over all keys that bypasses the cache
 * reads all blocks that hold anything alive, and what it finds is named by RocksDB's own words,
 * which hold the file's name and the offset.
 */
#include "storage/store_rocksdb.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

enum {
	WORDS_BYTES = 512,
};

/* "000012.sst" out of words like "block checksum mismatch ... in /path/000012.sst offset 0 size
 * 9". Of a table that is missing, RocksDB tries an older suffix last, and names that one. */
static void file_in_words(const char *words, char name[STORE_FILE_NAME_BYTES])
{
	const char *end = strstr(words, ".sst");
	if (end == NULL)
		end = strstr(words, ".ldb");
	const char *begin = end;
	while (begin != NULL && begin > words && begin[-1] != '/' && begin[-1] != ' ')
		begin--;
	size_t bytes = end != NULL ? (size_t)(end - begin) + sizeof(".sst") - 1 : 0;
	if (bytes == 0 || bytes >= STORE_FILE_NAME_BYTES)
		bytes = 0;
	else
		snprintf(name, STORE_FILE_NAME_BYTES, "%.*s.sst", (int)(end - begin), begin);
	if (bytes == 0)
		name[0] = '\0';
}

static bool is_reported(const struct store_bad_files *files, const char *name)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->names[i], name) == 0)
			return true;
	return false;
}

/* Every file has one line; words without a file's name count as those of one file. */
int store_bad_files_add(struct store_bad_files *files, const char *words)
{
	char name[STORE_FILE_NAME_BYTES];
	file_in_words(words, name);
	if (is_reported(files, name))
		return 0;
	if (array_reserve(&files->names, &files->capacity, files->count + 1, sizeof(name)))
		return ERR_NOMEM;
	memcpy(files->names[files->count++], name, sizeof(name));
	char what[WORDS_BYTES];
	snprintf(what, sizeof(what), "%s: %s", name[0] != '\0' ? name : "the store", words);
	files->bad(files->arg, what);
	return 0;
}

static int note_bad(void *arg, const char *words)
{
	return store_bad_files_add(arg, words);
}

int store_verify(struct store *store, void (*bad)(void *arg, const char *what), void *arg)
{
	store_collect_garbage(store);
	struct store_bad_files files = {.bad = bad, .arg = arg};
	int error = store_walk(store, &(struct store_walk){.bad = note_bad, .arg = &files});
	size_t count = files.count;
	mem_free(files.names);
	if (error < 0)
		return error;
	return count > 0 ? ERR_CORRUPT : 0;
}
