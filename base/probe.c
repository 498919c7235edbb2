#include "base/probe.h"

#include "base/mem.h"

enum {
	CELLS_MIN = 16,
	/* Looked at for each insertion while an old array lasts. Growth from C cells leaves room
	 * for 5/8 C insertions, so any number from 2 on would do. */
	MOVE_STEP = 8
};

static size_t count_max(size_t cells)
{
	return cells / 8 * 5;
}

/* Cells for `count` entries, or 0 where no array can be so large. */
static size_t cells_for(size_t count)
{
	size_t cells = CELLS_MIN;
	while (count_max(cells) < count) {
		if (cells > SIZE_MAX / 4 / sizeof(struct probe_cell))
			return 0;
		cells *= 2;
	}
	return cells;
}

static void put(struct probe_array *array, uint64_t hash, union probe_value value)
{
	size_t i = hash & array->mask;
	while (array->cells[i].hash != 0)
		i = (i + 1) & array->mask;
	array->cells[i] = (struct probe_cell){.hash = hash, .value = value};
	array->count++;
}

/* Any empty cell; there is one, for arrays are never full. */
static size_t find_empty(const struct probe_array *array)
{
	size_t i = 0;
	while (array->cells[i].hash != 0)
		i++;
	ASSERT(i <= array->mask);
	return i;
}

/* Moves at least `step` cells, and then to the end of a cluster. */
static void move_some(struct probe *probe, size_t step)
{
	struct probe_array *old = &probe->old;
	if (!old->cells)
		return;
	bool in_cluster = false;
	while (probe->move_left > 0 && (step > 0 || in_cluster)) {
		struct probe_cell *cell = &old->cells[probe->move_at];
		in_cluster = cell->hash != 0;
		if (in_cluster) {
			put(&probe->now, cell->hash, cell->value);
			cell->hash = 0;
			old->count--;
		}
		probe->move_at = (probe->move_at + 1) & old->mask;
		probe->move_left--;
		if (step > 0)
			step--;
	}
	if (probe->move_left == 0) {
		ASSERT(old->count == 0);
		mem_free(old->cells);
		*old = (struct probe_array){0};
	}
}

static int grow(struct probe *probe, size_t cells)
{
	struct probe_cell *fresh = cells ? mem_zalloc(cells, sizeof(*fresh)) : NULL;
	if (!fresh)
		return cells ? ERR_NOMEM : ERR_TOO_LARGE;
	/* Only probe_reserve can find an unfinished move here. */
	move_some(probe, SIZE_MAX);
	probe->old = probe->now;
	probe->now = (struct probe_array){.cells = fresh, .mask = cells - 1};
	if (probe->old.cells) {
		probe->move_at = (find_empty(&probe->old) + 1) & probe->old.mask;
		probe->move_left = probe->old.mask + 1;
	}
	return 0;
}

static size_t room(const struct probe *probe)
{
	return probe->now.cells ? count_max(probe->now.mask + 1) - probe_count(probe) : 0;
}

int probe_reserve(struct probe *probe, size_t more)
{
	if (more <= room(probe))
		return 0;
	if (more > SIZE_MAX / 2)
		return ERR_TOO_LARGE;
	int error = grow(probe, cells_for(probe_count(probe) + more));
	if (error)
		return error;
	move_some(probe, SIZE_MAX);
	return 0;
}

int probe_add(struct probe *probe, uint64_t hash, union probe_value value)
{
	ASSERT(hash != 0);
	if (room(probe) == 0) {
		ASSERT(!probe->old.cells);
		int error = grow(probe, cells_for(probe_count(probe) + 1));
		if (error)
			return error;
	}
	put(&probe->now, hash, value);
	move_some(probe, MOVE_STEP);
	return 0;
}

void probe_remove(struct probe *probe, struct probe_cell *cell)
{
	ASSERT(cell->hash != 0);
	/* As numbers: the order of pointers into different arrays is undefined in C. */
	uintptr_t place = (uintptr_t)cell;
	uintptr_t first = (uintptr_t)probe->now.cells;
	bool is_now = place >= first && place - first < probe->now.mask * sizeof(*cell) + 1;
	struct probe_array *array = is_now ? &probe->now : &probe->old;
	size_t hole = (size_t)(cell - array->cells);
	ASSERT(hole <= array->mask);
	/* Knuth, The Art of Computer Programming 3, 6.4, algorithm R. */
	for (size_t i = (hole + 1) & array->mask; array->cells[i].hash != 0;
	     i = (i + 1) & array->mask) {
		size_t home = array->cells[i].hash & array->mask;
		if (((i - home) & array->mask) >= ((i - hole) & array->mask)) {
			array->cells[hole] = array->cells[i];
			hole = i;
		}
	}
	array->cells[hole].hash = 0;
	array->count--;
}

/* From just below an empty cell downwards, all around. A removal fills the removed cell only from
 * above in this order, that is with a cell that was given before; so each is given exactly once. */
struct probe_cell *probe_next(const struct probe *probe, struct probe_cursor *cursor)
{
	for (;;) {
		const struct probe_array *array = cursor->in_old ? &probe->old : &probe->now;
		if (!cursor->started) {
			cursor->started = true;
			cursor->at = array->cells ? find_empty(array) : 0;
			cursor->left = array->cells ? array->mask + 1 : 0;
		}
		while (cursor->left > 0) {
			cursor->left--;
			cursor->at = (cursor->at - 1) & array->mask;
			if (array->cells[cursor->at].hash != 0)
				return &array->cells[cursor->at];
		}
		if (cursor->in_old)
			return NULL;
		*cursor = (struct probe_cursor){.in_old = true};
	}
}

void probe_done(struct probe *probe)
{
	mem_free(probe->now.cells);
	mem_free(probe->old.cells);
	*probe = (struct probe){0};
}
