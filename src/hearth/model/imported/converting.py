"""What converters of a graph's nodes have at hand, and how a graph goes through them, whatever format it came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import HearthError, Unsupported
from hearth.model.imported.graph import Array, Graph

Missing = object()
"""Stands for the result of a node that could not be converted."""


@dataclass
class Failures:
    """Nodes that could not be converted, to be told of all at once: place and reason."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def raise_if_any(self, source: str) -> None:
        if not self.found:
            return
        shown = "; ".join(f"{place}: {reason}" if reason else place for place, reason in self.found[:12])
        more = f"; and {len(self.found) - 12} more" if len(self.found) > 12 else ""
        raise Unsupported(
            f"{source} holds {len(self.found)} operation{'s' * (len(self.found) > 1)} that cannot be compiled.",
            why=f"{shown}{more}.",
            hint="Export the model without them, or with fixed sizes (--size NAME=N) where they depend on sizes.",
        )


def attempt(convert: Callable[[], Any], place: str, failures: Failures) -> Any:
    """The result of a converter, or `Missing`, with the reason kept."""
    try:
        return convert()
    except HearthError as error:
        failures.found.append((place, str(error).rstrip(".")))
    except Exception as error:  # the compiler's own checks: shapes that do not fit, types that do not go together
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        failures.found.append((place, lines[-1][:300] if lines else type(error).__name__))
    return Missing


def as_sizes(g: Graph, value: Any) -> list[Any]:
    """A list of sizes: of a known tensor, or of an array with symbols."""
    if isinstance(value, np.ndarray):
        return [g.simplified(size) for size in value.reshape(-1)]
    array = g.value(value)
    if array is None:
        raise Unsupported("its sizes depend on the values of the inputs")
    return [int(size) for size in array.reshape(-1)]


def as_known(g: Graph, value: Any, what: str) -> Array:
    """The array of a value that must not depend on the inputs."""
    array = None if isinstance(value, np.ndarray) else g.value(value)
    if array is None:
        raise Unsupported(f"its {what} depends on the inputs")
    return array


def as_variable(g: Graph, value: Any) -> Any:
    """A tensor; sizes as i32."""
    if not isinstance(value, np.ndarray):
        return value
    if all(isinstance(size, int | np.integer) for size in value.reshape(-1)):
        return g.constant(value.astype(np.int64))
    # A range of one element is how a symbol becomes a tensor.
    parts = [g.emit(op.arange(size, size + 1, 1, "int32")) for size in value.reshape(-1)]
    flat = parts[0] if len(parts) == 1 else g.emit(op.concat(parts, 0))
    return g.emit(op.reshape(flat, value.shape))


def settled(g: Graph, sizes: Array) -> Any:
    """Sizes as a tensor when they are all numbers, else as they are."""
    flat = [g.simplified(size) for size in sizes.reshape(-1)]
    if all(isinstance(size, int) for size in flat):
        return g.constant(np.array(flat, np.int64).reshape(sizes.shape))
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(sizes.shape)


Names = Callable[[Any], Sequence[str]]
"""Of a node: the values that it makes, or reads."""


def needed(outputs: Sequence[str], nodes: Sequence[Any], made: Names, read: Names) -> list[Any]:
    """The nodes that the outputs depend on, in order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(name for name in made(node) if name):
            kept.append(node)
            wanted.update(read(node))
    return kept[::-1]


Bounds = Mapping[str, int | tuple[int, int]]
