"""PyTorch's operators along axes: reductions, the largest, order, running sums."""

from __future__ import annotations

import math
from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.aten_context import Context, Converter
from hearth.model.imported.indices import size_as_number
from hearth.model.imported.moves import binary, largest, multiply, reshape


def _reduce(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.x(), c.dtype())
        if name in ("mean", "std", "variance"):
            x = c.cast(x, "float32")
        if str(x.ty.dtype) == "bool":
            x = c.cast(x, "int32")
        return c.g.emit(getattr(op, name)(x, c.axes(), keepdims=bool(c.get("keepdim", False))))

    return convert


def _spread(name: str) -> Converter:
    """Variance and its root, of a sample (torch's default) or of all."""

    def convert(c: Context) -> Any:
        correction = c.get("correction", int(c.get("unbiased", True)))
        axes, have = c.axes(), c.shape()
        count = c.g.simplified(math.prod(have[axis] for axis in axes))
        keep = bool(c.get("keepdim", False))
        variance = c.g.emit(op.variance(c.x(), axes, keepdims=keep))
        if isinstance(count, int):
            variance = multiply(c.g, variance, count / max(count - correction, 0.5))
        elif correction:
            number = c.cast(size_as_number(c.g, count), "float32")
            fewer = c.g.emit(op.maximum(c.binary("subtract", number, float(correction)), c.tensor(0.5)))
            variance = c.binary("multiply", variance, c.binary("divide", number, fewer))
        return variance if name == "var" else c.g.emit(op.sqrt(variance))

    return convert


def _any_all(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.cast(c.x(), "bool"), "int32")
        found = getattr(op, "max" if name == "any" else "min")(x, c.axes(), keepdims=bool(c.get("keepdim", False)))
        return c.cast(c.g.emit(found), "bool")

    return convert


def _extreme(name: str) -> Converter:
    """max and min: of all, of an axis with the places, or of two tensors."""

    def convert(c: Context) -> Any:
        if c.get("other") is not None:
            return c.binary(f"{name}imum", c.x(), c.x("other"))
        if c.get("dim") is None:
            return c.g.emit(getattr(op, name)(c.x()))
        keep, axis = bool(c.get("keepdim", False)), c.axis()
        values = c.g.emit(getattr(op, name)(c.x(), [axis], keepdims=keep))
        return [values, c.cast(c.g.emit(getattr(op, f"arg{name}")(c.x(), axis, keep)), "int32")]

    return convert


def _place(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.x()
        if c.get("dim") is None:
            total = math.prod(int(dim) for dim in c.shape())
            return c.cast(c.g.emit(getattr(op, name)(reshape(c.g, x, [total]), 0)), "int32")
        x = c.cast(x, "int32") if str(x.ty.dtype) == "bool" else x
        return c.cast(c.g.emit(getattr(op, name)(x, c.axis(), bool(c.get("keepdim", False)))), "int32")

    return convert


def _norm(c: Context) -> Any:
    order = c.get("ord", c.get("p", 2))
    axes, keep = c.axes(), bool(c.get("keepdim", False))
    if order == 1:
        return c.g.emit(op.sum(c.unary("abs", c.x()), axes, keepdims=keep))
    if order != 2:
        raise Unsupported(f"it is the norm of order {order}")
    return c.unary("sqrt", c.g.emit(op.sum(binary(c.g, "multiply", c.x(), c.x()), axes, keepdims=keep)))


def _running(name: str) -> Converter:
    def convert(c: Context) -> Any:
        x = c.cast(c.x(), c.dtype())
        x = c.cast(x, "int32") if str(x.ty.dtype) == "bool" else x
        return c.g.emit(getattr(op, name)(x, c.axis()))

    return convert


def _log_sum_exp(c: Context) -> Any:
    """The largest goes out first, so that no power grows beyond bounds."""
    x, axes, keep = c.x(), c.axes(), bool(c.get("keepdim", False))
    most = c.g.emit(op.max(x, axes, keepdims=True))
    total = c.g.emit(op.sum(c.unary("exp", binary(c.g, "subtract", x, most)), axes, keepdims=True))
    found = binary(c.g, "add", c.unary("log", total), most)
    if keep:
        return found
    return reshape(c.g, found, [dim for axis, dim in enumerate(c.shape()) if axis not in axes])


def _topk(c: Context) -> Any:
    return largest(c.g, c.x(), int(c.get("k")), c.axis(default=-1), bool(c.get("largest", True)))


def _sort(c: Context) -> Any:
    axis, down = c.axis(default=-1), bool(c.get("descending", False))
    values = c.g.emit(op.sort(c.x(), axis, down))
    return [values, c.g.emit(op.argsort(c.x(), axis, down, "int32"))]


REDUCTIONS: dict[str, Converter] = {
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "amin": _reduce("min"),
    "prod": _reduce("prod"),
    "var": _spread("var"),
    "std": _spread("std"),
    "any": _any_all("any"),
    "all": _any_all("all"),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "argmax": _place("argmax"),
    "argmin": _place("argmin"),
    "linalg_vector_norm": _norm,
    "norm": _norm,
    "cumsum": _running("cumsum"),
    "cumprod": _running("cumprod"),
    "logsumexp": _log_sum_exp,
    "topk": _topk,
    "sort": _sort,
}
