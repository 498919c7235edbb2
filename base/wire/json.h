/* JSON: the reader and the writer. */
#ifndef KX_BASE_WIRE_JSON_H
#define KX_BASE_WIRE_JSON_H

#include "base/wire/json_reader.h"
#include "base/wire/json_writer.h"

#endif
