"""Mixtures of experts on GPUs: their kernels against numpy, and stacks of matrices that no binding has room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from tests.compiler.compiled import Sequences, compile_exact
from tests.compiler.test_experts import chosen_ids, ordered
from tests.gpu.adapter import run_kernel
from tests.gpu.products import Packed, assert_close, expected, normed, padded
from tests.gpu.software import software_gpu
from tests.gpu.test_models import batches

from golden import CASES
from hearth.bundle import GPU_COSTS, read_costs
from hearth.compiler.gpu.kernels.experts import (
    COMBINED,
    RouteSpec,
    combine_experts,
    order_experts,
    route,
)
from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows
from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.rules import parts
from hearth.quant import FORMATS
from hearth.runtime import Model, TextSession

Ids = NDArray[np.int32]
COUNT, USED, TOKENS = 20, 5, 37
ROUTES = (
    RouteSpec(COUNT, USED, "softmax", False, True, 1.0, 1, 1, 2),
    RouteSpec(COUNT, USED, "softmax", False, False, 1.0, 1, 1, 2),
    RouteSpec(COUNT, USED, "softmax_of_chosen", False, False, 1.0, 1, 1, 2),
    RouteSpec(COUNT, USED, "sigmoid", True, True, 2.5, 1, 1, 2),
    RouteSpec(COUNT, USED, "sigmoid", True, False, 1.0, 4, 2, 2),
    RouteSpec(COUNT, USED, "softmax", False, False, 1.0, 4, 2, 1),
    RouteSpec(300, 8, "softmax", False, True, 1.0, 1, 1, 2),
    RouteSpec(300, 8, "softmax", False, True, 1.0, 1, 1, 2, expert_scale=True),
    RouteSpec(COUNT, USED, "sigmoid", True, False, 2.5, 1, 1, 2, expert_scale=True),
)


# -- the choice


def routed(spec: RouteSpec, logits: NDArray[Any], bias: NDArray[Any]) -> tuple[Ids, NDArray[np.float32]]:
    ids, weights = np.full((len(logits), spec.used), -1, np.int32), np.full((len(logits), 16), np.nan, np.float32)
    x = padded(logits)
    operands = [x, *([bias.astype(np.float32)] if spec.choice_bias else [])]
    operands += [*([scales(spec.count)] if spec.expert_scale else []), ids, weights]
    *_, ids, weights = run_kernel(route(spec), operands, [x.shape[1], 16], len(logits))
    return ids, weights[:, : spec.used]


def scales(count: int) -> NDArray[np.float32]:
    return np.linspace(0.5, 1.5, count, dtype=np.float32)


@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: spec.name)
def test_the_best_experts_are_chosen_and_weighed(spec: RouteSpec) -> None:
    rng = np.random.default_rng(1)
    logits = (3 * rng.standard_normal((TOKENS, spec.count))).astype(np.float32)
    bias = rng.standard_normal(spec.count)
    ids, weights = routed(spec, logits, bias)
    x = logits.astype(np.float64)
    scores = 1 / (1 + np.exp(-x)) if spec.scores == "sigmoid" else x
    if spec.scores == "softmax":
        scores = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    choice = scores + bias if spec.choice_bias else scores.copy()
    groups = choice.reshape(TOKENS, spec.groups, -1)
    best = np.sort(groups, axis=2)[:, :, -spec.best_of_group :].sum(axis=2)
    for row in range(TOKENS):
        groups[row, np.argsort(best[row])[: spec.groups - spec.used_groups]] = -np.inf
    wanted = np.argsort(-groups.reshape(TOKENS, -1), axis=1)[:, : spec.used]
    np.testing.assert_array_equal(ids, wanted)
    own = np.take_along_axis(scores, wanted, axis=1)
    if spec.scores == "softmax_of_chosen":
        own = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
    if spec.normalise:
        own = own / own.sum(axis=1, keepdims=True)
    own = own * spec.scale * (scales(spec.count)[wanted] if spec.expert_scale else 1.0)
    np.testing.assert_allclose(weights, own, rtol=5e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: spec.name)
def test_numbers_that_are_none_choose_experts_that_are_there(spec: RouteSpec, value: float) -> None:
    ids, _ = routed(spec, np.full((3, spec.count), value, np.float32), np.zeros(spec.count))
    assert ((ids >= 0) & (ids < spec.count)).all()
    assert all(len(set(row)) == spec.used for row in ids)


# -- the order


def tiles_of(ids: Ids, count: int, rows: int) -> Ids:
    """Tiles as `order_experts` has them, behind them two that are none."""
    tiles, place = [], 0
    for expert in range(count):
        end = place + int((ids == expert).sum())
        tiles += [(expert, first, min(first + rows, end)) for first in range(place, end, rows)]
        place = end
    return np.array([*tiles, (0, 0, 0), (0, 0, 0)], np.int32)


@pytest.mark.parametrize(("count", "tokens"), [(COUNT, 1), (COUNT, 140), (300, 70)])
def test_what_one_expert_computes_stands_together(count: int, tokens: int) -> None:
    ids = chosen_ids(tokens, count, USED)
    _, _, whose, places = ordered(ids, count)
    tiles = tiles_of(ids, count, 4)
    operands = [ids, np.full_like(tiles, -1), np.full_like(whose, -1), np.full_like(places, -1)]
    _, *found = run_kernel(order_experts(count, 4), operands, [ids.size, USED, len(tiles)], 1)
    for array, wanted in zip(found, (tiles, whose, places), strict=True):
        np.testing.assert_array_equal(array, wanted)


# -- the products


class Experts:
    """A stack of matrices, and pairs that are multiplied by them."""

    def __init__(self, product: ProductSpec, n: int, k: int, tokens: int) -> None:
        self.product, self.n, self.k = product, n, k
        rng = np.random.default_rng(n + k)
        self.weights = [Packed(product.fmt, n, k, seed=i) for i in range(COUNT)]
        self.x, self.gain = rng.normal(size=(tokens, k)), rng.normal(size=k)
        self.ids = chosen_ids(tokens, COUNT, USED)
        _, _, self.tokens, self.places = ordered(self.ids, COUNT)
        self.outputs = n // product.parts
        self.units = -(-self.outputs // 16)

    def run(self, spec: FewRowsSpec, weights: list[Any], blocks: tuple[int, int], y: Any) -> Any:
        """The result of a step that is given `weights`.

        Args:
            blocks: of 16 rows: in each of these, and before them all.
        """
        x = padded(self.x)
        tiles = tiles_of(self.ids, COUNT, spec.rows)
        numbers = [self.tokens] if spec.product.gather else []
        whose = self.ids.reshape(-1) if spec.rows == 1 else tiles
        count = self.ids.size if spec.rows == 1 else len(tiles)
        gain = [padded(self.gain[None], fill=0.0)[0]] if spec.product.norm else []
        operands = [*weights, x, *gain, *numbers, whose, y]
        height, begin = blocks
        scalars = [count, self.k, x.shape[1], self.weights[0].blocks, height, y.shape[1], 0, self.units, begin, USED]
        return run_kernel(few_rows(spec), operands, scalars, count * self.units)[-1]

    def expected(self) -> Any:
        """By place, in the order of pairs."""
        x = self.x if self.product.norm is None else normed(self.x, self.gain, self.product.norm)
        rows = [
            expected(self.product, x[token : token + 1], self.weights[expert].values)
            for token, chosen in enumerate(self.ids)
            for expert in chosen
        ]
        return np.concatenate(rows)


@pytest.mark.parametrize("fmt", ["f32", "q4", "q6_k"])
@pytest.mark.parametrize(("epilogue", "activation", "norm"), [("store", "", None), ("gated", "silu", 1e-5)])
def test_each_pair_is_multiplied_by_its_experts_matrix(
    fmt: str, epilogue: Any, activation: str, norm: float | None
) -> None:
    """Alone, beside others of the same expert, and in steps that are given parts of the stack: with the same bits."""
    product = ProductSpec(FORMATS[fmt], epilogue=epilogue, activation=activation, norm=norm, tail=fmt == "f32")
    experts = Experts(product, 64, 40 if fmt == "f32" else 256, tokens=30)
    whole = np.concatenate([weight.bytes for weight in experts.weights])
    empty = np.full((experts.ids.size, 16 * experts.units), np.nan, np.float32)
    alone = experts.run(FewRowsSpec(product, 1, 64, experts=True), [whole], (4 * COUNT, 0), empty)
    assert_close(alone, experts.expected(), 1e-5)
    gathers = ProductSpec(**{**vars(product), "gather": True})
    several = experts.run(FewRowsSpec(gathers, 4, 64, experts=True), [whole], (4 * COUNT, 0), empty)
    np.testing.assert_array_equal(several[experts.places.reshape(-1)], alone)
    # Parts of six matrices and a half: two in one step, the others in another.
    height = 26
    size = height * len(whole) // (4 * COUNT)
    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = empty
    for begin in range(0, len(cut), 2):
        given = cut[begin : begin + 2]
        spec = FewRowsSpec(product, 1, 64, len(given), experts=True)
        found = experts.run(spec, given, (height, height * begin), found)
    np.testing.assert_array_equal(found, alone)


# -- the sum


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
def test_what_experts_computed_becomes_one_row(add: bool, in_order: bool) -> None:
    rng = np.random.default_rng(2)
    _, _, _, places = ordered(chosen_ids(TOKENS, COUNT, USED), COUNT)
    x, residual = (rng.standard_normal((rows, 48)).astype(np.float32) for rows in (TOKENS * USED, TOKENS))
    weights = np.full((TOKENS, 16), np.nan, np.float32)
    weights[:, :USED] = rng.random((TOKENS, USED))
    given = places if in_order else np.full_like(places, 1 << 30)
    operands = [x, given, weights, *([residual] if add else []), np.full_like(residual, np.nan)]
    scalars = [TOKENS, USED, 48, 16, int(in_order)]
    *_, y = run_kernel(combine_experts(add=add, scale=0.5), operands, scalars, -(-TOKENS * 12 // COMBINED))
    pairs = places if in_order else np.arange(TOKENS * USED).reshape(TOKENS, USED)
    wanted = (x[pairs].astype(np.float64) * weights[:, :USED, None]).sum(axis=1)
    assert_close(y, residual + 0.5 * wanted if add else wanted, 2e-6)


# -- a model


def test_stacks_that_cannot_be_bound_at_once_compute_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in CASES if case.name == "glm4_moe")
    whole = compile_exact(case.path, tmp_path / "whole")
    monkeypatch.setattr(parts, "MAX_BINDING_BYTES", 20 << 10)
    cut = compile_exact(case.path, tmp_path / "cut")
    with (
        Model(whole, device=software_gpu(whole)) as one,
        Model(cut, device=software_gpu(cut)) as other,
        TextSession(one, num_pages=32) as a,
        TextSession(other, num_pages=32) as b,
    ):
        here, there = Sequences(a), Sequences(b)
        for pieces in batches(a.info.vocab_size)[:3]:
            for x, y in zip(here.run(pieces), there.run(pieces), strict=True):
                np.testing.assert_array_equal(x, y)
        assert b.read_counters().dispatches > a.read_counters().dispatches
        # Each of the steps reads the norm's weight.
        assert 0 < token_weights(a) <= token_weights(b) <= 1.01 * token_weights(a)


def token_weights(session: TextSession) -> int:
    """Bytes of experts' matrices that a decoded token reads."""
    session.profile(True)
    session.forward([1], [0], [0], np.zeros((1, 1), np.int32), [0])
    steps = zip(session.read_profile(), read_costs(session.model.path, GPU_COSTS), strict=True)
    return sum(step.calls * cost.token_weight_bytes for step, cost in steps)


def test_what_a_decoded_token_of_a_mixture_costs_is_counted(tmp_path: Path) -> None:
    """Of a layer four for attention, the router and its choice, two products and their sum. Nothing is put in order."""
    case = next(case for case in CASES if case.name == "qwen3_moe")
    folder = compile_exact(case.path, tmp_path / "bundle")
    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=8) as session:
        session.forward([1], [0], [0], np.arange(8, dtype=np.int32)[None], [0], wanted=("argmax",))
        counters = session.read_counters()
        assert counters.dispatches == 9 * model.info.layers.count + 4
        assert (counters.passes, counters.submits) == (1, 1)
