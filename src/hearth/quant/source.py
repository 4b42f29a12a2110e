"""Rows of one checkpoint tensor, whatever type it is stored in: read a few at a time from a mapped file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.types import Checkpoint, RowReader
from hearth.errors import CorruptFile
from hearth.quant.blocks import Blocks, unpack
from hearth.quant.floats import FLOAT_BYTES, NATIVE_TYPES, check_finite, widen
from hearth.quant.formats import FORMATS
from hearth.quant.gguf import from_gguf, gguf_row_bytes, published_blocks
from hearth.quant.rotation import rotate_weight


@dataclass(frozen=True, eq=False)
class RowSource:
    """Some rows of a matrix (or some elements of a vector) as they stand in a checkpoint.

    Attributes:
        name: the tensor's name, for errors.
        dtype: `f32 f16 bf16` or a GGUF block type.
        raw: all bytes of the tensor, uint8, 1-D; usually mapped, never copied as a whole.
        shape: of the tensor: `(rows, columns)`, or `(size,)` for a vector, whose rows are its elements.
        rows: half-open range of rows that are meant; None: all.
        order: row i is row `order[i]` of that range, each of which is there at most once; None: as they are.
        factor: what all numbers are multiplied by (`TensorInfo.factor`).
        reader: what makes the rows, where `raw` is not all of them (`TensorInfo.reader`); `dtype` may then be any
            number format.

    Raises:
        CorruptFile: sizes, range or permutation do not fit together.
        Unsupported: an unknown type.
    """

    name: str
    dtype: str
    raw: NDArray[np.uint8]
    shape: tuple[int, ...]
    rows: tuple[int, int] | None = None
    order: NDArray[np.int64] | None = None
    factor: float = 1.0
    reader: RowReader | None = None

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        tensor: str,
        rows: tuple[int, int] | None = None,
        order: NDArray[np.int64] | None = None,
        fold: int = 1,
    ) -> RowSource:
        """Rows of the tensor called `tensor` of a checkpoint (the fields of a `model.weights.WeightSource`)."""
        info = checkpoint.tensors[tensor]
        stored = (math.prod(info.shape[:-1]), info.shape[-1]) if len(info.shape) > 2 else info.shape
        if fold > 1:
            stored = (stored[0] * fold, stored[1] // fold)
        return cls(tensor, info.dtype, checkpoint.raw(tensor), stored, rows, order, info.factor, info.reader)

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 2):
            raise CorruptFile(f"'{self.name}' has shape {list(self.shape)}: a weight has one or two dimensions.")
        stored_rows = self.shape[0]
        if self.reader is None:
            self._require_size(stored_rows)
        begin, end = self.rows or (0, stored_rows)
        if not 0 <= begin <= end <= stored_rows:
            raise CorruptFile(f"'{self.name}' has {stored_rows} rows, but rows {begin} to {end} are needed.")
        if self.order is not None and not _is_choice(self.order, end - begin):
            raise CorruptFile(f"The row order for '{self.name}' is no choice of its {end - begin} rows.")

    def _require_size(self, stored_rows: int) -> None:
        # Blocks lie along a vector, so only a float vector can be cut between any two elements.
        expected = (
            stored_rows * self._row_bytes()
            if self.is_matrix or self.dtype in FLOAT_BYTES
            else gguf_row_bytes(stored_rows, self.dtype, self.name)
        )
        if self.raw.size != expected:
            raise CorruptFile(
                f"'{self.name}' has {self.raw.size} bytes where {self.dtype} {list(self.shape)} needs {expected}."
            )

    @property
    def is_matrix(self) -> bool:
        """False for a vector."""
        return len(self.shape) == 2

    @property
    def n(self) -> int:
        """Number of rows that are meant."""
        begin, end = self.rows or (0, self.shape[0])
        return end - begin if self.order is None else len(self.order)

    @property
    def k(self) -> int:
        """Columns; 1 for a vector."""
        return self.shape[1] if self.is_matrix else 1

    def read(self, begin: int = 0, end: int | None = None) -> Blocks | NDArray[Any]:
        """Rows `[begin, end)` of those that are meant, in the type they are stored in.

        Returns:
            `Blocks`, or `(rows, k)` float32, float16, or uint16 (bf16 bits). May be a view of the file.
        """
        rows = end if end is not None else self.n
        if self.reader is not None:
            return self._made(self.reader, begin, rows)
        raw = self._raw_rows(begin, rows)
        if self.dtype in FLOAT_BYTES:
            return raw.view(NATIVE_TYPES[self.dtype]).reshape(rows - begin, self.k)
        return from_gguf(raw, (rows - begin, self.k), self.dtype, self.name, self.factor)

    def read_f32(self, begin: int = 0, end: int | None = None) -> NDArray[np.float32]:
        """Rows `[begin, end)` as f32 `(rows, k)`; exact."""
        values = self.read(begin, end)
        if isinstance(values, Blocks):
            return unpack(values)
        return widen(values.view(np.uint8), self.dtype).reshape(values.shape)

    def _made(self, reader: RowReader, begin: int, end: int) -> Blocks | NDArray[np.float32]:
        """The same of what a reader makes, which is asked for the rows from the first to the last that are wanted."""
        first = (self.rows or (0, 0))[0]
        wanted = np.arange(begin, end) if self.order is None else self.order[begin:end]
        low = int(wanted.min(initial=0 if wanted.size == 0 else self.shape[0]))
        with np.errstate(all="ignore"):  # numbers that are not finite are refused where they are used
            made = reader(first + low, first + int(wanted.max(initial=-1)) + 1)
        chosen = slice(None) if self.order is None else wanted - low
        if isinstance(made, np.ndarray):
            return made[chosen]
        return published_blocks(FORMATS[self.dtype], self.k, {k: v[chosen] for k, v in made.items()}, self.name)

    def _row_bytes(self) -> int:
        if self.dtype in FLOAT_BYTES:
            return self.k * FLOAT_BYTES[self.dtype]
        return gguf_row_bytes(self.k, self.dtype, self.name)

    def _raw_rows(self, begin: int, end: int) -> NDArray[np.uint8]:
        first = (self.rows or (0, 0))[0]
        by_row = np.asarray(self.raw).reshape(self.shape[0], self._row_bytes())
        if self.order is None:
            return by_row[first + begin : first + end].reshape(-1)
        return by_row[first + self.order[begin:end]].reshape(-1)


def _is_choice(order: NDArray[np.int64], count: int) -> bool:
    """Whether each of so many rows is there at most once."""
    ascending = np.sort(order)
    within = ascending.size == 0 or (ascending[0] >= 0 and ascending[-1] < count)
    return bool(within and (np.diff(ascending) > 0).all())


@dataclass(frozen=True, eq=False)
class RoundedRows:
    """All rows of a matrix that is rounded already, as they stand in memory.

    Attributes:
        name: of the matrix, for errors.
        blocks: the numbers.
    """

    name: str
    blocks: Blocks

    @property
    def dtype(self) -> str:
        return self.blocks.fmt.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.blocks.n, self.blocks.k

    @property
    def is_matrix(self) -> bool:
        return True

    @property
    def n(self) -> int:
        return self.blocks.n

    @property
    def k(self) -> int:
        return self.blocks.k

    def read(self, begin: int = 0, end: int | None = None) -> Blocks:
        """Rows `[begin, end)`."""
        return self.blocks.rows(begin, self.n if end is None else end)

    def read_f32(self, begin: int = 0, end: int | None = None) -> NDArray[np.float32]:
        """The same as f32 `(rows, k)`."""
        return unpack(self.read(begin, end))


@dataclass(frozen=True, eq=False)
class RotatedRows:
    """Rows of a matrix as they are rotated (`quant/rotation.py`).

    Attributes:
        source: the rows as they stand in a checkpoint.
        vectors: that are rotated together; 1: they stay as they are, in the type they are stored in.
    """

    source: RowSource
    vectors: int

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def dtype(self) -> str:
        return self.source.dtype if self.vectors == 1 else "f32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def is_matrix(self) -> bool:
        return self.source.is_matrix

    @property
    def n(self) -> int:
        return self.source.n

    @property
    def k(self) -> int:
        return self.source.k

    def read(self, begin: int = 0, end: int | None = None) -> Blocks | NDArray[Any]:
        """Rows `[begin, end)`; rotated they are float32 `(rows, k)`."""
        if self.vectors == 1:
            return self.source.read(begin, end)
        return rotate_weight(self.source.read_f32(begin, end), self.vectors)

    def read_f32(self, begin: int = 0, end: int | None = None) -> NDArray[np.float32]:
        """The same as f32 `(rows, k)`."""
        return self.source.read_f32(begin, end) if self.vectors == 1 else np.asarray(self.read(begin, end))


Rows = RowSource | RoundedRows | RotatedRows
"""Where the rows of a matrix come from."""


def read_f32(source: RowSource) -> NDArray[np.float32]:
    """All of a norm, a bias or a small matrix as f32, in the shape of the tensor.

    Raises:
        CorruptFile: a value is not finite.
    """
    if source.is_matrix:
        values = source.read_f32()
    elif source.dtype in FLOAT_BYTES:
        values = source.read_f32().reshape(-1)
    else:
        shape = (1, source.shape[0])
        whole = unpack(from_gguf(np.asarray(source.raw), shape, source.dtype, source.name, source.factor)).reshape(-1)
        begin, end = source.rows or (0, source.shape[0])
        values = whole[begin:end] if source.order is None else whole[begin:end][source.order]
    check_finite(values, source.name)
    return values


def read_tensor(checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
    """A whole tensor of any number of axes as f32, in its shape.

    Raises:
        CorruptFile: its bytes do not fit its shape, or a value is not finite.
        Unsupported: an unknown type.
    """
    info = checkpoint.tensors[name]
    rows = (math.prod(info.shape[:-1]), info.shape[-1]) if len(info.shape) > 1 else info.shape or (1,)
    source = RowSource(name, info.dtype, checkpoint.raw(name), rows, factor=info.factor, reader=info.reader)
    return read_f32(source).reshape(info.shape)
