#include "server/meta/load.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "server/meta/placement.h"

enum { FLOOR_BITS = 3, LEVEL_MAX = UINT8_MAX, SCALE = LOAD_STEPS * LOAD_STEPS };
_Static_assert(LOAD_FLOOR == 1 << FLOOR_BITS, "a level has so many steps");

/* ---- Levels ---- */

uint8_t load_level(uint64_t load)
{
	unsigned doublings = 0;
	if (load < LOAD_FLOOR)
		return 0;
	while (load >= 2 * LOAD_FLOOR) {
		load >>= 1;
		doublings++;
	}
	unsigned level = (doublings << FLOOR_BITS) + (unsigned)(load - LOAD_FLOOR) + 1;
	return level > LEVEL_MAX ? LEVEL_MAX : (uint8_t)level;
}

uint64_t load_of_level(uint8_t level)
{
	if (level == 0)
		return 0;
	unsigned above = level - 1U;
	return (LOAD_FLOOR + (uint64_t)(above % LOAD_FLOOR)) << (above >> FLOOR_BITS);
}

/* ---- Where a shard is led ---- */

bool load_meter_look(struct load_meter *meter, uint64_t now_ns, uint64_t work, uint8_t *ret_level)
{
	if (meter->at_ns == 0 || work < meter->work) {
		*meter = (struct load_meter){.at_ns = now_ns, .work = work};
		return false;
	}
	uint64_t took_ns = now_ns - meter->at_ns, done = work - meter->work;
	if (took_ns < LOAD_PERIOD_NS)
		return false;
	uint8_t level = load_level((uint64_t)((__uint128_t)done * NS_PER_S / took_ns));
	*meter = (struct load_meter){.at_ns = now_ns, .work = work};
	if (level == 0)
		return false;
	*ret_level = level;
	return true;
}

/* ---- Where shards are placed ---- */

int load_book_init(struct load_book *book, uint32_t count)
{
	*book = (struct load_book){.count = count};
	book->loads = mem_zalloc(count, sizeof(*book->loads));
	return book->loads ? 0 : ERR_NOMEM;
}

void load_book_done(struct load_book *book)
{
	mem_free(book->loads);
	*book = (struct load_book){.count = 0};
}

void load_book_say(struct load_book *book, uint32_t shard, uint8_t level, uint64_t now_ns)
{
	ASSERT(shard < book->count);
	book->loads[shard].said = level;
	book->loads[shard].said_ns = now_ns;
}

void load_book_led(struct load_book *book, uint32_t shard, uint64_t now_ns)
{
	ASSERT(shard < book->count);
	book->loads[shard].led_ns = now_ns;
}

/* Another level only where this one is a quarter away. */
static uint8_t show(uint8_t shown, uint64_t load)
{
	uint64_t before = load_of_level(shown);
	if (shown == 0)
		return load_level(load);
	if (load * 4 <= before * 5 && load * 4 >= before * 3)
		return shown;
	/* What is about the floor is not told and withdrawn in turn. */
	if (load < LOAD_FLOOR)
		return load < LOAD_FLOOR / 2 ? 0 : load_level(LOAD_FLOOR);
	return load_level(load);
}

static void step(struct load_kept *load, uint32_t weight, uint64_t now_ns)
{
	bool counts = load->said_ns != 0 && now_ns - load->said_ns <= LOAD_SAID_NS;
	uint64_t to = counts ? load_of_level(load->said) * SCALE : 0;
	/* What comes and goes moves nothing. */
	if (MUTATION(load_of_one_period))
		load->smooth = to;
	if (to >= load->smooth)
		load->smooth += (to - load->smooth) / weight;
	else
		load->smooth -= (load->smooth - to) / weight;
	load->shown = show(load->shown, load->smooth / SCALE);
}

void load_book_look(struct load_book *book, uint64_t now_ns)
{
	if (book->stepped_ns == 0)
		book->stepped_ns = now_ns;
	if (now_ns - book->stepped_ns < LOAD_PERIOD_NS)
		return;
	book->stepped_ns = now_ns;
	if (book->steps < LOAD_STEPS)
		book->steps++;
	for (uint32_t shard = 0; shard < book->count; shard++)
		step(&book->loads[shard], book->steps, now_ns);
}

uint64_t load_book_of(const struct load_book *book, uint32_t shard)
{
	ASSERT(shard < book->count);
	return load_of_level(book->loads[shard].shown);
}

static bool within(uint64_t since_ns, uint64_t now_ns, uint64_t for_ns)
{
	return since_ns != 0 && now_ns - since_ns < for_ns;
}

void load_book_ask(const struct load_book *book, uint64_t now_ns, struct placement_shard *shards,
    struct placement_input *input)
{
	for (uint32_t shard = 0; shard < book->count; shard++) {
		shards[shard].load = load_book_of(book, shard);
		shards[shard].load_rests =
		    within(book->loads[shard].led_ns, now_ns, LOAD_SHARD_REST_NS) &&
		    !MUTATION(load_shard_never_rests);
	}
	bool rests = book->steps < LOAD_BEGIN_STEPS || within(book->moved_ns, now_ns, LOAD_REST_NS);
	input->load_moves_max = rests ? 0 : LOAD_MOVES_MAX;
	input->load_replicas = !rests && !within(book->replicas_ns, now_ns, LOAD_REPLICAS_REST_NS);
}

void load_book_note(struct load_book *book, uint64_t now_ns, const struct placement_plan *plan)
{
	if (plan->load_transfers + plan->load_changes > 0)
		book->moved_ns = now_ns;
	if (plan->load_changes > 0)
		book->replicas_ns = now_ns;
}
