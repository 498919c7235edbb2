/* The records of nodes and shards, and the batch that makes one layout of another. */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "server/meta/meta_keys.h"
#include "server/meta/meta_layout.h"
#include "server/meta/meta_records.h"
#include "storage/batch.h"
#include "tests/unit/meta/suites.h"

static struct cluster_node a_node(void)
{
	return (struct cluster_node){.node = 7,
	    .state = CLUSTER_NODE_DRAINING,
	    .incarnation = UINT64_C(0xfedcba9876543210),
	    .cores = 12,
	    .stores = 24,
	    .host = "192.0.2.7",
	    .port = 7470,
	    .peer_port = 7471,
	    .cluster_port = 65535,
	    .zone = "rack-4"};
}

static struct cluster_shard *a_shard(struct cluster_shard_record *record)
{
	struct cluster_shard *shard = cluster_shard_begin(record);
	shard->generation = 9;
	shard->replicas_made = 4;
	shard->count = 3;
	shard->replicas[0] = (struct cluster_replica){.replica = 1, .voter = true};
	shard->replicas[1] =
	    (struct cluster_replica){.replica = cluster_replica_number(7, 1), .voter = true};
	shard->replicas[2] =
	    (struct cluster_replica){.replica = cluster_replica_number(3, 3), .voter = false};
	return shard;
}

static int read_node(struct slice record, struct cluster_node *ret_node)
{
	return meta_node_decode(7, record, ret_node);
}

START_TEST(a_node_is_read_as_it_was_written)
{
	struct cluster_node node = a_node(), again;
	struct buffer record;
	buffer_init(&record, META_NODE_BYTES_MAX);
	ck_assert_int_eq(meta_node_encode(&node, &record), 0);
	ck_assert_int_eq(read_node(buffer_view(&record), &again), 0);
	ck_assert_uint_eq(again.node, 7);
	ck_assert_int_eq(again.state, CLUSTER_NODE_DRAINING);
	ck_assert_uint_eq(again.incarnation, node.incarnation);
	ck_assert_uint_eq(again.cores, 12);
	ck_assert_uint_eq(again.stores, 24);
	ck_assert_str_eq(again.host, node.host);
	ck_assert_uint_eq(again.port, 7470);
	ck_assert_uint_eq(again.peer_port, 7471);
	ck_assert_uint_eq(again.cluster_port, 65535);
	ck_assert_str_eq(again.zone, node.zone);
	ck_assert_int_eq(meta_node_decode(0, buffer_view(&record), &again), ERR_CORRUPT);
	ck_assert(!cluster_job_was(&again.drain));
	buffer_clear(&record);
	node.drain = (struct cluster_job){.began_ms = 1, .ended_ms = INT64_MAX, .all = INT64_MAX};
	ck_assert_int_eq(meta_node_encode(&node, &record), 0);
	ck_assert_int_eq(read_node(buffer_view(&record), &again), 0);
	ck_assert(cluster_job_same(&node.drain, &again.drain));
	ck_assert_str_eq(again.zone, node.zone);
	buffer_clear(&record);
	node.drain.began_ms = -1;
	ck_assert_int_eq(meta_node_encode(&node, &record), 0);
	ck_assert_int_eq(read_node(buffer_view(&record), &again), ERR_CORRUPT);
	buffer_done(&record);
}
END_TEST

/* Before jobs were kept, and by that version from what this one writes. */
START_TEST(records_without_jobs_are_read_and_half_a_job_is_not)
{
	struct meta_cluster cluster = {.id = "0123456789abcdef0123456789abcdef",
	    .shards = 16,
	    .replication_factor = 5,
	    .next_node = 7,
	    .rebalance = {.began_ms = 1, .ended_ms = 2, .all = 3}};
	struct meta_cluster again;
	struct cluster_node node = a_node(), same;
	struct buffer records[2];
	node.drain = cluster.rebalance;
	for (size_t i = 0; i < 2; i++)
		buffer_init(&records[i], 256);
	ck_assert_int_eq(meta_cluster_encode(&cluster, &records[0]), 0);
	ck_assert_int_eq(meta_node_encode(&node, &records[1]), 0);
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&records[0]), &again), 0);
	ck_assert(cluster_job_same(&cluster.rebalance, &again.rebalance));
	/* Numbers so small have a byte each, and so has the count of members. */
	for (unsigned missed = 1; missed <= 3; missed++) {
		int error = missed < 3 ? ERR_CORRUPT : 0;
		for (size_t i = 0; i < 2; i++) {
			records[i].data[records[i].begin]--;
			buffer_truncate(&records[i], buffer_bytes(&records[i]) - 1);
		}
		ck_assert_int_eq(meta_cluster_decode(buffer_view(&records[0]), &again), error);
		ck_assert_int_eq(read_node(buffer_view(&records[1]), &same), error);
	}
	ck_assert_uint_eq(again.next_node, 7);
	ck_assert(!cluster_job_was(&again.rebalance));
	ck_assert_str_eq(same.zone, node.zone);
	ck_assert(!cluster_job_was(&same.drain));
	for (size_t i = 0; i < 2; i++)
		buffer_done(&records[i]);
}
END_TEST

