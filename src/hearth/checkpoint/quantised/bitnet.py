"""BitNet: weights of -1, 0 and 1, four rows in a byte, with one scale.

`weight` u8 `(rows / 4, columns)`: bits 2i and 2i + 1 of it are the i-th quarter of the rows, one more than their
numbers; `weight_scale`, by which products are divided (`linear_class` bitlinear) or multiplied (autobitlinear).
Activations are computed as of any other model. Source: transformers, integrations/bitnet.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.quantised.grouped import GROUP
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight, fits_f16

_CLASSES = {"bitlinear": True, "autobitlinear": False}
"""Whether the scale divides."""
_ROWS = 4
# Places of the doubles of -1, 0, 1 and 2 in the table of floats of 4 bits, and the float of 8 bits that is 1.
_PLACES = np.array([10, 0, 2, 4], np.uint8)
_ONE = 0x38


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    if _class(scheme) not in _CLASSES:
        raise scheme.unsupported("linear_class", f"Known: {', '.join(_CLASSES)}.")
    if scheme.settings.get("quantization_mode", "offline") != "offline":
        raise scheme.unsupported("quantization_mode", "Its weights are rounded whenever they are used. Known: offline.")
    if scheme.flag("use_rms_norm", False):
        raise scheme.unsupported("use_rms_norm", "It has a norm before each product, which no family knows.")


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    divides = _CLASSES[_class(scheme)]
    for stem in stored.stems(".weight_scale"):
        if stored.info(f"{stem}.weight").dtype == "u8":
            yield _weight(stored, stem, divides)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    return "tq2_0"


def _class(scheme: Scheme) -> str:
    return str(scheme.settings.get("linear_class", "bitlinear"))


def _weight(stored: Stored, stem: str, divides: bool) -> Weight:
    parts = (f"{stem}.weight", f"{stem}.weight_scale")
    packed, scale = stored.array(parts[0], "u8"), np.float32(stored.number(parts[1]))
    stored.require(packed.ndim == 2 and all(packed.shape), parts[0], "A matrix is expected.")
    stored.require(not divides or scale != 0, parts[1], "It divides, and is 0.")
    factor = np.float32(1) / scale if divides else scale
    quarter, columns = packed.shape

    def codes(begin: int, end: int) -> NDArray[np.uint8]:
        part, row = np.divmod(np.arange(begin, end), quarter)
        return np.asarray(packed[row] >> (2 * part[:, None]).astype(np.uint8) & np.uint8(3), np.uint8)

    def read(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        scales = np.full((end - begin, -(-columns // GROUP)), factor, np.float16)
        return {"q": codes(begin, end), "scale": scales}

    def read_wide(begin: int, end: int) -> Mapping[str, NDArray[Any]]:
        """In a format whose scale is an f32 number."""
        rows = end - begin
        return {
            "q": _PLACES[codes(begin, end)],
            "sub_scale": np.full((rows, -(-columns // 16)), _ONE, np.uint8),
            "scale": np.full((rows, -(-columns // 256)), factor, np.float32),
        }

    dtype, reader = ("tq2_0", read) if fits_f16(np.array([factor]), "f32") else ("nvfp4", read_wide)
    return stored.weight(parts[0], (_ROWS * quarter, columns), dtype, reader, "bitnet", parts)
