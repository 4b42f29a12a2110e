"""One call of a PyTorch operator and its arguments, as a converter sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx
from tvm.relax import op

from hearth.checkpoint.pt2 import ExportedNode, Ref
from hearth.errors import Unsupported
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import binary

# ScalarType of the export schema to ours: floats are f32, integers i32.
_DTYPES = {1: "uint8", 2: "int8", 3: "int32", 4: "int32", 5: "int32", 6: "float32", 7: "float32", 8: "float32",
           12: "bool", 13: "float32"}  # fmt: skip


@dataclass
class Context:
    """A node to convert.

    Attributes:
        values: results so far, by name: tensors (variables), sizes (ints and expressions), numbers.
    """

    g: Graph
    node: ExportedNode
    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument with the results that it refers to in their place; None stands for the default."""
        value = self._resolved(self.node.arguments.get(name))
        return default if value is None else value

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Ref):
            if value.name not in self.values:
                raise Unsupported(f"it reads {value.name[:200]!r}, which nothing has made before it")
            return self.values[value.name]
        if isinstance(value, list | tuple):
            return [self._resolved(item) for item in value]
        return value

    def x(self, name: str = "self") -> Any:
        """An argument as a tensor; numbers become constants."""
        value = self.get(name)
        if value is None:
            raise Unsupported(f"it lacks its argument {name}")
        return self.tensor(value)

    def tensor(self, value: Any) -> Any:
        if isinstance(value, bool | int | float):
            return self.g.constant(np.asarray(value))
        if isinstance(value, tirx.Var) and hasattr(value.ty, "shape"):
            return value
        raise Unsupported("it computes with a size that is not fixed")

    def optional(self, name: str) -> Any:
        return None if self.get(name) is None else self.x(name)

    def shape(self, name: str = "self") -> list[Any]:
        return self.g.shape(self.x(name))

    def rank(self, name: str = "self") -> int:
        return len(self.shape(name))

    def axis(self, name: str = "dim", default: int = 0, of: str = "self", more: int = 0) -> int:
        return int(self.get(name, default)) % max(self.rank(of) + more, 1)

    def axes(self, name: str = "dim", of: str = "self") -> list[int]:
        """Axes counted from the front; all where none are given."""
        given = self.get(name)
        given = [given] if isinstance(given, int) else given
        rank = self.rank(of)
        return [axis % rank for axis in given] if given else list(range(rank))

    def ints(self, name: str, default: Any, count: int = 2) -> tuple[int, ...]:
        """Numbers for each spatial axis; one stands for all."""
        given = self.get(name, default)
        given = [given] if isinstance(given, int) else list(given)
        return tuple(int(n) for n in (given * count if len(given) == 1 else given))

    def dtype(self, default: str | None = None) -> str | None:
        given = self.get("dtype")
        if given is None:
            return default
        if given not in _DTYPES:
            raise Unsupported(f"it makes the type {given}")
        return _DTYPES[given]

    def cast(self, x: Any, dtype: str | None) -> Any:
        return x if dtype is None else self.g.emit(op.astype(x, dtype))

    def unary(self, name: str, x: Any) -> Any:
        function: Any = op
        for piece in name.split("."):
            function = getattr(function, piece)
        return self.g.emit(function(x))

    def binary(self, name: str, a: Any, b: Any) -> Any:
        """Of tensors and numbers, in the type that PyTorch gives the result."""
        a, b = self.tensor(a), self.tensor(b)
        types = [str(x.ty.dtype) for x in (a, b)]
        if types[0] != types[1]:
            wider = next(t for t in ("float32", "int32", "int8", "uint8", "bool") if t in types)
            a, b = self.cast(a, wider), self.cast(b, wider)
        return binary(self.g, name, a, b)

    def only(self, **wanted: Any) -> None:
        """Raises Unsupported where an argument has another value than its default here."""
        for name, default in wanted.items():
            if self.get(name, default) != default:
                raise Unsupported(f"its {name} is {self.get(name)}")


Converter = Callable[[Context], Any]
"""Gives the node's result, or a list of its results."""
