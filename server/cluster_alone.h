/* The directory itself goes on alone, at an operator's word (cluster_recover.c): nobody is there
 * who could keep a record of that before it is done, so this node's disk keeps it
 * (storage/data_recovered.h) until the directory has its own. Part of core 0's control.
 *
 *   ALONE_NOT -> asked -> ALONE_WRITES: the file `recovered`
 *     -> the log takes the term and the membership -> ALONE_GOES_ON
 *     -> it leads -> ALONE_RECORDS: the directory's record of it -> ALONE_TOLD: it is answered, the
 *        file goes, and it is told once more with the others, which are asked for then
 *     -> they are recovered -> ALONE_NOT
 *
 *   a start that finds the file -> ALONE_GOES_ON, where the log has that term; else ALONE_NOT
 *
 * Wherever the process ends: before the log has it nothing was done, nobody was answered, and the
 * next start throws the file away; from then on the directory leads whenever this node runs, and
 * the file becomes its record. A record that is there already is made again, which changes nothing.
 */
#ifndef KX_SERVER_CLUSTER_ALONE_H
#define KX_SERVER_CLUSTER_ALONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/io/io.h"
#include "server/meta/meta.h"
#include "storage/data_recovered.h"

struct cluster_control;

enum cluster_alone_step {
	ALONE_NOT,
	ALONE_WRITES,
	ALONE_GOES_ON,
	ALONE_RECORDS,
	ALONE_TOLD,
};

struct cluster_alone {
	enum cluster_alone_step step;
	bool was_read; /* an earlier process left it: whether it was done is not known yet */
	bool is_kept;  /* the file is there, or may be */
	bool busy;     /* the pool has `op` */
	bool ends;     /* which takes the file away */
	struct meta_recovery own;
	struct data_recovered file; /* the pool's, while it is busy */
	struct io_op op;
	struct meta_request change;
	/* NULL: nobody waits. Else who asked, what it is told, and until when it waits. */
	struct meta_request *asked;
	struct buffer reply;
	uint64_t until_ns;
};

/* What an earlier process left. */
void cluster_alone_begin(struct cluster_control *control);
/* Whoever waits is told to ask again; nothing more is begun. */
void cluster_alone_end(struct cluster_control *control);
/* No file is being written. */
bool cluster_alone_rests(const struct cluster_control *control);
/* At each tick, and as soon as this node leads the directory. */
void cluster_alone_look(struct cluster_control *control);
/* It is under way: nothing else of the kind is begun. */
bool cluster_alone_busy(const struct cluster_control *control);
/* This node's replica of the directory is to go on alone. Takes the request with the reply that it
 * has: `done` comes when it leads, or after a while without. */
void cluster_alone_start(
    struct cluster_control *control, const struct meta_recovery *one, struct meta_request *request);
/* What is to be told with the others; NULL: nothing. Valid until cluster_alone_over. */
const struct meta_recovery *cluster_alone_told(const struct cluster_control *control);
/* It was told. */
void cluster_alone_over(struct cluster_control *control);

#endif
