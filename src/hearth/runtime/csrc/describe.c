#include "describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum {
    DEEPEST = 6,          /* operations within each other that are printed: a hostile plan doubles the text with each */
    MOST_BYTES = 16 << 20 /* of a description; names and shapes of real networks take some KiB */
};

typedef struct {
    char *data;
    size_t size, room;
    bool failed; /* no memory, or more than MOST_BYTES */
} text;

static void append_bytes(text *t, const char *bytes, size_t size) {
    if (t->failed) return;
    if (t->room - t->size <= size) {
        const size_t room = 2 * t->room + size + 1024;
        char *data = room <= MOST_BYTES ? realloc(t->data, room) : NULL;
        if (data == NULL) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = 0;
}

static void append(text *t, const char *bytes) { append_bytes(t, bytes, strlen(bytes)); }

static void append_number(text *t, int64_t number) {
    char digits[24];
    const int size = snprintf(digits, sizeof digits, "%lld", (long long)number);
    append_bytes(t, digits, (size_t)size);
}

static void append_unsigned(text *t, const char *name, uint64_t number) {
    char field[64];
    const int size = snprintf(field, sizeof field, "\"%s\": %llu", name, (unsigned long long)number);
    append_bytes(t, field, (size_t)size);
}

/* The inside of a JSON string; `name` is UTF-8. */
static void append_escaped(text *t, const char *name) {
    for (; *name != 0; ++name) {
        const unsigned char c = (unsigned char)*name;
        if (c == '"' || c == '\\') {
            append_bytes(t, "\\", 1);
            append_bytes(t, name, 1);
        } else if (c < 0x20) {
            char escape[8];
            append_bytes(t, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else {
            append_bytes(t, name, 1);
        }
    }
}

static void append_string(text *t, const char *name) {
    append(t, "\"");
    append_escaped(t, name);
    append(t, "\"");
}

/* As Python writes it, operations within others in brackets. */
static void append_expression(text *t, const hth_plan *p, uint32_t id, int depth) {
    static const char *const signs[] = {[HTH_ADD] = " + ", [HTH_MULTIPLY] = " * ", [HTH_FLOOR_DIVIDE] = " // "};
    const hth_scalar *s = &p->scalars[id];
    if (s->op == HTH_CONSTANT) {
        append_number(t, s->value);
    } else if (s->op == HTH_SYMBOL) {
        append_escaped(t, p->strings + p->symbols[s->a].name);
    } else if (depth == DEEPEST) {
        append(t, "...");
    } else {
        const bool called = s->op == HTH_MINIMUM || s->op == HTH_MAXIMUM;
        if (called) append(t, s->op == HTH_MINIMUM ? "min" : "max");
        if (called || depth > 0) append(t, "(");
        append_expression(t, p, s->a, depth + 1);
        append(t, called ? ", " : signs[s->op]);
        append_expression(t, p, s->b, depth + 1);
        if (called || depth > 0) append(t, ")");
    }
}

/* A number, or an expression as text. */
static void append_scalar(text *t, const hth_plan *p, uint32_t id) {
    const hth_scalar *s = &p->scalars[id];
    if (s->interval.low == s->interval.high) {
        append_number(t, s->interval.low);
        return;
    }
    append(t, "\"");
    append_expression(t, p, id, 0);
    append(t, "\"");
}

static void append_tensor(text *t, const hth_plan *p, uint32_t name, uint32_t dtype, const uint32_t *dims, uint32_t count) {
    static const char *const dtypes[] = {"f32", "i32", "u8", "i8", "f16"};
    append(t, "{\"name\": ");
    append_string(t, p->strings + name);
    append(t, ", \"dtype\": ");
    append_string(t, dtypes[dtype]);
    append(t, ", \"shape\": [");
    for (uint32_t d = 0; d < count; ++d) {
        if (d > 0) append(t, ", ");
        append_scalar(t, p, dims[d]);
    }
    append(t, "], \"most\": [");
    for (uint32_t d = 0; d < count; ++d) {
        if (d > 0) append(t, ", ");
        append_number(t, p->scalars[dims[d]].interval.high);
    }
    append(t, "]");
}

static void append_function(text *t, const hth_plan *p, const hth_function *f) {
    append(t, "{\"name\": ");
    append_string(t, p->strings + f->name);
    append(t, ", \"door\": ");
    append_string(t, p->strings + f->door);
    append(t, ", \"inputs\": [");
    for (uint32_t i = 0; i < f->num_inputs; ++i) {
        const hth_plan_input *input = &p->inputs[f->first_input + i];
        if (i > 0) append(t, ", ");
        append_tensor(t, p, input->name, input->dtype, p->dims + input->first_dim, input->num_dims);
        if (hth_has_bounds(input)) {
            append(t, ", \"low\": ");
            append_scalar(t, p, input->low);
            append(t, ", \"high\": ");
            append_scalar(t, p, input->high);
        }
        if (input->checks == HTH_ASCENDING) append(t, ", \"ascending\": true");
        append(t, input->checks == HTH_LENT ? ", \"lent\": true}" : "}");
    }
    append(t, "], \"outputs\": [");
    for (uint32_t i = 0; i < f->num_outputs; ++i) {
        const hth_plan_output *output = &p->outputs[f->first_output + i];
        if (i > 0) append(t, ", ");
        append_tensor(t, p, output->name, output->dtype, p->dims + output->first_dim, output->num_dims);
        append(t, "}");
    }
    append(t, "]}");
}

static void append_plan(text *t, const hth_plan *p) {
    const hth_plan_header *h = p->header;
    append(t, "\"functions\": [");
    for (uint32_t i = 0; i < h->num_functions; ++i) {
        if (i > 0) append(t, ", ");
        append_function(t, p, &p->functions[i]);
    }
    append(t, "], \"symbols\": {");
    for (uint32_t i = 0; i < h->num_symbols; ++i) {
        if (i > 0) append(t, ", ");
        append_string(t, p->strings + p->symbols[i].name);
        append(t, ": [");
        append_number(t, p->symbols[i].interval.low);
        append(t, ", ");
        append_number(t, p->symbols[i].interval.high);
        append(t, "]");
    }
    append(t, "}, \"states\": [");
    for (uint32_t i = 0; i < h->num_states; ++i) {
        append(t, i > 0 ? ", {\"name\": " : "{\"name\": ");
        append_string(t, p->strings + p->states[i].name);
        append(t, ", \"unit\": ");
        append_string(t, p->strings + p->symbols[p->states[i].symbol].name);
        append(t, ", ");
        append_unsigned(t, "unit_bytes", p->states[i].unit_bytes);
        append(t, "}");
    }
    append(t, "]");
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"weights_bytes", h->weights_bytes},
        {"arena_bytes", h->arena_bytes},
        {"scratch_bytes_per_thread", h->scratch_bytes},
        {"num_steps", h->num_steps},
        {"num_kernels", h->num_kernels},
        {"num_weights", h->num_weights},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
        append(t, ", ");
        append_unsigned(t, numbers[i].name, numbers[i].value);
    }
}

hearth_status hth_describe(const hearth_model *model, char **description) {
    text t = {.data = NULL};
    append(&t, "{");
    append_unsigned(&t, "abi_version", HEARTH_ABI_VERSION);
    append(&t, ", ");
    append_plan(&t, &model->plan);
    append(&t, ", \"isa\": ");
    append_string(&t, model->set->isa);
    append(&t, ", \"isas\": [");
    for (uint32_t i = 0; i < hearth_num_kernel_sets; ++i) {
        if (i > 0) append(&t, ", ");
        append_string(&t, hearth_kernel_sets[i].isa);
    }
    append(&t, "]}");
    if (t.failed) {
        free(t.data);
        return hth_fail(HEARTH_MEMORY, "no memory for the description, or it has more than %d bytes", MOST_BYTES);
    }
    *description = t.data;
    return HEARTH_OK;
}
