/* Runs the C runtime without Python, to be built with sanitizers: test_sanitized.py writes the tiny model's bundle, builds
 * this file with the runtime and the test kernels, and starts it: test_runtime BUNDLE_DIR FUNCTIONS_DIR, the second with the
 * plan of tiny_functions.py. Prints nothing when all is well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"

#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, hearth_error());         \
            exit(1);                                                                                    \
        }                                                                                               \
    } while (0)

static hearth_session *new_session(hearth_model *model, uint32_t threads) {
    const hearth_size pages = {"pages", 4};
    const hearth_session_options options = {
        .struct_size = sizeof options, .threads = threads, .sizes = &pages, .num_sizes = 1};
    hearth_session *session = NULL;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_OK);
    return session;
}

/* One token of one sequence; its argmax. */
static int32_t decode(hearth_session *session, int32_t token, int32_t position) {
    const int32_t zero = 0, table[8] = {3, 1, 2, 0, -1, -1, -1, -1};
    const hearth_batch batch = {
        .struct_size = sizeof batch,
        .num_tokens = 1,
        .num_seqs = 1,
        .num_logit_rows = 1,
        .block_table_stride = 8,
        .token_ids = &token,
        .positions = &position,
        .token_seq = &zero,
        .block_table = table,
        .logit_rows = &zero,
    };
    hearth_output output = {.struct_size = sizeof output};
    CHECK(hearth_forward(session, &batch, &output) == HEARTH_OK);
    CHECK(output.logits.rows == 1 && output.logits.cols == 100 && output.hidden.cols == 8);
    return *(const int32_t *)output.argmax.data;
}

/* The same answers from any number of threads. */
static void decodes_alike(hearth_model *model) {
    int32_t expected[32];
    for (uint32_t threads = 1; threads <= 4; ++threads) {
        hearth_session *session = new_session(model, threads);
        hearth_profile(session, threads == 3);
        for (int round = 0; round < 20; ++round) {
            for (int32_t i = 0; i < 32; ++i) {
                const int32_t got = decode(session, i * 7 % 100, i);
                if (threads == 1 && round == 0) expected[i] = got;
                CHECK(got == expected[i]);
            }
        }
        hearth_step_profile profile;
        CHECK(hearth_profile_read(session, 0, &profile) == HEARTH_OK);
        CHECK(profile.calls == (threads == 3 ? 640 : 0));
        CHECK(hearth_profile_read(session, 1000, &profile) == HEARTH_INVALID);
        hearth_session_free(session);
    }
}

static void *decode_many(void *model) {
    hearth_session *session = new_session(model, 2);
    for (int32_t i = 0; i < 200; ++i) (void)decode(session, i % 100, i % 32);
    hearth_session_free(session);
    return NULL;
}

static void sessions_side_by_side(hearth_model *model) {
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, decode_many, model) == 0);
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

/* Arguments that no binding would pass. */
static void refuses_nonsense(hearth_model *model, const char *dir) {
    hearth_model *none = NULL;
    hearth_session *session = NULL;
    hearth_open_options open_options = {.struct_size = 0};
    hearth_size pages[] = {{"pages", 4}, {"pages", 4}};
    hearth_session_options options = {.struct_size = sizeof options, .sizes = pages, .num_sizes = 1};
    hearth_batch batch = {.struct_size = sizeof batch};
    hearth_output output = {.struct_size = sizeof output};
    CHECK(hearth_open(NULL, NULL, &none) == HEARTH_INVALID);
    CHECK(hearth_open(dir, NULL, NULL) == HEARTH_INVALID);
    CHECK(hearth_open("/nowhere", NULL, &none) == HEARTH_IO && strstr(hearth_error(), "plan.bin") != NULL);
    CHECK(hearth_open(dir, &open_options, &none) == HEARTH_INVALID);
    open_options.struct_size = sizeof open_options + 8;
    CHECK(hearth_open(dir, &open_options, &none) == HEARTH_MISMATCH && none == NULL);
    CHECK(hearth_session_create(NULL, &options, &session) == HEARTH_INVALID);
    CHECK(hearth_session_create(model, NULL, &session) == HEARTH_INVALID); /* pages are missing */
    CHECK(strstr(hearth_error(), "pages") != NULL && session == NULL);
    CHECK(hearth_session_create(model, &options, NULL) == HEARTH_INVALID);
    options.num_sizes = 2;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_INVALID); /* given twice */
    pages[1].name = NULL;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_INVALID);
    options.sizes = NULL;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_INVALID);
    options.sizes = pages;
    options.num_sizes = 1;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_OK); /* threads = 0: as many as there are */
    CHECK(hearth_forward(NULL, &batch, &output) == HEARTH_INVALID);
    CHECK(hearth_forward(session, NULL, &output) == HEARTH_INVALID);
    CHECK(hearth_forward(session, &batch, NULL) == HEARTH_INVALID);
    CHECK(hearth_forward(session, &batch, &output) == HEARTH_INVALID);
    batch.num_tokens = batch.num_seqs = batch.block_table_stride = 1;
    CHECK(hearth_forward(session, &batch, &output) == HEARTH_INVALID); /* arrays are NULL */
    CHECK(hearth_run(NULL, "forward", NULL, 0, NULL, 0) == HEARTH_INVALID);
    CHECK(hearth_run(session, NULL, NULL, 0, NULL, 0) == HEARTH_INVALID);
    CHECK(hearth_run(session, "forward", NULL, 1, NULL, 0) == HEARTH_INVALID);
    CHECK(hearth_run(session, "forward", NULL, 0, NULL, 1) == HEARTH_INVALID);
    CHECK(hearth_run(session, "forward", NULL, 0, NULL, 0) == HEARTH_INVALID); /* it has a door */
    output.struct_size = 1000;
    CHECK(hearth_forward(session, &batch, &output) == HEARTH_INVALID);
    hearth_session_free(session);
    hearth_session_free(NULL);
    hearth_close(NULL);
    CHECK(strlen(hearth_describe(NULL)) == 0 && hearth_weights_huge_bytes(NULL) == 0);
}

