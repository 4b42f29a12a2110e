"""Writes weights.bin: every parameter of the plan, packed from the checkpoint's mapped tensors."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.types import Checkpoint
from hearth.compiler.parameters import Packed, Parameters
from hearth.compiler.plan import Plan
from hearth.model.weights import ColumnsSource, ComputedWeight, Source, StackedWeight
from hearth.quant.blocks import Blocks
from hearth.quant.formats import LANES, round_up
from hearth.quant.source import RotatedRows, RoundedRows, Rows, RowSource, read_f32, read_tensor
from hearth.quant.weights import pack_weight


def pack_all(
    plan: Plan,
    parameters: Parameters,
    sources: Mapping[str, Source],
    checkpoint: Checkpoint,
    out: NDArray[np.uint8],
    *,
    rounded: Mapping[str, Blocks],
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Fills `out` (`plan.weights_bytes` bytes of zeros).

    Args:
        rounded: matrices that are not to be rounded (nor rotated) any more, by name.
        progress: called with the number of bytes written since the last call.

    Raises:
        CorruptFile: a tensor holds a number that is not finite, or a shape that does not fit.
    """
    for name, offset, size in plan.weights:
        packed, place = parameters.packed[name], out[offset : offset + size]
        if packed.packing is not None:
            arrays = [read_parameter(part, sources[part], checkpoint) for part in packed.parts]
            place[: packed.size_bytes] = packed.packing.pack(arrays)
            if progress:
                progress(size)
            continue
        if packed.k is None:
            values = _plain(packed, sources, checkpoint).view(np.uint8)
            place[: values.size] = values
            if progress:
                progress(size)
            continue
        for number, own in enumerate(np.split(place, packed.stack)):
            read = {
                part: _row_source(part, sources[part], checkpoint, number)
                for part in packed.parts
                if part not in rounded
            }
            rows: list[Rows] = [
                RotatedRows(read[part], packed.rotated) if part in read else RoundedRows(part, rounded[part])
                for part in packed.parts
            ]
            pack_weight(rows, packed.fmt, packed.k, own, arrange=packed.arrange, threads=threads, progress=progress)
            forget([own, *(source.raw for source in read.values())])


def read_parameter(name: str, source: Source, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """A parameter as f32: a matrix `(rows, columns)` or a vector."""
    return read_f32(_row_source(name, source, checkpoint))


def forget(arrays: list[NDArray[np.uint8]]) -> None:
    """Lets the system take back the memory of mapped arrays that are done with.

    Their content stays in their files (what was written too, the mapping being shared); without this a large model
    would fill memory twice, once with what was read and once with what was written.
    """
    for array in arrays:
        owner: Any = array
        while owner is not None and not isinstance(owner, mmap.mmap):
            owner = getattr(owner, "base", None)
        if owner is None or not hasattr(owner, "madvise"):
            continue
        first = np.frombuffer(owner, np.uint8).ctypes.data
        begin = -(-(array.ctypes.data - first) // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (array.ctypes.data - first + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            owner.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _row_source(name: str, source: Source, checkpoint: Checkpoint, number: int = 0) -> RowSource:
    """The rows of a parameter, or of one matrix of a stack."""
    if isinstance(source, StackedWeight):
        part = source.parts[number]
        if isinstance(part, ColumnsSource):
            stored = read_f32(RowSource.of(checkpoint, part.tensor, part.rows))
            turned = np.ascontiguousarray(stored[:, part.columns].T)
            return RowSource(name, "f32", turned.reshape(-1).view(np.uint8), turned.shape)
        return RowSource.of(checkpoint, part.tensor, part.rows, part.order, part.fold)
    if isinstance(source, ComputedWeight):
        values = _computed(source, checkpoint)
        matrix = (values.shape[0], values.size // values.shape[0]) if values.ndim > 1 else values.shape
        return RowSource(name, "f32", values.reshape(-1).view(np.uint8), matrix)
    return RowSource.of(checkpoint, source.tensor, source.rows, source.order, source.fold)


def _computed(source: ComputedWeight, checkpoint: Checkpoint) -> NDArray[np.float32]:
    return np.ascontiguousarray(source.compute(*(read_tensor(checkpoint, t) for t in source.tensors)), np.float32)


def _numbers(name: str, source: Source, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """Of a constant whatever it is: masks hold infinities, and whole numbers lie there as their bits."""
    if isinstance(source, ComputedWeight) and not source.tensors:
        return _computed(source, checkpoint)
    return read_f32(_row_source(name, source, checkpoint))


def _plain(packed: Packed, sources: Mapping[str, Source], checkpoint: Checkpoint) -> NDArray[np.float32]:
    """A parameter that is no packed matrix, as f32: rows of the last axis padded to whole vectors; interleaved ones
    (biases) in blocks of 16, each part padded to whole blocks."""
    parts = [_numbers(part, sources[part], checkpoint).reshape(-1) for part in packed.parts]
    if packed.columns is not None:
        rows = np.concatenate(parts).reshape(-1, packed.columns)
        return np.pad(rows, ((0, 0), (0, -packed.columns % LANES))).reshape(-1)
    if packed.arrange == "dense":
        return np.concatenate(parts)
    blocks = [np.pad(p, (0, round_up(p.size, LANES) - p.size)).reshape(-1, LANES) for p in parts]
    return np.stack(blocks, axis=1).reshape(-1)
