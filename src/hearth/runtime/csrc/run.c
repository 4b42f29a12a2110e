/* hearth_run: any function without a door, over inputs and outputs with names. Kernels index memory by sizes and, where the
 * plan says so, by values: both are checked here before one of them runs. */
#include <string.h>

#include "error.h"
#include "session.h"

/* The inputs that the caller gave, in the order of the plan, and the name of what runs for messages. */
typedef struct {
    hearth_session *session;
    const hth_plan *plan;
    const hth_function *function;
    const char *name;
    const hearth_tensor *given[HTH_MAX_TABLE];
} call;

#define INVALID(...) hth_fail(HEARTH_INVALID, __VA_ARGS__)
#define INPUT "%.100s: input %.100s: "

static const char *const dtype_names[] = {"f32", "i32", "u8", "i8", "f16"};

static hearth_status find_function(call *c, const char *name) {
    for (uint32_t i = 0; i < c->plan->header->num_functions; ++i) {
        const hth_function *f = &c->plan->functions[i];
        if (strcmp(c->plan->strings + f->name, name) != 0) continue;
        if (c->plan->strings[f->door] != 0) return INVALID("%.100s takes tokens: it is run by hearth_forward", name);
        c->function = f;
        c->name = c->plan->strings + f->name;
        return HEARTH_OK;
    }
    return INVALID("the model has no function %.200s", name);
}

static hearth_status match_inputs(call *c, const hearth_tensor *inputs, uint32_t num_inputs) {
    const hth_function *f = c->function;
    for (uint32_t i = 0; i < num_inputs; ++i) {
        uint32_t which = 0;
        if (inputs[i].name == NULL) return INVALID("%.100s: an input has no name", c->name);
        while (which < f->num_inputs &&
               strcmp(c->plan->strings + c->plan->inputs[f->first_input + which].name, inputs[i].name) != 0) {
            ++which;
        }
        if (which == f->num_inputs) return INVALID("%.100s has no input %.100s", c->name, inputs[i].name);
        if (c->given[which] != NULL) return INVALID(INPUT "given twice", c->name, inputs[i].name);
        c->given[which] = &inputs[i];
    }
    for (uint32_t i = 0; i < f->num_inputs; ++i) {
        const hth_plan_input *input = &c->plan->inputs[f->first_input + i];
        const char *name = c->plan->strings + input->name;
        const hearth_tensor *given = c->given[i];
        if (given == NULL) return INVALID(INPUT "is missing", c->name, name);
        if (given->dtype > HEARTH_F16) return INVALID(INPUT "unknown dtype %u", c->name, name, given->dtype);
        if (given->dtype != input->dtype) {
            return INVALID(INPUT "is %s, must be %s", c->name, name, dtype_names[given->dtype],
                           dtype_names[input->dtype]);
        }
        if (given->rank != input->num_dims) {
            return INVALID(INPUT "has %u axes, must have %u", c->name, name, given->rank, input->num_dims);
        }
        if (given->row_stride != 0 && given->row_stride != (given->rank > 0 ? given->shape[given->rank - 1] : 1)) {
            return INVALID(INPUT "its rows do not stand one after the other", c->name, name);
        }
    }
    return HEARTH_OK;
}

/* Gives symbols the sizes of the axes that they stand for, all alike. What the session fixes has bounds of one value. */
static hearth_status bind_symbols(call *c) {
    hearth_session *session = c->session;
    uint64_t bound = 0;
    for (uint32_t i = 0; i < c->function->num_inputs; ++i) {
        const hth_plan_input *input = &c->plan->inputs[c->function->first_input + i];
        for (uint32_t d = 0; d < input->num_dims; ++d) {
            const hth_scalar *dim = &c->plan->scalars[c->plan->dims[input->first_dim + d]];
            if (dim->op != HTH_SYMBOL) continue;
            const char *name = c->plan->strings + input->name;
            const char *symbol = c->plan->strings + c->plan->symbols[dim->a].name;
            const int64_t size = c->given[i]->shape[d];
            const hth_interval bounds = session->bounds[dim->a];
            if (size < bounds.low || size > bounds.high) {
                return INVALID(INPUT "axis %u (%.100s) is %lld, must be %lld to %lld", c->name, name, d, symbol,
                               (long long)size, (long long)bounds.low, (long long)bounds.high);
            }
            if ((bound >> dim->a & 1) != 0 && session->symbols[dim->a] != size) {
                return INVALID(INPUT "axis %u (%.100s) is %lld, another one is %lld", c->name, name, d, symbol,
                               (long long)size, (long long)session->symbols[dim->a]);
            }
            session->symbols[dim->a] = size;
            bound |= (uint64_t)1 << dim->a;
        }
    }
    return HEARTH_OK;
}

static uint64_t count_of(const hearth_tensor *tensor) {
    uint64_t count = 1;
    for (uint32_t d = 0; d < tensor->rank; ++d) count *= (uint64_t)tensor->shape[d];
    return count;
}

static int64_t value_at(const void *data, uint32_t dtype, uint64_t i) {
    switch (dtype) {
    case HEARTH_I32:
        return ((const int32_t *)data)[i];
    case HEARTH_U8:
        return ((const uint8_t *)data)[i];
    default:
        return ((const int8_t *)data)[i];
    }
}

