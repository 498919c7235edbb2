/* One gate over the fake network and fake shards, with everything that server/ gives it. */
#ifndef KX_TESTS_UNIT_GATE_RIG_H
#define KX_TESTS_UNIT_GATE_RIG_H

#include "server/gate/gate.h"
#include "tests/unit/gate/fake_net.h"
#include "tests/unit/gate/fake_shards.h"

struct rig {
	struct io *io;
	struct shards *shards;
	struct gate *gate;
	struct gate_config config;
	struct list tours, directories; /* that the gate asked for */
	bool ready, drained;
	struct cluster_map *map; /* NULL: alone */
	uint16_t unlinked;       /* a node that there is no link with */
	uint16_t flickers;       /* a node that there is one with every other time that is asked */
	uint32_t flickered;      /* so often it was asked for */
	uint16_t lost;           /* one that there was none with for long */
	bool alone;              /* nor with any other */
	uint16_t refused;        /* a node that refuses links, with its secret */
	/* Of the last request of the directory. */
	enum meta_verb verb;
	char app[70], hash[40], expected[40], dropped[140];
	size_t bundle_bytes;
	bool dry_run, force, damaged, unproved;
	uint16_t node;
	uint32_t shard;
	uint64_t generation;
	char wanted[256]; /* "1 voter, 2 learner, " */
};

/* Small limits; a test may change config before rig_open. */
void rig_init(struct rig *rig);
void rig_open(struct rig *rig);
/* Closes every connection that is left. */
void rig_done(struct rig *rig);

/* Turns, as a core's, until nothing moves any more. */
void rig_run(struct rig *rig);
struct io_socket *rig_connect(struct rig *rig);
/* Writes, runs, and gives what the client has got since; valid until the next call. */
const char *rig_say(struct rig *rig, struct io_socket *client, const char *text);
/* A request of words parted by spaces, as an array of bulk strings. */
const char *rig_ask(struct rig *rig, struct io_socket *client, const char *words);

#endif
