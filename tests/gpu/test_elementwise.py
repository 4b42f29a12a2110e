"""Maps of elements against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("tvm")

from hearth.compiler.gpu.kernels.elementwise import THREADS, ElementwiseSpec, elementwise

from .adapter import run_kernel

_CURVES = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "exp": lambda x: np.exp(np.minimum(x, 80)),
    "abs": np.abs,
    "round": np.rint,
    "trunc": np.trunc,
}


@pytest.mark.parametrize("name", sorted(_CURVES))
def test_curves(name: str) -> None:
    """Beyond what f32 can hold the exponential of, too."""
    x = np.r_[np.linspace(-12, 12, 200), np.linspace(-300, 300, 56), 0.5, 1.5, 2.5, 0].astype(np.float32)
    x = np.pad(x, (0, 272 - len(x)))[None]
    spec = ElementwiseSpec((name, 0), ("v", "v"), ("float32",), 1, padded=True)
    *_, y = run_kernel(elementwise(spec), [x, np.full_like(x, np.nan)], [1, 272, 0, 272, 0, 272], 2)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(y, _CURVES[name](x.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_gate_and_up_with_padded_rows() -> None:
    rng = np.random.default_rng(0)
    gate, up = (rng.standard_normal((37, 48)).astype(np.float32) for _ in range(2))
    spec = ElementwiseSpec(("multiply", ("silu", 0), 1), ("v", "v", "v"), ("float32",) * 2, 1, padded=True)
    units = -(-37 * 10 // THREADS)
    *_, y = run_kernel(elementwise(spec), [gate, up, np.full_like(up, np.nan)], [37, 40, 0, 48, 0, 48, 0, 48], units)
    np.testing.assert_allclose(y[:, :40], (gate / (1 + np.exp(-gate)) * up)[:, :40], rtol=1e-5, atol=1e-6)
    assert np.isnan(y[:, 40:]).all()


def test_columns_are_broadcast_and_axes_move() -> None:
    """y[i, j, k] = x[k, i, j] + row[i] where it is above 0, of integers and floats; the result begins behind others."""
    rng = np.random.default_rng(1)
    x, row = rng.integers(-5, 5, (7, 3, 5)).astype(np.int32), rng.standard_normal(3).astype(np.float32)
    term = ("where", ("greater", 0, 0.0), ("add", 0, 1), -1.0)
    spec = ElementwiseSpec(term, ("g", "s", "v"), ("int32", "float32"), 2, padded=False)
    y = np.full((4, 5, 9), np.nan, np.float32)
    scalars = [15, 7, 5, 0, 5, 1, 15, 0, 1, 0, 45, 45, 9]
    *_, y = run_kernel(elementwise(spec), [x, row, y], scalars, -(-15 * 7 // THREADS))
    moved = x.transpose(1, 2, 0).astype(np.float32)
    np.testing.assert_array_equal(y[1:, :, :7], np.where(moved > 0, moved + row[:, None, None], np.float32(-1)))
    assert np.isnan(y[0]).all()
    assert np.isnan(y[:, :, 7:]).all()
