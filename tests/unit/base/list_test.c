#include "tests/unit/base/suites.h"

#include "base/list.h"

#include <signal.h>

struct item {
	int number;
	struct list_node node;
};

static struct item *item_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct item, node);
}

static void make(struct item *items, int count)
{
	for (int i = 0; i < count; i++) {
		items[i].number = i;
		list_node_init(&items[i].node);
	}
}

/* The list holds these numbers, forwards and backwards; -1 ends. */
static void expect(struct list *list, const int *numbers)
{
	size_t count = 0;
	LIST_FOR_EACH(node, list)
	ck_assert_int_eq(item_of(node)->number, numbers[count++]);
	ck_assert_int_eq(numbers[count], -1);
	ck_assert_uint_eq(list_count(list), count);
	for (struct list_node *node = list->head.back; node != &list->head; node = node->back)
		ck_assert_int_eq(item_of(node)->number, numbers[--count]);
	ck_assert_uint_eq(count, 0);
}

#define EXPECT_LIST(list, ...) expect(list, (const int[]){__VA_ARGS__, -1})

START_TEST(pushed_at_either_end_and_between)
{
	struct item items[4];
	make(items, 4);
	struct list list;
	list_init(&list);
	ck_assert(list_empty(&list));
	list_push_back(&list, &items[1].node);
	list_push_back(&list, &items[3].node);
	list_push_front(&list, &items[0].node);
	list_insert_before(&items[2].node, &items[3].node);
	EXPECT_LIST(&list, 0, 1, 2, 3);
	ck_assert_ptr_eq(list_first(&list), &items[0].node);
	ck_assert_ptr_eq(list_last(&list), &items[3].node);
	ck_assert_ptr_eq(list_next(&list, &items[0].node), &items[1].node);
	ck_assert_ptr_null(list_next(&list, &items[3].node));
}
END_TEST

START_TEST(removed_knows_that_it_is_unlinked)
{
	struct item items[3];
	make(items, 3);
	struct list list;
	list_init(&list);
	for (int i = 0; i < 3; i++)
		list_push_back(&list, &items[i].node);
	ck_assert(list_linked(&items[1].node));
	list_remove(&items[1].node);
	ck_assert(!list_linked(&items[1].node));
	list_remove(&items[1].node);
	EXPECT_LIST(&list, 0, 2);
	ck_assert_ptr_eq(list_pop_back(&list), &items[2].node);
	ck_assert_ptr_eq(list_pop_front(&list), &items[0].node);
	ck_assert_ptr_null(list_pop_front(&list));
	ck_assert_ptr_null(list_pop_back(&list));
	ck_assert_ptr_null(list_first(&list));
	ck_assert_ptr_null(list_last(&list));
}
END_TEST

START_TEST(only_element_is_linked_too)
{
	struct item item;
	make(&item, 1);
	struct list list;
	list_init(&list);
	list_push_back(&list, &item.node);
	ck_assert(list_linked(&item.node));
}
END_TEST

START_TEST(one_list_is_appended_to_another)
{
	struct item items[4];
	make(items, 4);
	struct list a;
	struct list b;
	list_init(&a);
	list_init(&b);
	list_append_all(&a, &b);
	ck_assert(list_empty(&a));
	list_push_back(&b, &items[0].node);
	list_push_back(&b, &items[1].node);
	list_append_all(&a, &b);
	ck_assert(list_empty(&b));
	list_push_back(&b, &items[2].node);
	list_push_back(&b, &items[3].node);
	list_append_all(&a, &b);
	EXPECT_LIST(&a, 0, 1, 2, 3);
	ck_assert(list_empty(&b));
}
END_TEST

START_TEST(walk_may_remove_what_it_stands_on)
{
	struct item items[6];
	make(items, 6);
	struct list list;
	list_init(&list);
	for (int i = 0; i < 6; i++)
		list_push_back(&list, &items[i].node);
	LIST_FOR_EACH_REMOVABLE(node, &list)
	{
		if (item_of(node)->number % 2 == 0)
			list_remove(node);
	}
	EXPECT_LIST(&list, 1, 3, 5);
}
END_TEST

START_TEST(linking_twice_stops)
{
	struct item item;
	make(&item, 1);
	struct list list;
	list_init(&list);
	list_push_back(&list, &item.node);
	list_push_back(&list, &item.node);
}
END_TEST

Suite *list_suite(void)
{
	Suite *suite = suite_create("list");
	TCase *tcase = tcase_create("list");
	tcase_add_test(tcase, pushed_at_either_end_and_between);
	tcase_add_test(tcase, removed_knows_that_it_is_unlinked);
	tcase_add_test(tcase, only_element_is_linked_too);
	tcase_add_test(tcase, one_list_is_appended_to_another);
	tcase_add_test(tcase, walk_may_remove_what_it_stands_on);
	tcase_add_test_raise_signal(tcase, linking_twice_stops, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
