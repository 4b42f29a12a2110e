"""Models whose matrices have several formats, on a GPU: q, k and v, or gate and up, are no single product then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import compile_here
from tests.compiler.test_mixtures import Q4_K_M, SIMPLE, VOCAB, write_mixture
from tests.gpu.test_models import assert_same, batches, sessions

MIXTURES = {"q4_k_m": (Q4_K_M, "q4_k"), "simple": (SIMPLE, "q8_0")}


@pytest.mark.parametrize(("name", "kv"), [("q4_k_m", "f32"), ("simple", "q8")])
def test_a_mixture_computes_on_a_gpu_what_it_computes_on_the_cpu(name: str, kv: str, tmp_path: Path) -> None:
    kinds, otherwise = MIXTURES[name]
    source = write_mixture(tmp_path / "model.gguf", kinds, otherwise)
    folder = compile_here(source, tmp_path / "bundle", precision="high", kv=None if kv == "f32" else kv)
    with sessions(folder) as (cpu, gpu):
        for pieces in batches(VOCAB)[:4]:
            ours, theirs = cpu.run(pieces), gpu.run(pieces)
            assert np.isfinite(theirs[0]).all()
            assert_same(ours, theirs, 1e-4 if kv == "f32" else 2e-3)  # a number may be rounded the other way
