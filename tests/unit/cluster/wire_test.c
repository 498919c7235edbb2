/* server/cluster_wire.h: what is written is read, and nothing else. */
#include <string.h>

#include "replication/raft/quorum.h"
#include "replication/raft/raft.h"
#include "server/cluster_wire.h"
#include "tests/unit/cluster/suites.h"

static const struct cluster_row ROW = {.shard = 77,
    .term = 5,
    .generation = 9,
    .last_index = 1234567,
    .pending = 12,
    .stands_ms = 7000,
    .settled = true,
    .count = 2,
    .members = {{.replica = 1, .roles = RAFT_VOTER, .match = 1234567, .heard = true},
        {.replica = 0x10002, .roles = RAFT_LEARNER, .match = 3}}};

START_TEST(rows_come_one_behind_the_other)
{
	uint8_t bytes[2 * CLUSTER_ROW_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct cluster_row row;
	cluster_row_write(&out, &ROW);
	cluster_row_write(&out, &ROW);
	struct reader in = reader_of(writer_view(&out));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(cluster_row_read(&in, &row), 0);
		ck_assert_uint_eq(row.shard, ROW.shard);
		ck_assert_uint_eq(row.generation, ROW.generation);
		ck_assert_uint_eq(row.pending, ROW.pending);
		ck_assert_uint_eq(row.stands_ms, ROW.stands_ms);
		ck_assert(row.settled);
		ck_assert_uint_eq(row.count, 2);
		ck_assert_uint_eq(row.members[1].replica, ROW.members[1].replica);
		ck_assert_uint_eq(row.members[1].roles, RAFT_LEARNER);
		ck_assert(row.members[0].heard && !row.members[1].heard);
	}
	ck_assert_uint_eq(reader_left(&in), 0);
}
END_TEST

START_TEST(a_row_that_is_cut_is_none)
{
	uint8_t bytes[CLUSTER_ROW_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct cluster_row row;
	cluster_row_write(&out, &ROW);
	for (size_t size = 0; size < writer_used(&out); size++) {
		struct reader in = reader_of(slice_of(bytes, size));
		ck_assert_int_eq(cluster_row_read(&in, &row), ERR_CORRUPT);
	}
}
END_TEST

START_TEST(a_damaged_replica_says_that_it_is)
{
	const struct recovery_said said = {
	    .shard = 3, .replica = 0x20001, .damaged = true, .term = 9};
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct recovery_said again;
	cluster_stranded_write(&out, &said);
	struct reader in = reader_of(writer_view(&out));
	ck_assert_int_eq(cluster_stranded_read(&in, &again), 0);
	ck_assert(again.damaged && again.shard == 3 && again.replica == 0x20001);
	ck_assert(again.term == 9 && again.last_index == 0 && again.count == 0);
}
END_TEST

START_TEST(a_replica_without_a_leader_says_what_it_has)
{
	const struct recovery_said said = {.shard = 3,
	    .replica = 0x20001,
	    .term = 9,
	    .last_term = 7,
	    .last_index = 1234567,
	    .committed = 1234560,
	    .count = 2,
	    .members = {{0x20001, RAFT_VOTER}, {2, RAFT_OUTGOING | RAFT_LEARNER_NEXT}}};
	uint8_t bytes[2 * CLUSTER_STRANDED_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct recovery_said again;
	cluster_stranded_write(&out, &said);
	size_t one = writer_used(&out);
	cluster_stranded_write(&out, &said);
	struct reader in = reader_of(writer_view(&out));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(cluster_stranded_read(&in, &again), 0);
		ck_assert(again.shard == 3 && again.replica == 0x20001 && again.term == 9);
		ck_assert(again.last_term == 7 && again.last_index == 1234567);
		ck_assert_uint_eq(again.committed, 1234560);
		ck_assert(again.count == 2 && again.members[1].roles == said.members[1].roles);
		ck_assert(!again.damaged);
	}
	for (size_t size = 0; size < one; size++) {
		in = reader_of(slice_of(bytes, size));
		ck_assert_int_eq(cluster_stranded_read(&in, &again), ERR_CORRUPT);
	}
}
END_TEST

/* What is committed is in its log. */
START_TEST(a_replica_knows_no_more_than_it_has)
{
	struct recovery_said said = {
	    .shard = 3, .replica = 0x20001, .last_term = 7, .last_index = 9, .committed = 9};
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct recovery_said again;
	for (; said.committed <= 10; said.committed++) {
		struct writer out = writer_of(bytes, sizeof(bytes));
		cluster_stranded_write(&out, &said);
		struct reader in = reader_of(writer_view(&out));
		ck_assert_int_eq(
		    cluster_stranded_read(&in, &again), said.committed == 9 ? 0 : ERR_CORRUPT);
	}
}
END_TEST

/* A recovery takes a term that is above it. */
START_TEST(a_replica_has_seen_no_term_that_there_cannot_be)
{
	static const uint64_t terms[] = {RAFT_TERM_MAX, RAFT_TERM_MAX + 1, UINT64_MAX};
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct recovery_said again;
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		const struct recovery_said said[] = {
		    {.shard = 3, .replica = 0x20001, .term = terms[i]},
		    {.shard = 3, .replica = 0x20001, .last_term = terms[i]}};
		for (size_t k = 0; k < 2; k++) {
			struct writer out = writer_of(bytes, sizeof(bytes));
			cluster_stranded_write(&out, &said[k]);
			struct reader in = reader_of(writer_view(&out));
			ck_assert_int_eq(
			    cluster_stranded_read(&in, &again), i == 0 ? 0 : ERR_CORRUPT);
		}
	}
}
END_TEST

