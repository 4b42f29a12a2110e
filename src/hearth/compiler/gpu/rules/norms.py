"""Norms that stand alone, with or without a residual; those that feed products are a part of these."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from hearth.compiler.gpu.kernels.norms import norm_name, rms_norm
from hearth.compiler.gpu.selection import GpuSelection, Rule
from hearth.compiler.passes.rewrite import Graph, arguments, attribute
from hearth.compiler.physical import call, like, rows, stride, width
from hearth.compiler.work import Work
from hearth.model.text.batch import HIDDEN_TOKENS


def _norm_add(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight, residual = arguments(value)
    eps, scale = float(attribute(value, "epsilon")), float(attribute(value, "scale"))
    kernel = s.use(norm_name(eps, add=True, scale=scale), lambda: [rms_norm(eps, add=True, scale=scale)])
    size, m = width(x), rows(x)
    work = Work.of("norm", m, 6 * size)
    return call(kernel, [x, weight, residual], like(x), m, [size, stride(size)], work=work)


def _norm(x: Any, weight: Any, eps: float, m: Any, s: GpuSelection) -> Any:
    kernel, size = s.use(norm_name(eps), lambda: [rms_norm(eps)]), width(x)
    return call(kernel, [x, weight], like(x), m, [size, stride(size)], work=Work.of("norm", m, 4 * size))


def _rms_norm(graph: Graph, value: Any, s: GpuSelection) -> Any:
    x, weight = value.args
    return _norm(x, weight, float(value.attrs.epsilon), rows(x), s)


def _hidden(graph: Graph, value: Any, s: GpuSelection) -> Any:
    """Nothing, where the call does not want it."""
    x, weight = arguments(value)
    return _norm(x, weight, float(attribute(value, "epsilon")), tirx.Var(HIDDEN_TOKENS, "int64"), s)


RULES: dict[str, Rule] = {"hearth.norm_add": _norm_add, "nn.rms_norm": _rms_norm, "hearth.hidden": _hidden}
