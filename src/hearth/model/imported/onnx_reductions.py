"""ONNX operations along axes: reductions, the largest."""

from __future__ import annotations

from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.moves import binary, reshape
from hearth.model.imported.onnx_context import Context, Converter


def _reduce(name: str, since: int = 18) -> Converter:
    def convert(c: Context) -> Any:
        x = c.x()
        rank = c.g.rank(x)
        axes = c.axes(rank, 1, since)
        if not axes and c.attr("noop_with_empty_axes", 0):
            return x
        keep = bool(c.attr("keepdims", 1))
        return c.g.emit(getattr(op, name)(x, axes or list(range(rank)), keepdims=keep))

    return convert


def _reduce_of(before: str, after: str) -> Converter:
    """A sum of something, and something of the sum."""

    def convert(c: Context) -> Any:
        if before:
            c.inputs[0] = c.g.emit(getattr(op, before)(c.x()))
        total = _reduce("sum")(c)
        return total if not after else c.g.emit(getattr(op, after)(total))

    return convert


def _log_sum_exp(c: Context) -> Any:
    c.inputs[0] = c.g.emit(op.exp(c.x()))
    return c.g.emit(op.log(_reduce("sum")(c)))


def _hard_max(c: Context) -> Any:
    """1 at the first of the largest along an axis, else 0."""
    x = c.x()
    shape = c.g.shape(x)
    axis = c.attr("axis", -1 if c.opset >= 13 else 1) % len(shape)
    if c.opset < 13 and axis != len(shape) - 1:
        raise Unsupported("it looks for the largest along several axes")
    place = c.g.emit(op.astype(c.g.emit(op.argmax(x, axis, True)), "int32"))
    numbers = c.g.emit(op.arange(0, shape[axis], 1, "int32"))
    row = reshape(c.g, numbers, [shape[axis] if i == axis else 1 for i in range(len(shape))])
    return c.g.emit(op.astype(binary(c.g, "equal", row, place), "float32"))


REDUCTIONS: dict[str, Converter] = {
    "Hardmax": _hard_max,
    "ReduceLogSum": _reduce_of("", "log"),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum", 13),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceL1": _reduce_of("abs", ""),
    "ReduceL2": _reduce_of("square", "sqrt"),
    "ReduceSumSquare": _reduce_of("square", ""),
    "ReduceLogSumExp": _log_sum_exp,
}
