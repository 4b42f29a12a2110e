"""Kernels over rows against numpy: norms, gathers, rows in the place of others."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.gather import gather_rows, replace_rows
from hearth.compiler.gpu.kernels.layer_norm import LayerNormSpec, layer_norm
from hearth.compiler.gpu.kernels.norms import rms_norm
from hearth.compiler.gpu.kernels.row_mean import row_mean
from hearth.compiler.gpu.kernels.subgroups import SUBGROUPS

from .adapter import require, run_kernel


def _rows(count: int, size: int, ld: int) -> np.ndarray:
    """Rows whose padding is NaN."""
    values = np.full((count, ld), np.nan, np.float32)
    values[:, :size] = np.random.default_rng(size).standard_normal((count, size)) * 3
    return values


@pytest.mark.parametrize(("size", "ld"), [(20, 32), (64, 64), (1030, 1040), (2304, 2304)])
@pytest.mark.parametrize("scale", [None, 1.0, 0.25])
@pytest.mark.parametrize("features", [CORE, SUBGROUPS], ids=lambda each: each.name)
def test_norms(size: int, ld: int, scale: float | None, features: Features) -> None:
    require(features)
    x, residual = _rows(5, size, ld), _rows(5, size, ld)
    weight = np.linspace(0.5, 2, size, dtype=np.float32)
    kernel = rms_norm(1e-5, add=scale is not None, scale=scale or 1.0, features=features)
    operands = [x, weight, *([residual] if scale is not None else [])]
    *_, y = run_kernel(kernel, [*operands, np.zeros_like(x)], [size, ld], 5)
    exact = x[:, :size].astype(np.float64)
    expected = exact / np.sqrt((exact**2).mean(axis=1, keepdims=True) + 1e-5) * weight
    if scale is not None:
        expected = residual[:, :size] + scale * expected
    np.testing.assert_allclose(y[:, :size], expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("size", "ld"), [(20, 32), (1030, 1040)])
@pytest.mark.parametrize(("weight", "bias"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("features", [CORE, SUBGROUPS], ids=lambda each: each.name)
def test_layer_norms(size: int, ld: int, weight: bool, bias: bool, features: Features) -> None:
    require(features)
    x = _rows(5, size, ld) + np.float32(100)  # far from 0 beside its spread
    factor, offset = np.linspace(0.5, 2, size, dtype=np.float32), np.linspace(-1, 1, size, dtype=np.float32)
    spec = LayerNormSpec(1e-5, weight=weight, bias=bias)
    operands = [x, *([factor] if weight else []), *([offset] if bias else [])]
    *_, y = run_kernel(layer_norm(spec, features), [*operands, np.zeros_like(x)], [size, ld], 5)
    exact = x[:, :size].astype(np.float64)
    apart = exact - exact.mean(axis=1, keepdims=True)
    expected = apart / np.sqrt((apart**2).mean(axis=1, keepdims=True) + 1e-5)
    expected = expected * (factor if weight else 1.0) + (offset if bias else 0.0)
    np.testing.assert_allclose(y[:, :size], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("size", "ld"), [(5, 16), (64, 64), (1030, 1040)])
@pytest.mark.parametrize("features", [CORE, SUBGROUPS], ids=lambda each: each.name)
def test_means(size: int, ld: int, features: Features) -> None:
    require(features)
    x = _rows(5, size, ld)
    *_, y = run_kernel(row_mean(features), [x, np.zeros((5, 16), np.float32)], [size, ld, 16], 5)
    np.testing.assert_allclose(y[:, 0], x[:, :size].astype(np.float64).mean(axis=1), atol=1e-5)


def test_rows_are_gathered() -> None:
    x, ids = _rows(9, 40, 48), np.array([3, 3, 8, 0], np.int32)
    *_, y = run_kernel(gather_rows(), [x, ids, np.zeros((4, 48), np.float32)], [48], 4)
    np.testing.assert_array_equal(y, x[ids])


def test_rows_take_the_place_of_others() -> None:
    x, rows, places = _rows(9, 37, 48), _rows(3, 37, 37), np.array([1, 2, 7], np.int32)
    *_, y = run_kernel(replace_rows(), [rows, places, x], [37, 48], 3)
    expected = x.copy()
    expected[places, :37] = rows
    np.testing.assert_array_equal(y, expected)
