"""Products that leave rows of bytes: where a product's result is only made to be multiplied, or to be added before an
activation, it is never written as f32 (`kernels/row_product_rows.py`). In convolutional networks that is the residual
stream, whose maps are large.

What is known to have nothing below zero, as behind a ReLU, is marked: its bytes have a bit more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.prepare_rows import RowSign
from hearth.compiler.cpu.kernels.row_product_rows import MOST_COLUMNS, MOST_WEIGHT_BYTES
from hearth.compiler.parameters import Packed, Parameters
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes, is_op, operands, operation, rewrite
from hearth.compiler.physical import rows, sizes, width
from hearth.model.ops import hearth_op
from hearth.quant.formats import round_up

LEAST_ROWS = 192
"""Of a product that leaves bytes: its work is shared by rows alone."""


def leave_rows(module: Any, parameters: Parameters) -> Any:
    """`hearth.product` with `results="signed"` or `"positive"` gives (bytes, scales) in place of f32; the residual of
    one with `add="signed"` or `"positive"` is that pair. `sign` of a product or preparation is that of what it
    multiplies or rounds. Such a pair is `rotated` as its readers' weights are."""
    seen: dict[Graph, _Results] = {}

    def rule(graph: Graph, value: Any) -> Any:
        if graph not in seen:
            seen[graph] = _Results.of(graph, parameters)
        results = seen[graph]
        if _is_choice(value) and value.args[0] in results.signs:
            return _picked(graph, value)
        if _is_rows(value):
            x = arguments(value)[0]
            if x in results.signs:
                return x
            sign = _sign_of_prepared(graph, value)
            return _with(value, arguments(value), sign=sign) if not attribute(value, "norm") else None
        if _row_weight(value, parameters) is None:
            return None
        args, more = arguments(value), {"sign": _sign_of_prepared(graph, _preparation(graph, value))}
        if attribute(value, "epilogue", "") == "add" and args[-1] in results.signs:
            more["add"] = results.signs[args[-1]]
            pair = [graph.emit(relax.TupleGetItem(args[-1], i)) for i in (0, 1)]
            args = [*args[:-1], *pair]
        if value not in results.leaving:
            return _with(value, args, **more)
        var = results.leaving[value]
        types = [
            relax.TensorType((rows(var), round_up(width(var), 32)), "int8"),
            relax.TensorType((rows(var),), "float32"),
        ]
        return _with(value, args, types, **more, results=results.signs[var], rotated=results.rotated[var])

    return rewrite(module, rule)


@dataclass(frozen=True)
class _Results:
    """Attributes:
    signs: of the variables that will be rows of bytes.
    leaving: the products that make them.
    rotated: how the variables that these make are rotated.
    """

    signs: Mapping[Any, RowSign]
    leaving: Mapping[Any, Any]
    rotated: Mapping[Any, int]

    @classmethod
    def of(cls, graph: Graph, parameters: Parameters) -> _Results:
        readers = defaultdict(list)
        for _, value in graph.bindings:
            for var in operands(value):
                readers[var].append(value)
        signs: dict[Any, RowSign] = {}
        rotations: dict[Any, int] = {}
        leaving: dict[Any, Any] = {}
        for var, value in graph.bindings:
            packed = _row_weight(value, parameters)
            if packed is None or not _fits(packed, var) or not readers[var]:
                continue
            choices = [
                chosen for chosen, reader in graph.bindings if _is_choice(reader) and reader.args[0].same_as(var)
            ]
            reading = [(r, read) for read in (var, *choices) for r in readers[read] if not _is_choice(r)]
            rotated = {_rotated(reader) for reader, _ in reading}
            if len(rotated) == 1 and all(_reads_rows(reader, read, parameters) for reader, read in reading):
                (rotations[var],) = rotated
                sign = "signed" if rotations[var] > 1 else _sign(graph, var)
                leaving[value] = var
                signs |= dict.fromkeys((var, *choices), sign)
        return cls(signs, leaving, rotations)