/* Not even what our own side would write is taken as it is. */
START_TEST(a_node_that_cannot_be_is_refused)
{
	struct cluster_node nodes[7], again;
	for (size_t i = 0; i < 7; i++)
		nodes[i] = a_node();
	nodes[0].incarnation = 0;
	nodes[1].cores = 0;
	nodes[2].stores = 0;
	nodes[3].stores = STORES_MAX + 1;
	nodes[4].host[0] = 0;
	nodes[5].host[2] = ' ';
	nodes[6].zone[2] = '"';
	for (size_t i = 0; i < 7; i++) {
		struct buffer record;
		buffer_init(&record, META_NODE_BYTES_MAX);
		ck_assert_ptr_nonnull(meta_node_wrong(&nodes[i]));
		ck_assert_int_eq(meta_node_encode(&nodes[i], &record), 0);
		ck_assert_int_eq(read_node(buffer_view(&record), &again), ERR_CORRUPT);
		buffer_done(&record);
	}
	memset(nodes[0].zone, 'z', sizeof(nodes[0].zone));
	nodes[0].incarnation = 1;
	ck_assert_ptr_nonnull(meta_node_wrong(&nodes[0]));
	nodes[0] = a_node();
	ck_assert_ptr_null(meta_node_wrong(&nodes[0]));
}
END_TEST

START_TEST(a_shard_is_read_as_it_was_written)
{
	struct cluster_shard_record one, other;
	struct cluster_shard *shard = a_shard(&one), *again = cluster_shard_begin(&other);
	struct buffer record;
	buffer_init(&record, META_SHARD_BYTES_MAX);
	ck_assert_int_eq(meta_shard_encode(shard, &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), 0);
	ck_assert_uint_eq(again->generation, 9);
	ck_assert_uint_eq(again->replicas_made, 4);
	ck_assert_uint_eq(again->count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(again->replicas[i].replica, shard->replicas[i].replica);
		ck_assert_int_eq(again->replicas[i].voter, shard->replicas[i].voter);
	}
	ck_assert_uint_eq(again->recovery.replica, 0);
	buffer_clear(&record);
	shard->recovery = (struct cluster_recovery){
	    .replica = 2, .term = 1004, .committed = 70, .index = 77, .at_ms = -1};
	ck_assert_int_eq(meta_shard_encode(shard, &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), 0);
	ck_assert_uint_eq(again->recovery.replica, 2);
	ck_assert_uint_eq(again->recovery.term, 1004);
	ck_assert_uint_eq(again->recovery.index, 77);
	ck_assert_uint_eq(again->recovery.committed, 70);
	ck_assert_int_eq(again->recovery.at_ms, -1);
	ck_assert(!again->recovery.gives_up);
	ck_assert_uint_eq(again->count, 3);
	buffer_clear(&record);
	shard->recovery.gives_up = true;
	ck_assert_int_eq(meta_shard_encode(shard, &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), 0);
	ck_assert(again->recovery.gives_up);
	/* What is committed is in the log that goes on. */
	shard->recovery.committed = 78;
	buffer_clear(&record);
	ck_assert_int_eq(meta_shard_encode(shard, &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), ERR_CORRUPT);
	buffer_done(&record);
}
END_TEST

