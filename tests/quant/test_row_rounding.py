"""Rounding to i8 and i4, which have one float scale a row. If these fail, vision models and encoders lose quality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import FORMATS, RowSource, pack, pack_weight, packed_size, quantize, quantize_rows, unpack

F32 = NDArray[np.float32]


def weights(kind: str, n: int = 64, k: int = 384) -> F32:
    """Rows of very different sizes."""
    rng = np.random.default_rng(3)
    draw = {
        "normal": rng.standard_normal((n, k)),
        "laplace": rng.laplace(size=(n, k)),
        "heavy tails": rng.standard_t(4, size=(n, k)),
        "flat": rng.uniform(-1, 1, (n, k)),
    }[kind]
    return (draw * np.exp(rng.uniform(-20, 20, (n, 1)))).astype(np.float32)


def relative_errors(w: F32, rounded: F32) -> NDArray[np.float64]:
    """Of each row."""
    wide = w.astype(np.float64)
    return np.sqrt(np.square(rounded - wide).sum(axis=1) / np.square(wide).sum(axis=1))


@pytest.mark.parametrize("kind", ["normal", "laplace", "heavy tails", "flat"])
def test_integer_steps_cost_a_few_percent_over_free_scales(kind: str) -> None:
    w = weights(kind)
    free = w / np.abs(w).max(axis=1, keepdims=True)  # in the range of half scales
    best = relative_errors(free, unpack(quantize(free, FORMATS["q4"])))
    ours = relative_errors(w, unpack(quantize_rows(w, FORMATS["i4"])))
    assert ours.mean() < 1.04 * best.mean()
    assert (ours < 1.15 * best).all()


@pytest.mark.parametrize("kind", ["normal", "flat"])
def test_i8_is_the_nearest_of_255_steps(kind: str) -> None:
    w = weights(kind)
    blocks = quantize_rows(w, FORMATS["i8"])
    np.testing.assert_allclose(blocks.scale[:, 0], np.abs(w).max(axis=1) / 127, rtol=1e-6)
    assert (np.abs(unpack(blocks) - w) <= 0.5001 * blocks.scale).all()
    assert (np.abs(blocks.q).max(axis=1) == 127).all()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["i8", "i4"]), st.integers(1, 20), st.integers(1, 100), st.floats(-30, 30), st.integers(0, 99))
def test_any_finite_weight_has_a_bounded_error(name: str, n: int, k: int, size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = (rng.standard_normal((n, k)) * 10.0**size).astype(np.float32)
    w[rng.random((n, k)) < 0.2] = 0
    blocks = quantize_rows(w, FORMATS[name])
    assert np.abs(unpack(blocks) - w).max() <= np.abs(w).max() / (7 if name == "i4" else 200) + 1e-28
    if name == "i4":
        assert np.abs(blocks.sub_scale).max() <= 15


@pytest.mark.parametrize("name", ["i8", "i4"])
def test_zeros_stay_zeros(name: str) -> None:
    assert not unpack(quantize_rows(np.zeros((3, 70), np.float32), FORMATS[name])).any()


@pytest.mark.parametrize("name", ["i8", "i4"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_refused_by_name(name: str, wrong: float) -> None:
    w = weights("normal")
    w[7, 9] = wrong
    with pytest.raises(CorruptFile, match=r"layers\.0\.q"):
        quantize_rows(w, FORMATS[name], "layers.0.q")


def test_rows_whose_sums_could_overflow_are_refused() -> None:
    with pytest.raises(Unsupported, match=r"'head'.*200,000 columns"):
        quantize_rows(np.ones((1, 200_000), np.float32), FORMATS["i8"], "head")


@pytest.mark.parametrize("name", ["i8", "i4"])
@pytest.mark.parametrize("arrange", ["dense", "interleaved"])
def test_a_weight_is_packed_from_its_sources(name: str, arrange: str) -> None:
    """q, k, v below each other; gate and up in turn."""
    fmt, k = FORMATS[name], 90
    parts = [weights("normal", 32, k), weights("flat", 32, k)]
    sources = [RowSource("w", "f32", part.view(np.uint8).reshape(-1), part.shape) for part in parts]
    out = np.full(packed_size(fmt, 64, k), 0xAA, np.uint8)
    pack_weight(sources, fmt, k, out, arrange=arrange)  # type: ignore[arg-type]
    whole = np.concatenate(parts)
    if arrange == "interleaved":
        whole = whole.reshape(2, 2, 16, k).transpose(1, 0, 2, 3).reshape(64, k)
    np.testing.assert_array_equal(out, pack(quantize_rows(whole, fmt), fmt))
