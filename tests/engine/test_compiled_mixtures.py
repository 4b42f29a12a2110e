"""Mixtures of experts in the number formats that users choose: answers stay near those of the published numbers, and a
request's bits do not depend on the other requests, whose tokens choose other experts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, compile_exact, compile_here, open_session

from golden import CASES, Case
from hearth.bundle import open_bundle
from hearth.checkpoint import open_checkpoint
from hearth.model import load_family
from hearth.runtime import Model, SplitModel

MIXTURES = [case for case in CASES if load_family(open_checkpoint(case.path)).config.experts is not None]
CASE = next(case for case in MIXTURES if case.name == "qwen2_moe")  # with an MLP beside the experts
CHOICES: list[dict[str, Any]] = [
    {"quant": "q8", "head": "q8"},
    {"quant": "q8", "head": "q8", "precision": "fast"},
    {"quant": "int8"},
    {"quant": "q4"},
]


@pytest.mark.parametrize("options", CHOICES, ids=lambda options: "-".join(options.values()))
def test_rounded_experts(options: dict[str, Any], tmp_path: Path) -> None:
    folder = compile_here(CASE.path, tmp_path / "bundle", **options)
    ids, expected = CASE.token_ids, CASE.expected_logits()
    with Model(folder) as model:
        with open_session(model, threads=1) as session:
            (alone,) = Sequences(session).run([Piece(0, ids)])
        near = np.abs(alone - expected).max(1) < (0.5 if options["quant"] == "q4" else 0.1) * np.abs(expected).max()
        assert near.mean() > 0.8, "most tokens choose the same experts"
        others = [ids[::-1][:n] for n in (1, 18, 7)]
        for threads, place in ((1, 2), (3, 0), (2, 3)):
            with open_session(model, threads=threads) as session:
                pieces = [Piece(i + 1, other) for i, other in enumerate(others)]
                pieces.insert(place, Piece(0, ids))
                assert np.array_equal(Sequences(session).run(pieces)[place], alone)


def test_experts_are_never_in_a_format_for_many_rows(tmp_path: Path) -> None:
    """One expert meets few tokens, whatever the prompt: `int8` would only lose precision there."""
    folder = compile_here(CASE.path, tmp_path / "bundle", quant="int8")
    assert open_bundle(folder).manifest.quant == "i8, q8"


@pytest.mark.parametrize("case", MIXTURES, ids=lambda case: case.name)
def test_a_mixture_in_two_parts(case: Case, tmp_path: Path) -> None:
    """Whose layers end with a step that reads none of their parameters."""
    folder = compile_exact(case.path, tmp_path / "bundle")
    with Model(folder, use_mmap=True) as whole, open_session(whole) as session:
        (expected,) = Sequences(session).run([Piece(0, case.token_ids)])
        count = whole.info.layers.count
    with (
        Model(folder, layers=(0, count - 1)) as first,
        Model(folder, layers=(count - 1, count)) as second,
        open_session(SplitModel(first, second)) as split,
    ):
        assert np.array_equal(Sequences(split).run([Piece(0, case.token_ids)])[0], expected)
