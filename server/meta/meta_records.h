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
NODISCARD int meta_cluster_encode(
    const struct meta_cluster *cluster, int64_t created_ms, struct buffer *out);
NODISCARD int meta_app_encode(const struct meta_app *app, struct buffer *out);

NODISCARD int meta_cluster_decode(struct slice record, struct meta_cluster *ret_cluster);
/* The app is the caller's: meta_app_free. */
NODISCARD int meta_app_decode(struct slice name, struct slice record, struct meta_app **ret_app);

#endif
