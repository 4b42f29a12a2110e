"""GGUF blocks keep their integers and scales. If these fail, a GGUF model answers nonsense, or slightly worse than it
should without anyone noticing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import FORMATS, from_gguf, pack, unpack, unpack_layout
from hearth.quant.gguf import GGUF_BLOCKS

from .helpers import HALVES, UNKNOWN_TO_GGUF, random_gguf

GOLDEN = json.loads(Path(__file__).with_name("golden_gguf.json").read_text(encoding="utf-8"))


def half_bytes(*values: float) -> list[int]:
    return list(np.array(values, np.float16).tobytes())


def block_bytes(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


KNOWN_TO_GGUF = [dtype for dtype in HALVES if dtype not in UNKNOWN_TO_GGUF]


@pytest.mark.parametrize("dtype", KNOWN_TO_GGUF)
def test_values_are_those_of_the_reference(dtype: str) -> None:
    n, k = GOLDEN["shape"]
    raw = np.frombuffer(base64.b64decode(GOLDEN["types"][dtype]["raw"]), np.uint8)
    expected = np.frombuffer(base64.b64decode(GOLDEN["types"][dtype]["f32"]), "<f4").reshape(n, k)
    blocks = from_gguf(raw, (n, k), dtype)
    np.testing.assert_array_equal(unpack(blocks), expected)
    np.testing.assert_array_equal(unpack_layout(pack(blocks, FORMATS[dtype]), n, k, FORMATS[dtype]), expected)


@pytest.mark.reference
@pytest.mark.parametrize("dtype", KNOWN_TO_GGUF)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_live_reference(dtype: str, seed: int) -> None:
    """Of any bytes: the very numbers, or a refusal where the reference has one that is not finite."""
    gguf = pytest.importorskip("gguf")
    n, k = 2, 1024
    size = n * k // GGUF_BLOCKS[dtype].columns * GGUF_BLOCKS[dtype].size_bytes
    raw = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(raw.reshape(n, -1), gguf.GGMLQuantizationType[dtype.upper()])
    try:
        values = unpack(from_gguf(raw, (n, k), dtype))
    except CorruptFile:
        assert not np.isfinite(expected).all()
        return
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_no_bytes_give_a_number_that_is_not_finite(dtype: str) -> None:
    """They give finite ones or are refused, with the same numbers before and after packing."""
    block = GGUF_BLOCKS[dtype]
    rng = np.random.default_rng(1)
    for _ in range(20):
        raw = rng.integers(0, 256, 256 // block.columns * block.size_bytes, dtype=np.uint8)
        try:
            blocks = from_gguf(raw, (1, 256), dtype)
        except CorruptFile as error:
            assert "not a finite number" in str(error)  # noqa: PT017
            continue
        values = unpack(blocks)
        assert np.isfinite(values).all()
        fmt = FORMATS[dtype]
        np.testing.assert_array_equal(unpack_layout(pack(blocks, fmt), 1, 256, fmt), values)


def test_q1_0_by_hand() -> None:
    """A bit a column, first in the lowest: minus or plus the scale."""
    values = unpack(from_gguf(block_bytes(*half_bytes(0.5), 0b101, *[0] * 14, 0x80), (1, 128), "q1_0"))[0]
    assert [i for i, value in enumerate(values) if value == 0.5] == [0, 2, 127]
    assert set(values) == {0.5, -0.5}


def test_q2_0_by_hand() -> None:
    """Two bits a column, first in the lowest: one is taken off."""
    values = unpack(from_gguf(block_bytes(*half_bytes(0.5), 0b11_10_01_00, *[0b01_01_01_01] * 15), (1, 64), "q2_0"))[0]
    assert values[:4].tolist() == [-0.5, 0.0, 0.5, 1.0]
    assert not values[4:].any()


def test_a_factor_multiplies_nvfp4() -> None:
    raw = random_gguf("nvfp4", 3, 320)
    plain = unpack(from_gguf(raw, (3, 320), "nvfp4"))
    np.testing.assert_allclose(
        unpack(from_gguf(raw, (3, 320), "nvfp4", factor=0.3)), plain * np.float32(0.3), rtol=1e-6
    )


@pytest.mark.parametrize("exponent", [253, 254, 255])
def test_powers_of_two_beyond_all_floats_are_refused(exponent: int) -> None:
    with pytest.raises(CorruptFile, match="not a finite number"):
        from_gguf(block_bytes(exponent, *[0x77] * 16), (1, 32), "mxfp4", "w")


def test_q4_0_by_hand() -> None:
    raw = block_bytes(*half_bytes(0.5), 0x9F, *[0x88] * 15)
    values = unpack(from_gguf(raw, (1, 32), "q4_0"))[0]
    assert values[0] == (15 - 8) * 0.5  # low nibble of byte 0: column 0
    assert values[16] == (9 - 8) * 0.5  # high nibble: column 16
    assert not values[1:16].any()
    assert not values[17:].any()


def test_q4_1_by_hand() -> None:
    raw = block_bytes(*half_bytes(0.25, -3.0), 0x20, *[0] * 15)
    values = unpack(from_gguf(raw, (1, 32), "q4_1"))[0]
    assert values[16] == 2 * 0.25 - 3
    assert (np.delete(values, 16) == -3).all()


def test_q5_0_by_hand() -> None:
    """Bit j of the high word is the fifth bit of column j."""
    raw = block_bytes(*half_bytes(2.0), *(0xFFFFFFFF ^ (1 << 1)).to_bytes(4, "little"), 0x03, *[0] * 15)
    values = unpack(from_gguf(raw, (1, 32), "q5_0"))[0]
    assert values[0] == (16 + 3 - 16) * 2
    assert values[1] == -16 * 2
    assert not values[2:].any()


def test_q8_0_by_hand() -> None:
    raw = block_bytes(*half_bytes(0.5), *(np.arange(32, dtype=np.int8) - 20).view(np.uint8))
    np.testing.assert_array_equal(unpack(from_gguf(raw, (1, 32), "q8_0"))[0], (np.arange(32) - 20) * 0.5)


def test_q4_k_by_hand() -> None:
    """Sub-block 0 has its scale in the low bits of byte 0; sub-block 5 takes bits from three bytes."""
    scales = [0] * 12
    scales[0] = 7  # scale 0
    scales[1] = 0b10_000000  # top bits of scale 5
    scales[5] = 0b11_000000  # top bits of min 5
    scales[9] = 0x4E  # low nibbles: scale 5 = 14, min 5 = 4
    quants = [0] * 128
    quants[0] = 0x03  # sub-block 0, column 0
    quants[2 * 32 + 1] = 0xA0  # sub-block 5, column 1
    values = unpack(from_gguf(block_bytes(*half_bytes(0.5, 0.25), *scales, *quants), (1, 256), "q4_k"))[0]
    assert values[0] == 3 * 0.5 * 7
    assert values[5 * 32 + 1] == 10 * 0.5 * (0b10_1110) - 0.25 * 0b11_0100
    assert values[5 * 32] == -0.25 * 0b11_0100


def test_q5_k_by_hand() -> None:
    """Bit g of high byte c belongs to column 32 g + c."""
    high = [0] * 32
    high[4] = 1 << 1
    scales = [0, 2, *[0] * 10]
    values = unpack(from_gguf(block_bytes(*half_bytes(1.0, 0.0), *scales, *high, *[0] * 128), (1, 256), "q5_k"))[0]
    assert values[32 + 4] == 16 * 2
    assert np.count_nonzero(values) == 1


def test_q6_k_by_hand() -> None:
    """Zero bits are -32; the second half of a block has its own bytes."""
    low, high = [0] * 128, [0] * 64
    low[64 + 32] = 0xF0  # second half: high nibble of byte 32: column 128 + 96
    high[32] = 0b01_00_00_00  # its top bits
    raw = block_bytes(*low, *high, *[255] * 15, 3, *half_bytes(2.0))  # scales -1, and 3 for the last 16 columns
    values = unpack(from_gguf(raw, (1, 256), "q6_k"))[0]
    assert values[128 + 96] == (15 + 16 - 32) * 2 * -1
    assert values[0] == -32 * 2 * -1
    assert values[255] == -32 * 2 * 3


def test_damage_is_refused() -> None:
    raw = random_gguf("q4_0", 2, 64)
    with pytest.raises(CorruptFile, match="'w' has 71 bytes where q4_0 2 x 64 needs 72"):
        from_gguf(raw[:-1], (2, 64), "q4_0", "w")
    with pytest.raises(CorruptFile, match="48 columns"):
        from_gguf(raw, (2, 48), "q4_0", "w")
    with pytest.raises(Unsupported, match="q8_k"):
        from_gguf(raw, (2, 64), "q8_k", "w")
    damaged = raw.copy()
    damaged[18:20] = half_bytes(float("inf"))
    with pytest.raises(CorruptFile, match=r"'w'.*scale is not a finite number"):
        from_gguf(damaged, (2, 64), "q4_0", "w")
