"""One packed parameter from its sources: what the compiler calls for each matrix of a model.

Work goes in chunks of about a million weights, each read from the mapped file, converted and packed straight into its
place, by several threads at once: memory in use beside the output is a few dozen MiB, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hearth.errors import CorruptFile
from hearth.quant.blocks import Blocks, concat_rows, unpack
from hearth.quant.floats import widen
from hearth.quant.formats import LANES, Format, round_up
from hearth.quant.layout import pack_into, packed_view
from hearth.quant.rounding import quantize
from hearth.quant.row_rounding import quantize_rows
from hearth.quant.source import Rows

Arrangement = Literal["dense", "aligned", "interleaved"]
"""How several sources become one weight. `dense`: rows of one directly below those of the other (q, k, v); `aligned`:
the same, but each source is first padded to 16 rows; `interleaved`: each padded to 16 rows, then blocks of 16 rows are
taken from the sources in turn (gate, up, gate, up...)."""

_CHUNK_WEIGHTS = 1 << 20

_Segment = tuple[Rows, int, int]
_Job = tuple[list[_Segment], NDArray[np.uint8]]


def weight_rows(rows: Sequence[int], arrange: Arrangement = "dense") -> int:
    """N of the packed weight made of sources with these numbers of rows, before its last padding to 16."""
    if arrange == "dense":
        return sum(rows)
    return sum(round_up(n, LANES) for n in rows)


def pack_weight(
    sources: Sequence[Rows],
    fmt: Format,
    k: int,
    out: memoryview | NDArray[np.uint8],
    *,
    arrange: Arrangement = "dense",
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Pack rows of one or several tensors into `out`.

    A source whose blocks already have the layout of `fmt` is only reordered, same integers, same scales. Any other is
    converted row by row: floats are rounded, blocks go through their exact f32 values.

    Args:
        sources: where the rows come from, in order. Interleaved sources have the same number of 16-row blocks.
        fmt: what to make.
        k: columns of every source.
        out: writable bytes, exactly `fmt.packed_size(weight_rows(...), k)`.
        arrange: how the sources are put together.
        threads: worker threads.
        progress: called in this thread with the number of packed bytes that were written since the last call.

    Raises:
        CorruptFile: a source has other columns, or holds a number that is not finite.
        Unsupported: a value is too large for `fmt`, or `fmt` cannot be made from this source.
    """
    for source in sources:
        if source.k != k or not source.is_matrix:
            raise CorruptFile(f"'{source.name}' has shape {list(source.shape)}, but a matrix of {k} columns is needed.")
    n = weight_rows([source.n for source in sources], arrange)
    packed = np.asarray(out)
    if packed.size != fmt.packed_size(n, k) or packed.dtype != np.uint8:
        raise ValueError(f"out holds {packed.nbytes} bytes; {fmt.name} {n} x {k} needs {fmt.packed_size(n, k)}")
    jobs = list(_jobs(sources, packed_view(packed, fmt, n, k), k, arrange))

    def run(job: _Job) -> int:
        segments, view = job
        pack_into(_read_as(segments, fmt), fmt, view, segments[0][0].name)
        return view.size

    if threads <= 1 or len(jobs) <= 1:
        for job in jobs:
            _report(progress, run(job))
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="hearth-pack")
    try:
        for written in pool.map(run, jobs):
            _report(progress, written)
    finally:
        # After an error or Ctrl-C the chunks that wait are dropped; those at work end in milliseconds.
        pool.shutdown(cancel_futures=True)


def _report(progress: Callable[[int], None] | None, written: int) -> None:
    if progress is not None:
        progress(written)


def _jobs(sources: Sequence[Rows], view: NDArray[np.uint8], k: int, arrange: Arrangement) -> Iterator[_Job]:
    """Cut the work into chunks: which rows of which sources fill which row blocks of `view`."""
    step = max(_CHUNK_WEIGHTS // max(k, 1) // LANES, 1)
    if arrange == "dense":
        yield from _chunks(list(sources), view, step)
        return
    blocks = [round_up(source.n, LANES) // LANES for source in sources]
    if arrange == "interleaved":
        if len(set(blocks)) > 1:
            names = ", ".join(f"'{source.name}' ({source.n})" for source in sources)
            raise CorruptFile(f"Rows of these cannot be taken in turn, their numbers differ: {names}.")
        for i, source in enumerate(sources):
            yield from _chunks([source], view[i :: len(sources)], step)
        return
    begin = 0
    for source, count in zip(sources, blocks, strict=True):
        yield from _chunks([source], view[begin : begin + count], step)
        begin += count


def _chunks(sources: list[Rows], view: NDArray[np.uint8], step: int) -> Iterator[_Job]:
    """Chunks of `step` row blocks of the rows of `sources`, one below the other."""
    starts = np.cumsum([0] + [source.n for source in sources]).tolist()
    for block in range(0, len(view), step):
        begin, end = block * LANES, min((block + step) * LANES, starts[-1])
        segments = [
            (source, max(begin - start, 0), min(end - start, source.n))
            for source, start in zip(sources, starts[:-1], strict=True)
            if start < end and start + source.n > begin
        ]
        yield segments, view[block : block + step]


def _read_as(segments: list[_Segment], fmt: Format) -> Blocks | NDArray[Any]:
    """The rows of all segments, one below the other, as something that `pack_into` takes for `fmt`."""
    # Floats that already have the type that is wanted are moved as they are; all others meet in f32.
    if all(source.dtype == fmt.name for source, _, _ in segments) and fmt.is_float:
        return np.concatenate([_array(source.read(begin, end)) for source, begin, end in segments])
    if fmt.is_float:
        return np.concatenate([source.read_f32(begin, end) for source, begin, end in segments])
    return concat_rows([_read_blocks(source, begin, end, fmt) for source, begin, end in segments])


def _read_blocks(source: Rows, begin: int, end: int, fmt: Format) -> Blocks:
    values = source.read(begin, end)
    if isinstance(values, Blocks):
        if values.fmt.kernel_layout == fmt.kernel_layout:
            return values.relabel(fmt)
        values = unpack(values)
    else:
        values = widen(values.view(np.uint8), source.dtype).reshape(values.shape)
    return (quantize_rows if fmt.is_row else quantize)(values, fmt, source.name)


def _array(values: Blocks | NDArray[Any]) -> NDArray[Any]:
    assert not isinstance(values, Blocks)
    return values
