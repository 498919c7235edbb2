#include "base/wire/duration.h"

#define DAY_MS UINT64_C(86400000)

int duration_parse(struct slice text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
	size_t digits = 0;
	uint64_t number = 0;
	while (digits < text.bytes && text.data[digits] >= '0' && text.data[digits] <= '9') {
		number = number * 10 + (uint64_t)(text.data[digits++] - '0');
		/* So that no unit makes it more than an int64_t. */
		if (number > INT64_MAX / DAY_MS)
			return ERR_INVALID;
	}
	if (digits == 0)
		return ERR_INVALID;
	struct slice unit = slice_of(text.data + digits, text.bytes - digits);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (slice_equal(unit, slice_from_text(units[i].unit))) {
			*ret_ms = number * units[i].ms;
			return 0;
		}
	return ERR_INVALID;
}
