/* Runs a plan on a GPU without Python, to be built with sanitizers: test_sanitized.py writes the bundle of gpu_plans.py, builds
 * this file with the runtime, and starts it: test_gpu BUNDLE_DIR LIBWGPU DEVICE ROUNDS, with ROUNDS damaged files or, for
 * 0, with a device that is lost. Prints nothing when all is well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_model.h"
#include "hearth.h"

#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, hearth_error());         \
            exit(1);                                                                                    \
        }                                                                                               \
    } while (0)

static hearth_session *new_session(hearth_model *model) {
    const hearth_size pages = {"pages", 4};
    const hearth_session_options options = {.struct_size = sizeof options, .sizes = &pages, .num_sizes = 1};
    hearth_session *session = NULL;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_OK);
    return session;
}

static hearth_status decode(hearth_session *session, int32_t token, int32_t position, uint32_t outputs, int32_t *argmax) {
    const int32_t zero = 0, table[8] = {3, 1, 2, 0, -1, -1, -1, -1};
    const hearth_batch batch = {
        .struct_size = sizeof batch,
        .num_tokens = 1,
        .num_seqs = 1,
        .num_logit_rows = 1,
        .block_table_stride = 8,
        .outputs = outputs,
        .token_ids = &token,
        .positions = &position,
        .token_seq = &zero,
        .block_table = table,
        .logit_rows = &zero,
    };
    hearth_output output = {.struct_size = sizeof output};
    const hearth_status status = hearth_forward(session, &batch, &output);
    if (status == HEARTH_OK && outputs != HEARTH_NOTHING) *argmax = *(const int32_t *)output.argmax.data;
    return status;
}

/* The same answers in several sessions at once, timed or not. */
static void *decode_many(void *model) {
    hearth_session *session = new_session(model);
    hearth_counters counters = {.struct_size = sizeof counters};
    int32_t first[16], again = -1;
    for (int round = 0; round < 3; ++round) {
        hearth_profile(session, round == 2);
        for (int32_t i = 0; i < 16; ++i) {
            CHECK(decode(session, i * 7 % 100, i, HEARTH_ARGMAX, round == 0 ? &first[i] : &again) == HEARTH_OK);
            CHECK(round == 0 || again == first[i]);
            CHECK(hearth_read_counters(session, &counters) == HEARTH_OK && counters.submits == 1);
        }
    }
    CHECK(decode(session, 1, 3, HEARTH_NOTHING, NULL) == HEARTH_OK);
    CHECK(decode(session, 1, 3, 32, NULL) == HEARTH_INVALID);
    hearth_session_clear_states(session);
    hearth_session_free(session);
    return NULL;
}

static void sessions_side_by_side(hearth_model *model) {
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, decode_many, model) == 0);
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

/* A device that is gone is told of in every call that needs it, and all can still be given back. */
static void loses_its_device(hearth_model *model) {
    int32_t argmax = -1;
    hearth_session *session = new_session(model), *none = NULL;
    CHECK(decode(session, 5, 0, 0, &argmax) == HEARTH_OK);
    hth_gpu *gpu = &((hth_gpu_model *)model->on_device)->gpu;
    gpu->api.DeviceDestroy(gpu->device);
    for (int i = 0; i < 2; ++i) {
        CHECK(decode(session, 5, 1, 0, &argmax) == HEARTH_DEVICE);
        CHECK(strstr(hearth_error(), "lost") != NULL);
    }
    hearth_session_clear_states(session);
    const hearth_size pages = {"pages", 4};
    const hearth_session_options options = {.struct_size = sizeof options, .sizes = &pages, .num_sizes = 1};
    CHECK(hearth_session_create(model, &options, &none) == HEARTH_DEVICE && none == NULL);
    hearth_session_free(session);
}

