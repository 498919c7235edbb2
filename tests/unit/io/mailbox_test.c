/* Mailboxes between two threads, each with a ring of its own. */
#include "tests/unit/io/suites.h"

#include <pthread.h>

#include "base/io/io.h"
#include "base/io/mailbox.h"
#include "base/mem.h"

enum {
	ROOM = 64,
	MESSAGES = 200000,
};

static struct io *ring_new(void)
{
	char why[256];
	struct io *io = NULL;
	ck_assert_msg(io_new(NULL, why, sizeof(why), &io) == 0, "%s", why);
	return io;
}

START_TEST(messages_come_in_order_and_a_full_box_refuses)
{
	static int values[ROOM + 1];
	struct io *io = ring_new();
	struct mailbox *mailbox = NULL;
	ck_assert_int_eq(mailbox_new(ROOM, io, &mailbox), 0);
	ck_assert_ptr_null(mailbox_receive(mailbox));
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < ROOM; i++)
			ck_assert_int_eq(mailbox_send(mailbox, &values[i]), 0);
		ck_assert_int_eq(mailbox_send(mailbox, &values[ROOM]), ERR_FULL);
		ck_assert_ptr_eq(mailbox_receive(mailbox), &values[0]);
		ck_assert_int_eq(mailbox_send(mailbox, &values[ROOM]), 0);
		for (size_t i = 1; i <= ROOM; i++)
			ck_assert_ptr_eq(mailbox_receive(mailbox), &values[i]);
		ck_assert_ptr_null(mailbox_receive(mailbox));
	}
	mailbox_free(mailbox);
	mailbox_free(NULL);
	io_free(io);
}
END_TEST

START_TEST(every_failing_allocation_of_a_mailbox_is_reported)
{
	struct io *io = ring_new();
	for (uint64_t nth = 1; nth <= 2; nth++) {
		struct mailbox *mailbox = NULL;
		mem_fail_at(nth);
		ck_assert_int_eq(mailbox_new(ROOM, io, &mailbox), ERR_NOMEM);
		ck_assert_ptr_null(mailbox);
	}
	mem_fail_at(0);
	io_free(io);
}
END_TEST

START_TEST(a_flush_wakes_only_after_something_was_sent)
{
	int value = 0;
	struct io *io = ring_new();
	struct mailbox *mailbox = NULL;
	ck_assert_int_eq(mailbox_new(ROOM, io, &mailbox), 0);
	mailbox_flush(mailbox, NULL);
	io_run(io);
	ck_assert_uint_eq(io_figures(io).wakes, 0);
	ck_assert_int_eq(mailbox_send(mailbox, &value), 0);
	ck_assert_int_eq(mailbox_send(mailbox, &value), 0);
	mailbox_flush(mailbox, NULL);
	mailbox_flush(mailbox, NULL);
	io_poll(io, UINT64_MAX);
	io_run(io);
	ck_assert_uint_eq(io_figures(io).wakes, 1);
	mailbox_free(mailbox);
	io_free(io);
}
END_TEST

/* Two cores: numbers go over one box, and come back over the other. */
struct core {
	struct io *io;
	struct mailbox *in;
	struct mailbox *out;
	uint64_t received;
	uint64_t sent;
	bool in_order;
	bool rings_for_itself; /* wakes with ring messages, not with the event descriptor */
	uintptr_t kept;        /* received but not yet passed on; 0: none */
};

static pthread_barrier_t both_have_rings;
static pthread_barrier_t both_have_boxes;
static pthread_barrier_t both_are_done;
static struct core cores[2];

static void receive_all(void *arg)
{
	struct core *core = arg;
	/* What cannot be passed on stays in the box: back-pressure, and no message is lost. */
	while (core->kept == 0) {
		void *message = mailbox_receive(core->in);
		if (message == NULL)
			return;
		core->in_order = core->in_order && (uintptr_t)message == core->received + 1;
		core->received++;
		if (core == &cores[1] && mailbox_send(core->out, message) != 0)
			core->kept = (uintptr_t)message;
	}
}

static void turn(struct core *core, bool wait)
{
	io_poll(core->io, wait ? UINT64_MAX : 0);
	io_run(core->io);
	if (core == &cores[0])
		while (core->sent < MESSAGES &&
		       mailbox_send(core->out, (void *)(uintptr_t)(core->sent + 1)) == 0)
			core->sent++;
	if (core->kept != 0 && mailbox_send(core->out, (void *)core->kept) == 0) {
		core->kept = 0;
		receive_all(core);
	}
	mailbox_flush(core->out, core->rings_for_itself ? core->io : NULL);
}

static void *run_core(void *arg)
{
	struct core *core = arg;
	char why[256];
	core->in_order = true;
	if (io_new(NULL, why, sizeof(why), &core->io) != 0)
		return NULL;
	io_on_wake(core->io, receive_all, core);
	pthread_barrier_wait(&both_have_rings);
	if (core == &cores[0]) {
		int error = mailbox_new(ROOM, cores[0].io, &cores[0].in);
		if (error == 0)
			error = mailbox_new(ROOM, cores[1].io, &cores[0].out);
		if (error != 0)
			return NULL;
		cores[1].in = cores[0].out;
		cores[1].out = cores[0].in;
	}
	pthread_barrier_wait(&both_have_boxes);
	while (core->received < MESSAGES || core->kept != 0) {
		/* Something is unsent only while the other's box is full: then it will not wake us
		 * about that, and we look again. */
		bool unsent = core->kept != 0 || (core == &cores[0] && core->sent < MESSAGES);
		turn(core, !unsent);
	}
	/* What was flushed last has left before a ring goes. */
	turn(core, false);
	pthread_barrier_wait(&both_are_done);
	io_free(core->io);
	return NULL;
}

static void exchange(bool by_ring)
{
	pthread_t threads[2];
	pthread_barrier_init(&both_have_rings, NULL, 2);
	pthread_barrier_init(&both_have_boxes, NULL, 2);
	pthread_barrier_init(&both_are_done, NULL, 2);
	for (size_t i = 0; i < 2; i++) {
		cores[i] = (struct core){.rings_for_itself = by_ring};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_core, &cores[i]), 0);
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(cores[i].received, MESSAGES);
		ck_assert(cores[i].in_order);
	}
	ck_assert_ptr_null(mailbox_receive(cores[0].in));
	mailbox_free(cores[0].in);
	mailbox_free(cores[0].out);
	pthread_barrier_destroy(&both_have_rings);
	pthread_barrier_destroy(&both_have_boxes);
	pthread_barrier_destroy(&both_are_done);
}

START_TEST(two_threads_exchange_messages_by_ring)
{
	exchange(true);
}
END_TEST

START_TEST(two_threads_exchange_messages_by_event)
{
	exchange(false);
}
END_TEST

Suite *mailbox_suite(void)
{
	Suite *suite = suite_create("mailbox");
	TCase *tcase = tcase_create("mailbox");
	tcase_add_test(tcase, messages_come_in_order_and_a_full_box_refuses);
	tcase_add_test(tcase, every_failing_allocation_of_a_mailbox_is_reported);
	tcase_add_test(tcase, a_flush_wakes_only_after_something_was_sent);
	tcase_add_test(tcase, two_threads_exchange_messages_by_ring);
	tcase_add_test(tcase, two_threads_exchange_messages_by_event);
	suite_add_tcase(suite, tcase);
	return suite;
}
