#include "base/mem_fail.h"

_Thread_local uint64_t mem_fails_at;
_Thread_local uint64_t mem_tried;
_Thread_local bool mem_fails_on;

void mem_fail_at(uint64_t nth)
{
	mem_fails_at = nth;
	mem_fails_on = false;
	mem_tried = 0;
}

void mem_fail_from(uint64_t nth)
{
	mem_fail_at(nth);
	mem_fails_on = true;
}

uint64_t mem_count(void)
{
	return mem_tried;
}

bool mem_failed(void)
{
	return mem_fails_at != 0 && mem_tried >= mem_fails_at;
}
