"""A quantised matrix in its canonical form: the integers and scales themselves, row-major, one byte an integer.

Everything meets here: GGUF decoders and the quantiser make `Blocks`, the packer reorders them, `unpack` says what they
are worth. No other place multiplies an integer by a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.quant.formats import FieldType, Format, round_up


@dataclass(frozen=True)
class Blocks:
    """Integers and scales of a quantised matrix `[N, K]`; `Kg` is K rounded up to whole groups (k-quants: to 256).

    Attributes:
        fmt: which of the block formats.
        k: K, the columns that count.
        q: `(N, Kg)` uint8, or int8 where `fmt.signed`: integers, or places in `fmt.table`. Columns from K on hold
            `fmt.zero_point`.
        scale: in the type of the format's field: float16 `(N, Kg / 32)`; k-quants: d, `(N, Kg / 256)`; `fmt.is_row`:
            float32 `(N, 1)`.
        min: float16 like `scale`; k-quants: dmin. None where the format has no min.
        sub_scale: k-quants and i4 only: uint8 or int8 `(N, Kg / group_columns)`.
        sub_min: q2_k, q4_k and q5_k only: uint8 `(N, Kg / group_columns)`.
    """

    fmt: Format
    k: int
    q: NDArray[Any]
    scale: NDArray[Any]
    min: NDArray[np.float16] | None = None
    sub_scale: NDArray[Any] | None = None
    sub_min: NDArray[np.uint8] | None = None

    @property
    def n(self) -> int:
        """N, the number of rows."""
        return int(self.q.shape[0])

    def array(self, name: str) -> NDArray[Any]:
        """The array of the field called `name` (`scale`, `min`, `sub_scale`, `sub_min`)."""
        value = {"scale": self.scale, "min": self.min, "sub_scale": self.sub_scale, "sub_min": self.sub_min}[name]
        if value is None:
            raise KeyError(f"blocks of {self.fmt.name} hold no {name}")
        return value

    def rows(self, begin: int, end: int) -> Blocks:
        """Rows `[begin, end)`, as views."""

        def part(array: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if array is None else array[begin:end]

        return replace(
            self,
            q=self.q[begin:end],
            scale=self.scale[begin:end],
            min=part(self.min),
            sub_scale=part(self.sub_scale),
            sub_min=part(self.sub_min),
        )

    def relabel(self, fmt: Format) -> Blocks:
        """The same numbers under the name of a format with the same layout (`q4_0` as `q4`)."""
        assert fmt.kernel_layout == self.fmt.kernel_layout, (fmt.name, self.fmt.name)
        return replace(self, fmt=fmt)


def unpack(blocks: Blocks) -> NDArray[np.float32]:
    """What the blocks are worth: f32 `(N, K)`, each value rounded once at most; the reference for every kernel."""
    fmt, n = blocks.fmt, blocks.n
    if fmt.is_row:
        return np.ascontiguousarray(row_integers(blocks)[:, : blocks.k] * blocks.scale)
    group = fmt.group_columns
    q = np.array(fmt.table, np.float32)[blocks.q] if fmt.table else blocks.q.astype(np.float32)
    if fmt.zero_point:
        q -= np.float32(fmt.zero_point)
    grouped = q.reshape(n, -1, group)  # (N, groups, columns of a group)
    scale, minimum = _group_scales(blocks)
    # A scale that is NaN or infinite gives NaN, as the arithmetic says: no warning is wanted for it.
    with np.errstate(all="ignore"):
        grouped *= scale[:, :, None]
        if minimum is not None:
            grouped += minimum[:, :, None]
    return np.ascontiguousarray(q[:, : blocks.k])


def _group_scales(blocks: Blocks) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Scale and min of each group, f32 `(N, groups)`. Products of f16 and 8-bit integers are exact in f32."""
    scale = numbers(blocks.scale, blocks.fmt.field("scale").dtype)
    minimum = None if blocks.min is None else blocks.min.astype(np.float32)
    if not blocks.fmt.is_super:
        return scale, minimum
    per_block = blocks.fmt.block_columns // blocks.fmt.group_columns
    sub_scale = numbers(blocks.array("sub_scale"), blocks.fmt.field("sub_scale").dtype)
    scale = np.repeat(scale, per_block, axis=1) * sub_scale
    if minimum is not None:
        minimum = -np.repeat(minimum, per_block, axis=1) * blocks.array("sub_min").astype(np.float32)
    return scale, minimum


def numbers(stored: NDArray[Any], dtype: FieldType) -> NDArray[np.float32]:
    """What the entries of a field are worth (`formats.FieldType`), exactly."""
    if dtype == "e8m0":
        powers: NDArray[np.float32] = np.ldexp(np.float32(1), stored.astype(np.int32) - 128)
        return powers
    if dtype == "e4m3":
        exponent, fraction = stored.astype(np.int32) >> 3, (stored & 7).astype(np.float32)
        whole = np.where(exponent > 0, np.float32(8), np.float32(0)) + fraction
        values: NDArray[np.float32] = np.ldexp(whole, np.maximum(exponent, 1) - 11)
        return values
    return stored.astype(np.float32)


def row_integers(blocks: Blocks) -> NDArray[np.int8]:
    """The integers that one scale a row multiplies: int8 `(N, Kg)`, sub-scales and zero point applied."""
    fmt, q = blocks.fmt, blocks.q
    if blocks.sub_scale is None:
        return np.asarray(q, np.int8)
    steps = (q.astype(np.int16) - fmt.zero_point).reshape(blocks.n, -1, fmt.group_columns)
    integers: NDArray[np.int8] = (steps * blocks.sub_scale[:, :, None]).reshape(q.shape).astype(np.int8)
    return integers


def concat_rows(parts: Sequence[Blocks]) -> Blocks:
    """Blocks of the same format and K, one below the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    assert all(part.fmt == first.fmt and part.k == first.k for part in parts)

    def joined(name: str) -> NDArray[Any] | None:
        return None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])

    return replace(
        first,
        q=np.concatenate([part.q for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
        min=joined("min"),
        sub_scale=joined("sub_scale"),
        sub_min=joined("sub_min"),
    )


def stored_columns(fmt: Format, k: int) -> int:
    """Kg: the columns of `Blocks.q` for a matrix of `k` columns."""
    return round_up(k, fmt.block_columns if fmt.is_super or fmt.is_row else fmt.group_columns)
