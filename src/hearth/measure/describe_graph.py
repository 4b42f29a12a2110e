"""What an ONNX file or an exported PyTorch program computes, read from the file: nothing is compiled."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hearth.checkpoint.graphs import open_graph
from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.onnx_graph import OnnxTensor, OnnxValue
from hearth.checkpoint.pt2 import ExportedProgram, Ref, Symbol
from hearth.checkpoint.types import TensorInfo


@dataclass(frozen=True)
class Array:
    """An input or output of a graph; an open size is told by its name, one that nothing is said of is None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, kw_only=True)
class GraphDescription:
    """A graph.

    Attributes:
        written_as: `onnx` or `pt2`, with the version of the operators.
        operators: how often each is used, most used first.
        unknown: those that cannot be compiled; None where the compiler, which knows, is not installed.
        parameters: numbers in its weights.
        source_formats: element type -> share of these, largest first.
    """

    path: Path
    written_as: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    operators: Mapping[str, int]
    unknown: tuple[str, ...] | None
    parameters: int
    source_formats: Mapping[str, float]
    source_bytes: int


def describe_graph(path: Path) -> GraphDescription:
    """Describes a graph.

    Raises:
        ModelNotFound, CorruptFile, Unsupported, StorageError: as opening it.
    """
    graph = open_graph(path)
    counts: Counter[str] = Counter()
    tensors: list[TensorInfo | OnnxTensor] = [*graph.tensors.values()]
    if isinstance(graph, OnnxCheckpoint):  # some exporters write weights as operations
        tensors += [
            value
            for node in graph.graph.nodes
            if node.op == "Constant" and isinstance(value := node.attributes.get("value"), OnnxTensor)
        ]
    for tensor in tensors:
        counts[tensor.dtype] += prod(tensor.shape)
    parameters = sum(counts.values())
    is_onnx = isinstance(graph, OnnxCheckpoint)
    written, inputs, outputs, names = _of_onnx(graph) if isinstance(graph, OnnxCheckpoint) else _of_program(graph)
    return GraphDescription(
        path=path,
        written_as=written,
        inputs=inputs,
        outputs=outputs,
        operators=dict(Counter(names).most_common()),
        unknown=_unknown(names, is_onnx),
        parameters=parameters,
        source_formats={dtype: count / parameters for dtype, count in counts.most_common() if count},
        source_bytes=sum(tensor.size_bytes for tensor in tensors),
    )


def _of_onnx(graph: OnnxCheckpoint) -> tuple[str, tuple[Array, ...], tuple[Array, ...], list[str]]:
    versions = [f"operators of version {version}" if not domain else f"{domain} {version}"
                for domain, version in sorted(graph.opsets.items())]  # fmt: skip
    sides = (
        tuple(Array(value.name, value.dtype, _named(value)) for value in values if value.name not in graph.tensors)
        for values in (graph.graph.inputs, graph.graph.outputs)
    )
    inputs, outputs = sides
    names = [f"{node.domain}.{node.op}" if node.domain else node.op for node in graph.graph.nodes]
    return f"onnx, {', '.join(versions)}", inputs, outputs, names


def _named(value: OnnxValue) -> tuple[int | str | None, ...] | None:
    """PaddlePaddle calls all sizes "?" that it has no name for."""
    return None if value.shape is None else tuple(None if size == "?" else size for size in value.shape)


def _of_program(program: ExportedProgram) -> tuple[str, tuple[Array, ...], tuple[Array, ...], list[str]]:
    inputs = tuple(
        Array(item.name, item.dtype, tuple(size.name if isinstance(size, Symbol) else size for size in item.shape))
        for item in program.inputs
    )
    outputs = tuple(Array(value.name, "", None) for value in program.outputs if isinstance(value, Ref))
    return "pt2", inputs, outputs, [node.target for node in program.nodes]


def _unknown(names: Sequence[str], is_onnx: bool) -> tuple[str, ...] | None:
    if importlib.util.find_spec("tvm") is None:
        return None
    if is_onnx:
        from hearth.model.imported.onnx import knows
    else:
        from hearth.model.imported.exported import knows
    return tuple(name for name in dict.fromkeys(names) if not knows(name))
