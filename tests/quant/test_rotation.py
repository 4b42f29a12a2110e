"""Rotation of rows that have one scale: products stay, outliers do not. If this fails, int8 answers wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.quant import FORMATS, RowSource, pack, pack_weight, packed_size, quantize_rows, unpack
from hearth.quant.rotation import rotate_activations, rotate_weight, rotated_vectors
from hearth.quant.source import RotatedRows


@pytest.mark.parametrize(
    ("columns", "vectors"), [(3072, 16), (1536, 16), (384, 8), (192, 4), (96, 2), (48, 1), (588, 1), (40, 1), (32, 2)]
)
def test_as_many_vectors_as_divide_a_row(columns: int, vectors: int) -> None:
    assert rotated_vectors(columns) == vectors


def test_products_are_those_of_what_was_rotated() -> None:
    rng = np.random.default_rng(0)
    for columns in (32, 36, 96, 192, 1536):
        x, w = (rng.standard_normal((rows, columns)).astype(np.float32) for rows in (5, 7))
        vectors = rotated_vectors(columns)
        products = rotate_activations(x, vectors).astype(np.float64) @ rotate_weight(w, vectors).T
        np.testing.assert_allclose(products, x.astype(np.float64) @ w.T, atol=1e-4)
        np.testing.assert_allclose(rotate_activations(rotate_weight(w, vectors), vectors), w, atol=1e-6)


def test_an_outlier_is_shared_by_a_lane_of_its_group() -> None:
    x = np.zeros((1, 512), np.float32)
    x[0, 256 + 3 * 16 + 5] = 8.0
    turned = rotate_activations(x, 16)[0]
    np.testing.assert_array_equal(np.flatnonzero(turned), 256 + 5 + 16 * np.arange(16))
    assert (np.abs(turned[turned != 0]) == 8).all()


def test_rows_with_outliers_are_rounded_finer() -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal((16, 512)).astype(np.float32)
    w[:, 100] *= 30
    plain = unpack(quantize_rows(w, FORMATS["i8"])) - w
    rotated = rotate_activations(unpack(quantize_rows(rotate_weight(w, 16), FORMATS["i8"])), 16) - w
    assert np.linalg.norm(rotated) < 0.5 * np.linalg.norm(plain)


@pytest.mark.parametrize("name", ["i8", "i4"])
def test_matrices_are_packed_rotated(name: str) -> None:
    w = np.random.default_rng(2).standard_normal((40, 96)).astype(np.float16)
    fmt = FORMATS[name]
    source = RowSource("w", "f16", w.reshape(-1).view(np.uint8), w.shape)
    out = np.zeros(packed_size(fmt, *w.shape), np.uint8)
    pack_weight([RotatedRows(source, 2)], fmt, w.shape[1], out)
    assert np.array_equal(out, pack(quantize_rows(rotate_weight(w.astype(np.float32), 2), fmt), fmt).reshape(-1))
    np.testing.assert_array_equal(RotatedRows(source, 1).read_f32(3, 9), w[3:9])
