"""Products of which the first rows have one scale a token and weight row (precision="fast"): against numpy on the same
integers. A failure says that prompts are read wrongly, or that an answer depends on what is computed beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import padded_rows, prepared
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded, host_isa, isa_params
from tests.quant.helpers import random_blocks

from hearth.compiler.cpu.kernels import rounded_weight
from hearth.compiler.cpu.kernels.matmul import matmul
from hearth.compiler.cpu.kernels.norms import prepare
from hearth.compiler.cpu.kernels.product_output import MatmulSpec
from hearth.compiler.cpu.targets import Isa
from hearth.quant import FORMATS, pack, round_up, unpack_layout

F32 = NDArray[np.float32]
GROUP = 32
N, K = 56, 200  # an odd number of blocks of rows; columns that fill no block
EPS = 1e-5
PRODUCTS: list[dict[str, Any]] = [{}, {"epilogue": "add", "scale": 0.5}, {"epilogue": "gated"}, {"bias": True}]


def rotated(x: NDArray[Any]) -> NDArray[np.float64]:
    """Sylvester's Hadamard matrix, not scaled, over each 32 columns, in the order of the kernels' columns."""
    h = np.ones((1, 1))
    while len(h) < GROUP:
        h = np.block([[h, h], [h, -h]])
    return (x.astype(np.float64).reshape(len(x), -1, GROUP) @ h.T).reshape(x.shape)


def rounded(x: NDArray[np.float64]) -> tuple[NDArray[np.int64], F32]:
    """Integers and one scale a row: largest magnitude / 127, nearest, ties to even."""
    largest = np.abs(x).max(axis=1).astype(np.float32)
    inverse = np.where(largest > 0, np.float32(127) / np.maximum(largest, np.float32(1e-30)), np.float32(0))
    scales: F32 = (largest * np.float32(1 / 127)).astype(np.float32)
    return np.rint(x * inverse.astype(np.float64)[:, None]).astype(np.int64), scales


@dataclass(frozen=True)
class Kernels:
    isa: Isa
    library: KernelLibrary
    specs: dict[str, MatmulSpec]

    def prepare(self, x: F32, kp: int, coarse: int, weight: F32 | None = None) -> list[NDArray[Any]]:
        kernel = prepare(norm=weight is not None, quantise=True, gather=False, eps=EPS, coarse=self.isa)
        rows, size = x.shape
        source = padded_rows(x, round_up(size, 16))
        out = [guarded((rows, kp), np.int8), guarded((rows, 5, kp // GROUP), np.float32)]
        extra = [] if weight is None else [copied(weight)]
        scalars = [size, kp, source.shape[1], coarse]
        self.library.run(kernel.name, [source, *extra, *out], scalars, rows, chunk=2, scratch_bytes=4 * kp)
        return out

    def multiply(
        self, spec: MatmulSpec, weight: NDArray[np.uint8], x: list[NDArray[Any]], coarse: int, chunk: int = 2,
        extra: list[NDArray[Any]] | None = None,
    ) -> F32:  # fmt: skip
        rows, kp = x[0].shape
        units = round_up(N, 16) // 16 // (2 if spec.epilogue == "gated" else 1)
        y = guarded((rows, units * 16), np.float32)
        scalars = [rows, kp // spec.fmt.block_columns, kp, units * 16, *([coarse] if spec.coarse else [])]
        scratch = rounded_weight.scratch_bytes(kp)
        buffers = [copied(weight), *x, *(extra or []), y]
        self.library.run(spec.name, buffers, scalars, units, chunk=chunk, scratch_bytes=scratch)
        return np.array(y)


def kernel_params() -> list[Any]:
    """Every format on this machine's best instruction set, one on the others."""
    params = []
    for param in isa_params():
        formats = ("q4", "q4_1", "q5_0", "q8", "q4_k", "q6_k") if param.values[0] is host_isa() else ("q4",)
        params += [
            pytest.param((param.values[0], name), id=f"{param.id}-{name}", marks=param.marks) for name in formats
        ]
    return params


@pytest.fixture(scope="module", params=kernel_params())
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    isa, name = request.param
    options = PRODUCTS if name == "q4" else PRODUCTS[:1]
    specs = [MatmulSpec(FORMATS[name], isa, coarse=True, **each) for each in options] + [MatmulSpec(FORMATS[name], isa)]
    preparing = [prepare(norm=norm, quantise=True, gather=False, eps=EPS, coarse=isa) for norm in (False, True)]
    library = build([*map(matmul, specs), *preparing], isa, tmp_path_factory.mktemp("coarse"))
    return Kernels(isa, library, {spec.name: spec for spec in specs})


def plain(kernels: Kernels, *, coarse: bool = True) -> MatmulSpec:
    return next(s for s in kernels.specs.values() if s.epilogue == "store" and not s.bias and s.coarse == coarse)


