"""Elements picked and written by numbers that the graph computes, which may count from the end of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.converting import as_variable
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import binary, reshape

_SAME_VALUES = ("reshape", "astype", "expand_dims", "permute_dims", "broadcast_to")


def is_given(g: Graph, var: Any) -> bool:
    """Whether the values of a variable are those of an input, in whatever shape: the runtime checks their bounds."""
    while (made := g.definitions.get(var)) is not None:
        if getattr(getattr(made, "op", None), "name", "").removeprefix("relax.") not in _SAME_VALUES:
            return False
        var = made.args[0]
    return var not in g.known


def from_front(g: Graph, indices: Any, size: Any) -> Any:
    """Numbers of an axis, which may count from its end, counted from its beginning."""
    indices = g.emit(op.astype(indices, "int32"))
    known = g.value(indices)
    if known is not None and (isinstance(size, int) or known.min(initial=0) >= 0):
        return g.constant(known % size if isinstance(size, int) and size else known)
    whole = np.empty(1, object)
    whole[0] = size
    length = reshape(g, as_variable(g, whole), [])
    negative = binary(g, "less", indices, g.constant(np.array(0)))
    return g.emit(op.where(negative, binary(g, "add", indices, length), indices))


def take(g: Graph, x: Any, indices: Any, axis: int) -> Any:
    """x at these numbers of an axis. Of a table of rows by an input of the graph, numbers count from the beginning."""
    shape = g.shape(x)
    is_table = x in g.known and len(shape) == 2 and axis == 0 and str(x.ty.dtype) == "float32"
    if not (is_table and is_given(g, indices)):
        indices = from_front(g, indices, shape[axis])
    return g.emit(op.take(x, indices, axis, mode="clip"))


def joined_numbers(g: Graph, indices: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """Numbers of several axes as numbers of the one axis that they are together."""
    if any(not isinstance(size, int) for size in sizes[1:]):
        raise Unsupported("it picks along several axes that are not fixed")
    flat = None
    for each, size in zip(indices, sizes, strict=True):
        each = from_front(g, each, size)
        step = g.constant(np.array(size)) if isinstance(size, int) else None
        flat = each if flat is None else binary(g, "add", binary(g, "multiply", flat, step), each)
    return flat


def written(g: Graph, x: Any, indices: Sequence[Any], updates: Any, reduction: str) -> Any:
    """x with updates at these numbers of its first axes.

    Args:
        reduction: what becomes of an element: `update`, `add`, `mul`, `max`, `min`.
    """
    shape, count = g.shape(x), len(indices)
    flat = joined_numbers(g, indices, shape[:count])
    total: Any = 1
    for dim in shape[:count]:
        total = total * dim
    lead, behind = g.shape(flat), shape[count:] or [1]
    rows = reshape(g, flat, [*lead, 1])
    done = op.scatter_nd(
        reshape(g, x, [total, *behind]), g.emit(op.astype(rows, "int64")), reshape(g, updates, [*lead, *behind]),
        reduction,
    )  # fmt: skip
    return reshape(g, g.emit(done), shape)
