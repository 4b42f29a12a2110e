/* A session: the sizes, inputs and scalars that calls of a model run with, and what its device keeps for it. */
#ifndef HEARTH_SESSION_H
#define HEARTH_SESSION_H

#include "memory.h"
#include "model.h"
#include "text.h"

/* What a call of a function has to evaluate. */
typedef struct hth_session_function {
    int64_t *arguments;      /* values of the scalar arguments of its steps, one after the other */
    const uint32_t *scalars; /* ids of the scalars that it needs, those that others are made of first */
    uint32_t num_scalars;
} hth_session_function;

struct hearth_session {
    hearth_model *model;
    uint32_t threads; /* of the caller's processor that compute, where it does */
    uint64_t reserved_bytes;

    /* Inputs are copied here, but for those that are lent, so that no other pointer of a step ever changes. Functions share
     * the memory: one runs at a time. */
    hth_memory input_memory;
    void **inputs;         /* [num_inputs] */
    uint64_t *input_bytes; /* [num_inputs], of each at its largest */

    hth_interval bounds[HTH_MAX_SYMBOLS]; /* of the symbols in this session */
    int64_t symbols[HTH_MAX_SYMBOLS];     /* their values in the call that runs */
    int64_t *scalars;                     /* [num_scalars]: values of those that the call needs */

    hth_session_function *functions; /* [num_functions] */
    int64_t *units;                  /* [num_steps]: of those of the call, 0 to INT32_MAX */
    int64_t *arguments;              /* scalar arguments of all steps, one after the other */
    uint32_t *function_scalars;      /* what functions[].scalars point into */

    hth_text text, draft;
    void *on_device; /* what the model's device keeps of this session */

    _Atomic uint32_t busy; /* 1 while a call runs */
    bool profile;
};

/* Prepares what calls evaluate (evaluate.c). */
hearth_status hth_session_prepare(hearth_session *session);

/* Evaluates what the function needs of session->symbols: scalars, arguments and units of its steps. */
hearth_status hth_session_evaluate(hearth_session *session, const hth_function *function);

/* One call at a time: HEARTH_INVALID while another runs. */
hearth_status hth_session_enter(hearth_session *session);
void hth_session_leave(hearth_session *session);

#endif
