"""Kernels of mixtures of experts: against numpy. A failure says that a model of this kind answers wrongly, or that an
answer depends on what is computed beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import prepared
from tests.compiler.kernel_library import (
    KernelLibrary,
    build,
    copied,
    emulated_params,
    float_params,
    guarded,
    isa_params,
)
from tests.quant.helpers import random_blocks

from hearth.compiler.cpu.kernels.expert_product import ExpertProductSpec, expert_product
from hearth.compiler.cpu.kernels.experts import RouteSpec, combine_experts, order_experts, route
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.quant import FORMATS, Format, pack, round_up, unpack_layout

F32 = NDArray[np.float32]
Ids = NDArray[np.int32]

ROUTES = (
    RouteSpec("softmax", False, True, 1.0, 1, 1, 2),
    RouteSpec("softmax", False, False, 1.0, 1, 1, 2),
    RouteSpec("softmax_of_chosen", False, False, 1.0, 1, 1, 2),
    RouteSpec("sigmoid", True, True, 2.5, 1, 1, 2),
    RouteSpec("sigmoid", True, False, 1.0, 4, 2, 2),
    RouteSpec("softmax", False, False, 1.0, 4, 2, 1),
    RouteSpec("softmax", False, True, 1.0, 1, 1, 2, expert_scale=True),
    RouteSpec("sigmoid", True, False, 2.5, 1, 1, 2, expert_scale=True),
)
COUNT, USED, TOKENS = 20, 5, 37
SCALES = np.linspace(0.5, 1.5, COUNT, dtype=np.float32)


@pytest.fixture(scope="module", params=float_params())
def around(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    """What is around the products."""
    kernels = [*(route(spec) for spec in ROUTES), order_experts(), combine_experts(add=False)]
    kernels.append(combine_experts(add=True, scale=0.5))
    return build(kernels, request.param, tmp_path_factory.mktemp("experts"))


def run_route(library: KernelLibrary, spec: RouteSpec, logits: F32, bias: F32) -> tuple[Ids, F32]:
    rows, count = logits.shape
    padded = np.full((rows, round_up(count, 16)), np.nan, np.float32)
    padded[:, :count] = logits
    ids, weights = guarded((rows, USED), np.int32), guarded((rows, 16), np.float32)
    buffers = [copied(padded), *([copied(bias)] if spec.choice_bias else [])]
    buffers += [*([copied(SCALES)] if spec.expert_scale else []), ids, weights]
    scalars = [count, USED, padded.shape[1], 16]
    library.run(spec.name, buffers, scalars, rows, chunk=2, scratch_bytes=spec.scratch_bytes(count))
    return np.array(ids), np.array(weights[:, :USED])


@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: spec.name)
def test_the_best_experts_are_chosen_and_weighed(around: KernelLibrary, spec: RouteSpec) -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((TOKENS, COUNT)).astype(np.float32) * 3
    bias = rng.standard_normal(COUNT).astype(np.float32)
    ids, weights = run_route(around, spec, logits, bias)
    x = logits.astype(np.float64)
    scores = 1 / (1 + np.exp(-x)) if spec.scores == "sigmoid" else x
    if spec.scores == "softmax":
        scores = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    choice = scores + bias if spec.choice_bias else scores
    if spec.groups > 1:
        groups = choice.reshape(TOKENS, spec.groups, -1)
        best = np.sort(groups, 2)[:, :, -spec.best_of_group :].sum(2)
        for row in range(TOKENS):
            groups[row, np.argsort(best[row])[: -spec.used_groups]] = -np.inf
        choice = groups.reshape(TOKENS, COUNT)
    expected = np.argsort(-choice, 1)[:, :USED]
    assert np.array_equal(ids, expected)
    own = np.take_along_axis(scores, expected, 1)
    if spec.scores == "softmax_of_chosen":
        own = np.exp(own) / np.exp(own).sum(1, keepdims=True)
    if spec.normalise:
        own = own / own.sum(1, keepdims=True)
    assert np.allclose(weights, own * spec.scale * (SCALES[expected] if spec.expert_scale else 1.0), rtol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: spec.name)
def test_numbers_that_are_none_choose_experts_that_are_there(
    around: KernelLibrary, spec: RouteSpec, value: float
) -> None:
    """Else a damaged model would read, and write, beyond its memory."""
    ids, _ = run_route(around, spec, np.full((3, COUNT), value, np.float32), np.zeros(COUNT, np.float32))
    assert (ids >= 0).all()
    assert (ids < COUNT).all()


def chosen_ids(tokens: int, count: int, used: int) -> Ids:
    """Different experts for each token; some are never chosen."""
    rng = np.random.default_rng(tokens)
    return np.stack([rng.permutation(count - 3)[:used] for _ in range(tokens)]).astype(np.int32)


def ordered(ids: Ids, count: int) -> tuple[Ids, Ids, Ids, Ids]:
    """experts, starts, tokens and places, as `order_experts` says."""
    flat = ids.reshape(-1)
    order = np.argsort(flat, kind="stable")
    experts, sizes = np.unique(flat, return_counts=True)
    starts = np.full(count + 1, flat.size, np.int32)
    starts[: len(sizes)] = np.cumsum(sizes) - sizes
    padded = np.zeros(count, np.int32)
    padded[: len(experts)] = experts
    places = np.empty(flat.size, np.int32)
    places[order] = np.arange(flat.size)
    return padded, starts, (order // ids.shape[1]).astype(np.int32), places.reshape(ids.shape)


@pytest.mark.parametrize("tokens", [1, 2, 40])
def test_what_one_expert_computes_stands_together(around: KernelLibrary, tokens: int) -> None:
    ids = chosen_ids(tokens, COUNT, USED)
    expected = ordered(ids, COUNT)
    made = [guarded(array.shape, np.int32) for array in expected]
    scalars = [ids.size, USED, COUNT]
    around.run("order_experts", [copied(ids), *made], scalars, 1, chunk=1, scratch_bytes=4 * COUNT)
    for array, right in zip(made, expected, strict=True):
        assert np.array_equal(array, right)


@pytest.mark.parametrize("add", [False, True])
def test_what_experts_computed_becomes_one_row(around: KernelLibrary, add: bool) -> None:
    rng = np.random.default_rng(2)
    tokens, ld = 7, 48
    _, _, _, places = ordered(chosen_ids(tokens, COUNT, USED), COUNT)
    x = rng.standard_normal((tokens * USED, ld)).astype(np.float32)
    residual = rng.standard_normal((tokens, ld)).astype(np.float32)
    weights = np.full((tokens, 16), np.nan, np.float32)
    weights[:, :USED] = rng.random((tokens, USED))
    y = guarded((tokens, ld), np.float32)
    buffers = [copied(x), copied(places), copied(weights), *([copied(residual)] if add else []), y]
    name = "combine_experts_add_0p5" if add else "combine_experts"
    around.run(name, buffers, [USED, ld, 16], tokens, chunk=2)
    expected = np.einsum("ti,tic->tc", weights[:, :USED].astype(np.float64), x[places].astype(np.float64))
    assert np.allclose(y, residual + 0.5 * expected if add else expected, atol=1e-5)


PRODUCTS = (("q4", "int8"), ("q8", "int8"), ("q5_1", "int8"), ("q6_k", "int8"), ("q4", "float32"), ("f16", "float32"))


STORE = ("store", False)
"""The kind of product that has a bias here."""


def product_params() -> list[Any]:
    params = []
    for isa in (*isa_params(), *emulated_params()):
        for name, kind in PRODUCTS:
            slow = [pytest.mark.slow] if isa in emulated_params() and (name, kind) not in PRODUCTS[:1] else []
            marks = [*isa.marks, *slow]
            params.append(pytest.param((isa.values[0], FORMATS[name], kind), id=f"{isa.id}-{name}-{kind}", marks=marks))
    return params


@dataclass(frozen=True)
class Products:
    library: KernelLibrary
    fmt: Format
    kind: str
    names: dict[tuple[str, bool], str]


@pytest.fixture(scope="module", params=product_params())
def products(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Products:
    isa, fmt, kind = request.param
    wanted = [("gated", True), STORE]
    specs = {
        key: ExpertProductSpec(MatmulSpec(fmt, isa, activations=kind, bias=key == STORE, epilogue=key[0]), key[1])
        for key in wanted
    }
    library = build([expert_product(s) for s in specs.values()], isa, tmp_path_factory.mktemp("products"))
    return Products(library, fmt, kind, {key: spec.name for key, spec in specs.items()})


def weights_of(fmt: Format, count: int, n: int, k: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Packed matrices of experts, one after another, and what they are worth."""
    packed = []
    for expert in range(count):
        rng = np.random.default_rng(expert)
        values = rng.standard_normal((n, k)).astype(np.float32)
        packed.append(pack(values if fmt.is_float else random_blocks(fmt.name, n, k, seed=expert), fmt))
    exact = [unpack_layout(each, n, k, fmt).astype(np.float64) for each in packed]
    return np.concatenate(packed), np.stack(exact)


