/* What the files of the configuration share: the table of keys. Private to server/config*.c. */
#ifndef KX_SERVER_CONFIG_PARTS_H
#define KX_SERVER_CONFIG_PARTS_H

#include "base/slice.h"
#include "server/configuration.h"

enum kind { KIND_TEXT, KIND_BOOLEAN, KIND_PORT, KIND_NUMBER, KIND_SIZE, KIND_DURATION };

struct config_key {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *initial, *value, *what;
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* ---- config_values.c ---- */

bool config_parse_boolean(const char *text, bool *ret_value);
/* NULL, or what was expected; then nothing has changed. */
const char *config_set(struct config *config, const struct config_key *key, const char *text);
const struct config_key *config_find(struct slice name);
/* ", did you mean 'port'?", or "". As a flag where `before` is "--". */
void config_suggest(struct slice name, const char *before, char text[64]);
__attribute__((format(printf, 3, 4))) int config_refuse(
    char *why, size_t why_bytes, const char *format, ...);

/* ---- config_text.c ---- */

/* Comments become spaces; lines stay where they are. NULL, or what is wrong, in which line. */
const char *config_text_prepare(char *text, int *ret_line);

/* ---- configuration.c ---- */

/* What does not fit together is ERR_INVALID; the text begins with the name of a key. */
NODISCARD int config_fits(const struct config *config, char *why, size_t why_bytes);

#endif
