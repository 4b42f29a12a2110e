/* Checks of the tables of plan.bin: nothing in them is believed before it is checked, and each check has its own text.
 * Sizes are compared by subtraction or in 64 bits, so that no sum can wrap. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "memory.h"
#include "plan.h"
#include "utf8.h"

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "plan.bin: " __VA_ARGS__)

#define CHECK_NAME(table, i, offset)                                                                                  \
    if ((offset) >= p->header->num_strings_bytes) return CORRUPT(table " %u: its name lies outside the strings", i)

/* A name that callers use: not empty, not long. */
#define CHECK_PUBLIC_NAME(table, i, offset)                                                                           \
    CHECK_NAME(table, i, offset);                                                                                     \
    if (!is_public_name(p->strings + (offset))) return CORRUPT(table " %u: its name must have 1 to 255 bytes", i)

static bool is_public_name(const char *name) {
    size_t length = 0;
    while (length <= HTH_MAX_NAME && name[length] != 0) ++length;
    return length >= 1 && length <= HTH_MAX_NAME;
}

static hearth_status check_strings(const hth_plan *p) {
    const uint64_t size = p->header->num_strings_bytes;
    /* One zero at the very end ends every string that begins inside. */
    if (size > 0 && p->strings[size - 1] != 0) return CORRUPT("the last string has no end");
    for (uint64_t i = 0; i < size;) {
        const uint32_t length = hth_utf8_length((const uint8_t *)p->strings + i, size - i);
        if (length == 0) return CORRUPT("its strings are no UTF-8 at byte %llu", (unsigned long long)i);
        i += length;
    }
    return HEARTH_OK;
}

static hearth_status check_symbols(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_symbols; ++i) {
        const hth_symbol *s = &p->symbols[i];
        CHECK_PUBLIC_NAME("symbol", i, s->name);
        if (s->zero != 0) return CORRUPT("symbol %u: reserved field is not zero", i);
        if (s->interval.low < 0 || s->interval.low > s->interval.high || s->interval.high > INT32_MAX) {
            return CORRUPT("symbol %u: bounds %lld to %lld, must lie in 0 to 2147483647", i,
                           (long long)s->interval.low, (long long)s->interval.high);
        }
        for (uint32_t j = 0; j < i; ++j) {
            if (strcmp(p->strings + p->symbols[j].name, p->strings + s->name) == 0) {
                return CORRUPT("symbol %s: named twice", p->strings + s->name);
            }
        }
    }
    return HEARTH_OK;
}

/* That the operands of a scalar are there. Fields that its operation does not use are zero. */
static hearth_status check_operands(const hth_plan *p, uint32_t i, const hth_interval *earlier) {
    const hth_scalar *s = &p->scalars[i];
    if (s->op >= HTH_NUM_SCALAR_OPS) return CORRUPT("scalar %u: unknown operation %u", i, s->op);
    const bool has_a = s->op != HTH_CONSTANT, has_b = s->op > HTH_SYMBOL, has_value = s->op == HTH_CONSTANT;
    if (s->zero != 0 || (!has_a && s->a != 0) || (!has_b && s->b != 0) || (!has_value && s->value != 0)) {
        return CORRUPT("scalar %u: a field that is not used is not zero", i);
    }
    if (s->op == HTH_SYMBOL && s->a >= p->header->num_symbols) return CORRUPT("scalar %u: no symbol %u", i, s->a);
    if (has_b && (s->a >= i || s->b >= i)) return CORRUPT("scalar %u: its operands must be earlier scalars", i);
    if (s->op == HTH_FLOOR_DIVIDE && earlier[s->b].low < 1) {
        return CORRUPT("scalar %u: its divisor may be %lld", i, (long long)earlier[s->b].low);
    }
    return HEARTH_OK;
}

static uint64_t symbol_set(const hth_plan *p, const hth_scalar *s) {
    if (s->op == HTH_CONSTANT) return 0;
    if (s->op == HTH_SYMBOL) return (uint64_t)1 << s->a;
    return p->symbol_sets[s->a] | p->symbol_sets[s->b];
}

