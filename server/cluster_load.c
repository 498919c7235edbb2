/* What shards do: measured by the core that leads them, said to its core 0 and from there to who
 * leads the directory, which plans with it (server/meta/load.h). Lost news are followed by others.
 */
#include "base/mem.h"
#include "server/cluster_control.h"

/* ---- Where they are led ---- */

void cluster_load_look(struct cluster_core *core, uint32_t shard)
{
	struct cluster_load load = {.shard = shard};
	uint8_t bytes[CLUSTER_LOAD_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	/* Of the directory there is one leader, and nothing to be spread. */
	if (shard == 0 || !core->shards)
		return;
	/* Without memory nothing is measured, and the next look tries again. */
	if (!core->meters)
		core->meters =
		    mem_zalloc(core->options->shard_count + (size_t)1, sizeof(*core->meters));
	if (!core->meters || !load_meter_look(&core->meters[shard], io_now_ns(core->io),
	                         shards_work(core->shards, shard), &load.level))
		return;
	cluster_load_write(&out, &load);
	cluster_rows_add(core, &core->loads, &out);
}

void cluster_load_forget(struct cluster_core *core, uint32_t shard)
{
	if (core->meters)
		core->meters[shard] = (struct load_meter){.at_ns = 0};
}

/* ---- What nodes say ---- */

/* Of shards that the node leads, as far as was said; who led one before, and says what it did
 * until then, comes too late. */
int cluster_control_loads(struct cluster_control *control, uint16_t node, struct slice rows)
{
	struct reader in = reader_of(rows);
	struct cluster_load load;
	while (reader_left(&in) > 0) {
		if (cluster_load_read(&in, &load) ||
		    load.shard > control->core->options->shard_count)
			return ERR_PROTOCOL;
		if (control->seen && control->seen[load.shard].node == node)
			load_book_say(
			    &control->loads, load.shard, load.level, io_now_ns(control->core->io));
	}
	return 0;
}