/* Inputs of their exact size, so that a byte too many is seen; answers that are sums of what went in. */
static void run_pool(hearth_session *session, int64_t batch, int64_t side) {
    const size_t area = (size_t)(side * 2 * side), count = (size_t)batch * area * 8;
    uint8_t *pixels = malloc(count);
    CHECK(pixels != NULL);
    for (size_t i = 0; i < count; ++i) pixels[i] = (uint8_t)(i % 8 + 1);
    const hearth_tensor input = {
        .name = "pixels", .data = pixels, .dtype = HEARTH_U8, .rank = 4, .shape = {batch, side, 2 * side, 8}};
    hearth_tensor output;
    CHECK(hearth_run(session, "pool", &input, 1, &output, 1) == HEARTH_OK);
    CHECK(strcmp(output.name, "pooled") == 0 && output.dtype == HEARTH_F32 && output.rank == 2);
    CHECK(output.shape[0] == batch && output.shape[1] == 8 && output.row_stride == 16);
    for (int64_t i = 0; i < batch; ++i) {
        for (int64_t c = 0; c < 8; ++c) { /* the weight of channel c is c + 1 */
            const float got = ((const float *)output.data)[i * output.row_stride + c];
            CHECK(got == (float)area * (float)((c + 1) * (c + 1)));
        }
    }
    free(pixels);
}

static void run_ragged(hearth_session *session, int64_t total) {
    int32_t *values = malloc((size_t)(total > 0 ? total : 1) * sizeof *values), sum = 0;
    CHECK(values != NULL);
    for (int64_t i = 0; i < total; ++i) sum += values[i] = (int32_t)(i * i);
    int8_t flags[2] = {1, 8};
    int32_t offsets[3] = {0, (int32_t)(total / 2), (int32_t)total};
    hearth_tensor inputs[] = {
        {.name = "offsets", .data = offsets, .dtype = HEARTH_I32, .rank = 1, .shape = {3}},
        {.name = "flags", .data = flags, .dtype = HEARTH_I8, .rank = 1, .shape = {2}},
        {.name = "values", .data = values, .dtype = HEARTH_I32, .rank = 1, .shape = {total}},
    };
    hearth_tensor output;
    CHECK(hearth_run(session, "ragged", inputs, 3, &output, 1) == HEARTH_OK);
    CHECK(output.rank == 1 && output.shape[0] == 1 && *(const int32_t *)output.data == sum);
    offsets[2] = (int32_t)total + 1;
    CHECK(hearth_run(session, "ragged", inputs, 3, &output, 1) == HEARTH_INVALID);
    free(values);
}

static void *run_many(void *model) {
    const hearth_size slots = {"slots", 100};
    const hearth_session_options options = {.struct_size = sizeof options, .threads = 3, .sizes = &slots, .num_sizes = 1};
    hearth_session *session = NULL;
    CHECK(hearth_session_create(model, &options, &session) == HEARTH_OK);
    hearth_profile(session, 1);
    for (int32_t i = 0; i < 100; ++i) {
        run_pool(session, 1 + i % 4, 1 + i % 6);
        run_ragged(session, i % 65);
        hearth_tensor output;
        CHECK(hearth_run(session, "count", NULL, 0, &output, 1) == HEARTH_OK);
        CHECK(*(const int32_t *)output.data == 100 * (i + 1));
    }
    hearth_step_profile profile;
    CHECK(hearth_profile_read(session, 0, &profile) == HEARTH_OK);
    CHECK(strcmp(profile.function, "pool") == 0 && profile.calls == 100);
    hearth_session_clear_states(session);
    hearth_session_free(session);
    return NULL;
}

static void runs_functions(const char *dir) {
    hearth_model *model = NULL;
    pthread_t threads[2];
    CHECK(hearth_open(dir, NULL, &model) == HEARTH_OK);
    for (int i = 0; i < 2; ++i) CHECK(pthread_create(&threads[i], NULL, run_many, model) == 0);
    for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
    hearth_close(model);
}

static int32_t stop_at_once(void *user, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    ++*(int *)user;
    return 1;
}