START_TEST(who_was_removed_is_named)
{
	uint8_t bytes[32];
	struct cluster_removed removed = {.node = 9, .incarnation = UINT64_MAX}, again;
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_removed_write(&out, &removed);
	ck_assert_int_eq(cluster_removed_read(writer_view(&out), &again), 0);
	ck_assert(again.node == 9 && again.incarnation == UINT64_MAX);
	ck_assert_int_eq(
	    cluster_removed_read(slice_of(bytes, writer_used(&out) - 1), &again), ERR_CORRUPT);
	ck_assert_int_eq(
	    cluster_removed_read(slice_of(bytes, writer_used(&out) + 1), &again), ERR_CORRUPT);
}
END_TEST

START_TEST(what_a_node_moves_is_told)
{
	uint8_t bytes[CLUSTER_MOVES_BYTES_MAX + 1] = {0};
	struct cluster_moves moves = {.bytes = UINT64_MAX, .bytes_per_s = 300, .snapshots = 7};
	struct cluster_moves again;
	struct writer out = writer_of(bytes, CLUSTER_MOVES_BYTES_MAX);
	cluster_moves_write(&out, &moves);
	ck_assert_int_eq(cluster_moves_read(writer_view(&out), &again), 0);
	ck_assert_uint_eq(again.bytes, UINT64_MAX);
	ck_assert_uint_eq(again.bytes_per_s, 300);
	ck_assert_uint_eq(again.snapshots, 7);
	for (size_t size = 0; size < writer_used(&out); size++)
		ck_assert_int_eq(cluster_moves_read(slice_of(bytes, size), &again), ERR_CORRUPT);
	ck_assert_int_eq(
	    cluster_moves_read(slice_of(bytes, writer_used(&out) + 1), &again), ERR_CORRUPT);
}
END_TEST

