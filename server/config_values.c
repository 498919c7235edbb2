/* The keys of the configuration: names, and values as texts. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/limits.h"
#include "base/wire/address.h"
#include "server/config_parts.h"

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
#define X(name, kind, initial, value, what)                                                        \
	{#name, KIND_##kind, offsetof(struct config, name), initial, value, what},
    CONFIG_LIST(X)
#undef X
};

/* ---- Values ---- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value) || value > max)
			return false;
	if (at == text)
		return false;
	*ret_value = value;
	*ret_end = at;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static bool parse_with_unit(
    const char *text, const struct unit *units, size_t count, uint64_t *ret_value)
{
	const char *unit;
	uint64_t value;
	if (!parse_number(text, UINT64_MAX, &value, &unit))
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(unit, units[i].name) == 0)
			return !__builtin_mul_overflow(value, units[i].factor, ret_value);
	return false;
}

static bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
	    {"", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"k", KIB}, {"m", MIB}, {"g", GIB}};
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_bytes) &&
	       *ret_bytes <= 1024 * GIB;
}

static bool parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct unit units[] = {
	    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_ms) &&
	       *ret_ms <= UINT64_C(86400000) * 365;
}

bool config_parse_boolean(const char *text, bool *ret_value)
{
	static const char *const words[2][4] = {
	    {"false", "no", "off", "0"}, {"true", "yes", "on", "1"}};
	for (int value = 0; value < 2; value++)
		for (int i = 0; i < 4; i++)
			if (strcmp(text, words[value][i]) == 0) {
				*ret_value = value == 1;
				return true;
			}
	return false;
}

const char *config_set(struct config *config, const struct config_key *key, const char *text)
{
	void *field = (char *)config + key->offset;
	const char *end;
	uint64_t number;
	switch (key->kind) {
	case KIND_TEXT:
		if (strlen(text) >= CONFIG_TEXT_BYTES)
			return "a shorter text";
		memcpy(field, text, strlen(text) + 1);
		return NULL;
	case KIND_BOOLEAN:
		return config_parse_boolean(text, field) ? NULL : "true or false";
	case KIND_PORT:
		if (!parse_number(text, UINT16_MAX, &number, &end) || *end)
			return "a port, 0 to 65535";
		*(uint16_t *)field = (uint16_t)number;
		return NULL;
	case KIND_NUMBER:
		if (!parse_number(text, UINT32_MAX, &number, &end) || *end)
			return "a number";
		*(uint32_t *)field = (uint32_t)number;
		return NULL;
	case KIND_SIZE:
		return parse_size(text, field) ? NULL : "a size, for example 64MiB";
	case KIND_DURATION:
		return parse_duration(text, field) ? NULL : "a time, for example 30s";
	}
	return "a known key";
}

/* ---- Names ---- */

int config_refuse(char *why, size_t why_bytes, const char *format, ...)
{
	va_list values;
	va_start(values, format);
	vsnprintf(why, why_bytes, format, values);
	va_end(values);
	return ERR_INVALID;
}

const struct config_key *config_find(struct slice name)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		if (slice_equal(name, slice_from_text(config_keys[i].name)))
			return &config_keys[i];
	return NULL;
}

void config_suggest(struct slice name, const char *before, char text[64])
{
	struct slice names[CONFIG_KEY_COUNT];
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		names[i] = slice_from_text(config_keys[i].name);
	int nearest = name_nearest(name, names, CONFIG_KEY_COUNT);
	text[0] = 0;
	if (nearest < 0)
		return;
	snprintf(text, 64, ", did you mean '%s%s'?", before, config_keys[nearest].name);
	for (char *at = text + 2; before[0] && *at; at++)
		if (*at == '_')
			*at = '-';
}

/* ---- While the server runs ---- */

bool config_key_changeable(size_t key)
{
	static const size_t which[] = {
#define X(name) CONFIG_KEY_##name,
	    CONFIG_CHANGEABLE(X)
#undef X
	};
	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++)
		if (which[i] == key)
			return true;
	return false;
}

int config_key_find(struct slice name, size_t *ret_key, char *why, size_t why_bytes)
{
	char text[64] = "", suggestion[64];
	for (size_t i = 0; i < name.bytes && i + 1 < sizeof(text); i++)
		text[i] = (char)(name.data[i] == '-' ? '_' : name.data[i]);
	const struct config_key *key =
	    name.bytes < sizeof(text) ? config_find(slice_from_text(text)) : NULL;
	if (key) {
		*ret_key = (size_t)(key - config_keys);
		return 0;
	}
	config_suggest(slice_from_text(text), "", suggestion);
	return config_refuse(
	    why, why_bytes, "there is no key of this name in kalix.conf%s", suggestion);
}

const char *config_key_name(size_t key)
{
	return config_keys[key].name;
}

static void with_unit(
    uint64_t value, const struct unit *units, size_t count, char *text, size_t text_bytes)
{
	size_t best = 0;
	for (size_t i = 1; i < count; i++)
		if (value > 0 && value % units[i].factor == 0 &&
		    units[i].factor >= units[best].factor)
			best = i;
	snprintf(text, text_bytes, "%" PRIu64 "%s", value / units[best].factor, units[best].name);
}

void config_value_text(const struct config *config, size_t key, char text[CONFIG_TEXT_BYTES])
{
	static const struct unit sizes[] = {{"", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}};
	static const struct unit times[] = {
	    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const void *field = (const char *)config + config_keys[key].offset;
	switch (config_keys[key].kind) {
	case KIND_TEXT:
		memcpy(text, field, strlen(field) + 1);
		return;
	case KIND_BOOLEAN:
		snprintf(text, CONFIG_TEXT_BYTES, "%s", *(const bool *)field ? "true" : "false");
		return;
	case KIND_PORT:
		snprintf(text, CONFIG_TEXT_BYTES, "%u", *(const uint16_t *)field);
		return;
	case KIND_NUMBER:
		snprintf(text, CONFIG_TEXT_BYTES, "%" PRIu32, *(const uint32_t *)field);
		return;
	case KIND_SIZE:
		with_unit(*(const uint64_t *)field, sizes, 4, text, CONFIG_TEXT_BYTES);
		return;
	case KIND_DURATION:
		with_unit(*(const uint64_t *)field, times, 5, text, CONFIG_TEXT_BYTES);
		return;
	}
}

int config_change(struct config *config, size_t key, const char *text, char *why, size_t why_bytes)
{
	struct config changed = *config;
	const char *expected = config_set(&changed, &config_keys[key], text);
	if (expected)
		return config_refuse(why, why_bytes, "%s: expected %s, got '%.64s'",
		    config_keys[key].name, expected, text);
	int error = config_fits(&changed, why, why_bytes);
	/* That field alone: others of it may be read meanwhile. */
	if (!error)
		(void)config_set(config, &config_keys[key], text);
	return error;
}
