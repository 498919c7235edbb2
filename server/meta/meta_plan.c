/* What a plan says of entities: how many a deployment finds of each type that it changes, and how
 * many it destroys.
 *
 * The lines are made when the change is checked; where in them a number belongs is noted then. A
 * dry run has the cores count, for a second in all: what is not counted by then is left out, and
 * the plan says "at least". Deployments do not wait for that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/json.h"
#include "server/meta/meta_parts.h"

#define COUNT_NS NS_PER_S

int meta_plan_note(struct meta_work *work, const char *type, bool destroyed)
{
	struct meta_touched *more =
	    mem_realloc(work->touched, (work->touched_count + 1) * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	work->touched = more;
	struct meta_touched *touched = &more[work->touched_count++];
	*touched = (struct meta_touched){.destroyed = destroyed};
	snprintf(touched->type, sizeof(touched->type), "%s", type);
	touched->at = buffer_bytes(&work->changes);
	return 0;
}

/* A line of a component begins with its name and a colon. */
int meta_plan_note_lines(
    struct meta_work *work, const struct meta_app *before, struct host_bundle *bundle)
{
	struct slice all = buffer_view(&work->changes);
	size_t begin = 0;
	int error = 0;
	while (before && begin < all.bytes && !error) {
		const uint8_t *line = all.data + begin;
		const uint8_t *end = memchr(line, '\n', all.bytes - begin);
		size_t bytes = end ? (size_t)(end - line) : all.bytes - begin;
		const uint8_t *colon = memchr(line, ':', bytes);
		struct slice name = slice_of(line, colon ? (size_t)(colon - line) : 0);
		const struct meta_type *type = meta_app_type(before, name);
		/* Of a new one there is nothing, nor of one that was destroyed. */
		if (type && meta_type_is_owned(type) && host_component(bundle, name)) {
			error = meta_plan_note(work, type->name, false);
			if (!error)
				work->touched[work->touched_count - 1].at = begin + bytes;
		}
		begin += bytes + 1;
	}
	return error;
}

/* ---- Counting ---- */

bool meta_plan_count(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	size_t left = work->touched_count - work->counted;
	if (left == 0)
		return false;
	uint64_t now_ns = io_now_ns(meta->options.io);
	if (work->counted == 0)
		work->count_until_ns = now_ns + COUNT_NS;
	/* A type of very many entities leaves time for those behind it. */
	uint64_t left_ns = work->count_until_ns > now_ns ? work->count_until_ns - now_ns : 0;
	work->with_cores = true;
	work->waits = true;
	meta->options.cores.count(meta->options.cores.arg,
	    slice_from_text(work->touched[work->counted].type), now_ns + left_ns / left);
	return true;
}

void meta_counted(struct meta *meta, uint64_t count, bool all)
{
	struct meta_work *work = &meta->work;
	ASSERT(meta->working && work->stage == META_STAGE_COUNT);
	if (!meta_work_returned(meta))
		return;
	ASSERT(work->counted < work->touched_count);
	struct meta_touched *touched = &work->touched[work->counted++];
	touched->count = count;
	touched->all = all;
}

/* ---- Telling ---- */

/* "12,408": in groups of three. */
static void write_grouped(uint64_t number, char *ret_text, size_t bytes)
{
	char digits[24];
	size_t count = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);
	size_t used = 0;
	for (size_t i = 0; i < count && used + 2 < bytes; i++) {
		if (i > 0 && (count - i) % 3 == 0)
			ret_text[used++] = ',';
		ret_text[used++] = digits[i];
	}
	ret_text[used] = '\0';
}

static bool ends_with(const char *name, const char *end)
{
	size_t bytes = strlen(name), end_bytes = strlen(end);
	return bytes >= end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

/* "carts", "boxes", "entries", "days". */
static void write_several(const char *name, char *ret_text, size_t bytes)
{
	size_t length = strlen(name);
	bool hisses = ends_with(name, "s") || ends_with(name, "x") || ends_with(name, "z") ||
	              ends_with(name, "ch") || ends_with(name, "sh");
	bool is_ies = ends_with(name, "y") && length > 1 && !strchr("aeiou", name[length - 2]);
	int kept = (int)(is_ies ? length - 1 : length);
	snprintf(ret_text, bytes, "%.*s%s", kept, name, is_ies ? "ies" : hisses ? "es" : "s");
}

static int tell(const struct meta_touched *touched, struct buffer *out)
{
	char number[32], several[NAME_BYTES_MAX + 4];
	write_grouped(touched->count, number, sizeof(number));
	write_several(touched->type, several, sizeof(several));
	const char *what = touched->count == 1 ? touched->type : several;
	return buffer_append_format(out, touched->destroyed ? " (%s%s %s)" : "; %s%s %s readable",
	    touched->all ? "" : "at least ", number, what);
}

int meta_plan_write(const struct meta_work *work, struct buffer *out)
{
	struct slice all = buffer_view(&work->changes);
	size_t begin = 0;
	int error = 0;
	for (size_t i = 0; i < work->counted && !error; i++) {
		const struct meta_touched *touched = &work->touched[i];
		ASSERT(touched->at >= begin && touched->at <= all.bytes);
		error = buffer_append(out, all.data + begin, touched->at - begin);
		if (!error)
			error = tell(touched, out);
		begin = touched->at;
	}
	if (!error && begin < all.bytes)
		error = buffer_append(out, all.data + begin, all.bytes - begin);
	return error;
}

void meta_plan_entities_json(const struct meta_work *work, struct json_writer *writer)
{
	json_write_array_begin(writer);
	for (size_t i = 0; i < work->counted; i++) {
		const struct meta_touched *touched = &work->touched[i];
		json_write_object_begin(writer);
		json_write_key(writer, slice_from_text("all"));
		json_write_boolean(writer, touched->all);
		json_write_key(writer, slice_from_text("count"));
		json_write_integer(writer, (int64_t)touched->count);
		json_write_key(writer, slice_from_text("destroyed"));
		json_write_boolean(writer, touched->destroyed);
		json_write_key(writer, slice_from_text("type"));
		json_write_string(writer, slice_from_text(touched->type));
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}