START_TEST(what_shards_do_is_told)
{
	uint8_t bytes[3 * CLUSTER_LOAD_BYTES_MAX];
	const struct cluster_load loads[] = {{1, 1}, {127, 77}, {SHARDS_MAX, UINT8_MAX}};
	struct cluster_load again;
	struct writer out = writer_of(bytes, sizeof(bytes));
	for (size_t i = 0; i < 3; i++)
		cluster_load_write(&out, &loads[i]);
	/* All shards of the largest cluster in one message would be as much as a report may be. */
	ck_assert_uint_eq(writer_used(&out), 2 + 2 + CLUSTER_LOAD_BYTES_MAX);
	struct reader in = reader_of(writer_view(&out));
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(cluster_load_read(&in, &again), 0);
		ck_assert_uint_eq(again.shard, loads[i].shard);
		ck_assert_uint_eq(again.level, loads[i].level);
	}
	ck_assert_uint_eq(reader_left(&in), 0);
	/* Cut; of the directory; none; of a shard that there cannot be. */
	const uint8_t wrong[][4] = {{1}, {0, 7}, {1, 0}, {0x81, 0x80, 0x01, 7}};
	const size_t sizes[] = {1, 2, 2, 4};
	for (size_t i = 0; i < 4; i++) {
		in = reader_of(slice_of(wrong[i], sizes[i]));
		ck_assert_int_eq(cluster_load_read(&in, &again), ERR_CORRUPT);
	}
}
END_TEST

START_TEST(words_about_one_shard)
{
	uint8_t bytes[32];
	struct cluster_leave leave = {.shard = 3, .replica = 0x70001, .has_left = true}, left;
	struct cluster_lead lead = {.shard = 4, .node = 9}, led;
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_leave_write(&out, &leave);
	ck_assert_int_eq(cluster_leave_read(writer_view(&out), &left), 0);
	ck_assert(left.shard == 3 && left.replica == 0x70001 && left.has_left);
	ck_assert_int_eq(
	    cluster_leave_read(slice_of(bytes, writer_used(&out) + 1), &left), ERR_CORRUPT);
	out = writer_of(bytes, sizeof(bytes));
	cluster_lead_write(&out, &lead);
	ck_assert_int_eq(cluster_lead_read(writer_view(&out), &led), 0);
	ck_assert(led.shard == 4 && led.node == 9);
	/* Node 0 is none. */
	bytes[1] = 0;
	ck_assert_int_eq(cluster_lead_read(slice_of(bytes, 2), &led), ERR_CORRUPT);
	uint32_t asked;
	out = writer_of(bytes, sizeof(bytes));
	cluster_asked_write(&out, 1000);
	ck_assert_int_eq(cluster_asked_read(writer_view(&out), &asked), 0);
	ck_assert_uint_eq(asked, 1000);
	ck_assert_int_eq(cluster_asked_read(slice_of(bytes, 1), &asked), ERR_CORRUPT);
	ck_assert_int_eq(cluster_asked_read(slice_of(bytes, 3), &asked), ERR_CORRUPT);
}
END_TEST

START_TEST(for_how_long_a_disk_does_not_answer_has_a_bound)
{
	static const uint64_t says[] = {0, 1, 2000, CLUSTER_DISK_WAITING_MS_MAX, UINT64_MAX};
	uint8_t bytes[CLUSTER_DISK_BYTES_MAX + 2];
	uint64_t waiting_ms = 7;
	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		struct writer out = writer_of(bytes, CLUSTER_DISK_BYTES_MAX);
		cluster_disk_write(&out, says[i]);
		ck_assert(!out.failed);
		ck_assert_int_eq(cluster_disk_read(writer_view(&out), &waiting_ms), 0);
		ck_assert_uint_eq(waiting_ms,
		    says[i] < CLUSTER_DISK_WAITING_MS_MAX ? says[i] : CLUSTER_DISK_WAITING_MS_MAX);
	}
	waiting_ms = 7;
	struct writer out = writer_of(bytes, sizeof(bytes));
	writer_varint(&out, (uint64_t)CLUSTER_DISK_WAITING_MS_MAX + 1);
	ck_assert(!out.failed);
	ck_assert_int_eq(cluster_disk_read(writer_view(&out), &waiting_ms), ERR_CORRUPT);
	ck_assert_int_eq(cluster_disk_read(slice_of(bytes, 0), &waiting_ms), ERR_CORRUPT);
	out = writer_of(bytes, sizeof(bytes));
	cluster_disk_write(&out, 2000);
	writer_u8(&out, 0);
	ck_assert_int_eq(cluster_disk_read(writer_view(&out), &waiting_ms), ERR_CORRUPT);
	ck_assert_int_eq(cluster_disk_read(slice_of(bytes, 1), &waiting_ms), ERR_CORRUPT);
	ck_assert_uint_eq(waiting_ms, 7);
}
END_TEST

