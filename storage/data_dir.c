#include "storage/data_dir.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/mem.h"

static const char LOCK[] = "lock";
static const char IDENTITY[] = "identity";
static const char IDENTITY_NEW[] = "identity.tmp"; /* what fs_replace_file leaves in a crash */
static const char STORES[] = "stores";

enum {
	MAGIC_BYTES = 8,
	HASH_BYTES = 8,
	IDENTITY_BYTES = 40,
	IDENTITY_BYTES_MIN = MAGIC_BYTES + 4 + HASH_BYTES, /* in any format */
	IDENTITY_BYTES_MAX = 4096,
	/* Of a fixed width, so that a later, shorter number leaves nothing of an earlier one. */
	OWNER_DIGITS = 10,
	OWNER_BYTES = OWNER_DIGITS + 1,
};

static const char MAGIC[MAGIC_BYTES] = {'K', 'X', 'I', 'D', 'E', 'N', 'T', '\n'};

struct data_dir {
	struct fs *fs;
	struct fs_lock *lock;
	struct data_identity identity;
};

/* What data_dir_open was asked, and where it says why it cannot. */
struct opening {
	struct fs *fs;
	uint32_t stores_if_new;
	const uint64_t *new_id;
	char *why;
	size_t why_bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(
    const struct opening *opening, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(opening->why, opening->why_bytes, format, arguments);
	va_end(arguments);
	return error;
}

/* Operating errors of one step: the code's own words and advice. */
static int refuse_step(const struct opening *opening, int error, const char *step)
{
	return refuse(
	    opening, error, "cannot %s: %s; %s", step, error_text(error), error_advice(error));
}

static void store_path(uint32_t store, char *path, size_t path_bytes)
{
	int bytes = snprintf(path, path_bytes, "%s/%03u", STORES, store);
	ASSERT(bytes > 0 && (size_t)bytes < path_bytes);
}

/* ---- Identity ---- */

static void identity_encode(const struct data_identity *identity, uint8_t data[IDENTITY_BYTES])
{
	struct writer out = writer_of(data, IDENTITY_BYTES);
	writer_bytes(&out, MAGIC, sizeof(MAGIC));
	writer_u32le(&out, DATA_DIR_FORMAT);
	writer_u32le(&out, identity->stores);
	writer_u64le(&out, identity->id[0]);
	writer_u64le(&out, identity->id[1]);
	writer_u64le(&out, hash_bytes(writer_view(&out), 0));
	ASSERT(!out.failed);
	ASSERT(writer_used(&out) == IDENTITY_BYTES);
}

static int identity_decode(
    const struct opening *opening, struct slice data, struct data_identity *ret_identity)
{
	static const char advice[] = "restore this file from a backup of this data directory";
	if (data.bytes < IDENTITY_BYTES_MIN || memcmp(data.data, MAGIC, sizeof(MAGIC)) != 0)
		return refuse(opening, ERR_CORRUPT,
		    "the file 'identity' is damaged: it does not begin as one; %s", advice);
	struct slice body = slice_of(data.data, data.bytes - HASH_BYTES);
	if (load_u64le(data.data + body.bytes) != hash_bytes(body, 0))
		return refuse(opening, ERR_CORRUPT,
		    "the file 'identity' is damaged: its checksum is wrong; %s", advice);

	struct reader in = reader_of(body);
	reader_skip(&in, sizeof(MAGIC));
	uint32_t format = reader_u32le(&in);
	if (format != DATA_DIR_FORMAT)
		return refuse(opening, ERR_FORMAT,
		    "the data directory has format %u and this version of Kalix knows only "
		    "format %d; use the version that made it, or a newer one",
		    format, DATA_DIR_FORMAT);
	struct data_identity identity = {.stores = reader_u32le(&in)};
	identity.id[0] = reader_u64le(&in);
	identity.id[1] = reader_u64le(&in);
	if (in.failed || reader_left(&in) != 0 || identity.stores == 0 ||
	    identity.stores > DATA_DIR_STORES_MAX)
		return refuse(opening, ERR_CORRUPT,
		    "the file 'identity' has a right checksum and impossible content; %s", advice);
	*ret_identity = identity;
	return 0;
}

static int identity_read(const struct opening *opening, struct data_identity *ret_identity)
{
	uint8_t data[IDENTITY_BYTES_MAX];
	size_t bytes;
	int error = fs_read_file(opening->fs, IDENTITY, data, sizeof(data), &bytes);
	if (error == ERR_TOO_LARGE)
		return refuse(opening, ERR_CORRUPT,
		    "the file 'identity' is damaged: it is larger than any identity");
	if (error < 0)
		return refuse_step(opening, error, "read the file 'identity'");
	return identity_decode(opening, slice_of(data, bytes), ret_identity);
}

/* ---- Making it ---- */

/* What stands in a directory without identity. */
struct leftovers {
	struct fs *fs;
	bool foreign;   /* something that we never make */
	bool data;      /* something in a store's directory */
	char name[128]; /* the first such */
	char store[64]; /* while its directory is listed */
};

static void note(struct leftovers *leftovers, bool *flag, const char *where, const char *name)
{
	if (!leftovers->foreign && !leftovers->data)
		snprintf(leftovers->name, sizeof(leftovers->name), "%s%.40s", where, name);
	*flag = true;
}

static int look_at_data(void *arg, const char *name, bool is_dir)
{
	struct leftovers *leftovers = arg;
	(void)is_dir;
	note(leftovers, &leftovers->data, leftovers->store, name);
	return 0;
}

static bool is_store_name(const char *name)
{
	size_t digits = strspn(name, "0123456789");
	return digits == 3 && name[digits] == '\0';
}

static int look_at_store(void *arg, const char *name, bool is_dir)
{
	struct leftovers *leftovers = arg;
	char path[DATA_DIR_PATH_BYTES];
	if (!is_dir || !is_store_name(name)) {
		note(leftovers, &leftovers->foreign, "stores/", name);
		return 0;
	}
	snprintf(path, sizeof(path), "%s/%.3s", STORES, name);
	snprintf(leftovers->store, sizeof(leftovers->store), "%s/", path);
	return fs_list(leftovers->fs, path, look_at_data, leftovers);
}

static int look_at_root(void *arg, const char *name, bool is_dir)
{
	struct leftovers *leftovers = arg;
	if (is_dir && strcmp(name, STORES) == 0)
		return fs_list(leftovers->fs, STORES, look_at_store, leftovers);
	/* A file system's own; it stands in the root of every ext4. */
	if (is_dir && strcmp(name, "lost+found") == 0)
		return 0;
	if (is_dir || (strcmp(name, LOCK) != 0 && strcmp(name, IDENTITY_NEW) != 0))
		note(leftovers, &leftovers->foreign, "", name);
	return 0;
}

/* 0 where a data directory may be made here. */
static int check_unfinished(const struct opening *opening)
{
	struct leftovers leftovers = {.fs = opening->fs};
	int error = fs_list(opening->fs, ".", look_at_root, &leftovers);
	if (error < 0)
		return refuse_step(opening, error, "list the data directory");
	if (leftovers.data)
		return refuse(opening, ERR_CORRUPT,
		    "the file 'identity' is missing, but there is data (%s); restore 'identity' "
		    "from a "
		    "backup of this data directory",
		    leftovers.name);
	if (opening->stores_if_new == 0)
		return refuse(opening, ERR_NOT_FOUND,
		    "there is no Kalix data directory here: it has no file 'identity'; check the "
		    "path");
	if (leftovers.foreign)
		return refuse(opening, ERR_EXISTS,
		    "this is not a Kalix data directory: it has no file 'identity' and holds other "
		    "files (%s); choose an empty directory",
		    leftovers.name);
	return 0;
}

/* Everything below stores/, and its name, is durable before identity says that the directory is
 * finished: two names of one directory need not become durable in the order they were made. */
static int make(const struct opening *opening)
{
	struct fs *fs = opening->fs;
	int error = fs_make_dir(fs, STORES);
	for (uint32_t store = 0; store < opening->stores_if_new && error == 0; store++) {
		char path[DATA_DIR_PATH_BYTES];
		store_path(store, path, sizeof(path));
		error = fs_make_dir(fs, path);
	}
	if (error == 0)
		error = fs_sync_dir(fs, STORES);
	if (error == 0)
		error = fs_sync_dir(fs, ".");
	if (error < 0)
		return refuse_step(opening, error, "make the directories of the stores");

	struct data_identity identity = {
	    .id = {opening->new_id[0], opening->new_id[1]}, .stores = opening->stores_if_new};
	uint8_t data[IDENTITY_BYTES];
	identity_encode(&identity, data);
	error = fs_replace_file(fs, IDENTITY, data, sizeof(data));
	return error < 0 ? refuse_step(opening, error, "write the file 'identity'") : 0;
}

/* ---- Opening ---- */

/* 0 where the lock's file does not say. */
static long long owner_read(struct fs *fs)
{
	char text[OWNER_BYTES + 1] = {0};
	size_t bytes;
	if (fs_read_file(fs, LOCK, text, OWNER_BYTES, &bytes) < 0)
		return 0;
	return strtoll(text, NULL, 10);
}

/* For people who find the directory locked: losing it does no harm. */
static int owner_write(struct fs *fs)
{
	char text[OWNER_BYTES + 1];
	int bytes = snprintf(text, sizeof(text), "%*lld\n", OWNER_DIGITS, (long long)getpid());
	ASSERT(bytes == OWNER_BYTES);
	struct fs_file *file;
	int error = fs_open(fs, LOCK, FS_WRITE, &file);
	if (error < 0)
		return error;
	error = fs_write(file, 0, text, OWNER_BYTES);
	fs_close(file);
	return error;
}

static int take_lock(const struct opening *opening, struct fs_lock **ret_lock)
{
	int error = fs_lock(opening->fs, LOCK, ret_lock);
	if (error != ERR_BUSY)
		return error < 0 ? refuse_step(opening, error, "lock the data directory") : 0;
	long long owner = owner_read(opening->fs);
	if (owner <= 0)
		return refuse(opening, ERR_BUSY,
		    "the data directory is in use by another process; stop that one first");
	return refuse(opening, ERR_BUSY,
	    "the data directory is in use by process %lld; stop that one first", owner);
}

static int identity_exists(const struct opening *opening, bool *ret_exists)
{
	int error = fs_exists(opening->fs, IDENTITY, ret_exists);
	return error < 0 ? refuse_step(opening, error, "look for the file 'identity'") : 0;
}

static int check_stores(const struct opening *opening, const struct data_identity *identity)
{
	for (uint32_t store = 0; store < identity->stores; store++) {
		char path[DATA_DIR_PATH_BYTES];
		store_path(store, path, sizeof(path));
		bool exists;
		int error = fs_exists(opening->fs, path, &exists);
		if (error < 0)
			return refuse_step(
			    opening, error, "look for the directories of the stores");
		if (!exists)
			return refuse(opening, ERR_CORRUPT,
			    "%s is missing: the data directory was made with %u stores; restore it "
			    "from a backup",
			    path, identity->stores);
	}
	return 0;
}

/* With the lock held. */
static int open_locked(const struct opening *opening, struct data_identity *ret_identity)
{
	/* Looked for again: until the lock was ours another process may have made it. */
	bool exists;
	int error = identity_exists(opening, &exists);
	if (error == 0 && !exists) {
		error = check_unfinished(opening);
		if (error == 0)
			error = make(opening);
	}
	if (error < 0)
		return error;
	struct data_identity identity = {0};
	error = identity_read(opening, &identity);
	if (error == 0)
		error = check_stores(opening, &identity);
	if (error < 0)
		return error;
	/* A process that died between renaming and syncing left a name that a power cut may still
	 * take away, and data without identity would be refused. */
	error = fs_sync_dir(opening->fs, ".");
	if (error < 0)
		return refuse_step(opening, error, "sync the data directory");
	error = owner_write(opening->fs);
	if (error < 0)
		return refuse_step(opening, error, "write the file 'lock'");
	*ret_identity = identity;
	return 0;
}

int data_dir_open(struct fs *fs, uint32_t stores_if_new, const uint64_t new_id[2], char *why,
    size_t why_bytes, struct data_dir **ret_dir)
{
	ASSERT(why_bytes >= DATA_DIR_WHY_BYTES);
	ASSERT(stores_if_new <= DATA_DIR_STORES_MAX);
	ASSERT(stores_if_new == 0 || new_id != NULL);
	struct opening opening = {.fs = fs,
	    .stores_if_new = stores_if_new,
	    .new_id = new_id,
	    .why = why,
	    .why_bytes = why_bytes};

	/* Before the lock, because taking it makes a file, and a directory of somebody else's is
	 * left as it is. */
	bool exists;
	int error = identity_exists(&opening, &exists);
	if (error == 0 && !exists)
		error = check_unfinished(&opening);
	if (error < 0)
		return error;

	struct data_dir *dir = mem_zalloc(1, sizeof(*dir));
	if (dir == NULL)
		return refuse_step(&opening, ERR_NOMEM, "open the data directory");
	dir->fs = fs;
	error = take_lock(&opening, &dir->lock);
	if (error == 0)
		error = open_locked(&opening, &dir->identity);
	if (error < 0) {
		data_dir_close(dir);
		return error;
	}
	*ret_dir = dir;
	return 0;
}

void data_dir_close(struct data_dir *dir)
{
	if (dir == NULL)
		return;
	fs_unlock(dir->lock);
	mem_free(dir);
}

struct data_identity data_dir_identity(const struct data_dir *dir)
{
	return dir->identity;
}

void data_dir_store_path(const struct data_dir *dir, uint32_t store, char *path, size_t path_bytes)
{
	ASSERT(store < dir->identity.stores);
	ASSERT(path_bytes >= DATA_DIR_PATH_BYTES);
	store_path(store, path, path_bytes);
}

uint64_t data_dir_store_id(const struct data_dir *dir, uint32_t store)
{
	ASSERT(store < dir->identity.stores);
	uint8_t data[20];
	struct writer out = writer_of(data, sizeof(data));
	writer_u64le(&out, dir->identity.id[0]);
	writer_u64le(&out, dir->identity.id[1]);
	writer_u32le(&out, store);
	ASSERT(!out.failed);
	uint64_t id = hash_bytes(writer_view(&out), 0);
	return id != 0 ? id : 1;
}
