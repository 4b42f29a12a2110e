"""Norms that follow a product and are added to a residual, as decoders with norms behind their blocks have them, are
carried into the product that reads the sum: for a single token that saves a step.

`hearth.norm_add(y, gain, residual)` becomes `hearth.norm_add(y, gain, residual, squares)`, and the product that has
made y notes these: the sum of the squares of each 16 of its outputs. Whether a call carries is decided by its sizes
(`may_carry`); a model that runs in parts never does, since only the sum crosses from one to the next.
"""

from __future__ import annotations

from typing import Any

from tvm import relax, tirx

from hearth.compiler.gpu.features import MAX_STORAGE_BUFFERS
from hearth.compiler.gpu.selection import GpuSelection, ceil_div
from hearth.compiler.passes.rewrite import Graph, arguments, attribute, attributes, is_op, operands, rewrite
from hearth.compiler.physical import rows, width
from hearth.model.ops import hearth_op
from hearth.model.text.batch import IN_PARTS
from hearth.quant.formats import LANES

_NORM, _PRODUCT = "hearth.norm_add", "hearth.product"


def carry_norms(module: Any, selection: GpuSelection) -> Any:
    """Where the sum is read by one product first, whose kernel has buffers to spare for it."""
    if IN_PARTS not in selection.symbols:
        return module
    readers: dict[Graph, dict[Any, Any]] = {}

    def rule(graph: Graph, value: Any) -> Any:
        if not is_op(value, _NORM):
            return None
        if graph not in readers:
            readers[graph] = _readers(graph, selection)
        y, gain, residual = arguments(value)
        source = graph.value(y)
        if y not in readers[graph] or not is_op(source, _PRODUCT) or not graph.only_use(y):
            return None
        if attribute(source, "epilogue", "store") != "store" or is_op(graph.value(arguments(source)[0]), _NORM):
            return None
        squares = relax.TensorType((rows(y), ceil_div(width(y), LANES)), "float32")
        attrs = attributes(source) | {"notes_squares": True}
        both = graph.emit(hearth_op("product", arguments(source), [y.ty, squares], **attrs))
        made = [graph.emit(relax.TupleGetItem(both, i)) for i in range(2)]
        epsilon, scale = attribute(value, "epsilon"), attribute(value, "scale")
        logits = attribute(readers[graph][y], "epilogue", "store") == "logits"
        args = [made[0], gain, residual, made[1]]
        return hearth_op("norm_add", args, value.ty_args[0], epsilon=epsilon, scale=scale, for_logits=logits)

    return rewrite(module, rule)


def carried_norm(graph: Graph, x: Any) -> Any:
    """The norm that a product of `x` carries; None: it carries none."""
    source = graph.value(x)
    return source if is_op(source, _NORM) and len(arguments(source)) == 4 else None


def may_carry() -> Any:
    """1 in calls of a single token, of a model that runs as a whole, else 0."""
    tokens, parts = tirx.Var("tokens", "int64"), tirx.Var(IN_PARTS, "int64")
    one, two = (tirx.IntImm("int64", number) for number in (1, 2))
    return tirx.max(two - tokens, tirx.IntImm("int64", 0)) * (one - parts)


def _readers(graph: Graph, selection: GpuSelection) -> dict[Any, Any]:
    """By what is normed, the product that reads the sum before anything else does, and alone among products."""
    found: dict[Any, Any] = {}
    for var, value in graph.bindings:
        if not is_op(value, _NORM):
            continue
        reading = [v for _, v in graph.bindings if var in operands(v)]
        products = [v for v in reading if is_op(v, _PRODUCT) and arguments(v)[0].same_as(var)]
        if len(products) == 1 and products[0].same_as(reading[0]) and _has_room(products[0], selection):
            found[arguments(value)[0]] = products[0]
    return found


def _has_room(value: Any, selection: GpuSelection) -> bool:
    """Whether the product's kernel may have three buffers more, and one to leave the sum in: but for a head, since
    nobody reads the sum behind it, and the only token has no number."""
    norm, gather = attribute(value, "norm") is not None, bool(attribute(value, "gather"))
    w, *rest = arguments(value)[1 + norm + gather :]
    if selection.parameters.packed[w.name].rotated > 1:
        return False
    weight_and_x, carried, results = 2, 3, 2
    return weight_and_x + carried + norm + len(rest) + results <= MAX_STORAGE_BUFFERS