START_TEST(why_a_node_is_unfit_is_said_in_one_byte)
{
	uint8_t bytes[2] = {0};
	enum cluster_unfit unfit = CLUSTER_FIT;
	for (enum cluster_unfit says = CLUSTER_FIT; says <= CLUSTER_NO_BUNDLE; says++) {
		struct writer out = writer_of(bytes, sizeof(bytes));
		cluster_unfit_write(&out, says);
		ck_assert_int_eq(cluster_unfit_read(writer_view(&out), &unfit), 0);
		ck_assert_uint_eq(unfit, says);
	}
	ck_assert_int_eq(cluster_unfit_read(slice_of(bytes, 0), &unfit), ERR_CORRUPT);
	ck_assert_int_eq(cluster_unfit_read(slice_of(bytes, 2), &unfit), ERR_CORRUPT);
	bytes[0] = CLUSTER_NO_BUNDLE + 1;
	ck_assert_int_eq(cluster_unfit_read(slice_of(bytes, 1), &unfit), ERR_CORRUPT);
}
END_TEST

START_TEST(who_joins_says_how_it_is_reached)
{
	uint8_t bytes[CLUSTER_HELLO_BYTES_MAX + 1];
	struct cluster_node node = {.incarnation = UINT64_MAX,
	    .cores = 16,
	    .stores = 32,
	    .host = "db-1.example",
	    .port = 7470,
	    .peer_port = 7471,
	    .cluster_port = 7472,
	    .zone = "east"};
	struct cluster_node read;
	uint64_t damaged = 1;
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_hello_write(&out, &node, 0);
	ck_assert_int_eq(cluster_hello_read(writer_view(&out), &read, &damaged), 0);
	ck_assert_uint_eq(damaged, 0);
	ck_assert_str_eq(read.host, node.host);
	ck_assert_str_eq(read.zone, node.zone);
	ck_assert(read.incarnation == UINT64_MAX && read.cores == 16 && read.stores == 32);
	ck_assert(read.port == 7470 && read.peer_port == 7471 && read.cluster_port == 7472);
	for (size_t size = 0; size < writer_used(&out); size++)
		ck_assert_int_eq(
		    cluster_hello_read(slice_of(bytes, size), &read, &damaged), ERR_CORRUPT);
	bytes[0] = 2;
	ck_assert_int_eq(cluster_hello_read(writer_view(&out), &read, &damaged), ERR_FORMAT);
	/* What would stand in a log line. */
	memcpy(node.host, "a\nb", sizeof("a\nb"));
	out = writer_of(bytes, sizeof(bytes));
	cluster_hello_write(&out, &node, 0);
	ck_assert_int_eq(cluster_hello_read(writer_view(&out), &read, &damaged), ERR_CORRUPT);
}
END_TEST

START_TEST(who_asks_for_another_directory_says_which_is_damaged)
{
	uint8_t bytes[CLUSTER_HELLO_BYTES_MAX];
	struct cluster_node node = {
	    .incarnation = 7, .cores = 1, .stores = 2, .host = "::1", .peer_port = 7471};
	struct cluster_node read;
	uint64_t damaged = 0;
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_hello_write(&out, &node, 0x20003);
	ck_assert_int_eq(cluster_hello_read(writer_view(&out), &read, &damaged), 0);
	ck_assert_uint_eq(damaged, 0x20003);
	ck_assert_uint_eq(read.incarnation, 7);
	/* One that is none, and what stands behind it. */
	bytes[writer_used(&out) - 3] = 0;
	for (size_t less = 0; less < 3; less++)
		ck_assert_int_eq(
		    cluster_hello_read(slice_of(bytes, writer_used(&out) - less), &read, &damaged),
		    ERR_CORRUPT);
}
END_TEST

