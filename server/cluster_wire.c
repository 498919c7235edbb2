#include "server/cluster_wire.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "replication/raft/quorum.h"
#include "replication/raft/raft.h"

enum { FLAG = 1, ROLES_ALL = RAFT_VOTER | RAFT_OUTGOING | RAFT_LEARNER | RAFT_LEARNER_NEXT };

static bool read_flag(struct reader *reader)
{
	uint8_t flag = reader_u8(reader);
	if (flag > FLAG)
		reader->failed = true;
	return flag == FLAG;
}

static uint64_t read_at_most(struct reader *reader, uint64_t max)
{
	uint64_t value = reader_varint(reader);
	if (value > max)
		reader->failed = true;
	return reader->failed ? 0 : value;
}

static uint32_t read_shard(struct reader *reader)
{
	return (uint32_t)read_at_most(reader, SHARDS_MAX);
}

/* A member has one, at least. */
static uint32_t read_roles(struct reader *reader)
{
	uint32_t roles = reader_u8(reader);
	if (roles == 0 || (roles & ~(uint32_t)ROLES_ALL) != 0)
		reader->failed = true;
	return roles;
}

/* ---- Reports ---- */

void cluster_row_write(struct writer *writer, const struct cluster_row *row)
{
	ASSERT(row->count <= CLUSTER_REPLICAS_MAX);
	writer_varint(writer, row->shard);
	writer_varint(writer, row->term);
	writer_varint(writer, row->generation);
	writer_varint(writer, row->last_index);
	writer_varint(writer, row->pending);
	writer_varint(writer, row->stands_ms);
	writer_u8(writer, row->settled ? FLAG : 0);
	writer_varint(writer, row->count);
	for (uint32_t i = 0; i < row->count; i++) {
		writer_varint(writer, row->members[i].replica);
		writer_u8(writer, (uint8_t)row->members[i].roles);
		writer_varint(writer, row->members[i].match);
		writer_u8(writer, row->members[i].heard ? FLAG : 0);
	}
}

int cluster_row_read(struct reader *reader, struct cluster_row *ret_row)
{
	struct cluster_row row = {0};
	row.shard = read_shard(reader);
	row.term = reader_varint(reader);
	row.generation = reader_varint(reader);
	row.last_index = reader_varint(reader);
	row.pending = read_at_most(reader, row.last_index);
	row.stands_ms = reader_varint(reader);
	row.settled = read_flag(reader);
	row.count = (uint32_t)read_at_most(reader, CLUSTER_REPLICAS_MAX);
	for (uint32_t i = 0; i < row.count && !reader->failed; i++) {
		struct cluster_member_row *member = &row.members[i];
		member->replica = reader_varint(reader);
		member->roles = read_roles(reader);
		member->match = reader_varint(reader);
		member->heard = read_flag(reader);
	}
	if (reader->failed)
		return ERR_CORRUPT;
	*ret_row = row;
	return 0;
}

void cluster_stranded_write(struct writer *writer, const struct recovery_said *said)
{
	ASSERT(said->count <= CLUSTER_REPLICAS_MAX);
	writer_varint(writer, said->shard);
	writer_varint(writer, said->replica);
	writer_u8(writer, said->damaged ? FLAG : 0);
	writer_varint(writer, said->term);
	writer_varint(writer, said->last_term);
	writer_varint(writer, said->last_index);
	writer_varint(writer, said->committed);
	writer_varint(writer, said->count);
	for (uint32_t i = 0; i < said->count; i++) {
		writer_varint(writer, said->members[i].replica);
		writer_u8(writer, (uint8_t)said->members[i].roles);
	}
}

int cluster_stranded_read(struct reader *reader, struct recovery_said *ret_said)
{
	struct recovery_said said = {0};
	said.shard = read_shard(reader);
	said.replica = reader_varint(reader);
	said.damaged = read_flag(reader);
	said.term = read_at_most(reader, RAFT_TERM_MAX);
	said.last_term = read_at_most(reader, RAFT_TERM_MAX);
	said.last_index = read_at_most(reader, RAFT_INDEX_MAX);
	said.committed = read_at_most(reader, said.last_index);
	said.count = (uint32_t)read_at_most(reader, CLUSTER_REPLICAS_MAX);
	for (uint32_t i = 0; i < said.count && !reader->failed; i++) {
		struct recovery_member *member = &said.members[i];
		member->replica = reader_varint(reader);
		member->roles = read_roles(reader);
	}
	if (reader->failed)
		return ERR_CORRUPT;
	*ret_said = said;
	return 0;
}

_Static_assert(SHARDS_MAX < 1 << 21, "a shard is three bytes at most");

void cluster_load_write(struct writer *writer, const struct cluster_load *load)
{
	ASSERT(load->shard > 0 && load->level > 0);
	writer_varint(writer, load->shard);
	writer_u8(writer, load->level);
}

