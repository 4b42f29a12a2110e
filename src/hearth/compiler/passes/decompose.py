"""Operations that are made of others: whatever no kernel computes in one piece, in terms of what kernels do.

Kernels order, sum and weigh along the last axis, and sum floats: here axes are moved there, and whole numbers become
floats on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import relax, tirx
from tvm.relax import op

from hearth.compiler.passes.rewrite import Graph, dtype_of, operation, rewrite
from hearth.compiler.symbolic import equal_sizes
from hearth.errors import Unsupported

Composition = Callable[[Graph, Any], Any]
"""The expression that takes an operation's place; None: it stays as it is."""


def decompose(module: Any) -> Any:
    """`module` without the operations of `COMPOSITIONS`, where these have no kernel of their own."""

    def rule(graph: Graph, value: Any) -> Any:
        made = COMPOSITIONS.get(operation(value))
        return None if made is None else made(graph, value)

    return rewrite(module, rule)


def _shape(x: Any) -> list[Any]:
    return [int(dim) if isinstance(dim, tirx.IntImm) else dim for dim in x.ty.shape]


def _axis(value: Any, rank: int) -> int:
    return int(value.attrs.axis) % rank


def _axes(value: Any, rank: int) -> list[int]:
    given = value.attrs.axis if hasattr(value.attrs, "axis") else value.attrs.axes
    return list(range(rank)) if given is None else sorted(int(axis) % rank for axis in given)


def _to_last(rank: int, axis: int) -> list[int]:
    """The order of axes that puts one last; it is its own way back with `_from_last`."""
    return [i for i in range(rank) if i != axis] + [axis]


def _from_last(rank: int, axis: int) -> list[int]:
    return [*range(axis), rank - 1, *range(axis, rank - 1)]


def _reshaped(graph: Graph, x: Any, shape: Sequence[Any]) -> Any:
    return graph.emit(op.reshape(x, relax.ShapeExpr(list(shape))))


def _along_last(again: Callable[[Any, int], Any]) -> Composition:
    """What works along any axis by what works along the last: `again` makes the operation of an array and axis."""

    def composition(graph: Graph, value: Any) -> Any:
        x = value.args[0]
        rank = len(x.ty.shape)
        axis = _axis(value, rank)
        if axis == rank - 1:
            return None
        moved = graph.emit(op.permute_dims(x, _to_last(rank, axis)))
        return op.permute_dims(graph.emit(again(value, rank - 1)(moved)), _from_last(rank, axis))

    return composition


def _softmax(value: Any, axis: int) -> Callable[[Any], Any]:
    return lambda x: op.nn.softmax(x, axis)


def _log_softmax(graph: Graph, value: Any) -> Any:
    x, axis = value.args[0], int(value.attrs.axis)
    shifted = graph.emit(op.subtract(x, graph.emit(op.max(x, [axis], keepdims=True))))
    total = graph.emit(op.sum(graph.emit(op.exp(shifted)), [axis], keepdims=True))
    return op.subtract(shifted, graph.emit(op.log(total)))


def _variance(graph: Graph, value: Any) -> Any:
    x, keep = value.args[0], bool(value.attrs.keepdims)
    axes = _axes(value, len(x.ty.shape))
    away = graph.emit(op.subtract(x, graph.emit(op.mean(x, axes, keepdims=True))))
    return op.mean(graph.emit(op.multiply(away, away)), axes, keepdims=keep)


def _deviation(graph: Graph, value: Any) -> Any:
    return op.sqrt(graph.emit(_variance(graph, value)))


def _folded(graph: Graph, value: Any) -> Any:
    """Sums and extremes of whole numbers and truth, as floats."""
    x, dtype = value.args[0], dtype_of(value.args[0].ty)
    if not x.ty.shape:
        return x
    if dtype == "float32":
        return None
    again = getattr(op, operation(value))
    total = again(_floats(graph, x), _axes(value, len(x.ty.shape)), keepdims=bool(value.attrs.keepdims))
    return op.astype(graph.emit(total), dtype_of(value.ty))