def run_product(
    products: Products, key: tuple[str, bool], packed: NDArray[np.uint8], shape: tuple[int, int, int], x: F32,
    ids: Ids, chunk: int, bias: F32 | None = None,
) -> F32:  # fmt: skip
    """Rows of the result in the order of the tokens' choices."""
    count, n, k = shape
    experts, starts, tokens, places = ordered(ids, count)
    kp = round_up(k, products.fmt.column_multiple)
    units = round_up(n, 16) // 16 // (2 if key[0] == "gated" else 1)
    y = guarded((ids.size, 16 * units), np.float32)
    rows = [copied(tokens)] if key[1] else []
    rows += [] if bias is None else [copied(np.pad(bias, ((0, 0), (0, -n % 16))))]
    buffers = [copied(packed), *prepared(x, kp, products.kind).buffers, copied(experts), copied(starts), *rows, y]
    scalars = [kp // products.fmt.block_columns, kp, 16 * units, units]
    products.library.run(products.names[key], buffers, scalars, min(ids.size, count) * units, chunk=chunk)
    return np.array(y[places.reshape(-1)])


@pytest.mark.parametrize("tokens", [1, 3, 24])
def test_tokens_meet_their_experts(products: Products, tokens: int) -> None:
    count, used, n, k = 7, 2, 40, 300
    ids = chosen_ids(tokens, count, used)
    packed, exact = weights_of(products.fmt, count, n, k)
    x = np.random.default_rng(tokens).standard_normal((tokens * used, k)).astype(np.float32)
    bias = np.random.default_rng(9).standard_normal((count, n)).astype(np.float32)
    y = run_product(products, STORE, packed, (count, n, k), x, ids, chunk=4, bias=bias)[:, :n]
    kp = round_up(k, products.fmt.column_multiple)
    values = prepared(x, kp, products.kind).values
    _, _, _, places = ordered(ids, count)
    for pair, (expert, place) in enumerate(zip(ids.reshape(-1), places.reshape(-1), strict=True)):
        size = np.abs(values[place]) @ np.abs(exact[expert]).T + np.abs(bias[expert])
        assert (np.abs(y[pair] - values[place] @ exact[expert].T - bias[expert]) <= 1e-5 * size).all(), pair


def test_a_token_has_the_same_bits_in_any_batch(products: Products) -> None:
    """Gate and up in turn, of tokens that are gathered."""
    count, used, n, k = 7, 3, 64, 200
    ids = chosen_ids(19, count, used)
    packed, exact = weights_of(products.fmt, count, n, k)
    x = np.random.default_rng(4).standard_normal((19, k)).astype(np.float32) * 0.1
    key, shape = ("gated", True), (count, n, k)
    together = run_product(products, key, packed, shape, x, ids, chunk=3).reshape(19, used, -1)
    values = prepared(x, round_up(k, products.fmt.column_multiple), products.kind).values
    blocks = exact.reshape(count, 2, 2, 16, k)
    for token in (0, 7, 18):
        alone = run_product(products, key, packed, shape, x[token : token + 1], ids[token : token + 1], chunk=1)
        assert np.array_equal(alone, together[token])
        for place, expert in enumerate(ids[token]):
            gate, up = (blocks[expert, :, part].reshape(-1, k) @ values[token] for part in (0, 1))
            expected = gate / (1 + np.exp(-gate)) * up
            assert np.allclose(alone[place], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
