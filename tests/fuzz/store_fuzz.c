// sources: storage/keys.c storage/log_anchor.c storage/records.c
/* What the storage itself keeps in a store, keys and values: there is one form of each, so what is
 * read is written as the same bytes (but an anchor of the first format); everything else is
 * refused. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "storage/keys.h"
#include "storage/records.h"

static bool is_refusal(int error)
{
	return error == ERR_CORRUPT || error == ERR_FORMAT;
}

static const char *wrong_applied(struct slice record)
{
	struct log_base base;
	uint8_t again[RECORD_APPLIED_BYTES];
	int error = record_applied_decode(record, &base);
	if (error)
		return is_refusal(error) ? NULL : "a base is good, corrupt or of another format";
	record_applied_encode(&base, again);
	return slice_equal(slice_of(again, sizeof(again)), record) ? NULL : "a base has one form";
}

static const char *wrong_anchor(struct slice record)
{
	struct record_anchor anchor;
	uint8_t again[RECORD_ANCHOR_BYTES];
	int error = record_anchor_decode(record, &anchor);
	if (error)
		return is_refusal(error) ? NULL : "an anchor is good, corrupt or of another format";
	if (anchor.log.first_segment == 0 || anchor.log.life == 0 ||
	    anchor.log.needed_frame > anchor.log.durable_frame + 1)
		return "what an anchor says is possible";
	/* The first format is read and not written. */
	if (anchor.log.life_frame == 0)
		return record.bytes < sizeof(again) ? NULL : "an anchor says where its life began";
	record_anchor_encode(&anchor, again);
	return slice_equal(slice_of(again, sizeof(again)), record) ? NULL
	                                                           : "an anchor has one form";
}

static const char *wrong_key(struct slice key)
{
	static const enum key_kind kinds[] = {KEY_KIND_APPLIED, KEY_KIND_DAMAGED};
	uint8_t again[KEY_LISTED_BYTES];
	uint32_t shard;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int error = key_listed_get(key, kinds[i], &shard);
		if (error && error != ERR_CORRUPT)
			return "a key names a shard, or is damaged";
		if (error)
			continue;
		key_listed_put(again, kinds[i], shard);
		if (!slice_equal(slice_of(again, sizeof(again)), key))
			return "a key has one form";
	}
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice given = slice_of(data, bytes);
	fuzz_must_hold(wrong_applied(given));
	fuzz_must_hold(wrong_anchor(given));
	fuzz_must_hold(wrong_key(given));
	return 0;
}
