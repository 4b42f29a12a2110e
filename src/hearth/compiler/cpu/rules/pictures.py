"""Pictures as they were read, made into what a network takes: two tables of weights, two passes."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from hearth.compiler.cpu.kernels.image_filters import ENTRY, SUPPORT, Filter, resample_table, weights_size
from hearth.compiler.cpu.kernels.image_resize import (
    PIXEL,
    SHARES,
    between_bytes,
    resample_first,
    resample_second,
)
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, operands
from hearth.compiler.physical import call, strides, tensor
from hearth.compiler.work import Work


def _pixels(graph: Graph, value: Any, s: Selection) -> Any:
    picture, *sizes = arguments(value)
    kind = next(each for each in SUPPORT if each == str(attribute(value, "resample")))
    rows, columns = (int(side) for side in attribute(value, "shape"))
    most, bgr = int(attribute(value, "most_side")), bool(attribute(value, "bgr"))
    work = Work("pixels")
    tables: list[Any] = []
    for axis, count in enumerate((rows, columns)):
        made = _table(kind, sizes, axis, count, picture.ty.shape[0], most, s, work)
        both = graph.emit(made)
        tables += [graph.emit(relax.TupleGetItem(both, i)) for i in range(2)]
    between = tensor(between_bytes((rows, columns), most), dtype="uint8")
    kernel = s.use("", lambda isa: resample_first())
    first = graph.emit(call(kernel, [picture, *sizes, *tables], between, SHARES, [rows, columns], work=work))
    numbers = _numbers(graph, value, s)
    kernel = s.use("", lambda isa: resample_second(bgr=bgr))
    read = [first, *sizes, *tables, numbers]
    dense = call(kernel, read, tensor(1, rows, columns, 3), rows, [rows, columns], grain=4, work=work)
    (own,) = (var for var, bound in graph.bindings if bound.same_as(value))
    if all(isinstance(bound, relax.Tuple) for _, bound in graph.bindings if own in operands(bound)):
        return dense  # what a function answers may be the input of another, and those have dense rows
    return copied(graph.emit(dense), 0, strides(value.ty.shape, dense=True), value, s)


def _table(
    kind: Filter, sizes: list[Any], axis: int, count: int, area: Any, most: int, s: Selection, work: Work
) -> Any:
    kernel = s.use(f"resample_table_{kind}", lambda isa: resample_table(kind))
    results = [tensor(count, ENTRY, dtype="int32"), tensor(weights_size(kind, count, most), dtype="int32")]
    units = 1 if kind == "nearest" else count
    return call(kernel, sizes, results, units, [axis, count, area], grain=8, work=work)


def _numbers(graph: Graph, value: Any, s: Selection) -> Any:
    """Factor, offset and fill of each channel, as a parameter."""
    mean, std, fill = (np.array(list(attribute(value, name)), np.float64) for name in ("mean", "std", "fill"))
    numbers = np.zeros((3, PIXEL), np.float32)
    numbers[:, :3] = 1 / (255 * std), -mean / std, fill
    if attribute(value, "bgr"):
        numbers[:, :3] = numbers[:, 2::-1].copy()
    name = s.parameters.add_constant(numbers.reshape(-1))
    return graph.add_param(relax.Var(name, relax.TensorType((numbers.size,), "float32")))


RULES: dict[str, Rule] = {"hearth.pixels": _pixels}
