"""Language models that see, compiled: embeddings of pictures and logits are those of transformers, however the tokens
come.

A failure says that a user of this family gets other text about a picture than its authors'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import Float32s, Int32s, compile_exact, open_session, relative_error

from golden.vlm import CASES, Case, draw_prompt, draw_tiles
from hearth.engine import Engine, Request, SamplingParams
from hearth.engine.embedded import Embedded
from hearth.image.sight import load_sight
from hearth.model.vlm.tile_shapes import TileShape
from hearth.runtime import Model, TextSession


@dataclass(frozen=True)
class Golden:
    """A compiled golden model, and what transformers says of its prompt."""

    case: Case
    source: Path
    model: Model
    tile: TileShape
    ids: Int32s
    embeddings: Float32s
    logits: Float32s

    @property
    def tiles(self) -> Iterator[tuple[int, Float32s]]:
        """Where the tokens of each tile begin, and its pixels."""
        counts = self.case.recipe.counts
        starts = self.places[np.cumsum([0, *counts[:-1]])].tolist()
        return zip(starts, draw_tiles(self.case.recipe), strict=True)

    @property
    def rope_positions(self) -> Int32s | None:
        """What transformers turns the prompt's tokens by; None: by their places."""
        recipe = self.case.recipe
        if not recipe.sizes:
            return None
        turned_by, at, sizes = [], 0, iter(recipe.sizes)
        for part in recipe.prompt:
            if isinstance(part, int):
                turned_by += [(at + i,) * 3 for i in range(part)]
                at += part
                continue
            height, width = (side // recipe.edge for side in next(sizes))
            turned_by += [(at, at + row, at + column) for row in range(height) for column in range(width)]
            at += max(height, width)
        return np.array(turned_by, np.int32)

    @property
    def places(self) -> Int32s:
        """The tokens that stand for rows of embeddings."""
        return np.flatnonzero(self.ids == self.case.recipe.token_id).astype(np.int32)


SOURCES = [(case, "folder") for case in CASES] + [(case, "gguf") for case in CASES if case.recipe.gguf]


@pytest.fixture(scope="module", params=SOURCES, ids=[f"{case.recipe.name}-{form}" for case, form in SOURCES])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    case, form = request.param
    folder = tmp_path_factory.mktemp("vlm")
    source = case.write(folder) if form == "folder" else case.path / "tiny-F16.gguf"
    compile_exact(source, folder / "bundle")
    sight = load_sight(folder / "bundle")
    assert sight is not None
    expected = case.expected()
    with Model(folder / "bundle") as model:
        rows, logits = expected["embeddings"], expected["logits"]
        yield Golden(case, source, model, sight.tile, draw_prompt(case.recipe), rows, logits)


@pytest.fixture
def session(golden: Golden) -> Iterator[TextSession]:
    with open_session(golden.model) as session:
        yield session


def seen(session: TextSession, golden: Golden) -> Float32s:
    """The embeddings of all tiles of the prompt."""
    return np.concatenate([session.embed(golden.tile.inputs(tile)) for _, tile in golden.tiles])


def read(session: TextSession, golden: Golden, rows: Float32s, start: int, stop: int, sequence: int = 0) -> Float32s:
    """Logits of the prompt's tokens [start, stop), of which those before have been read."""
    seen = np.arange(len(golden.ids))
    if golden.case.recipe.ahead:
        for tile in golden.places.reshape(-1, golden.case.recipe.rows):
            seen[tile] = tile[-1]
    turned_by = golden.rope_positions
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
        last_seen=seen[start:stop] if golden.case.recipe.ahead else None,
        rope_positions=None if turned_by is None else turned_by[start:stop],
    )
    return np.array(result.logits)


def test_pictures_and_prompt(golden: Golden, session: TextSession) -> None:
    rows = seen(session, golden)
    assert relative_error(rows, golden.embeddings) < 1e-5
    logits = read(session, golden, rows, 0, len(golden.ids))
    assert relative_error(logits, golden.logits) < 1e-5


@pytest.mark.parametrize("chunk", [1, 5])
def test_a_prompt_in_chunks_that_cut_pictures(golden: Golden, session: TextSession, chunk: int) -> None:
    starts = list(range(0, len(golden.ids), chunk))
    if golden.case.recipe.ahead:  # pictures have to be whole
        starts = [start for start in starts if start - 1 not in golden.places or start not in golden.places]
    parts = [
        read(session, golden, golden.embeddings, start, stop)
        for start, stop in zip(starts, [*starts[1:], len(golden.ids)], strict=True)
    ]
    assert relative_error(np.concatenate(parts), golden.logits) < 1e-5


@pytest.mark.parametrize("chunk", [4, 32])
def test_the_engine_shows_pictures(golden: Golden, session: TextSession, chunk: int) -> None:
    """Several requests at once, in chunks: each goes on with the likeliest token."""
    recipe = golden.case.recipe
    pictures = tuple(
        Embedded(
            start,
            count,
            lambda tile=tile: golden.tile.inputs(tile),
            start.to_bytes(16, "little"),
            golden.tile.offsets(*tile.shape[:2]),
        )
        for count, (start, tile) in zip(recipe.counts, golden.tiles, strict=True)
    )
    engine = Engine(session, context=64, chunk_tokens=chunk)
    params = SamplingParams(temperature=0.0, max_tokens=1)
    plain = Request(prompt_ids=tuple(golden.ids[: pictures[0].start + 1].tolist()), params=params)
    seeing = Request(prompt_ids=tuple(golden.ids.tolist()), params=params, embedded=pictures)
    asked = [engine.add(each) for each in (seeing, plain, seeing)]
    tokens: dict[int, int | None] = {}
    while engine.num_running or engine.num_waiting:
        tokens |= {event.id: event.token for event in engine.step()}
    best = int(golden.logits[-1].argmax())
    assert (tokens[asked[0]], tokens[asked[2]]) == (best, best)


def test_what_is_given_for_no_token_or_twice_is_refused(golden: Golden, session: TextSession) -> None:
    from hearth.errors import UsageError

    table, rows = np.zeros((1, 1), np.int32), golden.embeddings[:2]
    for places in ([0, 0], [1, 0], [0, 3], [-1, 0]):
        with pytest.raises(UsageError, match="embedded_tokens"):
            session.forward([3, 3, 3], [0, 1, 2], [0, 0, 0], table, embeddings=rows, embedded_tokens=places)
    with pytest.raises(UsageError, match="embeddings must be float32"):
        session.forward([3], [0], [0], table, embeddings=rows, embedded_tokens=[0])


def test_text_alone_is_computed_as_by_a_decoder_without_eyes(
    golden: Golden, session: TextSession, tmp_path: Path
) -> None:
    """Bit for bit, whether what tokens turn by is given or not."""
    if golden.source.suffix != ".gguf":
        pytest.skip("Only of a GGUF file the half that reads can be taken alone.")
    ids, positions = golden.ids[:3].tolist() * 4, np.arange(12)
    arrays: Any = (ids, positions, [0] * 12, [[0]], positions)
    compile_exact(golden.source, tmp_path / "bundle", mmproj="none")
    with Model(tmp_path / "bundle") as model, open_session(model) as alone:
        assert not alone.info.rope_streams
        expected = np.array(alone.forward(*arrays).logits)
    assert np.array_equal(session.forward(*arrays).logits, expected)
    if streams := session.info.rope_streams:
        turned_by = np.repeat(positions[:, None], streams, axis=1)
        assert np.array_equal(session.forward(*arrays, rope_positions=turned_by).logits, expected)
