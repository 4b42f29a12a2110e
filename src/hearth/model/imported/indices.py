"""Elements picked and written by numbers that the graph computes, which may count from the end of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.model.calls import operation
from hearth.model.imported.converting import as_variable
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import binary, reshape
from hearth.model.imported.simplify import run_of

_SAME_VALUES = ("reshape", "astype", "expand_dims", "permute_dims", "broadcast_to")


def is_given(g: Graph, var: Any) -> bool:
    """Whether the values of a variable are those of an input, in whatever shape: the runtime checks their bounds."""
    while (made := g.definitions.get(var)) is not None:
        if operation(made) not in _SAME_VALUES:
            return False
        var = made.args[0]
    return var not in g.known


def from_front(g: Graph, indices: Any, size: Any) -> Any:
    """Numbers of an axis, which may count from its end, counted from its beginning."""
    indices = g.emit(op.astype(indices, "int32"))
    known = g.value(indices)
    if known is not None and (isinstance(size, int) or known.min(initial=0) >= 0):
        return g.constant(known % size if isinstance(size, int) and size else known)
    length = size_as_number(g, size)
    negative = binary(g, "less", indices, g.constant(np.array(0)))
    return g.emit(op.where(negative, binary(g, "add", indices, length), indices))


def largest(g: Graph, var: Any) -> Any:
    """What no number of an array is above, as a size; None: nothing is known of them."""
    known = g.value(var)
    if known is not None:
        return int(known.max(initial=0)) if known.dtype.kind in "iub" else None
    made: Any = g.definitions.get(var)
    name = operation(made)
    if str(var.ty.dtype) == "bool":
        return 1
    if name == "arange":
        start, end, step = made.args
        return g.simplified(end - 1) if g.same(step, 1) and g.analyzer.can_prove(start >= 0) else None
    if name in (*_SAME_VALUES, "strided_slice"):
        return largest(g, made.args[0])
    if name == "cumsum" and made.attrs.axis is not None and not made.attrs.exclusive:
        each = largest(g, made.args[0])
        return None if each is None else g.simplified(each * g.shape(var)[int(made.attrs.axis)])
    if name in ("add", "multiply"):
        parts = [largest(g, part) for part in made.args]
        if None in parts:
            return None
        return g.simplified(parts[0] + parts[1] if name == "add" else parts[0] * parts[1])
    return None


def size_as_number(g: Graph, size: Any) -> Any:
    """A size as a number of the graph."""
    whole = np.empty(1, object)
    whole[0] = size
    return reshape(g, as_variable(g, whole), [])


def take(g: Graph, x: Any, indices: Any, axis: int) -> Any:
    """x at these numbers of an axis. Of a table of rows by an input of the graph, numbers count from the beginning."""
    shape = g.shape(x)
    is_table = x in g.known and len(shape) == 2 and axis == 0 and str(x.ty.dtype) == "float32"
    if not (is_table and is_given(g, indices)) and run_of(g, indices) is None:
        most = largest(g, indices) if isinstance(shape[axis], int) else None
        if most is not None and not g.analyzer.can_prove(most < shape[axis]):
            g.limit(most + 1, shape[axis])
        indices = from_front(g, indices, shape[axis])
    return g.emit(op.take(x, indices, axis, mode="clip"))


def joined_numbers(g: Graph, indices: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """Numbers of several axes as numbers of the one axis that they are together."""
    flat = None
    for each, size in zip(indices, sizes, strict=True):
        each = from_front(g, each, size)
        flat = each if flat is None else binary(g, "add", binary(g, "multiply", flat, size_as_number(g, size)), each)
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
