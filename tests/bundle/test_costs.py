"""What the profile says a step moves and computes is what a count token by token gives; a damaged table is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.bundle import COSTS, BatchShape, StepCost, read_costs, write_costs
from hearth.errors import BundleMismatch, CorruptFile

PRODUCT = StepCost(
    "down", "matmul", "int8", weight_bytes=1000, row_bytes={"tokens": 10, "logit_rows": 3}, row_operations={"tokens": 7}
)
ATTENTION = StepCost("attention", "attention", row_bytes={"tokens": 8}, kv_bytes=100, pair_operations=4)
SPANS = [((0, 1),), ((5, 3), (0, 4)), ((100, 1),) * 4, ((30, 20), (7, 1))]


@pytest.mark.parametrize("spans", SPANS)
@pytest.mark.parametrize("window", [0, 1, 4, 33])
def test_attention_counts_what_each_token_sees(spans: tuple[tuple[int, int], ...], window: int) -> None:
    pairs, seen = 0, set()
    for sequence, (first, count) in enumerate(spans):
        for position in range(first, first + count):
            visible = range(max(0, position - window + 1) if window else 0, position + 1)
            pairs += len(visible)
            seen |= {(sequence, token) for token in visible}
    shape = BatchShape(spans, logit_rows=1)
    assert shape.pairs(window) == pairs
    assert shape.context_tokens(window) == len(seen)


def test_costs_follow_the_batch() -> None:
    shape = BatchShape(((10, 2), (0, 1)), logit_rows=2)
    assert PRODUCT.memory_bytes(shape) == 1000
    assert PRODUCT.bytes(shape) == 1000 + 10 * 3 + 3 * 2
    assert PRODUCT.operations(shape) == 7 * 3
    assert ATTENTION.memory_bytes(shape) == 100 * (12 + 1)
    assert ATTENTION.bytes(shape) == 100 * 13 + 8 * 3
    assert ATTENTION.operations(shape) == 4 * (11 + 12 + 1)


def test_costs_come_back_from_the_file(tmp_path: Path) -> None:
    steps = [PRODUCT, ATTENTION, PRODUCT]
    (tmp_path / COSTS).write_text(write_costs(steps))
    assert read_costs(tmp_path) == tuple(steps)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"costs": [], "steps": [0]}', '{"costs": [{}], "steps": [0]}', "[" * 100_000, "\xff"]
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / COSTS).write_text(text, encoding="latin-1")
    with pytest.raises(CorruptFile, match=r"costs\.json"):
        read_costs(tmp_path)


def test_a_bundle_of_an_older_hearth_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleMismatch) as caught:
        read_costs(tmp_path)
    assert "hearth compile" in caught.value.hint
