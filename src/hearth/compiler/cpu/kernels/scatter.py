"""Elements written to places that are computed: of an array that was copied before, in the order of the updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.cpu.kernels.builder import Expr, Kernel, Memory, i64
from hearth.compiler.cpu.kernels.gather import Elements, ElementsSpec, place

COMBINE: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": lambda old, new: tirx.max(old, new),
    "min": lambda old, new: tirx.min(old, new),
}
"""What becomes of an element, by the name of the reduction."""


@dataclass(frozen=True)
class ScatterSpec:
    """How: `reduction` is a name of `COMBINE`."""

    elements: ElementsSpec
    reduction: str


def _put(k: Kernel, y: Memory, at: Expr, new: Expr, reduction: str) -> None:
    at = k.opaque(at, "at")
    k.store(y, at, k.let(COMBINE[reduction](y.load(at), new), "new"))


def scatter_elements(spec: ScatterSpec) -> Kernel:
    """Y[..., ids[..., i, ...], ...] becomes what it was with updates[..., i, ...].

    Buffers: ids i32, dense; updates `dtype` [row][ldu]; Y. Scalars: those of `Elements` (of Y), ldu, rows. Unit: all of
    it, since places may meet.
    """
    k = Kernel(f"scatter_{spec.reduction}_{spec.elements.name}")
    ids, updates = k.buffer("ids", "int32"), k.buffer("updates", spec.elements.dtype)
    y = k.buffer("Y", spec.elements.dtype)
    walk = Elements(k, spec.elements)
    ldu, rows = k.scalar("ldu"), k.scalar("rows")
    with k.loop(k.begin, k.end), k.loop(0, rows) as row:
        start = walk.start(row)
        with k.loop(0, walk.columns) as column:
            at = walk.place(start, ids, row, column)
            _put(k, y, at, updates.load(row * ldu + column), spec.reduction)
    return k


def scatter_blocks(dtype: str, reduction: str) -> Kernel:
    """Y[ids[i]] becomes what it was with updates[i], blocks of elements that stand together.

    Buffers: ids i32 [count]; updates `dtype` [count][block]; Y `dtype` [size][block]. Scalars: size, count, block.
    Unit: all of it.
    """
    k = Kernel(f"scatter_blocks_{reduction}_{dtype}")
    ids, updates, y = k.buffer("ids", "int32"), k.buffer("updates", dtype), k.buffer("Y", dtype)
    size, count, block = (k.scalar(name) for name in ("size", "count", "block"))
    with k.loop(k.begin, k.end), k.loop(0, count) as i:
        start = k.opaque(place(k, ids, i, size) * block, "start")
        with k.loop(i64(0), block) as column:
            _put(k, y, start + column, updates.load(i * block + column), reduction)
    return k
