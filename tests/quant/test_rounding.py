"""Rounding to q8, q4, q4a. If these fail, models that people compile lose quality, or break on unusual weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import FORMATS, quantize, unpack

F32 = NDArray[np.float32]


def squared_error(w: F32, name: str) -> float:
    return float(((unpack(quantize(w, FORMATS[name])) - w).astype(np.float64) ** 2).sum())


def absmax_error(w: F32, largest: int) -> float:
    """The plain rule: scale = absmax / largest."""
    groups = w.reshape(-1, 32).astype(np.float64)
    scale = np.abs(groups).max(axis=1, keepdims=True) / largest
    return float(((np.rint(groups / scale) * scale - groups) ** 2).sum())


def range_error(w: F32) -> float:
    """The plain rule with an offset: from the smallest to the largest in 15 steps."""
    groups = w.reshape(-1, 32).astype(np.float64)
    low = groups.min(axis=1, keepdims=True)
    scale = (groups.max(axis=1, keepdims=True) - low) / 15
    return float(((np.rint((groups - low) / scale) * scale + low - groups) ** 2).sum())


def weights(kind: str) -> F32:
    rng = np.random.default_rng(3)
    shape = (256, 512)
    draw = {
        "normal": rng.standard_normal(shape),
        "laplace": rng.laplace(size=shape),
        "heavy tails": rng.standard_t(4, size=shape),
        "flat": rng.uniform(-1, 1, shape),
    }[kind]
    return (draw * 0.02).astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "laplace", "heavy tails", "flat"])
def test_least_squares_beats_the_plain_rules(kind: str) -> None:
    w = weights(kind)
    assert squared_error(w, "q4") < 0.8 * absmax_error(w, 7)
    assert squared_error(w, "q4a") < 0.95 * range_error(w)
    assert squared_error(w, "q8") < 1.01 * absmax_error(w, 127)


def test_q4_is_close_to_the_best_scale_there_is() -> None:
    """Within 1 % of trying 300 scales for each group."""
    w = weights("normal")[:32]
    groups = w.reshape(-1, 32)
    peak = np.abs(groups).max(axis=1, keepdims=True)
    best = np.full(len(groups), np.inf)
    for steps in np.concatenate([np.arange(5, 9, 0.0266), -np.arange(5, 9, 0.0266)]):
        scale = peak / steps
        error = ((np.clip(np.rint(groups / scale), -8, 7) * scale - groups) ** 2).sum(axis=1)
        best = np.minimum(best, error)
    assert squared_error(w, "q4") < 1.01 * best.sum()


def test_q8_scale_is_absmax_over_127() -> None:
    w = np.zeros((1, 32), np.float32)
    w[0, 3], w[0, 9] = -2.0, 0.5
    blocks = quantize(w, FORMATS["q8"])
    assert blocks.scale[0, 0] == np.float16(2 / 127)
    assert blocks.q[0, 3] == -127
    assert blocks.q[0, 9] == round(0.5 / float(np.float16(2 / 127)))


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["q8", "q4", "q4a"]),
    st.integers(1, 20),
    st.integers(1, 100),
    st.floats(-6, 4),
    st.floats(-1, 1),
    st.integers(0, 99),
)
def test_no_value_is_off_by_more_than_its_step(
    name: str, n: int, k: int, exponent: float, shift: float, seed: int
) -> None:
    """For any shape, magnitude and offset: within one step, clipping included."""
    rng = np.random.default_rng(seed)
    w = ((rng.standard_normal((n, k)) + shift) * 10.0**exponent).astype(np.float32)
    blocks = quantize(w, FORMATS[name])
    assert unpack(blocks).shape == w.shape
    for row in range(n):
        for start in range(0, k, 32):
            group, value = w[row, start : start + 32], unpack(blocks)[row, start : start + 32]
            peak = np.abs(group).max()
            step = {"q8": peak / 127, "q4": peak / 5, "q4a": (group.max() - group.min()) / 8}[name]
            # f16 scales have 11 bits, and steps of 6e-8 at the bottom.
            assert np.abs(value - group).max() <= step + peak * 2e-3 + 15 * 6e-8


def test_both_ends_of_the_range_are_used() -> None:
    """-8 is worth having: a group whose largest value is positive gets a negative scale."""
    for sign in (1, -1):
        w = np.linspace(-0.3, 1, 32, dtype=np.float32)[None] * sign
        blocks = quantize(w, FORMATS["q4"])
        assert np.sign(blocks.scale[0, 0]) == -sign
        assert blocks.q.min() == 0


@pytest.mark.parametrize("name", ["q8", "q4", "q4a"])
def test_exact_where_it_can_be(name: str) -> None:
    """Zeros stay zeros, constants and short last groups are kept, integers on the grid come back."""
    assert not unpack(quantize(np.zeros((3, 70), np.float32), FORMATS[name])).any()
    tiny = np.full((1, 32), 1e-38, np.float32)
    assert np.abs(unpack(quantize(tiny, FORMATS[name]))).max() < 1e-7
    grid = (np.arange(64, dtype=np.float32) % 15 - 7)[None] * 0.5
    np.testing.assert_allclose(unpack(quantize(grid, FORMATS[name])), grid, atol=0.02 if name == "q8" else 2e-3)
    # A group of 3 real columns is fitted to those, not to padding zeros: with a min they are near exact.
    short = np.array([[5.0, 5.5, 6.0]], np.float32)
    error = np.abs(unpack(quantize(short, FORMATS[name])) - short).max()
    assert error < {"q8": 0.03, "q4": 0.5, "q4a": 0.004}[name]


@pytest.mark.parametrize("name", ["q8", "q4", "q4a"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 69])
def test_what_is_no_number_is_refused(name: str, bad: float, column: int) -> None:
    w = np.ones((4, 70), np.float32)
    w[2, column] = bad
    with pytest.raises(CorruptFile, match=r"'layers\.0\.q' holds a value that is not a finite number"):
        quantize(w, FORMATS[name], "layers.0.q")


@pytest.mark.parametrize("name", ["q8", "q4", "q4a"])
def test_what_is_too_large_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="too large for"):
        quantize(np.linspace(-1e8, 1e8, 32, dtype=np.float32)[None], FORMATS[name], "w")


def test_formats_hearth_does_not_make() -> None:
    with pytest.raises(Unsupported, match="does not make q6_k"):
        quantize(np.zeros((1, 256), np.float32), FORMATS["q6_k"])
