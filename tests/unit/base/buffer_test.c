#include "tests/unit/base/suites.h"

#include "base/buffer.h"
#include "base/mem.h"

#include <signal.h>
#include <stdlib.h>

static void expect(const struct buffer *buffer, const char *text)
{
	struct slice view = buffer_view(buffer);
	ck_assert_msg(slice_equal(view, slice_from_text(text)), "holds \"%.*s\", not \"%s\"",
	    (int)view.bytes, (const char *)view.data, text);
}

START_TEST(appended_and_consumed_in_order)
{
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	ck_assert_int_eq(buffer_append_text(&buffer, "hello "), 0);
	ck_assert_int_eq(buffer_append_slice(&buffer, slice_from_text("world")), 0);
	ck_assert_int_eq(buffer_append_u8(&buffer, '!'), 0);
	expect(&buffer, "hello world!");
	buffer_consume(&buffer, 6);
	expect(&buffer, "world!");
	buffer_truncate(&buffer, 5);
	expect(&buffer, "world");
	buffer_clear(&buffer);
	expect(&buffer, "");
	buffer_done(&buffer);
}
END_TEST

START_TEST(same_as_a_plain_copy_over_many_random_steps)
{
	/* The model is one array with everything ever appended. */
	static uint8_t model[1 << 16];
	size_t first = 0;
	size_t last = 0;
	struct buffer buffer;
	buffer_init(&buffer, 700);
	unsigned seed = 1;
	while (last < sizeof(model) - 300) {
		size_t bytes = (size_t)rand_r(&seed) % 300;
		if (rand_r(&seed) % 2) {
			for (size_t i = 0; i < bytes; i++)
				model[last + i] = (uint8_t)rand_r(&seed);
			int error = buffer_append(&buffer, model + last, bytes);
			if (last - first + bytes > 700) {
				EXPECT(error == ERR_TOO_LARGE);
			} else {
				EXPECT(error == 0);
				last += bytes;
			}
		} else {
			if (bytes > last - first)
				bytes = last - first;
			buffer_consume(&buffer, bytes);
			first += bytes;
		}
		EXPECT(slice_equal(buffer_view(&buffer), slice_of(model + first, last - first)));
		EXPECT(buffer.capacity <= 700);
		EXPECT(buffer_left(&buffer) == 700 - (last - first));
	}
	buffer_done(&buffer);
}
END_TEST

START_TEST(content_beyond_the_bound_is_refused_and_nothing_changes)
{
	struct buffer buffer;
	buffer_init(&buffer, 10);
	ck_assert_int_eq(buffer_append_text(&buffer, "12345678"), 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "abc"), ERR_TOO_LARGE);
	ck_assert_int_eq(buffer_append(&buffer, "abc", SIZE_MAX), ERR_TOO_LARGE);
	ck_assert_int_eq(buffer_append_format(&buffer, "%d", 123), ERR_TOO_LARGE);
	expect(&buffer, "12345678");
	ck_assert_int_eq(buffer_append_text(&buffer, "90"), 0);
	/* Full, but a consumed front makes room again. */
	buffer_consume(&buffer, 3);
	ck_assert_int_eq(buffer_append_text(&buffer, "abc"), 0);
	expect(&buffer, "4567890abc");
	buffer_done(&buffer);
}
END_TEST

START_TEST(steady_stream_needs_no_more_memory)
{
	struct buffer buffer;
	buffer_init(&buffer, 1 << 20);
	static const char piece[50];
	for (int i = 0; i < 10000; i++) {
		EXPECT(buffer_append(&buffer, piece, sizeof(piece)) == 0);
		/* Never quite empty. */
		if (i > 0)
			buffer_consume(&buffer, sizeof(piece));
	}
	ck_assert_uint_le(buffer.capacity, 512);
	buffer_done(&buffer);
}
END_TEST

