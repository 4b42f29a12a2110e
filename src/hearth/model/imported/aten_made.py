"""PyTorch's operators that make arrays, and reckon with sizes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax
from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.moves import (
    broadcast,
    reshape,
)


def _full(c: Context) -> Any:
    value = c.get("fill_value")
    return _filled(c, c.get("size"), value, c.dtype("float32" if isinstance(value, float) else _kind(value)))


def _kind(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "int32"


def _filled(c: Context, sizes: Sequence[Any], value: Any, dtype: str | None) -> Any:
    dtype = dtype or "float32"
    return c.g.emit(op.full(c.g.sizes(list(sizes)), relax.const(np.array(value, dtype), dtype), dtype))


def _made(value: int) -> Converter:
    return lambda c: _filled(c, c.get("size"), value, c.dtype())


def _made_like(value: int) -> Converter:
    return lambda c: _filled(c, c.shape(), value, c.dtype(str(c.x().ty.dtype)))


def _new(value: int) -> Converter:
    return lambda c: _filled(c, c.get("size"), value, c.dtype(str(c.x().ty.dtype)))


def _full_like(c: Context) -> Any:
    return _filled(c, c.shape(), c.get("fill_value"), c.dtype(str(c.x().ty.dtype)))


def _fill(c: Context) -> Any:
    return broadcast(c.g, c.cast(c.x("value"), str(c.x().ty.dtype)), c.shape())


def _arange(c: Context) -> Any:
    start, end, step = c.get("start", 0), c.get("end"), c.get("step", 1)
    floats = any(isinstance(n, float) for n in (start, end, step))
    dtype = c.dtype("float32" if floats else "int32") or "int32"
    if all(isinstance(n, int | float) for n in (start, end, step)):
        if step == 0 or not all(map(math.isfinite, (start, end, step))):
            raise Unsupported("its numbers do not count up or down to an end")
        c.g.require_small(max(0, math.ceil((end - start) / step)))
        return c.g.constant(np.arange(start, end, step).astype(dtype))
    return c.cast(c.g.emit(op.arange(start, end, step, "int32")), dtype)


def _linspace(c: Context) -> Any:
    c.g.require_small(max(0, c.get("steps")))
    return c.g.constant(np.linspace(c.get("start"), c.get("end"), c.get("steps")).astype(np.float32))


def _scalar_tensor(c: Context) -> Any:
    value = c.get("s", c.get("data"))
    return c.g.constant(np.array(value, c.dtype("float32" if isinstance(value, float) else _kind(value))))


def _meshgrid(c: Context) -> Any:
    parts = [c.tensor(x) for x in c.get("tensors")]
    sizes = [c.g.shape(x)[0] for x in parts]
    order = [1, 0, *range(2, len(parts))] if c.get("indexing", "ij") == "xy" and len(parts) > 1 else range(len(parts))
    whole = [sizes[i] for i in order]
    found = []
    for i, x in enumerate(parts):
        place = list(order).index(i)
        row = reshape(c.g, x, [sizes[i] if axis == place else 1 for axis in range(len(parts))])
        found.append(broadcast(c.g, row, whole))
    return [found]


def _getitem(c: Context) -> Any:
    a, b = (c.get(name) for name in c.node.arguments)
    return a[b]


def _sizes(function: Callable[[Any, Any], Any]) -> Converter:
    """Python's operators on sizes and numbers."""

    def convert(c: Context) -> Any:
        a, b = (c.get(name) for name in c.node.arguments)
        if isinstance(a, int | float) and isinstance(b, int | float):
            return function(a, b)
        return c.g.simplified(function(a, b))

    return convert


def _whole(function: Callable[[float], int]) -> Converter:
    def convert(c: Context) -> Any:
        (a,) = (c.get(name) for name in c.node.arguments)
        return function(a) if isinstance(a, int | float) else a

    return convert


MADE: dict[str, Converter] = {
    "full": _full, "full_like": _full_like, "fill": _fill, "zeros": _made(0), "ones": _made(1), "empty": _made(0),
    "zeros_like": _made_like(0), "ones_like": _made_like(1), "empty_like": _made_like(0), "new_zeros": _new(0),
    "new_ones": _new(1), "new_full": _full, "arange": _arange, "linspace": _linspace,
    "scalar_tensor": _scalar_tensor, "meshgrid": _meshgrid,
}  # fmt: skip

SIZES: dict[str, Converter] = {
    "_operator.getitem": _getitem,
    "_operator.add": _sizes(operator.add),
    "_operator.sub": _sizes(operator.sub),
    "_operator.mul": _sizes(operator.mul),
    "_operator.floordiv": _sizes(operator.floordiv),
    "_operator.truediv": _sizes(operator.truediv),
    "_operator.mod": _sizes(operator.mod),
    "math.floor": _whole(math.floor),
    "math.ceil": _whole(math.ceil),
    "math.trunc": _whole(math.trunc),
}
