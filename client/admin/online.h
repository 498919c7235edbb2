/* A running server, as the commands of kalix-admin see it: one command out, one JSON text back.
 */
#ifndef KX_CLIENT_ADMIN_ONLINE_H
#define KX_CLIENT_ADMIN_ONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/slice.h"
#include "client/admin/args.h"
#include "client/kalix.h"

#define ONLINE_WORDS_MAX 96

struct online {
	const struct args *args;
	const char *node;
	kalix *k;
	kalix_reply *reply; /* of the last command */
	int code;           /* and what it ended with */
	size_t count;
	const char *words[ONLINE_WORDS_MAX];
	size_t bytes[ONLINE_WORDS_MAX];
};

/* Connects to --node, KALIX_NODE or 127.0.0.1:7470, and sees that a server answers. Another code
 * than EXIT_DONE was said on standard error. online_done after any. */
enum exit_code online_open(const struct args *args, struct online *ret_online);
void online_done(struct online *online);
/* Names the server and opens a client of it, and says nothing: a code of libkalix. *ret_host: what
 * it is called, without a password; *ret_named: it was asked for, and is not the default. */
int online_connect(
    const struct args *args, struct online *ret_online, const char **ret_host, bool *ret_named);

/* The words of the next command; they stay the caller's until online_run. */
void online_word(struct online *online, const char *word);
void online_bytes(struct online *online, struct slice word);
void online_option(struct online *online, const char *name, const char *value); /* NULL: left out */

/* Sends it. EXIT_DONE: online->reply is its JSON. Else the error was said, with its details. */
enum exit_code online_run(struct online *online);
/* The same, again and again while the server cannot do it, as in the seconds in which another node
 * begins to lead: for ten seconds at most, or as long as --timeout says, and said on standard error
 * after one. online_change: where surely nothing was done. online_read: also where nobody knows
 * whether it was; for what reads, and what is the same when it is done twice. */
enum exit_code online_change(struct online *online);
enum exit_code online_read(struct online *online);
/* The server's code says that it may be otherwise in a moment. */
bool online_may_come(int code);
/* On standard error: "trying again, for 9 s at most: UNAVAILABLE: ..." */
void online_say_again(const struct online *online, uint64_t left_ms);
/* The two halves of it: sends it, and gives the server's code (enum kalix_code); says what is wrong
 * with the answer, if anything is. */
int online_try(struct online *online);
enum exit_code online_said(const struct online *online);
const char *online_json(const struct online *online);
enum exit_code online_exit(int code);
/* A line for each of `diagnostics` ({file, line, text}, ...) from `first` on: file, line, severity
 * and text. */
void online_diagnostics(FILE *to, struct slice diagnostics, unsigned first, const char *severity);

/* Prints the last reply: as it is (json), element by element (jsonl), or as a table: of an array
 * the members named by `columns` of each object, of an object a line for each member. Columns NULL:
 * always the latter. */
enum exit_code online_print(
    const struct online *online, const char *const *columns, unsigned column_count);
/* Of a reply {NAME: [..], cursor}: the elements of the array as rows, then how to go on. As it is
 * (json), or element by element, then {"cursor":..} (jsonl). Columns that are empty in every row
 * are left out; elements that are no objects are the first column. */
enum exit_code online_print_member(const struct online *online, const char *name,
    const char *const *columns, unsigned column_count);

#endif