static void refuses_nonsense(const char *dir, hearth_open_options options) {
    char json[8];
    size_t size = sizeof json;
    hearth_model *none = NULL;
    hearth_counters counters = {.struct_size = 0};
    CHECK(hearth_devices(options.gpu_library, json, &size) == HEARTH_INVALID);
    CHECK(hearth_devices(options.gpu_library, NULL, &size) == HEARTH_INVALID);
    CHECK(hearth_devices("/nowhere", json, &size) == HEARTH_DEVICE);
    CHECK(hearth_read_counters(NULL, &counters) == HEARTH_INVALID);
    options.gpu_library = "/nowhere";
    CHECK(hearth_open(dir, &options, &none) == HEARTH_DEVICE && none == NULL);
    options.device = "gpu:x";
    CHECK(hearth_open(dir, &options, &none) != HEARTH_OK);
    CHECK(hearth_open_memory("", 0, NULL, 0, &options, &none) != HEARTH_OK);
}

/* Files that begin as gpu_kernels.wgsl does and are damaged somewhere: read or refused, never past their end. */
static void reads_damaged_shaders(const char *dir, long rounds) {
    char path[4096], damaged[] = "/tmp/hearth-wgsl-XXXXXX";
    (void)snprintf(path, sizeof path, "%s/gpu_kernels.wgsl", dir);
    FILE *file = fopen(path, "rb");
    static char bytes[1 << 16], copy[1 << 16];
    CHECK(file != NULL);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    const int descriptor = mkstemp(damaged);
    CHECK(descriptor >= 0);
    uint32_t seed = 1;
    for (long i = 0; i < rounds; ++i) {
        memcpy(copy, bytes, size);
        size_t length = size;
        for (int change = 0; change < 3; ++change) {
            seed = seed * 1664525u + 1013904223u;
            /* Most of it is text; what is read lies in lines of their own. */
            const char *header = change == 0 ? strstr(copy + (seed >> 8) % (size / 2), "//@") : NULL;
            const size_t at = header != NULL ? (size_t)(header - copy) + (seed >> 20) % 24 : (seed >> 8) % size;
            if (at < size) copy[at] = (char)((seed >> 4) % 3 == 0 ? '\n' : (seed >> 4) % 3 == 1 ? ' ' : (char)seed);
        }
        if (i % 5 == 0) length = (seed >> 8) % (size + 1);
        file = fopen(damaged, "wb");
        CHECK(file != NULL && fwrite(copy, 1, length, file) == length && fclose(file) == 0);
        hth_gpu_shaders shaders;
        const hearth_status status = hth_gpu_shaders_read(&shaders, damaged);
        CHECK(status == HEARTH_OK || status == HEARTH_CORRUPT);
        for (uint32_t s = 0; status == HEARTH_OK && s < shaders.count; ++s) {
            volatile char last = shaders.shaders[s].name[shaders.shaders[s].name_size - 1];
            if (shaders.shaders[s].text_size > 0) last = shaders.shaders[s].text[shaders.shaders[s].text_size - 1];
            (void)last;
        }
        (void)hth_gpu_shader_choose(&shaders, "t_embed", HTH_GPU_F16);
        hth_gpu_shaders_free(&shaders);
    }
    (void)remove(damaged);
}

int main(int count, char **arguments) {
    CHECK(count == 5);
    const hearth_open_options options = {
        .struct_size = sizeof options, .device = arguments[3], .gpu_library = arguments[2]};
    const long rounds = strtol(arguments[4], NULL, 10);
    reads_damaged_shaders(arguments[1], rounds);
    refuses_nonsense(arguments[1], options);
    for (int round = 0; round < 2; ++round) {
        hearth_model *model = NULL;
        CHECK(hearth_open(arguments[1], &options, &model) == HEARTH_OK);
        CHECK(strstr(hearth_describe(model), "\"kind\": \"gpu\"") != NULL);
        sessions_side_by_side(model);
        hearth_session *last = new_session(model);
        if (rounds == 0) loses_its_device(model);
        hearth_close(model); /* the session keeps the model */
        hearth_session_free(last);
    }
    return 0;
}
