"""Models whose matrices have several formats, on a GPU: gate and up are no single product then, and q, k and v are one
for few rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, compile_here
from tests.compiler.test_mixtures import Q4_K_M, SIMPLE, VOCAB, write_mixture
from tests.gpu.software import software_gpu
from tests.gpu.test_models import assert_same, batches, sessions

from hearth.runtime import Model, TextSession

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


def test_queries_keys_and_values_of_several_formats_are_one_step_for_few_rows(tmp_path: Path) -> None:
    """As those of one format are; and a row has the same bits alone and among others."""
    source = write_mixture(tmp_path / "model.gguf", *MIXTURES["q4_k_m"])
    folder = compile_here(source, tmp_path / "bundle", precision="high")
    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=32) as session:
        alone, together = Sequences(session), Sequences(session)
        ids = np.arange(1, 8, dtype=np.int32)
        alone.run([Piece(0, ids)])
        (expected,) = alone.run([Piece(0, ids[:1])])
        counted = session.read_counters().dispatches
        assert counted == 6 * model.info.layers.count + 5  # of no layer: four, and hidden states, which it gives here
        together.run([Piece(0, ids)])
        found, _ = together.run([Piece(0, ids[:1]), Piece(1, ids[:4])])
        np.testing.assert_array_equal(found, expected)
