"""The likeliest tokens of each row of logits, for who draws among few: some hundred bytes instead of a whole row.

The maxima of what each invocation looks after are compared first: the `LIKELIEST`-th largest of them is a bound that
at least so many logits reach, and mostly hardly more. Those are collected and ranked, each against all.
"""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, bitcast, f32, i32
from hearth.quant.formats import LANES

LIKELIEST = 72
"""A few more than who draws asks for, so that it is known which are as likely as the last of them."""
_THREADS = 256
_MOST = 1024
"""Logits that are ranked. Where more reach the bound none are told."""
_LEAST = -3.4e38


def likeliest() -> GpuKernel:
    """The largest logits, of equals the first.

    Buffers: logits f32 [m][ld]; largest i32 [m][blocks][2]: of each 16 logits the bits of the largest, and its place; Y
    i32 [m][2][LIKELIEST]: bits of the logits, then their places, -1 where there is none. Scalars: n: logits of a row;
    ld; blocks. Unit: row.
    """
    k = GpuKernel("likeliest", threads=_THREADS)
    logits, largest, y = k.buffer("logits", "float32"), k.buffer("largest", "int32"), k.buffer("Y", "int32")
    n, ld, blocks = (k.scalar(name) for name in ("n", "ld", "blocks"))
    peaks, counts = k.workgroup(_THREADS, "float32", "peaks"), k.workgroup(_THREADS, "int32", "counts")
    values, places = k.workgroup(_MOST, "float32", "values"), k.workgroup(_MOST, "int32", "places")
    bound_of = k.workgroup(1, "float32", "bound_of")
    start, peaks_at = k.let(k.group * ld, "start"), k.let(k.group * blocks, "peaks_at")

    def peak_of(block: Expr) -> Expr:
        return k.let(bitcast("float32", largest.load((peaks_at + block) * 2)), "peak")

    own = k.register("float32", f32(_LEAST))
    with k.loop(k.thread, blocks, _THREADS) as block:
        own.set(tirx.max(own.get(), peak_of(block)))
    k.store(peaks, k.thread, own.get())
    k.barrier()
    rank = k.register("int32", i32(0))
    with k.loop(0, i32(_THREADS)) as other:
        first = tirx.And(tirx.EQ(peaks.load(other), own.get()), other < k.thread)
        rank.set(rank.get() + tirx.Select(tirx.Or(peaks.load(other) > own.get(), first), i32(1), i32(0)))
    with k.when(tirx.EQ(rank.get(), LIKELIEST - 1)):
        k.store(bound_of, 0, own.get())
    k.barrier()
    bound = k.let(bound_of.load(0), "bound")

    def collect(note: bool) -> None:
        """Counts the invocation's own logits that reach the bound, from `count` on; notes them there."""
        blocks_of_own = k.loop(k.thread, blocks, _THREADS)
        with blocks_of_own as block, k.when(peak_of(block) >= bound), k.loop(0, i32(LANES)) as i:
            place = k.let(block * LANES + i, "place")
            value = k.let(logits.load(start + tirx.min(place, n - 1)), "value")
            with k.when(tirx.And(place < n, value >= bound)):
                if note:
                    with k.when(count.get() < _MOST):
                        k.store(values, count.get(), value)
                        k.store(places, count.get(), place)
                count.set(count.get() + 1)

    count = k.register("int32", i32(0))
    collect(note=False)
    k.store(counts, k.thread, count.get())
    k.barrier()
    count.set(i32(0))
    total = k.register("int32", i32(0))
    with k.loop(0, i32(_THREADS)) as other:
        count.set(count.get() + tirx.Select(other < k.thread, counts.load(other), i32(0)))
        total.set(total.get() + counts.load(other))
    collect(note=True)
    k.barrier()
    found = k.let(tirx.Select(total.get() <= _MOST, total.get(), i32(0)), "found")
    at = k.let(k.group * (2 * LIKELIEST), "at")
    with k.loop(k.thread, found, _THREADS) as i:
        value, place = k.let(values.load(i), "value"), k.let(places.load(i), "place")
        rank.set(i32(0))
        with k.loop(0, found) as other:
            first = tirx.And(tirx.EQ(values.load(other), value), places.load(other) < place)
            rank.set(rank.get() + tirx.Select(tirx.Or(values.load(other) > value, first), i32(1), i32(0)))
        with k.when(rank.get() < LIKELIEST):
            k.store(y, at + rank.get(), bitcast("int32", value))
            k.store(y, at + LIKELIEST + rank.get(), place)
    with k.when(tirx.And(k.thread >= found, k.thread < LIKELIEST)):
        k.store(y, at + k.thread, bitcast("int32", f32(_LEAST)))
        k.store(y, at + LIKELIEST + k.thread, i32(-1))
    return k
