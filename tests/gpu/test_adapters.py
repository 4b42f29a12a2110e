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


@pytest.mark.parametrize(
    ("name", "exact"), [("llama3", True), ("llama3", False), ("phi3-short", True), ("gemma2", True)]
)
def test_adapters_on_a_gpu(name: str, exact: bool, tmp_path: Path) -> None:
    """f32 and f16 numbers, q, k and v in one product and apart, one unit and several, rows of several and of none."""
    case = case_named(name)
    shapes = linear_shapes(case.path, MODULES.get(name, LLAMA))
    paths = [write_peft(tmp_path / "a", shapes, rank=6, seed=1), write_peft(tmp_path / "b", shapes, rank=35, seed=2)]
    compiled = (
        compile_exact if exact else partial(compile_here, quant="f32", head="f32")
    )  # with f16 for adapters and keys
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
    tolerance = 1e-4 if exact else 2e-3  # keys and values are rounded to f16
    for cpu, gpu in zip(*answers, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=0, atol=tolerance * np.abs(cpu).max())
