"""The GGUF twins are what llama.cpp takes them for: it computes from them what transformers computes.

Live (`pip install llama-cpp-python gguf`, `pytest -m llamacpp`). llama.cpp rounds activations to f16 before a product
with f16 weights, so its logits agree to about 3e-3 of the largest; a wrong convention gives errors of order 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import reference

from golden import CASES, Case
from golden.recipes import RECIPES
from hearth.checkpoint import open_checkpoint

pytestmark = pytest.mark.llamacpp

# llama.cpp leaves out the sliding window of these architectures (of EXAONE 4, where layers are not 64); Hearth follows
# transformers.
WITHOUT_WINDOW = {"mistral-window", "phi3-short", "exaone4"}
# It looks for norms of heads in the larger Command-R alone, of 64 layers.
LARGER_ALONE = {"cohere-heads"}
RUNNABLE = [case for case in CASES if case.gguf_path and case.name not in WITHOUT_WINDOW | LARGER_ALONE]


def logits_of_llamacpp(path: Path, token_ids: np.ndarray, vocab: int) -> np.ndarray:
    llama = pytest.importorskip("llama_cpp")
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    assert model, f"llama.cpp does not load {path.name}"
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.type_k, parameters.type_v = 128, 64, 0, 0  # KV in f32
    parameters.n_threads = parameters.n_threads_batch = 1
    context = llama.llama_init_from_model(model, parameters)
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


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda case: case.name)
def test_llamacpp_computes_what_transformers_computes(case: Case, tmp_path: Path):
    pytest.importorskip("gguf")
    from golden.gguf_twin import write_twin

    checkpoint = open_checkpoint(case.path)
    weights = {name: reference.read_tensor(checkpoint, name).astype(np.float32) for name in checkpoint.tensors}
    config = json.loads((case.path / "config.json").read_text())
    arch = next(recipe.gguf for recipe in RECIPES if recipe.name == case.name)
    write_twin(str(arch), SimpleNamespace(**config), weights, tmp_path / "model.gguf", runnable=True)
    expected = case.expected_logits()
    actual = logits_of_llamacpp(tmp_path / "model.gguf", case.token_ids, expected.shape[1])
    assert np.abs(actual - expected).max() < 1e-2 * np.abs(expected).max()
    assert (actual.argmax(-1) == expected.argmax(-1)).all()
