"""Moments of activations, and rounding with them."""

from __future__ import annotations

from itertools import product

import numpy as np

from hearth.calibrate.moments import Moments
from hearth.calibrate.rounding import round_together
from hearth.quant import FORMATS, unpack
from hearth.quant.rotation import rotate_weight


def seen(columns: int, items: int, rows: int) -> tuple[Moments, np.ndarray]:
    rng, moments = np.random.default_rng(0), Moments(columns, items)
    values = (rng.standard_normal((items, rows, columns)) @ rng.standard_normal((columns, columns)) + 3).astype("f4")
    for item in values:
        moments.see(item)
    return moments, values.reshape(-1, columns).astype(np.float64)


def test_few_activations_all_count() -> None:
    moments, values = seen(16, 5, 20)
    np.testing.assert_allclose(moments.mean, values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.gram(centred=False), values.T @ values / len(values), rtol=1e-4)
    covariance = np.cov(values.T, bias=True)
    np.testing.assert_allclose(moments.gram(centred=True), covariance, atol=1e-4 * np.abs(covariance).max())


def test_of_many_a_part_tells_about_the_same() -> None:
    moments, values = seen(64, 50, 400)
    covariance = np.cov(values.T, bias=True)
    assert np.linalg.norm(moments.gram(centred=True) - covariance) < 0.4 * np.linalg.norm(covariance)


def test_a_bias_takes_up_the_mean_of_the_error() -> None:
    """Of matrices that share activations, each by itself."""
    moments, values = seen(64, 20, 30)
    matrices = [np.random.default_rng(n).standard_normal((n, 64)).astype(np.float32) for n in (48, 5)]
    for biases, rotated in product((["a", "b"], [None, None]), (1, 4)):
        for matrix, (rounded, error) in zip(
            matrices, round_together(matrices, biases, FORMATS["i4"], moments, rotated, "w"), strict=True
        ):
            stored = rotate_weight(matrix + error, rotated)
            np.testing.assert_allclose(unpack(rounded.blocks), stored, atol=1e-6)
            assert (rounded.shift is None) == (rounded.bias is None)
            products = values @ error.T.astype(np.float64)
            if rounded.shift is not None:
                size = np.abs(products).mean()
                assert np.abs((products + rounded.shift).mean(0)).max() < 1e-3 * size


def test_activations_that_hardly_vary_keep_what_they_vary_by() -> None:
    rng, moments = np.random.default_rng(0), Moments(24, 10)
    values = (1e4 + 1e-1 * rng.standard_normal((10, 30, 24))).astype(np.float32)
    for item in values:
        moments.see(item)
    covariance = np.cov(values.reshape(-1, 24).T.astype(np.float64), bias=True)
    np.testing.assert_allclose(moments.gram(centred=True), covariance, atol=0.02 * covariance.max())
