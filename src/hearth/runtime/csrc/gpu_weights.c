/* Weights on a GPU: ranges that steps read are laid into a few buffers, then weights.bin streams through one staging buffer
 * into them. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gpu_call.h"
#include "gpu_model.h"
#include "path.h"

enum {
    STAGING_BYTES = 8 << 20,
    BUFFER_BYTES = 256 << 20, /* smaller buffers find their place more easily; a larger range has one of its own */
    MOST_COPIES = 4096        /* from one staging buffer */
};

/* Bytes of weights.bin that lie together on the GPU: ranges of one weight that overlap. */
typedef struct {
    uint64_t file_offset, size;
    uint32_t buffer;
    uint64_t offset; /* in that buffer */
} span;

/* A buffer of the plan that is a part of a weight. */
typedef struct {
    uint64_t file_offset, size;
    uint32_t weight, id;
} range;

typedef struct {
    span *spans;
    uint32_t num_spans;
    uint64_t *sizes; /* of the GPU's buffers */
    uint32_t num_buffers;
} layout;

static int by_place(const void *a, const void *b) {
    const range *x = a, *y = b;
    if (x->weight != y->weight) return x->weight < y->weight ? -1 : 1;
    if (x->file_offset != y->file_offset) return x->file_offset < y->file_offset ? -1 : 1;
    return 0;
}

/* Of the weights that the model's layers use. */
static uint32_t find_ranges(const hearth_model *model, range *ranges) {
    const hth_plan *plan = &model->plan;
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->header->num_buffers; ++i) {
        const hth_buffer *b = &plan->buffers[i];
        if (b->kind != HTH_WEIGHT || model->layers.buffers[i] == 0) continue;
        ranges[count++] = (range){
            .file_offset = plan->weights[b->index].offset + b->offset, .size = b->size, .weight = b->index, .id = i};
    }
    qsort(ranges, count, sizeof *ranges, by_place);
    return count;
}

static void place_spans(layout *l) {
    for (uint32_t i = 0; i < l->num_spans; ++i) {
        const uint64_t room = hth_gpu_multiple(l->spans[i].size, HTH_GPU_OFFSET);
        if (l->num_buffers == 0 || l->sizes[l->num_buffers - 1] + room > BUFFER_BYTES) l->sizes[l->num_buffers++] = 0;
        l->spans[i].buffer = l->num_buffers - 1;
        l->spans[i].offset = l->sizes[l->num_buffers - 1];
        l->sizes[l->num_buffers - 1] += room;
    }
}

/* The spans, and for each range which it lies in: `owner`. Parts begin at multiples of 256 within their weight, so they do
 * within their span. */
static void make_layout(layout *l, const range *ranges, uint32_t count, uint32_t *owner) {
    for (uint32_t i = 0; i < count; ++i) {
        const range *r = &ranges[i];
        span *last = l->num_spans > 0 ? &l->spans[l->num_spans - 1] : NULL;
        const bool joins = last != NULL && ranges[i - 1].weight == r->weight &&
                           r->file_offset < last->file_offset + last->size;
        if (!joins) l->spans[l->num_spans++] = (span){.file_offset = r->file_offset, .size = r->size};
        last = &l->spans[l->num_spans - 1];
        const uint64_t end = r->file_offset + r->size - last->file_offset;
        if (end > last->size) last->size = end;
        owner[i] = l->num_spans - 1;
    }
    place_spans(l);
}

typedef struct {
    hth_gpu *gpu;
    hth_file *file;
    wgpu_buffer staging;
    char *mapped; /* NULL: not mapped */
    uint64_t used;
    struct {
        wgpu_buffer to;
        uint64_t from, offset, size;
    } copies[MOST_COPIES];
    uint32_t num_copies;
    uint64_t done, total;
    const hearth_open_options *options;
} upload;

static hearth_status report(const upload *u, uint64_t done) {
    const bool stop = u->options->progress != NULL && u->options->progress(u->options->progress_user, done, u->total) != 0;
    return stop ? hth_fail(HEARTH_CANCELLED, "loading was cancelled") : HEARTH_OK;
}

/* Copies what is staged to its places. */
static hearth_status flush(upload *u) {
    const hth_webgpu *api = &u->gpu->api;
    if (u->num_copies == 0) return HEARTH_OK;
    api->BufferUnmap(u->staging);
    u->mapped = NULL;
    hth_gpu_begin(u->gpu);
    wgpu_command_encoder encoder = api->DeviceCreateCommandEncoder(u->gpu->device, NULL);
    for (uint32_t i = 0; i < u->num_copies; ++i) {
        api->CommandEncoderCopyBufferToBuffer(encoder, u->staging, u->copies[i].from, u->copies[i].to,
                                              u->copies[i].offset, u->copies[i].size);
    }
    u->used = u->num_copies = 0;
    const hearth_status status = hth_gpu_submit(u->gpu, encoder, "the weights");
    return status == HEARTH_OK ? report(u, u->done) : status;
}

static hearth_status stage(upload *u, const span *s, wgpu_buffer to) {
    for (uint64_t at = 0; at < s->size;) {
        hearth_status status = HEARTH_OK;
        if (u->used == STAGING_BYTES || u->num_copies == MOST_COPIES) status = flush(u);
        if (status == HEARTH_OK && u->mapped == NULL) {
            u->mapped = hth_gpu_map(u->gpu, u->staging, WGPU_FOR_WRITING, STAGING_BYTES, &status);
        }
        if (status != HEARTH_OK) return status;
        const uint64_t rest = s->size - at, room = STAGING_BYTES - u->used, size = rest < room ? rest : room;
        const uint64_t copied = hth_gpu_multiple(size, 4); /* only the end of a span is no multiple, and there is room */
        const char *reason = NULL;
        if (!hth_file_read(u->file, u->mapped + u->used, size, s->file_offset + at, &reason)) {
            return hth_fail(HEARTH_IO, "weights.bin: %s", reason);
        }
        memset(u->mapped + u->used + size, 0, (size_t)(copied - size));
        u->copies[u->num_copies].to = to;
        u->copies[u->num_copies].from = u->used;
        u->copies[u->num_copies].offset = s->offset + at;
        u->copies[u->num_copies++].size = copied;
        u->used = hth_gpu_multiple(u->used + copied, HTH_GPU_RANGE);
        u->done += size;
        at += size;
    }
    return HEARTH_OK;
}

