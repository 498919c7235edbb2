#include "base/log_ring.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"

_Static_assert(LOG_RING_BYTES > (size_t)2 * LOG_LINE_BYTES_MAX, "the newest line always fits");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Positions count bytes since the start; the ring holds those from `begin` to `end`: whole
 * lines. */
static struct {
	uint8_t *bytes;
	uint64_t begin, end;
	uint64_t first, next; /* numbers of the line at `begin`, and of the one that comes */
} ring = {.first = 1, .next = 1};

static uint8_t byte_at(uint64_t position)
{
	return ring.bytes[position % LOG_RING_BYTES];
}

/* The position behind the line that begins here. */
static uint64_t line_end(uint64_t position)
{
	while (byte_at(position) != '\n')
		position++;
	return position + 1;
}

static void keep(struct slice line)
{
	ASSERT(line.bytes > 0 && line.bytes <= LOG_RING_BYTES);
	ASSERT(line.data[line.bytes - 1] == '\n');
	pthread_mutex_lock(&lock);
	while (ring.end + line.bytes - ring.begin > LOG_RING_BYTES) {
		ring.begin = line_end(ring.begin);
		ring.first++;
	}
	size_t at = ring.end % LOG_RING_BYTES, whole = LOG_RING_BYTES - at;
	size_t before = line.bytes < whole ? line.bytes : whole;
	memcpy(ring.bytes + at, line.data, before);
	memcpy(ring.bytes, line.data + before, line.bytes - before);
	ring.end += line.bytes;
	ring.next++;
	pthread_mutex_unlock(&lock);
}

int log_ring_start(void)
{
	ASSERT(!ring.bytes);
	ring.bytes = mem_zalloc(1, LOG_RING_BYTES);
	if (!ring.bytes)
		return ERR_NOMEM;
	ring.begin = ring.end = 0;
	ring.first = ring.next = 1;
	log_line_set_copy(keep);
	return 0;
}

void log_ring_stop(void)
{
	log_line_set_copy(NULL);
	mem_free(ring.bytes);
	ring.bytes = NULL;
}

static int append(struct buffer *out, uint64_t from, uint64_t to)
{
	size_t at = from % LOG_RING_BYTES, whole = LOG_RING_BYTES - at;
	size_t bytes = (size_t)(to - from), before = bytes < whole ? bytes : whole;
	int error = buffer_append(out, ring.bytes + at, before);
	return error ? error : buffer_append(out, ring.bytes, bytes - before);
}

/* Under the lock. */
static int read_lines(uint64_t from, uint32_t lines_max, size_t bytes_max, struct buffer *out,
    struct log_ring_read *read)
{
	uint64_t newest = ring.next - ring.first;
	if (from == 0)
		from = newest > lines_max ? ring.next - lines_max : ring.first;
	if (from < ring.first)
		from = ring.first;
	if (from > ring.next)
		from = ring.next;
	uint64_t position = ring.begin, number = ring.first;
	for (; number < from; number++)
		position = line_end(position);
	uint64_t end = position;
	for (; number < ring.next && number - from < lines_max && end - position < bytes_max;
	     number++)
		end = line_end(end);
	*read = (struct log_ring_read){.first = from, .next = number};
	return append(out, position, end);
}

int log_ring_read(uint64_t from, uint32_t lines_max, size_t bytes_max, struct buffer *out,
    struct log_ring_read *ret_read)
{
	struct log_ring_read read = {.first = 1, .next = 1};
	int error = 0;
	pthread_mutex_lock(&lock);
	if (ring.bytes)
		error = read_lines(from, lines_max, bytes_max, out, &read);
	pthread_mutex_unlock(&lock);
	if (!error)
		*ret_read = read;
	return error;
}
