"""Products on a GPU, each number format and epilogue, few rows and many: against numpy in float64.

A failure says that models in this format answer wrongly on GPUs.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tvm")

from tests.gpu.adapter import run_kernel
from tests.gpu.products import Packed, assert_close, expected, normed, padded
from tests.quant.helpers import OTHER_TABLES

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.few_rows import FewRowsSpec, few_rows
from hearth.compiler.gpu.kernels.many_rows import DOT4, F16, ManyRowsSpec, many_rows
from hearth.compiler.gpu.kernels.norms import rms_norm
from hearth.compiler.gpu.kernels.product_output import Carried, ProductSpec
from hearth.compiler.gpu.kernels.tile import TILE_BLOCKS, TILE_ROWS
from hearth.quant import FORMATS, round_up

LAYOUTS = list({fmt.kernel_layout: fmt.name for fmt in FORMATS.values()}.values())
SELDOM = [pytest.param(name, marks=pytest.mark.slow) if name in OTHER_TABLES else name for name in LAYOUTS]
EPSILON = 1e-5


@dataclass
class Call:
    """A product of random numbers, as a kernel is given it."""

    product: ProductSpec
    m: int
    n: int
    k: int
    first: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.m * self.n + self.k)
        self.weight = Packed(self.product.fmt, self.n, self.k, seed=self.n)
        rows = self.m + 3 if self.product.gather else self.m
        self.x = 3 * rng.normal(size=(rows, self.k))
        self.numbers = rng.permutation(rows)[: self.m].astype(np.int32)
        self.gain, self.bias = rng.normal(size=self.k), 50 * rng.normal(size=self.n)
        self.outputs = self.n // self.product.parts
        self.ldy = round_up(self.total or self.outputs, 16)
        self.residual = 100 * rng.normal(size=(self.m, self.outputs))

    @property
    def units(self) -> int:
        """Blocks of 16 outputs."""
        return -(-self.outputs // 16)

    @property
    def wanted(self) -> NDArray[np.float64]:
        x = self.x[self.numbers] if self.product.gather else self.x
        x = x if self.product.norm is None else normed(x, self.gain, self.product.norm)
        bias = self.bias if self.product.bias else None
        residual = self.residual if self.product.epilogue == "add" else None
        return expected(self.product, x, self.weight.values, bias, residual)

    def run(self, kernel: Any, units: int, *extents: int) -> list[NDArray[Any]]:
        """What the kernel leaves of Y (and of largest numbers and their places, or of squares), without padding."""
        buffers: list[NDArray[Any]] = [self.weight.bytes, padded(self.x)]
        if self.product.norm is not None:
            buffers.append(padded(self.gain[None], fill=0)[0])
        if self.product.gather:
            buffers.append(self.numbers)
        if self.product.bias:
            buffers.append(padded(self.bias[None], fill=0)[0])
        if self.product.epilogue == "add":
            buffers.append(padded(self.residual))
        results: list[NDArray[Any]] = [np.full((self.m, self.ldy), np.nan, np.float32)]
        scalars = [self.m, self.k, padded(self.x).shape[1], self.weight.blocks, *extents, self.ldy, self.first]
        if self.product.epilogue == "logits":
            results.append(np.full((self.m, self.ldy // 16, 2), -1, np.int32))
        if self.product.notes_squares:
            results.append(np.full((self.m, self.ldy // 16), np.nan, np.float32))
        if len(results) > 1:
            scalars.append(self.total or self.n)
        found = run_kernel(kernel, [*buffers, *results], scalars, units)[len(buffers) :]
        columns = slice(16 * self.first, 16 * self.first + self.outputs)
        return [found[0][:, columns], *(part[:, self.first : self.first + self.units] for part in found[1:])]


def few(call: Call, rows: int, threads: int = 64) -> list[NDArray[Any]]:
    height = call.units * call.product.parts
    return call.run(few_rows(FewRowsSpec(call.product, rows, threads)), call.units * -(-call.m // rows), height)


def many(call: Call, features: Features = CORE) -> list[NDArray[Any]]:
    height = call.units * call.product.parts
    units = -(-call.m // TILE_ROWS) * -(-height // TILE_BLOCKS)
    return call.run(many_rows(ManyRowsSpec(call.product), features), units, height)


# A few rows are read by loops, one row is not: what shifts by the number of a column differs.
OFTEN_LOOPED = ("q4_0", "q5_k", "q6_k", "q3_k", "iq4_nl", "bf16")
LOOPED = [
    pytest.param(name, 4, marks=[] if name in OFTEN_LOOPED else pytest.mark.slow) for name in LAYOUTS
]  # fmt: skip


@pytest.mark.parametrize(("name", "rows"), [*((name, 1) for name in LAYOUTS if name not in OTHER_TABLES), *LOOPED])
def test_few_rows_of_every_format(name: str, rows: int) -> None:
    call = Call(ProductSpec(FORMATS[name], tail=True), m=rows + (rows > 1), n=40, k=300)
    assert_close(few(call, rows)[0], call.wanted, 1e-5)


@pytest.mark.parametrize("name", SELDOM)
def test_many_rows_of_every_format(name: str) -> None:
    call = Call(ProductSpec(FORMATS[name], tail=True), m=9, n=40, k=300)
    assert_close(many(call)[0], call.wanted, 1e-5)


Q4, Q8 = FORMATS["q4"], FORMATS["q8"]
EPILOGUES = {
    "store": ProductSpec(Q4, bias=True),
    "add": ProductSpec(Q4, epilogue="add", scale=0.25),
    "add_bias": ProductSpec(Q8, epilogue="add", bias=True),
    "add_then_relu": ProductSpec(Q8, epilogue="add", after="relu"),
    "silu": ProductSpec(Q4, epilogue="activate", activation="silu"),
    "gelu": ProductSpec(Q4, epilogue="activate", activation="gelu", bias=True),
    "relu": ProductSpec(Q4, epilogue="activate", activation="relu"),
    "gated_silu": ProductSpec(Q4, epilogue="gated", activation="silu"),
    "gated_gelu_tanh": ProductSpec(Q8, epilogue="gated", activation="gelu_tanh", bias=True),
}


@pytest.mark.parametrize(("rows", "threads"), [(1, 128), (4, 256)])
@pytest.mark.parametrize("name", EPILOGUES)
def test_few_rows_with_every_epilogue(name: str, rows: int, threads: int) -> None:
    call = Call(EPILOGUES[name], m=rows, n=96, k=320)
    assert_close(few(call, rows, threads)[0], call.wanted, 1e-5)


@pytest.mark.parametrize(("name", "threads"), [("q4", 64), ("q6_k", 256)])
def test_a_row_has_the_same_bits_alone_and_among_others(name: str, threads: int) -> None:
    product = ProductSpec(FORMATS[name], epilogue="gated", activation="silu", norm=EPSILON)
    together = Call(product, m=6, n=64, k=2080)
    found = few(together, 4, threads)[0]
    assert_close(found, together.wanted, 1e-5)
    alone = copy(together)
    alone.m = 1
    for i in range(6):
        alone.x = together.x[i : i + 1]
        np.testing.assert_array_equal(few(alone, 1, threads)[0], found[i : i + 1])


@pytest.mark.parametrize("rows", [1, 4])
def test_squares_of_what_a_product_gives_are_noted(rows: int) -> None:
    call = Call(ProductSpec(Q8, notes_squares=True), m=rows, n=70, k=64)
    found, squares = few(call, rows)
    assert_close(found, call.wanted, 1e-5)
    blocks = np.pad(found.astype(np.float64), [(0, 0), (0, 10)]).reshape(rows, -1, 16)
    np.testing.assert_allclose(squares, (blocks**2).sum(axis=2), rtol=1e-5)


@pytest.mark.parametrize(("norm", "stores", "k"), [(EPSILON, True, 96), (None, True, 300), (EPSILON, False, 300)])
def test_a_norm_that_is_carried_gives_the_bits_of_one_that_is_a_step(norm: float | None, stores: bool, k: int) -> None:
    """residual + norm(y), by a step before a product and by the product itself."""
    product = ProductSpec(Q4, epilogue="gated", activation="silu", norm=norm, tail=ProductSpec.has_tail(k))
    call, rng = Call(product, m=1, n=64, k=k), np.random.default_rng(3)
    y, residual = padded(rng.normal(size=(1, k))), padded(10 * rng.normal(size=(1, k)))
    gain = padded(rng.normal(size=(1, k)), fill=0)[0]
    squares = np.add.reduceat(np.nan_to_num(y[0]) ** 2, np.arange(0, y.shape[1], 16))
    step = rms_norm(1e-3, add=True, scale=0.5, noted=True)
    *_, summed = run_kernel(step, [y, gain, residual, squares, np.zeros_like(y)], [k, y.shape[1]], 1)
    exact = y[:, :k].astype(np.float64)
    expected = residual[:, :k] + 0.5 * normed(exact, gain[:k].astype(np.float64), 1e-3)
    np.testing.assert_allclose(summed[:, :k], expected, rtol=1e-6, atol=1e-6)

    call.x = summed[:, :k].astype(np.float64)
    made = few_rows(FewRowsSpec(replace(product, carried=Carried(1e-3, 0.5, stores)), 1, 128))
    gains = [] if norm is None else [padded(call.gain[None], fill=0)[0]]
    buffers = [call.weight.bytes, residual, y, squares, gain, *gains, np.full((1, call.ldy), np.nan, np.float32)]
    left = [np.full_like(y, np.nan)] if stores else []
    scalars = [1, k, y.shape[1], call.weight.blocks, call.units * 2, call.ldy, 0]
    results = run_kernel(made, [*buffers, *left], scalars, call.units)[len(buffers) - 1 :]
    np.testing.assert_array_equal(results[0][:, : call.outputs], few(call, 1, 128)[0])
    for found in results[1:]:
        np.testing.assert_array_equal(found[:, :k], summed[:, :k])


@pytest.mark.parametrize("m", [3, 9])
@pytest.mark.parametrize("gather", [False, True])
def test_rows_normed_and_found_by_number(m: int, gather: bool) -> None:
    product = ProductSpec(Q4, epilogue="gated", activation="silu", norm=EPSILON, gather=gather)
    call = Call(product, m, n=64, k=96)
    for found in (few(call, 4), many(call)):
        assert_close(found[0], call.wanted, 1e-5)


@pytest.mark.parametrize("name", EPILOGUES)
def test_many_rows_with_every_epilogue(name: str) -> None:
    call = Call(EPILOGUES[name], m=65, n=160, k=96)
    assert_close(many(call)[0], call.wanted, 1e-5)


def test_many_rows_of_logits() -> None:
    call = Call(ProductSpec(Q8, epilogue="logits", scale=0.5, softcap=30.0), m=9, n=70, k=64)
    assert_logits(call, many(call))


@pytest.mark.parametrize("name", ["q6_k", "bf16"])
def test_many_rows_as_halves(name: str) -> None:
    product = ProductSpec(FORMATS[name], epilogue="gated", activation="silu", norm=EPSILON)
    call = Call(product, m=65, n=96, k=288)
    assert_close(many(call, F16)[0], call.wanted, 2e-3)


def test_many_rows_as_halves_read_nothing_behind_the_last_column() -> None:
    call = Call(ProductSpec(Q8, tail=True), m=9, n=40, k=300)
    assert_close(many(call, F16)[0], call.wanted, 2e-3)


def rounded(call: Call) -> None:
    """Makes the activations such that rounding them to bytes, with a scale for each 32 columns, changes nothing."""
    rng = np.random.default_rng(7)
    groups = rng.integers(-127, 128, (len(call.x), -(-call.k // 32), 32)).astype(np.float64)
    groups[:, :, 3] = 127
    steps = 2.0 ** rng.integers(-4, 2, groups.shape[:2])
    call.x = (groups * steps[:, :, None]).reshape(len(call.x), -1)[:, : call.k]


# Of those whose integers are read alike one is enough every time.
AS_BYTES = [
    pytest.param(name, marks=pytest.mark.slow if name in ("q4_0", "q5_1", "q4_k", *OTHER_TABLES) else [])
    for name in LAYOUTS
    if not FORMATS[name].is_float
]


@pytest.mark.parametrize("name", AS_BYTES)
def test_many_rows_of_every_format_as_bytes(name: str) -> None:
    call = Call(ProductSpec(FORMATS[name]), m=9, n=40, k=288)
    rounded(call)
    assert_close(many(call, DOT4)[0], call.wanted, 1e-5)


@pytest.mark.parametrize("name", ["add_bias", "gated_silu"])
def test_many_rows_with_epilogues_as_bytes(name: str) -> None:
    call = Call(EPILOGUES[name], m=65, n=160, k=96)
    rounded(call)
    assert_close(many(call, DOT4)[0], call.wanted, 1e-5)


@pytest.mark.slow  # a software adapter compiles it for ten seconds
def test_many_rows_as_bytes_read_nothing_behind_the_last_column() -> None:
    call = Call(ProductSpec(Q4, tail=True), m=9, n=40, k=300)
    rounded(call)
    assert_close(many(call, DOT4)[0], call.wanted, 1e-5)


def test_many_rows_are_rounded_with_a_scale_for_each_group() -> None:
    call = Call(ProductSpec(Q4, norm=EPSILON, gather=True), m=65, n=96, k=512)
    call.x[:, 128:160] *= 1e-3  # a row's largest number is not the largest of every group
    call.gain[128:160] *= 1e3
    assert_close(many(call, DOT4)[0], call.wanted, 1.5e-2)


def assert_logits(call: Call, found: list[NDArray[Any]]) -> None:
    """The logits, and of each 16 of them the largest and its place, the first of equals."""
    logits, largest, place = found[0], found[1][:, :, 0].view(np.float32), found[1][:, :, 1]
    assert_close(logits, call.wanted, 1e-5)
    blocks = np.full((call.m, 16 * call.units), -np.inf, np.float32)
    blocks[:, : call.n] = logits
    blocks = blocks.reshape(call.m, -1, 16)
    np.testing.assert_array_equal(largest, blocks.max(axis=2))
    np.testing.assert_array_equal(place, blocks.argmax(axis=2) + 16 * (call.first + np.arange(call.units)))


@pytest.mark.parametrize(("m", "rows"), [(1, 1), (3, 4)])
def test_few_rows_of_logits(m: int, rows: int) -> None:
    product = ProductSpec(Q8, epilogue="logits", scale=0.5, softcap=30.0, norm=EPSILON, gather=True)
    call = Call(product, m, n=70, k=64)
    assert_logits(call, few(call, rows))


def test_of_equal_logits_the_first_counts_and_negative_ones_are_found() -> None:
    call = Call(ProductSpec(FORMATS["f32"], epilogue="logits"), m=1, n=40, k=64)
    call.weight.bytes[:] = np.full(call.weight.bytes.size // 4, -1.0, np.float32).view(np.uint8)
    call.x = np.abs(call.x)
    _, largest = few(call, 1)
    assert np.all(largest[:, :, 0].view(np.float32) < 0)
    np.testing.assert_array_equal(largest[:, :, 1], [[0, 16, 32]])


def test_parts_of_a_weight_store_where_theirs_belongs() -> None:
    call = Call(ProductSpec(Q4, epilogue="logits"), m=2, n=33, k=64, first=2, total=65)
    for run in (lambda: few(call, 4), lambda: many(call)):
        assert_logits(call, run())