/* On the session's copy: the caller's may change while we look. */
static hearth_status check_values(const call *c, const hth_plan_input *input, const void *copy, uint64_t count) {
    const char *name = c->plan->strings + input->name;
    const int64_t low = c->session->scalars[input->low], high = c->session->scalars[input->high];
    const bool ascending = input->checks == HTH_ASCENDING;
    for (uint64_t i = 0; i < count; ++i) {
        const int64_t value = value_at(copy, input->dtype, i);
        if (value < low || value > high) {
            return INVALID(INPUT "value %llu is %lld, must be %lld to %lld", c->name, name, (unsigned long long)i,
                           (long long)value, (long long)low, (long long)high);
        }
        if (ascending && i > 0 && value < value_at(copy, input->dtype, i - 1)) {
            return INVALID(INPUT "value %llu is %lld, less than the one before", c->name, name,
                           (unsigned long long)i, (long long)value);
        }
    }
    if (ascending && (count == 0 || value_at(copy, input->dtype, 0) != low ||
                      value_at(copy, input->dtype, count - 1) != high)) {
        return INVALID(INPUT "must begin with %lld and end with %lld", c->name, name, (long long)low, (long long)high);
    }
    return HEARTH_OK;
}

/* Compares every axis, then copies and checks the values, or lends them. The scalars are evaluated. */
static hearth_status take_inputs(const call *c) {
    for (uint32_t i = 0; i < c->function->num_inputs; ++i) {
        const uint32_t which = c->function->first_input + i;
        const hth_plan_input *input = &c->plan->inputs[which];
        const hearth_tensor *given = c->given[i];
        const char *name = c->plan->strings + input->name;
        for (uint32_t d = 0; d < input->num_dims; ++d) {
            const int64_t size = c->session->scalars[c->plan->dims[input->first_dim + d]];
            if (given->shape[d] != size) {
                return INVALID(INPUT "axis %u is %lld, must be %lld", c->name, name, d, (long long)given->shape[d],
                               (long long)size);
            }
        }
        const uint64_t count = count_of(given);
        if (given->data == NULL && count > 0) return INVALID(INPUT "data is NULL", c->name, name);
        if (input->checks == HTH_LENT) {
            c->session->model->device->lend(c->session, c->function, which, given->data);
            continue;
        }
        if (count > 0) memcpy(c->session->inputs[which], given->data, (size_t)(count * hth_dtype_bytes(input->dtype)));
        if (!hth_has_bounds(input)) continue;
        const hearth_status status = check_values(c, input, c->session->inputs[which], count);
        if (status != HEARTH_OK) return status;
    }
    return HEARTH_OK;
}

static hearth_status describe_outputs(const call *c, hearth_tensor *outputs) {
    for (uint32_t i = 0; i < c->function->num_outputs; ++i) {
        const uint32_t which = c->function->first_output + i;
        const hth_plan_output *output = &c->plan->outputs[which];
        hearth_tensor *answer = &outputs[i];
        *answer = (hearth_tensor){
            .name = c->plan->strings + output->name,
            .data = c->session->model->device->output(c->session, which),
            .dtype = output->dtype,
            .rank = output->num_dims,
        };
        for (uint32_t d = 0; d < output->num_dims; ++d) {
            answer->shape[d] = c->session->scalars[c->plan->dims[output->first_dim + d]];
        }
        const int64_t last = output->num_dims > 0 ? answer->shape[output->num_dims - 1] : 1;
        answer->row_stride = output->num_dims > 1 ? c->session->scalars[output->row_stride] : last;
        if (last > answer->row_stride) {
            return hth_fail(HEARTH_CORRUPT, "plan.bin: output %.200s: %lld columns in rows of %lld", answer->name,
                            (long long)last, (long long)answer->row_stride);
        }
    }
    return HEARTH_OK;
}

static hearth_status run(call *c, const hearth_tensor *inputs, uint32_t num_inputs, hearth_tensor *outputs) {
    hearth_status status = match_inputs(c, inputs, num_inputs);
    if (status == HEARTH_OK) status = bind_symbols(c);
    if (status == HEARTH_OK) status = hth_session_evaluate(c->session, c->function);
    if (status == HEARTH_OK) status = take_inputs(c);
    if (status == HEARTH_OK) status = describe_outputs(c, outputs);
    if (status != HEARTH_OK) return status;
    uint32_t wanted[HTH_MAX_TABLE];
    for (uint32_t i = 0; i < c->function->num_outputs; ++i) wanted[i] = c->function->first_output + i;
    const hth_call run = {.function = c->function, .outputs = wanted, .num_outputs = c->function->num_outputs};
    return c->session->model->device->run(c->session, &run);
}

hearth_status hearth_run(hearth_session *session, const char *function, const hearth_tensor *inputs,
                         uint32_t num_inputs, hearth_tensor *outputs, uint32_t num_outputs) {
    if (session == NULL || function == NULL || (inputs == NULL && num_inputs > 0) ||
        (outputs == NULL && num_outputs > 0)) {
        return INVALID("hearth_run: an argument is NULL");
    }
    call c = {.session = session, .plan = &session->model->plan};
    hearth_status status = find_function(&c, function);
    if (status != HEARTH_OK) return status;
    if (num_outputs != c.function->num_outputs) {
        return INVALID("%.100s has %u outputs, there is room for %u", c.name, c.function->num_outputs, num_outputs);
    }
    status = hth_session_enter(session);
    if (status != HEARTH_OK) return status;
    status = run(&c, inputs, num_inputs, outputs);
    hth_session_leave(session);
    return status;
}
