/* The suites of wire_test, one file each. */
#ifndef KX_TESTS_UNIT_WIRE_SUITES_H
#define KX_TESTS_UNIT_WIRE_SUITES_H

#include "tests/unit/run.h"

#define WIRE_SUITES(X)                                                                             \
	X(address_suite)                                                                           \
	X(base64_suite)                                                                            \
	X(decimal_suite)                                                                           \
	X(duration_suite)                                                                          \
	X(json_documents_suite)                                                                    \
	X(json_reader_suite)                                                                       \
	X(json_writer_suite)                                                                       \
	X(msgpack_suite)                                                                           \
	X(resp_reader_suite)                                                                       \
	X(resp_request_suite)                                                                      \
	X(resp_writer_suite)                                                                       \
	X(transcode_suite)                                                                         \
	X(utf8_suite)

#define X(suite) Suite *suite(void);
WIRE_SUITES(X)
#undef X

#endif
