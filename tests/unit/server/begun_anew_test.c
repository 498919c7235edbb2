/* What a process takes along when it begins anew (server/begun_anew.h). */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/begun_anew.h"
#include "tests/unit/run.h"

static struct begun_anew some(void)
{
	struct begun_anew anew = {.port = 7470, .peer_port = 7471};
	anew.secret.bytes = SERVER_SECRET_BYTES_MAX;
	memset(anew.secret.data, 's', sizeof(anew.secret.data));
	anew.secret_previous.bytes = 3;
	memcpy(anew.secret_previous.data, "old", 3);
	return anew;
}

START_TEST(what_is_kept_is_taken)
{
	struct begun_anew kept = some(), taken;
	int fd = -1;
	ck_assert_int_eq(begun_anew_keep(&kept, &fd), 0);
	ck_assert_int_eq(begun_anew_take(fd, &taken), 0);
	ck_assert_uint_eq(taken.port, 7470);
	ck_assert_uint_eq(taken.cluster_port, 0);
	ck_assert_uint_eq(taken.peer_port, 7471);
	ck_assert_uint_eq(taken.password.bytes, 0);
	ck_assert_uint_eq(taken.secret.bytes, SERVER_SECRET_BYTES_MAX);
	ck_assert_mem_eq(taken.secret.data, kept.secret.data, SERVER_SECRET_BYTES_MAX);
	ck_assert_uint_eq(taken.secret_previous.bytes, 3);
	ck_assert_mem_eq(taken.secret_previous.data, "old", 3);
	/* Nothing else that this process begins has it. */
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(exec_keeps_it_and_nobody_changes_it)
{
	struct begun_anew kept = some();
	int fd = -1;
	ck_assert_int_eq(begun_anew_keep(&kept, &fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_lt(pwrite(fd, "x", 1, 0), 0);
	ck_assert_int_ne(ftruncate(fd, 1), 0);
	close(fd);
}
END_TEST

START_TEST(what_is_no_such_memory_is_refused_and_stays)
{
	static const char bytes[] = "something else";
	struct begun_anew taken = {.port = 1};
	int pipes[2], fd = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(begun_anew_take(pipes[0], &taken), ERR_INVALID);
	ck_assert_int_eq(begun_anew_take(-1, &taken), ERR_INVALID);
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	ck_assert_int_eq(begun_anew_take(fd, &taken), ERR_INVALID);
	ck_assert_int_eq(
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	ck_assert_int_eq(begun_anew_take(fd, &taken), ERR_INVALID);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	ck_assert_int_ne(fcntl(pipes[0], F_GETFD), -1);
	ck_assert_uint_eq(taken.port, 1);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

static Suite *begun_anew_suite(void)
{
	Suite *suite = suite_create("begun anew");
	TCase *all = tcase_create("all");
	tcase_add_test(all, what_is_kept_is_taken);
	tcase_add_test(all, exec_keeps_it_and_nobody_changes_it);
	tcase_add_test(all, what_is_no_such_memory_is_refused_and_stays);
	suite_add_tcase(suite, all);
	return suite;
}

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {begun_anew_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
