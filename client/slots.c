/* The map of slots: learned from what servers say of single ones (MOVED), and from CLUSTER SLOTS of
 * one that did, so that not each of thousands of slots has to be moved once. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "client/client.h"

static void set_range(struct kalix *k, uint16_t first, uint16_t last, size_t node)
{
	if (!k->slots)
		k->slots = mem_zalloc(SLOT_COUNT, sizeof(*k->slots));
	/* Without memory each call is moved again: slower, not wrong. */
	for (uint32_t slot = first; k->slots && slot <= last; slot++)
		k->slots[slot] = (uint16_t)(node + 1);
}

void slots_learn_one(struct kalix *k, uint16_t slot, size_t node)
{
	set_range(k, slot, slot, node);
}

void slots_ask(struct kalix *k, struct node *node)
{
	static const char *const words[] = {"CLUSTER", "SLOTS"};
	if (k->slots_asked || k->now_ms < k->slots_again_ms)
		return;
	struct request *request = request_make_own(2, words);
	if (!request)
		return;
	request->asks_slots = true;
	if (!node_send(k, node, request)) {
		mem_free(request);
		return;
	}
	k->slots_asked = true;
	k->slots_again_ms = k->now_ms + CLIENT_SLOTS_MS;
}

/* ---- The reply ---- */

static bool take(struct resp_reader *reader, enum resp_type type, struct resp_item *item)
{
	return resp_reader_next(reader, item) == 0 && item->type == type;
}

static bool skip(struct resp_reader *reader)
{
	struct resp_item item;
	uint64_t left = 1;
	/* Each item has bytes of its own, so that this ends with them. */
	for (; left > 0; left--) {
		if (resp_reader_next(reader, &item))
			return false;
		if (item.type == RESP_ARRAY || item.type == RESP_SET || item.type == RESP_PUSH)
			left += item.count;
		else if (item.type == RESP_MAP)
			left += 2 * (uint64_t)item.count;
	}
	return true;
}

/* Host and port of one node; what else stands there is skipped. A host that is left out is the one
 * that was asked. */
static bool take_node(struct resp_reader *reader, const struct node *asked, char *to, size_t bytes)
{
	struct resp_item item, host, port;
	if (!take(reader, RESP_ARRAY, &item) || item.count < 2 || resp_reader_next(reader, &host) ||
	    (host.type != RESP_BULK && host.type != RESP_NULL) ||
	    !take(reader, RESP_INTEGER, &port) || port.integer < 1 || port.integer > UINT16_MAX)
		return false;
	bool same = host.type == RESP_NULL || host.text.bytes == 0;
	if (!same && host.text.bytes > CLIENT_HOST_BYTES_MAX)
		return false;
	snprintf(to, bytes, "%.*s:%u", same ? CLIENT_HOST_BYTES_MAX : (int)host.text.bytes,
	    same ? asked->host : (const char *)host.text.data, (unsigned)port.integer);
	for (uint32_t i = 2; i < item.count; i++)
		if (!skip(reader))
			return false;
	return true;
}

static bool take_range(
    struct kalix *k, const struct node *asked, struct resp_reader *reader, bool named[SLOT_COUNT])
{
	char text[CLIENT_HOST_BYTES_MAX + 16];
	struct resp_item range, first, last;
	size_t number;
	if (!take(reader, RESP_ARRAY, &range) || range.count < 3 ||
	    !take(reader, RESP_INTEGER, &first) || !take(reader, RESP_INTEGER, &last) ||
	    first.integer < 0 || last.integer < first.integer || last.integer >= SLOT_COUNT ||
	    !take_node(reader, asked, text, sizeof(text)))
		return false;
	if (node_add(k, slice_from_text(text), &number) == 0) {
		set_range(k, (uint16_t)first.integer, (uint16_t)last.integer, number);
		memset(named + first.integer, 1, (size_t)(last.integer - first.integer + 1));
	}
	/* Replicas. */
	for (uint32_t i = 3; i < range.count; i++)
		if (!skip(reader))
			return false;
	return true;
}

void slots_forget_nodes(struct kalix *k)
{
	bool used[CLIENT_NODES_MAX] = {false};
	for (uint32_t slot = 0; k->slots && slot < SLOT_COUNT; slot++)
		if (k->slots[slot])
			used[k->slots[slot] - 1] = true;
	for (size_t i = 0; i < k->node_count; i++)
		if (!used[i] && !k->nodes[i]->given && k->nodes[i]->state == CONNECTION_NONE)
			node_forget(k, k->nodes[i]);
}

void slots_learn(struct kalix *k, const struct node *asked, struct slice wire)
{
	bool named[SLOT_COUNT] = {false};
	struct resp_reader reader;
	struct resp_item ranges;
	resp_reader_init(&reader, CLIENT_REPLY_BYTES_MAX, RESP_DEPTH_MAX);
	resp_reader_feed(&reader, wire);
	if (!take(&reader, RESP_ARRAY, &ranges))
		return;
	for (uint32_t i = 0; i < ranges.count; i++)
		if (!take_range(k, asked, &reader, named))
			return;
	for (uint32_t slot = 0; k->slots && slot < SLOT_COUNT; slot++)
		if (!named[slot])
			k->slots[slot] = 0;
	slots_forget_nodes(k);
}
