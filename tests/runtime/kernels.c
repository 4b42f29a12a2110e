/* Hand-written kernels for the runtime's tests. Together they are a model small enough to compute on paper:
 * hidden[t] = embedding[token] * 2 + position, remembered in the KV cache; attention sums what the sequence remembers;
 * logits[r] = hidden row . head. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HIDDEN 8
#define PAGE 8

/* x[t, :] = table[ids[t], :] */
int32_t t_embed(int64_t begin, int64_t end, void *ids, void *table, void *x, void *scratch) {
    (void)scratch;
    for (int64_t t = begin; t < end; ++t) {
        memcpy((float *)x + t * HIDDEN, (const float *)table + ((const int32_t *)ids)[t] * HIDDEN, HIDDEN * 4);
    }
    return 0;
}

/* y[i] = x[i] * factor, over elements */
int32_t t_scale(int64_t begin, int64_t end, void *x, void *y, int64_t factor, void *scratch) {
    (void)scratch;
    for (int64_t i = begin; i < end; ++i) ((float *)y)[i] = ((const float *)x)[i] * (float)factor;
    return 0;
}

/* x[t, :] += positions[t]; the sum goes to the KV cache at the token's place too */
int32_t t_append(int64_t begin, int64_t end, void *x, void *positions, void *token_seq, void *block_table, void *kv,
                 int64_t stride, void *scratch) {
    (void)scratch;
    for (int64_t t = begin; t < end; ++t) {
        const int32_t position = ((const int32_t *)positions)[t];
        const int32_t page =
            ((const int32_t *)block_table)[((const int32_t *)token_seq)[t] * stride + position / PAGE];
        float *row = (float *)x + t * HIDDEN;
        for (int c = 0; c < HIDDEN; ++c) row[c] += (float)position;
        memcpy((float *)kv + ((int64_t)page * PAGE + position % PAGE) * HIDDEN, row, HIDDEN * 4);
    }
    return 0;
}

/* A unit is an item over all of its tile's splits: for each of its tokens, y = sum of what the cache holds of the sequence up to the token. */
int32_t t_attend(int64_t begin, int64_t end, void *items, void *positions, void *block_table, void *kv, void *y,
                 int64_t stride, void *scratch) {
    float *sum = scratch;
    for (int64_t i = begin; i < end; ++i) {
        const int32_t *tile = (const int32_t *)items + i * 8;
        for (int32_t t = tile[0]; t < tile[0] + tile[1]; ++t) {
            memset(sum, 0, HIDDEN * 4);
            for (int32_t p = 0; p <= ((const int32_t *)positions)[t]; ++p) {
                const int64_t page = ((const int32_t *)block_table)[tile[2] * stride + p / PAGE];
                for (int c = 0; c < HIDDEN; ++c) sum[c] += ((const float *)kv)[(page * PAGE + p % PAGE) * HIDDEN + c];
            }
            memcpy((float *)y + (int64_t)t * HIDDEN, sum, HIDDEN * 4);
        }
    }
    return 0;
}

/* logits[r, v] = hidden[rows[r], :] . head[v, :]; a unit is a row */
int32_t t_logits(int64_t begin, int64_t end, void *hidden, void *rows, void *head, void *logits, int64_t vocab,
                 int64_t row_stride, void *scratch) {
    (void)scratch;
    for (int64_t r = begin; r < end; ++r) {
        const float *x = (const float *)hidden + ((const int32_t *)rows)[r] * HIDDEN;
        for (int64_t v = 0; v < vocab; ++v) {
            float dot = 0;
            for (int c = 0; c < HIDDEN; ++c) dot += x[c] * ((const float *)head)[v * HIDDEN + c];
            ((float *)logits)[r * row_stride + v] = dot;
        }
    }
    return 0;
}

int32_t t_argmax(int64_t begin, int64_t end, void *logits, void *argmax, int64_t vocab, int64_t row_stride,
                 void *scratch) {
    (void)scratch;
    for (int64_t r = begin; r < end; ++r) {
        int32_t best = 0;
        for (int32_t v = 1; v < vocab; ++v) {
            if (((const float *)logits)[r * row_stride + v] > ((const float *)logits)[r * row_stride + best]) best = v;
        }
        ((int32_t *)argmax)[r] = best;
    }
    return 0;
}

/* counts[u] += 1: with it a test sees that each unit runs exactly once. Also keeps begin and end of the last chunk. */
int32_t t_count(int64_t begin, int64_t end, void *counts, void *scratch) {
    (void)scratch;
    for (int64_t u = begin; u < end; ++u) ((int32_t *)counts)[u] += 1;
    return 0;
}

/* y[0] = sum of counts[0 .. n), in one unit: sees what all threads wrote in the step before */
int32_t t_total(int64_t begin, int64_t end, void *counts, void *y, int64_t n, void *scratch) {
    (void)scratch;
    for (int64_t u = begin; u < end; ++u) {
        int32_t total = 0;
        for (int64_t i = 0; i < n; ++i) total += ((const int32_t *)counts)[i];
        ((int32_t *)y)[u] = total;
    }
    return 0;
}

/* y[i] = value of scalar i */
int32_t t_scalars(int64_t begin, int64_t end, void *y, int64_t a, int64_t b, int64_t c, int64_t d, void *scratch) {
    const int64_t values[] = {a, b, c, d};
    (void)scratch;
    for (int64_t i = begin; i < end; ++i) ((int32_t *)y)[i] = (int32_t)values[i];
    return 0;
}

/* y = number of items, number of merges, the items, the merges */
int32_t t_work(int64_t begin, int64_t end, void *items, void *merges, void *y, int64_t num_items, int64_t num_merges,
               void *scratch) {
    int32_t *out = y;
    (void)begin, (void)end, (void)scratch;
    out[0] = (int32_t)num_items;
    out[1] = (int32_t)num_merges;
    memcpy(out + 2, items, (size_t)num_items * 32);
    memcpy(out + 2 + num_items * 8, merges, (size_t)num_merges * 16);
    return 0;
}

/* An image each unit: y[i, c] = sum of pixels[i, :, :, c] * weight[c]; pixels are bytes in rows, the rows of y have `ld` */
int32_t t_pool(int64_t begin, int64_t end, void *pixels, void *weight, void *y, int64_t area, int64_t channels, int64_t ld,
               void *scratch) {
    (void)scratch;
    for (int64_t i = begin; i < end; ++i) {
        for (int64_t c = 0; c < channels; ++c) {
            float sum = 0;
            for (int64_t p = 0; p < area; ++p) sum += ((const uint8_t *)pixels)[(i * area + p) * channels + c];
            ((float *)y)[i * ld + c] = sum * ((const float *)weight)[c];
        }
    }
    return 0;
}

/* Keeps its thread busy for `microseconds` a unit. */
int32_t t_busy(int64_t begin, int64_t end, int64_t microseconds, void *scratch) {
    struct timespec now, start;
    (void)scratch;
    for (int64_t u = begin; u < end; ++u) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        do {
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < microseconds);
    }
    return 0;
}

int32_t t_nothing(int64_t begin, int64_t end, void *scratch) {
    (void)begin, (void)end, (void)scratch;
    return 0;
}

int32_t t_fails(int64_t begin, int64_t end, void *scratch) {
    (void)begin, (void)end, (void)scratch;
    return 7;
}
