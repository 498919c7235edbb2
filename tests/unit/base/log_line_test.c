#include "tests/unit/base/suites.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log_line.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static char last[LOG_LINE_BYTES_MAX + 1];
static size_t last_bytes;
static unsigned line_count;

static void keep(void *arg, enum log_level level, struct slice line)
{
	ck_assert_ptr_eq(arg, &line_count);
	ck_assert_int_ge(level, LEVEL_DEBUG);
	ck_assert_uint_le(line.bytes, LOG_LINE_BYTES_MAX);
	memcpy(last, line.data, line.bytes);
	last[line.bytes] = 0;
	last_bytes = line.bytes;
	line_count++;
}

static void keep_lines(void)
{
	line_count = 0;
	log_line_set_sink(keep, &line_count);
}

/* The last line without its time and newline. */
static const char *last_without_time(void)
{
	ck_assert_uint_gt(last_bytes, 26);
	ck_assert_int_eq(last[last_bytes - 1], '\n');
	last[last_bytes - 1] = 0;
	return last + 25;
}

START_TEST(line_has_time_level_event_and_fields)
{
	keep_lines();
	LOG_LINE(LEVEL_WARNING, "log_cut", FIELD_TEXT("dir", "stores/000"), FIELD_U64("frame", 17),
	    FIELD_I64("difference", -3), FIELD_HEX("store", 0xabcdef), FIELD_BOOL("cut", true),
	    FIELD_ERROR("error", ERR_CORRUPT), FIELD_SLICE("name", slice_of("abcd", 2)));
	ck_assert_str_eq(last_without_time(),
	    "warning log_cut dir=stores/000 frame=17 difference=-3 store=0000000000abcdef cut=true "
	    "error=ERR_CORRUPT name=ab");
	/* 2026-01-31T12:00:00.123Z */
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'd')
			ck_assert(last[i] >= '0' && last[i] <= '9');
		else
			ck_assert_int_eq(last[i], shape[i]);
	}
}
END_TEST

START_TEST(text_from_outside_is_escaped_to_one_printable_line)
{
	keep_lines();
	LOG_LINE(LEVEL_INFO, "e", FIELD_TEXT("a", "two words"), FIELD_TEXT("b", ""),
	    FIELD_TEXT("c", "x=\"y\"\\"), FIELD_TEXT("d", "1\n2\t3\r\x1b[31m\x7f"),
	    FIELD_TEXT("e", "\xc3\xa9"), FIELD_SLICE("f", slice_of("\0", 1)),
	    FIELD_TEXT("g", NULL));
	ck_assert_str_eq(last_without_time(), "info e a=\"two words\" b=\"\" c=\"x=\\\"y\\\"\\\\\" "
	                                      "d=\"1\\n2\\t3\\x0d\\x1b[31m\\x7f\" "
	                                      "e=\"\\xc3\\xa9\" f=\"\\x00\" g=\"\"");
	uint8_t all[256];
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	LOG_LINE(LEVEL_INFO, "e", FIELD_SLICE("all", slice_of(all, sizeof(all))));
	for (size_t i = 0; i + 1 < last_bytes; i++)
		EXPECT(last[i] >= ' ' && last[i] <= '~');
	ck_assert_int_eq(last[last_bytes - 1], '\n');
}
END_TEST

START_TEST(level_below_the_least_is_left_out_unevaluated)
{
	keep_lines();
	volatile uint64_t evaluated = 0;
	LOG_LINE(LEVEL_DEBUG, "quiet", FIELD_U64("evaluated", ++evaluated));
	ck_assert_uint_eq(line_count + evaluated, 0);
	log_line_set_level(LEVEL_DEBUG);
	LOG_LINE(LEVEL_DEBUG, "loud", FIELD_U64("evaluated", ++evaluated));
	ck_assert_str_eq(last_without_time(), "debug loud evaluated=1");
	log_line_set_level(LEVEL_ERROR);
	LOG_LINE(LEVEL_WARNING, "quiet", FIELD_U64("evaluated", ++evaluated));
	LOG_LINE(LEVEL_ERROR, "loud", FIELD_U64("evaluated", ++evaluated));
	ck_assert_str_eq(last_without_time(), "error loud evaluated=2");
	ck_assert_uint_eq(line_count, 2);
}
END_TEST

START_TEST(line_too_long_is_cut_and_says_so)
{
	keep_lines();
	static char text[LOG_LINE_BYTES_MAX + 100];
	/* Around the end every length, of plain text and of text that grows when escaped. */
	for (int fill = 'x'; fill >= 1; fill -= 'x' - 1) {
		size_t least = (size_t)(fill == 'x' ? LOG_LINE_BYTES_MAX - 200 : 950);
		bool cut_ever = false;
		bool whole_ever = false;
		for (size_t bytes = least; bytes < least + 200; bytes++) {
			memset(text, fill, bytes);
			LOG_LINE(LEVEL_INFO, "e", FIELD_SLICE("text", slice_of(text, bytes)),
			    FIELD_U64("number", 12345678));
			const char *line = last_without_time();
			bool cut = strstr(line, " cut=true") != NULL;
			bool number = strstr(line, " number=12345678") != NULL;
			EXPECT(cut != number);
			EXPECT(number || !strstr(line, " number"));
			cut_ever |= cut;
			whole_ever |= number;
			/* A quote that was opened is closed. */
			const char *quote = strchr(line, '"');
			EXPECT(fill == 'x' ? !quote : quote && strchr(quote + 1, '"'));
		}
		ck_assert(cut_ever && whole_ever);
	}
}
END_TEST

