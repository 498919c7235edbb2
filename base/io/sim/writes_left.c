/* What a kernel still carries for a process that was killed. A process that follows it must not
 * find its own writes overwritten by them: this is what FS_LOCKED is for, and what shows where it
 * is missing. */
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/world.h"

static const uint64_t DELAY_NS_MAX = 1000 * 1000 * 1000;

struct write_left {
	struct write_left *next;
	struct sim_node *node;
	struct inode *inode; /* counted; NULL: it has happened */
	bool locked;
	uint64_t offset;
	uint64_t bytes;
	uint8_t data[];
};

static void finish(struct write_left *left)
{
	struct sim_node *node = left->node;
	if (left->inode == NULL)
		return;
	sim_trace(node->sim, node, "write after end", left->offset, left->bytes);
	node->sim->figures.writes_after_end++;
	if (disk_has_room(&node->disk, left->inode, left->offset + left->bytes))
		disk_write(left->inode, left->offset, left->data, left->bytes);
	inode_drop(&node->disk, left->inode);
	left->inode = NULL;
}

static void happens(struct sim_event *event)
{
	struct write_left *left = event->object;
	struct write_left **link = &left->node->writes_left;
	finish(left);
	while (*link != left)
		link = &(*link)->next;
	*link = left->next;
	sim_mem_free(left);
}

void sim_write_left_add(struct sim_node *node, struct inode *inode, bool locked, uint64_t offset,
    const void *data, uint64_t bytes)
{
	struct sim *sim = node->sim;
	if (bytes == 0)
		return;
	struct write_left *left = sim_mem_zalloc(sizeof(*left) + (size_t)bytes);
	left->node = node;
	left->inode = inode_take(inode);
	left->locked = locked;
	left->offset = offset;
	left->bytes = bytes;
	memcpy(left->data, data, (size_t)bytes);
	left->next = node->writes_left;
	node->writes_left = left;
	uint64_t at_ns = sim->now_ns + sim_random_below(sim, DELAY_NS_MAX);
	sim_event_add(sim, NULL, at_ns, "kernel", happens)->object = left;
}

void sim_writes_left_finish(struct sim_node *node, const struct inode *inode)
{
	for (struct write_left *left = node->writes_left; left != NULL; left = left->next)
		if (left->inode == inode && left->locked)
			finish(left);
}

void sim_writes_left_finish_all(struct sim_node *node)
{
	for (struct write_left *left = node->writes_left; left != NULL; left = left->next)
		finish(left);
}

void sim_writes_left_free(struct sim_node *node)
{
	while (node->writes_left != NULL) {
		struct write_left *left = node->writes_left;
		node->writes_left = left->next;
		if (left->inode != NULL)
			inode_drop(&node->disk, left->inode);
		sim_mem_free(left);
	}
}