START_TEST(as_many_replicas_as_there_may_be_fit)
{
	struct cluster_shard_record one, other;
	struct cluster_shard *shard = cluster_shard_begin(&one);
	struct cluster_shard *again = cluster_shard_begin(&other);
	struct buffer record;
	shard->generation = INT64_MAX;
	shard->replicas_made = INT64_MAX >> CLUSTER_NODE_BITS;
	shard->count = CLUSTER_REPLICAS_MAX;
	shard->recovery = (struct cluster_recovery){.replica = 1,
	    .term = INT64_MAX,
	    .committed = INT64_MAX,
	    .index = INT64_MAX,
	    .at_ms = INT64_MAX,
	    .gives_up = true};
	for (uint32_t i = 0; i < shard->count; i++)
		shard->replicas[i] =
		    (struct cluster_replica){.replica = cluster_replica_number((uint16_t)(i + 1),
		                                 shard->replicas_made - CLUSTER_REPLICAS_MAX + i)};
	buffer_init(&record, META_SHARD_BYTES_MAX);
	ck_assert_int_eq(meta_shard_encode(shard, &record), 0);
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), 0);
	ck_assert_uint_eq(again->count, CLUSTER_REPLICAS_MAX);
	/* And no more than there is room for. */
	again->room = CLUSTER_REPLICAS_MAX - 1;
	ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), ERR_CORRUPT);
	buffer_done(&record);
}
END_TEST

START_TEST(a_shard_that_cannot_be_is_refused)
{
	struct cluster_shard_record records[7], other;
	struct cluster_shard *shards[7], *again = cluster_shard_begin(&other);
	for (size_t i = 0; i < 7; i++)
		shards[i] = a_shard(&records[i]);
	shards[0]->generation = 0;
	shards[1]->replicas_made = 3;
	shards[2]->count = 0;
	shards[3]->replicas[0].replica = cluster_replica_number(7, 0); /* a second on node 7 */
	shards[4]->replicas[0].replica = shards[4]->replicas[1].replica;
	shards[5]->replicas[2].replica = cluster_replica_number(3, 0);
	shards[6]->replicas[2].replica = cluster_replica_number(0, 2);
	for (size_t i = 0; i < 7; i++) {
		struct buffer record;
		buffer_init(&record, META_SHARD_BYTES_MAX);
		ck_assert_int_eq(meta_shard_encode(shards[i], &record), 0);
		ck_assert_int_eq(meta_shard_decode(buffer_view(&record), again), ERR_CORRUPT);
		buffer_done(&record);
	}
}
END_TEST

START_TEST(cut_and_changed_records_are_refused_or_harmless)
{
	struct cluster_node node = a_node();
	struct cluster_shard_record one;
	struct cluster_shard *shard = a_shard(&one);
	struct buffer records[2];
	buffer_init(&records[0], META_NODE_BYTES_MAX);
	buffer_init(&records[1], META_SHARD_BYTES_MAX);
	ck_assert_int_eq(meta_node_encode(&node, &records[0]), 0);
	ck_assert_int_eq(meta_shard_encode(shard, &records[1]), 0);
	for (size_t i = 0; i < 2; i++) {
		struct slice whole = buffer_view(&records[i]);
		uint8_t *data = records[i].data + records[i].begin;
		for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
			struct slice cut = slice_of(whole.data, bytes);
			EXPECT(i == 0 ? read_node(cut, &node) : meta_shard_decode(cut, shard));
		}
		for (size_t at = 0; at < whole.bytes * 8; at++) {
			data[at / 8] ^= (uint8_t)(1U << at % 8);
			if (i == 0 && read_node(whole, &node) == 0)
				EXPECT(!meta_node_wrong(&node));
			if (i == 1 && meta_shard_decode(whole, shard) == 0)
				EXPECT(shard->count > 0 && shard->count <= CLUSTER_REPLICAS_MAX);
			data[at / 8] ^= (uint8_t)(1U << at % 8);
		}
		data[1] = 2;
		ck_assert_int_eq(
		    i == 0 ? read_node(whole, &node) : meta_shard_decode(whole, shard), ERR_FORMAT);
		buffer_done(&records[i]);
	}
}
END_TEST

