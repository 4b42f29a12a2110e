"""Which inputs are read as they lie. Everything that a network computes has its rows padded to whole vectors; an input
has not, and is copied once unless whoever reads it can do without: a picture's three channels become sixteen."""

from __future__ import annotations

from typing import Any

from hearth.compiler.passes.rewrite import Graph, arguments, attribute, dtype_of, is_op, operands
from hearth.compiler.physical import is_padded, sizes
from hearth.quant.formats import LANES

MOST_CHANNELS = 4
"""Of a map whose pixels lie side by side and that a convolution reads (`PrepareMapSpec.narrow`)."""


def is_dense_input(graph: Graph, var: Any) -> bool:
    """Whether the variable is an input of numbers whose rows are not padded, and need not be."""
    inputs = graph.params[: int(graph.function.attrs["num_input"])]
    if not any(var.same_as(given) for given in inputs) or dtype_of(var.ty) != "float32" or len(var.ty.shape) != 4:
        return False
    across, channels = sizes(var.ty.shape)[2:]
    if not isinstance(across, int) or not isinstance(channels, int) or is_padded(channels):
        return False
    return all(_reads_dense(value, var) for _, value in graph.bindings if var in operands(value))


def _reads_dense(value: Any, var: Any) -> bool:
    if is_op(value, "hearth.conv2d"):  # of a picture
        across, channels = sizes(var.ty.shape)[2:]
        alone = arguments(value)[0].same_as(var) and operands(value).count(var) == 1
        return alone and channels <= MOST_CHANNELS and int(attribute(value, "groups")) == 1 and across >= LANES
    if is_op(value, "hearth.patches"):  # whose rows lie side by side in a row of the map
        across = sizes(var.ty.shape)[2]
        return bool(across % int(attribute(value, "patch")[1]) == 0)
    return False
