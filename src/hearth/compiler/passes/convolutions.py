"""Convolutions of single pixels become products; what follows one of the others is done in its epilogue: residual and
activation of sums that have just been made."""

from __future__ import annotations

from typing import Any

from tvm.relax import op

from hearth.compiler.passes.fuse import activation_name
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, is_op, rewrite
from hearth.compiler.symbolic import equal_sizes
from hearth.model.ops import hearth_op

_ATTRIBUTES = ("bias", "strides", "padding", "dilation", "groups")


def multiply_pixels(module: Any) -> Any:
    """A convolution of single pixels with a stride is a product with the pixels that it meets."""

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, "hearth.conv2d"):
            return None
        x, w, *bias = arguments(value)
        kernel = [int(dim) for dim in w.ty.shape][1:3]
        if kernel != [1, 1] or int(attribute(value, "groups")) > 1 or any(map(int, attribute(value, "padding"))):
            return None
        ends, strides = list(x.ty.shape)[1:3], [int(step) for step in attribute(value, "strides")]
        met = graph.emit(op.strided_slice(x, [1, 2], [0, 0], ends, strides))
        return hearth_op("linear", [met, w, *bias], value.ty, bias=bool(bias))

    return rewrite(module, rule)


def fuse_convolutions(module: Any) -> Any:
    """act(convolution + x), or with only one of the two, where nothing else reads what is in between."""

    def rule(graph: Graph, value: Any) -> Any:
        name = activation_name(value)
        if name is None:
            found = _with_residual(graph, value)
        elif not graph.only_use(value.args[0]):
            return None
        else:
            source = graph.value(value.args[0])
            found = (source, None) if is_op(source, "hearth.conv2d") else _with_residual(graph, source)
        if found is None:
            return None
        conv, residual = found
        args = [*arguments(conv), *([] if residual is None else [residual])]
        attrs = {key: conv.attrs[key] for key in _ATTRIBUTES}
        return hearth_op("conv2d", args, value.ty, **attrs, residual=residual is not None, activation=name or "")

    return rewrite(module, rule)


def _with_residual(graph: Graph, value: Any) -> tuple[Any, Any] | None:
    """(convolution, what is added to it) where the value is their sum."""
    if not is_op(value, "add"):
        return None
    for branch, residual in (value.args, reversed(value.args)):
        conv = graph.value(branch)
        if not is_op(conv, "hearth.conv2d") or not graph.only_use(branch) or int(attribute(conv, "groups")) > 1:
            continue
        shapes = (list(side.ty.shape) for side in (branch, residual))
        if all(equal_sizes(a, b) for a, b in zip(*shapes, strict=False)) and len(residual.ty.shape) == 4:
            return conv, residual
    return None