START_TEST(fields_that_do_not_fit_are_left_out_whole)
{
	keep_lines();
	struct log_field fields[500];
	for (int i = 0; i < 500; i++)
		fields[i] = FIELD_U64("number", 12345678);
	log_line(LEVEL_INFO, "e", fields, 500);
	const char *line = last_without_time();
	size_t bytes = strlen(line);
	ck_assert_str_eq(line + bytes - strlen("12345678 cut=true"), "12345678 cut=true");
	ck_assert_uint_gt(bytes, LOG_LINE_BYTES_MAX - 150);
}
END_TEST

static unsigned copies;

static void copy(struct slice line)
{
	ck_assert_uint_gt(line.bytes, 26);
	copies++;
}

START_TEST(copy_gets_what_goes_nowhere)
{
	keep_lines();
	log_line_set_sink(log_line_nowhere, NULL);
	LOG_LINE(LEVEL_WARNING, "log_cut", FIELD_U64("frame", 17));
	log_line_set_copy(copy);
	LOG_LINE(LEVEL_WARNING, "log_cut", FIELD_U64("frame", 18));
	log_line_set_copy(NULL);
	LOG_LINE(LEVEL_WARNING, "log_cut", FIELD_U64("frame", 19));
	ck_assert_uint_eq(copies, 1);
	ck_assert_uint_eq(line_count, 0);
}
END_TEST

START_TEST(descriptor_gets_whole_lines)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	log_line_set_descriptor(ends[1]);
	LOG_LINE(LEVEL_INFO, "first", FIELD_U64("n", 1));
	LOG_LINE(LEVEL_INFO, "second", FIELD_U64("n", 2));
	char text[1000];
	ssize_t bytes = read(ends[0], text, sizeof(text) - 1);
	ck_assert_int_gt(bytes, 0);
	text[bytes] = 0;
	ck_assert_ptr_nonnull(strstr(text, "Z info first n=1\n"));
	ck_assert_ptr_nonnull(strstr(text, "Z info second n=2\n"));
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(stalled_reader_loses_lines_and_hears_how_many)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 8192), 0);
	log_line_set_descriptor(ends[1]);
	static char text[2000];
	memset(text, 'x', sizeof(text) - 1);
	/* Far more than the pipe takes; none of these calls may wait. */
	for (int i = 0; i < 40; i++)
		LOG_LINE(LEVEL_INFO, "much", FIELD_TEXT("text", text));
	static char got[65536];
	ssize_t bytes = read(ends[0], got, sizeof(got) - 1);
	ck_assert_int_gt(bytes, 0);
	got[bytes] = 0;
	unsigned lines = 0;
	for (const char *at = got; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	ck_assert_uint_gt(lines, 0);
	ck_assert_uint_lt(lines, 40);
	ck_assert_int_eq(got[bytes - 1], '\n');
	LOG_LINE(LEVEL_INFO, "after", FIELD_U64("n", 1));
	bytes = read(ends[0], got, sizeof(got) - 1);
	ck_assert_int_gt(bytes, 0);
	got[bytes] = 0;
	const char *told = strstr(got, " lost=");
	ck_assert_ptr_nonnull(told);
	ck_assert_uint_eq(strtoul(told + strlen(" lost="), NULL, 10), 40 - lines);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static jmp_buf left;

static void leave(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	longjmp(left, 1);
}

START_TEST(assertion_is_an_event)
{
	keep_lines();
	assert_set_hook(leave);
	if (setjmp(left) == 0)
		ASSERT(1 > 2);
	const char *line = last_without_time();
	ck_assert_ptr_eq(strstr(line, "error assertion_failed file=tests/unit/base/"), line);
	ck_assert_ptr_nonnull(strstr(line, " what=\"1 > 2\""));
}
END_TEST

static void exit_when_right(void *arg, enum log_level level, struct slice line)
{
	keep(arg, level, line);
	const char *text = last_without_time();
	static const char begin[] = "error panic file=tests/unit/base/log_line_test.c line=";
	if (strncmp(text, begin, strlen(begin)) == 0 &&
	    strstr(text, " what=\"sync failed: input/output error\""))
		_exit(3);
}

START_TEST(panic_is_an_event)
{
	log_line_set_sink(exit_when_right, &line_count);
	PANIC("sync failed: %s", error_text(ERR_IO));
}
END_TEST

static void fail_inside(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
	UNREACHABLE();
}

START_TEST(assertion_while_logging_one_still_stops)
{
	log_line_set_sink(fail_inside, NULL);
	ASSERT(1 > 2);
}
END_TEST

Suite *log_line_suite(void)
{
	Suite *suite = suite_create("log_line");
	TCase *tcase = tcase_create("log_line");
	tcase_add_test(tcase, line_has_time_level_event_and_fields);
	tcase_add_test(tcase, text_from_outside_is_escaped_to_one_printable_line);
	tcase_add_test(tcase, level_below_the_least_is_left_out_unevaluated);
	tcase_add_test(tcase, line_too_long_is_cut_and_says_so);
	tcase_add_test(tcase, fields_that_do_not_fit_are_left_out_whole);
	tcase_add_test(tcase, copy_gets_what_goes_nowhere);
	tcase_add_test(tcase, descriptor_gets_whole_lines);
	tcase_add_test(tcase, stalled_reader_loses_lines_and_hears_how_many);
	tcase_add_test(tcase, assertion_is_an_event);
	tcase_add_exit_test(tcase, panic_is_an_event, 3);
	tcase_add_test_raise_signal(tcase, assertion_while_logging_one_still_stops, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
