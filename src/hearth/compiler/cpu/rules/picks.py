"""Elements by their numbers or their order: taken, written, the largest, sorted, summed up one by one."""

from __future__ import annotations

from typing import Any

from tvm import relax

from hearth.compiler.cpu.kernels.gather import (
    ElementsSpec,
    gather,
    gather_blocks,
    gather_columns,
    gather_elements,
)
from hearth.compiler.cpu.kernels.running import RunningSpec, running
from hearth.compiler.cpu.kernels.scatter import ScatterSpec, scatter_blocks, scatter_elements
from hearth.compiler.cpu.kernels.topk import TopkSpec, topk
from hearth.compiler.cpu.rules.moves import copied
from hearth.compiler.cpu.selection import Rule, Selection
from hearth.compiler.passes.rewrite import Graph, operation
from hearth.compiler.physical import call, last_size, like, product, sizes, stride, tensor
from hearth.compiler.views import Size, element_type, is_dense, result_of, steps_of
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _row(var: Any) -> Size:
    """Elements from one row of the last axis to the next."""
    columns = sizes(var.ty.shape)[-1] if len(var.ty.shape) else 1
    return columns if is_dense(var) else stride(columns)


def _take(graph: Graph, value: Any, s: Selection) -> Any:
    """Along one axis: blocks of what is behind it, or elements of the last."""
    x, ids = value.args
    shape, steps = sizes(x.ty.shape), steps_of(x)
    axis, dtype = int(value.attrs.axis) % len(shape), element_type(x.ty)
    count = product(list(ids.ty.shape))
    work = Work.of("gather", product(list(value.ty.shape)[:-1]), sizes(value.ty.shape)[-1], gathers=True)
    if axis < len(shape) - 1:
        kernel = s.use("", lambda isa: gather_blocks(dtype))
        units, scalars = product([*shape[:axis], count]), [shape[axis], count, steps[axis]]
        return call(kernel, [x, ids], result_of(value), units, scalars, grain=4, work=work)
    kernel = s.use("", lambda isa: gather_columns(dtype))
    *rows, columns = sizes(ids.ty.shape)
    units = product([*shape[:-1], *rows])
    scalars = [shape[-1], _row(x), product(rows), columns, _row(value)]
    return call(kernel, [x, ids], result_of(value), units, scalars, grain=4, work=work)


def _gather_nd(graph: Graph, value: Any, s: Selection) -> Any:
    x, ids = value.args
    if int(value.attrs.batch_dims) != 1 or len(x.ty.shape) != 3 or len(value.ty.shape) != 3:
        raise Unsupported("Only rows of each image can be gathered yet.")
    images, rows, columns = sizes(x.ty.shape)
    count = int(value.ty.shape[1])
    work = Work.of("gather", images * count, columns, gathers=True)
    kernel = s.use("", lambda isa: gather())
    return call(kernel, [x, ids], like(value), images * count, [rows, count, stride(columns)], grain=8, work=work)


def _elements(x: Any, ids: Any, axis: int) -> tuple[ElementsSpec, list[Size]]:
    """The walk over `ids` along an axis of `x`, and its scalars."""
    shape, chosen, steps = sizes(x.ty.shape), sizes(ids.ty.shape), steps_of(x)
    last = len(shape) - 1
    strides = [0 if i == axis else step for i, step in enumerate(steps[:-1])]
    scalars = [shape[axis], steps[axis], chosen[-1], 0 if axis == last else 1, *chosen[1:-1], *strides]
    return ElementsSpec(last, element_type(x.ty)), scalars


def _gather_elements(graph: Graph, value: Any, s: Selection) -> Any:
    x, ids = value.args
    spec, scalars = _elements(x, ids, int(value.attrs.axis) % len(x.ty.shape))
    kernel = s.use("", lambda isa: gather_elements(spec))
    *rows, columns = sizes(ids.ty.shape)
    work = Work.of("gather", product(rows), columns, gathers=True)
    return call(kernel, [x, ids], result_of(value), product(rows), [*scalars, _row(value)], grain=8, work=work)


def _copy_of(graph: Graph, x: Any, value: Any, s: Selection) -> Any:
    """What a scatter writes into."""
    return graph.emit(copied(x, 0, steps_of(x), value, s, padded=True))