static hearth_status check_scalars_in(hth_plan *p, const hth_interval *symbols, hth_interval *intervals) {
    for (uint32_t i = 0; i < p->header->num_scalars; ++i) {
        const hth_scalar *s = &p->scalars[i];
        const hearth_status status = check_operands(p, i, intervals);
        if (status != HEARTH_OK) return status;
        if (!hth_scalar_interval(s, symbols, intervals, &intervals[i])) {
            return CORRUPT("scalar %u: overflows 64 bits", i);
        }
        if (s->interval.low != intervals[i].low || s->interval.high != intervals[i].high) {
            return CORRUPT("scalar %u: says it lies in %lld to %lld, it lies in %lld to %lld", i,
                           (long long)s->interval.low, (long long)s->interval.high, (long long)intervals[i].low,
                           (long long)intervals[i].high);
        }
        p->symbol_sets[i] = symbol_set(p, s);
    }
    return HEARTH_OK;
}

static hearth_status check_scalars(hth_plan *p) {
    hth_interval symbols[HTH_MAX_SYMBOLS];
    for (uint32_t i = 0; i < p->header->num_symbols; ++i) symbols[i] = p->symbols[i].interval;
    hth_interval *intervals = calloc((size_t)p->header->num_scalars + 1, sizeof *intervals);
    if (intervals == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the plan's intervals");
    const hearth_status status = check_scalars_in(p, symbols, intervals);
    free(intervals);
    return status;
}

static hearth_status check_memory(const hth_plan *p) {
    const uint64_t total = p->header->weights_bytes;
    for (uint32_t i = 0; i < p->header->num_weights; ++i) {
        const hth_weight *w = &p->weights[i];
        CHECK_NAME("weight", i, w->name);
        if (w->zero != 0) return CORRUPT("weight %u: reserved field is not zero", i);
        if (w->offset % HTH_PLAN_ALIGN != 0) return CORRUPT("weight %u: offset is no multiple of 64", i);
        if (w->offset > total || w->size > total - w->offset) return CORRUPT("weight %u: lies outside weights.bin", i);
    }
    for (uint32_t i = 0; i < p->header->num_states; ++i) {
        const hth_state *s = &p->states[i];
        CHECK_PUBLIC_NAME("state", i, s->name);
        if (s->symbol >= p->header->num_symbols) return CORRUPT("state %u: no symbol %u", i, s->symbol);
        if (s->unit_bytes == 0 || s->unit_bytes > UINT32_MAX) {
            return CORRUPT("state %u: %llu bytes a unit", i, (unsigned long long)s->unit_bytes);
        }
    }
    return HEARTH_OK;
}

static hearth_status check_buffers(hth_plan *p) {
    const hth_plan_header *h = p->header;
    for (uint32_t i = 0; i < h->num_buffers; ++i) {
        const hth_buffer *b = &p->buffers[i];
        if (b->kind >= HTH_NUM_BUFFER_KINDS) return CORRUPT("buffer %u: unknown kind %u", i, b->kind);
        /* Kernels load whole vectors: a buffer that is not aligned would crash them. */
        if (b->offset % HTH_PLAN_ALIGN != 0) return CORRUPT("buffer %u: offset is no multiple of 64", i);
        const struct {
            const char *name;
            uint64_t count;
        } memories[] = {
            [HTH_ARENA] = {"arena", HTH_MAX_ARENAS},
            [HTH_WEIGHT] = {"weight", h->num_weights},
            [HTH_STATE] = {"state", h->num_states},
            [HTH_INPUT] = {"input", h->num_inputs},
        };
        if (b->index >= memories[b->kind].count) {
            return CORRUPT("buffer %u: no %s %u", i, memories[b->kind].name, b->index);
        }
        if (b->kind == HTH_STATE || b->kind == HTH_INPUT) { /* their sizes follow from the session */
            if (b->offset != 0 || b->size != 0) return CORRUPT("buffer %u: a state or input is given as a whole", i);
            continue;
        }
        const uint64_t room = b->kind == HTH_ARENA ? h->arena_bytes : p->weights[b->index].size;
        if (b->offset > room || b->size > room - b->offset) return CORRUPT("buffer %u: lies outside its memory", i);
        if (b->kind == HTH_ARENA && b->offset + b->size > p->arena_bytes[b->index]) {
            p->arena_bytes[b->index] = b->offset + b->size;
        }
    }
    uint64_t left = h->arena_bytes;
    for (uint32_t i = 0; i < HTH_MAX_ARENAS; ++i) {
        if (p->arena_bytes[i] > left) return CORRUPT("arena %u: more than arena_bytes says that all arenas have", i);
        left -= p->arena_bytes[i];
    }
    return HEARTH_OK;
}

static hearth_status check_steps(const hth_plan *p) {
    const hth_plan_header *h = p->header;
    for (uint32_t i = 0; i < h->num_kernels; ++i) {
        CHECK_NAME("kernel", i, p->kernels[i].name);
        if (p->kernels[i].zero != 0) return CORRUPT("kernel %u: reserved field is not zero", i);
        if (p->kernels[i].num_buffers > HTH_MAX_ARGS || p->kernels[i].num_scalars > HTH_MAX_ARGS) {
            return CORRUPT("kernel %u: more than %d arguments", i, HTH_MAX_ARGS);
        }
    }
    for (uint32_t i = 0; i < h->num_steps; ++i) {
        const hth_step *step = &p->steps[i];
        CHECK_NAME("step", i, step->label);
        if (step->kernel >= h->num_kernels) return CORRUPT("step %u: no kernel %u", i, step->kernel);
        if (step->units >= h->num_scalars) return CORRUPT("step %u: no scalar %u", i, step->units);
        if (step->grain < 1 || step->grain > INT32_MAX) return CORRUPT("step %u: grain %u", i, step->grain);
        if (step->flags != 0) return CORRUPT("step %u: unknown flags %u", i, step->flags);
        const hth_plan_kernel *kernel = &p->kernels[step->kernel];
        const uint64_t count = (uint64_t)kernel->num_buffers + kernel->num_scalars;
        if (step->first_arg > h->num_args || count > h->num_args - step->first_arg) {
            return CORRUPT("step %u: its arguments lie outside the table", i);
        }
        const uint32_t *args = p->args + step->first_arg;
        for (uint64_t a = 0; a < count; ++a) {
            const uint32_t limit = a < kernel->num_buffers ? h->num_buffers : h->num_scalars;
            if (args[a] >= limit) return CORRUPT("step %u: argument %llu is out of range", i, (unsigned long long)a);
        }
    }
    return HEARTH_OK;
}

/* The element type and the axes of an input or output: what both have. `what` is "input" or "output". */
static hearth_status check_shape(const hth_plan *p, const char *what, uint32_t i, uint32_t dtype, uint32_t first_dim,
                                 uint32_t num_dims) {
    if (dtype > HEARTH_F16) return CORRUPT("%s %u: unknown dtype %u", what, i, dtype);
    if (num_dims > HTH_MAX_AXES) return CORRUPT("%s %u: %u axes, must be 0 to 8", what, i, num_dims);
    if (first_dim > p->header->num_dims || num_dims > p->header->num_dims - first_dim) {
        return CORRUPT("%s %u: its axes lie outside the table", what, i);
    }
    for (uint32_t d = 0; d < num_dims; ++d) {
        const uint32_t dim = p->dims[first_dim + d];
        if (dim >= p->header->num_scalars) return CORRUPT("%s %u: axis %u: no scalar %u", what, i, d, dim);
        if (p->scalars[dim].interval.low < 0) {
            return CORRUPT("%s %u: axis %u may be %lld", what, i, d, (long long)p->scalars[dim].interval.low);
        }
    }
    return HEARTH_OK;
}

static hearth_status check_inputs(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_inputs; ++i) {
        const hth_plan_input *input = &p->inputs[i];
        CHECK_PUBLIC_NAME("input", i, input->name);
        const hearth_status status =
            check_shape(p, "input", i, input->dtype, input->first_dim, input->num_dims);
        if (status != HEARTH_OK) return status;
        if (input->zero != 0) return CORRUPT("input %u: reserved field is not zero", i);
        if (input->checks >= HTH_NUM_CHECKS) return CORRUPT("input %u: unknown checks %u", i, input->checks);
        if (input->checks == HTH_LENT && hth_dtype_bytes(input->dtype) != 1) {
            return CORRUPT("input %u: only bytes are lent", i);
        }
        if (!hth_has_bounds(input)) {
            if (input->low != 0 || input->high != 0) return CORRUPT("input %u: bounds without checks", i);
            continue;
        }
        if (input->dtype == HEARTH_F32 || input->dtype == HEARTH_F16) {
            return CORRUPT("input %u: only whole numbers are checked", i);
        }
        if (input->low >= p->header->num_scalars || input->high >= p->header->num_scalars) {
            return CORRUPT("input %u: its bounds are no scalars", i);
        }
    }
    return HEARTH_OK;
}