/* As they were written by versions that knew one node. */
START_TEST(a_short_record_of_a_cluster_has_one_node)
{
	struct meta_cluster cluster = {.id = "0123456789abcdef0123456789abcdef",
	    .shards = 16,
	    .replication_factor = 5,
	    .next_node = 7};
	struct buffer record;
	buffer_init(&record, META_CLUSTER_BYTES_MAX);
	ck_assert_int_eq(meta_cluster_encode(&cluster, &record), 0);
	record.data[record.begin] = 0x94;
	buffer_truncate(&record, buffer_bytes(&record) - 2);
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &cluster), 0);
	ck_assert_uint_eq(cluster.shards, 16);
	ck_assert_uint_eq(cluster.replication_factor, META_FACTOR_DEFAULT);
	ck_assert_uint_eq(cluster.next_node, 2);
	/* Half of what is new was never written. */
	record.data[record.begin] = 0x95;
	ck_assert_int_eq(buffer_append_u8(&record, 3), 0);
	ck_assert_int_eq(meta_cluster_decode(buffer_view(&record), &cluster), ERR_CORRUPT);
	buffer_done(&record);
}
END_TEST

/* ---- Layouts ---- */

static void make_layout(struct meta_layout *layout)
{
	struct meta_cluster cluster = {.id = "0123456789abcdef0123456789abcdef",
	    .shards = 3,
	    .replication_factor = 3,
	    .next_node = 2};
	struct cluster_node node = a_node();
	*layout = (struct meta_layout){.nodes = NULL};
	ck_assert_int_eq(meta_layout_check(layout), ERR_NOT_FOUND);
	ck_assert_int_eq(meta_layout_set_cluster(layout, &cluster), 0);
	ck_assert_int_eq(meta_layout_check(layout), ERR_NOT_FOUND);
	ck_assert_int_eq(meta_layout_begin(layout, &node), 0);
	ck_assert_int_eq(meta_layout_check(layout), 0);
}

static void take_all(struct meta_layout *layout, const uint8_t *batch, size_t bytes, unsigned *ops)
{
	struct batch_cursor cursor;
	struct batch_op op;
	ck_assert_int_eq(batch_check(slice_of(batch, bytes)), 0);
	batch_read(slice_of(batch, bytes), &cursor);
	for (*ops = 0; batch_next(&cursor, &op); (*ops)++)
		ck_assert_int_eq(meta_layout_take(layout, op.key, op.value), 0);
}

START_TEST(a_batch_has_what_differs_and_gives_the_same_layout)
{
	struct meta_layout first, second, again = {.nodes = NULL}, none = {.nodes = NULL};
	uint8_t *batch;
	size_t bytes;
	unsigned ops;
	make_layout(&first);
	ck_assert_int_eq(meta_layout_batch(&none, &first, &batch, &bytes), 0);
	take_all(&again, batch, bytes, &ops);
	mem_free(batch);
	ck_assert_uint_eq(ops, 6); /* the cluster's, a node's, those of four shards */
	ck_assert_int_eq(meta_layout_batch(&first, &again, &batch, &bytes), ERR_NOT_FOUND);
	ck_assert_int_eq(meta_layout_copy(&first, &second), 0);
	struct cluster_node node = a_node();
	node.node = 2;
	ck_assert_int_eq(meta_layout_put_node(&second, &node), 0);
	second.nodes[0].port++;
	second.shards[2].generation++;
	second.shards[2].replicas[0].voter = false;
	second.cluster.next_node = 3;
	ck_assert_int_eq(meta_layout_batch(&first, &second, &batch, &bytes), 0);
	take_all(&again, batch, bytes, &ops);
	mem_free(batch);
	ck_assert_uint_eq(ops, 4);
	ck_assert_int_eq(meta_layout_batch(&again, &second, &batch, &bytes), ERR_NOT_FOUND);
	ck_assert(!again.shards[2].replicas[0].voter);
	ck_assert_uint_eq(again.node_count, 2);
	/* Jobs differ, too, and stand in the map. */
	second.nodes[1].drain = (struct cluster_job){.began_ms = 5, .all = 7};
	second.cluster.rebalance = (struct cluster_job){.began_ms = 6, .ended_ms = 9, .all = 8};
	ck_assert_int_eq(meta_layout_batch(&again, &second, &batch, &bytes), 0);
	take_all(&again, batch, bytes, &ops);
	mem_free(batch);
	ck_assert_uint_eq(ops, 2);
	struct cluster_map *map;
	ck_assert_int_eq(meta_layout_map(&again, 9, &map), 0);
	ck_assert(cluster_job_same(&map->nodes[1].drain, &second.nodes[1].drain));
	ck_assert(cluster_job_same(&map->rebalance, &second.cluster.rebalance));
	cluster_map_release(map);
	ck_assert(!meta_layout_is_alone(&again) && meta_layout_is_alone(&first));
	meta_layout_done(&first);
	meta_layout_done(&second);
	meta_layout_done(&again);
}
END_TEST

