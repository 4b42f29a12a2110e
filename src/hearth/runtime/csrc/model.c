/* Opening a bundle: plan.bin is read and checked, its kernels are found, its weights placed. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "error.h"
#include "platform.h"

hearth_status hth_read_options(void *known, size_t known_size, const void *given, const char *what) {
    uint32_t size;
    if (given == NULL) return HEARTH_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size) return hth_fail(HEARTH_INVALID, "%s: struct_size is not set", what);
    if (size > known_size) return hth_fail(HEARTH_MISMATCH, "%s: made for a newer hearth.h", what);
    memcpy(known, given, size);
    return HEARTH_OK;
}

/* "DIR/name" in fresh memory. */
static char *join(const char *dir, const char *name) {
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static hearth_status read_plan(hearth_model *model, const char *path) {
    const char *reason = NULL;
    uint64_t size = 0;
    hth_file *file = hth_file_open(path, &size, &reason);
    if (file == NULL) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    bool complete = false;
    model->plan_bytes = size <= SIZE_MAX - 1 ? malloc((size_t)size + 1) : NULL; /* malloc(0) may answer NULL */
    if (model->plan_bytes != NULL) complete = hth_file_read(file, model->plan_bytes, size, 0, &reason);
    hth_file_close(file);
    if (model->plan_bytes == NULL) return hth_fail(HEARTH_MEMORY, "no memory for plan.bin");
    if (!complete) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    return hth_plan_parse(&model->plan, model->plan_bytes, size);
}

enum { TEXT = 400 }; /* bytes of a list in an error's text */

/* Adds to the list in `text`, cut at TEXT bytes. */
static void append(char *text, const char *separator, const char *first, const char *second) {
    const size_t used = strlen(text);
    (void)snprintf(text + used, TEXT - used, "%s%s%s", used > 0 ? separator : "", first, second);
}

/* The set named `isa`, or for NULL the first that this processor runs. */
static hearth_status choose_set(hearth_model *model, const char *isa) {
    char names[TEXT] = "", lacking[TEXT] = "", missing[TEXT];
    bool named = false;
    for (uint32_t i = 0; i < hearth_num_kernel_sets && model->set == NULL; ++i) {
        const hearth_kernel_set *set = &hearth_kernel_sets[i];
        append(names, ", ", set->isa, "");
        if (isa != NULL && strcmp(isa, set->isa) != 0) continue;
        named = true;
        if (hth_cpu_has(set->features, missing, sizeof missing)) {
            model->set = set;
        } else {
            append(lacking, "; ", set->isa, " needs ");
            append(lacking, "", missing, "");
        }
    }
    if (model->set != NULL) return HEARTH_OK;
    if (isa != NULL && !named) {
        return hth_fail(HEARTH_INVALID, "the library has no kernels for %.100s; it has: %s", isa, names);
    }
    return hth_fail(HEARTH_MISMATCH, "this processor cannot run the library's kernels: %s", lacking);
}

static const hearth_kernel *find_kernel(const hearth_kernel_set *set, const char *name) {
    for (uint32_t i = 0; i < set->num_kernels; ++i) {
        if (strcmp(set->kernels[i].name, name) == 0) return &set->kernels[i];
    }
    return NULL;
}

static hearth_status resolve_kernels(hearth_model *model) {
    const hth_plan *plan = &model->plan;
    const uint32_t count = plan->header->num_kernels;
    model->kernels = calloc((size_t)count + 1, sizeof *model->kernels);
    if (model->kernels == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the kernel table");
    for (uint32_t i = 0; i < count; ++i) {
        const hth_plan_kernel *wanted = &plan->kernels[i];
        const char *name = plan->strings + wanted->name;
        const hearth_kernel *found = find_kernel(model->set, name);
        if (found == NULL) {
            return hth_fail(HEARTH_MISMATCH, "plan.bin asks for kernel %.200s, which the library does not have", name);
        }
        if (found->num_buffers != wanted->num_buffers || found->num_scalars != wanted->num_scalars) {
            return hth_fail(HEARTH_MISMATCH, "kernel %.200s takes %u buffers and %u scalars; plan.bin passes %u and %u",
                            name, found->num_buffers, found->num_scalars, wanted->num_buffers, wanted->num_scalars);
        }
        model->kernels[i] = found;
    }
    return HEARTH_OK;
}

static hearth_status describe(hearth_model *model) {
    const hth_plan *p = &model->plan;
    const hth_plan_header *h = p->header;
    size_t size = 2048; /* 20 numbers of at most 20 digits, their names, and three known output names */
    for (uint32_t i = 0; i < hearth_num_kernel_sets; ++i) size += 2 * strlen(hearth_kernel_sets[i].isa) + 8;
    char *text = malloc(size);
    if (text == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the description");
    int used = snprintf(
        text, size,
        "{\"abi_version\": %u, \"vocab_size\": %u, \"hidden_size\": %u, \"max_tokens\": %u, \"max_seqs\": %u, "
        "\"max_logit_rows\": %u, \"tile_tokens\": %u, \"split_tokens\": %u, \"max_partials\": %u, "
        "\"page_tokens\": %u, \"max_position\": %u, "
        "\"max_block_table_stride\": %u, \"weights_bytes\": %llu, \"arena_bytes\": %llu, "
        "\"scratch_bytes_per_thread\": %llu, \"kv_bytes_per_page\": %llu, \"num_steps\": %u, \"num_kernels\": %u, "
        "\"num_kv\": %u, \"num_weights\": %u, \"outputs\": [",
        HEARTH_ABI_VERSION, h->vocab_size, h->hidden_size, h->max_tokens, h->max_seqs, h->max_logit_rows,
        h->tile_tokens, h->split_tokens, h->max_partials, h->page_tokens, h->max_position, p->max_block_table_stride,
        (unsigned long long)h->weights_bytes, (unsigned long long)h->arena_bytes, (unsigned long long)h->scratch_bytes,
        (unsigned long long)p->kv_bytes_per_page, h->num_steps, h->num_kernels, h->num_kv, h->num_weights);
    for (uint32_t i = 0; i < h->num_outputs; ++i) {
        used += snprintf(text + used, size - (size_t)used, "%s\"%s\"", i > 0 ? ", " : "",
                         p->strings + p->outputs[i].name);
    }
    used += snprintf(text + used, size - (size_t)used, "], \"isa\": \"%s\", \"isas\": [", model->set->isa);
    for (uint32_t i = 0; i < hearth_num_kernel_sets; ++i) {
        used += snprintf(text + used, size - (size_t)used, "%s\"%s\"", i > 0 ? ", " : "", hearth_kernel_sets[i].isa);
    }
    (void)snprintf(text + used, size - (size_t)used, "]}");
    model->description = text;
    return HEARTH_OK;
}

static hearth_status open_bundle(hearth_model *model, const char *dir, const hearth_open_options *options) {
    char *plan_path = join(dir, "plan.bin"), *weights_path = join(dir, "weights.bin");
    hearth_status status = HEARTH_OK;
    if (plan_path == NULL || weights_path == NULL) status = hth_fail(HEARTH_MEMORY, "no memory for a path");
    if (status == HEARTH_OK) status = read_plan(model, plan_path);
    if (status == HEARTH_OK) status = choose_set(model, options->isa);
    if (status == HEARTH_OK) status = resolve_kernels(model);
    if (status == HEARTH_OK) status = describe(model);
    if (status == HEARTH_OK) status = hth_weights_open(model, weights_path, options);
    free(plan_path);
    free(weights_path);
    return status;
}

hearth_status hearth_open(const char *bundle_dir, const hearth_open_options *options, hearth_model **model) {
    hearth_open_options known = {.struct_size = sizeof known};
    if (model == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: model is NULL");
    *model = NULL;
    if (bundle_dir == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: bundle_dir is NULL");
    hearth_status status = hth_read_options(&known, sizeof known, options, "hearth_open_options");
    if (status != HEARTH_OK) return status;
    hearth_model *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    atomic_store(&opened->references, 1);
    opened->memory_limit_bytes = known.memory_limit_bytes;
    status = open_bundle(opened, bundle_dir, &known);
    if (status == HEARTH_OK) {
        *model = opened;
    } else {
        hearth_close(opened);
    }
    return status;
}

const char *hearth_describe(const hearth_model *model) { return model != NULL ? model->description : ""; }

uint64_t hearth_weights_huge_bytes(const hearth_model *model) {
    if (model == NULL || model->weights_data == NULL) return 0;
    return hth_pages_huge_bytes(model->weights_data, (size_t)model->plan.header->weights_bytes);
}

void hth_model_retain(hearth_model *model) { atomic_fetch_add(&model->references, 1); }

void hearth_close(hearth_model *model) {
    if (model == NULL || atomic_fetch_sub(&model->references, 1) > 1) return;
    hth_weights_close(model);
    free(model->description);
    free((void *)model->kernels);
    free(model->plan_bytes);
    free(model);
}

hearth_status hth_model_reserve(hearth_model *model, uint64_t bytes, const char *what) {
    const uint64_t limit = model->memory_limit_bytes;
    uint64_t used = atomic_load(&model->used_bytes);
    do {
        if (limit != 0 && (used > limit || bytes > limit - used)) {
            return hth_fail(HEARTH_MEMORY, "%s would take %llu bytes beside %llu in use; memory_limit_bytes is %llu",
                            what, (unsigned long long)bytes, (unsigned long long)used, (unsigned long long)limit);
        }
    } while (!atomic_compare_exchange_weak(&model->used_bytes, &used, used + bytes));
    return HEARTH_OK;
}
