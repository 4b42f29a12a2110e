"""Splits each product in two steps: its activation is prepared (norm, gather of rows, quantisation, padding), then
multiplied. A norm, or the choice of rows, that only feeds products disappears into the preparation; products that
read the same activation in the same form share it."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

from hearth.compiler.cpu.kernels.norms import SUMS
from hearth.compiler.cpu.selection import rows
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, arguments, is_op, rewrite
from hearth.model.ops import hearth_op

_PRODUCTS = ("hearth.linear", "hearth.logits")


def split_products(module: Any, parameters: Parameters, *, high_precision: bool) -> Any:
    """`hearth.linear(x, w, ...)` becomes `hearth.product(AQ, AS, w, ...)` or `hearth.product(X, w, ...)`."""
    prepared: dict[tuple[Any, bool, int], list[Any]] = {}

    def rule(graph: Graph, value: Any) -> Any:
        if not any(is_op(value, name) for name in _PRODUCTS):
            return None
        x, w, *rest = arguments(value)
        packed = parameters.packed[w.name]
        quantise = not (high_precision or packed.fmt.is_float)
        kp = packed.blocks * packed.fmt.block_columns
        key = (x, quantise, kp)
        if key not in prepared:
            prepared[key] = _prepare(graph, x, quantise, kp)
        attrs = {k: value.attrs[k] for k in value.attrs.keys()}  # noqa: SIM118 - a TVM map iterates over items
        if is_op(value, "hearth.logits"):
            attrs["epilogue"] = "logits"
        out = value.ty_args[0]
        types = list(out.fields) if isinstance(out, tvm.ir.TupleType) else out
        return hearth_op("product", [*prepared[key], w, *rest], types, **attrs, inputs=len(prepared[key]))

    return rewrite(module, rule)


def _prepare(graph: Graph, x: Any, quantise: bool, kp: int) -> list[Any]:
    source = graph.value(x)
    args, attrs = [x], {"norm": False, "gather": False, "epsilon": 0.0}
    if is_op(source, "take"):
        args, attrs["gather"] = [source.args[0], source.args[1]], True
    elif is_op(source, "nn.rms_norm"):
        args, attrs["norm"], attrs["epsilon"] = list(source.args), True, source.attrs.epsilon
    m = rows(x)
    if not quantise:
        return [graph.emit(hearth_op("prepare", args, relax.TensorType((m, kp), "float32"), quantise=False, **attrs))]
    types = [relax.TensorType((m, kp), "int8"), relax.TensorType((m, SUMS, kp // 32), "float32")]
    both = graph.emit(hearth_op("prepare", args, types, quantise=True, **attrs))
    return [graph.emit(relax.TupleGetItem(both, i)) for i in (0, 1)]
