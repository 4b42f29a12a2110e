/* Opening a bundle: the plan of the device that is to run it is read and checked; the device does the rest. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "error.h"
#include "options.h"
#include "path.h"
#include "platform.h"

static void *plan_memory(hearth_model *model, uint64_t size) {
    model->plan_bytes = size <= SIZE_MAX - 1 ? malloc((size_t)size + 1) : NULL; /* malloc(0) may answer NULL */
    return model->plan_bytes;
}

static hearth_status read_plan(hearth_model *model, const char *path) {
    const char *reason = NULL;
    uint64_t size = 0;
    hth_file *file = hth_file_open(path, &size, &reason);
    if (file == NULL) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    bool complete = false;
    if (plan_memory(model, size) != NULL) complete = hth_file_read(file, model->plan_bytes, size, 0, &reason);
    hth_file_close(file);
    if (model->plan_bytes == NULL) return hth_fail(HEARTH_MEMORY, "no memory for plan.bin");
    if (!complete) return hth_fail(HEARTH_IO, "%s: %s", path, reason);
    return hth_plan_parse(&model->plan, model->plan_bytes, size);
}

static hearth_status copy_plan(hearth_model *model, const void *plan, uint64_t size) {
    if (plan_memory(model, size) == NULL) return hth_fail(HEARTH_MEMORY, "no memory for plan.bin");
    memcpy(model->plan_bytes, plan, (size_t)size);
    return hth_plan_parse(&model->plan, model->plan_bytes, size);
}

/* What follows from the plan. `dir` is NULL where the caller has the files in memory. */
static hearth_status open_on_device(hearth_model *model, const char *dir, const hearth_open_options *options) {
    hearth_status status = hth_text_find(&model->plan, &model->text, &model->draft);
    if (status == HEARTH_OK) {
        status = hth_layers_find(&model->plan, &model->text, &model->draft, options->first_layer, options->end_layer,
                                 &model->layers);
    }
    if (status == HEARTH_OK) status = model->device->open(model, dir, options);
    return status == HEARTH_OK ? hth_describe(model, &model->description) : status;
}

static hearth_status open_folder(hearth_model *model, const char *dir, const hearth_open_options *options) {
    char *plan_path = hth_path_join(dir, model->device->plan_path);
    hearth_status status = plan_path != NULL ? read_plan(model, plan_path) : hth_fail(HEARTH_MEMORY, "no memory for a path");
    free(plan_path);
    return status == HEARTH_OK ? open_on_device(model, dir, options) : status;
}

/* A model in which nothing is open yet. */
static hearth_status new_model(const hearth_open_options *given, hearth_open_options *known, hearth_model **model) {
    hearth_status status = hth_options_read(known, sizeof *known, given, "hearth_open_options");
    if (status != HEARTH_OK) return status;
    const hth_device *device = NULL;
    status = hth_device_find(known->device, &device);
    if (status != HEARTH_OK) return status;
    *model = calloc(1, sizeof **model);
    if (*model == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a model");
    atomic_store(&(*model)->references, 1);
    (*model)->device = device;
    (*model)->budget.limit_bytes = known->memory_limit_bytes;
    return HEARTH_OK;
}

/* Gives the opened model to the caller, or back where opening failed. */
static hearth_status hand_over(hearth_status status, hearth_model *opened, hearth_model **model) {
    if (status == HEARTH_OK) {
        *model = opened;
    } else {
        hearth_close(opened);
    }
    return status;
}

hearth_status hearth_open(const char *bundle_dir, const hearth_open_options *options, hearth_model **model) {
    hearth_open_options known = {.struct_size = sizeof known};
    hearth_model *opened = NULL;
    if (model == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: model is NULL");
    *model = NULL;
    if (bundle_dir == NULL) return hth_fail(HEARTH_INVALID, "hearth_open: bundle_dir is NULL");
    hearth_status status = new_model(options, &known, &opened);
    if (status == HEARTH_OK) status = open_folder(opened, bundle_dir, &known);
    return hand_over(status, opened, model);
}

hearth_status hearth_open_memory(const void *plan, uint64_t plan_bytes, const void *weights, uint64_t weights_bytes,
                                 const hearth_open_options *options, hearth_model **model) {
    hearth_open_options known = {.struct_size = sizeof known};
    hearth_model *opened = NULL;
    if (model == NULL) return hth_fail(HEARTH_INVALID, "hearth_open_memory: model is NULL");
    *model = NULL;
    if (plan == NULL || (weights == NULL && weights_bytes > 0)) {
        return hth_fail(HEARTH_INVALID, "hearth_open_memory: %s is NULL", plan == NULL ? "plan" : "weights");
    }
    hearth_status status = new_model(options, &known, &opened);
    if (status == HEARTH_OK) {
        opened->lent_weights = weights;
        opened->lent_bytes = weights_bytes;
        status = copy_plan(opened, plan, plan_bytes);
    }
    if (status == HEARTH_OK) status = open_on_device(opened, NULL, &known);
    return hand_over(status, opened, model);
}

const char *hearth_describe(const hearth_model *model) { return model != NULL ? model->description : ""; }

void hth_model_retain(hearth_model *model) { atomic_fetch_add(&model->references, 1); }

void hearth_close(hearth_model *model) {
    if (model == NULL || atomic_fetch_sub(&model->references, 1) > 1) return;
    model->device->close(model);
    free(model->description);
    hth_layers_free(&model->layers);
    hth_plan_free(&model->plan);
    free(model->plan_bytes);
    free(model);
}
