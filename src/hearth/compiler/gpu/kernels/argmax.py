"""The most likely token of each row, of what the head's product found in each of its blocks."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import GpuKernel, f32, i32

_THREADS = 256
_LEAST = -3.4e38


def argmax() -> GpuKernel:
    """Buffers: largest f32, place i32 [m][blocks]; Y i32 [m]: the place of the largest, the first of equals. Scalars:
    blocks. Unit: row. Places ascend along a row."""
    k = GpuKernel("argmax", threads=_THREADS)
    largest, place, y = k.buffer("largest", "float32"), k.buffer("place", "int32"), k.buffer("Y", "int32")
    blocks = k.scalar("blocks")
    value, where = k.register("float32", f32(_LEAST)), k.register("int32", i32(0))
    with k.loop(k.thread, blocks, _THREADS) as i:
        seen = k.let(largest.load(k.group * blocks + i), "seen")
        with k.when(seen > value.get()):
            value.set(seen)
            where.set(place.load(k.group * blocks + i))
    values, places = k.workgroup(_THREADS, "float32", "values"), k.workgroup(_THREADS, "int32", "places")
    k.store(values, k.thread, value.get())
    k.store(places, k.thread, where.get())
    width = _THREADS
    while width > 1:
        width //= 2
        k.barrier()
        with k.when(k.thread < width):
            mine, other = values.load(k.thread), values.load(k.thread + width)
            first = tirx.And(tirx.EQ(other, mine), places.load(k.thread + width) < places.load(k.thread))
            with k.when(tirx.Or(other > mine, first)):
                k.store(places, k.thread, places.load(k.thread + width))
                k.store(values, k.thread, other)
    with k.when(tirx.EQ(k.thread, i32(0))):
        k.store(y, k.group, places.load(0))
    return k
