/*
 * fraction.c - see fraction.h.
 *
 * Why this is exact: the shortest decimal form of a double has at most 17 significant digits, so
 * the multiplier is digits * 10^exponent with digits < 10^17 < 2^57. A size is below 2^63, so their
 * product is below 2^120 and fits 128 bits. What remains is one division by a power of ten, of
 * which the integer part is wanted, or a few multiplications by ten that are checked for overflow.
 */
#include "memory/fraction.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/java_number.h"

/* A product below 2^120 is below 10^37: dividing by more than that leaves nothing. */
enum { POWERS_MAX = 37 };

__extension__ typedef unsigned __int128 wide;

/* digits * 10^exponent */
typedef struct decimal {
    uint64_t digits;
    int exponent;
} decimal;

/* Reads the text of a double, such as "0.1", "1.6777215E7" or "9.99994610111476E-41". */
static decimal read_decimal(const char *text)
{
    decimal number = {0, 0};
    bool is_fraction = false;
    for (; *text != '\0' && *text != 'E'; text++) {
        if (*text == '.') {
            is_fraction = true;
        } else if (*text >= '0' && *text <= '9') {
            number.digits = number.digits * 10 + (uint64_t)(*text - '0');
            number.exponent -= is_fraction ? 1 : 0;
        }
    }
    if (*text == 'E') {
        number.exponent += (int)strtol(text + 1, NULL, 10);
    }
    return number;
}

/* 10^power; power 0 .. POWERS_MAX. */
static wide power_of_ten(int power)
{
    wide result = 1;
    for (int i = 0; i < power; i++) {
        result *= 10;
    }
    return result;
}

bool tarn__fraction_multiply(int64_t bytes, double multiplier, int64_t *out)
{
    assert(bytes >= 0 && multiplier >= 0 && isfinite(multiplier));
    char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
    tarn__java_double_encode(multiplier, text);
    const decimal number = read_decimal(text);

    const wide limit = INT64_MAX;
    wide product = (wide)(uint64_t)bytes * number.digits;
    for (int i = 0; i < number.exponent && product <= limit; i++) {
        product *= 10;
    }
    wide whole = product;
    bool has_rest = false;
    if (number.exponent < -POWERS_MAX) {
        whole = 0;
    } else if (number.exponent < 0) {
        const wide divisor = power_of_ten(-number.exponent);
        whole = product / divisor;
        has_rest = product % divisor != 0;
    }
    /* A product between INT64_MAX and the next integer is too large as well. */
    if (whole > limit || (whole == limit && has_rest)) {
        return false;
    }
    *out = (int64_t)whole;
    return true;
}
