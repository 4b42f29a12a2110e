"""Compiling in tests: everything through one cache folder, and a reader of the batches that a session takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from hearth.compiler import compile_model
from hearth.runtime import Model, SplitModel, SplitTextSession, TextInfo, TextSession, text_session

# Kept between runs: kernels and the C library's stubs take seconds to compile, and are named by what they are.
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "tests" / "hearth"

Int32s = NDArray[np.int32]
Float32s = NDArray[np.float32]


@contextmanager
def shared_cache() -> Iterator[None]:
    """Hearth's cache is the tests' own."""
    with mock.patch.dict(os.environ, {"HEARTH_CACHE": str(CACHE)}):
        yield


def compile_here(source: Path, output: Path, **options: Any) -> Path:
    """`compile_model` into a folder of this test run, its kernels from the shared cache."""
    with shared_cache():
        return compile_model(source, name=source.name, output=output, **options)


def compile_exact(source: Path, output: Path, **options: Any) -> Path:
    """The same with f32 weights, activations, keys and values: what is compared with references."""
    return compile_here(source, output, quant="f32", head="f32", precision="high", **options)


@dataclass
class Piece:
    """Tokens that one sequence brings to a batch."""

    sequence: int
    ids: Int32s


@dataclass
class Sequences:
    """Feeds sequences to a session piece by piece. Their pages lie in no order, and none is ever in its own place.
    State goes from one of a sequence's two slots to the other."""

    session: TextSession | SplitTextSession
    count: int = 4
    pages_each: int = 8
    lengths: dict[int, int] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = self.count * self.pages_each
        assert self.session.num_pages >= total
        self.table = np.random.default_rng(7).permutation(total).astype(np.int32).reshape(self.count, self.pages_each)

    def run(self, pieces: Sequence[Piece]) -> list[Float32s]:
        """Logits of every token of each piece, copied."""
        ids = np.concatenate([piece.ids for piece in pieces]).astype(np.int32)
        starts = [self.lengths.get(piece.sequence, 0) for piece in pieces]
        positions = np.concatenate([np.arange(s, s + len(p.ids)) for s, p in zip(starts, pieces, strict=True)])
        rows = np.repeat([piece.sequence for piece in pieces], [len(piece.ids) for piece in pieces])
        everything = np.arange(len(ids), dtype=np.int32)
        result = self.session.forward(ids, positions, rows, self.table, everything, **self._states(pieces))
        for start, piece in zip(starts, pieces, strict=True):
            self.lengths[piece.sequence] = start + len(piece.ids)
        logits = np.array(result.logits)
        assert np.array_equal(result.argmax, logits.argmax(axis=1)), "argmax is not where the largest logit is"
        ends = np.cumsum([len(piece.ids) for piece in pieces])
        return np.split(logits, ends[:-1])

    def _states(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        if not self.session.num_slots:
            return {}
        source = np.full(self.count, -1, np.int32)
        to = np.full(sum(len(piece.ids) for piece in pieces), -1, np.int32)
        end = 0
        for piece in pieces:
            end += len(piece.ids)
            before = self.slots.get(piece.sequence, -1)
            source[piece.sequence] = before
            to[end - 1] = self.slots[piece.sequence] = 2 * piece.sequence + (before % 2 == 0)
        return {"state_from": source, "state_to": to}


def open_session(
    model: Model | SplitModel, threads: int = 2, pages: int = 32, slots: int = 8
) -> TextSession | SplitTextSession:
    has_state = TextInfo.of(model.info).has_state
    return text_session(model, num_pages=pages, num_slots=slots if has_state else 0, threads=threads)


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest error as a share of the largest expected number."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all(), "not all numbers are finite"
    return float(np.abs(actual.astype(np.float64) - expected).max() / np.abs(expected).max())
