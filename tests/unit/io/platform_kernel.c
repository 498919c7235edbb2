/* A machine for one test: a temporary directory, and a ring. */
#include "tests/unit/io/platform.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "tests/unit/run.h"

/* Only so that a test that waits in vain says where. */
static const uint64_t PATIENCE_NS = 60 * NS_PER_S;

static char directory[256];
static struct fs *root;
static struct fs *other;
static struct io *io;
static struct io *second;

void platform_setup_files(void)
{
	const char *parent = getenv("TMPDIR");
	snprintf(
	    directory, sizeof(directory), "%s/kalix-io-XXXXXX", parent != NULL ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(fs_open_root(directory, false, &root), 0);
	ck_assert_int_eq(fs_open_root(directory, true, &other), 0);
}

void platform_setup(void)
{
	char why[256];
	platform_setup_files();
	ck_assert_msg(io_new(NULL, why, sizeof(why), &io) == 0, "%s", why);
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
	io_free(second);
	io_free(io);
	second = io = NULL;
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

struct io *platform_io(void)
{
	return io;
}

struct io *platform_second_io(void)
{
	char why[256];
	if (second == NULL)
		ck_assert_msg(io_new(NULL, why, sizeof(why), &second) == 0, "%s", why);
	return second;
}

static void turn(uint64_t wait_ns)
{
	io_poll(io, wait_ns);
	io_run(io);
	if (second == NULL)
		return;
	io_poll(second, 0);
	io_run(second);
}

void platform_run(bool (*until)(void *arg), void *arg)
{
	uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (!until(arg)) {
		ck_assert_msg(clock_monotonic_ns() < give_up_ns, "waited in vain");
		/* The second one is not waited for. */
		turn(second == NULL ? NS_PER_S : NS_PER_MS);
	}
}

void platform_turn(void)
{
	turn(0);
}

const char *platform_directory(void)
{
	return directory;
}

void platform_link(const char *name, const char *target)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	ck_assert_int_eq(symlink(target, path), 0);
}
