/* Powers of five to 128 bits: what the conversions of base/wire/decimal.c stand on. */
#ifndef KX_BASE_WIRE_DECIMAL_POWERS_H
#define KX_BASE_WIRE_DECIMAL_POWERS_H

#include <stdint.h>

enum {
	DECIMAL_POWER_MIN =
	    -342,                /* 1e-342 times a 19-digit number is below half the least double */
	DECIMAL_POWER_MAX = 324, /* the largest that writing the least doubles needs */
};

/* The 128 leading bits of 5^exponent, the highest of them set; the bits below are cut off, not
 * rounded. They are all of it for exponents 0 to 55. */
struct decimal_power {
	uint64_t high;
	uint64_t low;
};

/* DECIMAL_POWERS[exponent - DECIMAL_POWER_MIN]. The unit tests compute every entry anew. */
extern const struct decimal_power DECIMAL_POWERS[DECIMAL_POWER_MAX - DECIMAL_POWER_MIN + 1];

#endif
