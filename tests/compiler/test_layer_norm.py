"""LayerNorm and softmax of rows against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.activations import padded_rows
from tests.compiler.kernel_library import KernelLibrary, build, copied, float_params, guarded

from hearth.compiler.cpu.kernels.layer_norm import LayerNormSpec, layer_norm
from hearth.compiler.cpu.kernels.softmax import softmax
from hearth.quant import round_up

EPS = 1e-6
SPECS = [
    LayerNormSpec(EPS),
    LayerNormSpec(EPS, bias=False),
    LayerNormSpec(EPS, weight=False, bias=False),
    LayerNormSpec(EPS, add=True),
    LayerNormSpec(EPS, add=True, scale=0.3),
]
SIZES = (5, 64, 100)


@pytest.fixture(scope="module", params=float_params())
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    return build([*map(layer_norm, SPECS), softmax()], request.param, tmp_path_factory.mktemp("norms"))


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def normalised(x: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    return (wide - wide.mean(axis=1, keepdims=True)) / np.sqrt(wide.var(axis=1, keepdims=True) + EPS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("size", SIZES)
def test_layer_norm(library: KernelLibrary, spec: LayerNormSpec, size: int) -> None:
    x, weight, bias, residual = numbers(5, size) * 3 + 2, *(numbers(size, seed=s) for s in (1, 2)), numbers(5, size)
    ldx, ldy = round_up(size, 16) + 16, round_up(size, 16)
    y = guarded((5, ldy), np.float32)
    buffers = [padded_rows(x, ldx)]
    buffers += [copied(part) for part, there in ((weight, spec.weight), (bias, spec.bias)) if there]
    buffers += [padded_rows(residual, ldy)] if spec.add else []
    library.run(spec.name, [*buffers, y], [size, ldx, ldy], 5, chunk=2)
    expected = normalised(x) * (weight if spec.weight else 1) + (bias if spec.bias else 0)
    expected = residual + spec.scale * expected if spec.add else expected
    np.testing.assert_allclose(y[:, :size], expected, rtol=2e-6, atol=2e-6)


def test_rows_far_from_zero_keep_their_differences(library: KernelLibrary) -> None:
    """The variance of large numbers that differ little, which a difference of squares would lose."""
    x = numbers(3, 64) + 3000
    y = guarded((3, 64), np.float32)
    library.run(SPECS[2].name, [padded_rows(x, 64), y], [64, 64, 64], 3, chunk=2)
    np.testing.assert_allclose(y, normalised(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1, *SIZES])
def test_softmax(library: KernelLibrary, size: int) -> None:
    x = numbers(5, size) * 5
    x[1] = 1000 + 90 * x[1]
    x[2, size // 2 :] = -np.inf
    x[2, 0] = 3
    ld = round_up(size, 16)
    y = padded_rows(x, ld)
    library.run("softmax", [y, y], [size, ld, ld], 5, chunk=2)
    wide = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(y[:, :size], wide / wide.sum(axis=1, keepdims=True), rtol=2e-6, atol=1e-30)
