/* Decimal text of 64-bit integers and of doubles, exact in both directions and fast.
 *
 * The C library's functions are right too, but they follow the locale's decimal point, want strings
 * that end in NUL, and printing the shortest text that reads back as the same double takes up to
 * three tries with them, microseconds each. Here:
 *
 * - Reading: Lemire, "Number Parsing at a Gigabyte per Second" (2021): one or two multiplications
 * by a 128-bit power of five; Mushtak and Lemire, "Fast Number Parsing Without Fallback" (2023),
 * prove that this decides every number of at most 19 digits. Where more digits matter, they are
 * compared exactly, as big integers, with the point half way between the two candidates.
 * - Writing: Giulietti, "The Schubfach way to render doubles" (2020): the shortest decimal that
 * reads back as the same double, and of those the closest to it.
 *
 * Pure functions over bytes that the caller owns; they assume rounding to nearest nowhere, as they
 * compute with integers only.
 */
#ifndef KX_BASE_WIRE_DECIMAL_H
#define KX_BASE_WIRE_DECIMAL_H

#include "base/error.h"
#include "base/slice.h"

enum {
	DECIMAL_INTEGER_BYTES_MAX = 20, /* -9223372036854775808, 18446744073709551615 */
	DECIMAL_DOUBLE_BYTES_MAX = 24,  /* -2.2250738585072014e-308 */
};

/* A number as the grammar of RFC 8259 has it. */
struct decimal {
	bool is_integer; /* written without fraction and exponent */
	int64_t integer; /* where is_integer */
	double number;   /* where not; finite */
	size_t bytes;    /* of text that belong to the number */
};

/* Reads the number at the front of the text; what follows it is the caller's to judge. -0 is the
 * integer 0; -0.0 the double -0.0; a double too small for its type is 0.0.
 * ERR_PROTOCOL: no number, or a malformed one (a leading zero, no digit before or after the point
 * or in the exponent). ERR_NUMBER: an integer outside int64, a double beyond the largest. */
NODISCARD int decimal_parse(struct slice text, struct decimal *ret_number);

/* Writes without NUL; returns the bytes written, 1 to DECIMAL_INTEGER_BYTES_MAX. The caller may
 * provide no more than the number takes. */
size_t decimal_write_integer(int64_t value, uint8_t *to);
size_t decimal_write_unsigned(uint64_t value, uint8_t *to);

/* What decimal_write_integer will write. */
size_t decimal_integer_bytes(int64_t value);

/* Writes a finite double with a point or an exponent always, so that it stays a double when read
 * back: 5.0, -0.0, 0.1, 1e16, 2.5e-7. Plain notation from 0.0001 to below 1e16, else an exponent
 * without plus and padding. Returns the bytes written, 3 to DECIMAL_DOUBLE_BYTES_MAX; `to` has room
 * for DECIMAL_DOUBLE_BYTES_MAX. */
size_t decimal_write_double(double value, uint8_t *to);

#endif
