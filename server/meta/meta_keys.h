/* What shard 0 keeps, byte by byte. Keys are as storage/keys.h has them, without their shard; names
 * and hashes stand in them as they are, one key per record. Records are MessagePack arrays that
 * begin with a format number, and may get longer at the end.
 *
 *   CLUSTER          [1, id (32 hexadecimal digits), shards, created_ms]
 *   APP | name       [1, hash, generation, catalogue (binary), [[type, active, incarnation]..],
 *                     [[hash, at_ms, by, back]..]]
 *                     hash is "" after a removal; back says how many entries before stands
 *                     what a rollback goes to (0: nothing); types are all that were ever
 *                     active; the incarnation stands there only where one was dropped
 *   BUNDLE | hash    the bundle's bytes
 */
#ifndef KX_SERVER_META_META_KEYS_H
#define KX_SERVER_META_META_KEYS_H

#include "storage/keys.h"

enum meta_key_kind {
	META_KEY_CLUSTER = KEY_KIND_FIRST_FREE,
	META_KEY_APP = KEY_KIND_FIRST_FREE + 1,
	META_KEY_BUNDLE = KEY_KIND_FIRST_FREE + 2,
};

#define META_RECORD_FORMAT 1

#endif
