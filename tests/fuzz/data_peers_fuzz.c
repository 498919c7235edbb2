// sources: tests/fuzz/small_file.c storage/data_file.c storage/data_peers.c
/* A file `peers` that holds anything. What is read is written as it stood there. */
#include "storage/data_peers.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_file.h"

static const char *judge(struct fs *fs)
{
	static struct fs again;
	static struct data_peers peers;
	int error = data_peers_read(fs, &peers);
	if (error)
		return error == ERR_CORRUPT || error == ERR_FORMAT
		           ? NULL
		           : "peers are good, damaged or of another format";
	if (data_peers_write(&again, &peers))
		return "what was read can be written";
	return small_file_same(&again, fs) ? NULL : "peers have one form";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	small_file_fuzz(data, bytes, judge);
	return 0;
}
