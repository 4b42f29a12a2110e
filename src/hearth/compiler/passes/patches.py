"""Patches of a map, which networks write as two reshapes around a transposition, become one operation."""

from __future__ import annotations

from typing import Any

from hearth.compiler.passes.rewrite import Graph, is_op, rewrite
from hearth.compiler.symbolic import equal_sizes
from hearth.model.ops import hearth_op


def find_patches(module: Any) -> Any:
    """x (b, h, w, c) as rows of its patches (b, h / p, w / q, p q c): `hearth.patches` with `patch=[p, q]`."""

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "reshape") or len(value.ty.shape) != 4:
            return None
        moved = _only(graph, value.args[0], "permute_dims")
        if moved is None or moved.attrs.axes is None or [int(a) for a in moved.attrs.axes] != [0, 1, 3, 2, 4, 5]:
            return None
        parts = _only(graph, moved.args[0], "reshape")
        if parts is None or len(parts.args[0].ty.shape) != 4:
            return None
        x = parts.args[0]
        b, rows, p, columns, q, c = moved.args[0].ty.shape
        expected = (x.ty.shape, (b, rows * p, columns * q, c)), (value.ty.shape, (b, rows, columns, p * q * c))
        if not all(
            equal_sizes(one, other) for shape, sizes in expected for one, other in zip(shape, sizes, strict=True)
        ):
            return None
        return hearth_op("patches", [x], value.ty, patch=[int(p), int(q)])

    return rewrite(module, rule)


def _only(graph: Graph, var: Any, name: str) -> Any:
    """What the variable is bound to, where it is that operation and read once."""
    value = graph.value(var)
    return value if is_op(value, name) and graph.only_use(var) else None
