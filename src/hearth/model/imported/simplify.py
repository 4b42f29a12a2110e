"""Rules that move transposes out of the way and reshapes together, so that most of them meet their opposites.

A transpose goes down through what works element by element, through reductions and through reshapes that keep its axes
in runs; two in a row are one, and one that only moves axes of size 1 is a reshape. Convolutions stand between two
(channels last within, first without): these meet and are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.model.calls import operation
from hearth.model.imported.graph import Graph, Rule
from hearth.model.imported.moves import binary, broadcast, inverse, part, permute, reshape

UNARY = (
    "abs", "ceil", "clip", "cos", "erf", "exp", "floor", "log", "logical_not", "negative", "nn.gelu", "nn.gelu_tanh",
    "nn.leakyrelu", "nn.relu", "nn.silu", "nn.softplus", "round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "square",
    "tanh", "astype",
)  # fmt: skip
BINARY = (
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "equal", "greater", "greater_equal", "less",
    "less_equal", "logical_and", "logical_or", "not_equal",
)  # fmt: skip
_REDUCTIONS = ("mean", "sum", "max", "min", "prod", "std", "variance")


def axes_of(g: Graph, call: Any) -> list[int]:
    """Of a call of permute_dims."""
    axes = call.attrs.axes
    return list(range(g.rank(call.args[0])))[::-1] if axes is None else [int(axis) for axis in axes]


def transposed(g: Graph, var: Any) -> tuple[Any, list[int]] | None:
    """(y, axes) where a variable is the transpose of y."""
    call = g.behind(var, "permute_dims")
    if call is None:
        return None
    inner = call.args[0]
    if not g.once(var):  # what is read often is so under its transpose as well
        g.uses[inner] = max(g.uses.get(inner, 1), g.uses[var])
    return inner, axes_of(g, call)


def merge_permutes(g: Graph, call: Any) -> Any:
    x, axes = call.args[0], axes_of(g, call)
    if axes == sorted(axes):
        return x
    if (inner := transposed(g, x)) is not None:
        return permute(g, inner[0], [inner[1][axis] for axis in axes])
    shape = g.shape(x)
    moved = [axis for axis in axes if shape[axis] != 1]
    if moved == sorted(moved):
        return reshape(g, x, [shape[axis] for axis in axes])
    return None


def merge_reshapes(g: Graph, call: Any) -> Any:
    x, shape = call.args[0], g.shape(call)
    if g.same_shape(g.shape(x), shape):
        return x
    if (inner := g.behind(x, "reshape")) is not None:
        return reshape(g, inner.args[0], shape)
    return None


def reshape_before_permute(g: Graph, call: Any) -> Any:
    """reshape(permute(y)) where the reshape takes apart or joins runs of axes that y has in the same order."""
    inner = transposed(g, call.args[0])
    if inner is None:
        return None
    y, axes = inner
    blocks = _blocks(g, g.shape(call.args[0]), g.shape(call))
    if blocks is None:
        return None
    places = [[axes[i] for i in old] for old, _ in blocks]
    if any(block != list(range(block[0], block[0] + len(block))) for block in places):
        return None
    new_shape = g.shape(call)
    order = sorted(range(len(blocks)), key=lambda i: places[i][0])
    reshaped = reshape(g, y, [new_shape[j] for i in order for j in blocks[i][1]])
    begin, at = {}, 0
    for i in order:
        begin[i] = at
        at += len(blocks[i][1])
    return permute(g, reshaped, [begin[i] + k for i in range(len(blocks)) for k in range(len(blocks[i][1]))])


def _blocks(g: Graph, old: Sequence[Any], new: Sequence[Any]) -> list[tuple[list[int], list[int]]] | None:
    """The shortest runs of axes whose products agree, as (old axes, new axes)."""
    blocks = []
    i = j = 0
    while i < len(old) and j < len(new):
        left, right = [i], [j]
        a, b = old[i], new[j]
        while not g.same(a, b):
            # One of the two takes a further axis; sizes with symbols only ever match as they are.
            if (isinstance(a, int) and isinstance(b, int) and a > b) or not _divides(g, a, b):
                right.append(j := j + 1)
                if j >= len(new):
                    return None
                b = b * new[j]
            else:
                left.append(i := i + 1)
                if i >= len(old):
                    return None
                a = a * old[i]
        blocks.append((left, right))
        i, j = i + 1, j + 1
    # Axes of size 1 that are left go with the last run.
    if blocks and all(old[k] == 1 for k in range(i, len(old))) and all(new[k] == 1 for k in range(j, len(new))):
        blocks[-1][0].extend(range(i, len(old)))
        blocks[-1][1].extend(range(j, len(new)))
        return blocks
    return blocks if i == len(old) and j == len(new) and blocks else None


def _divides(g: Graph, a: Any, b: Any) -> bool:
    """Whether a size is a proper part of another, so that axes must join it."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return isinstance(a, int) or not isinstance(b, int)


