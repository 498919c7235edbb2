/* The data directory of a stopped server, opened to look at it or to mend it: its lock is held, so
 * that no server runs on it meanwhile.
 */
#ifndef KX_CLIENT_ADMIN_OFFLINE_H
#define KX_CLIENT_ADMIN_OFFLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "client/admin/args.h"
#include "storage/data_dir.h"
#include "storage/log.h"
#include "storage/log_tool.h"

struct store;

#define OFFLINE_PATH_BYTES  64
#define OFFLINE_CACHE_BYTES ((uint64_t)8 << 20)

struct offline {
	struct fs *fs;
	const char *path; /* the caller's */
	struct data_dir *dir;
	struct data_identity identity;
};

/* `why`: at least 512 bytes. */
NODISCARD int offline_open(
    const char *path, struct offline *ret_offline, char *why, size_t why_bytes);
void offline_done(struct offline *offline); /* also after a failed open */

struct offline_base {
	uint32_t shard;
	struct log_base base;
};

/* One store of it, also where tables are damaged or missing: what its checkpoint knows, and what
 * log_tool.h needs to judge its log. */
struct offline_store {
	uint32_t number;
	struct store *store; /* opened to read */
	bool has_anchor;
	struct log_anchor anchor;
	struct offline_base *bases; /* by shard */
	size_t base_count, base_capacity;
	char path[32], log_path[40], db_path[40];
	struct log_tool_options log;
};
/* The struct stays where it is until offline_store_done: the log's options point into it. A store
 * whose checkpoint cannot be read is an error. */
NODISCARD int offline_store_open(struct offline *offline, uint32_t number,
    struct offline_store *ret_store, char *why, size_t why_bytes);
void offline_store_done(struct offline_store *store); /* also after a failed open */

/* Data of a node that has others beside it is not given up by itself: a replica that forgets what
 * it has acknowledged still has its vote. EXIT_DONE: it may be, because there are no others, or by
 * --force; or nothing is given up now (without --accept-loss, or with --dry-run), and *ret_later:
 * it would be refused. Else that was said on standard error, with `instead`, which says what to do.
 */
enum exit_code offline_may_lose(const struct args *args, const char *instead, bool *ret_later);
/* Says of a plan that it would be refused. */
void offline_say_later(const struct args *args, const char *instead);

/* Opens the directory and goes through the stores that the arguments name. What cannot be opened is
 * said on standard error. The worst exit code of all. */
typedef enum exit_code offline_number_visit(
    const struct args *args, struct offline *offline, uint32_t number, void *arg);
enum exit_code offline_each(const struct args *args, offline_number_visit *visit, void *arg);

/* The same with each store open. One whose checkpoint is damaged where it says what it is, is
 * EXIT_UNHEALTHY. */
typedef enum exit_code offline_visit(
    const struct args *args, struct offline_store *store, void *arg);
enum exit_code offline_each_store(const struct args *args, offline_visit *visit, void *arg);
/* The same, printed as a table with these columns, as print_begin has them: `arg` of each visit is
 * its struct print. */
enum exit_code offline_print_stores(const struct args *args, const char *const *columns,
    unsigned column_count, offline_visit *visit);

#endif
