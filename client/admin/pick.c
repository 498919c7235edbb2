#include "client/admin/pick.h"

#include "base/wire/json.h"

static struct slice value_read(struct json_reader *in, struct slice text)
{
	size_t begin = json_token_offset(in);
	if (json_skip(in))
		return slice_of(NULL, 0);
	return slice_of(text.data + begin, json_offset(in) - begin);
}

bool pick_member(struct slice object, const char *name, struct slice *ret_value)
{
	struct json_reader in;
	enum json_token token;
	json_reader_init(&in, object, NULL, JSON_DEPTH_MAX);
	if (json_next(&in, &token) || token != JSON_OBJECT_BEGIN)
		return false;
	while (json_next(&in, &token) == 0 && token == JSON_KEY) {
		bool wanted = slice_equal(in.text, slice_from_text(name));
		if (json_next(&in, &token))
			return false;
		struct slice value = value_read(&in, object);
		if (wanted) {
			*ret_value = value;
			return value.bytes > 0;
		}
	}
	return false;
}

uint64_t pick_number(struct slice object, const char *name)
{
	struct slice text;
	uint64_t value = 0;
	if (!pick_member(object, name, &text))
		return 0;
	for (size_t i = 0; i < text.bytes; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return 0;
		value = value * 10 + (text.data[i] - '0');
	}
	return value;
}

bool pick_true(struct slice object, const char *name)
{
	struct slice text;
	return pick_member(object, name, &text) && slice_equal(text, slice_from_text("true"));
}

struct slice pick_text(struct slice object, const char *name)
{
	struct slice text;
	if (!pick_member(object, name, &text) || text.bytes < 2 || text.data[0] != '"')
		return slice_of(NULL, 0);
	return slice_of(text.data + 1, text.bytes - 2);
}

bool pick_element(struct slice array, size_t *offset, struct slice *ret_value)
{
	struct json_reader in;
	enum json_token token;
	size_t at = *offset;
	if (at == 0) {
		if (array.bytes == 0 || array.data[0] != '[')
			return false;
		at = 1;
	}
	if (at < array.bytes && array.data[at] == ',')
		at++;
	if (at >= array.bytes || array.data[at] == ']')
		return false;
	struct slice rest = slice_of(array.data + at, array.bytes - at);
	json_reader_init(&in, rest, NULL, JSON_DEPTH_MAX);
	if (json_next(&in, &token))
		return false;
	struct slice value = value_read(&in, rest);
	*offset = at + value.bytes;
	*ret_value = value;
	return value.bytes > 0;
}

bool pick_numbered(struct slice object, const char *name, const char *key, uint64_t number,
    struct slice *ret_value)
{
	struct slice array, value;
	size_t at = 0;
	if (!pick_member(object, name, &array))
		return false;
	while (pick_element(array, &at, &value)) {
		if (pick_number(value, key) != number)
			continue;
		*ret_value = value;
		return true;
	}
	return false;
}
