"""A real model with every variant of the kernels: forced decoding, where it is fed what the CPU has written, and in how
many places the likeliest token is the same. Rounding may tip a tie over; a broken kernel does not stay above 99 %."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import compile_here

from hearth.runtime import Model, TextSession

from .test_models import software_gpu

POSITIONS = 320  # beyond one split of attention
PROMPT = 40


@pytest.fixture(scope="module")
def story(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """(bundle, what the CPU writes, its likeliest token behind each)."""
    source = shared_data / "tinyllamas-stories260K" / "stories260K.gguf"
    folder = compile_here(source, tmp_path_factory.mktemp("story") / "bundle", precision="high", kv="f16")
    ids = [1]
    with Model(folder) as model, TextSession(model, num_pages=32) as session:
        table = np.arange(32, dtype=np.int32)[None]
        for at in range(POSITIONS):
            result = session.forward(ids[at : at + 1], [at], [0], table, [0])
            ids.append(int(result.argmax[0]))
    return folder, np.array(ids[:-1], np.int32), np.array(ids[1:], np.int32)


@pytest.mark.parametrize("features", ["core", "f16", "subgroups", "dot4", "f16+subgroups+dot4"])
def test_forced_decoding_agrees_with_the_cpu(story: tuple[Path, np.ndarray, np.ndarray], features: str) -> None:
    folder, ids, expected = story
    device, table = software_gpu(folder), np.arange(32, dtype=np.int32)[None]
    with Model(folder, device=device, gpu_features=features) as model, TextSession(model, num_pages=32) as session:
        at = np.arange(len(ids), dtype=np.int32)
        chunks = [slice(0, PROMPT), *(slice(i, i + 1) for i in range(PROMPT, len(ids)))]
        decoded = np.concatenate([step(session, ids, at, chunk, table) for chunk in chunks])
        chunks = [slice(i, i + 64) for i in range(0, len(ids), 64)]
        read = np.concatenate([step(session, ids, at, chunk, table) for chunk in chunks])
    assert np.mean(decoded == expected) >= 0.99
    assert np.mean(read == expected) >= 0.99


def step(session: TextSession, ids: np.ndarray, at: np.ndarray, chunk: slice, table: np.ndarray) -> np.ndarray:
    count = len(ids[chunk])
    rows = np.arange(count, dtype=np.int32)
    result = session.forward(ids[chunk], at[chunk], np.zeros(count, np.int32), table, rows, wanted=("argmax",))
    return np.array(result.argmax)
