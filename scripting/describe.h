/* Pieces of MessagePack that descriptions and the catalogue are made of. Inside of scripting/ only.
 */
#ifndef KX_SCRIPTING_DESCRIBE_H
#define KX_SCRIPTING_DESCRIBE_H

#include "base/error.h"

struct buffer;
struct msgpack_writer;
struct schema;

void describe_text(struct msgpack_writer *writer, const char *text);
/* nil for NULL. `scratch` is cleared. ERR_NOMEM, ERR_TOO_LARGE. */
NODISCARD int describe_schema(
    struct msgpack_writer *writer, struct buffer *scratch, const struct schema *schema);

#endif
