// Fuzzes everything that reads plan.bin: opening, sessions, runs of every function over kernels that touch nothing.
//
// With clang, by libFuzzer (the seeds are plan.bin files):
//     clang -g -O1 -std=c11 -fsanitize=fuzzer,address,undefined -DHEARTH_LIBFUZZER -I src/hearth/runtime/csrc
//         tests/fuzz/fuzz_plan.c src/hearth/runtime/csrc/*.c -lm -lpthread -ldl -o /tmp/fuzz_plan
//     /tmp/fuzz_plan -max_len=65536 -timeout=5 -malloc_limit_mb=64 SEED_FOLDER
//
// With any compiler, by the simple mutation below (the tests run it so, for a short while):
//     cc -g -O1 -std=c11 -fsanitize=address,undefined -I src/hearth/runtime/csrc
//         tests/fuzz/fuzz_plan.c src/hearth/runtime/csrc/*.c -lm -lpthread -ldl -o /tmp/fuzz_plan
//     /tmp/fuzz_plan PLAN.bin 1000000 [first seed]

#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hearth.h"
#include "kernels.h"
#include "plan.h"

static int32_t inert(int64_t begin, int64_t end, void *const *buffers, const int64_t *scalars, void *scratch) {
    (void)buffers, (void)scalars, (void)scratch;
    return begin < end ? 0 : 1; /* an empty or negative range would be an error of the runtime */
}

/* The names and counts of the tests' two tiny plans, so that these pass and their mutations get far. */
static const hearth_kernel kernels[] = {
    {"t_embed", 3, 0, inert},  {"t_scale", 2, 1, inert},  {"t_append", 5, 1, inert}, {"t_attend", 5, 1, inert},
    {"t_logits", 4, 2, inert}, {"t_argmax", 2, 2, inert}, {"t_pool", 3, 3, inert},   {"t_total", 2, 1, inert},
    {"t_count", 1, 0, inert},  {"t_scalars", 1, 4, inert},
};
const hearth_kernel_set hearth_kernel_sets[] = {{"plain", "", sizeof kernels / sizeof kernels[0], kernels}};
const uint32_t hearth_num_kernel_sets = 1;
const uint8_t *const hearth_plan_sha256 = NULL; /* mutations must reach the checks behind it */

static char folder[] = "/tmp/hearth-fuzz-XXXXXX";
static char plan_path[64], weights_path[64];

static void remove_files(void) {
    (void)remove(plan_path);
    (void)remove(weights_path);
    (void)rmdir(folder);
}

static void prepare(void) {
    if (mkdtemp(folder) == NULL) abort();
    (void)snprintf(plan_path, sizeof plan_path, "%s/plan.bin", folder);
    (void)snprintf(weights_path, sizeof weights_path, "%s/weights.bin", folder);
    (void)atexit(remove_files);
}

static void write_file(const char *path, const void *data, size_t size) {
    (void)remove(path); /* a file written over is flushed to the disk by some systems, a new one is not */
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
}

/* A sparse file of the size that the plan asks for, if it is not absurd: else the plan is refused before its sessions. */
static void write_weights(const uint8_t *plan, size_t size) {
    uint64_t bytes = 0;
    if (size >= sizeof(hth_plan_header)) {
        memcpy(&bytes, plan + offsetof(hth_plan_header, weights_bytes), sizeof bytes);
    }
    write_file(weights_path, "", 0);
    if (bytes <= 1 << 20 && truncate(weights_path, (off_t)bytes) != 0) abort();
}

static int accepted, runs; /* plans, and calls of their functions */

static void forward(hearth_session *session) {
    const int32_t ids[] = {1, 2, 3}, positions[] = {0, 1, 2}, seqs[] = {0, 0, 0}, rows[] = {2};
    const int32_t table[] = {0, 1, 2, 3};
    const hearth_batch batch = {
        .struct_size = sizeof batch,
        .num_tokens = 3,
        .num_seqs = 1,
        .num_logit_rows = 1,
        .block_table_stride = 4,
        .token_ids = ids,
        .positions = positions,
        .token_seq = seqs,
        .block_table = table,
        .logit_rows = rows,
    };
    hearth_output output = {.struct_size = sizeof output};
    if (hearth_forward(session, &batch, &output) != HEARTH_OK) return;
    ++runs;
    /* The last number of each output must lie in the session's memory: the sanitizer, or the page fault, tells. */
    const hearth_view views[] = {output.logits, output.argmax, output.hidden};
    volatile uint32_t sum = 0;
    for (size_t i = 0; i < 3; ++i) {
        if (views[i].data == NULL || views[i].rows == 0) continue;
        const size_t last = (size_t)(views[i].rows - 1) * views[i].row_stride + views[i].cols - 1;
        sum += ((const uint32_t *)views[i].data)[last];
    }
}

/* Values for symbols: a few more than the least, so that arrays stay small. */
static void choose_symbols(const hth_plan *plan, int64_t *symbols) {
    for (uint32_t i = 0; i < plan->header->num_symbols; ++i) {
        const hth_interval bounds = plan->symbols[i].interval;
        symbols[i] = bounds.high - bounds.low < 3 ? bounds.high : bounds.low + 3;
    }
}

/* Reads the last element of an output: the sanitizer, or the page fault, tells when it lies outside. */
static void read_last(const hearth_tensor *output) {
    uint64_t rows = 1;
    const int64_t columns = output->rank > 0 ? output->shape[output->rank - 1] : 1;
    for (uint32_t d = 0; d + 1 < output->rank; ++d) rows *= (uint64_t)output->shape[d];
    if (rows == 0 || columns == 0) return;
    const uint64_t last = (rows - 1) * (uint64_t)output->row_stride + (uint64_t)columns - 1;
    volatile uint8_t byte = ((const uint8_t *)output->data)[(last + 1) * hth_dtype_bytes(output->dtype) - 1];
    (void)byte;
}