int cluster_load_read(struct reader *reader, struct cluster_load *ret_load)
{
	struct cluster_load load = {.shard = read_shard(reader)};
	load.level = reader_u8(reader);
	if (reader->failed || load.shard == 0 || load.level == 0)
		return ERR_CORRUPT;
	*ret_load = load;
	return 0;
}

/* ---- One shard ---- */

void cluster_asked_write(struct writer *writer, uint32_t shard)
{
	writer_varint(writer, shard);
}

int cluster_asked_read(struct slice bytes, uint32_t *ret_shard)
{
	struct reader in = reader_of(bytes);
	uint32_t shard = read_shard(&in);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_shard = shard;
	return 0;
}

void cluster_leave_write(struct writer *writer, const struct cluster_leave *leave)
{
	writer_varint(writer, leave->shard);
	writer_varint(writer, leave->replica);
	writer_u8(writer, leave->has_left ? FLAG : 0);
}

int cluster_leave_read(struct slice bytes, struct cluster_leave *ret_leave)
{
	struct reader in = reader_of(bytes);
	struct cluster_leave leave = {0};
	leave.shard = read_shard(&in);
	leave.replica = reader_varint(&in);
	leave.has_left = read_flag(&in);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_leave = leave;
	return 0;
}

void cluster_lead_write(struct writer *writer, const struct cluster_lead *lead)
{
	writer_varint(writer, lead->shard);
	writer_varint(writer, lead->node);
}

int cluster_lead_read(struct slice bytes, struct cluster_lead *ret_lead)
{
	struct reader in = reader_of(bytes);
	struct cluster_lead lead = {0};
	lead.shard = read_shard(&in);
	lead.node = (uint16_t)read_at_most(&in, CLUSTER_NODE_MAX);
	if (in.failed || reader_left(&in) > 0 || lead.node == 0)
		return ERR_CORRUPT;
	*ret_lead = lead;
	return 0;
}

void cluster_removed_write(struct writer *writer, const struct cluster_removed *removed)
{
	writer_varint(writer, removed->node);
	writer_varint(writer, removed->incarnation);
}

int cluster_removed_read(struct slice bytes, struct cluster_removed *ret_removed)
{
	struct reader in = reader_of(bytes);
	struct cluster_removed removed = {0};
	removed.node = (uint16_t)read_at_most(&in, CLUSTER_NODE_MAX);
	removed.incarnation = reader_varint(&in);
	if (in.failed || reader_left(&in) > 0 || removed.node == 0)
		return ERR_CORRUPT;
	*ret_removed = removed;
	return 0;
}

void cluster_unfit_write(struct writer *writer, enum cluster_unfit unfit)
{
	writer_u8(writer, (uint8_t)unfit);
}

int cluster_unfit_read(struct slice bytes, enum cluster_unfit *ret_unfit)
{
	struct reader in = reader_of(bytes);
	uint8_t unfit = reader_u8(&in);
	if (in.failed || reader_left(&in) > 0 || unfit > CLUSTER_NO_BUNDLE)
		return ERR_CORRUPT;
	*ret_unfit = (enum cluster_unfit)unfit;
	return 0;
}

void cluster_disk_write(struct writer *writer, uint64_t waiting_ms)
{
	writer_varint(writer,
	    waiting_ms < CLUSTER_DISK_WAITING_MS_MAX ? waiting_ms : CLUSTER_DISK_WAITING_MS_MAX);
}

int cluster_disk_read(struct slice bytes, uint64_t *ret_waiting_ms)
{
	struct reader in = reader_of(bytes);
	uint64_t waiting_ms = read_at_most(&in, CLUSTER_DISK_WAITING_MS_MAX);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_waiting_ms = waiting_ms;
	return 0;
}

void cluster_moves_write(struct writer *writer, const struct cluster_moves *moves)
{
	writer_varint(writer, moves->bytes);
	writer_varint(writer, moves->bytes_per_s);
	writer_varint(writer, moves->snapshots);
}

int cluster_moves_read(struct slice bytes, struct cluster_moves *ret_moves)
{
	struct reader in = reader_of(bytes);
	struct cluster_moves moves = {0};
	moves.bytes = reader_varint(&in);
	moves.bytes_per_s = reader_varint(&in);
	moves.snapshots = (uint32_t)read_at_most(&in, UINT32_MAX);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_moves = moves;
	return 0;
}

/* ---- A node that joins ---- */

enum { FORMAT = 1 };

static void write_text(struct writer *writer, const char *text)
{
	writer_varint_slice(writer, slice_from_text(text));
}

