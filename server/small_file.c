#include "server/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io/fs.h"

/* fs.h knows paths below a root only: the file's own directory. */
static int open_parent(const char *path, struct fs **ret_fs, const char **ret_name)
{
	char dir[FS_PATH_BYTES_MAX];
	const char *slash = strrchr(path, '/');
	size_t bytes = slash ? (size_t)(slash - path) : 1;
	if (bytes >= sizeof(dir))
		return ERR_TOO_LARGE;
	if (slash == path)
		bytes = 1;
	memcpy(dir, slash ? path : ".", bytes);
	dir[bytes] = 0;
	*ret_name = slash ? slash + 1 : path;
	return fs_open_root(dir, false, ret_fs);
}

static bool is_pipe(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* fs.h knows files that have a size: this has none, and is read once. */
static int read_pipe(const char *path, void *data, size_t bytes_max, size_t *ret_bytes)
{
	char *to = data, more;
	size_t bytes = 0;
	ssize_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_from_errno(errno);
	while (bytes < bytes_max && (got = read(fd, to + bytes, bytes_max - bytes)) > 0)
		bytes += (size_t)got;
	if (bytes == bytes_max)
		got = read(fd, &more, 1);
	int error = got < 0 ? error_from_errno(errno) : got > 0 ? ERR_TOO_LARGE : 0;
	close(fd);
	if (!error)
		*ret_bytes = bytes;
	return error;
}

int small_file_read(const char *path, void *data, size_t bytes_max, size_t *ret_bytes)
{
	struct fs *fs;
	const char *name;
	if (is_pipe(path))
		return read_pipe(path, data, bytes_max, ret_bytes);
	int error = open_parent(path, &fs, &name);
	if (error)
		return error;
	error = fs_read_file(fs, name, data, bytes_max, ret_bytes);
	fs_close_root(fs);
	return error;
}

static int remove_old(struct fs *fs, const char *name)
{
	int error = fs_unlink(fs, name);
	return error == ERR_NOT_FOUND ? 0 : error;
}

int small_file_prepare(const char *path)
{
	struct fs *fs;
	const char *name;
	char probe[FS_PATH_BYTES_MAX];
	int error = open_parent(path, &fs, &name);
	if (error)
		return error;
	int bytes = snprintf(probe, sizeof(probe), "%s.probe", name);
	if (name[0] == 0 || bytes >= (int)sizeof(probe))
		error = ERR_INVALID;
	if (!error)
		error = remove_old(fs, name);
	if (!error)
		error = fs_replace_file(fs, probe, "", 0);
	if (!error)
		error = fs_unlink(fs, probe);
	fs_close_root(fs);
	return error;
}

int small_file_write(const char *path, const void *data, size_t bytes)
{
	struct fs *fs;
	const char *name;
	int error = open_parent(path, &fs, &name);
	if (error)
		return error;
	error = fs_replace_file(fs, name, data, bytes);
	fs_close_root(fs);
	return error;
}
