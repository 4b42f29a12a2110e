/* Prints the logits of every token of a prompt, for tests of bundles that were compiled for another processor. */
#include <stdio.h>
#include <stdlib.h>

#include "hearth.h"

enum { MAX_TOKENS = 64 };

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, hearth_error());
    return 1;
}

/* run_bundle FOLDER TOKEN... */
int main(int argc, char **argv) {
    hearth_model *model = NULL;
    hearth_session *session = NULL;
    int32_t ids[MAX_TOKENS], positions[MAX_TOKENS], sequence[MAX_TOKENS] = {0}, pages[MAX_TOKENS / 16];
    int n = argc - 2;
    if (n < 1 || n > MAX_TOKENS) return 2;
    for (int i = 0; i < n; i++) {
        ids[i] = atoi(argv[i + 2]);
        positions[i] = i;
    }
    for (int i = 0; i < MAX_TOKENS / 16; i++) pages[i] = i;
    if (hearth_open(argv[1], NULL, &model)) return fail("hearth_open");
    const hearth_size pages_of_session = {"pages", MAX_TOKENS / 16};
    hearth_session_options options = {
        .struct_size = sizeof options, .threads = 2, .sizes = &pages_of_session, .num_sizes = 1};
    if (hearth_session_create(model, &options, &session)) return fail("hearth_session_create");
    hearth_batch batch = {
        .struct_size = sizeof batch, .num_tokens = (uint32_t)n, .num_seqs = 1, .num_logit_rows = (uint32_t)n,
        .block_table_stride = MAX_TOKENS / 16, .token_ids = ids, .positions = positions, .token_seq = sequence,
        .block_table = pages, .logit_rows = positions,
    };
    hearth_output output = {.struct_size = sizeof output};
    if (hearth_forward(session, &batch, &output)) return fail("hearth_forward");
    for (uint32_t row = 0; row < output.logits.rows; row++)
        for (uint32_t column = 0; column < output.logits.cols; column++)
            printf("%.9g\n", (double)((const float *)output.logits.data)[row * output.logits.row_stride + column]);
    hearth_session_free(session);
    hearth_close(model);
    return 0;
}
