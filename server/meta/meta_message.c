#include "server/meta/meta_message.h"

#include "base/assert.h"
#include "base/wire/address.h"

enum { FORMAT = 1 };

void meta_message_write(struct writer *out, const struct meta_message *message)
{
	ASSERT(name_valid(message->app));
	writer_u8(out, FORMAT);
	writer_u8(out, (uint8_t)message->kind);
	writer_u64le(out, message->generation);
	writer_u8(out, (uint8_t)message->app.bytes);
	writer_slice(out, message->app);
	if (message->kind == META_MESSAGE_ASK)
		return;
	ASSERT(message->bits.bytes == message->shards / 8 + 1);
	writer_u32le(out, message->shards);
	writer_slice(out, message->bits);
}

static bool read_bits(struct reader *in, struct meta_message *message)
{
	message->shards = reader_u32le(in);
	if (in->failed || message->shards > SHARDS_MAX)
		return false;
	struct slice bits = reader_slice(in, message->shards / 8 + 1);
	if (in->failed)
		return false;
	message->bits = bits;
	unsigned above = (unsigned)bits.data[bits.bytes - 1] >> message->shards % 8 >> 1;
	return above == 0 && (bits.data[0] & 1) == 0;
}

int meta_message_read(struct slice bytes, struct meta_message *ret_message)
{
	struct reader in = reader_of(bytes);
	struct meta_message message = {.kind = META_MESSAGE_ASK};
	uint8_t format = reader_u8(&in);
	uint8_t kind = reader_u8(&in);
	message.generation = reader_u64le(&in);
	message.app = reader_slice(&in, reader_u8(&in));
	if (in.failed || format != FORMAT || !name_valid(message.app) ||
	    (kind != META_MESSAGE_ASK && kind != META_MESSAGE_HAVE))
		return ERR_CORRUPT;
	message.kind = (enum meta_message_kind)kind;
	if (message.kind == META_MESSAGE_HAVE && !read_bits(&in, &message))
		return ERR_CORRUPT;
	if (!reader_finished(&in))
		return ERR_CORRUPT;
	*ret_message = message;
	return 0;
}
