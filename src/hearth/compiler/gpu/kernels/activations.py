"""Reads activations: rows of f32 with a stride of whole vectors, of which only the columns that count may be used."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from hearth.compiler.gpu.kernels.builder import Expr, GpuKernel, Memory, builtin, div, f32, lane, vector


def load_columns(
    k: GpuKernel, x: Memory, starts: Sequence[Expr], index: Expr, columns: Expr | None = None
) -> list[Expr]:
    """Columns 4 * index to 4 * index + 3 of several rows, float32x4 each.

    Args:
        x: buffer of float32x4; starts: the vector that each row begins at.
        columns: how many there are, where `index` may lie behind them: zeros take their place. None: it does not.
    """
    if columns is None:
        return [k.let(x.load(start + index), "x") for start in starts]
    place = k.let(builtin("min", "int32", index, div(columns - 1, 4)), "place")
    column = k.let(index * 4, "column")
    inside = [k.let(column + i < columns, "inside") for i in range(4)]
    loaded = [k.let(x.load(start + place), "x") for start in starts]
    return [
        k.let(vector(*[tirx.Select(inside[i], lane(values, i), f32(0.0)) for i in range(4)]), "x") for values in loaded
    ]
