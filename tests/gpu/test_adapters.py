"""Adapters on a GPU give what they give on the processor."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.adapters import linear_shapes, write_peft
from tests.compiler.compiled import compile_exact, compile_here
from tests.compiler.test_adapters import LLAMA, MODULES, case_named, load, logits
from tests.gpu.software import software_gpu

from hearth.runtime import Model, text_session

# Numbers of adapters in f32; in f16, as keys and values then are; in bytes, as the activations of processors then are.
COMPILED = {
    "exact": (compile_exact, 1e-4),
    "halves": (partial(compile_here, quant="f32", head="f32"), 2e-3),
    "bytes": (partial(compile_here, quant="q8"), 0.1),
}


@pytest.mark.parametrize(
    ("name", "how"),
    [("llama3", "exact"), ("llama3", "halves"), ("llama3", "bytes"), ("phi3-short", "exact"), ("gemma2", "exact")],
)
def test_adapters_on_a_gpu(name: str, how: str, tmp_path: Path) -> None:
    """q, k and v in one product and apart, one unit and several, rows of several and of none."""
    case = case_named(name)
    shapes = linear_shapes(case.path, MODULES.get(name, LLAMA))
    paths = [write_peft(tmp_path / "a", shapes, rank=6, seed=1), write_peft(tmp_path / "b", shapes, rank=35, seed=2)]
    compiled, tolerance = COMPILED[how]
    folder = compiled(case.path, tmp_path / "base", adapters=paths)
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, 60, count).astype(np.int32) for count in (3, 25, 1, 18)]
    answers = []
    for device in ("cpu", software_gpu(folder)):
        with Model(folder, device=device) as model, text_session(
            model, num_pages=32, num_adapters=4, threads=2
        ) as session:  # fmt: skip
            a, b = load(session, folder, paths)  # type: ignore[arg-type]
            whose = [a, b, (0, 0), a]
            mixed = logits(session, ids, whose)  # type: ignore[arg-type]
            answers.append([*mixed, *logits(session, ids[:1], [b]), *logits(session, ids[2:3], [a])])  # type: ignore[arg-type]
            few = [ids[0], ids[2]]
            together = logits(session, few, [a, b])  # type: ignore[arg-type]
            for sequence, adapter, expected in zip(few, [a, b], together, strict=True):
                assert np.array_equal(logits(session, [sequence], [adapter])[0], expected)  # type: ignore[arg-type]
    for cpu, gpu in zip(*answers, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=0, atol=tolerance * np.abs(cpu).max())
