// sources: server/cluster_wire.c
/* What cores of different nodes tell each other about shards, and what a node that joins says: what
 * is read is written again as the same bytes. The first byte chooses. */
#include "tests/fuzz/fuzz.h"

#include "server/cluster_wire.h"

static uint8_t span[1 << 16];

static const char *wrong_rows(struct slice bytes)
{
	struct reader in = reader_of(bytes);
	struct writer out = writer_of(span, sizeof(span));
	struct cluster_row row;
	while (reader_left(&in) > 0) {
		if (cluster_row_read(&in, &row))
			return NULL;
		if (row.count > CLUSTER_REPLICAS_MAX || row.shard > SHARDS_MAX)
			return "a row has bounds";
		cluster_row_write(&out, &row);
	}
	return out.failed || writer_used(&out) > bytes.bytes ? "rows are written shorter" : NULL;
}

static const char *wrong_shard(struct slice bytes)
{
	struct cluster_leave leave;
	struct cluster_lead lead;
	struct cluster_removed removed;
	struct cluster_moves moves;
	struct recovery_said said;
	struct reader in = reader_of(bytes);
	while (reader_left(&in) > 0 && !cluster_stranded_read(&in, &said))
		if (said.count > CLUSTER_REPLICAS_MAX || said.shard > SHARDS_MAX)
			return "what a replica says has bounds";
	struct cluster_load load;
	in = reader_of(bytes);
	while (reader_left(&in) > 0 && !cluster_load_read(&in, &load))
		if (load.shard == 0 || load.shard > SHARDS_MAX || load.level == 0)
			return "what a shard does has bounds";
	enum cluster_unfit unfit;
	if (!cluster_unfit_read(bytes, &unfit) && (bytes.bytes != 1 || unfit > CLUSTER_NO_BUNDLE))
		return "a reason is a byte";
	uint64_t waiting_ms;
	if (!cluster_disk_read(bytes, &waiting_ms) && waiting_ms > CLUSTER_DISK_WAITING_MS_MAX)
		return "a wait has a bound";
	if (!cluster_removed_read(bytes, &removed) && removed.node == 0)
		return "a node has a number";
	if (!cluster_moves_read(bytes, &moves)) {
		struct writer out = writer_of(span, CLUSTER_MOVES_BYTES_MAX);
		cluster_moves_write(&out, &moves);
		if (out.failed || writer_used(&out) > bytes.bytes)
			return "what moves is written as it was read";
	}
	if (!cluster_leave_read(bytes, &leave) && leave.shard > SHARDS_MAX)
		return "a shard has a number";
	uint32_t asked;
	if (!cluster_asked_read(bytes, &asked) && asked > SHARDS_MAX)
		return "a shard that is asked for has a number";
	if (!cluster_lead_read(bytes, &lead) && (lead.shard > SHARDS_MAX || lead.node == 0))
		return "a node has a number";
	return NULL;
}

static const char *wrong_hello(struct slice bytes)
{
	struct cluster_node node, again;
	struct writer out = writer_of(span, CLUSTER_HELLO_BYTES_MAX);
	uint64_t damaged, damaged_again;
	if (cluster_hello_read(bytes, &node, &damaged))
		return NULL;
	cluster_hello_write(&out, &node, damaged);
	if (out.failed || cluster_hello_read(writer_view(&out), &again, &damaged_again))
		return "what was read can be written";
	return node.incarnation == again.incarnation && node.peer_port == again.peer_port &&
	               damaged == damaged_again
	           ? NULL
	           : "a node is what it is";
}

static const char *wrong_welcome(struct slice bytes)
{
	struct cluster_welcome welcome, again;
	struct writer out = writer_of(span, CLUSTER_WELCOME_BYTES_MAX);
	if (cluster_welcome_read(bytes, &welcome))
		return NULL;
	cluster_welcome_write(&out, &welcome);
	if (out.failed || cluster_welcome_read(writer_view(&out), &again))
		return "what was read can be written";
	return welcome.kind == again.kind && welcome.node == again.node ? NULL
	                                                                : "a welcome is what it is";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const char *(*const wrong[])(struct slice) = {
	    wrong_rows, wrong_shard, wrong_hello, wrong_welcome};
	if (bytes < 1 || bytes > sizeof(span))
		return 0;
	fuzz_must_hold(wrong[data[0] % 4](slice_of(data + 1, bytes - 1)));
	return 0;
}
