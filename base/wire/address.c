#include "base/wire/address.h"

#include "base/limits.h"
#include "base/wire/utf8.h"

bool name_valid(struct slice name)
{
	if (name.bytes == 0 || name.bytes > NAME_BYTES_MAX)
		return false;
	if (name.data[0] < 'a' || name.data[0] > 'z')
		return false;
	for (size_t i = 1; i < name.bytes; i++) {
		uint8_t c = name.data[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

/* C0, DEL, and C1, which UTF-8 writes as c2 80 to c2 9f. */
static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		uint8_t c = text.data[i];
		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < text.bytes && text.data[i + 1] < 0xa0)
			return true;
	}
	return false;
}

/* Printable ASCII, as nearly all are. */
static bool is_plain(struct slice text)
{
	bool plain = true;
	for (size_t i = 0; i < text.bytes; i++)
		plain &= text.data[i] >= 0x20 && text.data[i] < 0x7f;
	return plain;
}

static const char *what_is_wrong(struct slice text, const uint8_t *slash)
{
	if (!slash)
		return "an address is type/id, for example cart/c1";
	struct slice type = slice_of(text.data, (size_t)(slash - text.data));
	if (!name_valid(type))
		return "the type of an address is a lower-case letter and up to 63 of a-z 0-9 _";
	struct slice id = slice_of(slash + 1, text.bytes - type.bytes - 1);
	if (id.bytes == 0)
		return "the id behind the '/' of an address is empty";
	if (id.bytes > ID_BYTES_MAX)
		return "the id of an address is longer than 512 bytes";
	if (is_plain(id))
		return NULL;
	if (!utf8_valid(id))
		return "the id of an address is not UTF-8";
	if (has_control(id))
		return "the id of an address has control characters";
	return NULL;
}

int address_parse(struct slice text, struct address *ret_address, const char **ret_why)
{
	const uint8_t *slash = text.bytes ? memchr(text.data, '/', text.bytes) : NULL;
	const char *why = what_is_wrong(text, slash);
	if (why) {
		if (ret_why)
			*ret_why = why;
		return ERR_INVALID;
	}
	size_t type_bytes = (size_t)(slash - text.data);
	ret_address->text = text;
	ret_address->type = slice_of(text.data, type_bytes);
	ret_address->id = slice_of(slash + 1, text.bytes - type_bytes - 1);
	return 0;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance with one row; both at most NAME_BYTES_MAX. */
static size_t edit_distance(struct slice a, struct slice b)
{
	size_t row[NAME_BYTES_MAX + 1];
	for (size_t j = 0; j <= b.bytes; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.bytes; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.bytes; j++) {
			size_t changed = diagonal + (a.data[i - 1] != b.data[j - 1]);
			diagonal = row[j];
			row[j] = least(changed, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.bytes];
}

int name_nearest(struct slice name, const struct slice *names, int count)
{
	int nearest = -1;
	size_t nearest_distance = SIZE_MAX;
	if (name.bytes > NAME_BYTES_MAX)
		return -1;
	for (int i = 0; i < count; i++) {
		if (names[i].bytes > NAME_BYTES_MAX)
			continue;
		size_t longer = name.bytes > names[i].bytes ? name.bytes : names[i].bytes;
		size_t distance = edit_distance(name, names[i]);
		/* One slip in three letters, as in additem for add_item; never another letter. */
		if (distance * 3 <= longer + 2 && distance < longer &&
		    distance < nearest_distance) {
			nearest = i;
			nearest_distance = distance;
		}
	}
	return nearest;
}