def sink_unary(g: Graph, call: Any) -> Any:
    inner = transposed(g, call.args[0])
    if inner is None:
        return None
    done = g.emit(relax.Call(call.op, [inner[0], *call.args[1:]], call.attrs, call.ty_args))
    return permute(g, done, inner[1])


def sink_binary(g: Graph, call: Any) -> Any:
    pair = list(call.args)
    inner = [transposed(g, x) for x in pair]
    axes = next((found[1] for found in inner if found is not None), None)
    if axes is None:
        return None
    rank = len(axes)
    moved = []
    for x, found in zip(pair, inner, strict=True):
        if found is not None and found[1] == axes:
            moved.append(found[0])
        elif found is None and (turned := _turned(g, x, axes, rank)) is not None:
            moved.append(turned)
        else:
            return None
    return permute(g, binary(g, operation(call), *moved), axes)


def _turned(g: Graph, x: Any, axes: Sequence[int], rank: int) -> Any:
    """x as it is before a transpose, where that costs nothing: known values, or axes of size 1 that move."""
    shape = g.shape(x)
    if len(shape) > rank:
        return None
    if all(dim == 1 for dim in shape):
        return x
    shape = [1] * (rank - len(shape)) + shape
    before = inverse(axes)
    order = [axis for axis in before if shape[axis] != 1]
    if x not in g.known and order != sorted(order):
        return None
    return permute(g, reshape(g, x, shape), before)


def sink_reduction(g: Graph, call: Any) -> Any:
    inner = transposed(g, call.args[0])
    if inner is None or call.attrs.axis is None:
        return None
    y, axes = inner
    gone = sorted(axes[int(axis) % len(axes)] for axis in call.attrs.axis)
    keep = bool(call.attrs.keepdims)
    done = g.emit(getattr(op, operation(call))(y, gone, keepdims=keep))
    if keep:
        return permute(g, done, axes)
    left = [axis for axis in axes if axis not in gone]
    return permute(g, done, [sorted(left).index(axis) for axis in left])


def sink_softmax(g: Graph, call: Any) -> Any:
    inner = transposed(g, call.args[0])
    if inner is None:
        return None
    y, axes = inner
    return permute(g, g.emit(op.nn.softmax(y, axes[int(call.attrs.axis) % len(axes)])), axes)


def sink_concat(g: Graph, call: Any) -> Any:
    parts = list(call.args[0].fields)
    inner = [transposed(g, x) for x in parts]
    axes = next((found[1] for found in inner if found is not None), None)
    if axes is None:
        return None
    moved = []
    for x, found in zip(parts, inner, strict=True):
        if found is not None and found[1] == axes:
            moved.append(found[0])
        elif found is None and x in g.known:
            moved.append(permute(g, x, inverse(axes)))
        else:
            return None
    axis = axes[int(call.attrs.axis) % len(axes)]
    return permute(g, g.emit(op.concat(moved, axis)), axes)


def sink_pad(g: Graph, call: Any) -> Any:
    inner = transposed(g, call.args[0])
    if inner is None:
        return None
    y, axes = inner
    width = [int(n) for n in call.attrs.pad_width]
    places = inverse(axes)
    moved = [n for axis in range(len(axes)) for n in width[2 * places[axis] : 2 * places[axis] + 2]]
    done = g.emit(op.nn.pad(y, moved, str(call.attrs.pad_mode), float(call.attrs.pad_value)))
    return permute(g, done, axes)


def sink_slice(g: Graph, call: Any) -> Any:
    inner = transposed(g, call.args[0])
    if inner is None:
        return None
    y, axes = inner
    _, along, *bounds = call.args
    moved = [axes[int(axis)] for axis in along.fields]
    inbound = bool(call.attrs.assume_inbound)
    done = g.emit(op.strided_slice(y, moved, *(list(bound.fields) for bound in bounds), assume_inbound=inbound))
    return permute(g, done, axes)


