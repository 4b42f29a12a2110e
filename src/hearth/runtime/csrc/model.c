/* Opening a bundle: plan.bin is read, checked and known as the library's, its kernels are found, its weights placed. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "error.h"
#include "kernel_set.h"
#include "options.h"
#include "platform.h"
#include "sha256.h"

/* "DIR/name" in fresh memory. */
static char *join(const char *dir, const char *name) {
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* A plan is a part of the program: kernels believe its sizes and its choice of buffers, which no check can see through. */
static hearth_status check_origin(const void *plan, uint64_t size) {
    uint8_t digest[HTH_SHA256_BYTES];
    if (hearth_plan_sha256 == NULL) return HEARTH_OK;
    hth_sha256(plan, size, digest);
    if (memcmp(digest, hearth_plan_sha256, sizeof digest) == 0) return HEARTH_OK;
    return hth_fail(HEARTH_MISMATCH, "plan.bin is not the plan that this library was compiled with");
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
    const hearth_status status = hth_plan_parse(&model->plan, model->plan_bytes, size);
    return status == HEARTH_OK ? check_origin(model->plan_bytes, size) : status;
}

static hearth_status open_bundle(hearth_model *model, const char *dir, const hearth_open_options *options) {
    char *plan_path = join(dir, "plan.bin"), *weights_path = join(dir, "weights.bin");
    hearth_status status = HEARTH_OK;
    if (plan_path == NULL || weights_path == NULL) status = hth_fail(HEARTH_MEMORY, "no memory for a path");
    if (status == HEARTH_OK) status = read_plan(model, plan_path);
    if (status == HEARTH_OK) status = hth_text_find(&model->plan, &model->text);
    if (status == HEARTH_OK) status = hth_kernel_set_choose(&model->set, options->isa);
    if (status == HEARTH_OK) status = hth_kernel_set_resolve(model->set, &model->plan, &model->kernels);
    if (status == HEARTH_OK) status = hth_describe(model, &model->description);
    if (status == HEARTH_OK) {
        status = hth_weights_open(&model->weights, weights_path, model->plan.header->weights_bytes, &model->budget,
                                  options);
    }
    free(plan_path);
    free(weights_path);
    return status;
}

hearth_status hearth_open(const char *bundle_dir, const hearth_open_options *options, hearth_model **model) {
    hearth_open_options known = {.struct_size = sizeof known};
    if (model == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: model is NULL");
    *model = NULL;
    if (bundle_dir == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: bundle_dir is NULL");
    hearth_status status = hth_options_read(&known, sizeof known, options, "hearth_open_options");
    if (status != HEARTH_OK) return status;
    hearth_model *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    atomic_store(&opened->references, 1);
    opened->budget.limit_bytes = known.memory_limit_bytes;
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
    return model != NULL ? hth_weights_huge_bytes(&model->weights) : 0;
}

void hth_model_retain(hearth_model *model) { atomic_fetch_add(&model->references, 1); }

void hearth_close(hearth_model *model) {
    if (model == NULL || atomic_fetch_sub(&model->references, 1) > 1) return;
    hth_weights_close(&model->weights);
    free(model->description);
    free((void *)model->kernels);
    hth_plan_free(&model->plan);
    free(model->plan_bytes);
    free(model);
}
