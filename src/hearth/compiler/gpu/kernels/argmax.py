"""The most likely token of each row, of what the head's product found in each of its blocks."""

from __future__ import annotations

from tvm import tirx

from hearth.compiler.gpu.features import CORE, Features
from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, bitcast, f32, i32
from hearth.compiler.gpu.kernels.subgroups import FIRST, MAXIMUM, SUBGROUPS, Places, SubgroupMeeting

_THREADS = 256
_MEET = 16
_LEAST = -3.4e38


def argmax_variants() -> list[GpuKernel]:
    """By what there are kernels for, the core first."""
    return [argmax(), argmax(SUBGROUPS)]


def argmax(features: Features = CORE) -> GpuKernel:
    """Buffers: largest i32 [m][blocks][2]: bits of an f32, and its place; Y i32 [m]: the place of the largest, the
    first of equals. Scalars: blocks. Unit: row."""
    k = GpuKernel("argmax", threads=_THREADS, features=features)
    largest, y = k.buffer("largest", "int32"), k.buffer("Y", "int32")
    blocks = k.scalar("blocks")
    value, where = k.register("float32", f32(_LEAST)), k.register("int32", i32(0))

    def see(seen: Expr, at: Expr) -> None:
        seen, at = k.let(seen, "seen"), k.let(at, "place")
        first = tirx.And(tirx.EQ(seen, value.get()), at < where.get())
        with k.when(tirx.Or(seen > value.get(), first)):
            value.set(seen)
            where.set(at)

    start = k.let(k.group * blocks, "start")
    with k.loop(k.thread, blocks, _THREADS) as i:
        at = k.let((start + i) * 2, "at")
        see(bitcast("float32", largest.load(at)), largest.load(at + 1))
    if features.subgroups:
        subgroup = Places(k)
        (most,) = SubgroupMeeting(subgroup, MAXIMUM).of([value.get()])
        own = tirx.Select(tirx.EQ(value.get(), most), where.get(), FIRST.start)
        (first,) = SubgroupMeeting(subgroup, FIRST).of([own])
        with k.when(tirx.EQ(k.thread, i32(0))):
            k.store(y, k.group, first)
        return k
    values, places = k.workgroup(_THREADS, "float32", "values"), k.workgroup(_THREADS, "int32", "places")

    def note() -> None:
        k.store(values, k.thread, value.get())
        k.store(places, k.thread, where.get())

    note()
    k.barrier()
    with k.when(k.thread < _MEET):
        with k.loop(k.thread + _MEET, i32(_THREADS), _MEET) as i:
            see(values.load(i), places.load(i))
        note()
    k.barrier()
    with k.when(tirx.EQ(k.thread, i32(0))):
        with k.loop(1, _MEET) as i:
            see(values.load(i), places.load(i))
        k.store(y, k.group, where.get())
    return k
