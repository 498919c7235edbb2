/* The commands of kalix-admin. Each prints what it has to say and returns what the process ends
 * with. */
#ifndef KX_CLIENT_ADMIN_COMMANDS_H
#define KX_CLIENT_ADMIN_COMMANDS_H

#include "client/admin/args.h"

struct host_diagnostics;
struct print;
struct slice;

struct admin_command {
	const char *noun;
	const char *verb;              /* NULL: the noun alone */
	unsigned words_min, words_max; /* behind them */
	bool offline;
	unsigned options; /* enum args_option: those that it takes */
	enum exit_code (*run)(const struct args *args);
	const char *usage;
	const char *what;
};

/* All there are: `number` is below the count. */
size_t admin_command_count(void);
const struct admin_command *admin_command(size_t number);

enum exit_code command_completion(const struct args *args);
enum exit_code command_config_check(const struct args *args);
enum exit_code command_config_get(const struct args *args);
enum exit_code command_config_set(const struct args *args);

/* On files. */
enum exit_code command_app_init(const struct args *args);
enum exit_code command_app_check(const struct args *args);
enum exit_code command_app_test(const struct args *args);

/* On a running server. */
enum exit_code command_app_deploy(const struct args *args);
enum exit_code command_app_list(const struct args *args);
enum exit_code command_app_activate(const struct args *args);
enum exit_code command_app_rollback(const struct args *args);
enum exit_code command_app_remove(const struct args *args);
enum exit_code command_app_replay(const struct args *args);
enum exit_code command_bench(const struct args *args);
enum exit_code command_call(const struct args *args);
enum exit_code command_entity(const struct args *args); /* get, history, list */
enum exit_code command_logs(const struct args *args);
enum exit_code command_slowlog(const struct args *args);
enum exit_code command_doctor(const struct args *args); /* and on the machine */
enum exit_code command_error(const struct args *args);
enum exit_code command_cluster_status(const struct args *args);
enum exit_code command_cluster_rebalance(const struct args *args);
enum exit_code command_cluster_recover(const struct args *args);
enum exit_code command_node_list(const struct args *args);
enum exit_code command_node_drain(const struct args *args);
enum exit_code command_node_undrain(const struct args *args);
enum exit_code command_node_remove(const struct args *args);
enum exit_code command_shard_list(const struct args *args);
enum exit_code command_shard_move(const struct args *args);
enum exit_code command_shard_leader(const struct args *args);
enum exit_code command_status(const struct args *args);

/* On the data directory of a stopped one. */
enum exit_code command_log_verify(const struct args *args);
enum exit_code command_log_dump(const struct args *args);
enum exit_code command_log_repair(const struct args *args);
enum exit_code command_store_verify(const struct args *args);
enum exit_code command_store_dump(const struct args *args);
enum exit_code command_store_repair(const struct args *args);

/* Loads the tests of an app, of which the bundle is good, and adds what is wrong with them. Errors
 * as app_test_new's; `why` (at least 512 bytes) where it says more. */
NODISCARD int check_tests(const char *dir, struct slice bundle,
    struct host_diagnostics *diagnostics, size_t *ret_tests, char *why, size_t why_bytes);
/* What `app check` tells, a line each. */
void print_diagnostics(const struct host_diagnostics *diagnostics);

/* What docs/admin-protocol.md calls healthy, of STATUS. */
bool status_is_well(struct slice status);
/* Says on standard error what went wrong and what to do; returns the exit code for the error. */
enum exit_code command_failed(int error, const char *why);
/* The question was answered with no: says so, and returns the exit code. */
enum exit_code command_not_wanted(void);
/* Prints what is left of the rows; `code`, unless that fails. */
enum exit_code command_finish(struct print *print, enum exit_code code);

#endif