/* That an output fits its buffer whatever the sizes: rows are the product of all axes but the last. */
static hearth_status check_room(const hth_plan *p, uint32_t i, const hth_plan_output *output) {
    const uint32_t *dims = p->dims + output->first_dim;
    const uint32_t row = output->num_dims == 1 ? dims[0] : output->row_stride;
    uint64_t bytes = hth_dtype_bytes(output->dtype), product = bytes;
    bool fits = p->scalars[row].interval.low >= 0;
    for (uint32_t d = 0; fits && d < output->num_dims; ++d) {
        const uint32_t scalar = d + 1 < output->num_dims ? dims[d] : row;
        bytes = 0;
        fits = hth_add_product(&bytes, product, (uint64_t)p->scalars[scalar].interval.high);
        product = bytes;
    }
    if (!fits || bytes > p->buffers[output->buffer].size) return CORRUPT("output %u: does not fit its buffer", i);
    return HEARTH_OK;
}

static hearth_status check_outputs(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_outputs; ++i) {
        const hth_plan_output *output = &p->outputs[i];
        CHECK_PUBLIC_NAME("output", i, output->name);
        hearth_status status = check_shape(p, "output", i, output->dtype, output->first_dim, output->num_dims);
        if (status != HEARTH_OK) return status;
        if (output->buffer >= p->header->num_buffers) return CORRUPT("output %u: no buffer %u", i, output->buffer);
        if (p->buffers[output->buffer].kind != HTH_ARENA) return CORRUPT("output %u: does not lie in the arena", i);
        if (output->row_stride >= p->header->num_scalars) {
            return CORRUPT("output %u: no scalar %u", i, output->row_stride);
        }
        status = check_room(p, i, output);
        if (status != HEARTH_OK) return status;
    }
    return HEARTH_OK;
}

