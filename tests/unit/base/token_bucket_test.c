/* Rates: nothing goes too early, and nothing is lost. */
#include "tests/unit/base/suites.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/token_bucket.h"

enum { BEGIN_NS = 12345 };

START_TEST(a_full_one_is_open_and_an_empty_one_opens_in_time)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, BEGIN_NS, 1000, 10);
	ck_assert(token_bucket_is_open(&bucket, BEGIN_NS));
	token_bucket_take(&bucket, 9);
	ck_assert(token_bucket_is_open(&bucket, BEGIN_NS));
	token_bucket_take(&bucket, 1);
	ck_assert(!token_bucket_is_open(&bucket, BEGIN_NS));
	uint64_t opens_ns = token_bucket_opens_ns(&bucket);
	ck_assert_uint_eq(opens_ns, BEGIN_NS + NS_PER_MS);
	ck_assert(!token_bucket_is_open(&bucket, opens_ns - 1));
	ck_assert(token_bucket_is_open(&bucket, opens_ns));
	token_bucket_take(&bucket, 1);
	ck_assert(!token_bucket_is_open(&bucket, opens_ns));
}
END_TEST

START_TEST(what_is_larger_goes_and_is_paid_for)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, BEGIN_NS, 1000, 10);
	token_bucket_take(&bucket, 60010);
	/* A minute of it is owed, however seldom somebody looks. */
	ck_assert(!token_bucket_is_open(&bucket, BEGIN_NS + 60 * NS_PER_S));
	ck_assert_uint_eq(token_bucket_opens_ns(&bucket), BEGIN_NS + 60 * NS_PER_S + NS_PER_MS);
	ck_assert(token_bucket_is_open(&bucket, BEGIN_NS + 60 * NS_PER_S + NS_PER_MS));
}
END_TEST

START_TEST(a_pause_gains_no_more_than_it_holds)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, BEGIN_NS, 1000, 10);
	uint64_t now_ns = BEGIN_NS + 3600 * NS_PER_S;
	ck_assert(token_bucket_is_open(&bucket, now_ns));
	token_bucket_take(&bucket, 10);
	ck_assert(!token_bucket_is_open(&bucket, now_ns));
}
END_TEST

/* Whoever looks all the time gains as much as who looks once. */
START_TEST(parts_of_tokens_add_up)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, 0, 3, 1000);
	token_bucket_take(&bucket, 1000 + 299);
	uint64_t now_ns = 0;
	while (!token_bucket_is_open(&bucket, now_ns))
		now_ns += 999983; /* about a millisecond, and no part of a token's time */
	ck_assert_uint_ge(now_ns, 100 * NS_PER_S);
	ck_assert_uint_le(now_ns, 100 * NS_PER_S + 999983);
}
END_TEST

START_TEST(another_rate_holds_from_now_on)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, 0, 1000, 1000);
	token_bucket_take(&bucket, 4000);
	/* A third of what is owed is paid, and the rest costs twice the time. */
	token_bucket_set(&bucket, NS_PER_S, 500, 500);
	ck_assert(!token_bucket_is_open(&bucket, 5 * NS_PER_S));
	ck_assert_uint_eq(token_bucket_opens_ns(&bucket), 5 * NS_PER_S + 2 * NS_PER_MS);
	/* And less is held. */
	ck_assert(token_bucket_is_open(&bucket, 60 * NS_PER_S));
	token_bucket_set(&bucket, 60 * NS_PER_S, 500, 5);
	token_bucket_take(&bucket, 5);
	ck_assert(!token_bucket_is_open(&bucket, 60 * NS_PER_S));
}
END_TEST

START_TEST(without_a_limit_it_is_always_open)
{
	struct token_bucket bucket;
	token_bucket_init(&bucket, 0, TOKEN_BUCKET_UNLIMITED, 1);
	for (int i = 0; i < 100; i++) {
		ck_assert(token_bucket_is_open(&bucket, 7));
		token_bucket_take(&bucket, UINT64_C(1) << 40);
		ck_assert_uint_le(token_bucket_opens_ns(&bucket), 7);
	}
	/* What went then is not owed. */
	token_bucket_set(&bucket, 7, 1000, 10);
	ck_assert(token_bucket_is_open(&bucket, 7));
}
END_TEST

/* The promise of the header, at random times, with random amounts. */
START_TEST(no_more_goes_than_is_promised)
{
	struct random random;
	random_init(&random, (uint64_t)_i);
	uint64_t per_s = 1 + random_below(&random, 100000), most = 1 + random_below(&random, 1000);
	uint64_t now_ns = BEGIN_NS, taken = 0, largest = 0;
	struct token_bucket bucket;
	token_bucket_init(&bucket, now_ns, per_s, most);
	for (int i = 0; i < 10000; i++) {
		if (random_below(&random, 4) == 0 && token_bucket_opens_ns(&bucket) > now_ns)
			now_ns = token_bucket_opens_ns(&bucket);
		else
			now_ns += random_below(&random, 3 * NS_PER_MS);
		if (!token_bucket_is_open(&bucket, now_ns))
			continue;
		uint64_t count = 1 + random_below(&random, 2000);
		token_bucket_take(&bucket, count);
		taken += count;
		largest = count > largest ? count : largest;
		uint64_t gained = (uint64_t)((__uint128_t)(now_ns - BEGIN_NS) * per_s / NS_PER_S);
		ck_assert_uint_le(taken, gained + most + largest);
	}
	ck_assert_uint_gt(taken, 0);
}
END_TEST

Suite *token_bucket_suite(void)
{
	Suite *suite = suite_create("token_bucket");
	TCase *tcase = tcase_create("token_bucket");
	tcase_add_test(tcase, a_full_one_is_open_and_an_empty_one_opens_in_time);
	tcase_add_test(tcase, what_is_larger_goes_and_is_paid_for);
	tcase_add_test(tcase, a_pause_gains_no_more_than_it_holds);
	tcase_add_test(tcase, parts_of_tokens_add_up);
	tcase_add_test(tcase, another_rate_holds_from_now_on);
	tcase_add_test(tcase, without_a_limit_it_is_always_open);
	tcase_add_loop_test(tcase, no_more_goes_than_is_promised, 0, 20);
	suite_add_tcase(suite, tcase);
	return suite;
}
