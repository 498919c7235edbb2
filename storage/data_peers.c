#include "storage/data_peers.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "storage/data_file.h"

enum { PEERS_BYTES_MAX = 16384 };
_Static_assert(
    DATA_FILE_BYTES + 4 + DATA_PEERS_MAX * (8 + 1 + DATA_PEERS_HOST_BYTES) <= PEERS_BYTES_MAX,
    "all of them fit");
_Static_assert(DATA_PEERS_HOST_BYTES <= UINT8_MAX, "a length is one byte");

static const struct data_file FILE_PEERS = {.name = "peers",
    .magic = {'K', 'X', 'P', 'E', 'E', 'R', 'S', '\n'},
    .format = DATA_PEERS_FORMAT,
    .bytes_max = PEERS_BYTES_MAX};

bool data_peers_same(const struct data_peers *a, const struct data_peers *b)
{
	for (uint32_t i = 0; i < a->count && i < b->count; i++)
		if (a->peers[i].node != b->peers[i].node || a->peers[i].port != b->peers[i].port ||
		    strcmp(a->peers[i].host, b->peers[i].host) != 0)
			return false;
	return a->count == b->count;
}

/* The host is printable ASCII, so that it may stand in a log line and in an address. */
bool data_peer_good(const struct data_peer *peer)
{
	size_t bytes = strnlen(peer->host, sizeof(peer->host));
	for (size_t i = 0; i < bytes; i++)
		if (peer->host[i] <= ' ' || peer->host[i] > '~')
			return false;
	return peer->node != 0 && peer->port != 0 && bytes > 0 && bytes < sizeof(peer->host);
}

/* ---- Reading ---- */

static void decode_peer(struct reader *in, struct data_peer *ret_peer)
{
	uint32_t node = reader_u32le(in), port = reader_u32le(in);
	size_t bytes = reader_u8(in);
	if (node > UINT16_MAX || port > UINT16_MAX || bytes >= DATA_PEERS_HOST_BYTES)
		in->failed = true;
	if (in->failed)
		return;
	struct data_peer peer = {.node = (uint16_t)node, .port = (uint16_t)port};
	reader_bytes(in, peer.host, bytes);
	/* Also where a zero stands in the middle of it. */
	if (!data_peer_good(&peer) || strlen(peer.host) != bytes)
		in->failed = true;
	*ret_peer = peer;
}

static int decode_body(struct reader *in, struct data_peers *ret_peers)
{
	struct data_peers peers = {.count = reader_u32le(in)};
	if (in->failed || peers.count > DATA_PEERS_MAX)
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < peers.count && !in->failed; i++)
		decode_peer(in, &peers.peers[i]);
	if (in->failed || reader_left(in) != 0)
		return ERR_CORRUPT;
	*ret_peers = peers;
	return 0;
}

int data_peers_read(struct fs *fs, struct data_peers *ret_peers)
{
	struct reader in;
	uint8_t *data = mem_alloc(PEERS_BYTES_MAX);
	if (!data)
		return ERR_NOMEM;
	int error = data_file_read(fs, &FILE_PEERS, data, &in);
	if (!error)
		error = decode_body(&in, ret_peers);
	mem_free(data);
	return error;
}

/* ---- Writing ---- */

int data_peers_write(struct fs *fs, const struct data_peers *peers)
{
	ASSERT(peers->count <= DATA_PEERS_MAX);
	for (uint32_t i = 0; i < peers->count; i++)
		if (!data_peer_good(&peers->peers[i]))
			return ERR_INVALID;
	uint8_t *data = mem_alloc(PEERS_BYTES_MAX);
	if (!data)
		return ERR_NOMEM;
	struct writer out = data_file_begin(&FILE_PEERS, data, PEERS_BYTES_MAX);
	writer_u32le(&out, peers->count);
	for (uint32_t i = 0; i < peers->count; i++) {
		const struct data_peer *peer = &peers->peers[i];
		writer_u32le(&out, peer->node);
		writer_u32le(&out, peer->port);
		writer_u8(&out, (uint8_t)strlen(peer->host));
		writer_bytes(&out, peer->host, strlen(peer->host));
	}
	int error = data_file_write(fs, &FILE_PEERS, &out);
	mem_free(data);
	return error;
}
