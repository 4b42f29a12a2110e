"""Looks up rows of a packed matrix by number."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, div, f32, fma, mod, vector
from hearth.compiler.gpu.kernels.weights import OCTET, OCTETS, Weight
from hearth.compiler.physical import in_name
from hearth.quant.formats import LANES, Format

_THREADS = 64


@dataclass(frozen=True)
class EmbeddingSpec:
    """Attributes:
    scale: multiplies what is looked up.
    parts: of the matrix, each a buffer.
    """

    fmt: Format
    scale: float = 1.0
    parts: int = 1

    @property
    def name(self) -> str:
        parts = [f"s{in_name(self.scale)}"] if self.scale != 1.0 else []
        parts += [f"of{self.parts}"] if self.parts > 1 else []
        return "_".join(["embedding", self.fmt.kernel_layout, *parts])


def embedding(spec: EmbeddingSpec) -> GpuKernel:
    """Y[i] = scale * W[ids[i]], for ids from `first` to `first + count - 1`: others are left alone, since their rows
    are in parts of the matrix that another step is given.

    Buffers: ids i32 [n]; W, packed, its rows from `first` on, in parts of `height` blocks of 16 rows; Y f32x4 [n][ldy /
    4]. Scalars: blocks: column blocks in a row of W; height; ldy; first: a multiple of 16; count. Unit: row of Y.
    Columns behind those of W, up to ldy, are padding.
    """
    k = GpuKernel(spec.name, threads=_THREADS)
    ids = k.buffer("ids", "int32")
    weights = Weight.parts(k, "W", spec.fmt, lanes=1, count=spec.parts)
    y = k.buffer("Y", "float32x4")
    height = Weight.scalars_of(weights)
    ldy, first, count = (k.scalar(name) for name in ("ldy", "first", "count"))
    row = k.let(ids.load(k.group) - first, "row")
    lane, block = k.let(mod(row, LANES), "lane"), k.let(div(row, LANES), "block")
    for i, weight in enumerate(weights):
        weight.place(lane)
        own = k.let(block - height * i, "own")
        there = tirx.And(row >= 0, row < count)
        if len(weights) > 1:
            there = tirx.And(there, tirx.And(own >= 0, own < height))
        with k.when(there), k.loop(k.thread, div(ldy, OCTET), _THREADS) as index:
            for half, values in enumerate(_octet(k, spec, weight, own, index)):
                k.store(y, k.group * div(ldy, 4) + index * 2 + half, vector(*values))
    return k


def _octet(k: GpuKernel, spec: EmbeddingSpec, weight: Weight, block: Expr, index: Expr) -> list[list[Expr]]:
    """8 columns of the row, in two halves."""
    fmt = spec.fmt
    group, octet = (
        weight.group(weight.start(block), k.let(div(index, OCTETS), "index")),
        k.let(mod(index, OCTETS), "octet"),
    )
    columns = group.octet(octet)
    halves = [[column() for column in columns.columns(half)] for half in range(2)]
    if not fmt.is_float:
        scale, offset = group.scale(div(octet, OCTETS // weight.spans))
        halves = [[fma(x, scale, offset) if offset is not None else x * scale for x in half] for half in halves]
        halves = [[weight.row_scaled(x, block, weight.row) for x in half] for half in halves]
    if spec.scale != 1.0:
        halves = [[x * f32(spec.scale) for x in half] for half in halves]
    return [[k.let(x, "x") for x in half] for half in halves]
