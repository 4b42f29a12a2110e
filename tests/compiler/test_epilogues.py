"""What follows a product in the same kernel: bias, scale, residual, gate, soft cap, the likeliest token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import prepared
from tests.compiler.kernel_library import KernelLibrary, build, copied, guarded, isa_params
from tests.compiler.references import ACTIVATIONS

from hearth.compiler.cpu.kernels.matmul import MatmulSpec, matmul
from hearth.compiler.cpu.kernels.norms import argmax
from hearth.compiler.cpu.targets import Isa
from hearth.quant import FORMATS, pack, quantize, unpack_layout

GATED = ("silu", "gelu_tanh", "gelu")
N, K, KP, UNITS = 41, 100, 128, 3
FORMS: tuple[tuple[str, str], ...] = (("q4", "int8"), ("f32", "float32"))
VARIANTS: list[dict[str, Any]] = [
    {"bias": True},
    {"epilogue": "add", "scale": 0.22},
    {"epilogue": "add", "bias": True},
    *({"epilogue": "gated", "activation": name} for name in GATED),
    {"epilogue": "gated", "bias": True},
    {"epilogue": "activate", "activation": "relu"},
    {"epilogue": "activate", "activation": "quick_gelu", "bias": True},
    {"epilogue": "logits"},
    {"epilogue": "logits", "scale": 0.4},
    {"epilogue": "logits", "softcap": 3.0},
]


@dataclass(frozen=True)
class Kernels:
    library: KernelLibrary
    isa: Isa
    fmt: str
    kind: str

    def spec(self, **options: Any) -> MatmulSpec:
        return MatmulSpec(FORMATS[self.fmt], self.isa, activations=self.kind, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=isa_params())
def libraries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Isa, KernelLibrary]:
    isa = request.param
    specs = [
        MatmulSpec(FORMATS[fmt], isa, activations=kind, **options)  # type: ignore[arg-type]
        for fmt, kind in FORMS
        for options in VARIANTS
    ]
    kernels = [*(matmul(spec) for spec in specs), argmax()]
    return isa, build(kernels, isa, tmp_path_factory.mktemp("epilogues"))


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
def kernels(request: pytest.FixtureRequest, libraries: tuple[Isa, KernelLibrary]) -> Kernels:
    return Kernels(libraries[1], libraries[0], *request.param)


def weight_of(fmt_name: str, values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Packed bytes, and what they are worth."""
    fmt = FORMATS[fmt_name]
    packed = pack(values if fmt.is_float else quantize(values, fmt), fmt)
    return packed, unpack_layout(packed, *values.shape, fmt).astype(np.float64)


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def padded_vector(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return copied(np.pad(values, (0, -len(values) % 16)))


def run(
    kernels: Kernels, spec: MatmulSpec, weight: NDArray[np.uint8], x: list[NDArray[Any]], extra: list[NDArray[Any]],
    outputs: list[NDArray[Any]], rows: int, units: int, *more: int,
) -> None:  # fmt: skip
    fmt = spec.fmt
    scalars = [rows, KP // fmt.block_columns, KP, 16 * units, *more]
    kernels.library.run(spec.name, [copied(weight), *x, *extra, *outputs], scalars, units, chunk=2)


@pytest.mark.parametrize("rows", [1, 6, 11])
def test_bias(kernels: Kernels, rows: int) -> None:
    weight, exact = weight_of(kernels.fmt, numbers(N, K) * 0.1)
    x, bias = prepared(numbers(rows, K, seed=1), KP, kernels.kind), numbers(N, seed=2)
    y = guarded((rows, 48), np.float32)
    run(kernels, kernels.spec(bias=True), weight, x.buffers, [padded_vector(bias)], [y], rows, UNITS)
    np.testing.assert_allclose(y[:, :N], x.values @ exact.T + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"scale": 0.22}, {"bias": True}], ids=["scaled", "bias"])