START_TEST(a_layout_refuses_what_it_has_no_place_for)
{
	struct meta_layout layout, none = {.nodes = NULL};
	struct cluster_shard_record record;
	struct cluster_shard *shard = a_shard(&record);
	make_layout(&layout);
	struct meta_cluster cluster = layout.cluster;
	cluster.shards = 4;
	ck_assert_int_eq(meta_layout_set_cluster(&layout, &cluster), ERR_CORRUPT);
	ck_assert_int_eq(meta_layout_put_shard(&layout, 4, shard), ERR_CORRUPT);
	ck_assert_int_eq(meta_layout_put_shard(&none, 1, shard), ERR_CORRUPT);
	/* The directory has a replica on every node, others only as many as a group has members. */
	shard->count = GROUP_REPLICAS_MAX + 1;
	ck_assert_int_eq(meta_layout_put_shard(&layout, 1, shard), ERR_CORRUPT);
	ck_assert_int_eq(meta_layout_put_shard(&layout, 0, shard), 0);
	static const uint8_t unknown[] = {META_KEY_END, 1};
	static const uint8_t short_node[] = {META_KEY_NODE, 1};
	static const uint8_t long_shard[] = {META_KEY_SHARD, 0, 0, 0, 1, 0};
	ck_assert_int_eq(
	    meta_layout_take(&layout, slice_of(unknown, 2), slice_of(NULL, 0)), ERR_CORRUPT);
	ck_assert_int_eq(
	    meta_layout_take(&layout, slice_of(short_node, 2), slice_of(NULL, 0)), ERR_CORRUPT);
	ck_assert_int_eq(
	    meta_layout_take(&layout, slice_of(long_shard, 6), slice_of(NULL, 0)), ERR_CORRUPT);
	layout.shards[3].generation = 0;
	ck_assert_int_eq(meta_layout_check(&layout), ERR_CORRUPT);
	meta_layout_done(&layout);
}
END_TEST

START_TEST(a_map_has_what_the_layout_has)
{
	struct meta_layout layout;
	struct cluster_map *map;
	struct cluster_shard_record record;
	make_layout(&layout);
	cluster_shard_set(&layout.shards[3], a_shard(&record));
	ck_assert_int_eq(meta_layout_map(&layout, 12, &map), 0);
	ck_assert_uint_eq(map->version, 12);
	ck_assert_str_eq(map->id, layout.cluster.id);
	ck_assert_uint_eq(map->replication_factor, 3);
	ck_assert_uint_eq(map->node_count, 1);
	ck_assert_uint_eq(cluster_map_node(map, 1)->peer_port, 7471);
	ck_assert_int_eq(cluster_map_node(map, 1)->state, CLUSTER_NODE_MEMBER);
	ck_assert_uint_eq(map->shard_count, 3);
	ck_assert_uint_eq(cluster_map_replica(map, 0, 1)->replica, 1);
	ck_assert_uint_eq(cluster_map_replica(map, 3, 7)->replica, cluster_replica_number(7, 1));
	cluster_map_release(map);
	meta_layout_done(&layout);
}
END_TEST

Suite *layout_suite(void)
{
	Suite *suite = suite_create("layout");
	TCase *tcase = tcase_create("layout");
	tcase_add_test(tcase, a_node_is_read_as_it_was_written);
	tcase_add_test(tcase, records_without_jobs_are_read_and_half_a_job_is_not);
	tcase_add_test(tcase, a_node_that_cannot_be_is_refused);
	tcase_add_test(tcase, a_shard_is_read_as_it_was_written);
	tcase_add_test(tcase, as_many_replicas_as_there_may_be_fit);
	tcase_add_test(tcase, a_shard_that_cannot_be_is_refused);
	tcase_add_test(tcase, cut_and_changed_records_are_refused_or_harmless);
	tcase_add_test(tcase, a_short_record_of_a_cluster_has_one_node);
	tcase_add_test(tcase, a_batch_has_what_differs_and_gives_the_same_layout);
	tcase_add_test(tcase, a_layout_refuses_what_it_has_no_place_for);
	tcase_add_test(tcase, a_map_has_what_the_layout_has);
	suite_add_tcase(suite, tcase);
	return suite;
}