/* A function over zeros of the shapes that it declares. */
static void run_function(hearth_session *session, const hth_plan *plan, const hth_function *f, const int64_t *symbols) {
    static uint8_t zeros[1 << 16];
    hearth_tensor inputs[HTH_MAX_TABLE], outputs[HTH_MAX_TABLE];
    int64_t *values = malloc(((size_t)plan->header->num_scalars + 1) * sizeof *values);
    if (values == NULL) abort();
    for (uint32_t i = 0; i < plan->header->num_scalars; ++i) {
        values[i] = hth_scalar_value(&plan->scalars[i], symbols, values);
    }
    for (uint32_t i = 0; i < f->num_inputs; ++i) {
        const hth_plan_input *input = &plan->inputs[f->first_input + i];
        uint64_t bytes = hth_dtype_bytes(input->dtype);
        inputs[i] = (hearth_tensor){
            .name = plan->strings + input->name, .data = zeros, .dtype = input->dtype, .rank = input->num_dims};
        for (uint32_t d = 0; d < input->num_dims; ++d) {
            inputs[i].shape[d] = values[plan->dims[input->first_dim + d]];
            bytes = bytes > sizeof zeros ? bytes : bytes * ((uint64_t)inputs[i].shape[d] & 0xffffffff);
        }
        if (bytes > sizeof zeros) inputs[i].shape[0] = 0; /* refused, but by the right check */
    }
    free(values);
    if (hearth_run(session, plan->strings + f->name, inputs, f->num_inputs, outputs, f->num_outputs) != HEARTH_OK) return;
    ++runs;
    for (uint32_t i = 0; i < f->num_outputs; ++i) read_last(&outputs[i]);
}

static void run_all(hearth_model *model, const hth_plan *plan) {
    int64_t symbols[HTH_MAX_SYMBOLS];
    hearth_size sizes[HTH_MAX_SYMBOLS];
    uint32_t num_sizes = 0;
    hearth_session *session = NULL;
    choose_symbols(plan, symbols);
    for (uint32_t s = 0; s < plan->header->num_symbols; ++s) {
        bool counts = false;
        for (uint32_t i = 0; i < plan->header->num_states; ++i) counts = counts || plan->states[i].symbol == s;
        if (counts) sizes[num_sizes++] = (hearth_size){plan->strings + plan->symbols[s].name, symbols[s]};
    }
    const hearth_session_options options = {
        .struct_size = sizeof options, .threads = 2, .sizes = sizes, .num_sizes = num_sizes};
    if (hearth_session_create(model, &options, &session) != HEARTH_OK) return;
    forward(session); /* refused where there is no text function */
    for (uint32_t i = 0; i < plan->header->num_functions; ++i) {
        run_function(session, plan, &plan->functions[i], symbols);
    }
    hearth_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const hearth_open_options options = {.struct_size = sizeof options, .memory_limit_bytes = 64 << 20};
    hearth_model *model = NULL;
    hth_plan plan;
    if (plan_path[0] == 0) prepare();
    write_file(plan_path, data, size);
    write_weights(data, size);
    if (hearth_open(folder, &options, &model) == HEARTH_OK) {
        ++accepted;
        void *copy = malloc(size); /* aligned */
        if (copy == NULL) abort();
        memcpy(copy, data, size);
        if (hth_plan_parse(&plan, copy, size) != HEARTH_OK) abort();
        run_all(model, &plan);
        hth_plan_free(&plan);
        free(copy);
        hearth_close(model);
    }
    return 0;
}

#if !defined(HEARTH_LIBFUZZER)

static uint64_t state;

static uint64_t next_random(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

/* Overwrites a field with a value at a border, or near what stood there. */
static void mutate(uint8_t *data, size_t size) {
    static const uint64_t borders[] = {0, 1, 2, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 62, 1ull << 63, ~0ull};
    const size_t width = (size_t)1 << (next_random() % 4);
    if (size < width) return;
    const size_t offset = next_random() % (size - width + 1) / width * width;
    uint64_t value = 0;
    memcpy(&value, data + offset, width);
    switch (next_random() % 4) {
    case 0: value = borders[next_random() % (sizeof borders / sizeof borders[0])]; break;
    case 1: value += next_random() % 129 - 64; break;
    case 2: value ^= 1ull << (next_random() % (8 * width)); break;
    default: value = next_random() >> (next_random() % 64); break;
    }
    memcpy(data + offset, &value, width);
}

int main(int count, char **arguments) {
    static uint8_t whole[1 << 20], plan[1 << 20];
    if (count < 3) return 2;
    FILE *file = fopen(arguments[1], "rb");
    if (file == NULL) return 2;
    const size_t size = fread(whole, 1, sizeof whole, file);
    (void)fclose(file);
    const long rounds = strtol(arguments[2], NULL, 10);
    const long first = count > 3 ? strtol(arguments[3], NULL, 10) : 1;
    (void)LLVMFuzzerTestOneInput(whole, size);
    if (accepted != 1 || runs == 0) return 3; /* the seed itself must get through */
    for (long i = 0; i < rounds; ++i) {
        state = (uint64_t)(first + i) * 0x9e3779b97f4a7c15u + 1;
        memcpy(plan, whole, size);
        const uint64_t changes = 1 + next_random() % 4;
        for (uint64_t c = 0; c < changes; ++c) mutate(plan, size);
        const size_t cut = next_random() % 16 == 0 ? next_random() % (size + 1) : size;
        (void)LLVMFuzzerTestOneInput(plan, cut);
    }
    printf("%ld plans, %d accepted, %d calls\n", rounds, accepted, runs);
    return 0;
}

#endif
