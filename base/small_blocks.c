#include "base/small_blocks.h"

void small_blocks_done(struct small_blocks *blocks)
{
	for (size_t class = 0; class < SMALL_BLOCK_CLASSES; class ++) {
		void *block;
		while ((block = blocks->kept[class])) {
			memcpy(&blocks->kept[class], block, sizeof(void *));
			mem_free(block);
		}
	}
	blocks->kept_bytes = 0;
}
