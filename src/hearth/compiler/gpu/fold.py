"""What stands before a product disappears into it: a norm, or the choice of rows, that only products have use of.

`hearth.linear(x, w, ...)` becomes `hearth.product(x, [gain], [numbers], w, ...)`, as does `hearth.logits`; and
`hearth.expert_linear(x, w, ...)` becomes `hearth.expert_product(x, [gain], w, ...)`. `hearth.head_linear` becomes
`hearth.head_product` as it is.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import tvm

from hearth.compiler.passes.rewrite import Graph, arguments, attributes, is_op, operation, rewrite
from hearth.model.ops import hearth_op

_PRODUCTS = {"hearth.linear": "", "hearth.logits": "logits", "hearth.expert_linear": ""}
_EXPERTS = "hearth.expert_linear"


def fold_into_products(module: Any) -> Any:
    """Attributes of `hearth.product` are those of the operation, whose epilogue may be `logits`, and

    norm: epsilon of an RMS norm of the activations, whose weight is `gain`, where there is one.
    gather: rows of the activations are given by `numbers`.
    """
    readers: dict[Any, Counter[Any]] = {}

    def rule(graph: Graph, value: Any) -> Any:
        if is_op(value, "hearth.head_linear"):
            return hearth_op("head_product", arguments(value), value.ty_args[0])
        if operation(value) not in _PRODUCTS:
            return None
        if graph not in readers:
            readers[graph] = _readers(graph)
        x, w, *rest = arguments(value)
        attrs = attributes(value)
        attrs["gather"] = False
        if _PRODUCTS[operation(value)]:
            attrs["epilogue"] = _PRODUCTS[operation(value)]
        numbers, gain = [], []
        if operation(value) != _EXPERTS and _picks_rows(graph, graph.value(x)):
            x, numbers = graph.value(x).args
            numbers, attrs["gather"] = [numbers], True
        source = graph.value(x)
        is_norm = is_op(source, "nn.rms_norm") and len(x.ty.shape) == 2
        if is_norm and readers[graph][x] == graph.uses[x]:
            x, gain = source.args[0], [source.args[1]]
            attrs["norm"] = float(source.attrs.epsilon)
        out = value.ty_args[0]
        types = list(out.fields) if isinstance(out, tvm.ir.TupleType) else out
        name = "expert_product" if operation(value) == _EXPERTS else "product"
        return hearth_op(name, [x, *gain, *numbers, w, *rest], types, **attrs)

    return rewrite(module, rule)


def _readers(graph: Graph) -> Counter[Any]:
    """How many products read a variable as their activations, perhaps by a choice of its rows."""
    readers: Counter[Any] = Counter(arguments(v)[0] for _, v in graph.bindings if operation(v) in _PRODUCTS)
    for var, value in graph.bindings:
        if _picks_rows(graph, value) and readers[var] == graph.uses[var]:
            readers[value.args[0]] += 1
    return readers


def _picks_rows(graph: Graph, value: Any) -> bool:
    """Whether rows of a matrix are chosen by an input, whose bounds the runtime checks."""
    if not is_op(value, "take") or len(value.args[0].ty.shape) != 2 or int(value.attrs.axis) != 0:
        return False
    return graph.value(value.args[1]) is None