START_TEST(who_is_asked_lets_it_in_or_not)
{
	uint8_t bytes[CLUSTER_WELCOME_BYTES_MAX];
	struct cluster_welcome member = {.kind = CLUSTER_WELCOME_MEMBER,
	    .id = {1, 2, 3},
	    .node = 7,
	    .directory_replica = 0x20007,
	    .shard_count = 128};
	struct cluster_welcome refused = {.kind = CLUSTER_WELCOME_REFUSED, .why = "it is full"};
	struct cluster_welcome needed = {.kind = CLUSTER_WELCOME_NEEDED, .why = "of two"};
	struct cluster_welcome read;
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, &member);
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), 0);
	ck_assert(read.kind == CLUSTER_WELCOME_MEMBER && read.node == 7 && read.id[2] == 3);
	ck_assert(read.directory_replica == 0x20007 && read.shard_count == 128);
	/* A replica of another node. */
	member.directory_replica = 0x20008;
	out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, &member);
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), ERR_CORRUPT);
	out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, &refused);
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), 0);
	ck_assert(read.kind == CLUSTER_WELCOME_REFUSED);
	ck_assert_str_eq(read.why, "it is full");
	out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, &needed);
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), 0);
	ck_assert(read.kind == CLUSTER_WELCOME_NEEDED);
	ck_assert_str_eq(read.why, "of two");
	out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(&out, &(struct cluster_welcome){.kind = CLUSTER_WELCOME_LATER});
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), 0);
	ck_assert(read.kind == CLUSTER_WELCOME_LATER && !read.why[0]);
	out = writer_of(bytes, sizeof(bytes));
	cluster_welcome_write(
	    &out, &(struct cluster_welcome){.kind = CLUSTER_WELCOME_LATER, .why = "not yet"});
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), 0);
	ck_assert(read.kind == CLUSTER_WELCOME_LATER);
	ck_assert_str_eq(read.why, "not yet");
	/* Who has nothing to say does not say that. */
	ck_assert_int_eq(
	    cluster_welcome_read(
	        slice_of((const uint8_t[]){bytes[0], CLUSTER_WELCOME_LATER, 0}, 3), &read),
	    ERR_CORRUPT);
	bytes[1] = CLUSTER_WELCOME_NEEDED + 1;
	ck_assert_int_eq(cluster_welcome_read(writer_view(&out), &read), ERR_CORRUPT);
}
END_TEST

Suite *wire_suite(void)
{
	Suite *suite = suite_create("cluster wire");
	TCase *all = tcase_create("all");
	tcase_add_test(all, rows_come_one_behind_the_other);
	tcase_add_test(all, a_row_that_is_cut_is_none);
	tcase_add_test(all, a_replica_without_a_leader_says_what_it_has);
	tcase_add_test(all, a_damaged_replica_says_that_it_is);
	tcase_add_test(all, a_replica_knows_no_more_than_it_has);
	tcase_add_test(all, a_replica_has_seen_no_term_that_there_cannot_be);
	tcase_add_test(all, who_was_removed_is_named);
	tcase_add_test(all, what_a_node_moves_is_told);
	tcase_add_test(all, what_shards_do_is_told);
	tcase_add_test(all, words_about_one_shard);
	tcase_add_test(all, for_how_long_a_disk_does_not_answer_has_a_bound);
	tcase_add_test(all, why_a_node_is_unfit_is_said_in_one_byte);
	tcase_add_test(all, who_joins_says_how_it_is_reached);
	tcase_add_test(all, who_asks_for_another_directory_says_which_is_damaged);
	tcase_add_test(all, who_is_asked_lets_it_in_or_not);
	suite_add_tcase(suite, all);
	return suite;
}
