#include "tests/unit/meta/placement_rig.h"

#include "base/random.h"

/* ---- What nodes do ---- */

static uint64_t does(const struct cluster *cluster, uint16_t node)
{
	uint64_t sum = 0;
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		if (cluster->shards[shard].leader == node)
			sum += cluster->shards[shard].load;
	return sum;
}

static uint64_t most(const struct cluster *cluster)
{
	uint64_t most = 0;
	for (uint32_t i = 0; i < cluster->map->node_count; i++) {
		uint64_t one = does(cluster, cluster->map->nodes[i].node);
		most = one > most ? one : most;
	}
	return most;
}

static uint64_t mean(const struct cluster *cluster)
{
	uint64_t sum = 0;
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		sum += cluster->shards[shard].load;
	return sum / cluster->map->node_count;
}

static bool exchanges(struct cluster *cluster)
{
	cluster_plan(cluster);
	return cluster->plan.load_transfers + cluster->plan.load_changes > 0;
}

/* The shards that node 1 leads do so much each, and all others so much. */
static void heat(struct cluster *cluster, uint64_t hot, uint64_t cold)
{
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		cluster->shards[shard].load = cluster->shards[shard].leader == 1 ? hot : cold;
}

static void begin(struct cluster *cluster, uint32_t nodes, uint32_t shards)
{
	cluster_begin_even(cluster, nodes + 1, shards, 3, nodes);
	cluster->load_moves_max = LOAD_MOVES_MAX;
	cluster->load_replicas = true;
}

/* ---- Leaderships ---- */

START_TEST(shards_that_do_much_are_led_by_different_nodes)
{
	struct cluster cluster;
	begin(&cluster, 3, 12);
	heat(&cluster, 1000, 0);
	ck_assert_uint_eq(does(&cluster, 1), 4000);
	cluster_run(&cluster);
	/* Four on three nodes; two exchanges do it, and counts stay as they were. */
	ck_assert_uint_eq(most(&cluster), 2000);
	ck_assert_uint_eq(cluster.load_transfers, 4);
	ck_assert_uint_eq(cluster.transfers, 4);
	ck_assert_uint_eq(cluster.changes, 0);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 0);
	cluster_end(&cluster);
}
END_TEST

START_TEST(who_leads_one_less_gives_none_back)
{
	struct cluster cluster;
	begin(&cluster, 3, 4);
	/* Two of four are led by one node; both do much. */
	uint16_t two = 1;
	while (cluster_leads(&cluster, two) != 2)
		two++;
	for (uint32_t shard = 1; shard <= 4; shard++)
		cluster.shards[shard].load = cluster.shards[shard].leader == two ? 1000 : 10;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.transfers, 1);
	ck_assert_uint_le(most(&cluster), 1010);
	cluster_assert_even(&cluster);
	cluster_end(&cluster);
}
END_TEST

START_TEST(what_gains_little_moves_nothing)
{
	struct cluster cluster;
	begin(&cluster, 3, 12);
	/* Less than is worth it at all. */
	heat(&cluster, PLACEMENT_GAIN_MIN / 4, 0);
	ck_assert(!exchanges(&cluster));
	/* One alone does much: wherever it is led that node has it. */
	heat(&cluster, 10, 10);
	cluster.shards[5].load = 100000;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.transfers, 0);
	/* A tenth above the others, of much. */
	heat(&cluster, 1090, 1000);
	ck_assert(!exchanges(&cluster));
	cluster_end(&cluster);
}
END_TEST

START_TEST(who_must_not_lead_gets_nothing_for_loads)
{
	for (int reason = 0; reason < 5; reason++) {
		struct cluster cluster;
		begin(&cluster, 3, 12);
		if (reason == 0)
			cluster.nodes[1].full = true;
		else if (reason == 4)
			cluster.nodes[1].silent = true;
		else if (reason == 1)
			cluster.nodes[1].no_bundle = true;
		else if (reason == 2)
			cluster_kill(&cluster, 2, 1);
		else
			cluster_drain(&cluster, 2);
		cluster.load_moves_max = 0;
		cluster_run(&cluster);
		cluster.load_moves_max = LOAD_MOVES_MAX;
		uint32_t led = cluster_leads(&cluster, 2);
		heat(&cluster, 1000, 0);
		cluster_plan(&cluster);
		FACT(cluster.plan.load_transfers > 0);
		FACT(cluster.plan.load_transfers == cluster.plan.transfer_count);
		for (uint32_t i = 0; i < cluster.plan.transfer_count; i++)
			FACT(cluster.plan.transfers[i].to != 2);
		cluster_run(&cluster);
		FACT(cluster_leads(&cluster, 2) <= led);
		cluster_end(&cluster);
	}
}
END_TEST

