"""An ONNX graph as a network. Needs TVM."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.onnx_graph import OnnxGraph, OnnxNode, OnnxValue
from hearth.errors import Unsupported
from hearth.model.imported.assemble import Converted, network_of
from hearth.model.imported.converting import Bounds, Failures, Missing, attempt, needed, settled
from hearth.model.imported.graph import Graph
from hearth.model.imported.inputs import Wanted, as_wanted, declare, symbols_of
from hearth.model.imported.onnx_attention import ATTENTION
from hearth.model.imported.onnx_context import Context, Converter
from hearth.model.imported.onnx_detection import DETECTION
from hearth.model.imported.onnx_elementwise import ELEMENTWISE
from hearth.model.imported.onnx_maps import MAPS
from hearth.model.imported.onnx_neural import NEURAL
from hearth.model.imported.onnx_quantised import QUANTISED
from hearth.model.imported.onnx_recurrent import RECURRENT
from hearth.model.imported.onnx_reductions import REDUCTIONS
from hearth.model.imported.onnx_shapes import SHAPES
from hearth.model.imported.onnx_sizes import SIZES, is_of_sizes
from hearth.model.imported.rules import RULES
from hearth.model.network import Network

CONVERTERS: dict[str, Converter] = {
    **ELEMENTWISE, **SHAPES, **NEURAL, **MAPS, **REDUCTIONS, **ATTENTION, **QUANTISED, **RECURRENT,
    **DETECTION,
}  # fmt: skip
_DTYPES = {
    "f32": "float32", "f16": "float32", "f64": "float32", "bf16": "float32", "int64": "int32", "int32": "int32",
    "int16": "int32", "uint16": "int32", "uint32": "int32", "uint64": "int32", "uint8": "uint8", "int8": "int8",
    "bool": "bool",
}  # fmt: skip
_LEAST_OPSET = 7


def import_onnx(checkpoint: OnnxCheckpoint, sizes: Bounds | None = None) -> Network:
    """The network of an ONNX file, in logical operations.

    Args:
        sizes: for symbols of the inputs' shapes a number, or the least and largest; others get bounds by their place
            (`inputs.py`). A size without a name is called by its input and axis: `x.2`.

    Raises:
        Unsupported: operations that are not known, or that depend on what is not fixed: all of them, with their places.
        UsageError: `sizes` names no symbol of the graph.
    """
    graph, name = checkpoint.graph, checkpoint.path.name
    opset = checkpoint.opsets.get("", checkpoint.opsets.get("ai.onnx", 0))
    if opset < _LEAST_OPSET:
        raise Unsupported(
            f"{name} is written in version {opset} of ONNX's operators.",
            why=f"Hearth reads version {_LEAST_OPSET} (2018) and later ones.",
            hint="Convert it: onnx.version_converter.convert_version(model, 18).",
        )
    nodes = needed([value.name for value in graph.outputs], graph.nodes, lambda node: node.outputs, _reads)
    failures = Failures([(node.place, "") for node in _all_nodes(nodes) if _key(node) not in CONVERTERS | _CONTROL])
    failures.raise_if_any(name)
    wanted = [_input(value) for value in graph.inputs if value.name not in graph.initializers]
    symbols, shapes = symbols_of(wanted, sizes or {})
    g = Graph(RULES, symbols)

    def convert() -> Converted:
        inputs = {item.name: declare(g, item, shapes[item.name]) for item in wanted}
        values: dict[str, Any] = {item.name: as_wanted(g, inputs[item.name], item) for item in wanted}
        _Conversion(g, checkpoint.opsets, failures).run(nodes, graph, values)
        failures.raise_if_any(name)
        return inputs, {value.name: _output(value.name, values) for value in graph.outputs}

    return network_of(g, convert)


def knows(operator: str) -> bool:
    """Whether an operator, its domain before its name, has a converter."""
    return operator in CONVERTERS or operator in _CONTROL


def _input(value: OnnxValue) -> Wanted:
    if value.dtype not in _DTYPES:
        raise Unsupported(f"The input {value.name[:200]!r} is of the type {value.dtype or 'unknown'}.")
    if value.shape is None:
        what = f"The input {value.name[:200]!r} has no shape."
        raise Unsupported(what, hint="Export the model with the shapes of its inputs.")
    # PaddlePaddle calls all sizes "?" that it has no name for.
    shape = tuple(None if dim == "?" else dim for dim in value.shape)
    return Wanted(value.name, _DTYPES[value.dtype], shape)


def _output(name: str, values: Mapping[str, Any]) -> Any:
    value = values.get(name)
    if value is None or isinstance(value, np.ndarray):
        raise Unsupported(f"The output {name[:200]!r} is not made by any operation, or is a size.")
    return value


def _key(node: OnnxNode) -> str:
    return f"{node.domain}.{node.op}" if node.domain else node.op


_CONTROL = {"If": None}


def _reads(node: OnnxNode) -> list[str]:
    """What a node reads, also in graphs within it."""
    inner = [value for value in node.attributes.values() if isinstance(value, OnnxGraph)]
    return [*node.inputs, *(name for graph in inner for child in graph.nodes for name in _reads(child)),
            *(value.name for graph in inner for value in graph.outputs)]  # fmt: skip


def _all_nodes(nodes: list[OnnxNode]) -> list[OnnxNode]:
    inner = [value for node in nodes for value in node.attributes.values() if isinstance(value, OnnxGraph)]
    return [*nodes, *(child for graph in inner for child in _all_nodes(graph.nodes))]


_WITHOUT_NAMES = ("onnx::", "val_", "_inlfunc")
"""How exporters begin the names of tensors that have none in the model."""


def _places(nodes: list[OnnxNode]) -> dict[str, str]:
    """Where in the model a tensor is used first: `/layer.0/query/MatMul` reads the weight of `layer.0.query`."""
    found: dict[str, str] = {}
    for node in nodes:
        scope = node.name.rpartition("/")[0]
        for name in node.inputs if scope else ():
            found.setdefault(name, f"{scope}/weight")
    return found


class _Conversion:
    def __init__(self, g: Graph, opsets: Mapping[str, int], failures: Failures) -> None:
        self.g = g
        self.opsets = opsets
        self.failures = failures

    def run(self, nodes: list[OnnxNode], graph: OnnxGraph, values: dict[str, Any]) -> None:
        """Adds the results of the nodes to `values`."""
        uses: dict[str, int] = {}
        for name in [*(name for node in nodes for name in _reads(node)), *(value.name for value in graph.outputs)]:
            uses[name] = uses.get(name, 0) + 1
        places = _places(nodes)
        for name, tensor in graph.initializers.items():
            if name in uses:
                shown = places.get(name, name) if name.startswith(_WITHOUT_NAMES) else name
                values[name] = self.g.parameter(name, tensor.shape, tensor.dtype, tensor.array, shown)
        for node in nodes:
            if any(values.get(name) is Missing for name in node.inputs):
                values.update(dict.fromkeys(node.outputs, Missing))
                continue
            results = attempt(partial(self.convert, node, values), node.place, self.failures)
            if not isinstance(results, list):
                results = [results] * (len(node.outputs) if results is Missing else 1)
            for name, result in zip(node.outputs, results, strict=False):
                values[name] = result
                if result is not Missing and not isinstance(result, np.ndarray) and result is not None:
                    before = self.g.uses.get(result, 0)  # one variable may stand for the results of several nodes
                    self.g.uses[result] = before + uses.get(name, 0)

    def convert(self, node: OnnxNode, values: dict[str, Any]) -> Any:
        inputs = []
        for name in node.inputs:
            if name and name not in values:
                raise Unsupported(f"it reads {name[:200]!r}, which nothing has made before it")
            inputs.append(values[name] if name else None)
        while inputs and inputs[-1] is None:
            inputs.pop()
        opset = self.opsets.get(node.domain or "", 1)
        context = Context(self.g, node, inputs, opset, lambda graph: self.inlined(graph, values))
        if node.op == "If" and not node.domain:
            chosen = context.known(0, "condition").reshape(-1)[0]
            return self.inlined(node.attributes["then_branch" if chosen else "else_branch"], values)
        if node.op in SIZES and not node.domain and is_of_sizes(context):
            found = SIZES[node.op](context)
            return settled(self.g, found) if isinstance(found, np.ndarray) else found
        context.refuse_unknown()
        return CONVERTERS[_key(node)](context)

    def inlined(self, graph: OnnxGraph, values: Mapping[str, Any]) -> list[Any]:
        inner = dict(values)
        self.run(graph.nodes, graph, inner)
        return [inner[value.name] for value in graph.outputs]
