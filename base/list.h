/* Doubly linked list whose links are embedded in its elements: nothing is allocated, an element is
 * removed in O(1) without knowing its list. All operations are O(1) unless they say otherwise.
 *
 * The list owns nothing. A node is in at most one list; list_node_init makes it unlinked, and so
 * does its removal, so that list_linked is always defined. Neither head nor nodes may move in
 * memory while linked.
 */
#ifndef KX_BASE_LIST_H
#define KX_BASE_LIST_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>

/* The element that contains *pointer as its member. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

struct list_node {
	struct list_node *next; /* itself while unlinked */
	struct list_node *back;
};

struct list {
	struct list_node head;
};

static inline void list_node_init(struct list_node *node)
{
	node->next = node;
	node->back = node;
}

static inline bool list_linked(const struct list_node *node)
{
	return node->next != node;
}

static inline void list_init(struct list *list)
{
	list_node_init(&list->head);
}

static inline bool list_empty(const struct list *list)
{
	return list->head.next == &list->head;
}

/* Inserts an unlinked node before one of a list. */
static inline void list_insert_before(struct list_node *node, struct list_node *where)
{
	ASSERT(!list_linked(node) && where->back);
	node->next = where;
	node->back = where->back;
	where->back->next = node;
	where->back = node;
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
	list_insert_before(node, &list->head);
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
	list_insert_before(node, list->head.next);
}

/* Removes a node from the list it is in; nothing happens where it is in none. */
static inline void list_remove(struct list_node *node)
{
	node->back->next = node->next;
	node->next->back = node->back;
	list_node_init(node);
}

/* The neighbours, or NULL at the end. */
static inline struct list_node *list_first(const struct list *list)
{
	return list_empty(list) ? NULL : list->head.next;
}

static inline struct list_node *list_last(const struct list *list)
{
	return list_empty(list) ? NULL : list->head.back;
}

static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
	return node->next == &list->head ? NULL : node->next;
}

/* Removes and returns, or NULL where the list is empty. */
static inline struct list_node *list_pop_front(struct list *list)
{
	struct list_node *node = list_first(list);
	if (node)
		list_remove(node);
	return node;
}

static inline struct list_node *list_pop_back(struct list *list)
{
	struct list_node *node = list_last(list);
	if (node)
		list_remove(node);
	return node;
}

/* Moves all of `from` behind the end of `to`; `from` is empty afterwards. */
static inline void list_append_all(struct list *to, struct list *from)
{
	ASSERT(to != from);
	if (list_empty(from))
		return;
	from->head.next->back = to->head.back;
	to->head.back->next = from->head.next;
	from->head.back->next = &to->head;
	to->head.back = from->head.back;
	list_init(from);
}

/* O(n), for tests and status. */
static inline size_t list_count(const struct list *list)
{
	size_t count = 0;
	for (const struct list_node *node = list->head.next; node != &list->head; node = node->next)
		count++;
	return count;
}

/* for-statements over `struct list_node *node`. The body of the first may not change the list; that
 * of the second may remove `node`, nothing else. */
#define LIST_FOR_EACH(node, list)                                                                  \
	for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)

#define LIST_FOR_EACH_REMOVABLE(node, list)                                                        \
	for (struct list_node *node = (list)->head.next, *node##_next = node->next;                \
	     node != &(list)->head; node = node##_next, node##_next = node->next)

#endif
