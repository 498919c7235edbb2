/* The container of an app's files: MessagePack ["kalix-bundle", 1, {path: source, ...}], paths in
 * ascending order. It comes from outside (a deployment), so each rule is checked when it is opened.
 *
 * Views of the files belong to the bytes; the array of them to the caller. Pure; any thread.
 */
#ifndef KX_SCRIPTING_BUNDLE_H
#define KX_SCRIPTING_BUNDLE_H

#include "scripting/host.h"

#define BUNDLE_FILES_MAX      1000
#define BUNDLE_PATH_BYTES_MAX 200

struct bundle_files {
	struct host_file *items;
	size_t count;
};

/* ERR_INVALID, with a static sentence that says why; ERR_NOMEM. */
NODISCARD int bundle_open(struct slice bytes, struct bundle_files *ret_files, const char **ret_why);
void bundle_close(struct bundle_files *files);

/* Letters, digits, "_-." in parts between '/'; no part is empty or begins with a '.'; ".lua" at the
 * end. */
bool bundle_path_valid(struct slice path);

/* The file of that path, or NULL. */
const struct host_file *bundle_find(const struct bundle_files *files, struct slice path);

#endif
