"""One ONNX node and its operands, as a converter sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hearth.checkpoint.onnx_graph import OnnxNode, OnnxTensor
from hearth.errors import Unsupported
from hearth.model.imported.converting import as_known, as_sizes, as_variable
from hearth.model.imported.graph import Array, Graph


@dataclass
class Context:
    """A node to convert.

    Attributes:
        inputs: tensors (variables) or sizes (arrays of objects); None where one is left out.
        opset: version of the operators of the node's domain.
        inline: converts the nodes of a graph within the node, and gives its outputs.
    """

    g: Graph
    node: OnnxNode
    inputs: list[Any]
    opset: int
    inline: Callable[[Any], list[Any]]

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def x(self, index: int = 0) -> Any:
        """An operand as a tensor."""
        if not self.has(index):
            raise Unsupported(f"it lacks its operand {index}")
        return as_variable(self.g, self.inputs[index])

    def optional(self, index: int) -> Any:
        return self.x(index) if self.has(index) else None

    def known(self, index: int, what: str) -> Array:
        return as_known(self.g, self.x(index), what)

    def sizes(self, index: int) -> list[Any]:
        if not self.has(index):
            raise Unsupported(f"it lacks its operand {index}")
        return as_sizes(self.g, self.inputs[index])

    def attr(self, name: str, default: Any = None) -> Any:
        value = self.node.attributes.get(name, default)
        return value.array() if isinstance(value, OnnxTensor) else value

    def axes(self, rank: int, operand: int, since: int) -> list[int] | None:
        """Axes, given as an attribute before version `since` and as an operand from then on; None: not given."""
        if self.opset >= since and self.has(operand):
            given = [int(axis) for axis in self.known(operand, "axes").reshape(-1)]
        else:
            given = self.attr("axes")
        return None if given is None else [axis % rank for axis in given]

    def only(self, **wanted: Any) -> None:
        """Raises Unsupported where an attribute has another value than its default here."""
        for name, default in wanted.items():
            if self.attr(name, default) != default:
                raise Unsupported(f"its {name} is {self.attr(name)}")

    def is_float(self, index: int = 0) -> bool:
        return str(self.x(index).ty.dtype) == "float32"

    def f32(self, values: Any) -> Any:
        return self.g.constant(np.asarray(values, np.float32))


Converter = Callable[[Context], Any]
"""Gives the node's result, or a list of its results."""
