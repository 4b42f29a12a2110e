"""Float conversions. If these fail, weights are silently off, or infinite."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.errors import CorruptFile, Unsupported
from hearth.quant.floats import check_finite, narrow, widen


def test_bf16_rounds_to_nearest_even() -> None:
    one = 0x3F80
    cases = {  # f32 bits: bf16 bits
        (one << 16) | 0x7FFF: one,
        (one << 16) | 0x8000: one,  # a tie goes to even
        (one << 16) | 0x8001: one + 1,
        ((one + 1) << 16) | 0x8000: one + 2,  # a tie goes up to even
        (0x3FFF << 16) | 0x8000: 0x4000,  # carries into the exponent
        0x80000000: 0x8000,  # -0
        0x00000001: 0,
    }
    values = np.array(list(cases), np.uint32).view(np.float32)
    np.testing.assert_array_equal(narrow(values, "bf16"), np.array(list(cases.values()), np.uint16))


def test_widening_is_exact() -> None:
    bits = np.arange(65536, dtype=np.uint16)
    halves = widen(bits.view(np.uint8), "f16")
    np.testing.assert_array_equal(halves, bits.view(np.float16).astype(np.float32))
    brains = widen(bits.view(np.uint8), "bf16")
    np.testing.assert_array_equal(brains.view(np.uint32), bits.astype(np.uint32) << 16)
    finite = np.isfinite(brains)
    np.testing.assert_array_equal(narrow(brains[finite], "bf16"), bits[finite])
    finite = np.isfinite(halves)
    np.testing.assert_array_equal(narrow(halves[finite], "f16").view(np.uint16), bits[finite])


@pytest.mark.parametrize(("dtype", "fits", "too_large"), [("f16", 65519.0, 65520.0), ("bf16", 3.389e38, 3.4e38)])
def test_overflow_is_refused_not_made_infinite(dtype: str, fits: float, too_large: float) -> None:
    assert np.isfinite(widen(narrow(np.array([-fits], np.float32), dtype).view(np.uint8), dtype)).all()
    with pytest.raises(Unsupported, match=rf"'w' holds a value that is too large for {dtype}"):
        narrow(np.array([1, -too_large], np.float32), dtype, "w")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_is_refused(bad: float) -> None:
    values = np.array([1.0, bad, 2.0], np.float32)
    for dtype in ("f32", "f16", "bf16"):
        with pytest.raises(CorruptFile, match="'w'"):
            narrow(values, dtype, "w")
    with pytest.raises(CorruptFile):
        check_finite(values.astype(np.float16), "w")
    with pytest.raises(CorruptFile):
        check_finite((values.view(np.uint32) >> 16).astype(np.uint16), "w")
    check_finite(np.array([65504], np.float16), "w")
