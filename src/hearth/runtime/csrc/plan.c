/* plan.bin from its header to its tables. The file is data from a disk: nothing in it is believed before it is checked.
 * Sizes are compared by subtraction or in 64 bits, so that no sum can wrap. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Hearth's files are little-endian and are used as they lie; big-endian machines are not supported."
#endif

/* The records are used where they lie in the file, so their C layout is the file's. */
_Static_assert(sizeof(hth_plan_header) == 128 && offsetof(hth_plan_header, arena_bytes) == 80, "header layout");
_Static_assert(sizeof(hth_symbol) == 24 && sizeof(hth_scalar) == 40 && sizeof(hth_buffer) == 24, "record layout");
_Static_assert(sizeof(hth_weight) == 24 && sizeof(hth_state) == 16 && sizeof(hth_plan_kernel) == 16, "record layout");
_Static_assert(sizeof(hth_step) == 24 && sizeof(hth_plan_input) == 32 && sizeof(hth_plan_output) == 24, "record layout");
_Static_assert(sizeof(hth_function) == 32 && sizeof(hth_cut) == 24, "record layout");

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "plan.bin: " __VA_ARGS__)

static uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~(uint64_t)7; }

static hearth_status check_header(const hth_plan_header *h, uint64_t size) {
    if (size < sizeof *h) return CORRUPT("%llu bytes, shorter than a header", (unsigned long long)size);
    if (memcmp(h->magic, "HRTHPLAN", 8) != 0) return CORRUPT("does not begin with HRTHPLAN");
    if (h->version != HTH_PLAN_VERSION) {
        return hth_fail(HEARTH_MISMATCH, "plan.bin: format version %u, this runtime reads version %d", h->version,
                        HTH_PLAN_VERSION);
    }
    if (h->header_size != sizeof *h) return CORRUPT("header_size is %u, must be 128", h->header_size);
    if (h->file_size != size) {
        return CORRUPT("says it has %llu bytes, the file has %llu", (unsigned long long)h->file_size,
                       (unsigned long long)size);
    }
    for (size_t i = 0; i < sizeof h->zeros; ++i) {
        if (h->zeros[i] != 0) return CORRUPT("reserved header bytes are not zero");
    }
    if (h->num_symbols > HTH_MAX_SYMBOLS) return CORRUPT("%u symbols, must be at most 64", h->num_symbols);
    if (h->num_functions < 1 || h->num_functions > HTH_MAX_TABLE) {
        return CORRUPT("%u functions, must be 1 to 256", h->num_functions);
    }
    return HEARTH_OK;
}

/* Takes the next table of `count` records off the file. Counts have 32 bits and records are small: no sum can wrap. */
static const void *take(const uint8_t *bytes, uint64_t *offset, uint64_t count, uint64_t record_bytes) {
    const uint8_t *table = bytes + *offset;
    *offset += padded(count * record_bytes);
    return table;
}

static hearth_status place_tables(hth_plan *p, const uint8_t *bytes, uint64_t size) {
    const hth_plan_header *h = p->header;
    const uint64_t end =
        sizeof *h + padded(h->num_strings_bytes) + (uint64_t)h->num_symbols * sizeof(hth_symbol) +
        (uint64_t)h->num_scalars * sizeof(hth_scalar) + (uint64_t)h->num_buffers * sizeof(hth_buffer) +
        (uint64_t)h->num_weights * sizeof(hth_weight) + (uint64_t)h->num_states * sizeof(hth_state) +
        (uint64_t)h->num_kernels * sizeof(hth_plan_kernel) + (uint64_t)h->num_steps * sizeof(hth_step) +
        padded((uint64_t)h->num_args * 4) + padded((uint64_t)h->num_dims * 4) +
        (uint64_t)h->num_inputs * sizeof(hth_plan_input) + (uint64_t)h->num_outputs * sizeof(hth_plan_output) +
        (uint64_t)h->num_functions * sizeof(hth_function) + (uint64_t)h->num_cuts * sizeof(hth_cut);
    /* Before any pointer is made: a pointer past the end would already be undefined. */
    if (end != size) {
        return CORRUPT("its tables take %llu bytes, the file has %llu", (unsigned long long)end,
                       (unsigned long long)size);
    }
    uint64_t offset = sizeof *h;
    p->strings = take(bytes, &offset, h->num_strings_bytes, 1);
    p->symbols = take(bytes, &offset, h->num_symbols, sizeof(hth_symbol));
    p->scalars = take(bytes, &offset, h->num_scalars, sizeof(hth_scalar));
    p->buffers = take(bytes, &offset, h->num_buffers, sizeof(hth_buffer));
    p->weights = take(bytes, &offset, h->num_weights, sizeof(hth_weight));
    p->states = take(bytes, &offset, h->num_states, sizeof(hth_state));
    p->kernels = take(bytes, &offset, h->num_kernels, sizeof(hth_plan_kernel));
    p->steps = take(bytes, &offset, h->num_steps, sizeof(hth_step));
    p->args = take(bytes, &offset, h->num_args, 4);
    p->dims = take(bytes, &offset, h->num_dims, 4);
    p->inputs = take(bytes, &offset, h->num_inputs, sizeof(hth_plan_input));
    p->outputs = take(bytes, &offset, h->num_outputs, sizeof(hth_plan_output));
    p->functions = take(bytes, &offset, h->num_functions, sizeof(hth_function));
    p->cuts = take(bytes, &offset, h->num_cuts, sizeof(hth_cut));
    return HEARTH_OK;
}

