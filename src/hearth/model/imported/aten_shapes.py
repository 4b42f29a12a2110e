"""PyTorch's operators that move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.moves import (
    binary,
    broadcast,
    broadcast_shape,
    part,
    permute,
    reshape,
    tile,
    without_axis,
)


def _view(c: Context) -> Any:
    have, wanted = c.shape(), list(c.get("size", c.get("shape", [])))
    if any(isinstance(dim, int) and dim == -1 for dim in wanted):
        given = math.prod([dim for dim in wanted if not (isinstance(dim, int) and dim == -1)])
        rest = c.g.simplified(math.prod(have) // given)
        wanted = [rest if isinstance(dim, int) and dim == -1 else dim for dim in wanted]
    return reshape(c.g, c.x(), wanted)


def _flatten(c: Context) -> Any:
    have = c.shape()
    begin, end = c.axis("start_dim", 0), c.axis("end_dim", -1)
    return reshape(c.g, c.x(), [*have[:begin], math.prod(have[begin : end + 1]), *have[end + 1 :]])


def _unflatten(c: Context) -> Any:
    have, axis, sizes = c.shape(), c.axis(), list(c.get("sizes"))
    given = math.prod([size for size in sizes if size != -1])
    sizes = [c.g.simplified(have[axis] // given) if size == -1 else size for size in sizes]
    return reshape(c.g, c.x(), [*have[:axis], *sizes, *have[axis + 1 :]])


def _transpose(c: Context) -> Any:
    rank = c.rank()
    a, b = (c.axis(name if name in c.node.arguments else f"axis{name[-1]}") for name in ("dim0", "dim1"))
    order = list(range(rank))
    order[a], order[b] = b, a
    return permute(c.g, c.x(), order)


def _permute(c: Context) -> Any:
    return permute(c.g, c.x(), [axis % c.rank() for axis in c.get("dims")])


def _t(c: Context) -> Any:
    return permute(c.g, c.x(), list(range(c.rank()))[::-1])


def _unsqueeze(c: Context) -> Any:
    have, axis = c.shape(), c.axis(more=1)
    return reshape(c.g, c.x(), [*have[:axis], 1, *have[axis:]])


def _squeeze(c: Context) -> Any:
    have = c.shape()
    axes = c.axes() if c.get("dim") is not None else range(len(have))
    return reshape(c.g, c.x(), [dim for i, dim in enumerate(have) if not (i in axes and dim == 1)])


def _expand(c: Context) -> Any:
    have, wanted = c.shape(), list(c.get("size"))
    have = [1] * (len(wanted) - len(have)) + have
    sizes = [a if isinstance(b, int) and b == -1 else b for a, b in zip(have, wanted, strict=True)]
    return broadcast(c.g, c.x(), sizes)


def _like(c: Context) -> Any:
    other = c.shape("other")
    return broadcast(c.g, c.x(), other) if "expand" in c.node.target else reshape(c.g, c.x(), other)


def _move(c: Context) -> Any:
    source, destination = ([at] if isinstance(at, int) else at for at in (c.get("source"), c.get("destination")))
    return permute(c.g, c.x(), _order(c.rank(), source, destination))


def _order(rank: int, source: Sequence[int], destination: Sequence[int]) -> list[int]:
    places = {to % rank: axis % rank for axis, to in zip(source, destination, strict=True)}
    rest = iter(axis for axis in range(rank) if axis not in places.values())
    return [places[i] if i in places else next(rest) for i in range(rank)]


def _repeat(c: Context) -> Any:
    counts = list(c.get("repeats", c.get("dims")))
    have = [1] * (len(counts) - c.rank()) + c.shape()
    x = reshape(c.g, c.x(), have)
    return tile(c.g, x, counts)


def _repeat_interleave(c: Context) -> Any:
    if not isinstance(c.get("repeats"), int) or c.get("dim") is None:
        raise Unsupported("its repeats differ")
    return c.g.emit(op.repeat(c.x(), c.get("repeats"), c.axis()))


def _concat(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    parts = [x for x in parts if c.g.shape(x) != [0]]  # torch lets empty vectors go with anything
    rank = c.g.rank(parts[0])
    kinds = {str(x.ty.dtype) for x in parts}
    if len(kinds) > 1:
        parts = [c.cast(x, "float32" if "float32" in kinds else "int32") for x in parts]
    return parts[0] if len(parts) == 1 else c.g.emit(op.concat(parts, int(c.get("dim", 0)) % rank))


def _stack(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    shape = c.g.shape(parts[0])
    axis = int(c.get("dim", 0)) % (len(shape) + 1)
    new = [reshape(c.g, x, [*shape[:axis], 1, *shape[axis:]]) for x in parts]
    return new[0] if len(new) == 1 else c.g.emit(op.concat(new, axis))


def _split(c: Context) -> Any:
    axis = c.axis()
    dim = c.shape()[axis]
    sizes = c.get("split_size", c.get("split_sizes", c.get("split_size_or_sections")))
    if isinstance(sizes, int):
        if not isinstance(dim, int):
            raise Unsupported("it splits an axis that is not fixed")
        sizes = [min(sizes, dim - begin) for begin in range(0, dim, sizes)]
    ends = np.cumsum(sizes).tolist()
    return [[part(c.g, c.x(), axis, begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]]


def _chunk(c: Context) -> Any:
    axis, count = c.axis(), c.get("chunks")
    dim = c.shape()[axis]
    if not isinstance(dim, int):
        raise Unsupported("it splits an axis that is not fixed")
    each = -(-dim // count)
    return [[part(c.g, c.x(), axis, begin, min(begin + each, dim)) for begin in range(0, dim, each)]]


def _unbind(c: Context) -> Any:
    axis = c.axis()
    dim = c.shape()[axis]
    if not isinstance(dim, int):
        raise Unsupported("it splits an axis that is not fixed")
    return [[without_axis(c.g, part(c.g, c.x(), axis, i, i + 1), axis) for i in range(dim)]]


def _roll(c: Context) -> Any:
    x = c.x()
    shifts = c.get("shifts") if isinstance(c.get("shifts"), list) else [c.get("shifts")]
    if not c.get("dims"):
        raise Unsupported("it rolls all axes as one")
    for shift, axis in zip(shifts, c.axes("dims"), strict=True):
        dim = c.shape()[axis]
        if not isinstance(dim, int) and not c.g.analyzer.can_prove(dim > abs(shift)):
            raise Unsupported("it rolls an axis by more than that may have")
        cut = -shift % dim if isinstance(dim, int) else dim - shift if shift > 0 else -shift
        if not c.g.same(cut, 0):
            x = c.g.emit(op.concat([part(c.g, x, axis, cut, dim), part(c.g, x, axis, 0, cut)], axis))
    return x


def _diff(c: Context) -> Any:
    """Each element less the one before it."""
    axis, x = c.axis(default=-1), c.x()
    parts = [x if part == "self" else c.cast(c.x(part), str(x.ty.dtype)) for part in ("prepend", "self", "append")
             if part == "self" or c.get(part) is not None]  # fmt: skip
    x = parts[0] if len(parts) == 1 else c.g.emit(op.concat(parts, axis))
    for _ in range(int(c.get("n", 1))):
        size = c.g.shape(x)[axis]
        x = binary(c.g, "subtract", part(c.g, x, axis, 1, size), part(c.g, x, axis, 0, size - 1))
    return x


def _flip(c: Context) -> Any:
    x = c.x()
    for axis in c.axes("dims"):
        x = c.g.emit(op.flip(x, axis))
    return x


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _pad(c: Context) -> Any:
    given, rank = [int(n) for n in c.get("pad", c.get("padding"))], c.rank()
    pairs = [0] * (2 * rank)
    for i in range(len(given) // 2):  # from the last axis on
        axis = rank - 1 - i
        pairs[2 * axis], pairs[2 * axis + 1] = given[2 * i], given[2 * i + 1]
    value = float(c.get("value", 0.0))
    return c.g.emit(op.nn.pad(c.x(), pairs, _PAD_MODES[c.get("mode", "constant")], value)) if any(pairs) else c.x()


def _triangle(upper: bool) -> Converter:
    def convert(c: Context) -> Any:
        *_, rows, columns = c.shape()
        if not isinstance(rows, int) or not isinstance(columns, int):
            raise Unsupported("it takes a triangle of a matrix that is not fixed")
        c.g.require_small(rows, columns)
        k = c.get("diagonal", 0)
        kept = np.triu(np.ones((rows, columns), bool), k) if upper else np.tri(rows, columns, k, bool)
        zero = c.g.constant(np.zeros((), str(c.x().ty.dtype)))
        return c.g.emit(op.where(c.g.constant(kept), c.x(), zero))

    return convert


def _pad_as(c: Context, mode: str) -> Any:
    left, right, top, bottom = (int(n) for n in c.get("padding"))
    pairs = [0] * (2 * (c.rank() - 2)) + [top, bottom, left, right]
    return c.g.emit(op.nn.pad(c.x(), pairs, mode))


def _pixel_shuffle(c: Context) -> Any:
    r = c.get("upscale_factor")
    b, depth, h, w = c.shape()
    moved = permute(c.g, reshape(c.g, c.x(), [b, depth // (r * r), r, r, h, w]), (0, 1, 4, 2, 5, 3))
    return reshape(c.g, moved, [b, depth // (r * r), h * r, w * r])


def _pixel_unshuffle(c: Context) -> Any:
    r = c.get("downscale_factor")
    b, depth, h, w = c.shape()
    moved = permute(c.g, reshape(c.g, c.x(), [b, depth, h // r, r, w // r, r]), (0, 1, 3, 5, 2, 4))
    return reshape(c.g, moved, [b, depth * r * r, h // r, w // r])


def _broadcast_tensors(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    return [[broadcast(c.g, x, broadcast_shape(c.g, parts)) for x in parts]]


def _sym_size(c: Context) -> Any:
    return c.shape()[c.axis()]


SHAPES: dict[str, Converter] = {
    "view": _view, "reshape": _view, "_unsafe_view": _view, "view_copy": _view, "flatten": _flatten,
    "unflatten": _unflatten, "transpose": _transpose, "permute": _permute, "t": _t, "numpy_T": _t,
    "movedim": _move, "swapaxes": _transpose, "expand_as": _like, "view_as": _like, "reshape_as": _like,
    "unsqueeze": _unsqueeze, "squeeze": _squeeze, "expand": _expand, "repeat": _repeat, "tile": _repeat,
    "repeat_interleave": _repeat_interleave, "cat": _concat, "concat": _concat, "concatenate": _concat,
    "stack": _stack, "split": _split, "split_with_sizes": _split, "chunk": _chunk, "unbind": _unbind,
    "roll": _roll, "flip": _flip, "diff": _diff,
    "pad": _pad, "constant_pad_nd": _pad, "reflection_pad2d": lambda c: _pad_as(c, "reflect"),
    "replication_pad2d": lambda c: _pad_as(c, "replicate"), "tril": _triangle(upper=False),
    "triu": _triangle(upper=True), "pixel_shuffle": _pixel_shuffle, "pixel_unshuffle": _pixel_unshuffle,
    "broadcast_tensors": _broadcast_tensors, "sym_size": _sym_size,
    "sym_numel": lambda c: c.g.simplified(math.prod(c.shape())),
}  # fmt: skip
