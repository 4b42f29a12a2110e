"""What follows a convolution is done in its epilogue: residual and activation of sums that have just been made."""

from __future__ import annotations

from typing import Any

from hearth.compiler.passes.fuse import activation_name
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, is_op, rewrite
from hearth.compiler.symbolic import equal_sizes
from hearth.model.ops import hearth_op

_ATTRIBUTES = ("bias", "strides", "padding", "dilation", "groups")


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
