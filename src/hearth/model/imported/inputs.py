"""Inputs of an imported graph, and bounds of the sizes that it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported, UsageError, did_you_mean
from hearth.model.imported.converting import Bounds
from hearth.model.imported.graph import Graph

MOST_BATCH = 8
MOST_ELSEWHERE = 512
MOST_AXES = 8


@dataclass(frozen=True)
class Wanted:
    """An input as the file has it; a size is a number, the name of a symbol, or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


def symbols_of(
    inputs: Sequence[Wanted], sizes: Bounds, known: Bounds | None = None
) -> tuple[dict[str, tuple[int, int]], dict[str, list[int | str]]]:
    """Bounds of the symbols, and the inputs' shapes of numbers and symbols.

    Args:
        sizes: what the user says of them.
        known: what the file says.

    A first axis is a batch of 1 to `MOST_BATCH`; any other open axis goes up to `MOST_ELSEWHERE`.
    """
    bounds: dict[str, tuple[int, int]] = {}
    shapes: dict[str, list[int | str]] = {}
    names = set()
    for item in inputs:
        if len(item.shape) > MOST_AXES:
            raise Unsupported(f"The input {item.name[:200]!r} has {len(item.shape)} axes.", why="There may be 8.")
        shape: list[int | str] = []
        for axis, size in enumerate(item.shape):
            if isinstance(size, int):
                shape.append(size)
                continue
            name = size or f"{item.name}.{axis}"
            names.add(name)
            given = sizes.get(name)
            if isinstance(given, int):
                shape.append(given)
                continue
            low, high = given or (known or {}).get(name) or (1, MOST_BATCH if axis == 0 else MOST_ELSEWHERE)  # type: ignore[misc]
            bounds.setdefault(name, (low, high))
            shape.append(name)
        shapes[item.name] = shape
    for name, wanted in sizes.items():
        least, most = (wanted, wanted) if isinstance(wanted, int) else wanted
        if not 1 <= least <= most < 1 << 31:
            raise UsageError(
                f"{name} cannot be {wanted}.", hint="A size is 1 or more; of bounds the least comes first."
            )
        if name not in names:
            raise UsageError(
                f"The graph has no size {name!r}.",
                why=f"Its inputs leave open: {', '.join(sorted(names)) or 'none'}.",
                hint=did_you_mean([other for other in names if other.lower() == name.lower()]),
            )
    return bounds, shapes


def declare(g: Graph, item: Wanted, shape: Sequence[int | str]) -> Any:
    """The variable of an input; truth values come as i32."""
    sizes = [g.symbols[size] if isinstance(size, str) else size for size in shape]
    return g.reserve(item.name, sizes, "int32" if item.dtype == "bool" else item.dtype)


def as_wanted(g: Graph, var: Any, item: Wanted) -> Any:
    """An input as the graph reads it: integers as i32."""
    if item.dtype == "bool":
        return g.emit(op.astype(var, "bool"))
    return g.emit(op.astype(var, "int32")) if item.dtype in ("uint8", "int8") else var