def _row_weight(value: Any, parameters: Parameters) -> Packed | None:
    """The weight of a product with a scale a row; None: it is no such product."""
    if not is_op(value, "hearth.product"):
        return None
    packed = parameters.packed[arguments(value)[int(attribute(value, "inputs"))].name]
    return packed if packed.fmt.is_row else None


def _fits(packed: Packed, var: Any) -> bool:
    least = prod(size for size in sizes(var.ty.shape)[:-1] if isinstance(size, int))
    return packed.size_bytes <= MOST_WEIGHT_BYTES and width(var) <= MOST_COLUMNS and least >= LEAST_ROWS


def _is_rows(value: Any) -> bool:
    return is_op(value, "hearth.prepare") and str(attribute(value, "form")) == "rows"


def _reads_rows(reader: Any, var: Any, parameters: Parameters) -> bool:
    """Whether an operation that reads the variable can read its rows in bytes."""
    if _is_rows(reader):
        return not attribute(reader, "norm") and not attribute(reader, "gather")
    if _row_weight(reader, parameters) is None or operands(reader).count(var) > 1:
        return False
    added = attribute(reader, "epilogue", "") == "add" and arguments(reader)[-1].same_as(var)
    return added and bool(attribute(reader, "after", ""))


def _is_choice(value: Any) -> bool:
    """Whether it is every so many pixels of a map."""
    if not is_op(value, "strided_slice") or len(value.args) < 5 or len(value.args[0].ty.shape) != 4:
        return False
    axes, begins = ([int(number.value) for number in part.fields] for part in value.args[1:3])
    return axes == [1, 2] and begins == [0, 0] and all(isinstance(size, int) for size in sizes(value.ty.shape)[1:])


def _picked(graph: Graph, value: Any) -> Any:
    """The same of a map whose rows are bytes."""
    source = value.args[0]
    kp = round_up(width(source), 32)
    types = [relax.TensorType((rows(value), kp), "int8"), relax.TensorType((rows(value),), "float32")]
    pair = [graph.emit(relax.TupleGetItem(source, i)) for i in (0, 1)]
    size, picked = (sizes(var.ty.shape)[1:3] for var in (source, value))
    strides = [int(step.value) for step in value.args[4].fields]
    return hearth_op("pick_rows", pair, types, size=size, picked=picked, strides=strides)


def _rotated(reader: Any) -> int:
    """How a reader of rows wants them rotated: residuals are as they are."""
    return int(attribute(reader, "rotated")) if _is_rows(reader) else 1


def _preparation(graph: Graph, product: Any) -> Any:
    """What makes the bytes that a product multiplies."""
    return graph.value(graph.value(arguments(product)[0]).tuple_value)


def _sign_of_prepared(graph: Graph, prepared: Any) -> RowSign:
    """Of the activation that a preparation makes bytes of."""
    if attribute(prepared, "norm") or int(attribute(prepared, "rotated")) > 1:
        return "signed"
    return _sign(graph, arguments(prepared)[0])


def _sign(graph: Graph, var: Any) -> RowSign:
    """Whether a variable is known to have nothing below zero."""
    value = graph.value(var)
    name = operation(value) if value is not None else ""
    if name in ("nn.max_pool2d", "strided_slice"):
        return _sign(graph, value.args[0])
    last = str(attribute(value, "after", "") or attribute(value, "activation", "")) if name in _ACTIVATED else ""
    if name == "hearth.product" and attribute(value, "epilogue", "") == "add":
        last = str(attribute(value, "after", ""))
    return "positive" if last == "relu" and attribute(value, "epilogue", "") != "gated" else "signed"


_ACTIVATED = ("hearth.product", "hearth.conv2d")


def _with(value: Any, args: list[Any], types: Any = None, **more: Any) -> Any:
    """One of our operations with other operands, results or attributes."""
    out = value.ty_args[0]
    fields = list(out.fields) if hasattr(out, "fields") else out
    return hearth_op(operation(value).removeprefix("hearth."), args, types or fields, **(attributes(value) | more))