@pytest.mark.parametrize("in_place", [False, True])
def test_residual(kernels: Kernels, options: dict[str, Any], in_place: bool) -> None:
    """Also where the memory plan gives the sum the residual's own place."""
    rows = 7
    weight, exact = weight_of(kernels.fmt, numbers(N, K) * 0.1)
    x, bias, before = (
        prepared(numbers(rows, K, seed=1), KP, kernels.kind),
        numbers(N, seed=2),
        numbers(rows, 48, seed=3),
    )
    residual = copied(before)
    y = residual if in_place else guarded((rows, 48), np.float32)
    extra = [padded_vector(bias), residual] if options.get("bias") else [residual]
    run(kernels, kernels.spec(epilogue="add", **options), weight, x.buffers, extra, [y], rows, UNITS)
    product = x.values @ exact.T + (bias if options.get("bias") else 0)
    np.testing.assert_allclose(y[:, :N], before[:, :N] + options.get("scale", 1.0) * product, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("size", [0.02, 1.0, 40.0])
def test_gated(kernels: Kernels, name: str, size: float) -> None:
    """Gates near zero, ordinary ones, and ones far out where the exponential leaves the range of floats."""
    inner, rows = 27, 5  # gate and up are padded to 32 rows each, and lie in blocks of 16 in turn
    gate, up = (np.pad(numbers(inner, K, seed=s) * 0.1 * size, ((0, 5), (0, 0))) for s in (0, 1))
    values = np.stack([gate.reshape(2, 16, K), up.reshape(2, 16, K)], axis=1).reshape(64, K)
    weight, exact = weight_of(kernels.fmt, values)
    x = prepared(numbers(rows, K, seed=2), KP, kernels.kind)
    y = guarded((rows, 32), np.float32)
    run(kernels, kernels.spec(epilogue="gated", activation=name), weight, x.buffers, [], [y], rows, 2)
    both = (x.values @ exact.T).reshape(rows, 2, 2, 16)
    expected = ACTIVATIONS[name](both[:, :, 0]) * both[:, :, 1]
    np.testing.assert_allclose(y.reshape(rows, 2, 16), expected, rtol=2e-5, atol=2e-6 * max(size, size * size))


@pytest.mark.parametrize(("name", "biased"), [("relu", False), ("quick_gelu", True)])
def test_activated(kernels: Kernels, name: str, biased: bool) -> None:
    rows = 7
    weight, exact = weight_of(kernels.fmt, numbers(N, K) * 0.3)
    x, bias = prepared(numbers(rows, K, seed=1), KP, kernels.kind), numbers(N, seed=2)
    y, extra = guarded((rows, 48), np.float32), [padded_vector(bias)] if biased else []
    spec = kernels.spec(epilogue="activate", activation=name, bias=biased)
    run(kernels, spec, weight, x.buffers, extra, [y], rows, UNITS)
    expected = ACTIVATIONS[name](x.values @ exact.T + (bias if biased else 0))
    np.testing.assert_allclose(y[:, :N], expected, rtol=2e-5, atol=1e-5)


def test_gated_with_bias(kernels: Kernels) -> None:
    rows = 3
    weight, exact = weight_of(kernels.fmt, numbers(32, K) * 0.1)
    x, bias = prepared(numbers(rows, K, seed=1), KP, kernels.kind), numbers(32, seed=2)
    y = guarded((rows, 16), np.float32)
    run(kernels, kernels.spec(epilogue="gated", bias=True), weight, x.buffers, [copied(bias)], [y], rows, 1)
    both = x.values @ exact.T + bias
    np.testing.assert_allclose(y, ACTIVATIONS["silu"](both[:, :16]) * both[:, 16:], rtol=2e-5, atol=1e-5)


def logits_of(
    kernels: Kernels, weight: NDArray[np.uint8], x: list[NDArray[Any]], rows: int, n: int, **options: Any
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Logits and their argmax, as the two kernels give them."""
    units = -(-n // 16)
    y = guarded((rows, 16 * units), np.float32)
    best, where = guarded((rows, units), np.float32), guarded((rows, units), np.int32)
    run(kernels, kernels.spec(epilogue="logits", **options), weight, x, [], [y, best, where], rows, units, n)
    found = guarded((rows,), np.int32)
    kernels.library.run("argmax", [best, where, found], [units], rows, chunk=4)
    return y[:, :n], found


@pytest.mark.parametrize("options", [{}, {"scale": 0.4}, {"softcap": 3.0}], ids=["plain", "scale", "softcap"])
@pytest.mark.parametrize("rows", [1, 9])
def test_logits_and_the_likeliest_token(kernels: Kernels, options: dict[str, Any], rows: int) -> None:
    weight, exact = weight_of(kernels.fmt, numbers(N, K))
    x = prepared(numbers(rows, K, seed=1), KP, kernels.kind)
    logits, found = logits_of(kernels, weight, x.buffers, rows, N, **options)
    expected = x.values @ exact.T * options.get("scale", 1.0)
    if "softcap" in options:
        expected = 3.0 * np.tanh(expected / 3.0)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(found, logits.argmax(axis=1))


@pytest.mark.parametrize("ties", [(0, 40), (5, 6), (15, 16), (17, 33), (31, 32)])
def test_of_equal_logits_the_first_token_wins(kernels: Kernels, ties: tuple[int, int]) -> None:
    values = numbers(N, K) * 0.01
    values[list(ties)] = 2.0
    weight, _ = weight_of(kernels.fmt, values)
    x = prepared(np.ones((2, K), np.float32), KP, kernels.kind)
    _, found = logits_of(kernels, weight, x.buffers, 2, N)
    assert found.tolist() == [ties[0]] * 2


def test_rows_of_padding_are_no_tokens(kernels: Kernels) -> None:
    """All real logits are negative; the padding's are 0 and must not win."""
    weight, _ = weight_of(kernels.fmt, -np.abs(numbers(N, K)) - 0.1)
    x = prepared(np.ones((3, K), np.float32), KP, kernels.kind)
    logits, found = logits_of(kernels, weight, x.buffers, 3, N)
    assert (logits < 0).all()
    assert np.array_equal(found, logits.argmax(axis=1))
