"""Splits each product in two steps: its activation is prepared (norm, gather of rows, quantisation, padding), then
multiplied. A norm, or the choice of rows, that only feeds products disappears into the preparation; products that
read the same activation in the same form share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax, tirx

from hearth.compiler.cpu.kernels.norms import SUMS
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import Graph, arguments, attributes, is_op, operation, rewrite
from hearth.compiler.physical import rows
from hearth.model.ops import hearth_op
from hearth.quant.row_rounding import MOST_COLUMNS

_PRODUCTS = {
    "hearth.linear": "product",
    "hearth.logits": "product",
    "hearth.expert_linear": "expert_product",
    "hearth.head_linear": "head_product",
}
"""What each becomes."""
_NORMS = {"nn.rms_norm": "rms", "nn.layer_norm": "layer"}
# Which norms the preparation of each form can do on the way.
_FUSED = {"float": ("rms",), "groups": ("rms",), "rows": ("rms", "layer")}


def split_products(
    module: Any, parameters: Parameters, *, high_precision: bool, coarse: Mapping[str, str] | None = None
) -> Any:
    """`hearth.linear(x, w, ...)` becomes `hearth.product(AQ, AS, w, ...)` or `hearth.product(X, w, ...)`, and likewise
    `hearth.expert_linear` `hearth.expert_product` and `hearth.head_linear` `hearth.head_product`.

    The form of an activation follows from the weight's format: f32, bytes with a scale for each group of columns, or
    bytes with a scale for each row, rotated as the weight is. Of groups the first rows may have one scale each instead.

    Args:
        coarse: as `Network.coarse`.
    """
    prepared: dict[tuple[Any, str, int, int, str], list[Any]] = {}
    readers: dict[Any, Counter[Any]] = {}  # by graph: how many products read a variable

    def rule(graph: Graph, value: Any) -> Any:
        if operation(value) not in _PRODUCTS:
            return None
        if graph not in readers:
            products = (v for _, v in graph.bindings if operation(v) in _PRODUCTS)
            readers[graph] = Counter(arguments(v)[0] for v in products)
        x, w, *rest = arguments(value)
        packed = parameters.packed[w.name]
        form = "rows" if packed.fmt.is_row else "float" if high_precision or packed.fmt.is_float else "groups"
        kp = packed.blocks * packed.fmt.block_columns
        kind = _PRODUCTS[operation(value)]
        may_be_coarse = form == "groups" and kp <= MOST_COLUMNS and kind == "product"
        first_rows = _coarse_rows(x, coarse or {}) if may_be_coarse else ""
        key = (x, form, kp, packed.rotated, first_rows)
        if key not in prepared:
            only_products = readers[graph][x] == graph.uses[x]
            prepared[key] = _prepare(graph, x, form, kp, only_products, first_rows, packed.rotated)
        attrs = attributes(value)
        if is_op(value, "hearth.logits"):
            attrs["epilogue"] = "logits"
        if first_rows:
            attrs["coarse"] = first_rows
        out = value.ty_args[0]
        types = list(out.fields) if isinstance(out, tvm.ir.TupleType) else out
        return hearth_op(kind, [*prepared[key], w, *rest], types, **attrs, inputs=len(prepared[key]))

    return rewrite(module, rule)


def _picks_rows(graph: Graph, source: Any) -> bool:
    """Whether rows of a matrix are chosen by an input, whose bounds the runtime checks."""
    if not is_op(source, "take") or len(source.args[0].ty.shape) != 2 or int(source.attrs.axis) != 0:
        return False
    return graph.value(source.args[1]) is None


def _coarse_rows(x: Any, coarse: Mapping[str, str]) -> str:
    """The size that counts the first rows of `x` which may have one scale each; "": none may."""
    count = rows(x)
    return coarse.get(str(count.name), "") if isinstance(count, tirx.Var) else ""


def _prepare(
    graph: Graph, x: Any, form: str, kp: int, only_products: bool, coarse: str, rotated: int
) -> list[Any]:  # fmt: skip
    """The prepared activation.

    Args:
        only_products: nothing else reads `x`, so a norm that makes it need not be computed by itself.
        coarse: the size that counts the first rows which have one scale each; "": none.
        rotated: of rows, as `Packed.rotated`.
    """
    source = graph.value(x)
    args = [x]
    attrs: dict[str, Any] = {"norm": "", "gather": False, "epsilon": 0.0, "weight": True, "bias": False}
    if form == "rows":
        attrs["rotated"] = rotated
    if coarse:
        attrs["coarse"] = coarse
    norm = _NORMS.get(operation(source), "")
    if _picks_rows(graph, source):
        args, attrs["gather"] = [source.args[0], source.args[1]], True
    elif norm in _FUSED[form] and only_products:
        attrs |= {"norm": norm, "epsilon": source.attrs.epsilon}
        if norm == "layer":
            attrs |= {"weight": bool(source.attrs.scale), "bias": bool(source.attrs.center)}
        wanted = (True, attrs["weight"], attrs["bias"])
        args = [arg for arg, is_wanted in zip(source.args, wanted, strict=False) if is_wanted]
    m = rows(x)
    if form == "float":
        return [graph.emit(hearth_op("prepare", args, relax.TensorType((m, kp), "float32"), form=form, **attrs))]
    scales = relax.TensorType((m,) if form == "rows" else (m, SUMS, kp // 32), "float32")
    both = graph.emit(hearth_op("prepare", args, [relax.TensorType((m, kp), "int8"), scales], form=form, **attrs))
    return [graph.emit(relax.TupleGetItem(both, i)) for i in (0, 1)]
