/* Expressions over the sizes of a call: their values, and what interval arithmetic says of these beforehand. */
#ifndef HEARTH_SCALAR_H
#define HEARTH_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

typedef enum hth_scalar_op {
    HTH_CONSTANT,
    HTH_SYMBOL,
    HTH_ADD,
    HTH_MULTIPLY,
    HTH_FLOOR_DIVIDE,
    HTH_MINIMUM,
    HTH_MAXIMUM,
    HTH_NUM_SCALAR_OPS
} hth_scalar_op;

/* All whole numbers from low to high. */
typedef struct {
    int64_t low, high;
} hth_interval;

/* As it lies in plan.bin: a constant (value), a symbol (a), or an operation on the earlier scalars a and b. */
typedef struct {
    uint32_t op, a, b, zero;
    int64_t value;
    hth_interval interval;
} hth_scalar;

/* What `scalar` can be while each symbol lies in its interval; `earlier` are those of the scalars before it. False if that
 * leaves 64 bits. A divisor's low is at least 1, in `earlier` as in a checked plan. */
bool hth_scalar_interval(const hth_scalar *scalar, const hth_interval *symbols, const hth_interval *earlier,
                         hth_interval *interval);

/* Its value; `earlier` are those of the scalars before it. Cannot overflow in a checked plan while each symbol lies in its
 * interval. */
int64_t hth_scalar_value(const hth_scalar *scalar, const int64_t *symbols, const int64_t *earlier);

#endif
