/* The files of an app's directory as a bundle.
 */
#ifndef KX_CLIENT_ADMIN_BUNDLE_DIR_H
#define KX_CLIENT_ADMIN_BUNDLE_DIR_H

#include <stddef.h>

#include "base/error.h"
#include "client/admin/args.h"

struct buffer;
struct host_file;

/* Reads every .lua file below `dir` but tests/..._test.lua and what is hidden, and packs them.
 * `why` (at least 512 bytes) says what is wrong: ERR_NOT_FOUND (no directory, no app.lua in it),
 * ERR_TOO_LARGE, ERR_PERMISSION, ERR_IO, ERR_NOMEM. */
NODISCARD int bundle_dir_read(
    const char *dir, struct buffer *ret_bundle, char *why, size_t why_bytes);
/* The same for a command: what is wrong was said. */
enum exit_code bundle_dir_open(const char *dir, struct buffer *ret_bundle);

/* The files that are left out: tests/..._test.lua, by path. Views into memory of its own. */
struct bundle_tests {
	struct host_file *items;
	size_t count;
	struct file **files; /* private */
};
/* Errors as above; none at all is no error. */
NODISCARD int bundle_dir_read_tests(
    const char *dir, struct bundle_tests *ret_tests, char *why, size_t why_bytes);
void bundle_tests_done(struct bundle_tests *tests); /* also of zeros */

#endif
