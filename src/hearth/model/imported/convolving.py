"""Transposed convolutions and pools as graphs have them: over one axis or two, channels first, in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model import ops
from hearth.model.imported.graph import Array, Graph
from hearth.model.imported.moves import NCHW_TO_NHWC, NHWC_TO_NCHW, part, permute, require_windows, reshape


def conv_transpose(
    g: Graph, x: Any, w: Any, bias: Any | None, *, strides: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], output_padding: Sequence[int], groups: int,
) -> Any:  # fmt: skip
    """x (b, c, *places), w known, (c, o / groups, *kernel), over one axis or two: (b, o, *places).

    Args:
        padding: taken off the result: before each axis, then behind it.
    """
    b, channels, *places = g.shape(x)
    inputs, o, *kernel = g.shape(w)
    if groups < 1 or inputs != channels or channels % groups:
        raise Unsupported(f"its weights {g.shape(w)} do not go with {channels} channels in {groups} groups")
    require_windows(kernel, strides, padding, dilation)
    if len(kernel) > 2:
        raise Unsupported(f"it is a transposed convolution over {len(kernel)} axes")
    if len(kernel) == 1:
        wide = g.derived(w, (channels, o, 1, *kernel), lambda array: array[:, :, None])
        y = conv_transpose(
            g, reshape(g, x, [b, channels, 1, *places]), wide, bias, strides=(1, *strides),
            padding=(0, padding[0], 0, padding[1]), dilation=(1, *dilation), output_padding=(0, *output_padding),
            groups=groups,
        )  # fmt: skip
        return reshape(g, y, [b, o * groups, g.shape(y)[3]])
    each, last, found = channels // groups, permute(g, x, NCHW_TO_NHWC), []
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    # Ours take as much off both ends of an axis: what is too much behind it is added, what is too little cut off.
    behind = [more + padding[i] - padding[2 + i] for i, more in enumerate(output_padding)]
    if any(more >= max(stride, 1) for more, stride in zip(behind, strides, strict=True)):
        raise Unsupported("it takes less off the end of an axis than off its beginning")
    for i in range(groups):
        own = part(g, last, 3, i * each, (i + 1) * each)
        ours = g.derived(w, (o, *reach, each), _spread(slice(i * each, (i + 1) * each), reach, dilation))
        added = None if bias is None else part(g, bias, 0, i * o, (i + 1) * o)
        y = ops.conv2d_transpose(
            own, ours, added, strides=(strides[0], strides[1]), output_padding=(max(behind[0], 0), max(behind[1], 0)),
            padding=(padding[0], padding[1], padding[0], padding[1]),
        )  # fmt: skip
        found.append(g.emit(y))
    whole = found[0] if groups == 1 else g.emit(op.concat(found, 3))
    for axis, more in enumerate(behind):
        if more < 0:
            whole = part(g, whole, 1 + axis, 0, g.simplified(g.shape(whole)[1 + axis] + more))
    return permute(g, whole, NHWC_TO_NCHW)


def _spread(rows: slice, reach: Sequence[int], dilation: Sequence[int]) -> Callable[[Array], Array]:
    """A group's kernel with its taps apart, its axes as ours have them."""

    def change(array: Array) -> Array:
        own = array[rows]
        wide = np.zeros((*own.shape[:2], *reach), np.float32)
        wide[:, :, :: dilation[0], :: dilation[1]] = own
        return wide.transpose(1, 2, 3, 0)

    return change


def pool_nchw(
    g: Graph, x: Any, name: str, kernel: Sequence[int], *, strides: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], ceil: bool, padded: bool,
) -> Any:  # fmt: skip
    """A pool over one axis or two of x (b, c, *places).

    Args:
        name: of the operation, `max_pool2d` or `avg_pool2d`.
        padding: before each axis, then behind it.
        padded: places of the padding count in an average.
    """
    shape, dtype = g.shape(x), str(x.ty.dtype)
    require_windows(kernel, strides, padding, dilation)
    if dtype != "float32":
        x = g.emit(op.astype(x, "float32"))
        y = pool_nchw(
            g, x, name, kernel, strides=strides, padding=padding, dilation=dilation, ceil=ceil, padded=padded
        )  # fmt: skip
        return g.emit(op.astype(y, dtype))
    if len(kernel) == 1:
        y = pool_nchw(
            g, reshape(g, x, [*shape[:2], 1, shape[2]]), name, [1, *kernel], strides=[1, *strides],
            padding=[0, padding[0], 0, padding[1]], dilation=[1, *dilation], ceil=ceil, padded=padded,
        )  # fmt: skip
        return reshape(g, y, [*shape[:2], g.shape(y)[3]])
    function = getattr(op.nn, name)
    y = function(
        permute(g, x, NCHW_TO_NHWC), list(kernel), list(strides), list(padding), list(dilation), ceil, padded, "NHWC",
        "NHWC",
    )  # fmt: skip
    return permute(g, g.emit(y), NHWC_TO_NCHW)