START_TEST(one_that_has_moved_lately_stays)
{
	struct cluster cluster;
	begin(&cluster, 3, 12);
	heat(&cluster, 1000, 0);
	for (uint32_t shard = 1; shard <= 12; shard++)
		cluster.shards[shard].load_rests = true;
	ck_assert(!exchanges(&cluster));
	for (uint32_t shard = 1; shard <= 12; shard++)
		cluster.shards[shard].load_rests = cluster.shards[shard].leader == 1;
	ck_assert(!exchanges(&cluster));
	heat(&cluster, 1000, 0);
	for (uint32_t shard = 1; shard <= 12; shard++)
		cluster.shards[shard].load_rests = false;
	ck_assert(exchanges(&cluster));
	/* And only where it was asked to. */
	cluster.rebalance = false;
	ck_assert(!exchanges(&cluster));
	cluster.rebalance = true;
	cluster.load_moves_max = 0;
	ck_assert(!exchanges(&cluster));
	cluster_end(&cluster);
}
END_TEST

/* Of those that have to go for counts, those go that do least. */
START_TEST(counts_become_even_by_shards_that_do_little)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 3, 12, 3, 3);
	for (uint32_t shard = 1; shard <= 12; shard++) {
		cluster.shards[shard].leader = 1;
		cluster.shards[shard].load = shard <= 4 ? 100 : 10;
	}
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.transfer_count, 8);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_uint_gt(cluster.plan.transfers[i].shard, 4);
	cluster_end(&cluster);
}
END_TEST

/* ---- Replicas ---- */

static void put(struct cluster *cluster, uint32_t shard, const uint16_t nodes[3], uint16_t leader)
{
	struct cluster_shard *wanted = &cluster->map->shards[shard];
	wanted->count = 3;
	wanted->replicas_made = 2;
	for (uint32_t i = 0; i < 3; i++)
		wanted->replicas[i] = (struct cluster_replica){
		    .replica = cluster_replica_number(nodes[i], 1), .voter = true};
	cluster->shards[shard].leader = leader;
}

/* Six shards on each three of six nodes, evenly led; those that do much are all on nodes 1 to 3. */
static void begin_crowded(struct cluster *cluster, bool zones)
{
	uint32_t shard = 0;
	cluster_begin(cluster, 6, 120, 3);
	cluster_join_many(cluster, 5);
	for (uint16_t node = 1; zones && node <= 6; node++)
		cluster_set_zone(cluster, node, node % 3 == 0 ? "a" : node % 3 == 1 ? "b" : "c");
	for (uint16_t a = 1; a <= 6; a++)
		for (uint16_t b = a + 1; b <= 6; b++)
			for (uint16_t c = b + 1; c <= 6; c++)
				for (uint32_t i = 0; i < 6; i++) {
					const uint16_t nodes[] = {a, b, c};
					put(cluster, ++shard, nodes, nodes[i % 3]);
					cluster->shards[shard].load = c == 3 ? 1000 : 10;
				}
	cluster_settle(cluster);
	cluster_run(cluster);
	cluster_assert_even(cluster);
	cluster->load_moves_max = LOAD_MOVES_MAX;
}

START_TEST(replicas_go_where_there_is_little_to_do)
{
	struct cluster cluster;
	begin_crowded(&cluster, false);
	/* Leaders alone mend nothing. */
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.transfers + cluster.changes, 0);
	ck_assert_uint_gt(most(&cluster), 2000);
	cluster.load_replicas = true;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.load_changes, cluster.changes);
	ck_assert_uint_eq(cluster.load_transfers, cluster.transfers);
	/* Three of six: no more than it takes, each for another one. */
	ck_assert_uint_eq(cluster.changes, 6);
	ck_assert_uint_eq(cluster.transfers, 6);
	ck_assert_uint_lt(most(&cluster), 1300);
	cluster_assert_even(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_end(&cluster);
}
END_TEST

START_TEST(replicas_that_go_for_loads_stay_in_different_zones)
{
	struct cluster cluster;
	begin_crowded(&cluster, true);
	for (uint32_t shard = 1; shard <= 120; shard++)
		FACT(cluster_crowd(&cluster, shard) == 1);
	cluster.load_replicas = true;
	cluster_run(&cluster);
	ck_assert_uint_gt(cluster.load_changes, 0);
	for (uint32_t shard = 1; shard <= 120; shard++)
		FACT(cluster_crowd(&cluster, shard) == 1);
	ck_assert_uint_lt(most(&cluster), 1300);
	cluster_end(&cluster);
}
END_TEST

