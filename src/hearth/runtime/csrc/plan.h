/* The launch plan: the tables of plan.bin as they lie in the file, and the check that makes them safe to follow.
 * docs/architecture.md describes the format. */
#ifndef HEARTH_PLAN_H
#define HEARTH_PLAN_H

#include <stdbool.h>

#include "hearth.h"
#include "scalar.h"

/* The last three, far above any network, keep a hostile plan from making the checks themselves slow. */
enum {
    HTH_PLAN_VERSION = 4,
    HTH_PLAN_ALIGN = 64,
    HTH_MAX_SYMBOLS = 64,
    HTH_MAX_AXES = 8,
    HTH_MAX_ARENAS = 8,
    HTH_MAX_NAME = 255,    /* bytes of a name that callers use */
    HTH_MAX_ARGS = 256,    /* buffers, or scalars, of a kernel */
    HTH_MAX_TABLE = 256    /* functions of a plan; inputs, or outputs, of a function */
};

typedef enum hth_buffer_kind { HTH_ARENA, HTH_WEIGHT, HTH_STATE, HTH_INPUT, HTH_NUM_BUFFER_KINDS } hth_buffer_kind;

/* HTH_LENT: bytes that steps read where the caller has them, at any address and never beyond their end. */
typedef enum hth_input_checks {
    HTH_UNCHECKED,
    HTH_IN_RANGE,
    HTH_ASCENDING,
    HTH_LENT,
    HTH_NUM_CHECKS
} hth_input_checks;

typedef struct {
    char magic[8];
    uint32_t version, header_size;
    uint64_t file_size;
    uint32_t num_strings_bytes, num_symbols, num_scalars, num_buffers, num_weights, num_states, num_kernels;
    uint32_t num_steps, num_args, num_dims, num_inputs, num_outputs, num_functions, num_cuts;
    uint64_t arena_bytes, scratch_bytes, weights_bytes;
    uint8_t zeros[24];
} hth_plan_header;

typedef struct {
    uint32_t name, zero;
    hth_interval interval;
} hth_symbol;

typedef struct {
    uint32_t kind, index;
    uint64_t offset, size;
} hth_buffer;

typedef struct {
    uint32_t name, zero;
    uint64_t offset, size;
} hth_weight;

/* A region of `symbol` units, of `unit_bytes` each. */
typedef struct {
    uint32_t name, symbol;
    uint64_t unit_bytes;
} hth_state;

typedef struct {
    uint32_t name, num_buffers, num_scalars, zero;
} hth_plan_kernel;

typedef struct {
    uint32_t kernel, first_arg, units, grain, label, flags;
} hth_step;

typedef struct {
    uint32_t name, dtype, first_dim, num_dims, checks, low, high, zero;
} hth_plan_input;

/* Whether the values of an input must lie between `low` and `high`. */
static inline bool hth_has_bounds(const hth_plan_input *input) {
    return input->checks == HTH_IN_RANGE || input->checks == HTH_ASCENDING;
}

typedef struct {
    uint32_t name, buffer, dtype, first_dim, num_dims, row_stride;
} hth_plan_output;

typedef struct {
    uint32_t name, door, first_step, num_steps, first_input, num_inputs, first_output, num_outputs;
} hth_function;

/* A place between two steps of a function, before step `step`, where all that goes on from what its layers have computed
 * lies in one arena buffer, f32 [rows][columns]: a layer begins, or behind the last cut what follows the layers. */
typedef struct {
    uint32_t function, step, buffer, rows, columns, zero;
} hth_cut;

/* A checked plan. The pointers but the last lead into the bytes that it was made of. */
typedef struct {
    const hth_plan_header *header;
    const char *strings;
    const hth_symbol *symbols;
    const hth_scalar *scalars;
    const hth_buffer *buffers;
    const hth_weight *weights;
    const hth_state *states;
    const hth_plan_kernel *kernels;
    const hth_step *steps;
    const uint32_t *args, *dims;
    const hth_plan_input *inputs;
    const hth_plan_output *outputs;
    const hth_function *functions;
    const hth_cut *cuts;
    uint64_t arena_bytes[HTH_MAX_ARENAS]; /* of each arena: where its last buffer ends */
    uint64_t *symbol_sets; /* [num_scalars]: bit s says whether the scalar depends on symbol s. The plan's own memory */
} hth_plan;

/* Checks `size` bytes (aligned to 8) in full and points `plan` into them. Answers HEARTH_CORRUPT or HEARTH_MISMATCH with
 * a text that names what is wrong. After HEARTH_OK every index and offset in the tables may be followed unchecked. The plan
 * is to be freed in any case. */
hearth_status hth_plan_parse(hth_plan *plan, const void *bytes, uint64_t size);
void hth_plan_free(hth_plan *plan);

/* The checks behind the header's (plan_check.c): `plan` has its tables, and room for its symbol sets. */
hearth_status hth_plan_check(hth_plan *plan);

/* The symbols that the scalars of a function depend on: of its steps, its inputs, its outputs and its cuts. */
uint64_t hth_function_symbols(const hth_plan *plan, const hth_function *function);

/* Calls `visit` for each scalar that the function uses, some more than once. */
void hth_function_scalars(const hth_plan *plan, const hth_function *function,
                          void (*visit)(void *user, uint32_t scalar), void *user);

/* Those that have a value before any call: what counts a state's units, and constants. */
uint64_t hth_plan_fixed_symbols(const hth_plan *plan);

static inline bool hth_is_constant(const hth_symbol *symbol) { return symbol->interval.low == symbol->interval.high; }

/* The door of functions that hearth_forward runs. */
#define HTH_TEXT_DOOR "text"

/* Bytes of one element of a hearth_dtype. */
uint32_t hth_dtype_bytes(uint32_t dtype);

#endif