/* Printable ASCII, so that it may stand in a log line and in an address. */
static void read_text(struct reader *reader, char *text, size_t text_bytes)
{
	struct slice from = reader_varint_slice(reader);
	if (from.bytes >= text_bytes)
		reader->failed = true;
	for (size_t i = 0; i < from.bytes && !reader->failed; i++)
		if (from.data[i] < ' ' || from.data[i] > '~')
			reader->failed = true;
	if (reader->failed)
		return;
	if (from.bytes > 0)
		memcpy(text, from.data, from.bytes);
	text[from.bytes] = 0;
}

void cluster_hello_write(struct writer *writer, const struct cluster_node *node, uint64_t damaged)
{
	writer_u8(writer, FORMAT);
	writer_varint(writer, node->incarnation);
	writer_varint(writer, node->cores);
	writer_varint(writer, node->stores);
	writer_varint(writer, node->port);
	writer_varint(writer, node->peer_port);
	writer_varint(writer, node->cluster_port);
	write_text(writer, node->host);
	write_text(writer, node->zone);
	/* Who has none says what it always said. */
	if (damaged != 0)
		writer_varint(writer, damaged);
}

int cluster_hello_read(struct slice bytes, struct cluster_node *ret_node, uint64_t *ret_damaged)
{
	struct reader in = reader_of(bytes);
	struct cluster_node node = {0};
	uint64_t damaged = 0;
	if (reader_u8(&in) != FORMAT)
		return in.failed ? ERR_CORRUPT : ERR_FORMAT;
	node.incarnation = reader_varint(&in);
	node.cores = (uint16_t)read_at_most(&in, UINT16_MAX);
	node.stores = (uint16_t)read_at_most(&in, STORES_MAX);
	node.port = (uint16_t)read_at_most(&in, UINT16_MAX);
	node.peer_port = (uint16_t)read_at_most(&in, UINT16_MAX);
	node.cluster_port = (uint16_t)read_at_most(&in, UINT16_MAX);
	read_text(&in, node.host, sizeof(node.host));
	read_text(&in, node.zone, sizeof(node.zone));
	if (!in.failed && reader_left(&in) > 0 && (damaged = reader_varint(&in)) == 0)
		in.failed = true;
	if (in.failed || reader_left(&in) > 0 || node.incarnation == 0 || node.cores == 0 ||
	    node.stores == 0 || node.host[0] == 0 || node.peer_port == 0)
		return ERR_CORRUPT;
	*ret_node = node;
	*ret_damaged = damaged;
	return 0;
}

void cluster_welcome_write(struct writer *writer, const struct cluster_welcome *welcome)
{
	writer_u8(writer, FORMAT);
	writer_u8(writer, (uint8_t)welcome->kind);
	if (welcome->kind == CLUSTER_WELCOME_MEMBER) {
		writer_bytes(writer, welcome->id, sizeof(welcome->id));
		writer_varint(writer, welcome->node);
		writer_varint(writer, welcome->directory_replica);
		writer_varint(writer, welcome->shard_count);
	} else if (welcome->kind != CLUSTER_WELCOME_LATER || welcome->why[0]) {
		write_text(writer, welcome->why);
	}
}

static void read_member(struct reader *reader, struct cluster_welcome *welcome)
{
	reader_bytes(reader, welcome->id, sizeof(welcome->id));
	welcome->node = (uint16_t)read_at_most(reader, CLUSTER_NODE_MAX);
	welcome->directory_replica = reader_varint(reader);
	welcome->shard_count = read_shard(reader);
	if (welcome->node == 0 || welcome->shard_count == 0 ||
	    cluster_replica_node(welcome->directory_replica) != welcome->node)
		reader->failed = true;
}

/* Who has nothing to say says nothing. */
static void read_later(struct reader *reader, struct cluster_welcome *welcome)
{
	read_text(reader, welcome->why, sizeof(welcome->why));
	if (!welcome->why[0])
		reader->failed = true;
}

int cluster_welcome_read(struct slice bytes, struct cluster_welcome *ret_welcome)
{
	struct reader in = reader_of(bytes);
	struct cluster_welcome welcome = {0};
	if (reader_u8(&in) != FORMAT)
		return in.failed ? ERR_CORRUPT : ERR_FORMAT;
	uint8_t kind = reader_u8(&in);
	welcome.kind = (enum cluster_welcome_kind)kind;
	if (kind == CLUSTER_WELCOME_MEMBER)
		read_member(&in, &welcome);
	else if (kind == CLUSTER_WELCOME_REFUSED || kind == CLUSTER_WELCOME_NEEDED)
		read_text(&in, welcome.why, sizeof(welcome.why));
	else if (kind != CLUSTER_WELCOME_LATER)
		in.failed = true;
	else if (reader_left(&in) > 0)
		read_later(&in, &welcome);
	if (in.failed || reader_left(&in) > 0)
		return ERR_CORRUPT;
	*ret_welcome = welcome;
	return 0;
}
