#include "tests/unit/base/suites.h"

#include "base/log_line.h"
#include "base/log_ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct buffer out;
static struct log_ring_read got;

static void drop(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void start(void)
{
	log_line_set_sink(drop, NULL);
	buffer_init(&out, (size_t)8 << 20);
	ck_assert_int_eq(log_ring_start(), 0);
}

static void stop(void)
{
	log_ring_stop();
	buffer_done(&out);
	log_line_set_sink(NULL, NULL);
}

static void say(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		LOG_LINE(LEVEL_INFO, "said", FIELD_U64("n", i));
}

/* How many lines there are, each of which has the number that it says. */
static uint64_t read_from(uint64_t from, uint32_t lines, size_t bytes)
{
	uint64_t count = 0;
	buffer_done(&out);
	buffer_init(&out, (size_t)8 << 20);
	ck_assert_int_eq(log_ring_read(from, lines, bytes, &out, &got), 0);
	struct slice text = buffer_view(&out);
	/* Each line begins with its time, of 24 characters. */
	for (size_t i = 0; i < text.bytes; count++) {
		const char *line = (const char *)text.data + i;
		const char *end = memchr(line, '\n', text.bytes - i);
		ck_assert_ptr_nonnull(end);
		ck_assert_int_gt(end - line, 24 + 13);
		ck_assert_int_eq(memcmp(line + 24, " info said n=", 13), 0);
		ck_assert_uint_eq(strtoull(line + 24 + 13, NULL, 10), got.first + count);
		i += (size_t)(end - line) + 1;
	}
	ck_assert_uint_eq(got.next, got.first + count);
	return count;
}

START_TEST(the_newest_lines_are_read)
{
	ck_assert_uint_eq(read_from(0, 10, 1 << 20), 0);
	ck_assert_uint_eq(got.next, 1);
	say(1, 5);
	ck_assert_uint_eq(read_from(0, 10, 1 << 20), 5);
	ck_assert_uint_eq(read_from(0, 2, 1 << 20), 2);
	ck_assert_uint_eq(got.first, 4);
	ck_assert_uint_eq(read_from(0, 10, 1), 1);
}
END_TEST

START_TEST(a_reader_goes_on_where_it_was)
{
	say(1, 3);
	ck_assert_uint_eq(read_from(2, 1, 1 << 20), 1);
	ck_assert_uint_eq(got.next, 3);
	ck_assert_uint_eq(read_from(got.next, 10, 1 << 20), 1);
	ck_assert_uint_eq(read_from(got.next, 10, 1 << 20), 0);
	ck_assert_uint_eq(got.next, 4);
	say(4, 4);
	ck_assert_uint_eq(read_from(got.next, 10, 1 << 20), 1);
	ck_assert_uint_eq(read_from(900, 10, 1 << 20), 0);
	ck_assert_uint_eq(got.next, 5);
}
END_TEST

START_TEST(old_lines_go_and_the_reader_sees_it)
{
	say(1, 100000);
	uint64_t kept = read_from(1, 1000000, (size_t)4 << 20);
	ck_assert_uint_gt(got.first, 1);
	ck_assert_uint_eq(got.next, 100001);
	ck_assert_uint_le(buffer_bytes(&out), LOG_RING_BYTES + 1);
	ck_assert_uint_gt(buffer_bytes(&out), LOG_RING_BYTES - 4096);
	ck_assert_uint_gt(kept, 1000);
}
END_TEST

static void *say_many(void *arg)
{
	(void)arg;
	say(1, 20000);
	return NULL;
}

START_TEST(threads_do_not_mix_their_lines)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, say_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(log_ring_read(1, 1000000, (size_t)4 << 20, &out, &got), 0);
	ck_assert_uint_eq(got.next, 80001);
	struct slice text = buffer_view(&out);
	uint64_t lines = 0;
	for (size_t i = 0; i < text.bytes; lines++) {
		ck_assert_int_eq(memcmp(text.data + i + 24, " info said n=", 13), 0);
		const uint8_t *end = memchr(text.data + i, '\n', text.bytes - i);
		i = (size_t)(end - text.data) + 1;
	}
	ck_assert_uint_eq(lines, got.next - got.first);
}
END_TEST

Suite *log_ring_suite(void)
{
	Suite *suite = suite_create("log_ring");
	TCase *tcase = tcase_create("log_ring");
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, the_newest_lines_are_read);
	tcase_add_test(tcase, a_reader_goes_on_where_it_was);
	tcase_add_test(tcase, old_lines_go_and_the_reader_sees_it);
	tcase_add_test(tcase, threads_do_not_mix_their_lines);
	suite_add_tcase(suite, tcase);
	return suite;
}
