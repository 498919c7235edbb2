// sources: tests/fuzz/small_file.c storage/data_file.c storage/data_scan.c
/* A file `SCANNED` that holds anything. What is read is written as it stood there. */
#include "storage/data_scan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_file.h"

static const char *judge(struct fs *fs)
{
	static struct fs again;
	struct data_scan scan;
	int error = data_scan_read(fs, "db", &scan);
	if (error)
		return error == ERR_CORRUPT || error == ERR_FORMAT
		           ? NULL
		           : "a file is good, damaged or of another format";
	if (data_scan_write(&again, "db", &scan))
		return "what was read can be written";
	return small_file_same(&again, fs) ? NULL : "a file has one form";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	small_file_fuzz(data, bytes, judge);
	return 0;
}
