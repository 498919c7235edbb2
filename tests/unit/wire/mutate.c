#include "tests/unit/wire/mutate.h"

#include <stdlib.h>

static uint8_t pick_byte(struct slice alphabet, struct random *random)
{
	if (random_chance(random, 1, 4))
		return (uint8_t)random_u64(random);
	return alphabet.data[random_below(random, alphabet.bytes)];
}

static void mutate_once(struct buffer *text, struct slice alphabet, struct random *random)
{
	size_t bytes = buffer_bytes(text);
	if (bytes == 0)
		return;
	uint8_t *data = text->data + text->begin;
	size_t at = random_below(random, bytes);
	size_t span = random_below(random, bytes - at < 8 ? bytes - at : 8) + 1;
	switch (random_below(random, 5)) {
	case 0:
		data[at] = pick_byte(alphabet, random);
		break;
	case 1: /* remove a span */
		memmove(data + at, data + at + span, bytes - at - span);
		buffer_truncate(text, bytes - span);
		break;
	case 2: { /* insert a byte */
		uint8_t byte = pick_byte(alphabet, random);
		if (buffer_append_u8(text, 0))
			abort();
		data = text->data + text->begin;
		memmove(data + at + 1, data + at, bytes - at);
		data[at] = byte;
		break;
	}
	case 3: /* copy a span over another */
		memmove(data + random_below(random, bytes - span + 1), data + at, span);
		break;
	case 4:
		buffer_truncate(text, at);
		break;
	}
}

void mutate(struct buffer *text, struct slice alphabet, struct random *random)
{
	uint64_t times = random_below(random, 4) + 1;
	for (uint64_t i = 0; i < times; i++)
		mutate_once(text, alphabet, random);
}
