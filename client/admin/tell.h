/* What a repair plans and has done, a line for each: for people as it always stood there, for
 * programs as JSON objects {first_shard, last_shard, store, text, what}; a shard that is absent:
 * none, or (last_shard) the last one there is.
 */
#ifndef KX_CLIENT_ADMIN_TELL_H
#define KX_CLIENT_ADMIN_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "client/admin/args.h"

#define TELL_NO_SHARD UINT32_MAX

struct tell {
	enum output_format format;
	uint64_t rows;
	bool plans; /* something is given up, if it is not stopped */
	int error;
};

/* What a line is about. */
struct tell_of {
	uint32_t store, first_shard, last_shard;
	const char *what; /* a word for programs: keeps, gives_up, ... */
};

void tell_begin(struct tell *tell, enum output_format format);
__attribute__((format(printf, 3, 4))) void tell_line(
    struct tell *tell, const struct tell_of *of, const char *format, ...);
/* Closes the array and flushes. ERR_NOMEM, ERR_IO, ERR_UTF8. */
NODISCARD int tell_end(struct tell *tell);

#endif