def _floats(graph: Graph, x: Any) -> Any:
    return x if dtype_of(x.ty) == "float32" else graph.emit(op.astype(x, "float32"))


def _place(graph: Graph, value: Any) -> Any:
    """Of a whole array; of axes that the kernel does not reach; of truth."""
    x, again = value.args[0], getattr(op, operation(value))
    rank = len(x.ty.shape)
    if value.attrs.axis is None:
        total: Any = 1
        for dim in _shape(x):
            total = total * dim
        found = graph.emit(again(_reshaped(graph, x, [total]), 0))
        return op.reshape(found, value.ty.shape)
    axis = _axis(value, rank)
    if axis >= rank - 2:
        return None
    moved = graph.emit(op.permute_dims(x, _to_last(rank, axis)))
    return op.reshape(graph.emit(again(moved, rank - 1)), value.ty.shape)


def _ordered(graph: Graph, value: Any) -> Any:
    """Rows are put in order, and floats are."""
    x = value.args[0]
    rank, dtype = len(x.ty.shape), dtype_of(x.ty)
    axis = _axis(value, rank)
    if axis == rank - 1 and dtype == "float32":
        return None
    x = _floats(graph, x)
    if axis != rank - 1:
        x = graph.emit(op.permute_dims(x, _to_last(rank, axis)))
    attrs = value.attrs
    results = {
        "topk": lambda: op.topk(x, int(attrs.k), rank - 1, str(attrs.ret_type), bool(attrs.largest), "int32"),
        "sort": lambda: op.sort(x, rank - 1, bool(attrs.descending)),
        "argsort": lambda: op.argsort(x, rank - 1, bool(attrs.descending), "int32"),
    }
    found = graph.emit(results[operation(value)]())
    if axis != rank - 1:
        found = graph.emit(op.permute_dims(found, _from_last(rank, axis)))
    return op.astype(found, dtype_of(value.ty)) if dtype_of(found.ty) != dtype_of(value.ty) else found


def _take(graph: Graph, value: Any) -> Any:
    """By a single number: as by a row of one."""
    x, ids = value.args
    if value.attrs.axis is None or len(ids.ty.shape) > 0:
        return None
    axis = _axis(value, len(x.ty.shape))
    if dtype_of(x.ty) not in ("float32", "int32", "bool"):
        return None
    row = graph.emit(op.take(x, _reshaped(graph, ids, [1]), axis, mode="clip"))
    return op.reshape(row, value.ty.shape)


def _layer_norm(graph: Graph, value: Any) -> Any:
    """Over several last axes: over one that is all of them."""
    x, *weights = value.args
    axes = sorted(int(axis) % len(x.ty.shape) for axis in value.attrs.axes)
    rank = len(x.ty.shape)
    if axes != list(range(axes[0], rank)):
        raise Unsupported(f"A norm over the axes {axes} of {rank} cannot be compiled yet.", why=f"It is {value}.")
    if len(axes) == 1:
        return None
    shape = _shape(x)
    total: Any = 1
    for dim in shape[axes[0] :]:
        total = total * dim
    flat = [
        _reshaped(graph, part, [*lead, total]) for part, lead in ((x, shape[: axes[0]]), *((w, []) for w in weights))
    ]
    again = op.nn.layer_norm if operation(value) == "nn.layer_norm" else op.nn.rms_norm
    return op.reshape(graph.emit(again(*flat, axes=[axes[0]], epsilon=float(value.attrs.epsilon))), x.ty.shape)


