/* A part of a language model: some of its layers, one after the other, so that another device may have the others. Which
 * steps such a part runs, and which weights and states they use. */
#ifndef HEARTH_LAYERS_H
#define HEARTH_LAYERS_H

#include "text.h"

typedef struct {
    uint32_t first, end, count; /* layers [first, end) of `count`; 0 of 0 where the plan says of none */
    const hth_cut *from;        /* where calls begin with what another part has computed; NULL: with tokens */
    const hth_cut *to;          /* where calls end; NULL: with the outputs */
    uint32_t columns;           /* of what crosses either; 0: nothing does */
    uint64_t weights_bytes;     /* of the weights that its steps use; of all of weights.bin where it is the whole */
    uint8_t *steps, *buffers, *weights, *states; /* [of the plan]: 1 where it runs, or is used; all 1 in a whole */
} hth_layers;

/* Layers [first, end) of the text function, if there is one: of other functions all steps run, but a part has no block that
 * predicts further tokens. 0, 0: all layers. HEARTH_INVALID where there are no such. It is to be freed in any case. */
hearth_status hth_layers_find(const hth_plan *plan, const hth_text *text, const hth_text *draft, uint32_t first,
                              uint32_t end, hth_layers *layers);
void hth_layers_free(hth_layers *layers);

static inline bool hth_layers_are_all(const hth_layers *layers) { return layers->from == NULL && layers->to == NULL; }

/* The hidden states that cross a cut in a call, dense f32 rows. */
static inline uint64_t hth_cut_bytes(const hth_cut *cut, const int64_t *scalars) {
    return (uint64_t)scalars[cut->rows] * cut->columns * sizeof(float);
}

#endif
