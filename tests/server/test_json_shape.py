"""JSON is measured before it is parsed: what a parser would choke on is seen in time, whatever stands in strings."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from hearth.server import json_shape
from hearth.server.json_shape import Shape, measure

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]|[:,]', re.DOTALL)


def by_tokens(text: bytes) -> Shape:
    depth = deepest = branches = items = 0
    for match in _TOKENS.finditer(text):
        first = chr(text[match.start()])
        depth += (first in "[{") - (first in "]}")
        deepest = max(depth, deepest)
        branches += first in "[{:"
        items += first == ","
    return Shape(deepest, branches, items)


def any_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(6)
    if kind == 1 and depth < 6:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 2 and depth < 6:
        return {any_text(rng): any_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return any_text(rng) if kind < 4 else rng.choice([1, -2.5, None, True])


def any_text(rng: random.Random) -> str:
    return "".join(rng.choice('ab"\\[]{},:é\n') for _ in range(rng.randrange(12)))


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 18])
def test_any_json_is_measured_right_wherever_blocks_end(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(json_shape, "_BLOCK_BYTES", block_bytes)
    rng = random.Random(block_bytes)
    for _ in range(300):
        text = json.dumps(any_value(rng), ensure_ascii=rng.random() < 0.5).encode()
        cut = text[: rng.randrange(len(text) + 1)] if rng.random() < 0.3 else text
        assert measure(cut) == by_tokens(cut), cut


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (b"", Shape(0, 0, 0)),
        (b"[" * 100_000, Shape(100_000, 100_000, 0)),
        (b'"' + b'\\"' * 400_000 + b'[[["', Shape(0, 0, 0)),
        (b'"\\\\"[[', Shape(2, 2, 0)),
        (b'{"a": "' + b"[,:{" * 100_000, Shape(1, 2, 0)),
        (b"]]]" + b"[" * 5, Shape(2, 5, 0)),
    ],
)
def test_what_is_no_json_is_measured_too(text: bytes, shape: Shape) -> None:
    assert measure(text) == shape
