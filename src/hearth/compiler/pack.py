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
from hearth.model.text.config import DecoderConfig
from hearth.model.weights import WeightSource
from hearth.quant.formats import LANES, round_up
from hearth.quant.source import RowSource, read_f32
from hearth.quant.weights import pack_weight


def pack_all(
    plan: Plan,
    parameters: Parameters,
    config: DecoderConfig,
    sources: Mapping[str, WeightSource],
    checkpoint: Checkpoint,
    out: NDArray[np.uint8],
    *,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Fills `out` (`plan.weights_bytes` bytes of zeros).

    Args:
        progress: called with the number of bytes written since the last call.

    Raises:
        CorruptFile: a tensor holds a number that is not finite, or a shape that does not fit.
    """
    for name, offset, size in plan.weights:
        packed, place = parameters.packed[name], out[offset : offset + size]
        if packed.k is None:
            vector = _vector(packed, config, sources, checkpoint).view(np.uint8)
            place[: vector.size] = vector
            if progress:
                progress(size)
            continue
        rows = [_row_source(sources[part], checkpoint) for part in packed.parts]
        pack_weight(rows, packed.fmt, packed.k, place, arrange=packed.arrange, threads=threads, progress=progress)
        forget([place, *(row.raw for row in rows)])


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


def _row_source(source: WeightSource, checkpoint: Checkpoint) -> RowSource:
    return RowSource.of(checkpoint, source.tensor, source.rows, source.permutation)


def _vector(
    packed: Packed, config: DecoderConfig, sources: Mapping[str, WeightSource], checkpoint: Checkpoint
) -> NDArray[np.float32]:
    """A norm, bias or table of frequencies as f32; interleaved ones in blocks of 16, each part padded to whole
    blocks."""
    parts = []
    for part in packed.parts:
        stem, _, last = part.partition(".")
        if stem == "ropes":
            parts.append(np.array(config.ropes[int(last.partition(".")[0])].inv_freq, np.float32))
            continue
        values = read_f32(_row_source(sources[part], checkpoint)).reshape(-1)
        # Gemma publishes its norms without the 1 that is added to them when they are used.
        parts.append(values + np.float32(config.norm_offset) if part.endswith("norm") else values)
    if packed.arrange == "dense":
        return np.concatenate(parts).astype(np.float32)
    blocks = [np.pad(p, (0, round_up(p.size, LANES) - p.size)).reshape(-1, LANES) for p in parts]
    return np.ascontiguousarray(np.stack(blocks, axis=1).reshape(-1), np.float32)
