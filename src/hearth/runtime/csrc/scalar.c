#include "scalar.h"

/* C rounds towards zero, the plan towards minus infinity. b is at least 1. */
static int64_t floor_divide(int64_t a, int64_t b) {
    const int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static hth_interval hull(const int64_t corners[4]) {
    hth_interval all = {corners[0], corners[0]};
    for (int i = 1; i < 4; ++i) {
        all.low = smaller(all.low, corners[i]);
        all.high = larger(all.high, corners[i]);
    }
    return all;
}

/* Products and quotients are monotone in each operand (which way depends on the other's sign), so their extremes lie at
 * the corners. */
static bool multiply(hth_interval a, hth_interval b, hth_interval *interval) {
    int64_t corners[4];
    if (__builtin_mul_overflow(a.low, b.low, &corners[0]) || __builtin_mul_overflow(a.low, b.high, &corners[1]) ||
        __builtin_mul_overflow(a.high, b.low, &corners[2]) || __builtin_mul_overflow(a.high, b.high, &corners[3])) {
        return false;
    }
    *interval = hull(corners);
    return true;
}

bool hth_scalar_interval(const hth_scalar *scalar, const hth_interval *symbols, const hth_interval *earlier,
                         hth_interval *interval) {
    if (scalar->op == HTH_CONSTANT) {
        *interval = (hth_interval){scalar->value, scalar->value};
        return true;
    }
    if (scalar->op == HTH_SYMBOL) {
        *interval = symbols[scalar->a];
        return true;
    }
    const hth_interval a = earlier[scalar->a], b = earlier[scalar->b];
    switch (scalar->op) {
    case HTH_ADD:
        return !__builtin_add_overflow(a.low, b.low, &interval->low) &&
               !__builtin_add_overflow(a.high, b.high, &interval->high);
    case HTH_MULTIPLY:
        return multiply(a, b, interval);
    case HTH_FLOOR_DIVIDE:
        *interval = hull((const int64_t[4]){floor_divide(a.low, b.low), floor_divide(a.low, b.high),
                                            floor_divide(a.high, b.low), floor_divide(a.high, b.high)});
        return true;
    case HTH_MINIMUM:
        *interval = (hth_interval){smaller(a.low, b.low), smaller(a.high, b.high)};
        return true;
    default:
        *interval = (hth_interval){larger(a.low, b.low), larger(a.high, b.high)};
        return true;
    }
}

int64_t hth_scalar_value(const hth_scalar *scalar, const int64_t *symbols, const int64_t *earlier) {
    switch (scalar->op) {
    case HTH_CONSTANT:
        return scalar->value;
    case HTH_SYMBOL:
        return symbols[scalar->a];
    case HTH_ADD:
        return earlier[scalar->a] + earlier[scalar->b];
    case HTH_MULTIPLY:
        return earlier[scalar->a] * earlier[scalar->b];
    case HTH_FLOOR_DIVIDE:
        return floor_divide(earlier[scalar->a], earlier[scalar->b]);
    case HTH_MINIMUM:
        return smaller(earlier[scalar->a], earlier[scalar->b]);
    default:
        return larger(earlier[scalar->a], earlier[scalar->b]);
    }
}
