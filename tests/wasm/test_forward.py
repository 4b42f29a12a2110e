"""A language model compiled for WebAssembly computes in Node, through the npm package, what it computes natively."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, open_session, relative_error
from tests.wasm.conftest import Bundles
from tests.wasm.node import NodeSession, Refused, needs_node, wasm_isas

from hearth.compiler.cpu.targets import Isa
from hearth.runtime import Model

PAGES = 32


@contextmanager
def sessions(bundles: Bundles, isa: str | None = None) -> Iterator[tuple[Any, NodeSession]]:
    with Model(bundles.native) as model, NodeSession(bundles.wasm, PAGES, isa) as node:
        yield open_session(model, pages=PAGES), node


def mixed_batches(session: Any, vocab_size: int = 139) -> list[Any]:
    """Logits of prompts in pieces, tokens that follow, and both in one batch."""
    rng = np.random.default_rng(3)
    tokens = [rng.integers(3, vocab_size, 70).astype(np.int32) for _ in range(3)]
    sequences = Sequences(session)
    runs = [
        [Piece(0, tokens[0][:37])],
        [Piece(0, tokens[0][37:38]), Piece(1, tokens[1][:20])],
        [Piece(2, tokens[2][:40]), Piece(0, tokens[0][38:60]), Piece(1, tokens[1][20:21])],
        [Piece(0, tokens[0][60:61]), Piece(1, tokens[1][21:22]), Piece(2, tokens[2][40:41])],
    ]
    return [np.concatenate(sequences.run(pieces)) for pieces in runs]


def greedy(session: Any, prompt: list[int], count: int) -> list[int]:
    table = np.arange(PAGES, dtype=np.int32)[None, ::-1].copy()
    tokens, new = [], list(prompt)
    for _ in range(count):
        at = len(tokens)
        result = session.forward(new, range(at, at + len(new)), [0] * len(new), table, [len(new) - 1])
        tokens += new
        new = [int(result.argmax[0])]
    return [*tokens[len(prompt) :], *new]


@needs_node
@pytest.mark.parametrize("isa", wasm_isas())
def test_with_floats_it_computes_the_same(exact: Bundles, isa: Isa) -> None:
    with sessions(exact, isa.name) as (native, node):
        assert node.info["isa"] == isa.name
        for mine, theirs in zip(mixed_batches(node), mixed_batches(native), strict=True):
            assert relative_error(mine, theirs) < 1e-5


@needs_node
@pytest.mark.parametrize("isa", wasm_isas())
def test_with_int8_it_computes_the_same(int8: Bundles, isa: Isa) -> None:
    """Sums of integers are the same. What is rounded to them are floats, whose last bit may differ: where that falls on
    the border of two integers, a row differs by about their distance."""
    with sessions(int8, isa.name) as (native, node):
        mine, theirs = np.concatenate(mixed_batches(node)), np.concatenate(mixed_batches(native))
        errors = np.abs(mine - theirs).max(axis=1) / np.abs(theirs).max()
        assert np.median(errors) < 1e-5
        assert errors.max() < 5e-2


@needs_node
@pytest.mark.parametrize("isa", wasm_isas())
@pytest.mark.parametrize("name", ["exact", "int8"])
def test_it_chooses_the_same_64_tokens(request: pytest.FixtureRequest, name: str, isa: Isa) -> None:
    """But where the model itself hardly prefers one of two: after each token what came natively goes on."""
    bundles: Bundles = request.getfixturevalue(name)
    with sessions(bundles, isa.name) as (native, node):
        tokens = [1, 20, 33, 9, *greedy(native, [1, 20, 33, 9], 64)]
        table = np.arange(PAGES, dtype=np.int32)[None]
        for start in range(3, len(tokens) - 1):
            ids = tokens[: start + 1] if start == 3 else tokens[start : start + 1]
            positions = range(start + 1 - len(ids), start + 1)
            batch = (ids, positions, [0] * len(ids), table, [len(ids) - 1])
            logits = native.forward(*batch).logits[0]
            ahead = logits.max() - logits[node.forward(*batch).argmax[0]]
            assert ahead <= (0 if name == "exact" else 0.05 * np.abs(logits).max())


@needs_node
def test_a_batch_that_cannot_be_is_refused_and_the_session_goes_on(exact: Bundles) -> None:
    table = np.arange(4, dtype=np.int32)[None]
    with NodeSession(exact.wasm, 4) as node:
        good = node.forward([1, 2], [0, 1], [0, 0], table, [1]).logits
        for ids, positions, words in (
            ([1, 999], [0, 1], "id 999"),
            ([1, 2], [0, 5], "ascend by 1"),
            ([1], [500], "500"),
        ):
            with pytest.raises(Refused, match=words) as refused:
                node.forward(ids, positions, [0] * len(ids), table, [0])
            assert refused.value.kind == "usage"
        assert np.array_equal(node.forward([1, 2], [0, 1], [0, 0], table, [1]).logits, good)


@needs_node
def test_a_bundle_that_lost_bytes_is_refused(exact: Bundles, tmp_path: Path) -> None:
    for name in ("plan.bin", "weights.bin", "libhearth-simd128.wasm"):
        folder = tmp_path / name
        folder.mkdir()
        for file in exact.wasm.iterdir():
            (folder / file.name).write_bytes(file.read_bytes()[: -1 if file.name == name else None])
        with pytest.raises(Refused, match=name) as refused:
            NodeSession(folder, 4, "simd128")
        assert refused.value.kind == "corrupt"


@needs_node
def test_a_bundle_for_another_machine_is_refused_with_what_to_do(exact: Bundles) -> None:
    with pytest.raises(Refused, match=r"--target wasm32") as refused:
        NodeSession(exact.native, 4)
    assert refused.value.kind == "mismatch"
    with pytest.raises(Refused, match=r"no kernels for avx2\. It has: .*simd128"):
        NodeSession(exact.wasm, 4, "avx2")
