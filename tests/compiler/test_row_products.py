"""Products with a scale for each weight row and each row of activations, on every instruction set: against numpy's
integers, to the bit. A failure says that vision models and encoders answer wrongly on such processors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from tests.compiler.kernel_library import (
    KernelLibrary,
    build,
    copied,
    emulated_params,
    emulator,
    guarded,
    isa_params,
    matrix_params,
    runs_here,
)
from tests.compiler.references import ACTIVATIONS, rotated
from tests.compiler.test_products import AVXVNNI_ENCODED_AS_AVX512
from tests.quant.helpers import random_blocks

from hearth.compiler.cpu.kernels.build import compile_module
from hearth.compiler.cpu.kernels.prepare_rows import RowPrepareSpec, prepare_rows
from hearth.compiler.cpu.kernels.row_product import RowProductSpec, row_product
from hearth.compiler.cpu.objects import llvm_target
from hearth.compiler.cpu.targets import ISAS, Isa
from hearth.quant import FORMATS, Blocks, pack, round_up
from hearth.quant.blocks import row_integers

ROWS = (1, 2, 3, 5, 12, 13, 17, 35)
SHAPES = ((40, 200), (23, 96), (16, 300))  # N and K: an odd number of blocks of rows, columns that fill no block
EPS = 1e-6
F32 = NDArray[np.float32]


def params() -> list[Any]:
    chosen = [*isa_params(), *matrix_params(), *emulated_params()]
    if not runs_here(ISAS["avxvnni"]) and runs_here(AVXVNNI_ENCODED_AS_AVX512):
        chosen.append(pytest.param(AVXVNNI_ENCODED_AS_AVX512, id="avxvnni512"))
    return [
        pytest.param((isa.values[0], fmt), id=f"{isa.id}-{fmt}", marks=isa.marks)
        for isa in chosen
        for fmt in ("i8", "i4")
    ]


@dataclass(frozen=True)
class Activations:
    """int8 (rows, K) and a scale for each row."""

    q: NDArray[np.int8]
    scale: F32

    def rows(self, begin: int, count: int) -> Activations:
        return Activations(self.q[begin : begin + count], self.scale[begin : begin + count])


def activations(rows: int, k: int) -> Activations:
    rng = np.random.default_rng(rows)
    q = rng.integers(-127, 128, (rows, k)).astype(np.int8)
    q[rows // 2] = 127
    return Activations(q, rng.uniform(0.01, 3, rows).astype(np.float32))


@dataclass(frozen=True)
class Product:
    library: KernelLibrary
    spec: RowProductSpec

    def run(
        self, weight: Blocks, x: Activations, extra: tuple[F32, ...] = (), *, shares: int = 64, chunk: int = 7
    ) -> F32:
        """Y [rows][N], in calls of `chunk` of so many shares."""
        spec, rows = self.spec, len(x.q)
        kp, blocks = round_up(weight.k, 32), round_up(weight.n, 16) // 16
        aq = guarded((rows, kp), np.int8, 0)
        aq[:, : weight.k] = x.q
        if spec.isa.unsigned_activations:
            aq.view(np.uint8)[:] ^= 128
        ld = 16 * blocks // (2 if spec.gated else 1)
        y = guarded((rows, ld), np.float32)
        buffers = [copied(pack(weight, weight.fmt)), aq, copied(x.scale), *map(copied, extra), y]
        self.library.run(
            spec.name, buffers, [rows, kp, blocks, ld, shares], shares, chunk=chunk,
            scratch_bytes=spec.scratch_bytes(kp),
        )  # fmt: skip
        return np.array(y[:, : weight.n // (2 if spec.gated else 1)])


@pytest.fixture(scope="module", params=params())
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Product:
    isa, fmt = request.param
    spec = RowProductSpec(FORMATS[fmt], isa)
    return Product(build([row_product(spec)], isa, tmp_path_factory.mktemp("row_product")), spec)


def documented(weight: Blocks, x: Activations) -> F32:
    """The exact sum of products of integers, rounded to f32, times the product of the scales."""
    sums = x.q.astype(np.int64) @ row_integers(weight)[:, : weight.k].T.astype(np.int64)
    return sums.astype(np.float32) * (weight.scale[:, 0] * x.scale[:, None])


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_product_is_what_numpy_computes(product: Product, n: int, k: int) -> None:
    weight = random_blocks(product.spec.fmt.name, n, k)
    for rows in ROWS:
        x = activations(rows, k)
        np.testing.assert_array_equal(product.run(weight, x), documented(weight, x), err_msg=f"{rows} rows")


def test_long_rows_and_stretches(product: Product) -> None:
    """Activations that fill more than one stretch, and the longest rows of a vision model."""
    if emulator(product.spec.isa):
        pytest.skip("takes minutes under emulation")
    weight, x = random_blocks(product.spec.fmt.name, 48, 4096), activations(150, 4096)
    np.testing.assert_array_equal(product.run(weight, x, chunk=64), documented(weight, x))


def test_the_largest_integers_do_not_saturate(product: Product) -> None:
    """Where 16 bits hold the sum of two products, no third may be added; all signs, since some processors multiply
    unsigned bytes only."""
    name, n, k = product.spec.fmt.name, 16, 256
    weight = random_blocks(name, n, k)
    for extreme in (-127, 127):
        if name == "i8":
            weight.q[:] = extreme
        else:
            weight.q[:] = 0
            assert weight.sub_scale is not None
            weight.sub_scale[:] = np.sign(extreme) * 15
        for sign in (1, -1):
            x = Activations(np.full((3, k), 127 * sign, np.int8), np.ones(3, np.float32))
            np.testing.assert_array_equal(product.run(weight, x), documented(weight, x))


def test_a_row_has_the_same_bits_in_any_batch(product: Product) -> None:
    """Else an answer would depend on what is asked at the same time, or on how many threads there are."""
    n, k = SHAPES[0]
    weight, x = random_blocks(product.spec.fmt.name, n, k), activations(35, k)
    together = product.run(weight, x)
    for start, rows, shares, chunk in ((0, 1, 1, 1), (34, 1, 64, 64), (3, 13, 5, 2), (5, 24, 200, 3)):
        part = product.run(weight, x.rows(start, rows), shares=shares, chunk=chunk)
        assert np.array_equal(part, together[start : start + rows]), (start, rows, shares)


# -- what follows the product ------------------------------------------------------------------------------------------

EPILOGUES: list[dict[str, Any]] = [
    {"bias": True},
    *({"bias": True, "activation": name} for name in ("silu", "gelu", "gelu_tanh", "quick_gelu", "relu")),
    {"bias": True, "activation": "gelu", "gamma": True, "add": "float", "scale": 0.5},
    {"add": "float"},
    {"bias": True, "add": "float", "after": "relu"},
    *({"gated": True, "activation": name, "bias": bias} for name, bias in (("silu", False), ("gelu", True))),
]


@pytest.fixture(scope="module", params=isa_params())
def epilogues(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Isa, KernelLibrary]:
    specs = [RowProductSpec(FORMATS["i8"], request.param, **options) for options in EPILOGUES]
    library = build(map(row_product, specs), request.param, tmp_path_factory.mktemp("epilogues"))
    return request.param, library


@pytest.mark.parametrize("options", EPILOGUES, ids=lambda options: "_".join(map(str, options.items())))
def test_what_follows_a_product(epilogues: tuple[Isa, KernelLibrary], options: dict[str, Any]) -> None:
    isa, library = epilogues
    spec = RowProductSpec(FORMATS["i8"], isa, **options)
    n, k, rows = (64, 64, 15) if spec.gated else (41, 64, 15)
    np_ = round_up(n, 16)
    rng = np.random.default_rng(1)
    weight, x = random_blocks("i8", n, k), activations(rows, k)
    weight.scale[:] *= np.float32(2e-5)  # outputs around 1, where activations bend
    bias, gamma = (rng.standard_normal(np_).astype(np.float32) for _ in range(2))
    residual = rng.standard_normal((rows, np_)).astype(np.float32)
    expected = documented(weight, x).astype(np.float64)
    if spec.bias:
        expected = expected + bias[:n]
    activation = ACTIVATIONS[spec.activation] if spec.activation else lambda value: value
    if spec.gated:
        gate, factor = expected.reshape(rows, -1, 2, 16).transpose(2, 0, 1, 3).reshape(2, rows, -1)
        expected = activation(gate) * factor
    else:
        factor = spec.scale * (gamma[:n] if spec.gamma else np.ones(n))
        expected = activation(expected) * factor
    if spec.add:
        expected = residual[:, :n] + expected
    if spec.after:
        expected = ACTIVATIONS[spec.after](expected)
    extra = [value for value, used in ((bias, spec.bias), (gamma, spec.gamma), (residual, spec.add)) if used]
    # GELU is only as exact as the bytes that it comes of deserve.
    allowed = 4e-5 * np.abs(factor) if spec.activation == "gelu" else 0.0
    error = np.abs(Product(library, spec).run(weight, x, tuple(extra)) - expected)
    assert (error <= 2e-6 * np.abs(expected) + 2e-6 + allowed).all()


SPILL = re.compile(r"%[yz]mm\d+, -?\d*\(%r[sb]p\)")


@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni"])
@pytest.mark.parametrize("options", [{"activation": "gelu"}, {"activation": "silu", "gated": True}], ids=str)
def test_sums_stay_in_registers_whatever_follows(name: str, options: dict[str, Any]) -> None:
    """LLVM likes to hold the constants of what follows through the loop over K, and spills the sums for it: the same
    numbers in three times the time."""
    kernel = row_product(RowProductSpec(FORMATS["i8"], ISAS[name], bias=True, **options))
    module = tvm.IRModule({kernel.name: kernel.finish()})
    code = compile_module(module, llvm_target("x86_64-linux-gnu", ISAS[name])).inspect_source("asm")
    assert code.count("vpdpbusd") > 100
    instructions = [line for line in code.splitlines() if re.match(r"\t[a-z]", line)]
    products = [i for i, line in enumerate(instructions) if "vpdpbusd" in line]
    # Between two products that stand close together is within a loop over K; what spills outside of it costs little.
    within = [range(i, j) for i, j in pairwise(products) if j - i < 30]
    spilled = [instructions[i] for between in within for i in between if SPILL.search(instructions[i])]
    assert len(spilled) < 20, f"{len(spilled)} vectors are spilled"


# -- preparation of activations ----------------------------------------------------------------------------------------

PREPARATIONS: list[dict[str, Any]] = [
    {},
    {"gather": True},
    {"norm": "rms", "eps": EPS, "weight": True},
    {"norm": "layer", "eps": EPS},
    {"norm": "layer", "eps": EPS, "weight": True},
    {"norm": "layer", "eps": EPS, "weight": True, "bias": True, "gather": True},
    {"rotated": 2},
    {"norm": "layer", "eps": EPS, "weight": True, "bias": True, "rotated": 16},
]


@pytest.fixture(scope="module", params=[*isa_params(), *emulated_params()])
def preparations(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Isa, KernelLibrary]:
    specs = [RowPrepareSpec(request.param, **options) for options in PREPARATIONS]
    library = build(map(prepare_rows, specs), request.param, tmp_path_factory.mktemp("prepare_rows"))
    return request.param, library


def normalised(x: F32, spec: RowPrepareSpec, weight: F32, bias: F32) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    if spec.norm == "layer":
        wide = (wide - wide.mean(axis=1, keepdims=True)) / np.sqrt(wide.var(axis=1, keepdims=True) + EPS)
    elif spec.norm == "rms":
        wide = wide / np.sqrt(np.square(wide).mean(axis=1, keepdims=True) + EPS)
    wide = wide * weight if spec.weight else wide
    return wide + bias if spec.bias else wide


@pytest.mark.parametrize("options", PREPARATIONS, ids=lambda options: "_".join(map(str, options.values())) or "plain")
@pytest.mark.parametrize("size", [20, 64, 100])
def test_rows_are_rounded_to_bytes(preparations: tuple[Isa, KernelLibrary], options: dict[str, Any], size: int) -> None:
    isa, library = preparations
    spec = RowPrepareSpec(isa, **options)
    if spec.rotated > 1:
        size = round_up(size, 16 * spec.rotated)
    rng = np.random.default_rng(2)
    kp, ld = round_up(size, 32), round_up(size, 16)
    x = (rng.standard_normal((6, size)) * 5 + 2).astype(np.float32)
    x[1] = 0
    weight, bias = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    rows = np.array([4, 0, 4, 1], np.int32) if spec.gather else np.arange(6, dtype=np.int32)
    source = guarded((6, ld), np.float32)  # NaN in the padding
    source[:, :size] = x
    aq, scales = guarded((len(rows), kp), np.int8), guarded((len(rows),), np.float32)
    extra = [v for v, used in ((weight, spec.weight), (bias, spec.bias), (rows, spec.gather)) if used]
    library.run(
        spec.name, [source, *map(copied, extra), aq, scales], [size, kp, ld], len(rows), chunk=3,
        scratch_bytes=spec.scratch_bytes(size),
    )  # fmt: skip
    q = (aq.view(np.uint8) ^ (128 if isa.unsigned_activations else 0)).view(np.int8)
    exact = rotated(normalised(x[rows], spec, weight, bias), spec.rotated)
    np.testing.assert_allclose(scales, np.abs(exact).max(axis=1) / 127, rtol=3e-6)
    assert not q[:, size:].any()
    assert (np.abs(q[:, :size] * scales[:, None].astype(np.float64) - exact) <= 0.5005 * scales[:, None] + 1e-30).all()
    if spec.norm is None and spec.rotated == 1:
        largest = np.abs(x[rows]).max(axis=1, keepdims=True)
        inverse = np.where(largest > 0, np.float32(127) / np.maximum(largest, np.float32(1e-30)), np.float32(0))
        assert np.array_equal(q[:, :size], np.rint(x[rows] * inverse.astype(np.float32)))


def test_a_number_that_is_none_spoils_its_row_and_no_other(preparations: tuple[Isa, KernelLibrary]) -> None:
    isa, library = preparations
    spec = RowPrepareSpec(isa)
    x = np.ones((3, 64), np.float32)
    x[1, 40] = np.nan
    aq, scales = guarded((3, 64), np.int8), guarded((3,), np.float32)
    library.run(spec.name, [copied(x), aq, scales], [64, 64, 64], 3, chunk=3)
    assert np.isnan(scales).tolist() == [False, True, False]
