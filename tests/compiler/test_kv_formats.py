"""Whole models with keys and values of 8 bits: nearly the same numbers, and the same bits however a text is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, compile_exact, open_session, relative_error

from golden import CASES, Case
from hearth.bundle import open_bundle
from hearth.runtime import Model

FAMILIES = [case for case in CASES if case.name in ("llama1", "gemma2", "qwen3", "olmo2", "youtu")]
# So small a model has one scale for a latent vector and what turns beside it, which is larger.
TOLERANCES = {"youtu": 0.06}
IDS = np.random.default_rng(3).integers(3, 60, 64).astype(np.int32)


@pytest.mark.parametrize("case", FAMILIES, ids=lambda case: case.name)
def test_eight_bits_are_near_and_the_same_in_any_pieces(case: Case, tmp_path: Path) -> None:
    folders = {kv: compile_exact(case.path, tmp_path / kv, context=case.context, kv=kv) for kv in ("f16", "q8")}
    made = {kv: open_bundle(folder).manifest for kv, folder in folders.items()}
    assert {kv: manifest.language.kv for kv, manifest in made.items()} == {"f16": "f16", "q8": "q8"}
    assert made["q8"].language.kv_bytes_per_token < 0.57 * made["f16"].language.kv_bytes_per_token
    with Model(folders["f16"]) as model, open_session(model) as session:
        (wanted,) = Sequences(session).run([Piece(0, IDS)])
    with Model(folders["q8"]) as model:
        read = []
        for threads, cuts in ((2, []), (1, [40, 41, 55]), (4, list(range(1, len(IDS))))):
            with open_session(model, threads=threads) as session:
                sequences = Sequences(session)
                parts = [sequences.run([Piece(0, part)])[0] for part in np.split(IDS, cuts)]
                read.append(np.concatenate(parts))
    assert relative_error(read[0], wanted) < TOLERANCES.get(case.name, 0.03)
    assert np.array_equal(read[0], read[1])
    assert np.array_equal(read[0], read[2])
