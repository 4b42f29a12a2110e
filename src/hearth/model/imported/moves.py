"""Short hands for the operations that converters and rules emit most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model import ops
from hearth.model.imported.graph import Graph

NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)


def permute(g: Graph, x: Any, axes: Sequence[int]) -> Any:
    return g.emit(op.permute_dims(x, list(axes)))


def reshape(g: Graph, x: Any, shape: Sequence[Any]) -> Any:
    return g.emit(op.reshape(x, g.sizes(shape)))


def inverse(axes: Sequence[int]) -> list[int]:
    return [int(axis) for axis in np.argsort(axes)]


def binary(g: Graph, name: str, a: Any, b: Any) -> Any:
    """`a` and `b` are variables; a known one of a single element takes no part in the shape."""
    a, b = _unpadded(g, a, b), _unpadded(g, b, a)
    function: Any = op
    for part in name.split("."):
        function = getattr(function, part)
    return g.emit(function(a, b))


def where(g: Graph, condition: Any, a: Any, b: Any) -> Any:
    """A choice; known numbers take no part in the shape."""
    others = [x for x in (condition, a, b) if x not in g.known]
    widest = max(others, key=g.rank, default=condition)
    return g.emit(op.where(condition, *(_unpadded(g, x, widest) if g.rank(widest) else x for x in (a, b))))


def _unpadded(g: Graph, x: Any, other: Any) -> Any:
    """A known value without the leading axes of size 1 that the other one has as well."""
    if x not in g.known or other in g.known:
        return x
    shape = g.shape(x)
    while shape and shape[0] == 1 and len(shape) <= g.rank(other):
        shape = shape[1:]
    if all(dim == 1 for dim in shape) and len(shape) <= g.rank(other):
        shape = []
    return x if len(shape) == g.rank(x) else reshape(g, x, shape)


def number(g: Graph, value: float) -> Any:
    return g.constant(np.array(value, np.float32))


def multiply(g: Graph, x: Any, factor: float) -> Any:
    return x if factor == 1.0 else binary(g, "multiply", x, number(g, factor))


def broadcast(g: Graph, x: Any, shape: Sequence[Any]) -> Any:
    """x with as many axes as the shape and of its size."""
    have = g.shape(x)
    if g.same_shape(have, shape):
        return x
    return g.emit(op.broadcast_to(x, g.sizes(shape)))


def broadcast_shape(g: Graph, parts: Sequence[Any]) -> list[Any]:
    """The shape that arrays have together."""
    rank = max(g.rank(x) for x in parts)
    sizes: list[Any] = [1] * rank
    for x in parts:
        shape = [1] * (rank - g.rank(x)) + g.shape(x)
        sizes = [a if isinstance(b, int) and b == 1 else b for a, b in zip(sizes, shape, strict=True)]
    return sizes


def part(g: Graph, x: Any, axis: int, begin: Any, end: Any, step: int = 1) -> Any:
    """Elements [begin, end) of an axis, as far as they lie within it."""
    shape = g.shape(x)
    end = _within(g, end, shape[axis])
    if step == 1 and g.same(begin, 0) and g.same(end, shape[axis]):
        return x
    known = all(isinstance(n, int) for n in (begin, end, shape[axis]))
    return g.emit(op.strided_slice(x, [axis], [begin], [end], [step], assume_inbound=not known))


def _within(g: Graph, end: Any, size: Any) -> Any:
    """An end that does not lie beyond an axis: of a table with a fixed number of rows an open size is at most that."""
    if (isinstance(end, int) and isinstance(size, int)) or g.analyzer.can_prove(end <= size):
        return end
    if isinstance(size, int) and g.limit(end, size):
        return end
    return g.simplified(tirx.min(end, size))


def without_axis(g: Graph, x: Any, axis: int) -> Any:
    shape = g.shape(x)
    return reshape(g, x, [*shape[:axis], *shape[axis + 1 :]])


def tile(g: Graph, x: Any, counts: Sequence[Any]) -> Any:
    """x repeated as a whole along each axis, as numpy's tile does it."""
    shape = g.shape(x)
    counts = [1] * (len(shape) - len(counts)) + list(counts)
    if all(isinstance(count, int) and count == 1 for count in counts):
        return x
    once = reshape(g, x, [size for dim in shape for size in (1, dim)])
    pairs = [size for count, dim in zip(counts, shape, strict=True) for size in (count, dim)]
    return reshape(g, broadcast(g, once, pairs), [count * dim for count, dim in zip(counts, shape, strict=True)])


def largest(g: Graph, x: Any, k: int, axis: int, from_above: bool) -> list[Any]:
    """The k largest (or least) along an axis, and their places: two operations, of which most graphs read one."""
    size = g.shape(x)[axis]
    if k < 1 or not (k <= size if isinstance(size, int) else g.analyzer.can_prove(size >= k)):
        raise Unsupported(f"it takes the best {k} of {size}, which may be fewer")
    return [g.emit(op.topk(x, k, axis, kind, from_above, "int32")) for kind in ("values", "indices")]


def linear(g: Graph, x: Any, w: Any, bias: Any | None = None) -> Any:
    return g.emit(ops.linear(x, w, bias))


def require_windows(
    kernel: Sequence[int], strides: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> None:
    """Raises Unsupported where windows of a convolution or pool are none."""
    if min((*kernel, *strides, *dilation), default=1) < 1 or min(padding, default=0) < 0:
        raise Unsupported(f"its windows {list(kernel)} by {list(strides)} with {list(padding)} around are none")


def conv2d_nchw(g: Graph, x: Any, w: Any, bias: Any | None = None, **about: Any) -> Any:
    """x (b, c, h, w), w known, (o, c / groups, kh, kw); (b, o, h', w'). Ours keep channels last.

    One whose kernels lie side by side (of single pixels, of patches) is the product that it is.
    """
    o, c, kh, kw = g.shape(w)
    groups = about.get("groups", 1)
    if groups < 1 or o % groups or not g.same(g.shape(x)[1], c * groups):
        raise Unsupported(f"its weights {[o, c, kh, kw]} do not go with {g.shape(x)[1]} channels in {groups} groups")
    require_windows((kh, kw), about.get("strides", (1, 1)), about.get("padding", ()), about.get("dilation", (1, 1)))
    last = permute(g, x, NCHW_TO_NHWC)
    beside = about.get("strides") == (kh, kw) and not any(about.get("padding", ()))
    if beside and about.get("groups", 1) == 1:
        matrix = g.derived(w, (o, kh * kw * c), lambda array: array.transpose(0, 2, 3, 1).reshape(o, -1))
        return permute(g, linear(g, patches(g, last, kh, kw), matrix, bias), NHWC_TO_NCHW)
    ours = g.derived(w, (o, kh, kw, c), lambda array: array.transpose(0, 2, 3, 1))
    return permute(g, g.emit(ops.conv2d(last, ours, bias, **about)), NHWC_TO_NCHW)


def patches(g: Graph, x: Any, height: int, width: int) -> Any:
    """A map (b, h, w, c) as one of its whole patches: (b, h / height, w / width, height * width * c)."""
    if (height, width) == (1, 1):
        return x
    b, h, w, c = g.shape(x)
    rows, columns = g.simplified(h // height), g.simplified(w // width)
    x = part(g, part(g, x, 1, 0, rows * height), 2, 0, columns * width)
    x = permute(g, reshape(g, x, [b, rows, height, columns, width, c]), (0, 1, 3, 2, 4, 5))
    return reshape(g, x, [b, rows, columns, height * width * c])