static hearth_status stream(hth_gpu_model *on_gpu, const layout *l, hth_file *file, uint64_t total,
                            const hearth_open_options *options) {
    upload *u = calloc(1, sizeof *u);
    if (u == NULL) return hth_fail(HEARTH_MEMORY, "no memory to load weights with");
    *u = (upload){.gpu = &on_gpu->gpu, .file = file, .total = total, .options = options};
    uint64_t staging_bytes = 0;
    hearth_status status = report(u, 0);
    if (status == HEARTH_OK && l->num_spans > 0) {
        status = hth_gpu_buffer_create(u->gpu, "staging of the weights", STAGING_BYTES, WGPU_MAP_WRITE | WGPU_COPY_SRC,
                                       &u->staging, &staging_bytes);
    }
    for (uint32_t i = 0; status == HEARTH_OK && i < l->num_spans; ++i) {
        status = stage(u, &l->spans[i], on_gpu->weights.buffers[l->spans[i].buffer]);
    }
    if (status == HEARTH_OK) status = flush(u);
    if (status == HEARTH_OK) status = report(u, total);
    if (u->staging != NULL) on_gpu->gpu.api.BufferRelease(u->staging);
    free(u);
    return status;
}

static hearth_status make_buffers(hearth_model *model, hth_gpu_model *on_gpu, const layout *l) {
    hth_gpu_weights *weights = &on_gpu->weights;
    for (uint32_t i = 0; i < l->num_buffers; ++i) weights->bytes += l->sizes[i];
    hearth_status status = hth_budget_take(&model->budget, weights->bytes, "the weights");
    weights->buffers = calloc((size_t)l->num_buffers + 1, sizeof *weights->buffers);
    if (weights->buffers == NULL) return hth_fail(HEARTH_MEMORY, "no memory for the weights' buffers");
    for (; status == HEARTH_OK && weights->num_buffers < l->num_buffers; ++weights->num_buffers) {
        status = hth_gpu_buffer_create(&on_gpu->gpu, "the weights", l->sizes[weights->num_buffers],
                                       WGPU_STORAGE | WGPU_COPY_DST, &weights->buffers[weights->num_buffers],
                                       &on_gpu->allocated_bytes);
    }
    return status;
}

static hearth_status place(hearth_model *model, hth_gpu_model *on_gpu, hth_file *file,
                           const hearth_open_options *options) {
    const size_t most = (size_t)model->plan.header->num_buffers + 1;
    range *ranges = calloc(most, sizeof *ranges);
    uint32_t *owner = calloc(most, sizeof *owner);
    layout l = {.spans = calloc(most, sizeof *l.spans), .sizes = calloc(most, sizeof *l.sizes)};
    on_gpu->weights.places = calloc(most, sizeof *on_gpu->weights.places);
    hearth_status status = HEARTH_OK;
    if (ranges == NULL || owner == NULL || l.spans == NULL || l.sizes == NULL || on_gpu->weights.places == NULL) {
        status = hth_fail(HEARTH_MEMORY, "no memory for the weights' places");
    } else {
        const uint32_t count = find_ranges(model, ranges);
        make_layout(&l, ranges, count, owner);
        status = make_buffers(model, on_gpu, &l);
        for (uint32_t i = 0; status == HEARTH_OK && i < count; ++i) {
            const span *s = &l.spans[owner[i]];
            on_gpu->weights.places[ranges[i].id] =
                (hth_gpu_place){on_gpu->weights.buffers[s->buffer], s->offset + ranges[i].file_offset - s->file_offset};
        }
        if (status == HEARTH_OK) status = stream(on_gpu, &l, file, model->layers.weights_bytes, options);
    }
    free(ranges);
    free(owner);
    free(l.spans);
    free(l.sizes);
    return status;
}

hearth_status hth_gpu_weights_open(hearth_model *model, hth_gpu_model *on_gpu, const char *dir,
                                   const hearth_open_options *options) {
    const char *reason = NULL;
    uint64_t size = 0;
    char *path = hth_path_join(dir, "weights.bin");
    if (path == NULL) return hth_fail(HEARTH_MEMORY, "no memory for a path");
    hearth_status status = HEARTH_OK;
    hth_file *file = hth_file_open(path, &size, &reason);
    if (file == NULL) {
        status = hth_fail(HEARTH_IO, "%s: %s", path, reason);
    } else if (size != model->plan.header->weights_bytes) {
        status = hth_fail(HEARTH_CORRUPT, "weights.bin has %llu bytes, gpu_plan.bin expects %llu", (unsigned long long)size,
                          (unsigned long long)model->plan.header->weights_bytes);
    } else {
        status = place(model, on_gpu, file, options);
    }
    if (file != NULL) hth_file_close(file);
    free(path);
    return status;
}

void hth_gpu_weights_close(hth_gpu_model *on_gpu) {
    hth_gpu_weights *weights = &on_gpu->weights;
    for (uint32_t i = 0; i < weights->num_buffers; ++i) {
        if (weights->buffers[i] != NULL) on_gpu->gpu.api.BufferRelease(weights->buffers[i]);
    }
    free(weights->buffers);
    free(weights->places);
}
