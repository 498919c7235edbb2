/* What storage/data_peers.h promises, on the kernel's files and on simulated ones. */
#include <stdio.h>
#include <string.h>

#include "storage/data_peers.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/small_file.h"
#include "tests/unit/store/suites.h"

enum { FILE_BYTES = 62 };

static const struct data_peers TWO = {.count = 2,
    .peers = {{.node = 1, .port = 7471, .host = "10.0.0.1"},
        {.node = 300, .port = 65535, .host = "db-2.example"}}};

static int read_it(void)
{
	struct data_peers peers;
	return data_peers_read(platform_fs(), &peers);
}

START_TEST(peers_that_are_written_are_read)
{
	struct data_peers peers = {.count = 1}, none = {.count = 0};
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
	ck_assert_int_eq(data_peers_write(platform_fs(), &none), 0);
	ck_assert_int_eq(data_peers_read(platform_fs(), &peers), 0);
	ck_assert_uint_eq(peers.count, 0);
	ck_assert_int_eq(data_peers_write(platform_fs(), &TWO), 0);
	ck_assert_int_eq(data_peers_read(platform_fs(), &peers), 0);
	ck_assert(data_peers_same(&peers, &TWO));
	ck_assert(!data_peers_same(&peers, &none));
	peers.peers[1].port--;
	ck_assert(!data_peers_same(&peers, &TWO));
}
END_TEST

START_TEST(there_is_room_for_the_largest_cluster)
{
	static struct data_peers all, read;
	all.count = DATA_PEERS_MAX;
	for (uint32_t i = 0; i < DATA_PEERS_MAX; i++) {
		struct data_peer *peer = &all.peers[i];
		*peer = (struct data_peer){.node = (uint16_t)(UINT16_MAX - i), .port = 1};
		memset(peer->host, 'a', sizeof(peer->host) - 1);
	}
	ck_assert_int_eq(data_peers_write(platform_fs(), &all), 0);
	ck_assert_int_eq(data_peers_read(platform_fs(), &read), 0);
	ck_assert(data_peers_same(&all, &read));
}
END_TEST

START_TEST(damaged_peers_are_found)
{
	ck_assert_int_eq(data_peers_write(platform_fs(), &TWO), 0);
	small_file_expect_damage_found("peers", read_it);
}
END_TEST

START_TEST(peers_that_cannot_be_are_refused)
{
	/* Where: the count, the first one's node, port, length of its host, and host. */
	static const struct {
		size_t at;
		uint8_t is;
	} wrong[] = {{12, 1}, {12, 3}, {12, DATA_PEERS_MAX + 1}, {18, 1}, {22, 1}, {24, 0}, {24, 9},
	    {24, DATA_PEERS_HOST_BYTES}, {25, ' '}, {25, 0}};
	uint8_t good[SMALL_FILE_BYTES_MAX], data[SMALL_FILE_BYTES_MAX];
	ck_assert_int_eq(data_peers_write(platform_fs(), &TWO), 0);
	ck_assert_uint_eq(small_file_get("peers", good), FILE_BYTES);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(data, good, sizeof(data));
		data[wrong[i].at] = wrong[i].is;
		small_file_put_right("peers", data, FILE_BYTES);
		ck_assert_int_eq(read_it(), ERR_CORRUPT);
	}
	memcpy(data, good, sizeof(data));
	data[8]++;
	small_file_put_right("peers", data, FILE_BYTES);
	ck_assert_int_eq(read_it(), ERR_FORMAT);
}
END_TEST

START_TEST(peers_that_cannot_be_are_not_written)
{
	struct data_peers wrong, peers;
	for (unsigned i = 0; i < 5; i++) {
		wrong = TWO;
		struct data_peer *last = &wrong.peers[1];
		if (i == 0)
			last->port = 0;
		else if (i == 1)
			last->node = 0;
		else if (i == 2)
			last->host[0] = 0;
		else if (i == 3)
			last->host[1] = '\n';
		else
			memset(last->host, 'a', sizeof(last->host));
		ck_assert(data_peer_good(&wrong.peers[0]) && !data_peer_good(last));
		ck_assert_int_eq(data_peers_write(platform_fs(), &TWO), 0);
		ck_assert_int_eq(data_peers_write(platform_fs(), &wrong), ERR_INVALID);
		ck_assert_int_eq(data_peers_read(platform_fs(), &peers), 0);
		ck_assert(data_peers_same(&peers, &TWO));
	}
}
END_TEST

Suite *peers_suite(void)
{
	Suite *suite = suite_create("data_peers");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, platform_setup, platform_done);
	tcase_add_test(all, peers_that_are_written_are_read);
	tcase_add_test(all, there_is_room_for_the_largest_cluster);
	tcase_add_test(all, damaged_peers_are_found);
	tcase_add_test(all, peers_that_cannot_be_are_refused);
	tcase_add_test(all, peers_that_cannot_be_are_not_written);
	suite_add_tcase(suite, all);
	return suite;
}
