/* How kalix-admin waits for what the cluster does, by documents as a server answers them. */
#include "client/admin/progress.h"

#include <string.h>

#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "tests/unit/client/suites.h"

enum { WAITS_S = 60, SINCE = 10 };

/* What is answered, one after the other; the last one again and again. */
static const char *const *answers;
static size_t asked;

int cluster_ask(struct online *online)
{
	asked++;
	online->code = KALIX_OK;
	return online->code;
}

const char *online_json(const struct online *online)
{
	size_t at = 0;
	(void)online;
	while (at + 1 < asked && answers[at + 1])
		at++;
	return answers[at];
}

bool online_may_come(int code)
{
	(void)code;
	return false;
}

void online_say_again(const struct online *online, uint64_t left_ms)
{
	(void)online;
	(void)left_ms;
}

enum exit_code online_said(const struct online *online)
{
	(void)online;
	ck_abort_msg("an answer is no error");
	return EXIT_REFUSED;
}

static uint64_t left(struct slice document, const void *arg)
{
	(void)arg;
	return pick_number(document, "left");
}

static bool is_wanted(struct slice document, const void *arg)
{
	(void)arg;
	return pick_true(document, "wanted");
}

static enum exit_code wait_for(const char *const *all)
{
	struct online online = {.args = NULL};
	answers = all;
	asked = 0;
	return progress_wait(&online, WAITS_S,
	    &(struct progress_work){.what = "replicas",
	        .left = left,
	        .wanted = is_wanted,
	        .since = SINCE,
	        .taken_back = "taken back"});
}

START_TEST(what_was_taken_back_before_it_was_looked_at_is_noticed)
{
	static const char *const later[] = {"{\"left\":5,\"version\":11,\"wanted\":false}", NULL};
	/* By the entry that brought it, too. */
	static const char *const same[] = {"{\"left\":5,\"version\":10,\"wanted\":false}", NULL};
	ck_assert_int_eq(wait_for(later), EXIT_CONFLICT);
	ck_assert_uint_eq(asked, 1);
	ck_assert_int_eq(wait_for(same), EXIT_CONFLICT);
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(who_is_behind_does_not_know_that_it_is_wanted)
{
	static const char *const behind[] = {"{\"left\":5,\"version\":9,\"wanted\":false}",
	    "{\"left\":5,\"version\":10,\"wanted\":true}",
	    "{\"left\":4,\"version\":9,\"wanted\":false}",
	    "{\"left\":0,\"version\":12,\"wanted\":true}", NULL};
	ck_assert_int_eq(wait_for(behind), EXIT_DONE);
	ck_assert_uint_eq(asked, 4);
}
END_TEST

START_TEST(what_is_taken_back_later_is_noticed)
{
	static const char *const later[] = {"{\"left\":5,\"version\":12,\"wanted\":true}",
	    "{\"left\":4,\"version\":11,\"wanted\":false}",
	    "{\"left\":4,\"version\":13,\"wanted\":false}", NULL};
	ck_assert_int_eq(wait_for(later), EXIT_CONFLICT);
	ck_assert_uint_eq(asked, 3);
}
END_TEST

Suite *progress_suite(void)
{
	TCase *tcase = tcase_create("progress");
	tcase_add_test(tcase, what_was_taken_back_before_it_was_looked_at_is_noticed);
	tcase_add_test(tcase, who_is_behind_does_not_know_that_it_is_wanted);
	tcase_add_test(tcase, what_is_taken_back_later_is_noticed);
	Suite *suite = suite_create("progress");
	suite_add_tcase(suite, tcase);
	return suite;
}
