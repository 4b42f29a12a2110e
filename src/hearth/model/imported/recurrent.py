"""Recurrent layers of any format as ours: weights by gates, one direction after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.model import ops
from hearth.model.imported.graph import Array, Graph
from hearth.model.imported.moves import linear, part, reshape


@dataclass(frozen=True)
class Direction:
    """One direction of a layer, its parameters known.

    Attributes:
        w: (gates * d, inputs), r (gates * d, d); biases (gates * d) of each, or None.
        h, c: the states before, (b, d).
        order: which of the format's gates is each of ours.
    """

    cell: str
    order: tuple[int, ...]
    w: Any
    r: Any
    w_bias: Array | None
    r_bias: Array | None
    h: Any
    c: Any | None
    reverse: bool


def layer(g: Graph, x: Any, one: Direction) -> tuple[Any, Any, Any]:
    """Of x (t, b, inputs): all states (t, b, d), the last one (b, d), the last c (b, d) or None."""
    steps, batch, _ = g.shape(x)
    gates, width = len(one.order), g.shape(one.r)[1]

    def by_gates(array: Array) -> Array:
        return array.reshape(gates, width, *array.shape[1:])[list(one.order)]

    def rows(array: Array) -> Array:
        ordered = by_gates(array)
        return ordered.reshape(gates * width, *ordered.shape[2:])

    zero = np.zeros(gates * width, np.float32)
    w_bias, r_bias = (by_gates(zero if b is None else b) for b in (one.w_bias, one.r_bias))
    if not one.cell.startswith("gru"):  # only a GRU has to know which part is the state's
        w_bias, r_bias = w_bias + r_bias, np.zeros_like(r_bias)
    matrix = g.derived(one.w, g.shape(one.w), rows)
    z = linear(g, x, matrix, g.constant(w_bias.reshape(-1), f"{g.name(one.w)}.bias"))
    z = reshape(g, z, [steps, batch, gates, width])
    r = g.derived(one.r, (width, gates, width), _turned(by_gates))
    bias = g.constant(r_bias, f"{g.name(one.r)}.bias")
    made = ops.recurrent(z, r, bias, one.h, one.c, cell=one.cell, reverse=one.reverse)
    found = g.emit(made)
    states, c = found if isinstance(found, list) else (found, None)
    last = 0 if one.reverse else steps - 1
    return states, reshape(g, part(g, states, 0, last, last + 1), [batch, width]), c


def _turned(by_gates: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda array: by_gates(array).transpose(2, 0, 1)


def side_by_side(g: Graph, parts: Sequence[Any], axis: int) -> Any:
    return parts[0] if len(parts) == 1 else g.emit(op.concat(list(parts), axis))


def zeros(g: Graph, shape: Sequence[Any]) -> Any:
    """A state at the beginning."""
    return g.emit(op.full(g.sizes(shape), relax.const(np.float32(0), "float32"), "float32"))
