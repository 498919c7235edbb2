#include "base/io/sim/image.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/sim/mem_sim.h"

struct image_page {
	uint64_t users; /* images that refer to it */
	uint8_t data[IMAGE_PAGE_BYTES];
};

static void page_drop(struct image_page *page)
{
	if (page == NULL)
		return;
	ASSERT(page->users > 0);
	if (--page->users == 0)
		sim_mem_free(page);
}

/* The page for writing: this image's alone. */
static struct image_page *page_own(struct image *image, size_t index)
{
	struct image_page *page = image->pages[index];
	if (page != NULL && page->users == 1)
		return page;
	struct image_page *own = sim_mem_zalloc(sizeof(*own));
	own->users = 1;
	if (page != NULL)
		memcpy(own->data, page->data, IMAGE_PAGE_BYTES);
	page_drop(page);
	image->pages[index] = own;
	return own;
}

static size_t pages_for(uint64_t bytes)
{
	return (size_t)((bytes + IMAGE_PAGE_BYTES - 1) / IMAGE_PAGE_BYTES);
}

static void reserve_pages(struct image *image, size_t count)
{
	if (count <= image->page_capacity)
		return;
	size_t capacity = image->page_capacity * 2 > count ? image->page_capacity * 2 : count;
	struct image_page **pages = sim_mem_zalloc(capacity * sizeof(struct image_page *));
	if (image->page_capacity > 0)
		memcpy(pages, image->pages, image->page_capacity * sizeof(struct image_page *));
	sim_mem_free(image->pages);
	image->pages = pages;
	image->page_capacity = capacity;
}

void image_done(struct image *image)
{
	image_resize(image, 0);
	sim_mem_free(image->pages);
	*image = (struct image){0};
}

void image_copy(struct image *to, const struct image *from)
{
	ASSERT(to != from);
	size_t count = pages_for(from->bytes);
	reserve_pages(to, count);
	for (size_t i = 0; i < to->page_capacity; i++) {
		struct image_page *page = i < count ? from->pages[i] : NULL;
		if (page == to->pages[i])
			continue;
		page_drop(to->pages[i]);
		to->pages[i] = page;
		if (page != NULL)
			page->users++;
	}
	to->bytes = from->bytes;
}

void image_resize(struct image *image, uint64_t bytes)
{
	size_t keep = pages_for(bytes);
	for (size_t i = keep; i < pages_for(image->bytes); i++) {
		page_drop(image->pages[i]);
		image->pages[i] = NULL;
	}
	reserve_pages(image, keep);
	/* What is cut off must not come back when the file grows again. */
	size_t in_last = (size_t)(bytes % IMAGE_PAGE_BYTES);
	if (bytes < image->bytes && in_last != 0 && image->pages[keep - 1] != NULL) {
		struct image_page *page = page_own(image, keep - 1);
		memset(page->data + in_last, 0, IMAGE_PAGE_BYTES - in_last);
	}
	image->bytes = bytes;
}

void image_write(struct image *image, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	ASSERT(offset <= image->bytes);
	ASSERT(bytes <= image->bytes - offset);
	for (uint64_t done = 0; done < bytes;) {
		size_t index = (size_t)((offset + done) / IMAGE_PAGE_BYTES);
		size_t begin = (size_t)((offset + done) % IMAGE_PAGE_BYTES);
		size_t count = IMAGE_PAGE_BYTES - begin;
		if (count > bytes - done)
			count = (size_t)(bytes - done);
		if (data != NULL)
			memcpy(page_own(image, index)->data + begin, data + done, count);
		else if (image->pages[index] != NULL)
			memset(page_own(image, index)->data + begin, 0, count);
		done += count;
	}
}

size_t image_read(const struct image *image, uint64_t offset, uint8_t *data, size_t bytes)
{
	if (offset >= image->bytes)
		return 0;
	if (bytes > image->bytes - offset)
		bytes = (size_t)(image->bytes - offset);
	for (size_t done = 0; done < bytes;) {
		size_t index = (size_t)((offset + done) / IMAGE_PAGE_BYTES);
		size_t begin = (size_t)((offset + done) % IMAGE_PAGE_BYTES);
		size_t count = IMAGE_PAGE_BYTES - begin;
		if (count > bytes - done)
			count = bytes - done;
		if (image->pages[index] != NULL)
			memcpy(data + done, image->pages[index]->data + begin, count);
		else
			memset(data + done, 0, count);
		done += count;
	}
	return bytes;
}
