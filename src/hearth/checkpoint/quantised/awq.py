"""AWQ as AutoAWQ writes it (version gemm): integers of 4 bits along the rows of a weight, which is stored transposed.

`qweight` i32 `(columns, rows / 8)`, `qzeros` i32 `(groups, rows / 8)`, `scales` `(groups, rows)`. The eight rows of a
word stand in it in the order 0, 2, 4, 6, 1, 3, 5, 7. Source: AutoAWQ, awq/utils/packing_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.quantised.bits import unpack_bits
from hearth.checkpoint.quantised.grouped import grouped_integers
from hearth.checkpoint.quantised.scheme import Scheme
from hearth.checkpoint.quantised.weight import Stored, Weight, fits_f16

_PLACES = np.array([0, 4, 1, 5, 2, 6, 3, 7])
"""The place of row i among the eight of a word."""


def check(scheme: Scheme) -> None:
    """Raises Unsupported for settings that are not read."""
    if scheme.settings.get("bits", 4) != 4:
        raise scheme.unsupported("bits", "4 are known.")
    version = scheme.settings.get("version") or scheme.settings.get("format") or "gemm"
    if str(version).lower() != "gemm":
        key = "version" if scheme.settings.get("version") else "format"
        raise scheme.unsupported(key, "Other versions have their integers in other orders. Known: gemm.")
    if scheme.settings.get("backend") == "llm-awq":
        raise scheme.unsupported("backend", "Its integers are in an order of its own.")


def weights(stored: Stored, scheme: Scheme) -> Iterator[Weight]:
    """Every weight that is stored so."""
    for stem in stored.stems(".qweight"):
        yield _weight(stored, stem)


def expected(scheme: Scheme) -> str:
    """The type that most weights will be shown as."""
    return "q5_0"


def _weight(stored: Stored, stem: str) -> Weight:
    parts = tuple(f"{stem}.{part}" for part in ("qweight", "qzeros", "scales"))
    packed = stored.array(parts[0], "i32")
    how = stored.info(parts[2], "f16", "bf16", "f32")
    scales = stored.array(parts[2])
    fits = packed.ndim == scales.ndim == 2 and all(packed.shape) and all(scales.shape)
    stored.require(fits, parts[0], "A matrix is expected.")
    (columns, words), (groups, rows) = packed.shape, scales.shape
    zeros = stored.array(parts[1], "i32")
    fits = words * 8 == rows and columns % groups == 0 and zeros.shape == (groups, words)
    stored.require(fits, parts[0], f"Its scales have the shape {list(scales.shape)}.")
    group = columns // groups

    def integers(begin: int, end: int) -> NDArray[np.int8]:
        q = _rows(packed, begin, end).astype(np.int8)
        return q - np.repeat(_rows(zeros, begin, end).astype(np.int8), group, axis=1)

    return grouped_integers(
        stored,
        f"{stem}.weight",
        (rows, columns),
        integers,
        lambda begin, end: to_f32(scales[:, begin:end], how.dtype).T,
        lowest=-15,
        highest=15,
        group=group,
        exact=fits_f16(scales, how.dtype),
        published="awq 4 bits",
        parts=parts,
    )


def _rows(words: NDArray[Any], begin: int, end: int) -> NDArray[np.uint8]:
    """Rows `[begin, end)` of what lies transposed in words of eight rows."""
    first = begin // 8
    part = words[:, first : -(-end // 8)]
    fields = unpack_bits(part, 4, 8 * part.shape[1]).reshape(len(words), -1, 8)[:, :, _PLACES]
    return fields.reshape(len(words), -1)[:, begin - 8 * first : end - 8 * first].T