/* Functions have the steps, inputs and outputs one after the other, and all of them. */
static hearth_status check_partition(const hth_plan *p) {
    const hth_plan_header *h = p->header;
    uint32_t step = 0, input = 0, output = 0;
    for (uint32_t i = 0; i < h->num_functions; ++i) {
        const hth_function *f = &p->functions[i];
        CHECK_PUBLIC_NAME("function", i, f->name);
        CHECK_NAME("door of function", i, f->door);
        if (f->num_inputs > HTH_MAX_TABLE || f->num_outputs > HTH_MAX_TABLE) {
            return CORRUPT("function %u: more than %d inputs or outputs", i, HTH_MAX_TABLE);
        }
        if (f->first_step != step || f->num_steps > h->num_steps - step) return CORRUPT("function %u: wrong steps", i);
        if (f->first_input != input || f->num_inputs > h->num_inputs - input) {
            return CORRUPT("function %u: wrong inputs", i);
        }
        if (f->first_output != output || f->num_outputs > h->num_outputs - output) {
            return CORRUPT("function %u: wrong outputs", i);
        }
        step += f->num_steps;
        input += f->num_inputs;
        output += f->num_outputs;
    }
    if (step != h->num_steps || input != h->num_inputs || output != h->num_outputs) {
        return CORRUPT("steps, inputs or outputs that no function has");
    }
    return HEARTH_OK;
}

static hearth_status check_names(const hth_plan *p, uint32_t i) {
    const hth_function *f = &p->functions[i];
    const char *name = p->strings + f->name;
    for (uint32_t j = 0; j < i; ++j) {
        if (strcmp(p->strings + p->functions[j].name, name) == 0) return CORRUPT("function %s: named twice", name);
    }
    for (uint32_t a = 0; a < f->num_inputs; ++a) {
        const char *input = p->strings + p->inputs[f->first_input + a].name;
        for (uint32_t b = 0; b < a; ++b) {
            if (strcmp(p->strings + p->inputs[f->first_input + b].name, input) == 0) {
                return CORRUPT("function %s: input %s: named twice", name, input);
            }
        }
    }
    for (uint32_t a = 0; a < f->num_outputs; ++a) {
        const char *output = p->strings + p->outputs[f->first_output + a].name;
        for (uint32_t b = 0; b < a; ++b) {
            if (strcmp(p->strings + p->outputs[f->first_output + b].name, output) == 0) {
                return CORRUPT("function %s: output %s: named twice", name, output);
            }
        }
    }
    return HEARTH_OK;
}

