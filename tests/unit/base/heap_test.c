#include "tests/unit/base/suites.h"

#include "base/heap.h"
#include "base/random.h"

#include <signal.h>

START_TEST(smallest_key_comes_first)
{
	static const uint64_t keys[] = {5, 3, 9, 1, UINT64_MAX, 0, 7};
	static const uint64_t sorted[] = {0, 1, 3, 5, 7, 9, UINT64_MAX};
	struct heap heap;
	struct heap_node nodes[7];
	heap_init(&heap);
	ck_assert_ptr_null(heap_first(&heap));
	ck_assert_ptr_null(heap_pop(&heap));
	for (int i = 0; i < 7; i++) {
		heap_node_init(&nodes[i]);
		heap_insert(&heap, &nodes[i], keys[i]);
	}
	for (int i = 0; i < 7; i++) {
		struct heap_node *first = heap_first(&heap);
		ck_assert_uint_eq(first->key, sorted[i]);
		ck_assert_ptr_eq(heap_pop(&heap), first);
		ck_assert(!heap_node_linked(first));
	}
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(equal_keys_come_in_order_of_insertion)
{
	struct heap heap;
	struct heap_node nodes[100];
	heap_init(&heap);
	for (int i = 0; i < 100; i++) {
		heap_node_init(&nodes[i]);
		heap_insert(&heap, &nodes[i], 4);
	}
	/* Who goes and comes again stands behind the others. */
	heap_remove(&heap, &nodes[0]);
	heap_insert(&heap, &nodes[0], 4);
	for (int i = 1; i < 100; i++)
		ck_assert_ptr_eq(heap_pop(&heap), &nodes[i]);
	ck_assert_ptr_eq(heap_pop(&heap), &nodes[0]);
}
END_TEST

START_TEST(removing_what_is_in_no_heap_does_nothing)
{
	struct heap heap;
	struct heap_node node;
	heap_init(&heap);
	heap_node_init(&node);
	heap_remove(&heap, &node);
	heap_insert(&heap, &node, 1);
	heap_remove(&heap, &node);
	heap_remove(&heap, &node);
	ck_assert_uint_eq(heap.count, 0);
	ck_assert_ptr_null(heap_first(&heap));
}
END_TEST

enum { MODEL_COUNT = 200 };

/* The model: the smallest (key, order) by looking at all. */
static struct heap_node *smallest(struct heap_node *nodes)
{
	struct heap_node *best = NULL;
	for (size_t i = 0; i < MODEL_COUNT; i++) {
		struct heap_node *node = &nodes[i];
		if (!heap_node_linked(node))
			continue;
		if (!best || node->key < best->key ||
		    (node->key == best->key && node->order < best->order))
			best = node;
	}
	return best;
}

START_TEST(same_as_a_search_over_many_random_steps)
{
	struct heap heap;
	struct heap_node nodes[MODEL_COUNT];
	struct random random;
	heap_init(&heap);
	random_init(&random, 11);
	for (size_t i = 0; i < MODEL_COUNT; i++)
		heap_node_init(&nodes[i]);
	size_t linked = 0;
	for (int step = 0; step < 20000; step++) {
		struct heap_node *node = &nodes[random_below(&random, MODEL_COUNT)];
		uint64_t key = random_below(&random, 50);
		if (!heap_node_linked(node)) {
			heap_insert(&heap, node, key);
			linked++;
		} else if (random_chance(&random, 1, 3)) {
			heap_remove(&heap, node);
			heap_insert(&heap, node, key);
		} else if (random_chance(&random, 1, 2)) {
			heap_remove(&heap, node);
			linked--;
		} else {
			struct heap_node *expected = smallest(nodes);
			EXPECT(heap_pop(&heap) == expected);
			linked--;
		}
		EXPECT(heap.count == linked);
		EXPECT(heap_first(&heap) == smallest(nodes));
	}
}
END_TEST

START_TEST(inserting_twice_stops)
{
	struct heap heap;
	struct heap_node node;
	heap_init(&heap);
	heap_node_init(&node);
	heap_insert(&heap, &node, 1);
	heap_insert(&heap, &node, 2);
}
END_TEST

Suite *heap_suite(void)
{
	Suite *suite = suite_create("heap");
	TCase *tcase = tcase_create("heap");
	tcase_add_test(tcase, smallest_key_comes_first);
	tcase_add_test(tcase, equal_keys_come_in_order_of_insertion);
	tcase_add_test(tcase, removing_what_is_in_no_heap_does_nothing);
	tcase_add_test(tcase, same_as_a_search_over_many_random_steps);
	tcase_add_test_raise_signal(tcase, inserting_twice_stops, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
