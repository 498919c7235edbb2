/* JSON to MessagePack and back, bytes to bytes: for stored values that people read, and for replies
 * that were kept in another encoding than the caller's.
 *
 * What comes out has its keys sorted by bytes, whatever the order of what goes in; a key given
 * twice is an error. Integers stay exact. Binary data become base64 text in JSON, which nothing
 * turns back; extensions, keys that are no text, and doubles that are not finite are refused.
 *
 * Pure functions; input at most UINT32_MAX bytes, nested at most JSON_DEPTH_MAX deep. Whoever calls
 * owns the buffer. Cost: that of reading and writing, and sorting where keys are not in order.
 */
#ifndef KX_BASE_WIRE_TRANSCODE_H
#define KX_BASE_WIRE_TRANSCODE_H

#include "base/error.h"
#include "base/slice.h"

struct buffer;

/* Append one whole value. ERR_INVALID: the input is not one; ERR_TOO_LARGE, ERR_NOMEM. Nothing is
 * appended on failure. */
NODISCARD int transcode_json_from_msgpack(struct slice msgpack, struct buffer *out);
NODISCARD int transcode_msgpack_from_json(struct slice json, struct buffer *out);

#endif
