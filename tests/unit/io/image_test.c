/* The bytes of simulated files, against a flat array. */
#include "tests/unit/io/suites.h"

#include <string.h>

#include "base/io/sim/image.h"
#include "base/io/sim/sim.h"

enum {
	BYTES_MAX = 5 * IMAGE_PAGE_BYTES + 77,
	STEPS = 3000,
};

struct pair {
	struct image image;
	uint8_t flat[BYTES_MAX];
	uint64_t bytes;
};

static void check_equal(const struct pair *pair)
{
	static uint8_t read[BYTES_MAX + 10];
	ck_assert_uint_eq(pair->image.bytes, pair->bytes);
	ck_assert_uint_eq(image_read(&pair->image, 0, read, sizeof(read)), pair->bytes);
	ck_assert_int_eq(memcmp(read, pair->flat, (size_t)pair->bytes), 0);
}

static void resize(struct pair *pair, uint64_t bytes)
{
	image_resize(&pair->image, bytes);
	if (bytes < pair->bytes)
		memset(pair->flat + bytes, 0, BYTES_MAX - (size_t)bytes);
	pair->bytes = bytes;
}

static void write_random(struct sim *sim, struct pair *pair)
{
	uint8_t data[BYTES_MAX];
	uint64_t offset = sim_random_below(sim, pair->bytes + 1);
	uint64_t bytes = sim_random_below(sim, pair->bytes - offset + 1);
	bool zeros = sim_random_below(sim, 3) == 0;
	memset(data, zeros ? 0 : (int)sim_random_below(sim, 255) + 1, (size_t)bytes);
	image_write(&pair->image, offset, zeros ? NULL : data, bytes);
	memcpy(pair->flat + offset, data, (size_t)bytes);
}

START_TEST(images_behave_as_flat_bytes)
{
	static struct pair pairs[3];
	struct sim *sim = sim_new(5, NULL);
	for (int step = 0; step < STEPS; step++) {
		struct pair *pair = &pairs[sim_random_below(sim, 3)];
		const struct pair *other = &pairs[sim_random_below(sim, 3)];
		switch (sim_random_below(sim, 6)) {
		case 0:
			resize(pair, sim_random_below(sim, BYTES_MAX + 1));
			break;
		case 1:
			if (pair == other)
				break;
			image_copy(&pair->image, &other->image);
			memcpy(pair->flat, other->flat, BYTES_MAX);
			pair->bytes = other->bytes;
			break;
		default:
			write_random(sim, pair);
		}
		for (size_t i = 0; i < 3; i++)
			check_equal(&pairs[i]);
	}
	for (size_t i = 0; i < 3; i++)
		image_done(&pairs[i].image);
	sim_free(sim);
}
END_TEST

Suite *image_suite(void)
{
	Suite *suite = suite_create("image");
	TCase *tcase = tcase_create("image");
	tcase_add_test(tcase, images_behave_as_flat_bytes);
	suite_add_tcase(suite, tcase);
	return suite;
}
