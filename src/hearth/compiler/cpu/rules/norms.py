"""Norms and softmax that stand alone, with or without a residual; those that feed products are a part of `prepare`."""

from __future__ import annotations

from typing import Any

from hearth.compiler.cpu.kernels.layer_norm import LayerNormSpec, layer_norm
from hearth.compiler.cpu.kernels.norms import rms_norm
from hearth.compiler.cpu.kernels.softmax import softmax
from hearth.compiler.cpu.rules.elementwise import is_dense
from hearth.compiler.cpu.selection import Rule, Selection, call, like, rows, stride, width
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.work import Work
from hearth.errors import Unsupported


def _norm_add(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight, residual = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    kernel = s.use("", lambda isa: rms_norm(eps=eps, add=True, scale=scale))
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 6 * size)
    return call(kernel, [x, weight, residual], like(x), m, scalars, grain=2, work=work)


def _rms_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight = value.args
    kernel = s.use("", lambda isa: rms_norm(eps=float(value.attrs.epsilon), add=False))
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 4 * size)
    return call(kernel, [x, weight], like(x), m, scalars, grain=2, work=work)


def _layer_norm(graph: Graph, value: Any, s: Selection) -> Any:
    x, weight, bias = value.args
    spec = LayerNormSpec(float(value.attrs.epsilon), weight=bool(value.attrs.scale), bias=bool(value.attrs.center))
    kernel = s.use(spec.name, lambda isa: layer_norm(spec), spec.scratch_bytes())
    operands = [x, *([weight] if spec.weight else []), *([bias] if spec.bias else [])]
    size, m = width(x), rows(x)
    scalars, work = [size, stride(size), stride(size)], Work.of("norm", m, 7 * size)
    return call(kernel, operands, like(x), m, scalars, grain=2, work=work)


def _softmax(graph: Graph, value: Any, s: Selection) -> Any:
    x = value.args[0]
    if int(value.attrs.axis) not in (-1, len(x.ty.shape) - 1):
        raise Unsupported("A softmax over another axis than the last cannot be compiled yet.")
    kernel = s.use("", lambda isa: softmax())
    size, m = width(x), rows(x)
    ldx = size if is_dense(x, s) else stride(size)
    return call(kernel, [x], like(value), m, [size, ldx, stride(size)], grain=2, work=Work.of("softmax", m, 20 * size))


RULES: dict[str, Rule] = {
    "hearth.norm_add": _norm_add,
    "nn.rms_norm": _rms_norm,
    "nn.layer_norm": _layer_norm,
    "nn.softmax": _softmax,
}
