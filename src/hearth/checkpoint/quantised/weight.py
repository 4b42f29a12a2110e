"""What the readers of quantised weights have in common: the stored tensors, and what one weight is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.floats import STORED_TYPES, to_f32
from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.types import RowReader, TensorInfo
from hearth.errors import CorruptFile, Unsupported

_INTEGERS: dict[str, type[np.generic]] = {
    "u8": np.uint8, "i8": np.int8, "i32": np.int32, "u32": np.uint32, "i64": np.int64,
}  # fmt: skip
SMALL = 1 << 20
"""Numbers that a tensor of settings (a table, a shape) has at most."""


class Source(Protocol):
    """A folder's tensors as they stand in its files."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    def stored(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor of any type, mapped."""


@dataclass(frozen=True)
class Weight:
    """One weight of the unquantised model.

    Attributes:
        info: its name, shape and type there, and what reads it.
        parts: the tensors of the file that it is made of, or that only serve it; the first holds its integers.
    """

    info: TensorInfo
    parts: tuple[str, ...]


class Stored:
    """The tensors of a folder as arrays, none of which is trusted to be there or to fit."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.tensors = source.tensors

    def stems(self, ending: str) -> Iterator[str]:
        """What stands before an ending, for each tensor that has it."""
        return (name.removesuffix(ending) for name in self.tensors if name.endswith(ending))

    def info(self, name: str, *dtypes: str) -> TensorInfo:
        """A tensor of one of these types.

        Raises:
            CorruptFile: it is missing. Unsupported: it has another type.
        """
        found = self.tensors.get(name)
        if found is None:
            raise CorruptFile(
                f"The tensor {name[:200]!r} is missing.",
                why="Without it nobody knows what a quantised weight is worth.",
                hint=PULL_AGAIN,
            )
        if dtypes and found.dtype not in dtypes:
            raise Unsupported(
                f"Tensor {name[:200]!r} has the type {found.dtype}.", why=f"Known there: {', '.join(dtypes)}."
            )
        return found

    def array(self, name: str, *dtypes: str) -> NDArray[Any]:
        """A tensor in its shape, mapped; floats that numpy has no type for as their bits. Raises: as `info`."""
        info = self.info(name, *(dtypes or (*_INTEGERS, *STORED_TYPES)))
        dtype = np.dtype({**_INTEGERS, **STORED_TYPES}[info.dtype])
        raw = np.asarray(self._source.stored(name))
        if raw.ctypes.data % dtype.itemsize:  # only in files that were not written by their library
            raw = raw.copy()
        return raw.view(dtype).reshape(info.shape)

    def floats(self, name: str) -> NDArray[np.float32]:
        """A small tensor of floats, in its shape. Raises: as `info`."""
        info = self.info(name, *STORED_TYPES)
        self.require(math.prod(info.shape) <= SMALL, name, "It is too large for what it says.")
        return to_f32(self.array(name), info.dtype)

    def number(self, name: str) -> float:
        """A tensor of one finite float.

        Raises:
            CorruptFile: it is not that.
        """
        values = self.floats(name)
        self.require(values.size == 1 and bool(np.isfinite(values).all()), name, "One finite number is expected.")
        return float(values.reshape(-1)[0])

    def require(self, holds: bool, name: str, why: str) -> None:
        """Raises CorruptFile for a tensor of which something does not hold."""
        if not holds:
            info = self.tensors[name]
            raise CorruptFile(
                f"The quantised tensor {name[:200]!r} ({info.dtype} {list(info.shape)}) is not sound.",
                why=why,
                hint=PULL_AGAIN,
            )

    def weight(
        self, name: str, shape: tuple[int, ...], dtype: str, reader: RowReader, published: str, parts: tuple[str, ...]
    ) -> Weight:
        """One weight; of `parts` those count that are there."""
        present = tuple(part for part in parts if part in self.tensors)
        size = sum(self.tensors[part].size_bytes for part in present)
        return Weight(TensorInfo(name, shape, dtype, size, reader=reader, published=published), present)


def fits_f16(stored: NDArray[Any], dtype: str) -> bool:
    """Whether scales are the same numbers as f16, of which our formats are made."""
    if dtype == "f16":
        return True
    values = to_f32(stored, dtype)
    with np.errstate(all="ignore"):
        return bool((values.astype(np.float16) == values).all())
