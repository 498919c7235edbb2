/* Two nodes with links between them on one machine, and somebody in the middle who may change what
 * goes over them. Runs on both implementations of io.h (tests/unit/io/platform.h). */
#ifndef KX_TESTS_UNIT_PEER_RIG_H
#define KX_TESTS_UNIT_PEER_RIG_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/io/io.h"
#include "replication/peer/peer.h"
#include "tests/unit/run.h"

enum { MESSAGES_KEPT = 4096, TEXT_BYTES_MAX = 64 };

struct got {
	uint8_t kind;
	enum peer_class class;
	size_t bytes;
	uint64_t hash;
	char text[TEXT_BYTES_MAX];
};

struct rig_node {
	struct peers *peers;
	struct peers_options options;
	struct peer *other; /* the other node, as its peer */
	unsigned ups, downs, rooms, strangers;
	int down_error;
	struct peer_identity them;
	struct got got[MESSAGES_KEPT];
	unsigned got_count;
	uint64_t entropy;
	void (*on_message)(struct rig_node *node, const struct got *got);
};

extern struct rig_node nodes[2];

/* Fixtures: the nodes 1 and 2 with the same secret, listening; nobody is a peer yet. */
void rig_setup(void);
void rig_teardown(void);
/* Makes a node's links anew, with its options as they are then. */
void rig_restart(int number);

struct sockaddr_in rig_address(uint16_t port);
/* Adds node `other` as a peer of `number`, at the port (0: no address). */
int rig_add(int number, uint16_t port);
/* Node 0 connects to node 1, directly; waits until both are up. */
void rig_link(void);
int rig_send(int number, enum peer_class class, uint8_t kind, const char *text);
int rig_send_bytes(int number, enum peer_class class, uint8_t kind, const void *data, size_t bytes);

/* Turns of both nodes until it is true. */
void rig_run(bool (*until)(void *arg), void *arg);
void rig_until(const unsigned *counter, unsigned value);
/* So many milliseconds of the machine's clock. */
void rig_pass(unsigned ms);

/* ---- The log ---- */

/* Its lines are kept, and not shown, until they are let go. */
void rig_keep_lines(void);
unsigned rig_count_lines(const char *text);
void rig_let_lines_go(void);

/* ---- The one in the middle ---- */

/* Connections to it are carried on to node 1. `change` sees what goes by (`back`: from node 1) and
 * puts what is to go on into `onward`; NULL: everything goes on. */
struct middle {
	struct io_listener *listener;
	uint16_t port, to_port;
	void (*change)(struct middle *middle, bool back, const uint8_t *data, size_t bytes,
	    struct buffer *onward);
	uint64_t passed[2]; /* bytes seen so far, there and back, of all connections */
	unsigned connections;
	bool hold; /* reads nothing of what goes there */
	void *arg;
};

extern struct middle middle;

void middle_open(void);
void middle_close(void); /* closes its connections too */
/* For `hold` changed. */
void middle_continue(void);

/* ---- A stranger with a socket ---- */

struct stranger {
	struct io_socket *socket;
	struct io_op connecting;
	struct buffer received;
	unsigned connected, closed;
};

void stranger_connect(struct stranger *stranger, uint16_t port);
void stranger_say(struct stranger *stranger, const void *data, size_t bytes);
void stranger_done(struct stranger *stranger);

#endif
