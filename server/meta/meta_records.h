/* The directory's records, whose bytes meta_keys.h shows. What is read is checked: a record is
 * whole and as expected, or refused. Any thread.
 *
 * Errors of reading: ERR_CORRUPT; ERR_FORMAT: of a newer version; ERR_NOMEM. Of writing: ERR_NOMEM,
 * ERR_TOO_LARGE. */
#ifndef KX_SERVER_META_META_RECORDS_H
#define KX_SERVER_META_META_RECORDS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "server/meta/meta.h"
#include "server/meta/meta_apps.h"

/* Append the record. */
NODISCARD int meta_cluster_encode(const struct meta_cluster *cluster, struct buffer *out);
NODISCARD int meta_app_encode(const struct meta_app *app, struct buffer *out);
NODISCARD int meta_node_encode(const struct cluster_node *node, struct buffer *out);
NODISCARD int meta_shard_encode(const struct cluster_shard *shard, struct buffer *out);

/* At most so many bytes each. */
#define META_CLUSTER_BYTES_MAX 128
#define META_NODE_BYTES_MAX    192
#define META_SHARD_BYTES_MAX   (128 + 12 * CLUSTER_REPLICAS_MAX)

NODISCARD int meta_cluster_decode(struct slice record, struct meta_cluster *ret_cluster);
/* The app is the caller's: meta_app_free. */
NODISCARD int meta_app_decode(struct slice name, struct slice record, struct meta_app **ret_app);
NODISCARD int meta_node_decode(uint16_t number, struct slice record, struct cluster_node *ret_node);
/* Also ERR_CORRUPT: it has more replicas than ret_shard has room for. */
NODISCARD int meta_shard_decode(struct slice record, struct cluster_shard *ret_shard);

/* What stands behind the kind in their keys. ERR_CORRUPT. */
NODISCARD int meta_node_number(struct slice rest, uint16_t *ret_number);
NODISCARD int meta_shard_number(struct slice rest, uint32_t *ret_number);

/* What a node says of itself can stand in its record: what not, or NULL. */
const char *meta_node_wrong(const struct cluster_node *node);

#endif
