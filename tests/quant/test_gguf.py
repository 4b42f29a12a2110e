"""GGUF blocks keep their integers and scales. If these fail, a GGUF model answers nonsense, or slightly worse than it
should without anyone noticing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hearth.errors import CorruptFile, Unsupported
from hearth.quant import FORMATS, from_gguf, pack, unpack, unpack_layout

from .helpers import HALVES, random_gguf

GOLDEN = json.loads(Path(__file__).with_name("golden_gguf.json").read_text(encoding="utf-8"))


def half_bytes(*values: float) -> list[int]:
    return list(np.array(values, np.float16).tobytes())


def block_bytes(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


@pytest.mark.parametrize("dtype", HALVES)
def test_values_are_those_of_the_reference(dtype: str) -> None:
    n, k = GOLDEN["shape"]
    raw = np.frombuffer(base64.b64decode(GOLDEN["types"][dtype]["raw"]), np.uint8)
    expected = np.frombuffer(base64.b64decode(GOLDEN["types"][dtype]["f32"]), "<f4").reshape(n, k)
    blocks = from_gguf(raw, (n, k), dtype)
    np.testing.assert_array_equal(unpack(blocks), expected)
    np.testing.assert_array_equal(unpack_layout(pack(blocks, FORMATS[dtype]), n, k, FORMATS[dtype]), expected)


@pytest.mark.reference
@pytest.mark.parametrize("dtype", HALVES)
def test_live_reference(dtype: str) -> None:
    gguf = pytest.importorskip("gguf")
    n, k = 48, 2048
    raw = random_gguf(dtype, n, k, seed=5)
    expected = gguf.quants.dequantize(raw.reshape(n, -1), gguf.GGMLQuantizationType[dtype.upper()])
    np.testing.assert_array_equal(unpack(from_gguf(raw, (n, k), dtype)), expected)


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
    with pytest.raises(Unsupported, match="iq2_xs"):
        from_gguf(raw, (2, 64), "iq2_xs", "w")
    damaged = raw.copy()
    damaged[18:20] = half_bytes(float("inf"))
    with pytest.raises(CorruptFile, match=r"'w'.*scale is not a finite number"):
        from_gguf(damaged, (2, 64), "q4_0", "w")
