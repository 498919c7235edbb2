/* The slot of an address, by the rule of Redis Cluster: CRC16 (XMODEM: polynomial 0x1021, start 0)
 * mod 16384, taken over the text between the first '{' and the first '}' behind it where there is
 * such a pair with something between, else over the whole address. Clients compute the same, so
 * this may never change. Source: the Redis Cluster specification, "Hash tags". Any thread.
 */
#ifndef KX_BASE_SLOT_H
#define KX_BASE_SLOT_H

#include "base/slice.h"

enum { SLOT_COUNT = 16384 };

uint16_t crc16(struct slice bytes);

/* 0 to SLOT_COUNT - 1. O(length of the address). */
uint16_t slot_of(struct slice address);

#endif
