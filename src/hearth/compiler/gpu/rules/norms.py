"""Norms that stand alone, with or without a residual; those that feed products are a part of these."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from hearth.compiler.gpu.carry import may_carry
from hearth.compiler.gpu.kernels.layer_norm import LayerNormSpec, layer_norm_variants
from hearth.compiler.gpu.kernels.norms import norm_name, norm_variants
from hearth.compiler.gpu.selection import MOST_FEW_ROWS, GpuSelection, Rule, at_most, more_than, one
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, rows, stride, width
from hearth.compiler.work import Work
from hearth.model.text.batch import HIDDEN_TOKENS


def _norm_add(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """Where squares are noted, the product that reads the sum may add it up instead: then nothing is done here."""
    x, weight, residual, *noted = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    size, m = width(x), rows(x)

    def step(units: Any, operands: list[Any], **how: Any) -> Any:
        given = len(operands) > 3
        name = norm_name(eps, add=True, scale=scale, noted=given)
        kernel = s.use(name, lambda: norm_variants(eps, add=True, scale=scale, noted=given))
        scalars, work = [size, stride(size)], Work.of("norm", m, 6 * size)
        return call(kernel, [*operands, *how.pop("made", [])], like(x), units, scalars, work=work, **how)

    operands = [x, weight, residual]
    if not noted:
        return step(m, operands)
    needed: Any = one() - may_carry()
    if attribute(value, "for_logits"):  # which leave no sum
        several = more_than(tirx.Var("logit_rows", "int64"), 1)
        needed = tirx.max(needed, tirx.max(several, tirx.min(tirx.Var(HIDDEN_TOKENS, "int64"), one())))
    made = graph.emit(step(m * (at_most(m, MOST_FEW_ROWS) * needed), [*operands, *noted]))
    return step(m * more_than(m, MOST_FEW_ROWS), operands, made=[made], in_place=True)


def _norm(x: Any, weight: Any, eps: float, m: Any, s: GpuSelection) -> Any:
    kernel, size = s.use(norm_name(eps), lambda: norm_variants(eps)), width(x)
    return call(kernel, [x, weight], like(x), m, [size, stride(size)], work=Work.of("norm", m, 4 * size))


def _rms_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight = value.args
    return _norm(x, weight, float(value.attrs.epsilon), rows(x), s)


def _layer_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight, bias = value.args
    spec = LayerNormSpec(float(value.attrs.epsilon), weight=bool(value.attrs.scale), bias=bool(value.attrs.center))
    kernel, size, m = s.use(spec.name, lambda: layer_norm_variants(spec)), width(x), rows(x)
    operands = [x, *([weight] if spec.weight else []), *([bias] if spec.bias else [])]
    return call(kernel, operands, like(x), m, [size, stride(size)], work=Work.of("norm", m, 7 * size))


def _hidden(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """Nothing, where the call does not want it."""
    x, weight = arguments(value)
    return _norm(x, weight, float(attribute(value, "epsilon")), tirx.Var(HIDDEN_TOKENS, "int64"), s)


RULES: dict[str, Rule] = {
    "hearth.norm_add": _norm_add,
    "nn.rms_norm": _rms_norm,
    "nn.layer_norm": _layer_norm,
    "hearth.hidden": _hidden,
}
