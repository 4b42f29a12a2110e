/* Checks of plan.bin. The file is data from a disk: nothing in it is believed before it is checked, and each check has
 * its own text. Sizes are compared by subtraction or in 64 bits, so that no sum can wrap. */
#include "plan.h"

#include <string.h>

#include "error.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Hearth's files are little-endian and are used as they lie; big-endian machines are not supported."
#endif

/* The records are used where they lie in the file, so their C layout is the file's. */
_Static_assert(sizeof(hth_plan_header) == 192 && offsetof(hth_plan_header, arena_bytes) == 64, "header layout");
_Static_assert(offsetof(hth_plan_header, zero) == 128, "header layout");
_Static_assert(sizeof(hth_scalar) == 32 && sizeof(hth_buffer) == 24 && sizeof(hth_weight) == 24, "record layout");
_Static_assert(sizeof(hth_kv) == 16 && sizeof(hth_plan_kernel) == 16, "record layout");
_Static_assert(sizeof(hth_item) == 32 && sizeof(hth_merge) == 16, "record layout");
_Static_assert(sizeof(hth_step) == 24 && sizeof(hth_plan_output) == 24, "record layout");

/* Far above any kernel; keeps a hostile plan from making the checks themselves slow. */
enum { MAX_ARGS = 256 };

#define CORRUPT(...) hth_fail(HEARTH_CORRUPT, "plan.bin: " __VA_ARGS__)

static uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~(uint64_t)7; }

static hearth_status check_header(const hth_plan_header *h, uint64_t size) {
    if (size < sizeof *h) return CORRUPT("%llu bytes, shorter than a header", (unsigned long long)size);
    if (memcmp(h->magic, "HRTHPLAN", 8) != 0) return CORRUPT("does not begin with HRTHPLAN");
    if (h->version != HTH_PLAN_VERSION) {
        return hth_fail(HEARTH_MISMATCH, "plan.bin: format version %u, this runtime reads version %d", h->version,
                        HTH_PLAN_VERSION);
    }
    if (h->header_size != sizeof *h) return CORRUPT("header_size is %u, must be 192", h->header_size);
    if (h->file_size != size) {
        return CORRUPT("says it has %llu bytes, the file has %llu", (unsigned long long)h->file_size,
                       (unsigned long long)size);
    }
    if (h->num_meta != 0) return CORRUPT("num_meta is %u, must be 0", h->num_meta);
    for (size_t i = 0; i < sizeof h->zero; ++i) {
        if (h->zero[i] != 0) return CORRUPT("reserved header bytes are not zero");
    }
    const struct {
        const char *name;
        uint32_t value;
    } limits[] = {
        {"max_tokens", h->max_tokens},   {"max_seqs", h->max_seqs},       {"max_logit_rows", h->max_logit_rows},
        {"tile_tokens", h->tile_tokens}, {"page_tokens", h->page_tokens}, {"vocab_size", h->vocab_size},
        {"hidden_size", h->hidden_size}, {"max_position", h->max_position}, {"split_tokens", h->split_tokens},
        {"max_partials", h->max_partials},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; ++i) {
        if (limits[i].value < 1 || limits[i].value > INT32_MAX) {
            return CORRUPT("%s is %u, must be 1 to 2147483647", limits[i].name, limits[i].value);
        }
    }
    if (h->split_tokens % h->page_tokens != 0) {
        return CORRUPT("split_tokens is %u, no multiple of page_tokens, %u", h->split_tokens, h->page_tokens);
    }
    if (h->max_partials > INT32_MAX - h->max_tokens) return CORRUPT("max_partials is %u", h->max_partials);
    return HEARTH_OK;
}

/* Takes the next table of `count` records off the file. All counts are 32 bits and records small: no sum can wrap. */
static const void *take(const uint8_t *bytes, uint64_t *offset, uint64_t count, uint64_t record_bytes) {
    const uint8_t *table = bytes + *offset;
    *offset += padded(count * record_bytes);
    return table;
}

