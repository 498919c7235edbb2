/* Every mutation (base/mutation.h): X(name, what the faulty code does, seeds within which the
 * simulator finds it). Names begin with their module's. Where MUTATION(name) stands in the code,
 * the comment beside it says which rule it breaks. */
#ifndef KX_BASE_MUTATION_LIST_H
#define KX_BASE_MUTATION_LIST_H

#define MUTATION_LIST(X)                                                                           \
	X(table_half_batch_applied, "of a batch only the first operation is applied", 50)          \
	X(table_dirty_evicted, "a change that only the log has is forgotten under pressure", 50)   \
	X(table_frozen_evicted, "a change is forgotten while it is being checkpointed", 100)       \
	X(table_late_fill_overwrites, "a read that began before a change replaces it", 100)        \
	X(table_thaw_drops_newer, "a checkpoint's end puts an older value over a newer", 100)      \
	X(table_freeze_loses_stream_append, "a checkpoint holds half of a stream's value", 50)     \
	X(table_snapshot_sees_later_change, "a value is overwritten under a reader", 100)

#endif
