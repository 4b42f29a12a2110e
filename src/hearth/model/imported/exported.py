"""A program that PyTorch exported as a network. Needs TVM, not torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from hearth.checkpoint.pt2 import ExportedNode, ExportedProgram, Ref, Symbol
from hearth.errors import Unsupported
from hearth.model.imported.assemble import Converted, network_of
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.aten_detection import DETECTION
from hearth.model.imported.aten_elementwise import ELEMENTWISE
from hearth.model.imported.aten_made import MADE, SIZES
from hearth.model.imported.aten_maps import MAPS
from hearth.model.imported.aten_neural import NEURAL
from hearth.model.imported.aten_parts import PARTS
from hearth.model.imported.aten_recurrent import RECURRENT
from hearth.model.imported.aten_reductions import REDUCTIONS
from hearth.model.imported.aten_shapes import SHAPES
from hearth.model.imported.converting import Bounds, Failures, Missing, attempt, needed
from hearth.model.imported.graph import Graph
from hearth.model.imported.inputs import Wanted, as_wanted, declare, symbols_of
from hearth.model.imported.rules import RULES
from hearth.model.network import Network

CONVERTERS: dict[str, Converter] = {
    **{
        f"aten.{name}": converter
        for table in (ELEMENTWISE, SHAPES, PARTS, MADE, NEURAL, MAPS, REDUCTIONS, RECURRENT)
        for name, converter in table.items()
    },
    **SIZES,
    **DETECTION,
}
_DTYPES = {
    "f32": "float32", "f16": "float32", "f64": "float32", "bf16": "float32", "int64": "int32", "int32": "int32",
    "int16": "int32", "uint8": "uint8", "int8": "int8", "bool": "bool",
}  # fmt: skip
# Results that are other looks at the same elements.
_VIEWS = (
    "alias", "chunk", "contiguous", "detach", "dropout", "expand", "expand_as", "flatten", "lift_fresh",
    "movedim", "narrow", "numpy_T", "permute", "reshape", "reshape_as", "select", "slice", "split",
    "split_with_sizes", "squeeze", "swapaxes", "t", "to", "transpose", "type_as", "unbind", "unflatten",
    "unsqueeze", "view", "view_as",
)  # fmt: skip


def import_exported(program: ExportedProgram, sizes: Bounds | None = None) -> Network:
    """The network of an exported program, in logical operations.

    Args:
        sizes: for symbols of the inputs' shapes a number, or the least and largest; others have the bounds of the
            export, or bounds by their place (`inputs.py`).

    Raises:
        Unsupported: operators that are not known, or that depend on what is not fixed: all of them, with their places.
        UsageError: `sizes` names no symbol of the program.
    """
    name = program.path.name
    _refuse_changed_views(program)
    outputs = [value for value in program.outputs if isinstance(value, Ref)]
    nodes = needed([value.name for value in outputs], program.nodes, _makes, _reads)
    failures = Failures([(node.place, "") for node in nodes if _key(node) not in CONVERTERS])
    failures.raise_if_any(name)
    wanted = [_input(item.name, item.dtype, item.shape) for item in program.inputs]
    known = {symbol: (low, high) for symbol, (low, high) in program.bounds.items() if high is not None}
    symbols, shapes = symbols_of(wanted, sizes or {}, known)
    g = Graph(RULES, symbols)

    def convert() -> Converted:
        inputs = {item.name: declare(g, item, shapes[item.name]) for item in wanted}
        values: dict[str, Any] = {item.name: as_wanted(g, inputs[item.name], item) for item in wanted}
        read = {ref for node in nodes for ref in _reads(node)} | {value.name for value in outputs}
        for tensor, given in program.given.items():
            if given in read:
                info = program.tensors[tensor]
                values[given] = g.parameter(tensor, info.shape, info.dtype, partial(program.array, tensor))
        _run(g, nodes, values, failures, [value.name for value in outputs])
        failures.raise_if_any(name)
        return inputs, {_output_name(i, len(outputs)): _output(values, ref.name) for i, ref in enumerate(outputs)}

    return network_of(g, convert)


def _output_name(index: int, count: int) -> str:
    return "output" if count == 1 else f"output.{index}"


def _output(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    if value is None or not hasattr(getattr(value, "ty", None), "shape"):
        raise Unsupported(f"The output {name[:200]!r} is no tensor.")
    return value


def _input(name: str, dtype: str, shape: tuple[int | Symbol, ...]) -> Wanted:
    if dtype not in _DTYPES:
        raise Unsupported(f"The input {name[:200]!r} is of the type {dtype or 'unknown'}.")
    return Wanted(name, _DTYPES[dtype], tuple(size.name if isinstance(size, Symbol) else size for size in shape))


def _key(node: ExportedNode) -> str:
    """The operator without its overload, and without the mark of working in place."""
    return _base(node.target)


def _base(target: str) -> str:
    if not target.startswith("aten."):
        return target
    base = target.split(".")[1]
    return f"aten.{base[:-1]}" if _is_in_place(target) else f"aten.{base}"


def knows(operator: str) -> bool:
    """Whether an operator, as an exported program names it, has a converter."""
    return _base(operator) in CONVERTERS


def _in_place(node: ExportedNode) -> bool:
    return _is_in_place(node.target)


def _is_in_place(target: str) -> bool:
    base = target.split(".")[1] if target.startswith("aten.") else ""
    return base.endswith("_") and not base.endswith("__")


def _names(node: ExportedNode) -> list[str]:
    return [name for out in node.outputs for name in ((out,) if isinstance(out, str) else out)]


def _makes(node: ExportedNode) -> list[str]:
    return [*_names(node), *([_changed(node)] if _in_place(node) else [])]


def _changed(node: ExportedNode) -> str:
    """The tensor that an operator changes in place."""
    first = next(iter(node.arguments.values()), None)
    return first.name if isinstance(first, Ref) else ""


def _reads(node: ExportedNode) -> list[str]:
    found = []
    waiting = list(node.arguments.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, Ref):
            found.append(value.name)
        elif isinstance(value, list | tuple):
            waiting += value
    return found


def _refuse_changed_views(program: ExportedProgram) -> None:
    """Raises Unsupported where an operator changes elements in place that are seen under other names, too."""
    shared: set[str] = set()
    for node in program.nodes:
        if node.target.startswith("aten.") and node.target.split(".")[1] in _VIEWS:
            shared.update((*_names(node), *_reads(node)))
        elif _in_place(node) and _changed(node) in shared | set(program.given.values()):
            raise Unsupported(
                f"{program.path.name} changes a part of a tensor in place: {node.place}.",
                hint="Export it with torch.export.export(model, inputs).run_decompositions({}), which makes copies.",
            )


def _run(g: Graph, nodes: list[ExportedNode], values: dict[str, Any], failures: Failures, outputs: list[str]) -> None:
    uses: dict[str, int] = {}
    for name in [*(name for node in nodes for name in _reads(node)), *outputs]:
        uses[name] = uses.get(name, 0) + 1
    for node in nodes:
        if any(values.get(name) is Missing for name in _reads(node)):
            values.update(dict.fromkeys(_names(node), Missing))
            continue
        found = attempt(partial(CONVERTERS[_key(node)], Context(g, node, values)), node.place, failures)
        results = (
            found if isinstance(found, list) else [found] * max(len(node.outputs), 1) if found is Missing else [found]
        )
        for out, result in zip(node.outputs, results, strict=False):
            pairs = [(out, result)] if isinstance(out, str) else zip(out, _each(result, len(out)), strict=True)
            for name, value in pairs:
                values[name] = value
                if hasattr(getattr(value, "ty", None), "shape"):
                    # One variable may stand for the results of several nodes.
                    g.uses[value] = g.uses.get(value, 0) + uses.get(name, 0)
        if _in_place(node):
            values[_changed(node)] = values[_names(node)[0]]


def _each(result: Any, count: int) -> list[Any]:
    return [result] * count if result is Missing else list(result)