hearth_status hth_plan_parse(hth_plan *plan, const void *bytes, uint64_t size) {
    memset(plan, 0, sizeof *plan);
    plan->header = bytes;
    hearth_status status = check_header(bytes, size);
    if (status == HEARTH_OK) status = place_tables(plan, bytes, size);
    if (status != HEARTH_OK) return status;
    plan->symbol_sets = calloc((size_t)plan->header->num_scalars + 1, sizeof *plan->symbol_sets);
    if (plan->symbol_sets == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the plan's symbols");
    return hth_plan_check(plan);
}

void hth_plan_free(hth_plan *plan) {
    free(plan->symbol_sets);
    plan->symbol_sets = NULL;
}

uint64_t hth_plan_fixed_symbols(const hth_plan *plan) {
    uint64_t fixed = 0;
    for (uint32_t i = 0; i < plan->header->num_symbols; ++i) {
        if (hth_is_constant(&plan->symbols[i])) fixed |= (uint64_t)1 << i;
    }
    for (uint32_t i = 0; i < plan->header->num_states; ++i) fixed |= (uint64_t)1 << plan->states[i].symbol;
    return fixed;
}

void hth_function_scalars(const hth_plan *plan, const hth_function *function,
                          void (*visit)(void *user, uint32_t scalar), void *user) {
    for (uint32_t i = 0; i < function->num_steps; ++i) {
        const hth_step *step = &plan->steps[function->first_step + i];
        const hth_plan_kernel *kernel = &plan->kernels[step->kernel];
        const uint32_t *args = plan->args + step->first_arg + kernel->num_buffers;
        visit(user, step->units);
        for (uint32_t a = 0; a < kernel->num_scalars; ++a) visit(user, args[a]);
    }
    for (uint32_t i = 0; i < function->num_inputs; ++i) {
        const hth_plan_input *input = &plan->inputs[function->first_input + i];
        for (uint32_t d = 0; d < input->num_dims; ++d) visit(user, plan->dims[input->first_dim + d]);
        if (!hth_has_bounds(input)) continue;
        visit(user, input->low);
        visit(user, input->high);
    }
    for (uint32_t i = 0; i < function->num_outputs; ++i) {
        const hth_plan_output *output = &plan->outputs[function->first_output + i];
        for (uint32_t d = 0; d < output->num_dims; ++d) visit(user, plan->dims[output->first_dim + d]);
        if (output->num_dims > 1) visit(user, output->row_stride);
    }
    for (uint32_t i = 0; i < plan->header->num_cuts; ++i) {
        if (&plan->functions[plan->cuts[i].function] == function) visit(user, plan->cuts[i].rows);
    }
}

typedef struct {
    const hth_plan *plan;
    uint64_t symbols;
} symbols_seen;

static void see(void *user, uint32_t scalar) {
    symbols_seen *seen = user;
    seen->symbols |= seen->plan->symbol_sets[scalar];
}

uint64_t hth_function_symbols(const hth_plan *plan, const hth_function *function) {
    symbols_seen seen = {.plan = plan};
    hth_function_scalars(plan, function, see, &seen);
    return seen.symbols;
}

uint32_t hth_dtype_bytes(uint32_t dtype) {
    static const uint32_t bytes[] = {[HEARTH_F32] = 4, [HEARTH_I32] = 4, [HEARTH_U8] = 1, [HEARTH_I8] = 1, [HEARTH_F16] = 2};
    return bytes[dtype];
}
