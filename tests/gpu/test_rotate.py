"""Activations are rotated as the rows of weights with a scale a row are: against numpy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from tests.gpu.adapter import run_kernel
from tests.gpu.products import assert_close, normed

from hearth.compiler.gpu.kernels.product_output import ProductSpec
from hearth.compiler.gpu.kernels.rotate import RotateSpec, rotate
from hearth.quant import FORMATS
from hearth.quant.rotation import rotate_activations

EPSILON = 1e-5


@pytest.mark.parametrize(("vectors", "columns"), [(2, 96), (16, 512)])
@pytest.mark.parametrize("norm", [None, EPSILON])
@pytest.mark.parametrize("gather", [False, True])
def test_rows_are_rotated_behind_norm_and_choice(vectors: int, columns: int, norm: float | None, gather: bool) -> None:
    rng = np.random.default_rng(vectors)
    x = (3 * rng.normal(size=(6, columns))).astype(np.float32)
    gain, numbers = rng.normal(size=columns).astype(np.float32), np.array([5, 0, 3], np.int32)
    rows = x[numbers] if gather else x
    operands = [x, *([gain] if norm else []), *([numbers] if gather else [])]
    kernel = rotate(RotateSpec(vectors, ProductSpec(FORMATS["i8"], norm=norm, gather=gather)))
    y = np.full(rows.shape, np.nan, np.float32)
    *_, found = run_kernel(kernel, [*operands, y], [len(rows), columns, columns], len(rows))
    wanted = normed(rows.astype(np.float64), gain.astype(np.float64), norm) if norm else rows
    assert_close(found, rotate_activations(wanted.astype(np.float32), vectors), 1e-5)