def activations(rows: int) -> F32:
    """Small whole numbers with one large channel, so that sums of 32 are exact in any order."""
    rng = np.random.default_rng(7)
    x = rng.integers(-40, 41, (rows, K)).astype(np.float32)
    x[:, 77] *= 50
    x[rows // 2] = 0
    return x


def needs_rows(isa: Isa) -> None:
    if not isa.gains_by_rows:
        pytest.skip("computes all rows alike")


def test_rows_of_prompts_are_rotated_and_rounded(kernels: Kernels) -> None:
    needs_rows(kernels.isa)
    x, kp = activations(5), round_up(K, 64)
    aq, numbers = kernels.prepare(x, kp, coarse=5)
    q, scales = rounded(rotated(np.pad(x, ((0, 0), (0, kp - K)))))
    got = (aq.view(np.uint8) ^ (128 if kernels.isa.unsigned_activations else 0)).view(np.int8)
    assert np.array_equal(got, q)
    assert np.array_equal(numbers[:, 0, 0], scales)
    # With a norm before, whose last bits depend on the order of a sum.
    weight = np.linspace(0.5, 2, K).astype(np.float32)
    aq, numbers = kernels.prepare(x, kp, coarse=5, weight=weight)
    wide = x.astype(np.float64)
    normed = wide / np.sqrt(np.square(wide).mean(axis=1, keepdims=True) + EPS) * weight
    q, scales = rounded(rotated(np.pad(normed, ((0, 0), (0, kp - K)))))
    got = (aq.view(np.uint8) ^ (128 if kernels.isa.unsigned_activations else 0)).view(np.int8)
    np.testing.assert_allclose(numbers[:, 0, 0], scales, rtol=1e-5)
    assert np.abs(got - q).max() <= 1
    assert (got != q).mean() < 0.01


def test_a_product_is_that_of_the_integers(kernels: Kernels) -> None:
    """Scales are powers of two, so rotated weights are exact, and there is one right answer to the last bit."""
    needs_rows(kernels.isa)
    spec = plain(kernels)
    fmt = spec.fmt
    blocks = random_blocks(fmt.name, N, K, seed=3)
    for name in ("scale", "min"):
        if getattr(blocks, name) is not None:
            blocks.array(name)[:] = np.exp2(np.random.default_rng(4).integers(-3, 4, blocks.array(name).shape))
    packed, kp = pack(blocks, fmt), round_up(K, fmt.column_multiple)
    whole = unpack_layout(packed, round_up(N, 16), kp, fmt).astype(np.float64)
    w, _ = rounded(rotated(whole))
    w_scales = (np.abs(rotated(whole)).max(axis=1).astype(np.float32) * np.float32(1 / 127 / GROUP)).astype(np.float32)
    a, a_scales = rounded(rotated(np.pad(activations(9), ((0, 0), (0, kp - K)))))
    y = kernels.multiply(spec, packed, kernels.prepare(activations(9), kp, coarse=9), coarse=9)
    expected = (a @ w.T).astype(np.float32) * (w_scales * a_scales[:, None])
    assert np.array_equal(y[:, :N], expected[:, :N])


def test_a_product_is_near_that_of_the_numbers(kernels: Kernels) -> None:
    spec = plain(kernels)
    packed = pack(random_blocks(spec.fmt.name, N, K, seed=5), spec.fmt)
    exact = unpack_layout(packed, N, K, spec.fmt).astype(np.float64)
    x = np.random.default_rng(8).standard_normal((17, K)).astype(np.float32)
    kp = round_up(K, spec.fmt.column_multiple)
    y = kernels.multiply(spec, packed, kernels.prepare(x, kp, coarse=17), coarse=17)[:, :N]
    assert np.linalg.norm(y - x @ exact.T) < 0.03 * np.linalg.norm(x @ exact.T)


def test_a_row_has_the_same_bits_in_any_batch(kernels: Kernels) -> None:
    """Whatever stands beside it, of prompts or not: and rows that are of none are computed as in any other model."""
    spec, fmt = plain(kernels), plain(kernels).fmt
    packed, kp = pack(random_blocks(fmt.name, N, K, seed=3), fmt), round_up(K, fmt.column_multiple)
    x = np.random.default_rng(9).standard_normal((19, K)).astype(np.float32)
    coarse = kernels.multiply(spec, packed, kernels.prepare(x, kp, coarse=19), coarse=19, chunk=4)
    fine = kernels.multiply(plain(kernels, coarse=False), packed, prepared(x, kp, "int8").buffers, coarse=0)
    assert kernels.isa.gains_by_rows != np.array_equal(coarse, fine)
    for start, rows, first in ((0, 19, 0), (0, 19, 1), (2, 9, 8), (5, 11, 3), (18, 1, 1), (18, 1, 0), (4, 13, 13)):
        part = kernels.prepare(x[start : start + rows], kp, coarse=first)
        y = kernels.multiply(spec, packed, part, coarse=first, chunk=2)
        assert np.array_equal(y[:first], coarse[start : start + first]), (start, rows, first)
        assert np.array_equal(y[first:], fine[start + first : start + rows]), (start, rows, first)


def test_what_follows_a_product(kernels: Kernels) -> None:
    """Residual, bias, gate and activation: of both kinds of rows."""
    specs = [spec for spec in kernels.specs.values() if spec.coarse and spec is not plain(kernels)]
    if not specs:
        pytest.skip("one format is enough")
    fmt = specs[0].fmt
    packed, kp = pack(random_blocks(fmt.name, N, K, seed=3), fmt), round_up(K, fmt.column_multiple)
    rng = np.random.default_rng(10)
    x = kernels.prepare(rng.standard_normal((11, K)).astype(np.float32), kp, coarse=7)
    y = kernels.multiply(plain(kernels), packed, x, coarse=7).astype(np.float64)
    residual, bias = rng.standard_normal(y.shape).astype(np.float32), rng.standard_normal(y.shape[1]).astype(np.float32)
    gate, up = (y[:, np.arange(y.shape[1]) // 16 % 2 == half] for half in (0, 1))
    for spec in specs:
        extra = [copied(bias)] if spec.bias else [copied(residual)] if spec.epilogue == "add" else []
        expected = {
            "store": y + bias,
            "add": residual + spec.scale * y,
            "gated": gate / (1 + np.exp(-gate)) * up,
        }[spec.epilogue]
        got = kernels.multiply(spec, packed, x, coarse=7, extra=extra)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
