#include "tests/unit/meta/suites.h"

#include "server/meta/cluster_job.h"

static int64_t at(int64_t at_ms)
{
	return 1700000000000 + at_ms;
}

static void look(struct cluster_job *job, int64_t at_ms, uint64_t left)
{
	cluster_job_look(job, left, at(at_ms));
}

START_TEST(a_job_begins_with_what_is_left_and_ends_with_nothing)
{
	struct cluster_job job = {.all = 0};
	look(&job, 1000, 0);
	ck_assert(!cluster_job_was(&job));
	ck_assert(!cluster_job_runs(&job));
	look(&job, 2000, 96);
	ck_assert(cluster_job_runs(&job));
	ck_assert_int_eq(job.began_ms, 1700000002000);
	look(&job, 3000, 40);
	ck_assert_uint_eq(job.all, 96);
	ck_assert_uint_eq(cluster_job_ms(&job, at(3500)), 1500);
	/* More than there was in the beginning. */
	look(&job, 4000, 100);
	ck_assert_uint_eq(job.all, 100);
	look(&job, 5000, 0);
	ck_assert(!cluster_job_runs(&job));
	ck_assert(cluster_job_was(&job));
	ck_assert_uint_eq(job.all, 100);
	/* It is over, and its time stands. */
	look(&job, 6000, 0);
	ck_assert_uint_eq(cluster_job_ms(&job, at(9000)), 3000);
}
END_TEST

START_TEST(what_comes_soon_belongs_to_it_and_what_comes_later_does_not)
{
	struct cluster_job job = {.all = 0};
	look(&job, 1000, 10);
	look(&job, 2000, 0);
	look(&job, 2000 + CLUSTER_JOB_REST_MS - 1, 5);
	ck_assert(cluster_job_runs(&job));
	ck_assert_int_eq(job.began_ms, 1700000001000);
	ck_assert_uint_eq(job.all, 15);
	look(&job, 8000, 0);
	look(&job, 8000 + CLUSTER_JOB_REST_MS, 3);
	ck_assert_int_eq(job.began_ms, 1700000008000 + CLUSTER_JOB_REST_MS);
	ck_assert_uint_eq(job.all, 3);
}
END_TEST

/* Who leads the directory next has its own clock. */
START_TEST(another_clock_does_no_harm)
{
	struct cluster_job job = {.all = 0}, before;
	look(&job, 10000, 10);
	ck_assert_uint_eq(cluster_job_ms(&job, at(9000)), 0);
	look(&job, 9000, 0);
	ck_assert(!cluster_job_runs(&job));
	ck_assert_uint_eq(cluster_job_ms(&job, at(20000)), 0);
	before = job;
	look(&job, 9000 - CLUSTER_JOB_REST_MS + 1, 5);
	ck_assert_uint_eq(job.all, 15);
	ck_assert_int_eq(job.began_ms, at(10000));
	/* Behind by more than that, it is another one. */
	job = before;
	look(&job, 9000 - CLUSTER_JOB_REST_MS, 5);
	ck_assert_uint_eq(job.all, 5);
	ck_assert(cluster_job_runs(&job));
	ck_assert(!cluster_job_same(&job, &before));
	ck_assert(cluster_job_same(&before, &before));
}
END_TEST

/* What is written has to be readable, whatever the clock says. */
START_TEST(a_clock_of_before_1970_is_not_believed)
{
	struct cluster_job job = {.all = 0};
	cluster_job_look(&job, 3, INT64_MIN);
	ck_assert_int_eq(job.began_ms, 1);
	cluster_job_look(&job, 0, -1);
	ck_assert(!cluster_job_runs(&job));
	ck_assert_int_eq(job.ended_ms, 1);
	ck_assert_uint_eq(cluster_job_ms(&job, INT64_MIN), 0);
	job.all = INT64_MAX - 1;
	cluster_job_look(&job, 3, 0);
	ck_assert_uint_eq(job.all, INT64_MAX);
	ck_assert_uint_eq(cluster_job_ms(&job, INT64_MAX), INT64_MAX - 1);
}
END_TEST

START_TEST(what_cannot_be_told_ends_no_job_and_begins_none)
{
	struct cluster_job job = {.all = 0};
	ck_assert_uint_eq(cluster_job_left(&job, 0, 3), 0);
	ck_assert_uint_eq(cluster_job_left(&job, 7, 3), 7);
	look(&job, 1000, 7);
	ck_assert_uint_eq(cluster_job_left(&job, 5, 3), 5);
	ck_assert_uint_eq(cluster_job_left(&job, 0, 3), 3);
	ck_assert_uint_eq(cluster_job_left(&job, 0, 0), 0);
	look(&job, 2000, 0);
	ck_assert_uint_eq(cluster_job_left(&job, 0, 3), 0);
}
END_TEST

Suite *job_suite(void)
{
	Suite *suite = suite_create("job");
	TCase *jobs = tcase_create("jobs");
	tcase_add_test(jobs, a_job_begins_with_what_is_left_and_ends_with_nothing);
	tcase_add_test(jobs, what_comes_soon_belongs_to_it_and_what_comes_later_does_not);
	tcase_add_test(jobs, another_clock_does_no_harm);
	tcase_add_test(jobs, a_clock_of_before_1970_is_not_believed);
	tcase_add_test(jobs, what_cannot_be_told_ends_no_job_and_begins_none);
	suite_add_tcase(suite, jobs);
	return suite;
}
