#include "tests/unit/store/platform.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/io/fs.h"
#include "tests/unit/run.h"

static char directory[256];
static struct fs *root;

void platform_setup(void)
{
	const char *parent = getenv("TMPDIR");
	snprintf(directory, sizeof(directory), "%s/kalix-store-XXXXXX",
	    parent != NULL ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(fs_open_root(directory, false, &root), 0);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

void platform_remove(const char *path)
{
	char full[512];
	snprintf(full, sizeof(full), "%s/%s", directory, path);
	nftw(full, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void platform_done(void)
{
	fs_close_root(root);
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

struct fs *platform_fs(void)
{
	return root;
}

const char *platform_root(void)
{
	return directory;
}
