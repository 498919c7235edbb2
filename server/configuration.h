/* The configuration of kalixd: kalix.conf, then flags, which win. Pure but for reading the file.
 * Before threads start. */
#ifndef KX_SERVER_CONFIGURATION_H
#define KX_SERVER_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/slice.h"
#include "server/config_list.h"

#define CONFIG_TEXT_BYTES 1024
#define CONFIG_WHY_BYTES  512
#define CONFIG_CORES_MAX  256

struct config {
#define CONFIG_FIELD_TEXT(name)     char name[CONFIG_TEXT_BYTES];
#define CONFIG_FIELD_BOOLEAN(name)  bool name;
#define CONFIG_FIELD_PORT(name)     uint16_t name;
#define CONFIG_FIELD_NUMBER(name)   uint32_t name;
#define CONFIG_FIELD_SIZE(name)     uint64_t name; /* bytes */
#define CONFIG_FIELD_DURATION(name) uint64_t name; /* milliseconds */
#define X(name, kind, ...)          CONFIG_FIELD_##kind(name)
	CONFIG_LIST(X)
#undef X
};

enum {
#define X(name, ...) CONFIG_KEY_##name,
	CONFIG_LIST(X)
#undef X
	    CONFIG_KEY_COUNT
};

/* Where a value came from; SET: changed while the server runs. */
enum config_from { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_FLAG, CONFIG_FROM_SET };

struct config_origin {
	enum config_from from;
	int line; /* of the file; 0: it is not from there */
};

struct config_origins {
	struct config_origin of[CONFIG_KEY_COUNT]; /* in the order of CONFIG_LIST */
	char file[CONFIG_TEXT_BYTES];              /* "": none was read */
};

enum config_wish { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/* Everything: defaults, the file that --config names, the flags; then what does not fit together is
 * refused. ERR_INVALID: `why` (CONFIG_WHY_BYTES) says what and where, with a suggestion. */
NODISCARD int config_read(int argc, char **argv, struct config *ret_config,
    struct config_origins *ret_origins, enum config_wish *ret_wish, char *why, size_t why_bytes);

/* A file alone, as kalixd would read it, but that `data` may be absent. *ret_keys: how many it
 * sets. Errors as above. */
NODISCARD int config_check_file(
    const char *path, struct config *ret_config, size_t *ret_keys, char *why, size_t why_bytes);

/* ---- One key, a number below CONFIG_KEY_COUNT ---- */

/* By its name, '-' for '_' allowed. ERR_INVALID: `why` has what may have been meant. */
NODISCARD int config_key_find(struct slice name, size_t *ret_key, char *why, size_t why_bytes);
const char *config_key_name(size_t key);
/* While the server runs. */
bool config_key_changeable(size_t key);
/* As a file would have it. */
void config_value_text(const struct config *config, size_t key, char text[CONFIG_TEXT_BYTES]);
/* ERR_INVALID: it is no value of the key, or does not fit the others; nothing has changed. */
NODISCARD int config_change(
    struct config *config, size_t key, const char *text, char *why, size_t why_bytes);

void config_print_help(FILE *to);

/* One of `join`: HOST:PORT, an address of IPv6 in brackets. False: it is none. */
bool config_peer_split(struct slice text, char *host, size_t host_bytes, uint16_t *ret_port);

/* Loopback is what nobody on another machine reaches. */
bool config_is_loopback(const char *address);

#endif
