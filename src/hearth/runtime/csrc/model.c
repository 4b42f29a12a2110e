/* Opening a bundle: the plan of the device that is to run it is read and checked; the device does the rest. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "error.h"
#include "options.h"
#include "path.h"
#include "platform.h"

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

static hearth_status open_bundle(hearth_model *model, const char *dir, const hearth_open_options *options) {
    char *plan_path = hth_path_join(dir, model->device->plan_path);
    hearth_status status = plan_path != NULL ? read_plan(model, plan_path) : hth_fail(HEARTH_MEMORY, "no memory for a path");
    free(plan_path);
    if (status == HEARTH_OK) status = hth_text_find(&model->plan, &model->text);
    if (status == HEARTH_OK) status = model->device->open(model, dir, options);
    if (status == HEARTH_OK) status = hth_describe(model, &model->description);
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
    opened->device = &hth_cpu_device;
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

void hth_model_retain(hearth_model *model) { atomic_fetch_add(&model->references, 1); }

void hearth_close(hearth_model *model) {
    if (model == NULL || atomic_fetch_sub(&model->references, 1) > 1) return;
    model->device->close(model);
    free(model->description);
    hth_plan_free(&model->plan);
    free(model->plan_bytes);
    free(model);
}
