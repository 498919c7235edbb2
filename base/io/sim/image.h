/* The bytes of a simulated file: sparse, and cheap to copy, because pages are shared until one side
 * writes. Absent pages read as zeros. Memory is the world's, never a process's. */
#ifndef KX_BASE_IO_SIM_IMAGE_H
#define KX_BASE_IO_SIM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum { IMAGE_PAGE_BYTES = 4096 };

struct image_page;

/* Zeroed is an empty file. */
struct image {
	struct image_page **pages;
	size_t page_capacity;
	uint64_t bytes;
};

void image_done(struct image *image);
/* Afterwards both hold the same; what `to` held is gone. */
void image_copy(struct image *to, const struct image *from);
/* Cuts, or grows with zeros. */
void image_resize(struct image *image, uint64_t bytes);
/* Inside the size only. NULL data stands for zeros. */
void image_write(struct image *image, uint64_t offset, const uint8_t *data, uint64_t bytes);
/* Returns the count, short at the end of the file. */
size_t image_read(const struct image *image, uint64_t offset, uint8_t *data, size_t bytes);

#endif