static hearth_status place_tables(hth_plan *p, const uint8_t *bytes, uint64_t size) {
    const hth_plan_header *h = p->header;
    const uint64_t tables = padded(h->num_strings_bytes) + (uint64_t)h->num_scalars * sizeof(hth_scalar) +
                            (uint64_t)h->num_buffers * sizeof(hth_buffer) +
                            (uint64_t)h->num_weights * sizeof(hth_weight) + (uint64_t)h->num_kv * sizeof(hth_kv) +
                            (uint64_t)h->num_kernels * sizeof(hth_plan_kernel) +
                            (uint64_t)h->num_steps * sizeof(hth_step) + padded((uint64_t)h->num_args * 4) +
                            (uint64_t)h->num_outputs * sizeof(hth_plan_output);
    /* Before any pointer is made: a pointer past the end would already be undefined. */
    if (sizeof *h + tables != size) {
        return CORRUPT("its tables take %llu bytes, the file has %llu", (unsigned long long)(sizeof *h + tables),
                       (unsigned long long)size);
    }
    uint64_t offset = sizeof *h;
    p->strings = take(bytes, &offset, h->num_strings_bytes, 1);
    p->scalars = take(bytes, &offset, h->num_scalars, sizeof(hth_scalar));
    p->buffers = take(bytes, &offset, h->num_buffers, sizeof(hth_buffer));
    p->weights = take(bytes, &offset, h->num_weights, sizeof(hth_weight));
    p->kv = take(bytes, &offset, h->num_kv, sizeof(hth_kv));
    p->kernels = take(bytes, &offset, h->num_kernels, sizeof(hth_plan_kernel));
    p->steps = take(bytes, &offset, h->num_steps, sizeof(hth_step));
    p->args = take(bytes, &offset, h->num_args, 4);
    p->outputs = take(bytes, &offset, h->num_outputs, sizeof(hth_plan_output));
    /* One zero at the very end ends every string that begins inside. */
    if (h->num_strings_bytes > 0 && p->strings[h->num_strings_bytes - 1] != 0) {
        return CORRUPT("the last string has no end");
    }
    return HEARTH_OK;
}

#define CHECK_NAME(table, i, offset)                                                                                  \
    if ((offset) >= p->header->num_strings_bytes) return CORRUPT(table " %u: its name lies outside the strings", i)

static bool symbol_fits(const hth_scalar *s, int64_t symbol) {
    int64_t value;
    return !__builtin_mul_overflow(symbol, s->mul, &value) && !__builtin_add_overflow(value, s->add, &value);
}

static hearth_status check_scalars(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_scalars; ++i) {
        const hth_scalar *s = &p->scalars[i];
        if (s->symbol >= HTH_NUM_SYMBOLS) return CORRUPT("scalar %u: unknown symbol %u", i, s->symbol);
        if (s->zero != 0) return CORRUPT("scalar %u: reserved field is not zero", i);
        if (s->div < 1) return CORRUPT("scalar %u: divisor %lld", i, (long long)s->div);
        /* symbol * mul + add is monotone in the symbol: if both ends fit, all between do. */
        if (!symbol_fits(s, 0) || !symbol_fits(s, INT32_MAX)) return CORRUPT("scalar %u: overflows 64 bits", i);
    }
    return HEARTH_OK;
}

static hearth_status check_weights(const hth_plan *p) {
    const uint64_t total = p->header->weights_bytes;
    for (uint32_t i = 0; i < p->header->num_weights; ++i) {
        const hth_weight *w = &p->weights[i];
        CHECK_NAME("weight", i, w->name);
        if (w->zero != 0) return CORRUPT("weight %u: reserved field is not zero", i);
        if (w->offset % HTH_PLAN_ALIGN != 0) return CORRUPT("weight %u: offset is no multiple of 64", i);
        if (w->offset > total || w->size > total - w->offset) return CORRUPT("weight %u: lies outside weights.bin", i);
    }
    return HEARTH_OK;
}

static hearth_status check_kv(hth_plan *p) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->header->num_kv; ++i) {
        const hth_kv *kv = &p->kv[i];
        CHECK_NAME("kv region", i, kv->name);
        if (kv->zero != 0) return CORRUPT("kv region %u: reserved field is not zero", i);
        if (kv->bytes_per_page == 0 || kv->bytes_per_page > UINT32_MAX) {
            return CORRUPT("kv region %u: %llu bytes a page", i, (unsigned long long)kv->bytes_per_page);
        }
        sum += kv->bytes_per_page; /* at most 2^32 regions of 2^32 bytes; the last cannot wrap */
    }
    p->kv_bytes_per_page = sum;
    return HEARTH_OK;
}

static hearth_status check_buffers(const hth_plan *p) {
    for (uint32_t i = 0; i < p->header->num_buffers; ++i) {
        const hth_buffer *b = &p->buffers[i];
        if (b->kind >= HTH_NUM_BUFFER_KINDS) return CORRUPT("buffer %u: unknown kind %u", i, b->kind);
        /* Kernels load whole vectors: a buffer that is not aligned would crash them. */
        if (b->offset % HTH_PLAN_ALIGN != 0) return CORRUPT("buffer %u: offset is no multiple of 64", i);
        uint64_t room = 0;
        if (b->kind == HTH_ARENA) {
            if (b->index != 0) return CORRUPT("buffer %u: there is one arena, its index is 0", i);
            room = p->header->arena_bytes;
        } else if (b->kind == HTH_WEIGHT) {
            if (b->index >= p->header->num_weights) return CORRUPT("buffer %u: no weight %u", i, b->index);
            room = p->weights[b->index].size;
        } else {
            const uint32_t count = b->kind == HTH_KV ? p->header->num_kv : (uint32_t)HTH_NUM_INPUTS;
            if (b->index >= count) return CORRUPT("buffer %u: no kv region or input %u", i, b->index);
            if (b->offset != 0) return CORRUPT("buffer %u: a kv region or input begins at offset 0", i);
            continue; /* their sizes follow from the session */
        }
        if (b->offset > room || b->size > room - b->offset) return CORRUPT("buffer %u: lies outside its memory", i);
    }
    return HEARTH_OK;
}

