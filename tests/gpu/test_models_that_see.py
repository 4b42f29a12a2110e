"""Decoders of models that see, on a GPU: rows in the place of tokens' own, tokens that see later ones, rotations by
several positions. A failure says that answers about pictures go wrong on GPUs only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import compile_exact
from tests.gpu.software import software_gpu

from golden.vlm import CASES, Case
from hearth.runtime import Model, TextSession

_SEEN = [case for case in CASES if case.recipe.name in ("gemma3", "qwen2-vl")]
TOKENS = 22


@pytest.mark.parametrize("case", _SEEN, ids=lambda case: case.recipe.name)
def test_pictures_among_tokens(case: Case, tmp_path: Path) -> None:
    compile_exact(case.write(tmp_path), tmp_path / "bundle")
    device = software_gpu(tmp_path / "bundle")
    with Model(tmp_path / "bundle") as here, Model(tmp_path / "bundle", device=device) as there:
        cpu, gpu = (_logits(case, model) for model in (here, there))
    np.testing.assert_allclose(gpu, cpu, rtol=0, atol=1e-4 * np.abs(cpu).max())


def _logits(case: Case, model: Model) -> Any:
    """Of a batch in which tokens 5 to 8 and 14 to 19 are of pictures."""
    random = np.random.default_rng(11)
    places = np.r_[5:9, 14:20].astype(np.int32)
    with TextSession(model, num_pages=4, threads=2) as session:
        info = session.info
        rows = random.standard_normal((len(places), case.expected()["embeddings"].shape[1])).astype(np.float32)
        options: dict[str, Any] = {}
        if case.recipe.ahead:
            options["last_seen"] = np.r_[0:5, [8] * 4, 9:14, [19] * 6, 20:TOKENS].astype(np.int32)
        if info.rope_streams:
            options["rope_positions"] = random.integers(0, 900, (TOKENS, info.rope_streams)).astype(np.int32)
        assert options
        ids = random.integers(0, info.vocab_size, TOKENS).astype(np.int32)
        at, table = np.arange(TOKENS, dtype=np.int32), np.array([[2, 0]], np.int32)
        result = session.forward(
            ids, at, np.zeros_like(at), table, at, embeddings=rows, embedded_tokens=places, **options
        )
        return np.array(result.logits)