START_TEST(reserved_room_counts_only_when_committed)
{
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	uint8_t *room;
	ck_assert_int_eq(buffer_reserve(&buffer, 500, &room), 0);
	room[0] = 'o';
	room[1] = 'k';
	room[499] = 'x';
	expect(&buffer, "");
	buffer_commit(&buffer, 2);
	expect(&buffer, "ok");
	buffer_done(&buffer);
}
END_TEST

START_TEST(format_appends_texts_of_any_length)
{
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	ck_assert_int_eq(buffer_append_format(&buffer, "%s=%d;", "a", 17), 0);
	expect(&buffer, "a=17;");
	ck_assert_int_eq(buffer_append_format(&buffer, "%0995d", 3), 0);
	ck_assert_uint_eq(buffer_bytes(&buffer), 1000);
	ck_assert_uint_eq(buffer_view(&buffer).data[999], '3');
	buffer_done(&buffer);
}
END_TEST

START_TEST(trim_frees_only_an_empty_large_buffer)
{
	struct buffer buffer;
	buffer_init(&buffer, 10000);
	uint8_t *room;
	ck_assert_int_eq(buffer_reserve(&buffer, 5000, &room), 0);
	buffer_commit(&buffer, 1);
	buffer_trim(&buffer, 100);
	ck_assert_uint_ge(buffer.capacity, 5000);
	buffer_clear(&buffer);
	buffer_trim(&buffer, 10000);
	ck_assert_uint_ge(buffer.capacity, 5000);
	buffer_trim(&buffer, 100);
	ck_assert_uint_eq(buffer.capacity, 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "again"), 0);
	expect(&buffer, "again");
	buffer_done(&buffer);
	buffer_done(&buffer);
}
END_TEST

START_TEST(consuming_more_than_there_is_stops)
{
	struct buffer buffer;
	buffer_init(&buffer, 10);
	buffer_consume(&buffer, 1);
}
END_TEST

/* Every way to grow: from nothing, by realloc, into a fresh block, by format; 0 or the first error.
 */
static int grow_in_every_way(struct buffer *buffer)
{
	int error = buffer_append_text(buffer, "first");
	if (!error)
		error = buffer_append_format(buffer, "%0300d", 1);
	if (!error) {
		buffer_consume(buffer, 100);
		uint8_t *room;
		error = buffer_reserve(buffer, 2000, &room);
	}
	return error;
}

START_TEST(every_failed_allocation_is_reported_and_changes_nothing)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct buffer buffer;
		buffer_init(&buffer, 4000);
		mem_fail_at(nth);
		int error = grow_in_every_way(&buffer);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		static const size_t content[] = {0, 0, 5, 5, 205};
		if (failed) {
			ck_assert_uint_eq(buffer_bytes(&buffer), content[nth]);
			ck_assert_int_eq(buffer_append_text(&buffer, "goes on"), 0);
			failures++;
		}
		buffer_done(&buffer);
		if (!failed)
			break;
	}
	ck_assert_uint_eq(failures, 4);
}
END_TEST

Suite *buffer_suite(void)
{
	Suite *suite = suite_create("buffer");
	TCase *tcase = tcase_create("buffer");
	tcase_add_test(tcase, appended_and_consumed_in_order);
	tcase_add_test(tcase, same_as_a_plain_copy_over_many_random_steps);
	tcase_add_test(tcase, content_beyond_the_bound_is_refused_and_nothing_changes);
	tcase_add_test(tcase, steady_stream_needs_no_more_memory);
	tcase_add_test(tcase, reserved_room_counts_only_when_committed);
	tcase_add_test(tcase, format_appends_texts_of_any_length);
	tcase_add_test(tcase, trim_frees_only_an_empty_large_buffer);
	tcase_add_test_raise_signal(tcase, consuming_more_than_there_is_stops, SIGABRT);
	tcase_add_test(tcase, every_failed_allocation_is_reported_and_changes_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