static hearth_status check_steps(const hth_plan *p) {
    const hth_plan_header *h = p->header;
    for (uint32_t i = 0; i < h->num_kernels; ++i) {
        CHECK_NAME("kernel", i, p->kernels[i].name);
        if (p->kernels[i].zero != 0) return CORRUPT("kernel %u: reserved field is not zero", i);
        if (p->kernels[i].num_buffers > MAX_ARGS || p->kernels[i].num_scalars > MAX_ARGS) {
            return CORRUPT("kernel %u: more than %d arguments", i, MAX_ARGS);
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

/* The largest value that a scalar can take within the plan's own limits. */
static int64_t largest_value(const hth_plan *p, const hth_scalar *s) {
    const int64_t most[HTH_NUM_SYMBOLS] = {
        [HTH_ONE] = 1,
        [HTH_NUM_TOKENS] = p->header->max_tokens,
        [HTH_NUM_SEQS] = p->header->max_seqs,
        [HTH_NUM_LOGIT_ROWS] = p->header->max_logit_rows,
        [HTH_NUM_ITEMS] = hth_plan_max_items(p->header),
        [HTH_BLOCK_TABLE_STRIDE] = p->max_block_table_stride,
        [HTH_NUM_PAGES] = INT32_MAX,
        [HTH_NUM_MERGES] = p->header->max_partials,
    };
    const int64_t none[HTH_NUM_SYMBOLS] = {[HTH_ONE] = 1};
    const int64_t high = hth_scalar_value(s, most), low = hth_scalar_value(s, none);
    return high > low ? high : low;
}

static hearth_status check_outputs(const hth_plan *p) {
    static const struct {
        const char *name;
        uint32_t dtype;
    } known[] = {{"logits", HEARTH_F32}, {"argmax", HEARTH_I32}, {"hidden", HEARTH_F32}};
    for (uint32_t i = 0; i < p->header->num_outputs; ++i) {
        const hth_plan_output *o = &p->outputs[i];
        CHECK_NAME("output", i, o->name);
        const char *name = p->strings + o->name;
        if (o->buffer >= p->header->num_buffers) return CORRUPT("output %u: no buffer %u", i, o->buffer);
        if (o->rows >= p->header->num_scalars) return CORRUPT("output %u: no scalar %u", i, o->rows);
        if (o->dtype > HEARTH_I32) return CORRUPT("output %u: unknown dtype %u", i, o->dtype);
        if (o->cols < 1 || o->cols > o->row_stride) {
            return CORRUPT("output %u: %u columns in rows of %u", i, o->cols, o->row_stride);
        }
        size_t k = 0;
        while (k < sizeof known / sizeof known[0] && strcmp(known[k].name, name) != 0) ++k;
        if (k == sizeof known / sizeof known[0]) return CORRUPT("output %u: unknown name", i);
        if (known[k].dtype != o->dtype) return CORRUPT("output %s: wrong dtype %u", name, o->dtype);
        const hth_buffer *b = &p->buffers[o->buffer];
        if (b->kind != HTH_ARENA) return CORRUPT("output %s: does not lie in the arena", name);
        const int64_t rows = largest_value(p, &p->scalars[o->rows]);
        if (rows < 0 || (uint64_t)rows > b->size / 4 / o->row_stride) {
            return CORRUPT("output %s: %lld rows do not fit its buffer", name, (long long)rows);
        }
        for (uint32_t j = 0; j < i; ++j) {
            if (strcmp(p->strings + p->outputs[j].name, name) == 0) return CORRUPT("output %s: named twice", name);
        }
    }
    return HEARTH_OK;
}

hearth_status hth_plan_parse(hth_plan *plan, const void *bytes, uint64_t size) {
    memset(plan, 0, sizeof *plan);
    plan->header = bytes;
    hearth_status status = check_header(bytes, size);
    if (status == HEARTH_OK) status = place_tables(plan, bytes, size);
    if (status != HEARTH_OK) return status;
    const hth_plan_header *h = plan->header;
    plan->max_block_table_stride = (h->max_position - 1) / h->page_tokens + 1;
    status = check_scalars(plan);
    if (status == HEARTH_OK) status = check_weights(plan);
    if (status == HEARTH_OK) status = check_kv(plan);
    if (status == HEARTH_OK) status = check_buffers(plan);
    if (status == HEARTH_OK) status = check_steps(plan);
    if (status == HEARTH_OK) status = check_outputs(plan);
    return status;
}

int64_t hth_scalar_value(const hth_scalar *s, const int64_t symbols[HTH_NUM_SYMBOLS]) {
    const int64_t value = symbols[s->symbol] * s->mul + s->add;
    const int64_t quotient = value / s->div;
    return value % s->div < 0 ? quotient - 1 : quotient; /* C rounds towards zero, the plan towards minus infinity */
}