START_TEST(replicas_move_for_loads_where_nothing_else_moves)
{
	struct cluster cluster;
	begin_crowded(&cluster, false);
	cluster.load_replicas = true;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.load_changes, 2);
	/* Something is on its way still. */
	cluster.shards[60].settled = false;
	ck_assert(!exchanges(&cluster));
	cluster.shards[60].settled = true;
	/* What was lost comes first. */
	cluster_kill(&cluster, 6, 2 * RIG_DEAD_MS_MAX);
	cluster_plan(&cluster);
	ck_assert_uint_gt(cluster.plan.change_count, 0);
	ck_assert_uint_eq(cluster.plan.load_changes, 0);
	cluster_end(&cluster);
}
END_TEST

/* ---- Without loads, and where they are alike ---- */

static void copy_loads(const struct cluster *from, uint64_t load, struct cluster *to)
{
	for (uint32_t shard = 0; shard <= from->map->shard_count; shard++)
		to->shards[shard].load = load;
}

/* What the largest cluster of the test does while nodes come, go and are drained is the same, step
 * by step. */
static void same_as_without(uint64_t load)
{
	struct cluster plain, loaded;
	cluster_begin(&plain, 8, 60, 3);
	cluster_begin(&loaded, 8, 60, 3);
	loaded.load_moves_max = LOAD_MOVES_MAX;
	loaded.load_replicas = true;
	for (uint32_t round = 0; round < 400; round++) {
		if (round % 40 == 0 && round < 280) {
			cluster_join(&plain, round % 80 ? "a" : "");
			cluster_join(&loaded, round % 80 ? "a" : "");
		}
		if (round == 300) {
			cluster_drain(&plain, 2);
			cluster_drain(&loaded, 2);
		}
		copy_loads(&plain, 0, &plain);
		copy_loads(&plain, load, &loaded);
		cluster_plan(&plain);
		cluster_plan(&loaded);
		ck_assert_mem_eq(&plain.plan, &loaded.plan, sizeof(plain.plan));
		cluster_apply(&plain);
		cluster_apply(&loaded);
		cluster_settle(&plain);
		cluster_settle(&loaded);
	}
	ck_assert_uint_gt(plain.changes, 100);
	ck_assert_uint_gt(plain.transfers, 20);
	cluster_end(&plain);
	cluster_end(&loaded);
}

START_TEST(equal_loads_change_nothing)
{
	same_as_without(1);
	same_as_without(10);
	same_as_without(5000);
}
END_TEST

/* ---- Loads that change ---- */

enum { NODES = 5, SHARDS = 60, ROUNDS = 1000, SETTLED = 100 };

struct weather {
	struct cluster cluster;
	struct load_book book;
	struct random random;
	uint32_t early, late; /* moves for loads before and behind SETTLED periods */
	uint32_t counted;     /* and others, behind those */
};

static void weather_begin(struct weather *weather, uint64_t seed)
{
	*weather = (struct weather){.early = 0};
	cluster_begin_even(&weather->cluster, NODES, SHARDS, 3, NODES);
	ck_assert_int_eq(load_book_init(&weather->book, SHARDS + 1), 0);
	weather->cluster.book = &weather->book;
	weather->cluster.now_ns = NS_PER_S;
	random_init(&weather->random, seed);
}

static void weather_end(struct weather *weather)
{
	load_book_done(&weather->book);
	cluster_end(&weather->cluster);
}

/* What the shard truly does in that period. */
typedef uint64_t weather_load(struct weather *weather, uint32_t shard, uint32_t round);

/* Some do much, most do little: as it is where keys are popular, the most first. */
static uint64_t popular(uint32_t shard)
{
	return 4000 / shard;
}

static uint64_t constant(struct weather *weather, uint32_t shard, uint32_t round)
{
	(void)weather;
	(void)round;
	return popular(shard);
}

/* Half as much again, or half as little, in each period. */
static uint64_t noisy(struct weather *weather, uint32_t shard, uint32_t round)
{
	(void)round;
	return popular(shard) * random_between(&weather->random, 50, 150) / 100;
}

/* Every other shard for a while, then the others. */
static uint64_t alternating(uint32_t shard, uint32_t round, uint32_t periods)
{
	return shard % 2 == round / periods % 2 ? popular(shard) : 0;
}

static uint64_t alternating_soon(struct weather *weather, uint32_t shard, uint32_t round)
{
	(void)weather;
	return alternating(shard, round, 4);
}

static uint64_t alternating_late(struct weather *weather, uint32_t shard, uint32_t round)
{
	(void)weather;
	return alternating(shard, round, 60);
}

/* One more and more, another one less and less. */
static uint64_t drifting(struct weather *weather, uint32_t shard, uint32_t round)
{
	(void)weather;
	uint32_t at = (shard + round / 50) % SHARDS + 1;
	return popular(at);
}

