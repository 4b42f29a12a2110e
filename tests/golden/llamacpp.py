"""What llama.cpp computes for a prompt. Needs `pip install llama-cpp-python`."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray


def logits_of_llamacpp(
    path: Path, token_ids: NDArray[np.int32], vocab: int, lora: Path | None = None
) -> NDArray[np.float32]:
    """[tokens, vocab] of a GGUF file that says how many tokens there are (`gguf_twin.write_twin`, runnable), with an
    adapter in another file."""
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    assert model, f"llama.cpp does not load {path.name}"
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.type_k, parameters.type_v = 128, 64, 0, 0  # KV in f32
    parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED  # which rounds to f16
    parameters.n_threads = parameters.n_threads_batch = 1
    context = llama.llama_init_from_model(model, parameters)
    if lora is not None:
        adapter = llama.llama_adapter_lora_init(model, str(lora).encode())
        assert adapter, f"llama.cpp does not load {lora.name}"
        adapters, scales = (llama.llama_adapter_lora_p_ctypes * 1)(adapter), (ctypes.c_float * 1)(1.0)
        assert llama.llama_set_adapters_lora(context, adapters, 1, scales) == 0
    batch = llama.llama_batch_init(64, 0, 1)
    batch.n_tokens = len(token_ids)
    for index, token in enumerate(token_ids):
        batch.token[index], batch.pos[index], batch.n_seq_id[index] = int(token), index, 1
        batch.seq_id[index][0], batch.logits[index] = 0, 1
    assert llama.llama_decode(context, batch) == 0
    rows = [np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), (vocab,)) for i in range(len(token_ids))]
    logits = np.stack(rows)
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    llama.llama_model_free(model)
    return logits
