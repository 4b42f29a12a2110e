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

from golden import CASES, GGUF_ALONE, Case
from golden.recipes import RECIPES
from hearth.checkpoint import open_checkpoint

pytestmark = pytest.mark.llamacpp

# llama.cpp leaves out the sliding window of these architectures (of EXAONE 4, where layers are not 64); Hearth follows
# transformers.
WITHOUT_WINDOW = {"mistral-window", "phi3-short", "exaone4"}
# It looks for norms of heads in the larger Command-R alone, of 64 layers.
LARGER_ALONE = {"cohere-heads"}
# It has sizes of the published models, the first ten layers' cut and that twenty layers have keys built in.
PUBLISHED_ALONE = {"gemma3n"}
OTHERWISE = WITHOUT_WINDOW | LARGER_ALONE | PUBLISHED_ALONE
RUNNABLE = [case for case in CASES if case.gguf_path and case.name not in OTHERWISE]


def runnable_twin(case: Case, folder: Path) -> Path:
    """A golden model as a GGUF file that llama.cpp runs."""
    pytest.importorskip("gguf")
    from golden.gguf_twin import write_twin

    checkpoint = open_checkpoint(case.path)
    weights = {name: reference.read_tensor(checkpoint, name).astype(np.float32) for name in checkpoint.tensors}
    config = json.loads((case.path / "config.json").read_text())
    arch = next(recipe.gguf for recipe in RECIPES if recipe.name == case.name)
    write_twin(str(arch), SimpleNamespace(**config), weights, folder / "model.gguf", runnable=True)
    return folder / "model.gguf"


@pytest.mark.parametrize("case", RUNNABLE, ids=lambda case: case.name)
def test_llamacpp_computes_what_transformers_computes(case: Case, tmp_path: Path):
    pytest.importorskip("llama_cpp")
    from golden.llamacpp import logits_of_llamacpp

    expected = case.expected_logits()
    actual = logits_of_llamacpp(runnable_twin(case, tmp_path), case.token_ids, expected.shape[1])
    assert np.abs(actual - expected).max() < 1e-2 * np.abs(expected).max()
    assert (actual.argmax(-1) == expected.argmax(-1)).all()


@pytest.mark.parametrize("case", GGUF_ALONE, ids=lambda case: case.name)
def test_golden_logits_are_what_llamacpp_computes_today(case: Case):
    pytest.importorskip("gguf")
    pytest.importorskip("llama_cpp")
    from golden.make_of_llamacpp import expected_logits

    expected = case.expected_logits()
    assert np.abs(expected_logits(case.name) - expected).max() < 1e-4 * np.abs(expected).max()
