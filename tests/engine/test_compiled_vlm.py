"""Language models that see, compiled: embeddings of pictures and logits are those of transformers, however the tokens
come.

A failure says that a user of this family gets other text about a picture than its authors'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from tests.compiler.compiled import Float32s, Int32s, compile_exact, open_session, relative_error

from golden.vlm import CASES, Case, draw_prompt, draw_tiles
from hearth.runtime import Model, TextSession


@dataclass(frozen=True)
class Golden:
    """A compiled golden model, and what transformers says of its prompt."""

    case: Case
    model: Model
    ids: Int32s
    embeddings: Float32s
    logits: Float32s

    @property
    def places(self) -> Int32s:
        """The tokens that stand for rows of embeddings."""
        return np.flatnonzero(self.ids == self.case.recipe.token_id).astype(np.int32)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.recipe.name)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    case: Case = request.param
    folder = tmp_path_factory.mktemp("vlm")
    compile_exact(case.write(folder), folder / "bundle")
    expected = case.expected()
    rows = expected["embeddings"].reshape(-1, expected["embeddings"].shape[-1])
    with Model(folder / "bundle") as model:
        yield Golden(case, model, draw_prompt(case.recipe), rows, expected["logits"])


@pytest.fixture
def session(golden: Golden) -> Iterator[TextSession]:
    with open_session(golden.model) as session:
        yield session


def seen(session: TextSession, golden: Golden) -> Float32s:
    """The embeddings of all tiles of the prompt."""
    tiles = draw_tiles(golden.case.recipe)
    return np.concatenate([session.run("image", {"pixels": tile[None]})["embeddings"][0].copy() for tile in tiles])


def read(session: TextSession, golden: Golden, rows: Float32s, start: int, stop: int, sequence: int = 0) -> Float32s:
    """Logits of the prompt's tokens [start, stop), of which those before have been read."""
    table = np.arange(32, dtype=np.int32).reshape(4, 8)
    count = stop - start
    here = (golden.places >= start) & (golden.places < stop)
    result = session.forward(
        golden.ids[start:stop],
        np.arange(start, stop),
        np.full(count, sequence),
        table,
        np.arange(count),
        embeddings=np.ascontiguousarray(rows[here]),
        embedded_tokens=golden.places[here] - start,
    )
    return np.array(result.logits)


def test_pictures_and_prompt(golden: Golden, session: TextSession) -> None:
    rows = seen(session, golden)
    assert relative_error(rows, golden.embeddings) < 1e-5
    logits = read(session, golden, rows, 0, len(golden.ids))
    assert relative_error(logits, golden.logits) < 1e-5


@pytest.mark.parametrize("chunk", [1, 5])
def test_a_prompt_in_chunks_that_cut_pictures(golden: Golden, session: TextSession, chunk: int) -> None:
    parts = [
        read(session, golden, golden.embeddings, start, min(start + chunk, len(golden.ids)))
        for start in range(0, len(golden.ids), chunk)
    ]
    assert relative_error(np.concatenate(parts), golden.logits) < 1e-5


def test_what_is_given_for_no_token_or_twice_is_refused(golden: Golden, session: TextSession) -> None:
    from hearth.errors import UsageError

    table, rows = np.zeros((1, 1), np.int32), golden.embeddings[:2]
    for places in ([0, 0], [1, 0], [0, 3], [-1, 0]):
        with pytest.raises(UsageError, match="embedded_tokens"):
            session.forward([3, 3, 3], [0, 1, 2], [0, 0, 0], table, embeddings=rows, embedded_tokens=places)
    with pytest.raises(UsageError, match="embeddings must be float32"):
        session.forward([3], [0], [0], table, embeddings=rows, embedded_tokens=[0])