def _scatter_elements(graph: Graph, value: Any, s: Selection) -> Any:
    x, ids, updates = value.args
    spec, scalars = _elements(x, ids, int(value.attrs.axis) % len(x.ty.shape))
    how = ScatterSpec(spec, str(value.attrs.reduction))
    kernel = s.use("", lambda isa: scatter_elements(how))
    rows = product(sizes(ids.ty.shape)[:-1])
    buffers = [ids, updates, _copy_of(graph, x, value, s)]
    work = Work.of("scatter", rows, sizes(ids.ty.shape)[-1])
    return call(
        kernel, buffers, result_of(value), 1, [*scalars, _row(updates), rows], work=work, in_place=True
    )  # fmt: skip


def _scatter_nd(graph: Graph, value: Any, s: Selection) -> Any:
    """Blocks of what is behind the first axis: numbers of several axes were made numbers of one before."""
    x, ids, updates = value.args
    shape = sizes(x.ty.shape)
    if sizes(ids.ty.shape)[-1] != 1 or len(shape) < 2:
        raise Unsupported(
            "Elements cannot be written to places of several axes yet.", why=f"It is asked for in {value}."
        )
    reduction, dtype = str(value.attrs.reduction), element_type(x.ty)
    kernel = s.use("", lambda isa: scatter_blocks(dtype, reduction))
    count, block = product(sizes(ids.ty.shape)[:-1]), steps_of(x)[0]
    buffers = [ids, updates, _copy_of(graph, x, value, s)]
    work = Work.of("scatter", count, block)
    return call(kernel, buffers, result_of(value), 1, [shape[0], count, block], work=work, in_place=True)


def _ordered(graph: Graph, x: Any, k: Size, largest: bool, s: Selection) -> tuple[Any, Any]:
    """The k largest or smallest of each row: values and places."""
    *before, size = sizes(x.ty.shape)
    spec = TopkSpec(s.most(k), largest)
    kernel = s.use(spec.name, lambda isa: topk(spec), spec.scratch_bytes())
    rows = product(before)
    results = [tensor(*before, stride(k)), tensor(*before, k, dtype="int32")]
    work = Work.of("topk", rows, 4 * size if isinstance(size, int) else 4)
    both = graph.emit(call(kernel, [x], results, rows, [size, stride(size), stride(k), k], work=work))
    return tuple(graph.emit(relax.TupleGetItem(both, i)) for i in range(2))


def _last_axis(value: Any, axis: int) -> None:
    if axis not in (-1, len(value.args[0].ty.shape) - 1):
        raise Unsupported("Only rows can be put in order.", why=f"It is asked for in {value}.")


def _topk(graph: Graph, value: Any, s: Selection) -> Any:
    attrs = value.attrs
    _last_axis(value, int(attrs.axis))
    found = _ordered(graph, value.args[0], int(attrs.k), bool(attrs.largest), s)
    kinds = {"values": found[0], "indices": found[1], "both": relax.Tuple(list(found))}
    return kinds[str(attrs.ret_type)]


def _sort(graph: Graph, value: Any, s: Selection) -> Any:
    x, attrs = value.args[0], value.attrs
    _last_axis(value, int(attrs.axis))
    values, places = _ordered(graph, x, last_size(x), bool(attrs.descending), s)
    return values if operation(value) == "sort" else places


def _running(graph: Graph, value: Any, s: Selection) -> Any:
    x, shape, steps = value.args[0], sizes(value.ty.shape), steps_of(value.args[0])
    axis = int(value.attrs.axis) % len(shape)
    spec = RunningSpec(operation(value) == "cumprod", element_type(x.ty), bool(value.attrs.exclusive))
    kernel = s.use(spec.name, lambda isa: running(spec))
    behind = product([*shape[axis + 1 : -1], _row(x)]) if axis < len(shape) - 1 else 1
    outer = steps[axis] * shape[axis] if axis < len(shape) - 1 else _row(x)
    units = product([*shape[:axis], behind])
    work = Work.of("sum", units, shape[axis] if isinstance(shape[axis], int) else 1)
    return call(kernel, [x], result_of(value), units, [shape[axis], steps[axis], behind, 1, outer], grain=4, work=work)


RULES: dict[str, Rule] = {
    "take": _take,
    "gather_nd": _gather_nd,
    "gather_elements": _gather_elements,
    "scatter_elements": _scatter_elements,
    "scatter_nd": _scatter_nd,
    "topk": _topk,
    "sort": _sort,
    "argsort": _sort,
    "cumsum": _running,
    "cumprod": _running,
}
