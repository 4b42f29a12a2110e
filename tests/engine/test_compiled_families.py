"""Each family, compiled: the logits are those of transformers, however the tokens come.

A failure says that a user of this family gets other text than its authors', at once or in some mixture of requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from tests.compiler.compiled import Float32s, Int32s, Piece, Sequences, compile_exact, open_session, relative_error

from golden import CASES, GGUF_ALONE, Case
from hearth.runtime import Model, TextSession

TOLERANCE = 1e-4

SOURCES = [(case, source) for case in CASES for source in (case.path, case.gguf_path) if source is not None]
SOURCES += [(case, case.gguf_path) for case in GGUF_ALONE if case.gguf_path]


@dataclass(frozen=True)
class Golden:
    """A compiled golden model, and what transformers says of its prompt."""

    case: Case
    model: Model
    ids: Int32s
    expected: Float32s


@pytest.fixture(
    scope="module", params=SOURCES, ids=[f"{c.name}-{'gguf' if s.is_file() else 'folder'}" for c, s in SOURCES]
)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    case, source = request.param
    folder = tmp_path_factory.mktemp("golden") / "bundle"
    compile_exact(source, folder, context=case.context)
    with Model(folder) as model:
        yield Golden(case, model, case.token_ids, case.expected_logits())


@pytest.fixture
def session(golden: Golden) -> Iterator[TextSession]:
    with open_session(golden.model) as session:
        yield session


def test_whole_prompt(golden: Golden, session: TextSession) -> None:
    (logits,) = Sequences(session).run([Piece(0, golden.ids)])
    assert relative_error(logits, golden.expected) < TOLERANCE
    assert np.array_equal(logits.argmax(1), golden.expected.argmax(1))


@pytest.mark.parametrize("chunk", [3, 7, 16, 17])
def test_prompt_in_chunks(golden: Golden, session: TextSession, chunk: int) -> None:
    """Chunks that end before, at and after the border of a page of 16 tokens."""
    sequences = Sequences(session)
    parts = [
        sequences.run([Piece(1, golden.ids[start : start + chunk])])[0] for start in range(0, len(golden.ids), chunk)
    ]
    assert relative_error(np.concatenate(parts), golden.expected) < TOLERANCE


def test_token_by_token(golden: Golden, session: TextSession) -> None:
    sequences = Sequences(session)
    parts = [sequences.run([Piece(2, golden.ids[i : i + 1])])[0] for i in range(len(golden.ids))]
    assert relative_error(np.concatenate(parts), golden.expected) < TOLERANCE


def test_ragged_batch(golden: Golden, session: TextSession) -> None:
    """Four requests at once: some read their prompt in chunks of their own, some are at their next token."""
    plans = [[20, 1, 1, 8, 1], [5, 16, 1, 1, 2], [0, 33, 1, 0, 0], [1, 1, 0, 17, 11]]
    sequences = Sequences(session)
    done = [0] * len(plans)
    for step in range(len(plans[0])):
        pieces = []
        for sequence in np.random.default_rng(step).permutation(len(plans)):
            count = plans[sequence][step]
            if count:
                pieces.append(Piece(int(sequence), golden.ids[done[sequence] : done[sequence] + count]))
        for piece, logits in zip(pieces, sequences.run(pieces), strict=True):
            start = done[piece.sequence]
            done[piece.sequence] += len(piece.ids)
            assert relative_error(logits, golden.expected[start : done[piece.sequence]]) < TOLERANCE
    assert done == [sum(plan) for plan in plans]


def test_threads_and_neighbours_change_no_bit(golden: Golden) -> None:
    """The same request gives the same bits with any number of threads, alone or anywhere among others."""
    ids = golden.ids[:19]
    others = [golden.ids[::-1][:n] for n in (1, 18, 7)]
    with open_session(golden.model, threads=1) as session:
        (alone,) = Sequences(session).run([Piece(0, ids)])
    for threads in (1, 2, 3):
        with open_session(golden.model, threads=threads) as session:
            assert np.array_equal(Sequences(session).run([Piece(0, ids)])[0], alone), f"{threads} threads"
            for place in range(4):
                pieces = [Piece(i + 1, other) for i, other in enumerate(others)]
                pieces.insert(place, Piece(0, ids))
                logits = Sequences(session).run(pieces)[place]
                assert np.array_equal(logits, alone), f"{threads} threads, place {place} in the batch"
