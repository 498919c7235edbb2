/* The commands of kalix-admin. Each prints what it has to say and returns what the process ends
 * with. */
#ifndef KX_CLIENT_ADMIN_COMMANDS_H
#define KX_CLIENT_ADMIN_COMMANDS_H

#include "client/admin/args.h"

struct print;

enum exit_code command_log_verify(const struct args *args);
enum exit_code command_log_dump(const struct args *args);
enum exit_code command_log_repair(const struct args *args);
enum exit_code command_store_verify(const struct args *args);
enum exit_code command_store_dump(const struct args *args);
enum exit_code command_store_repair(const struct args *args);

/* Says on standard error what went wrong and what to do; returns the exit code for the error. */
enum exit_code command_failed(int error, const char *why);
/* Prints what is left of the rows; `code`, unless that fails. */
enum exit_code command_finish(struct print *print, enum exit_code code);

#endif
