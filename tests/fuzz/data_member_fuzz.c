// sources: tests/fuzz/small_file.c storage/data_file.c storage/data_member.c
/* A file `member` that holds anything. What is read is written as it stood there. */
#include "storage/data_member.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_file.h"

static const char *judge(struct fs *fs)
{
	static struct fs again;
	struct data_member member;
	int error = data_member_read(fs, &member);
	if (error)
		return error == ERR_CORRUPT || error == ERR_FORMAT
		           ? NULL
		           : "a member is good, damaged or of another format";
	if (data_member_write(&again, &member))
		return "what was read can be written";
	return small_file_same(&again, fs) ? NULL : "a member has one form";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	small_file_fuzz(data, bytes, judge);
	return 0;
}