def take_of_a_run(g: Graph, call: Any) -> Any:
    """Indices that count up (positions) are a slice, equal ones (token types) a row repeated; in their own shape."""
    x, indices = call.args
    if call.attrs.axis is None or (x in g.known and indices in g.known):
        return None
    axis, shape = int(call.attrs.axis) % g.rank(x), g.shape(call)
    if (run := run_of(g, indices)) is not None:
        first, count = run
        return reshape(g, part(g, x, axis, first, first + count), shape)
    full = g.behind(indices, "full")
    same = None if full is None else g.scalar(full.args[1])
    if same is None or same < 0:
        return None
    row, rest = part(g, x, axis, int(same), int(same) + 1), g.shape(x)
    return broadcast(g, reshape(g, row, [*rest[:axis], *[1] * g.rank(indices), *rest[axis + 1 :]]), shape)


def run_of(g: Graph, indices: Any) -> tuple[Any, Any] | None:
    """(first, count) of integers that count up one by one, in whatever shape."""
    known = g.value(indices)
    if known is not None:
        flat = known.reshape(-1)
        return (int(flat[0]), flat.size) if flat.size and flat[0] >= 0 and np.all(np.diff(flat) == 1) else None
    if (moved := g.behind(indices, "reshape")) is not None:
        return run_of(g, moved.args[0])
    if (counted := g.behind(indices, "arange")) is not None:
        start, end, step = counted.args
        return (start, g.simplified(end - start)) if g.same(step, 1) and g.analyzer.can_prove(start >= 0) else None
    piece = g.behind(indices, "strided_slice")
    if piece is None or len(piece.args[1].fields) != 1:
        return None
    source, (axis,), (begin,), (end,), *steps = (piece.args[0], *(arg.fields for arg in piece.args[1:]))
    run, sizes = run_of(g, source), g.shape(source)
    alone = all(size == 1 for i, size in enumerate(sizes) if i != int(axis))
    if run is None or not alone or any(not g.same(step, 1) for fields in steps for step in fields):
        return None
    return g.simplified(run[0] + begin), g.simplified(end - begin)


def full_is_broadcast(g: Graph, call: Any) -> Any:
    """Equal elements spread out are equal elements, and so is a single number."""
    x, dtype = call.args[0], str(call.ty.dtype)
    if g.scalar(x) is not None:
        number = relax.const(np.asarray(g.value(x)).reshape(())[()], dtype)
        return g.emit(op.full(call.args[1], number, dtype))
    full = g.behind(x, "full")
    return None if full is None else g.emit(op.full(call.args[1], full.args[1], str(call.ty.dtype)))


def broadcast_after_where(g: Graph, call: Any) -> Any:
    """A choice between two numbers is made before its condition is spread out."""
    condition, a, b = call.args
    spread = g.behind(condition, "broadcast_to")
    if spread is None or g.scalar(a) is None or g.scalar(b) is None:
        return None
    return broadcast(g, g.emit(op.where(spread.args[0], a, b)), g.shape(call))


def constants_right(g: Graph, call: Any) -> Any:
    """Operations whose operands may change places have a known one second; x - c is x + (-c)."""
    a, b = call.args
    name = operation(call)
    if name in ("add", "multiply") and a in g.known and b not in g.known:
        return binary(g, name, b, a)
    if name == "subtract" and b in g.known and str(b.ty.dtype) == "float32":
        return binary(g, "add", a, g.derived(b, g.shape(b), lambda array: -array))
    return None


def nothing_to_do(g: Graph, call: Any) -> Any:
    """x + 0, x * 1 and x / 1 are x, where x gives the result its shape."""
    neutral = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "divide": 1.0}[operation(call)]
    if g.scalar(call.args[1]) == neutral and g.same_shape(g.shape(call.args[0]), g.shape(call)):
        return call.args[0]
    return None


def cast_to_itself(g: Graph, call: Any) -> Any:
    return call.args[0] if str(call.args[0].ty.dtype) == str(call.ty.dtype) else None


RULES: dict[str, list[Rule]] = {
    "permute_dims": [merge_permutes],
    "reshape": [merge_reshapes, reshape_before_permute],
    "concat": [sink_concat],
    "nn.softmax": [sink_softmax],
    "nn.pad": [sink_pad],
    "where": [broadcast_after_where],
    "broadcast_to": [full_is_broadcast],
    "take": [take_of_a_run],
    "strided_slice": [sink_slice],
    **{name: [sink_unary] for name in UNARY},
    **{name: [sink_binary] for name in BINARY},
    **{name: [sink_reduction] for name in _REDUCTIONS},
}
for _name in ("add", "subtract", "multiply", "divide"):
    RULES[_name] = [nothing_to_do, *([constants_right] if _name != "divide" else []), sink_binary]
RULES["astype"] = [cast_to_itself, sink_unary]