/* The bytes of a file, at a multiple of 64. */
static void *whole_file(const char *dir, const char *name, uint64_t *size) {
    char path[4096];
    CHECK(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (uint64_t)ftell(file);
    rewind(file);
    void *bytes = aligned_alloc(64, ((size_t)*size / 64 + 1) * 64);
    CHECK(bytes != NULL && fread(bytes, 1, (size_t)*size, file) == (size_t)*size);
    fclose(file);
    return bytes;
}

static void opens_what_lies_in_memory(const char *dir) {
    uint64_t plan_bytes, weights_bytes;
    char *plan = whole_file(dir, "plan.bin", &plan_bytes), *weights = whole_file(dir, "weights.bin", &weights_bytes);
    hearth_model *model = NULL;
    CHECK(hearth_open_memory(NULL, plan_bytes, weights, weights_bytes, NULL, &model) == HEARTH_INVALID);
    CHECK(hearth_open_memory(plan, plan_bytes, NULL, weights_bytes, NULL, &model) == HEARTH_INVALID);
    CHECK(hearth_open_memory(plan, plan_bytes, weights + 4, weights_bytes, NULL, &model) == HEARTH_INVALID);
    CHECK(hearth_open_memory(plan, plan_bytes, weights, weights_bytes - 1, NULL, &model) == HEARTH_CORRUPT);
    CHECK(hearth_open_memory(plan, plan_bytes - 1, weights, weights_bytes, NULL, &model) == HEARTH_CORRUPT);
    CHECK(model == NULL);
    CHECK(hearth_open_memory(plan, plan_bytes, weights, weights_bytes, NULL, &model) == HEARTH_OK);
    free(plan);
    decodes_alike(model);
    hearth_close(model);
    free(weights);
}

/* Every length of the last word, every word of the mask, and no byte beyond the row. */
static void masks_rows(void) {
    enum { MOST = 97 };
    for (int64_t count = 1; count <= MOST; ++count) {
        for (uint32_t seed = 0; seed < 6; ++seed) {
            const int32_t words = (int32_t)((count + 31) / 32);
            int32_t *mask = malloc((size_t)words * sizeof *mask);
            float *logits = malloc((size_t)count * sizeof *logits), *out = malloc((size_t)count * sizeof *out);
            CHECK(mask != NULL && logits != NULL && out != NULL);
            for (int32_t w = 0; w < words; ++w) {
                const uint32_t mixed = (seed + 1) * 2654435761u * (uint32_t)(w + 1);
                const uint32_t word = seed == 0 ? 0 : seed == 1 ? 0xffffffffu : mixed;
                memcpy(&mask[w], &word, sizeof word);
            }
            for (int64_t t = 0; t < count; ++t) logits[t] = (float)t - 40;
            CHECK(hearth_apply_mask(logits, mask, count, out) == HEARTH_OK);
            CHECK(hearth_apply_mask(logits, mask, count, logits) == HEARTH_OK); /* over itself */
            for (int64_t t = 0; t < count; ++t) {
                const int allowed = (int)(((uint32_t)mask[t / 32] >> (t % 32)) & 1u);
                CHECK(allowed ? out[t] == (float)t - 40 : out[t] < -1e30f);
                CHECK(out[t] == logits[t]);
            }
            free(mask), free(logits), free(out);
        }
    }
    float row = 0;
    const int32_t word = 1;
    CHECK(hearth_apply_mask(&row, NULL, 1, &row) == HEARTH_INVALID);
    CHECK(hearth_apply_mask(&row, &word, 0, &row) == HEARTH_INVALID);
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    for (uint32_t use_mmap = 0; use_mmap < 2; ++use_mmap) {
        const hearth_open_options options = {.struct_size = sizeof options, .use_mmap = use_mmap, .load_threads = 3};
        hearth_model *model = NULL;
        CHECK(hearth_open(arguments[1], &options, &model) == HEARTH_OK);
        CHECK(strstr(hearth_describe(model), "\"name\": \"token_ids\", \"dtype\": \"i32\", \"shape\": [\"tokens\"]") != NULL);
        decodes_alike(model);
        sessions_side_by_side(model);
        refuses_nonsense(model, arguments[1]);
        hearth_session *last = new_session(model, 2);
        hearth_close(model); /* the session keeps the model */
        (void)decode(last, 1, 0);
        hearth_session_free(last);
    }
    opens_what_lies_in_memory(arguments[1]);
    masks_rows();
    runs_functions(arguments[2]);
    int asked = 0;
    const hearth_open_options options = {
        .struct_size = sizeof options, .progress = stop_at_once, .progress_user = &asked};
    hearth_model *model = NULL;
    CHECK(hearth_open(arguments[1], &options, &model) == HEARTH_CANCELLED && model == NULL && asked == 1);
    double rate = 0;
    CHECK(hearth_read_bandwidth(2, 4 << 20, 1, &rate) == HEARTH_OK && rate > 0);
    CHECK(hearth_read_bandwidth(0, 4 << 20, 1, &rate) == HEARTH_INVALID);
    return 0;
}