/* A function sees its own inputs, and no symbol that nothing would give a value. */
static hearth_status check_reach(const hth_plan *p, const hth_function *f) {
    const char *name = p->strings + f->name;
    for (uint32_t i = 0; i < f->num_steps; ++i) {
        const hth_step *step = &p->steps[f->first_step + i];
        for (uint32_t a = 0; a < p->kernels[step->kernel].num_buffers; ++a) {
            const hth_buffer *buffer = &p->buffers[p->args[step->first_arg + a]];
            /* In 64 bits: an index below first_input becomes huge. */
            if (buffer->kind == HTH_INPUT && (uint64_t)buffer->index - f->first_input >= f->num_inputs) {
                return CORRUPT("function %s: step %u uses an input of another function", name, f->first_step + i);
            }
        }
    }
    if (p->strings[f->door] != 0) return HEARTH_OK; /* the door gives its symbols values, and checks which it may use */
    uint64_t known = hth_plan_fixed_symbols(p);
    for (uint32_t i = 0; i < f->num_inputs; ++i) {
        const hth_plan_input *input = &p->inputs[f->first_input + i];
        for (uint32_t d = 0; d < input->num_dims; ++d) {
            const hth_scalar *dim = &p->scalars[p->dims[input->first_dim + d]];
            if (dim->op == HTH_SYMBOL) known |= (uint64_t)1 << dim->a;
        }
    }
    const uint64_t unknown = hth_function_symbols(p, f) & ~known;
    for (uint32_t s = 0; s < p->header->num_symbols; ++s) {
        if ((unknown >> s & 1) != 0) {
            return CORRUPT("function %s: no input gives symbol %s", name, p->strings + p->symbols[s].name);
        }
    }
    return HEARTH_OK;
}

static hearth_status check_functions(const hth_plan *p) {
    hearth_status status = check_partition(p);
    for (uint32_t i = 0; status == HEARTH_OK && i < p->header->num_functions; ++i) {
        const hth_function *f = &p->functions[i];
        const char *door = p->strings + f->door;
        if (door[0] != 0 && strcmp(door, HTH_TEXT_DOOR) != 0) {
            return hth_fail(HEARTH_MISMATCH, "plan.bin: function %u: this runtime does not know its door, %.200s", i, door);
        }
        status = check_names(p, i);
        if (status == HEARTH_OK) status = check_reach(p, f);
    }
    return status;
}

/* Cuts ascend by function and step, and what goes on at each has room in its buffer. */
static hearth_status check_cuts(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_cuts; ++i) {
        const hth_cut *cut = &p->cuts[i];
        const hth_cut *before = i > 0 ? cut - 1 : NULL;
        if (cut->zero != 0) return CORRUPT("cut %u: reserved field is not zero", i);
        if (cut->function >= p->header->num_functions || (before != NULL && before->function > cut->function)) {
            return CORRUPT("cut %u: wrong function", i);
        }
        const hth_function *f = &p->functions[cut->function];
        const bool follows = before != NULL && before->function == cut->function;
        /* In 64 bits: a step below first_step becomes huge. */
        if ((uint64_t)cut->step - f->first_step > f->num_steps || (follows && before->step >= cut->step)) {
            return CORRUPT("cut %u: wrong step", i);
        }
        if (cut->buffer >= p->header->num_buffers || p->buffers[cut->buffer].kind != HTH_ARENA) {
            return CORRUPT("cut %u: no buffer of an arena", i);
        }
        if (cut->rows >= p->header->num_scalars) return CORRUPT("cut %u: no such scalar", i);
        const hth_interval rows = p->scalars[cut->rows].interval;
        uint64_t bytes = 0;
        if (rows.low < 0 || !hth_add_product(&bytes, (uint64_t)rows.high, (uint64_t)cut->columns * sizeof(float)) ||
            bytes > p->buffers[cut->buffer].size) {
            return CORRUPT("cut %u: does not fit its buffer", i);
        }
    }
    return HEARTH_OK;
}

hearth_status hth_plan_check(hth_plan *plan) {
    hearth_status status = check_strings(plan);
    if (status == HEARTH_OK) status = check_symbols(plan);
    if (status == HEARTH_OK) status = check_scalars(plan);
    if (status == HEARTH_OK) status = check_memory(plan);
    if (status == HEARTH_OK) status = check_buffers(plan);
    if (status == HEARTH_OK) status = check_steps(plan);
    if (status == HEARTH_OK) status = check_inputs(plan);
    if (status == HEARTH_OK) status = check_outputs(plan);
    if (status == HEARTH_OK) status = check_cuts(plan);
    if (status == HEARTH_OK) status = check_functions(plan);
    return status;
}
