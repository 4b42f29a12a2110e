"""Rounding with activations at hand. If these fail, 4 bits cost a vision model what its pictures should have saved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hearth.errors import CorruptFile
from hearth.quant import FORMATS, Blocks, quantize_calibrated, quantize_rows, unpack

F32 = NDArray[np.float32]
N, K = 48, 160


def weight() -> F32:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((N, K)) * np.exp(rng.uniform(-12, 2, (N, 1)))).astype(np.float32)


def activations() -> F32:
    """Rows whose columns go along with each other, some of them large, as after a layer norm."""
    rng, rows = np.random.default_rng(1), 2000
    mixed = rng.standard_normal((rows, 40)) @ rng.standard_normal((40, K)) / 6 + rng.standard_normal((rows, K)) / 3
    return (mixed * np.exp(rng.standard_normal(K))).astype(np.float32)


def product_error(x: F32, w: F32, blocks: Blocks) -> float:
    """Of the rows' products, each in proportion."""
    exact, ours = (x.astype(np.float64) @ m.T.astype(np.float64) for m in (w, unpack(blocks)))
    return float(np.mean(np.sqrt(np.square(ours - exact).sum(axis=0) / np.square(exact).sum(axis=0))))


@pytest.mark.parametrize(("name", "share"), [("i4", 0.6), ("i8", 0.7)])
def test_products_err_less_on_activations_not_seen(name: str, share: float) -> None:
    w, x = weight(), activations()
    seen, new = x[:1500], x[1500:]
    calibrated = quantize_calibrated(w, FORMATS[name], seen.T @ seen)
    assert product_error(new, w, calibrated) < share * product_error(new, w, quantize_rows(w, FORMATS[name]))


def test_columns_that_do_not_go_along_are_rounded_alone() -> None:
    """Nothing can make up for anything: the error of every weight is at most half a step."""
    w = weight()
    blocks = quantize_calibrated(w, FORMATS["i8"], np.eye(K, dtype=np.float32))
    np.testing.assert_array_equal(blocks.q, quantize_rows(w, FORMATS["i8"]).q)


@pytest.mark.parametrize("name", ["i8", "i4"])
def test_integers_stay_in_their_range(name: str) -> None:
    """However far the errors that a column makes up for carry it."""
    x = np.repeat(activations()[:, :1], K, axis=1) + np.float32(1e-3) * activations()
    blocks = quantize_calibrated(weight(), FORMATS[name], x.T @ x)
    limits = (-127, 127) if name == "i8" else (0, 15)
    assert limits[0] <= blocks.q.min()
    assert blocks.q.max() <= limits[1]
    assert np.isfinite(unpack(blocks)).all()


@pytest.mark.parametrize("name", ["i8", "i4"])
def test_activations_that_are_always_zero_say_nothing(name: str) -> None:
    w = weight()
    np.testing.assert_array_equal(
        unpack(quantize_calibrated(w, FORMATS[name], np.zeros((K, K), np.float32))),
        unpack(quantize_rows(w, FORMATS[name])),
    )
    dead = activations()
    dead[:, 30:50] = 0
    assert np.isfinite(unpack(quantize_calibrated(w, FORMATS[name], dead.T @ dead))).all()


def test_what_is_no_number_is_refused_by_name() -> None:
    gram = np.eye(K, dtype=np.float32)
    gram[3, 4] = np.nan
    with pytest.raises(CorruptFile, match=r"layers\.0\.fc1"):
        quantize_calibrated(weight(), FORMATS["i4"], gram, "layers.0.fc1")


def test_it_is_the_algorithm_of_the_paper() -> None:
    """Optimal brain quantisation as its equations stand (Frantar and Alistarh, 2022; GPTQ, equation 2): one column
    after the other, with the inverse of what is left computed anew each time."""
    w, x = weight()[:, :40], activations()[:, :40]
    gram = (x.T @ x).astype(np.float64)
    scale = np.abs(w).max(axis=1) / 127
    hessian = gram + 0.05 * np.trace(gram) / 40 * np.eye(40)
    left = list(np.argsort(-np.diag(gram), kind="stable"))
    values, integers = w.astype(np.float64), np.zeros(w.shape)
    while left:
        inverse, column = np.linalg.inv(hessian[np.ix_(left, left)]), left[0]
        integers[:, column] = np.clip(np.rint(values[:, column] / scale), -127, 127)
        error = (values[:, column] - integers[:, column] * scale) / inverse[0, 0]
        values[:, left] -= error[:, None] * inverse[0]
        left.pop(0)
    ours = quantize_calibrated(w, FORMATS["i8"], gram).q[:, :40]
    # f32 may turn a rounding that is nearly a half.
    assert (ours != integers).mean() < 0.01
    assert np.abs(ours - integers).max() <= 1
