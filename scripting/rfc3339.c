#include "scripting/rfc3339.h"

struct cursor {
	const uint8_t *at, *end;
	bool failed;
};

static int64_t digits(struct cursor *cursor, int count)
{
	int64_t value = 0;
	for (int i = 0; i < count; i++) {
		if (cursor->at == cursor->end || *cursor->at < '0' || *cursor->at > '9') {
			cursor->failed = true;
			return 0;
		}
		value = value * 10 + (*cursor->at++ - '0');
	}
	return value;
}

/* One of the letters, lower or upper case. */
static uint8_t letter(struct cursor *cursor, const char *letters)
{
	uint8_t byte = cursor->at < cursor->end ? *cursor->at : 0;
	if (byte >= 'a' && byte <= 'z')
		byte = (uint8_t)(byte - 'a' + 'A');
	if (byte == 0 || !strchr(letters, byte)) {
		cursor->failed = true;
		return 0;
	}
	cursor->at++;
	return byte;
}

static int64_t fraction_ms(struct cursor *cursor)
{
	if (cursor->at == cursor->end || *cursor->at != '.')
		return 0;
	cursor->at++;
	int64_t ms = 0, scale = 100;
	const uint8_t *begin = cursor->at;
	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
		ms += (*cursor->at++ - '0') * scale;
		scale /= 10;
	}
	if (cursor->at == begin)
		cursor->failed = true;
	return ms;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01 in the Gregorian calendar, counted from a 1st of March, so that the leap
 * day is a year's last (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
	if (month <= 2)
		year--;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

int rfc3339_parse(struct slice text, int64_t *ret_ms)
{
	if (text.bytes == 0)
		return ERR_INVALID;
	struct cursor cursor = {.at = text.data, .end = text.data + text.bytes, .failed = false};
	int64_t year = digits(&cursor, 4);
	letter(&cursor, "-");
	int64_t month = digits(&cursor, 2);
	letter(&cursor, "-");
	int64_t day = digits(&cursor, 2);
	letter(&cursor, "T ");
	int64_t hour = digits(&cursor, 2);
	letter(&cursor, ":");
	int64_t minute = digits(&cursor, 2);
	letter(&cursor, ":");
	int64_t second = digits(&cursor, 2);
	int64_t ms = fraction_ms(&cursor);
	uint8_t zone = letter(&cursor, "Z+-");
	int64_t offset_minutes = 0;
	if (zone != 'Z') {
		int64_t hours = digits(&cursor, 2);
		letter(&cursor, ":");
		int64_t minutes = digits(&cursor, 2);
		if (hours > 23 || minutes > 59)
			return ERR_INVALID;
		offset_minutes = (hours * 60 + minutes) * (zone == '-' ? -1 : 1);
	}
	if (cursor.failed || cursor.at != cursor.end)
		return ERR_INVALID;
	if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return ERR_INVALID;
	if (hour > 23 || minute > 59 || second > 60)
		return ERR_INVALID;
	if (second == 60)
		second = 59;
	int64_t minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute;
	*ret_ms = ((minutes - offset_minutes) * 60 + second) * 1000 + ms;
	return 0;
}
