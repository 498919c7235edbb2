/* A membership as bytes: read as written, and nothing else is read. */
#include "tests/unit/raft/suites.h"

#include <string.h>

#include "replication/raft/membership.h"

static bool same(const struct raft_membership *a, const struct raft_membership *b)
{
	bool equal = a->count == b->count && a->leaves_joint == b->leaves_joint;
	for (uint32_t i = 0; equal && i < a->count; i++)
		equal = a->members[i].replica == b->members[i].replica &&
		        a->members[i].roles == b->members[i].roles;
	return equal;
}

static struct slice written(
    const struct raft_membership *membership, uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX])
{
	struct writer writer = writer_of(bytes, RAFT_MEMBERSHIP_BYTES_MAX);
	raft_membership_write(&writer, membership);
	EXPECT(!writer.failed);
	return writer_view(&writer);
}

/* Small numbers and the largest there are; one of each role. */
static struct raft_membership example(void)
{
	return (struct raft_membership){.count = 5,
	    .leaves_joint = true,
	    .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER | RAFT_OUTGOING}, {300, RAFT_OUTGOING},
	        {70000, RAFT_OUTGOING | RAFT_LEARNER_NEXT}, {UINT64_MAX, RAFT_LEARNER}}};
}

START_TEST(what_is_written_is_read)
{
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX];
	struct raft_membership membership = example(), read;
	for (; membership.count > 0; membership.count--) {
		membership.leaves_joint = membership.count > 1 && membership.count % 2;
		ck_assert_int_eq(raft_membership_read(written(&membership, bytes), &read), 0);
		ck_assert(same(&membership, &read));
	}
	/* A new replica's. */
	ck_assert_int_eq(raft_membership_read(written(&membership, bytes), &read), 0);
	ck_assert_uint_eq(read.count, 0);
}
END_TEST

START_TEST(the_largest_fits_its_room)
{
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX];
	struct raft_membership membership = {.count = RAFT_REPLICAS_MAX}, read;
	for (uint32_t i = 0; i < RAFT_REPLICAS_MAX; i++)
		membership.members[i] =
		    (struct raft_member){.replica = UINT64_MAX - RAFT_REPLICAS_MAX + 1 + i,
		        .roles = i < RAFT_VOTERS_MAX ? RAFT_VOTER : RAFT_LEARNER};
	struct slice slice = written(&membership, bytes);
	ck_assert_int_eq(raft_membership_read(slice, &read), 0);
	ck_assert(same(&membership, &read));
	/* Every shorter room is refused. */
	struct writer writer = writer_of(bytes, slice.bytes - 1);
	raft_membership_write(&writer, &membership);
	ck_assert(writer.failed);
}
END_TEST

START_TEST(every_shorter_text_and_a_longer_one_are_refused)
{
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX + 1] = {0};
	struct raft_membership membership = example(), read;
	size_t size = written(&membership, bytes).bytes;
	for (size_t shorter = 0; shorter < size; shorter++)
		ck_assert_int_eq(
		    raft_membership_read(slice_of(bytes, shorter), &read), ERR_CORRUPT);
	ck_assert_int_eq(raft_membership_read(slice_of(bytes, size + 1), &read), ERR_CORRUPT);
}
END_TEST

/* Whatever a byte is changed to: refused, or another membership that is written as these bytes. So
 * nothing is read in two ways, and nothing is read that cannot be. */
START_TEST(every_changed_byte_is_refused_or_means_another_one)
{
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX], again[RAFT_MEMBERSHIP_BYTES_MAX];
	struct raft_membership membership = example(), read;
	size_t size = written(&membership, bytes).bytes, refused = 0;
	for (size_t at = 0; at < size; at++)
		for (unsigned flip = 1; flip < 256; flip++) {
			bytes[at] ^= (uint8_t)flip;
			if (raft_membership_read(slice_of(bytes, size), &read) == 0) {
				EXPECT(!same(&read, &membership));
				struct slice back = written(&read, again);
				EXPECT(back.bytes == size && !memcmp(again, bytes, size));
				EXPECT(raft_membership_voters(&read) > 0);
			} else {
				refused++;
			}
			bytes[at] ^= (uint8_t)flip;
		}
	ck_assert_uint_gt(refused, 0);
}
END_TEST

static int read_of(const struct raft_membership *membership)
{
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX];
	struct raft_membership read;
	return raft_membership_read(written(membership, bytes), &read);
}

START_TEST(a_membership_that_no_change_makes_is_refused)
{
	struct raft_membership zero = {.count = 1, .members = {{0, RAFT_VOTER}}};
	ck_assert_int_eq(read_of(&zero), ERR_CORRUPT);
	struct raft_membership twice = {
	    .count = 2, .members = {{4, RAFT_VOTER}, {4, RAFT_LEARNER}}};
	ck_assert_int_eq(read_of(&twice), ERR_CORRUPT);
	struct raft_membership falling = {
	    .count = 2, .members = {{4, RAFT_VOTER}, {3, RAFT_LEARNER}}};
	ck_assert_int_eq(read_of(&falling), ERR_CORRUPT);
	struct raft_membership learners = {.count = 1, .members = {{4, RAFT_LEARNER}}};
	ck_assert_int_eq(read_of(&learners), ERR_CORRUPT);
	struct raft_membership voters = {.count = RAFT_VOTERS_MAX + 1};
	for (uint32_t i = 0; i < voters.count; i++)
		voters.members[i] = (struct raft_member){i + 1, RAFT_VOTER};
	ck_assert_int_eq(read_of(&voters), ERR_CORRUPT);
	struct raft_membership leaves = {
	    .count = 1, .leaves_joint = true, .members = {{4, RAFT_VOTER}}};
	ck_assert_int_eq(read_of(&leaves), ERR_CORRUPT);
	/* Of the sixteen sets of roles five are made. */
	unsigned good = 0;
	for (unsigned roles = 0; roles < 256; roles++) {
		struct raft_membership one = {.count = 2, .members = {{1, RAFT_VOTER}, {2, roles}}};
		good += read_of(&one) == 0;
	}
	ck_assert_uint_eq(good, 5);
}
END_TEST

Suite *membership_bytes_suite(void)
{
	Suite *suite = suite_create("membership_bytes");
	TCase *tcase = tcase_create("all");
	tcase_add_test(tcase, what_is_written_is_read);
	tcase_add_test(tcase, the_largest_fits_its_room);
	tcase_add_test(tcase, every_shorter_text_and_a_longer_one_are_refused);
	tcase_add_test(tcase, every_changed_byte_is_refused_or_means_another_one);
	tcase_add_test(tcase, a_membership_that_no_change_makes_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
