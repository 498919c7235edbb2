/* The small files of a node's cluster side, to be cut off at any moment: `member` (who it is),
 * `peers` (where the others are), `mending` (that its replica of the directory is given up) and
 * `recovered` (that it was made to go on alone).
 * They are written as a node does it, each of them over and over: it joins, gets its number, the
 * directory changes, is found damaged, asked for anew, and is whole again.
 *
 * A file has versions, and its bytes follow from that. What is read, by the next process or by the
 * same one after a failed call, is the last version that was written for good, or the one that was
 * begun after it: never anything else, and never nothing where there was something. */
#include <stdio.h>
#include <string.h>

#include "base/io/fs.h"
#include "storage/data_dir.h"
#include "storage/data_member.h"
#include "storage/data_mending.h"
#include "storage/data_peers.h"
#include "storage/data_recovered.h"
#include "tests/preload/victim.h"

enum { ROUNDS_PER_STEP = 2, PEERS_OF_VERSIONS = 5, NODE_FIRST = 7 };

/* Versions: written for good, and begun. */
enum { MEMBER, PEERS, MENDING, RECOVERED, FILES };
enum { BEGUN = FILES };

static const char *const names[FILES] = {"member", "peers", "mending", "recovered"};

static struct victim victim;
static struct fs *fs;

/* ---- What a version holds ---- */

/* The first one is that it joins. */
static struct data_member member_of(uint64_t version)
{
	struct data_member member = {.node = 0};
	if (version <= 1)
		return member;
	member.node = (uint16_t)(NODE_FIRST + version);
	member.directory_replica = version << 16 | 1;
	member.shards = (uint32_t)version;
	memset(member.cluster, (int)version, sizeof(member.cluster));
	return member;
}

static struct data_peers peers_of(uint64_t version)
{
	struct data_peers peers = {.count = (uint32_t)(version % PEERS_OF_VERSIONS)};
	for (uint32_t i = 0; i < peers.count; i++) {
		struct data_peer *peer = &peers.peers[i];
		peer->node = (uint16_t)(i + 1);
		peer->port = (uint16_t)(1000 + version);
		snprintf(peer->host, sizeof(peer->host), "host-%u-of-version-%llu", i,
		    (unsigned long long)version);
	}
	return peers;
}

/* `mending` and `recovered`: those that are even are that there is none. */
static bool is_there(uint64_t version)
{
	return version % 2 == 1;
}

static struct data_recovered recovered_of(uint64_t version)
{
	struct data_recovered one = {.replica = version, .term = version, .index = version};
	for (uint64_t i = 0; i < version % DATA_RECOVERED_GIVEN_UP_MAX; i++)
		one.given_up[one.given_up_count++] = version;
	return one;
}

/* ---- What is there ---- */

struct node_files {
	struct data_member member;
	struct data_peers peers;
	uint64_t mending;
	struct data_recovered recovered;
};

static bool is_member(uint64_t version, int error, const struct data_member *found)
{
	struct data_member wanted = member_of(version);
	if (version == 0 || error)
		return version == 0 && error == ERR_NOT_FOUND;
	return found->node == wanted.node && found->shards == wanted.shards &&
	       found->directory_replica == wanted.directory_replica &&
	       memcmp(found->cluster, wanted.cluster, sizeof(wanted.cluster)) == 0;
}

static bool is_peers(uint64_t version, int error, const struct data_peers *found)
{
	struct data_peers wanted = peers_of(version);
	if (version == 0 || error)
		return version == 0 && error == ERR_NOT_FOUND;
	return data_peers_same(found, &wanted);
}

static bool is_mended(uint64_t version, int error, uint64_t replica)
{
	if (!is_there(version) || error)
		return !is_there(version) && error == ERR_NOT_FOUND;
	return replica == version;
}

static bool is_recovered(uint64_t version, int error, const struct data_recovered *found)
{
	struct data_recovered wanted = recovered_of(version);
	return is_mended(version, error, error ? 0 : found->replica) &&
	       (error || (found->index == wanted.index && found->term == wanted.term &&
	                     found->given_up_count == wanted.given_up_count));
}

static bool is_version(unsigned file, uint64_t version, int error, const struct node_files *found)
{
	switch (file) {
	case MEMBER:
		return is_member(version, error, &found->member);
	case PEERS:
		return is_peers(version, error, &found->peers);
	case MENDING:
		return is_mended(version, error, found->mending);
	default:
		return is_recovered(version, error, &found->recovered);
	}
}

/* The version of each file, of those that may be there. */
static void check(uint64_t found[FILES])
{
	struct node_files read = {.mending = 0};
	const int errors[FILES] = {data_member_read(fs, &read.member),
	    data_peers_read(fs, &read.peers), data_mending_read(fs, &read.mending),
	    data_recovered_read(fs, &read.recovered)};
	for (unsigned file = 0; file < FILES; file++) {
		uint64_t version = victim.said[file], begun = victim.said[BEGUN + file];
		if (errors[file] == ERR_IO || errors[file] == ERR_NO_SPACE)
			victim_fails(names[file], errors[file], "");
		while (version <= begun && !is_version(file, version, errors[file], &read))
			version++;
		if (version > begun)
			victim_wrong("%s is neither version %llu nor one up to %llu: %s",
			    names[file], (unsigned long long)victim.said[file],
			    (unsigned long long)begun, error_name(errors[file]));
		found[file] = version;
	}
}

/* ---- What is written ---- */

static int write_file(unsigned file, uint64_t version)
{
	struct data_member member = member_of(version);
	struct data_peers peers = peers_of(version);
	struct data_recovered recovered = recovered_of(version);
	switch (file) {
	case MEMBER:
		return data_member_write(fs, &member);
	case PEERS:
		return data_peers_write(fs, &peers);
	case MENDING:
		return is_there(version) ? data_mending_write(fs, version) : data_mending_end(fs);
	default:
		return is_there(version) ? data_recovered_write(fs, &recovered)
		                         : data_recovered_end(fs);
	}
}

/* Where it fails the process may go on, with the one or the other; a node tries again. */
static void next_version(unsigned file, uint64_t found[FILES])
{
	uint64_t version = found[file] + 1;
	if (victim.said[BEGUN + file] < version)
		victim.said[BEGUN + file] = version;
	victim_says_durable(victim.said);
	int error = write_file(file, version);
	if (error) {
		check(found);
		error = write_file(file, version);
	}
	if (error)
		victim_fails(names[file], error, "twice");
	victim.said[file] = victim.said[BEGUN + file] = found[file] = version;
	victim_says_durable(victim.said);
}

int main(int argc, char **argv)
{
	char why[DATA_DIR_WHY_BYTES] = "";
	const uint64_t id[2] = {1, 2};
	uint64_t found[FILES];
	struct data_dir *dir;
	victim = victim_of(argc, argv);
	int error = fs_open_root(victim.dir, true, &fs);
	if (!error)
		error = data_dir_open(fs, 1, id, why, sizeof(why), &dir);
	if (error)
		victim_fails("data_dir_open", error, why);
	check(found);
	for (uint64_t i = 0; i < victim.steps * ROUNDS_PER_STEP; i++)
		next_version((unsigned)(i % FILES), found);
	check(found);
	data_dir_close(dir);
	fs_close_root(fs);
	return 0;
}
