#include "server/begun_anew.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"

/* A program of another version may have taken this one's place on disk, and be begun instead. */
static const uint32_t MAGIC = 0x314e414b; /* "KAN1" */
enum {
	SECRETS = 3,
	BYTES_MAX = 4 + 3 * 2 + SECRETS * (2 + SERVER_SECRET_BYTES_MAX),
	SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

static void write_secret(struct writer *out, const struct begun_anew_secret *secret)
{
	ASSERT(secret->bytes <= sizeof(secret->data));
	writer_u16le(out, (uint16_t)secret->bytes);
	writer_bytes(out, secret->data, secret->bytes);
}

static void read_secret(struct reader *in, struct begun_anew_secret *ret_secret)
{
	ret_secret->bytes = reader_u16le(in);
	if (ret_secret->bytes > sizeof(ret_secret->data))
		reader_fail(in);
	else
		reader_bytes(in, ret_secret->data, ret_secret->bytes);
}

/* It is whole in the memory, or it is not kept. */
static int fill(int fd, struct slice bytes)
{
	ssize_t written = write(fd, bytes.data, bytes.bytes);
	if (written < 0)
		return error_from_errno(errno);
	if ((size_t)written != bytes.bytes)
		return ERR_NO_SPACE;
	if (fcntl(fd, F_ADD_SEALS, SEALS) != 0 || fcntl(fd, F_SETFD, 0) != 0)
		return error_from_errno(errno);
	return 0;
}

int begun_anew_keep(const struct begun_anew *anew, int *ret_fd)
{
	uint8_t bytes[BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	int fd = memfd_create("kalixd-begun-anew", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return error_from_errno(errno);
	writer_u32le(&out, MAGIC);
	writer_u16le(&out, anew->port);
	writer_u16le(&out, anew->cluster_port);
	writer_u16le(&out, anew->peer_port);
	write_secret(&out, &anew->password);
	write_secret(&out, &anew->secret);
	write_secret(&out, &anew->secret_previous);
	ASSERT(!out.failed);
	int error = fill(fd, writer_view(&out));
	explicit_bzero(bytes, sizeof(bytes));
	if (error) {
		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

int begun_anew_take(int fd, struct begun_anew *ret_anew)
{
	uint8_t bytes[BYTES_MAX];
	struct begun_anew anew = {0};
	int seals = fcntl(fd, F_GET_SEALS);
	/* Of other files too: whoever says this flag by hand loses nothing by it. */
	if (seals < 0 || (seals & SEALS) != SEALS)
		return ERR_INVALID;
	ssize_t used = lseek(fd, 0, SEEK_SET) == 0 ? read(fd, bytes, sizeof(bytes)) : -1;
	struct reader in = reader_of(slice_of(bytes, used < 0 ? 0 : (size_t)used));
	if (reader_u32le(&in) != MAGIC)
		reader_fail(&in);
	anew.port = reader_u16le(&in);
	anew.cluster_port = reader_u16le(&in);
	anew.peer_port = reader_u16le(&in);
	read_secret(&in, &anew.password);
	read_secret(&in, &anew.secret);
	read_secret(&in, &anew.secret_previous);
	bool good = reader_finished(&in);
	explicit_bzero(bytes, sizeof(bytes));
	if (good) {
		close(fd);
		*ret_anew = anew;
	}
	begun_anew_forget(&anew);
	return good ? 0 : ERR_INVALID;
}

void begun_anew_forget(struct begun_anew *anew)
{
	explicit_bzero(anew, sizeof(*anew));
}
