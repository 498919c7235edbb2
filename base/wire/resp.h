/* RESP2 and RESP3: the parser of requests, the reader of replies, and the writer of both. */
#ifndef KX_BASE_WIRE_RESP_H
#define KX_BASE_WIRE_RESP_H

#include "base/wire/resp_reader.h"
#include "base/wire/resp_request.h"
#include "base/wire/resp_writer.h"

#endif
