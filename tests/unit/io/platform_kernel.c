/* A machine for one test: a temporary directory. */
#include "tests/unit/io/platform.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/io/fs.h"
#include "tests/unit/run.h"

static char directory[256];
static struct fs *root;
static struct fs *other;

void platform_setup_files(void)
{
	const char *parent = getenv("TMPDIR");
	snprintf(
	    directory, sizeof(directory), "%s/kalix-io-XXXXXX", parent != NULL ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(fs_open_root(directory, false, &root), 0);
	ck_assert_int_eq(fs_open_root(directory, true, &other), 0);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

void platform_done(void)
{
	fs_close_root(other);
	fs_close_root(root);
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

struct fs *platform_fs(void)
{
	return root;
}

struct fs *platform_other_fs(void)
{
	return other;
}
