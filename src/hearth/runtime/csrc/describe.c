#include "describe.h"

#include <stdlib.h>

#include "error.h"
#include "json.h"

enum { DEEPEST = 6 }; /* operations within each other that are printed: a hostile plan doubles the text with each */

/* As Python writes it, operations within others in brackets. */
static void append_expression(hth_json *json, const hth_plan *p, uint32_t id, int depth) {
    static const char *const signs[] = {[HTH_ADD] = " + ", [HTH_MULTIPLY] = " * ", [HTH_FLOOR_DIVIDE] = " // "};
    const hth_scalar *s = &p->scalars[id];
    if (s->op == HTH_CONSTANT) {
        hth_json_append_number(json, s->value);
    } else if (s->op == HTH_SYMBOL) {
        hth_json_append_escaped(json, p->strings + p->symbols[s->a].name);
    } else if (depth == DEEPEST) {
        hth_json_append(json, "...");
    } else {
        const bool called = s->op == HTH_MINIMUM || s->op == HTH_MAXIMUM;
        if (called) hth_json_append(json, s->op == HTH_MINIMUM ? "min" : "max");
        if (called || depth > 0) hth_json_append(json, "(");
        append_expression(json, p, s->a, depth + 1);
        hth_json_append(json, called ? ", " : signs[s->op]);
        append_expression(json, p, s->b, depth + 1);
        if (called || depth > 0) hth_json_append(json, ")");
    }
}

/* A number, or an expression as text. */
static void append_scalar(hth_json *json, const hth_plan *p, uint32_t id) {
    const hth_scalar *s = &p->scalars[id];
    if (s->interval.low == s->interval.high) {
        hth_json_append_number(json, s->interval.low);
        return;
    }
    hth_json_append(json, "\"");
    append_expression(json, p, id, 0);
    hth_json_append(json, "\"");
}

static void append_tensor(hth_json *json, const hth_plan *p, uint32_t name, uint32_t dtype, const uint32_t *dims, uint32_t count) {
    static const char *const dtypes[] = {"f32", "i32", "u8", "i8", "f16"};
    hth_json_append(json, "{\"name\": ");
    hth_json_append_string(json, p->strings + name);
    hth_json_append(json, ", \"dtype\": ");
    hth_json_append_string(json, dtypes[dtype]);
    hth_json_append(json, ", \"shape\": [");
    for (uint32_t d = 0; d < count; ++d) {
        if (d > 0) hth_json_append(json, ", ");
        append_scalar(json, p, dims[d]);
    }
    hth_json_append(json, "], \"most\": [");
    for (uint32_t d = 0; d < count; ++d) {
        if (d > 0) hth_json_append(json, ", ");
        hth_json_append_number(json, p->scalars[dims[d]].interval.high);
    }
    hth_json_append(json, "]");
}

static void append_function(hth_json *json, const hth_plan *p, const hth_function *f) {
    hth_json_append(json, "{\"name\": ");
    hth_json_append_string(json, p->strings + f->name);
    hth_json_append(json, ", \"door\": ");
    hth_json_append_string(json, p->strings + f->door);
    hth_json_append(json, ", \"inputs\": [");
    for (uint32_t i = 0; i < f->num_inputs; ++i) {
        const hth_plan_input *input = &p->inputs[f->first_input + i];
        if (i > 0) hth_json_append(json, ", ");
        append_tensor(json, p, input->name, input->dtype, p->dims + input->first_dim, input->num_dims);
        if (hth_has_bounds(input)) {
            hth_json_append(json, ", \"low\": ");
            append_scalar(json, p, input->low);
            hth_json_append(json, ", \"high\": ");
            append_scalar(json, p, input->high);
        }
        if (input->checks == HTH_ASCENDING) hth_json_append(json, ", \"ascending\": true");
        hth_json_append(json, input->checks == HTH_LENT ? ", \"lent\": true}" : "}");
    }
    hth_json_append(json, "], \"outputs\": [");
    for (uint32_t i = 0; i < f->num_outputs; ++i) {
        const hth_plan_output *output = &p->outputs[f->first_output + i];
        if (i > 0) hth_json_append(json, ", ");
        append_tensor(json, p, output->name, output->dtype, p->dims + output->first_dim, output->num_dims);
        hth_json_append(json, "}");
    }
    hth_json_append(json, "]}");
}

static void append_states(hth_json *json, const hth_plan *p, const hth_layers *layers) {
    bool first = true;
    for (uint32_t i = 0; i < p->header->num_states; ++i) {
        if (layers->states[i] == 0) continue;
        hth_json_append(json, first ? "{\"name\": " : ", {\"name\": ");
        hth_json_append_string(json, p->strings + p->states[i].name);
        hth_json_append(json, ", \"unit\": ");
        hth_json_append_string(json, p->strings + p->symbols[p->states[i].symbol].name);
        hth_json_append(json, ", ");
        hth_json_append_unsigned(json, "unit_bytes", p->states[i].unit_bytes);
        hth_json_append(json, "}");
        first = false;
    }
}

static void append_plan(hth_json *json, const hth_plan *p, const hth_layers *layers) {
    const hth_plan_header *h = p->header;
    hth_json_append(json, "\"functions\": [");
    for (uint32_t i = 0; i < h->num_functions; ++i) {
        if (i > 0) hth_json_append(json, ", ");
        append_function(json, p, &p->functions[i]);
    }
    hth_json_append(json, "], \"symbols\": {");
    for (uint32_t i = 0; i < h->num_symbols; ++i) {
        if (i > 0) hth_json_append(json, ", ");
        hth_json_append_string(json, p->strings + p->symbols[i].name);
        hth_json_append(json, ": [");
        hth_json_append_number(json, p->symbols[i].interval.low);
        hth_json_append(json, ", ");
        hth_json_append_number(json, p->symbols[i].interval.high);
        hth_json_append(json, "]");
    }
    hth_json_append(json, "}, \"states\": [");
    append_states(json, p, layers);
    hth_json_append(json, "], \"layers\": {");
    hth_json_append_unsigned(json, "count", layers->count);
    hth_json_append(json, ", ");
    hth_json_append_unsigned(json, "first", layers->first);
    hth_json_append(json, ", ");
    hth_json_append_unsigned(json, "end", layers->end);
    hth_json_append(json, ", ");
    hth_json_append_unsigned(json, "columns", layers->columns);
    hth_json_append(json, "}");
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"weights_bytes", layers->weights_bytes},
        {"arena_bytes", h->arena_bytes},
        {"scratch_bytes_per_thread", h->scratch_bytes},
        {"num_steps", h->num_steps},
        {"num_kernels", h->num_kernels},
        {"num_weights", h->num_weights},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
        hth_json_append(json, ", ");
        hth_json_append_unsigned(json, numbers[i].name, numbers[i].value);
    }
}

hearth_status hth_describe(const hearth_model *model, char **description) {
    hth_json json = {.data = NULL};
    hth_json_append(&json, "{");
    hth_json_append_unsigned(&json, "abi_version", HEARTH_ABI_VERSION);
    hth_json_append(&json, ", ");
    append_plan(&json, &model->plan, &model->layers);
    hth_json_append(&json, ", ");
    model->device->describe(model, &json);
    hth_json_append(&json, "}");
    if (json.failed) {
        free(json.data);
        return hth_fail(HEARTH_MEMORY, "no memory for the description, or it has more than %d bytes", HTH_MOST_JSON);
    }
    *description = json.data;
    return HEARTH_OK;
}