def _matmul(graph: Graph, value: Any) -> Any:
    """Of vectors, as matrices of one row or column; of whole numbers, as floats."""
    a, b = value.args
    if dtype_of(value.ty) != "float32":
        return op.astype(graph.emit(op.matmul(_floats(graph, a), _floats(graph, b))), dtype_of(value.ty))
    if min(len(a.ty.shape), len(b.ty.shape)) > 1:
        return None
    if len(a.ty.shape) == 1:
        a = _reshaped(graph, a, [1, *_shape(a)])
    if len(b.ty.shape) == 1:
        b = _reshaped(graph, b, [*_shape(b), 1])
    return op.reshape(graph.emit(op.matmul(a, b)), value.ty.shape)


def _pad(graph: Graph, value: Any) -> Any:
    """With what is within: each axis is put together of its parts."""
    mode, x = str(value.attrs.pad_mode), value.args[0]
    if mode == "constant":
        return None
    widths = [int(count) for count in value.attrs.pad_width]
    if min(widths) < 0:
        raise Unsupported("Padding that takes elements away cannot be compiled yet.", why=f"It is {value}.")
    for axis in range(len(x.ty.shape)):
        before, after = widths[2 * axis : 2 * axis + 2]
        if before or after:
            x = graph.emit(op.concat(_padded(graph, x, axis, before, after, mode), axis))
    return x


def _padded(graph: Graph, x: Any, axis: int, before: int, after: int, mode: str) -> list[Any]:
    size = _shape(x)[axis]

    def part(begin: Any, count: int) -> Any:
        inbound = not (isinstance(begin, int) and isinstance(size, int))
        return graph.emit(op.strided_slice(x, [axis], [begin], [begin + count], [1], assume_inbound=inbound))

    def border(begin: Any, count: int) -> Any:
        if mode == "circular":
            return part(begin, count)
        if mode == "reflect":
            return graph.emit(op.flip(part(begin, count), axis))
        one = part(begin, 1)
        return graph.emit(op.broadcast_to(one, [*_shape(x)[:axis], count, *_shape(x)[axis + 1 :]]))

    first, last = {
        "circular": (size - before, 0),
        "reflect": (1, size - 1 - after),
        "replicate": (0, size - 1),
    }[mode]
    return [*([border(first, before)] if before else []), x, *([border(last, after)] if after else [])]


def _adaptive_pool(graph: Graph, value: Any) -> Any:
    """To a size that divides the map's: pooling by squares; else each row and column of the result by itself."""
    x = value.args[0]
    for axis in (1, 2):
        have, wanted = _shape(x)[axis], _shape(value)[axis]
        if not isinstance(have, int) or not isinstance(wanted, int):
            raise Unsupported("A pool to a fixed size of a map whose size is open cannot be compiled yet.")
        if have == wanted:
            continue
        parts = []
        for i in range(wanted):
            begin, end = i * have // wanted, -(-(i + 1) * have // wanted)
            piece = graph.emit(op.strided_slice(x, [axis], [begin], [end], [1]))
            parts.append(graph.emit(op.mean(piece, [axis], keepdims=True)))
        x = parts[0] if len(parts) == 1 else graph.emit(op.concat(parts, axis))
    return x


def _same_size(graph: Graph, value: Any) -> Any:
    """A reshape, broadcast or cast that changes nothing."""
    x = value.args[0]
    before, after = _shape(x), _shape(value)
    same = len(before) == len(after) and all(equal_sizes(a, b) for a, b in zip(before, after, strict=True))
    return x if same else None


COMPOSITIONS: Mapping[str, Composition] = {
    "nn.softmax": _along_last(_softmax),
    "nn.log_softmax": _log_softmax,
    "variance": _variance,
    "std": _deviation,
    **dict.fromkeys(("sum", "mean", "max", "min", "prod"), _folded),
    **dict.fromkeys(("argmax", "argmin"), _place),
    **dict.fromkeys(("topk", "sort", "argsort"), _ordered),
    **dict.fromkeys(("nn.layer_norm", "nn.rms_norm"), _layer_norm),
    "take": _take,
    "matmul": _matmul,
    "nn.pad": _pad,
    "nn.adaptive_avg_pool2d": _adaptive_pool,
    "broadcast_to": _same_size,
}