static void weather_run(struct weather *weather, weather_load *load)
{
	struct cluster *cluster = &weather->cluster;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t shard = 1; shard <= SHARDS; shard++) {
			uint8_t level = load_level(load(weather, shard, round));
			if (level > 0)
				load_book_say(&weather->book, shard, level, cluster->now_ns);
		}
		/* Plans come ten times in a period. */
		for (int plan = 0; plan < 10; plan++) {
			cluster->now_ns += LOAD_PERIOD_NS / 10;
			load_book_look(&weather->book, cluster->now_ns);
			cluster_plan(cluster);
			uint32_t moved = cluster->plan.load_changes + cluster->plan.load_transfers;
			uint32_t all = cluster->plan.change_count + cluster->plan.transfer_count;
			weather->early += round < SETTLED ? moved : 0;
			weather->late += round < SETTLED ? 0 : moved;
			weather->counted += round < SETTLED ? 0 : all - moved;
			cluster_apply(cluster);
			cluster_settle(cluster);
		}
	}
	FACT(weather->counted == 0);
	cluster_assert_even(cluster);
}

START_TEST(constant_loads_come_to_rest)
{
	struct weather weather;
	weather_begin(&weather, 1);
	weather_run(&weather, constant);
	ck_assert_uint_gt(weather.early, 0);
	ck_assert_uint_le(weather.early, 20);
	ck_assert_uint_eq(weather.late, 0);
	/* The one that does most is more than a node's share: its node has nearly nothing else. */
	ck_assert_uint_lt(most(&weather.cluster), popular(1) + mean(&weather.cluster) / 5);
	weather_end(&weather);
}
END_TEST

START_TEST(noise_moves_nothing_to_and_fro)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct weather weather;
		weather_begin(&weather, seed);
		weather_run(&weather, noisy);
		ck_assert_uint_gt(weather.early, 0);
		ck_assert_uint_le(weather.early, 20);
		/* In more than an hour. */
		ck_assert_uint_le(weather.late, 2);
		weather_end(&weather);
	}
}
END_TEST

/* So many at most behind what they begin with, in the 75 minutes that are left. */
static void check(weather_load *load, uint32_t late_max)
{
	struct weather weather;
	weather_begin(&weather, 1);
	weather_run(&weather, load);
	ck_assert_uint_gt(weather.early, 0);
	ck_assert_uint_le(weather.late, late_max);
	weather_end(&weather);
}

START_TEST(what_comes_and_goes_moves_little)
{
	/* Twenty seconds and twenty others: no more than if they were the same. */
	check(alternating_soon, 0);
	/* Five minutes, and five others, fifteen times: once it stands well for both it stays. */
	check(alternating_late, 10);
}
END_TEST

/* Every four minutes all shards do what another one did: each time those that do most are led by
 * different nodes anew. */
START_TEST(what_changes_for_good_is_followed)
{
	struct weather weather;
	weather_begin(&weather, 1);
	weather_run(&weather, drifting);
	ck_assert_uint_gt(weather.late, 20);
	ck_assert_uint_le(weather.late, 8 * (ROUNDS - SETTLED) / 50);
	ck_assert_uint_lt(most(&weather.cluster), 3 * mean(&weather.cluster) / 2);
	weather_end(&weather);
}
END_TEST

Suite *placement_load_suite(void)
{
	Suite *suite = suite_create("placement loads");
	TCase *loads = tcase_create("loads");
	tcase_set_timeout(loads, 120);
	tcase_add_test(loads, shards_that_do_much_are_led_by_different_nodes);
	tcase_add_test(loads, who_leads_one_less_gives_none_back);
	tcase_add_test(loads, what_gains_little_moves_nothing);
	tcase_add_test(loads, who_must_not_lead_gets_nothing_for_loads);
	tcase_add_test(loads, one_that_has_moved_lately_stays);
	tcase_add_test(loads, counts_become_even_by_shards_that_do_little);
	tcase_add_test(loads, replicas_go_where_there_is_little_to_do);
	tcase_add_test(loads, replicas_that_go_for_loads_stay_in_different_zones);
	tcase_add_test(loads, replicas_move_for_loads_where_nothing_else_moves);
	tcase_add_test(loads, equal_loads_change_nothing);
	suite_add_tcase(suite, loads);
	TCase *weather = tcase_create("weather");
	tcase_set_timeout(weather, 120);
	tcase_add_test(weather, constant_loads_come_to_rest);
	tcase_add_test(weather, noise_moves_nothing_to_and_fro);
	tcase_add_test(weather, what_comes_and_goes_moves_little);
	tcase_add_test(weather, what_changes_for_good_is_followed);
	suite_add_tcase(suite, weather);
	return suite;
}
